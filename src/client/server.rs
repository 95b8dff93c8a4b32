//! A server that is asked, and how: the only builder of the tools' HTTP client.

use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response, Url, redirect, retry};
use serde_json::Value;

use crate::client::error::shown;
use crate::client::{ClientError, Messages, Refused, Transport};
use crate::wire::{Framing, read_failure};

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So much is read of an answer that is an error.
const MAX_REFUSAL: usize = 64 * 1024;

/// A server, and the key that it is shown.
#[derive(Clone, Debug)]
pub struct Server {
    base: Url,
    client: Client,
}

impl Server {
    /// `url` is where paths begin. Redirects would carry the key to other hosts, a proxy of the environment would be measured along,
    /// and compression would buffer: all are off.
    pub fn new(url: &str, key: Option<&str>, transport: &Transport) -> Result<Self, ClientError> {
        let base =
            url.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| ClientError::Address(url.to_owned()))?;
        let mut headers = credentials(key)?;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let client = Client::builder()
            .user_agent(concat!("streamgate/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .tcp_nodelay(true);
        let client = transport.apply(client, base.scheme() == "https");
        let client = client.build().map_err(ClientError::Certificates)?;
        Ok(Self { base, client })
    }

    /// The address without what may open something.
    pub fn shown(&self) -> String {
        shown(&self.base)
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of a path, which may have a query.
    pub(super) fn at(&self, path: &str) -> Result<Url, ClientError> {
        self.base.join(path).map_err(|_| ClientError::Address(path.to_owned()))
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url).header(ACCEPT, "text/event-stream")
    }

    pub(super) fn post(&self, url: Url, body: &Value) -> RequestBuilder {
        self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string())
    }

    /// Asks for a document in JSON.
    pub(super) async fn document(&self, url: Url) -> Result<Value, ClientError> {
        let mut answer = ask(self.client.get(url).header(ACCEPT, "application/json")).await?;
        let body = read(&mut answer, 16 * MAX_REFUSAL).await;
        let no = || ClientError::NoStream {
            url: shown(answer.url()),
            what: "with something that is no JSON".into(),
        };
        serde_json::from_slice(&body).map_err(|_| no())
    }
}

/// The headers in which a key is shown.
pub fn credentials(key: Option<&str>) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ClientError::Key)?;
        let mut plain = HeaderValue::try_from(key).map_err(|_| ClientError::Key)?;
        bearer.set_sensitive(true);
        plain.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert("x-api-key", plain); // Anthropic's own servers know no other
    }
    Ok(headers)
}

/// Asks, and reads the head of the answer; one that is an error is a refusal.
pub(super) async fn ask(request: RequestBuilder) -> Result<Response, ClientError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| ClientError::Usage(error.to_string()))?;
    let url = request.url().clone();
    let mut answer = client.execute(request).await.map_err(|error| ClientError::unreachable(&error, &url))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(String::from);
    let retry_after =
        header(RETRY_AFTER.as_str()).and_then(|value| value.parse().ok()).map(Duration::from_secs);
    let earliest = header("stream-earliest-id");
    let place = header(LOCATION.as_str()).filter(|_| answer.status().is_redirection());
    let (status, url) = (answer.status(), shown(&url));
    let body = read(&mut answer, MAX_REFUSAL).await;
    let message = if serde_json::from_slice::<Value>(&body).is_ok_and(|value| value.is_object()) {
        read_failure(&body).message
    } else {
        let reason = status.canonical_reason().unwrap_or("an error");
        place.map_or_else(|| reason.to_owned(), |place| format!("{reason}, to {place}"))
    };
    Err(ClientError::Refused(Refused { status: status.as_u16(), url, message, retry_after, earliest }))
}

/// The events of an answer, framed as its type says.
pub(super) fn messages(answer: Response) -> Result<Messages, ClientError> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let framing = match kind.as_str() {
        "text/event-stream" => Framing::Sse,
        "application/x-ndjson" | "application/jsonl" => Framing::Ndjson,
        _ => {
            let what = if kind.is_empty() { "without a type".into() } else { format!("with `{kind}`") };
            return Err(ClientError::NoStream { url: shown(answer.url()), what });
        }
    };
    Ok(Messages::new(answer, framing))
}

/// The beginning of a body, as far as it comes.
async fn read(answer: &mut Response, limit: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= limit {
            break;
        }
    }
    body
}
