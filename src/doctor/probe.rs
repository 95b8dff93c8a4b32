//! The probe of one hop: asks for timed streams through it in every variant.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST};
use reqwest::{Client, Method, RequestBuilder, Url, redirect, retry};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{ClientError, HttpVersion};
use crate::doctor::Order;
use crate::doctor::endpoint::{Ask, Endpoint, question};
use crate::doctor::receive::{Terms, receive, words};
use crate::doctor::trace::{End, Trace};
use crate::doctor::variant::{Cadence, Variant};

/// Asks through one hop.
#[derive(Debug)]
pub(super) struct Probe<'o> {
    order: &'o Order,
    pub(super) endpoint: Endpoint,
    http1: Client,
    http2: Option<Client>,
}

/// What became of the work of a client that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The gateway knew so long after.
    Noticed(Duration),
    /// The gateway did not know for so long.
    Unnoticed(Duration),
    /// It cannot be known, and why.
    Unknown(String),
}

/// How much longer than it should take an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// The fewest and the most whole answers that are asked for, and how long those take that are more than the fewest.
const CONTROLS: (usize, usize) = (3, 5);
const CONTROLS_TAKE: Duration = Duration::from_millis(200);
/// How long the gateway is watched for having noticed that a client left.
const NOTICE: Duration = Duration::from_secs(2);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(25);

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
        let cadence = self.order.cadence();
        let model = if self.order.is_stamped() {
            variant.model(&self.order.model, cadence)
        } else {
            self.order.model.clone()
        };
        let limit =
            if self.order.is_stamped() { variant.length(cadence) + PATIENCE } else { self.order.watch };
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

    /// Leaves an answer in the middle and watches, through `gateway`, what becomes of it: while events come, or in a silence.
    /// That it is not noticed while they come is a fault, so that is tried again.
    pub(super) async fn leave(&self, gateway: &Self, in_silence: bool) -> Leaving {
        let leaving = self.leave_once(gateway, in_silence).await;
        if in_silence || !matches!(leaving, Leaving::Unnoticed(_)) {
            return leaving;
        }
        match self.leave_once(gateway, in_silence).await {
            Leaving::Unknown(_) => leaving,
            known @ (Leaving::Noticed(_) | Leaving::Unnoticed(_)) => known,
        }
    }

    async fn leave_once(&self, gateway: &Self, in_silence: bool) -> Leaving {
        let pace = self.order.cadence().pace.as_millis();
        let more = if in_silence { "words=4,after=2,pause=60s" } else { "words=600" };
        let model = format!("{}:stamps,pace={pace}ms,{more}", self.order.model);
        let number = getrandom::u64().unwrap_or_default();
        let request =
            self.post(&self.http1, &model, true).header("Idempotency-Key", format!("doctor-{number:x}"));
        let limit = Variant::Plain.length(self.order.cadence()) + CONNECT / 10;
        let trace = receive(request, self.terms(limit, 2)).await;
        if trace.end != End::Left {
            return Leaving::Unknown("no event came before it was time to leave".to_owned());
        }
        let Some(id) = trace.header("stream-id") else {
            return Leaving::Unknown("the answer has no `Stream-Id` to ask for".to_owned());
        };
        let left = Instant::now();
        loop {
            // Who was not run for all that time asks once more.
            let is_last = left.elapsed() >= NOTICE;
            match gateway.state(id).await {
                Some(state) if state != "running" => return Leaving::Noticed(left.elapsed()),
                Some(_) if is_last => return Leaving::Unnoticed(left.elapsed()),
                Some(_) => sleep(ASK_AGAIN).await,
                None => {
                    return Leaving::Unknown("the gateway does not tell how the stream stands".to_owned());
                }
            }
        }
    }

    /// How a recorded stream stands.
    async fn state(&self, id: &str) -> Option<String> {
        let url = self.endpoint.beside(&format!("/v1/streams/{id}"))?;
        let request = self.bare(&self.http1, Method::GET, url).header(ACCEPT, "application/json");
        let answer = timeout(NOTICE, request.send()).await.ok()?.ok()?;
        let body = timeout(NOTICE, answer.bytes()).await.ok()?.ok()?;
        let state: Value = serde_json::from_slice(&body).ok()?;
        Some(state.get("state")?.as_str()?.to_owned())
    }

    fn terms(&self, limit: Duration, leave_after: usize) -> Terms {
        Terms { framing: self.endpoint.framing(), limit, leave_after }
    }

    fn post(&self, client: &Client, model: &str, stream: bool) -> RequestBuilder {
        let request = self.bare(client, Method::POST, self.endpoint.url.clone());
        let Ask::Post(dialect) = self.endpoint.ask else { return request };
        let body = question(dialect, model, stream).to_string();
        request
            .header("Content-Type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(body)
    }

    /// A request with nothing but who asks.
    fn bare(&self, client: &Client, method: Method, url: Url) -> RequestBuilder {
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
