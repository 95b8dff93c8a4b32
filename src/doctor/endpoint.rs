//! What a hop is asked, and where: the address of its stream and the request in the dialect that is spoken there.

use reqwest::Url;
use serde_json::{Value, json};

use crate::wire::{Dialect, Framing};

/// Where a stream is asked for, through one hop.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) ask: Ask,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A chat, in this dialect.
    Post(Dialect),
    /// A stream that is there for whoever reads it.
    Get,
}

impl Endpoint {
    /// An address alone, or that of its `/v1`, is asked at OpenAI's door, one with the path of a dialect in that dialect, and any other is read by GET.
    pub(super) fn new(mut url: Url) -> Self {
        let path = url.path().to_owned();
        let base = path.trim_end_matches('/');
        if let Some(prefix) = base.strip_suffix("/v1").or_else(|| path.strip_suffix('/')) {
            let door = Dialect::OpenAiChat;
            url.set_path(&format!("{prefix}{}", door.path()));
            return Self { url, ask: Ask::Post(door) };
        }
        let dialect = Dialect::ALL.into_iter().find(|dialect| path.ends_with(dialect.path()));
        Self { url, ask: dialect.map_or(Ask::Get, Ask::Post) }
    }

    /// The same stream through another hop: its address, unless it names a path, has the path of the public one.
    pub(super) fn through(&self, mut hop: Url) -> Self {
        if hop.path() == "/" {
            hop.set_path(self.url.path());
            hop.set_query(self.url.query());
        } else {
            hop = Self::new(hop).url;
        }
        Self { url: hop, ask: self.ask }
    }

    /// Another path of the same server (`/v1/streams/…`), before which stands what stands before the dialect's.
    pub(super) fn beside(&self, path: &str) -> Option<Url> {
        let prefix = match self.ask {
            Ask::Post(dialect) => self.url.path().strip_suffix(dialect.path())?,
            Ask::Get => "",
        };
        self.url.join(&format!("{prefix}{path}")).ok()
    }

    pub(super) fn framing(&self) -> Framing {
        match self.ask {
            Ask::Post(dialect) => dialect.framing(),
            Ask::Get => Framing::Sse,
        }
    }
}

/// A request for an answer of this model.
pub(super) fn question(dialect: Dialect, model: &str, stream: bool) -> Value {
    let messages = json!([{ "role": "user", "content": PROMPT }]);
    match dialect {
        Dialect::OpenAiChat | Dialect::OllamaChat => {
            json!({ "model": model, "stream": stream, "messages": messages })
        }
        Dialect::Anthropic => {
            json!({ "model": model, "stream": stream, "max_tokens": 4096, "messages": messages })
        }
        Dialect::OpenAiResponses => json!({ "model": model, "stream": stream, "input": PROMPT }),
        Dialect::OllamaGenerate | Dialect::OpenAiCompletions => {
            json!({ "model": model, "stream": stream, "prompt": PROMPT })
        }
    }
}

/// What real models are asked: many short events.
const PROMPT: &str = "Count from 1 to 60, with nothing but the numbers and a space between them.";

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(url.parse().unwrap())
    }

    #[test]
    fn an_address_says_how_it_is_asked() {
        let bare = endpoint("https://chat.example.org");
        assert_eq!(bare.url.as_str(), "https://chat.example.org/v1/chat/completions");
        for url in ["http://a/v1", "http://a/v1/", "http://a/"] {
            assert_eq!(endpoint(url).url.as_str(), "http://a/v1/chat/completions", "{url}");
        }
        assert_eq!(endpoint("https://a/ai/").url.path(), "/ai/v1/chat/completions");
        let ollama = endpoint("http://a:11434/api/chat");
        assert_eq!((ollama.ask, ollama.framing()), (Ask::Post(Dialect::OllamaChat), Framing::Ndjson));
        assert_eq!(endpoint("http://a/v1/channels/job-7").ask, Ask::Get);
    }

    #[test]
    fn a_hop_is_asked_for_the_same_path() {
        let public = endpoint("https://chat.example.org/ai/");
        let hop = public.through("http://10.0.0.2:81".parse().unwrap());
        assert_eq!(hop.url.as_str(), "http://10.0.0.2:81/ai/v1/chat/completions");
        for own in ["https://chat.example.org/ai/", "https://chat.example.org/ai/v1"] {
            assert_eq!(public.through(own.parse().unwrap()).url, public.url, "{own}");
        }
        let other = public.through("http://10.0.0.3/v1/chat/completions".parse().unwrap());
        assert_eq!(other.url.as_str(), "http://10.0.0.3/v1/chat/completions");
        assert_eq!(hop.beside("/v1/streams/x").unwrap().as_str(), "http://10.0.0.2:81/ai/v1/streams/x");
    }
}
