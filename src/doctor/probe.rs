//! The probe of one hop: asks for timed streams through it in every variant.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST};
use reqwest::{Client, Method, RequestBuilder, Url, redirect, retry};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::client::{ClientError, HttpVersion};
use crate::doctor::Order;
use crate::doctor::endpoint::{Ask, Endpoint, question};
use crate::doctor::judge::Page;
use crate::doctor::receive::{Terms, receive, words};
use crate::doctor::trace::{End, Trace};
use crate::doctor::variant::{Cadence, Variant};
use crate::wire::Dialect;

/// Asks through one hop.
#[derive(Debug)]
pub(super) struct Probe<'o> {
    order: &'o Order,
    pub(super) endpoint: Endpoint,
    http1: Client,
    http2: Option<Client>,
}

/// How much longer than it should take an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for one that breaks off: it is asked for again if nothing comes.
const PATIENCE_AT_CUT: Duration = Duration::from_secs(5);
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// The fewest and the most whole answers that are asked for, and how long those take that are more than the fewest.
const CONTROLS: (usize, usize) = (3, 5);
const CONTROLS_TAKE: Duration = Duration::from_millis(200);
/// No page of anybody's is there.
const NOWHERE: &str = "/.streamgate-doctor";
const LARGEST_PAGE: usize = 64 * 1024;

impl<'o> Probe<'o> {
    pub(super) fn new(order: &'o Order, endpoint: Endpoint) -> Result<Self, ClientError> {
        let secure = endpoint.url.scheme() == "https";
        let http1 = client(order, &endpoint.url, Some(HttpVersion::Http1))?;
        let http2 = secure.then(|| client(order, &endpoint.url, None)).transpose()?;
        Ok(Self { order, endpoint, http1, http2 })
    }

    /// How long a whole answer of one word takes, connecting included: what a first event may take without anybody's fault.
    /// The shortest of some.
    pub(super) async fn control(&self) -> Result<Duration, Trace> {
        let (mut shortest, began) = (None, Instant::now());
        for number in 0..CONTROLS.1 {
            if number >= CONTROLS.0 && began.elapsed() > CONTROLS_TAKE {
                break;
            }
            let cadence = Cadence { events: 1, pace: Duration::from_millis(1), ..self.order.cadence() };
            let model = Variant::Plain.model(&self.order.model, cadence);
            let trace =
                receive(self.post(&self.http1, &model, false), self.terms(PATIENCE, usize::MAX)).await;
            if trace.status() != Some(200) {
                return Err(trace);
            }
            shortest = Some(shortest.map_or(trace.ended, |shortest: Duration| shortest.min(trace.ended)));
        }
        Ok(shortest.unwrap_or_default())
    }

    /// The answer in this variant; nothing where it does not apply.
    pub(super) async fn trace(&self, variant: Variant) -> Option<Trace> {
        // A Responses stream that fails says so in its last event, and ends.
        if variant == Variant::Cut && self.endpoint.ask == Ask::Post(Dialect::OpenAiResponses) {
            return None;
        }
        let cadence = self.order.cadence();
        let model = if self.order.is_stamped() {
            variant.model(&self.order.model, cadence)
        } else {
            self.order.model.clone()
        };
        let patience = if variant == Variant::Cut { PATIENCE_AT_CUT } else { PATIENCE };
        let limit =
            if self.order.is_stamped() { variant.length(cadence) + patience } else { self.order.watch };
        let terms = self.terms(limit, usize::MAX);
        let client = if variant == Variant::Http2 { self.http2.as_ref()? } else { &self.http1 };
        let request = match (variant, self.endpoint.ask) {
            (Variant::Get, Ask::Post(_)) => match self.recorded(&model).await {
                Ok(url) => self.bare(client, Method::GET, url).header(ACCEPT, "text/event-stream"),
                Err(end) => return end.map(|end| Trace::nothing(end, Duration::ZERO)),
            },
            (_, Ask::Post(_)) => self.post(client, &model, true),
            (_, Ask::Get) => {
                self.bare(client, Method::GET, self.endpoint.url.clone()).header(ACCEPT, "text/event-stream")
            }
        };
        let coding = if variant == Variant::Gzip { "gzip" } else { "identity" };
        Some(receive(request.header(ACCEPT_ENCODING, coding), terms).await)
    }

    /// Where an answer can be read that is worked on now. `Err(None)`: nothing here records.
    async fn recorded(&self, model: &str) -> Result<Url, Option<End>> {
        let request = self.post(&self.http1, model, true).header("Prefer", "respond-async");
        let answer = match timeout(PATIENCE, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Some(End::Broken(words(&error)))),
            Err(_) => return Err(Some(End::TimedOut)),
        };
        if answer.status().as_u16() != 202 {
            return Err(None);
        }
        let body = timeout(PATIENCE, answer.bytes()).await.ok().and_then(Result::ok).ok_or(None)?;
        let place: Value = serde_json::from_slice(&body).map_err(|_| None)?;
        let path = place.get("stream_url").and_then(Value::as_str).ok_or(None)?;
        self.endpoint.beside(path).ok_or(None)
    }

    /// What it answers where no gateway has anything: who speaks for itself is known by that.
    pub(super) async fn page(&self) -> Option<Page> {
        let url = self.endpoint.url.join(NOWHERE).ok()?;
        let request = self.bare(&self.http1, Method::GET, url).header(ACCEPT, "text/html");
        let mut answer = timeout(CONNECT, request.send()).await.ok()?.ok()?;
        let (headers, mut body) = (answer.headers().clone(), Vec::new());
        while body.len() < LARGEST_PAGE
            && let Ok(Ok(Some(chunk))) = timeout(CONNECT, answer.chunk()).await
        {
            body.extend_from_slice(&chunk);
        }
        Some(Page { headers, text: String::from_utf8_lossy(&body).into_owned() })
    }

    pub(super) fn cadence(&self) -> Cadence {
        self.order.cadence()
    }

    /// The built-in model with these options.
    pub(super) fn demo(&self, options: &str) -> String {
        format!("{}:{options}", self.order.model)
    }

    pub(super) fn over_http1(&self) -> &Client {
        &self.http1
    }

    pub(super) fn terms(&self, limit: Duration, leave_after: usize) -> Terms {
        Terms { framing: self.endpoint.framing(), limit, leave_after }
    }

    pub(super) fn post(&self, client: &Client, model: &str, stream: bool) -> RequestBuilder {
        let request = self.bare(client, Method::POST, self.endpoint.url.clone());
        let Ask::Post(dialect) = self.endpoint.ask else { return request };
        let body = question(dialect, model, stream).to_string();
        request
            .header("Content-Type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(body)
    }

    /// A request with nothing but who asks.
    pub(super) fn bare(&self, client: &Client, method: Method, url: Url) -> RequestBuilder {
        let has_password = !url.username().is_empty() || url.password().is_some();
        let mut request = client.request(method, url);
        if let Some(host) = &self.order.host {
            request = request.header(HOST, host);
        }
        for (name, value) in &self.order.credentials {
            // A password in the address takes the same header; the key goes in its other one then.
            if !(has_password && name == AUTHORIZATION) {
                request = request.header(name, value);
            }
        }
        request
    }
}

/// A client that hides nothing: every request has a connection of its own, goes where it is told, once, and gets what was sent.
fn client(order: &Order, url: &Url, version: Option<HttpVersion>) -> Result<Client, ClientError> {
    let client = Client::builder()
        .user_agent(concat!("streamgate-doctor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(0)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true);
    let transport = order.transport.clone().version(version);
    transport.apply(client, url.scheme() == "https").build().map_err(ClientError::Certificates)
}
