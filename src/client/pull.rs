//! A model that is pulled through a gateway: begun, or joined where it runs already, and joined again after a cut.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use crate::client::connections::{Connections, Heard, Waiting};
use crate::client::error::shown;
use crate::client::meaning::at;
use crate::client::{Backoff, ClientError, Refused, Server};

/// A file of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layer {
    digest: String,
    /// In bytes.
    total: u64,
    completed: u64,
}

/// What is told of a pull.
#[derive(Debug)]
pub enum Pulled {
    /// A line as it came.
    Line(String),
    /// The connection is gone; the next one comes so much later.
    Waiting {
        wait: Duration,
        why: String,
    },
    Done,
    Failed(String),
}

/// A pull.
#[derive(Debug)]
pub struct Pull {
    server: Server,
    url: Url,
    model: String,
    connections: Connections,
    /// What the last line says is done.
    status: String,
    layers: Vec<Layer>,
    ended: Option<Pulled>,
}

impl Pull {
    pub fn new(server: Server, model: &str, backoff: Backoff) -> Result<Self, ClientError> {
        let url = server.at("/api/pull")?;
        Ok(Self {
            connections: Connections::new(shown(&url), backoff),
            server,
            url,
            model: model.to_owned(),
            status: String::new(),
            layers: Vec::new(),
            ended: None,
        })
    }

    /// What is being done now, in Ollama's words.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// So many bytes of all files that are known have come, and so many there are.
    pub fn bytes(&self) -> (u64, u64) {
        self.layers.iter().fold((0, 0), |(done, all), layer| (done + layer.completed, all + layer.total))
    }

    /// What comes next. An error: it could not be begun, or not be joined again.
    pub async fn next(&mut self) -> Result<Pulled, ClientError> {
        if let Some(ended) = self.ended.take() {
            return Ok(ended);
        }
        let wish = || {
            let wish = json!({ "model": self.model, "stream": true });
            self.server.post(self.url.clone(), &wish)
        };
        match self.connections.next(wish).await? {
            Heard::Message(message) => {
                self.heard(&message.data);
                Ok(Pulled::Line(message.data))
            }
            Heard::Over(why) => self.connections.again(None, why).map(Pulled::from),
            Heard::Refused(refused) => self.refused(refused),
            Heard::Waiting(waiting) => Ok(waiting.into()),
            Heard::Malformed(why) => Ok(Pulled::Failed(why)),
            Heard::Nothing => {
                Err(ClientError::NoStream { url: shown(&self.url), what: "with nothing".into() })
            }
        }
    }

    fn refused(&mut self, refused: Refused) -> Result<Pulled, ClientError> {
        if !refused.is_passing() || !self.connections.was_answered() {
            return Err(ClientError::Refused(refused));
        }
        let why = format!("{} answered {}: {}", refused.url, refused.status, refused.message);
        let waiting = self.connections.again(refused.retry_after, why);
        waiting.map(Pulled::from).map_err(|_| ClientError::Refused(refused))
    }

    fn heard(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(error) = at(&line, "/error").as_str() {
            self.ended = Some(Pulled::Failed(error.to_owned()));
        }
        let Some(status) = at(&line, "/status").as_str() else { return };
        status.clone_into(&mut self.status);
        if status == "success" {
            self.ended = Some(Pulled::Done);
        }
        let Some(total) = at(&line, "/total").as_u64() else { return };
        let digest = at(&line, "/digest").as_str().unwrap_or(status);
        let layer = Layer {
            digest: digest.to_owned(),
            total,
            completed: at(&line, "/completed").as_u64().unwrap_or_default().min(total),
        };
        match self.layers.iter_mut().find(|known| known.digest == digest) {
            Some(known) => *known = layer,
            None => self.layers.push(layer),
        }
    }
}

impl From<Waiting> for Pulled {
    fn from(Waiting { wait, why }: Waiting) -> Self {
        Self::Waiting { wait, why }
    }
}
