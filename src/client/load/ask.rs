//! What is asked again and again.

use std::cell::Cell;

use reqwest::{RequestBuilder, Url};
use serde_json::json;

use crate::client::{ClientError, Server, Transport};

/// The API that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
    /// Ollama's chat.
    Ollama,
    /// A GET whose answer is Server-Sent Events.
    Sse,
}

impl Api {
    const CHATS: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Ollama];

    /// Where it is spoken.
    fn door(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi => &["v1", "chat", "completions"],
            Self::Anthropic => &["v1", "messages"],
            Self::Ollama => &["api", "chat"],
            Self::Sse => &[],
        }
    }

    /// The API of an address that has a path; that of a server alone is OpenAI's.
    fn of(url: &Url) -> Option<Self> {
        let at_door = |api: &Self| url.path().trim_end_matches('/').ends_with(&api.door().join("/"));
        match url.path() {
            "" | "/" | "/v1" | "/v1/" => Some(Self::OpenAi),
            _ => Self::CHATS.into_iter().find(at_door),
        }
    }
}

/// Connections of their own. One of HTTP/2 carries so many streams as its server allows (100 at most servers); more would wait for
/// each other, and that would be measured.
#[derive(Clone, Debug)]
struct Lane {
    server: Server,
    running: Cell<usize>,
}

const STREAMS_A_LANE: usize = 100;

/// A stream that runs, for as long as this lives.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Cell<usize>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.update(|running| running.saturating_sub(1));
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) api: Api,
    /// The data of the event that ends a stream in which nothing else does.
    pub(super) until: Option<String>,
    lanes: Vec<Lane>,
    url: Url,
    model: String,
    prompt: String,
    max_tokens: u32,
}

impl Ask {
    /// A chat with the server of an address, which may be that of the server, of its `/v1`, or of the door itself.
    pub fn new(
        url: &str,
        key: Option<&str>,
        api: Option<Api>,
        transport: &Transport,
    ) -> Result<Self, ClientError> {
        let server = Server::new(url, key, transport)?;
        let mut url = server.base().clone();
        let unclear = || {
            let words = format!(
                "`{}` does not show which API is spoken there\n\nhint: say it with --api",
                server.shown()
            );
            ClientError::Usage(words)
        };
        let api = api.or_else(|| Api::of(&url)).ok_or_else(unclear)?;
        let door = match url.path().trim_end_matches('/') {
            "" => api.door(),
            "/v1" if api.door().first() == Some(&"v1") => api.door().get(1..).unwrap_or_default(),
            _ => &[],
        };
        if !door.is_empty() {
            let address = ClientError::Address(server.shown());
            url.path_segments_mut().map_err(|()| address)?.pop_if_empty().extend(door);
        }
        let (model, prompt) = ("demo".to_owned(), "Hello".to_owned());
        let lanes = vec![Lane { server, running: Cell::default() }];
        Ok(Self { api, until: None, lanes, url, model, prompt, max_tokens: 1024 })
    }

    /// With connections for so many streams at a time.
    pub fn streams(
        mut self,
        streams: usize,
        key: Option<&str>,
        transport: &Transport,
    ) -> Result<Self, ClientError> {
        while self.lanes.len() < streams.div_ceil(STREAMS_A_LANE) {
            let server = Server::new(self.url.as_str(), key, transport)?;
            self.lanes.push(Lane { server, running: Cell::default() });
        }
        Ok(self)
    }

    #[must_use]
    pub fn model(mut self, model: &str, prompt: &str, max_tokens: u32) -> Self {
        (self.model, self.prompt, self.max_tokens) = (model.to_owned(), prompt.to_owned(), max_tokens);
        self
    }

    #[must_use]
    pub fn until(mut self, data: Option<String>) -> Self {
        self.until = data;
        self
    }

    /// The address without what may open something.
    pub fn shown(&self) -> String {
        crate::client::error::shown(&self.url)
    }

    /// The next request, and that it runs.
    pub(super) fn request(&self) -> Option<(RequestBuilder, Running<'_>)> {
        let lane = self.lanes.iter().min_by_key(|lane| lane.running.get())?;
        lane.running.update(|running| running + 1);
        Some((self.request_to(&lane.server), Running(&lane.running)))
    }

    fn request_to(&self, server: &Server) -> RequestBuilder {
        let messages = json!([{ "role": "user", "content": self.prompt }]);
        let (model, most) = (&self.model, self.max_tokens);
        let body = match self.api {
            Api::OpenAi => json!({
                "model": model, "stream": true, "max_tokens": most, "messages": messages,
                "stream_options": { "include_usage": true },
            }),
            Api::Anthropic => {
                json!({ "model": model, "stream": true, "max_tokens": most, "messages": messages })
            }
            Api::Ollama => json!({
                "model": model, "stream": true, "options": { "num_predict": most }, "messages": messages,
            }),
            Api::Sse => return server.get(self.url.clone()),
        };
        let request = server.post(self.url.clone(), &body);
        if self.api == Api::Anthropic { request.header("anthropic-version", "2023-06-01") } else { request }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_found_from_any_address() {
        let at = |url, api| Ask::new(url, None, api, &Transport::default()).map(|ask| (ask.shown(), ask.api));
        let chat = ("http://h:1/v1/chat/completions".to_owned(), Api::OpenAi);
        for url in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/chat/completions"] {
            assert_eq!(at(url, None).unwrap(), chat, "{url}");
        }
        assert_eq!(at("http://h:1/v1/messages", None).unwrap().1, Api::Anthropic);
        assert_eq!(at("http://h:1", Some(Api::Ollama)).unwrap().0, "http://h:1/api/chat");
        assert_eq!(at("http://h:1/a/b", Some(Api::Sse)).unwrap().0, "http://h:1/a/b");
        assert!(at("http://h:1/a/b", None).unwrap_err().is_usage());
        assert!(at("h:1", None).unwrap_err().is_usage());
    }
}
