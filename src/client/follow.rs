//! Reading a recorded stream or a channel to its end, over any number of connections: after a cut it goes on behind the last event.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::time::sleep;

use crate::client::meaning::at;
use crate::client::server::{ask, messages};
use crate::client::{Backoff, ClientError, Meaning, Message, Messages, Next, Refused, Server, Verdict};

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
    backoff: Backoff,
    /// How long to wait before the next connection.
    wait: Duration,
    reading: Option<Messages>,
    /// Some event has come.
    has_read: bool,
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
        let wait = Duration::ZERO;
        let (reading, has_read, verdict) = (None, false, None);
        Ok(Self { server, url, is_channel, cursor: after, backoff, wait, reading, has_read, verdict })
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
        loop {
            let Some(messages) = &mut self.reading else {
                sleep(std::mem::take(&mut self.wait)).await;
                match self.open().await? {
                    Some(told) => return Ok(told),
                    None => continue,
                }
            };
            let next = messages.next().await;
            let retry = messages.retry();
            match next {
                Next::Message(message) => return Ok(self.heard(message)),
                Next::Ended => return self.ended(retry, "the connection was closed".into()).await,
                Next::Cut(why) => return self.ended(retry, format!("the connection was cut: {why}")).await,
                Next::Malformed(why) => return Ok(Told::Ended(Outcome::Failed(why))),
            }
        }
    }

    /// Asks for what comes behind the cursor. `None`: it can be read.
    async fn open(&mut self) -> Result<Option<Told>, ClientError> {
        let mut request = self.server.get(self.url.clone());
        if let Some(cursor) = &self.cursor {
            request = request.header("last-event-id", cursor);
        }
        match ask(request).await {
            Ok(answer) if answer.status() == StatusCode::NO_CONTENT => {
                let outcome = self.outcome().await;
                Ok(Some(Told::Ended(outcome)))
            }
            Ok(answer) => {
                self.reading = Some(messages(answer)?);
                Ok(None)
            }
            Err(ClientError::Refused(refused)) => self.refused(refused).map(Some),
            Err(error @ ClientError::Unreachable { .. }) if self.has_read => {
                let why = error.to_string().lines().next().unwrap_or_default().to_owned();
                self.again(None, why).ok_or(error).map(Some)
            }
            Err(error) => Err(error),
        }
    }

    fn refused(&mut self, refused: Refused) -> Result<Told, ClientError> {
        match refused.status {
            409 => Ok(Told::Ended(Outcome::Displaced)),
            410 => Ok(self.lost(&refused)),
            404 if self.has_read => Ok(Told::Ended(Outcome::Gone(refused.message))),
            _ if refused.is_passing() && (self.has_read || refused.retry_after.is_some()) => {
                let why = format!("{} answered {}: {}", refused.url, refused.status, refused.message);
                let told = self.again(refused.retry_after, why);
                told.ok_or(ClientError::Refused(refused))
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
        self.has_read = true;
        self.backoff.reset();
        if let Some(retry) = message.retry {
            self.backoff.begin_with(retry);
        }
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
    async fn ended(&mut self, retry: Option<Duration>, why: String) -> Result<Told, ClientError> {
        self.reading = None;
        if self.verdict.is_some() {
            return Ok(Told::Ended(self.outcome().await));
        }
        if self.cursor.is_none() && self.has_read && !self.is_channel {
            // Nothing says where to go on: another connection would begin anew.
            return Ok(Told::Ended(Outcome::Failed(format!("{why}, without a terminator"))));
        }
        let gone = ClientError::NoStream {
            url: self.server.shown(),
            what: format!("too often with nothing ({why})"),
        };
        self.again(retry, why).ok_or(gone)
    }

    /// Another connection, a little later; `None` when there were too many for nothing.
    fn again(&mut self, least: Option<Duration>, why: String) -> Option<Told> {
        self.wait = self.backoff.next(least)?;
        Some(Told::Waiting { wait: self.wait, why })
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
