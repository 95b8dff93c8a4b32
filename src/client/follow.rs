//! Reading a recorded stream or a channel to its end, over any number of connections: after a cut it goes on behind the last event.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use crate::client::connections::{Connections, Heard, Waiting};
use crate::client::error::shown;
use crate::client::meaning::at;
use crate::client::{Backoff, ClientError, Meaning, Message, Refused, Server, Verdict};

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The id of a recorded stream.
    Stream(String),
    /// The newest stream of a conversation.
    Conversation(String),
    Channel(String),
    /// A path of the server, with its query: the `stream_url` of an answer.
    Path(String),
    /// The address of the server itself.
    Address,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed(String),
    Cancelled(String),
    /// Another viewer has taken this one's place.
    Displaced,
    /// It is not kept any more.
    Gone(String),
}

/// What a reader is told.
#[derive(Debug)]
pub enum Told {
    Message(Message, Meaning),
    /// The connection is gone; the next one comes so much later.
    Waiting {
        wait: Duration,
        why: String,
    },
    /// Something is missing from here on.
    Lost(String),
    Ended(Outcome),
}

/// A reader.
#[derive(Debug)]
pub struct Follow {
    server: Server,
    url: Url,
    is_channel: bool,
    cursor: Option<String>,
    connections: Connections,
    verdict: Option<Verdict>,
}

impl Follow {
    /// Begins behind the event `after`, or at the start.
    pub fn new(
        server: Server,
        subject: &Subject,
        after: Option<String>,
        backoff: Backoff,
    ) -> Result<Self, ClientError> {
        let url = match subject {
            Subject::Stream(id) => below(&server, &["v1", "streams", id])?,
            Subject::Conversation(name) => below(&server, &["v1", "conversations", name, "stream"])?,
            Subject::Channel(name) => below(&server, &["v1", "channels", name])?,
            Subject::Path(path) => server.at(path)?,
            Subject::Address => server.base().clone(),
        };
        let is_channel = url.path().contains("/v1/channels/");
        let connections = Connections::new(shown(&url), backoff);
        Ok(Self { server, url, is_channel, cursor: after, connections, verdict: None })
    }

    /// Are its events what somebody publishes, rather than an answer of a model?
    pub fn is_channel(&self) -> bool {
        self.is_channel
    }

    /// The id of the last event that came.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// What comes next. An error: it cannot be read, or not any more.
    pub async fn next(&mut self) -> Result<Told, ClientError> {
        let request = || {
            let request = self.server.get(self.url.clone());
            match &self.cursor {
                Some(cursor) => request.header("last-event-id", cursor),
                None => request,
            }
        };
        match self.connections.next(request).await? {
            Heard::Message(message) => Ok(self.heard(message)),
            Heard::Over(why) => self.ended(why).await,
            Heard::Nothing => Ok(Told::Ended(self.outcome().await)),
            Heard::Refused(refused) => self.refused(refused),
            Heard::Waiting(waiting) => Ok(waiting.into()),
            Heard::Malformed(why) => Ok(Told::Ended(Outcome::Failed(why))),
        }
    }

    fn refused(&mut self, refused: Refused) -> Result<Told, ClientError> {
        match refused.status {
            409 => Ok(Told::Ended(Outcome::Displaced)),
            410 => Ok(self.lost(&refused)),
            404 if self.connections.was_answered() => Ok(Told::Ended(Outcome::Gone(refused.message))),
            _ if refused.is_passing()
                && (self.connections.was_answered() || refused.retry_after.is_some()) =>
            {
                let why = format!("{} answered {}: {}", refused.url, refused.status, refused.message);
                let waiting = self.connections.again(refused.retry_after, why);
                waiting.map(Told::from).map_err(|_| ClientError::Refused(refused))
            }
            _ => Err(ClientError::Refused(refused)),
        }
    }

    /// The events behind the cursor are gone. Says which, and goes on with the first that is kept.
    fn lost(&mut self, refused: &Refused) -> Told {
        let Some((stream, earliest)) = refused.earliest.as_deref().and_then(split) else {
            return Told::Ended(Outcome::Gone(refused.message.clone()));
        };
        let seen = self.cursor.as_deref().and_then(split);
        let words = match seen {
            Some((own, _)) if own != stream => {
                format!("what came behind {own} is no longer kept: from here on it is {stream}")
            }
            Some((_, seen)) => {
                format!("events {} to {} are no longer kept", seen + 1, earliest.saturating_sub(1))
            }
            None => format!("events 1 to {} are no longer kept", earliest.saturating_sub(1)),
        };
        self.cursor = (earliest > 1).then(|| format!("{stream}.{}", earliest - 1));
        Told::Lost(words)
    }

    fn heard(&mut self, message: Message) -> Told {
        if self.is_channel && message.name == "lost" {
            self.cursor = None; // what its empty `id` says
            let told = serde_json::from_str::<Value>(&message.data).unwrap_or_default();
            let words = at(&told, "/error/message").as_str().unwrap_or("the channel was lost");
            return Told::Lost(words.to_owned());
        }
        if !message.id.is_empty() {
            self.cursor = Some(message.id.clone());
        }
        if self.is_channel {
            return Told::Message(message, Meaning::default());
        }
        let meaning = Meaning::of(&message.name, &message.data);
        if meaning.verdict.is_some() {
            self.verdict.clone_from(&meaning.verdict);
        }
        Told::Message(message, meaning)
    }

    /// The body is over.
    async fn ended(&mut self, why: String) -> Result<Told, ClientError> {
        if self.verdict.is_some() {
            return Ok(Told::Ended(self.outcome().await));
        }
        if self.cursor.is_none() && self.connections.has_read() && !self.is_channel {
            // Nothing says where to go on: another connection would begin anew.
            return Ok(Told::Ended(Outcome::Failed(format!("{why}, without a terminator"))));
        }
        self.connections.again(None, why).map(Told::from)
    }

    /// How it ended: as its last event says, and where that is not clear, as the gateway describes it.
    async fn outcome(&self) -> Outcome {
        if self.is_channel || self.verdict == Some(Verdict::Done) {
            return Outcome::Done;
        }
        let described = self.server.document(self.url.clone()).await.unwrap_or_default();
        let reason = at(&described, "/error").as_str();
        match (at(&described, "/state").as_str(), &self.verdict) {
            (Some("cancelled"), _) => Outcome::Cancelled(reason.unwrap_or("cancelled").to_owned()),
            (Some("running"), Some(Verdict::Failed { code, .. })) if code == "superseded" => {
                Outcome::Displaced
            }
            (_, Some(Verdict::Failed { code, message })) => {
                let code = reason.unwrap_or(code);
                Outcome::Failed(if code.is_empty() { message.clone() } else { format!("{message} ({code})") })
            }
            (Some("failed"), _) => Outcome::Failed(reason.unwrap_or("failed").to_owned()),
            (_, Some(Verdict::Done) | None) => Outcome::Done,
        }
    }
}

impl From<Waiting> for Told {
    fn from(Waiting { wait, why }: Waiting) -> Self {
        Self::Waiting { wait, why }
    }
}

/// The address of a path below the server's.
fn below(server: &Server, parts: &[&str]) -> Result<Url, ClientError> {
    let mut url = server.base().clone();
    let no = || ClientError::Address(server.shown());
    url.path_segments_mut().map_err(|()| no())?.pop_if_empty().extend(parts);
    Ok(url)
}

/// The stream and the number of an event's id.
fn split(id: &str) -> Option<(&str, u64)> {
    let (stream, number) = id.rsplit_once('.')?;
    Some((stream, number.parse().ok()?))
}
