//! One answer, read over any number of connections: when one is gone, there is a next one a little later.

use std::time::Duration;

use http::StatusCode;
use reqwest::RequestBuilder;
use tokio::time::sleep;

use crate::client::server::{ask, messages};
use crate::client::{Backoff, ClientError, Message, Messages, Next, Refused};

/// What comes of the connections.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Message),
    /// The body is over, with how.
    Over(String),
    /// 204: there is nothing left to read.
    Nothing,
    Refused(Refused),
    /// The server, which was there before, cannot be reached; it is asked again so much later.
    Waiting(Waiting),
    /// What comes is not what its type says.
    Malformed(String),
}

/// How long it is waited for the next connection, and why.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) wait: Duration,
    pub(super) why: String,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// The address, for words.
    place: String,
    backoff: Backoff,
    /// How long to wait before the next one.
    wait: Duration,
    open: Option<Messages>,
    /// The server has once begun to answer: from then on, that it is gone may pass.
    was_answered: bool,
    has_read: bool,
}

impl Connections {
    pub(super) fn new(place: String, backoff: Backoff) -> Self {
        Self { place, backoff, wait: Duration::ZERO, open: None, was_answered: false, has_read: false }
    }

    /// Has the server once begun to answer?
    pub(super) fn was_answered(&self) -> bool {
        self.was_answered
    }

    /// Has some event come?
    pub(super) fn has_read(&self) -> bool {
        self.has_read
    }

    /// What comes next; where no connection stands, this is asked. An error: it never answered, or not for too long.
    pub(super) async fn next(
        &mut self,
        request: impl FnOnce() -> RequestBuilder,
    ) -> Result<Heard, ClientError> {
        let messages = match &mut self.open {
            Some(messages) => messages,
            None => {
                sleep(std::mem::take(&mut self.wait)).await;
                match ask(request()).await {
                    Ok(answer) if answer.status() == StatusCode::NO_CONTENT => return Ok(Heard::Nothing),
                    Ok(answer) => {
                        self.was_answered = true;
                        self.open.insert(messages(answer)?)
                    }
                    Err(error) => return self.unanswered(error),
                }
            }
        };
        let next = messages.next().await;
        // A server that sends everybody away says it without a block, which is no message.
        let retry = if let Next::Message(message) = &next { message.retry } else { messages.retry() };
        if let Some(retry) = retry {
            self.backoff.begin_with(retry);
        }
        let heard = match next {
            Next::Message(message) => {
                self.has_read = true;
                self.backoff.reset();
                return Ok(Heard::Message(message));
            }
            Next::Ended => Heard::Over("the connection was closed".to_owned()),
            Next::Cut(why) => Heard::Over(format!("the connection was cut: {why}")),
            Next::Malformed(why) => Heard::Malformed(why),
        };
        self.open = None;
        Ok(heard)
    }

    fn unanswered(&mut self, error: ClientError) -> Result<Heard, ClientError> {
        if let ClientError::Refused(refused) = error {
            return Ok(Heard::Refused(refused));
        }
        if !self.was_answered || !matches!(error, ClientError::Unreachable { .. }) {
            return Err(error);
        }
        let why = error.to_string().lines().next().unwrap_or_default().to_owned();
        self.again(None, why).map(Heard::Waiting)
    }

    /// Another connection, a little later, but not before `least`. An error: there were too many for nothing.
    pub(super) fn again(&mut self, least: Option<Duration>, why: String) -> Result<Waiting, ClientError> {
        let Some(wait) = self.backoff.next(least) else {
            let connections = self.backoff.tries().saturating_add(1);
            return Err(ClientError::GaveUp { url: self.place.clone(), connections, why });
        };
        self.wait = wait;
        Ok(Waiting { wait, why })
    }
}
