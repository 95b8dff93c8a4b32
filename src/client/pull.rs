//! A model that is pulled through a gateway: begun, or joined where it runs already, and joined again after a cut.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::meaning::at;
use crate::client::server::{ask, messages};
use crate::client::{Backoff, ClientError, Messages, Next, Server};

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
    backoff: Backoff,
    wait: Duration,
    reading: Option<Messages>,
    has_read: bool,
    /// What the last line says is done.
    status: String,
    layers: Vec<Layer>,
    ended: Option<Pulled>,
}

impl Pull {
    pub fn new(server: Server, model: &str, backoff: Backoff) -> Result<Self, ClientError> {
        let url = server.at("/api/pull")?;
        Ok(Self {
            server,
            url,
            model: model.to_owned(),
            backoff,
            wait: Duration::ZERO,
            reading: None,
            has_read: false,
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
        loop {
            let Some(messages) = &mut self.reading else {
                sleep(std::mem::take(&mut self.wait)).await;
                match self.open().await? {
                    Some(told) => return Ok(told),
                    None => continue,
                }
            };
            let why = match messages.next().await {
                Next::Message(message) => {
                    self.heard(&message.data);
                    return Ok(Pulled::Line(message.data));
                }
                Next::Ended => "the connection was closed".to_owned(),
                Next::Cut(why) => format!("the connection was cut: {why}"),
                Next::Malformed(why) => return Ok(Pulled::Failed(why)),
            };
            self.reading = None;
            let gone = ClientError::NoStream {
                url: self.server.shown(),
                what: format!("too often with nothing ({why})"),
            };
            return self.again(None, why).ok_or(gone);
        }
    }

    async fn open(&mut self) -> Result<Option<Pulled>, ClientError> {
        let wish = json!({ "model": self.model, "stream": true });
        match ask(self.server.post(self.url.clone(), &wish)).await {
            Ok(answer) => {
                self.reading = Some(messages(answer)?);
                Ok(None)
            }
            Err(error) => {
                let (passing, least) = match &error {
                    ClientError::Unreachable { .. } => (true, None),
                    ClientError::Refused(refused) => (refused.is_passing(), refused.retry_after),
                    ClientError::Address(_)
                    | ClientError::Key
                    | ClientError::Usage(_)
                    | ClientError::Certificates(_)
                    | ClientError::NoStream { .. } => (false, None),
                };
                if !passing || !self.has_read {
                    return Err(error);
                }
                let why = error.to_string().lines().next().unwrap_or_default().to_owned();
                self.again(least, why).ok_or(error).map(Some)
            }
        }
    }

    fn again(&mut self, least: Option<Duration>, why: String) -> Option<Pulled> {
        self.wait = self.backoff.next(least)?;
        Some(Pulled::Waiting { wait: self.wait, why })
    }

    fn heard(&mut self, line: &str) {
        self.has_read = true;
        self.backoff.reset();
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
