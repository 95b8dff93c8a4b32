//! A client that leaves: whether the gateway is told, while events come, in a silence, and before anything came.

use std::pin::pin;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::doctor::probe::{CONNECT, Probe};
use crate::doctor::receive::receive;
use crate::doctor::trace::{End, Trace};
use crate::doctor::variant::Variant;

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

/// When a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// While events come.
    Busy,
    /// In a silence behind the first events.
    Silence,
    /// Before the head: a model reads its prompt.
    Prefill,
}

/// How long the gateway is watched for having noticed that a client left.
const NOTICE: Duration = Duration::from_secs(2);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(25);
/// A request that the gateway has is also on its way back through every hop.
const SETTLED: Duration = Duration::from_millis(100);

impl Probe<'_> {
    /// Leaves an answer and watches, through `gateway`, what becomes of it. That it is not noticed while events come is a fault, so
    /// that is tried again.
    pub(super) async fn leave(&self, gateway: &Self, moment: Moment) -> Leaving {
        let (leaving, in_the_middle) = self.leave_once(gateway, moment).await;
        if !in_the_middle || !matches!(leaving, Leaving::Unnoticed(_)) {
            return leaving;
        }
        match self.leave_once(gateway, moment).await.0 {
            Leaving::Unknown(_) => leaving,
            known @ (Leaving::Noticed(_) | Leaving::Unnoticed(_)) => known,
        }
    }

    /// What became of it, and whether events came when the client left.
    async fn leave_once(&self, gateway: &Self, moment: Moment) -> (Leaving, bool) {
        let number = getrandom::u64().unwrap_or_default();
        let model = self.model_to_leave(moment, number);
        let request = self
            .post(self.over_http1(), &model, true)
            .header("Idempotency-Key", format!("doctor-{number:x}"));
        let left = match moment {
            Moment::Busy | Moment::Silence => self.leave_events(request).await,
            Moment::Prefill => self.leave_before_head(gateway, &model, request).await,
        };
        let (trace, left) = match left {
            Ok(left) => left,
            Err(why) => return (Leaving::Unknown(why.to_owned()), false),
        };
        let in_the_middle =
            moment == Moment::Busy && trace.as_ref().is_some_and(|trace| trace.end == End::Left);
        // Who buffers kept the head as well, and some hand no header of the gateway on.
        let said = trace.as_ref().and_then(|trace| trace.header("stream-id")).map(str::to_owned);
        let id = match said {
            Some(id) => Some(id),
            None => gateway.find(&model).await,
        };
        let Some(id) = id else {
            let why = "the gateway does not tell which stream it was";
            return (Leaving::Unknown(why.to_owned()), in_the_middle);
        };
        // The gateway's head finds some that left before it.
        let notice = if moment == Moment::Prefill { NOTICE + self.cadence().early } else { NOTICE };
        (gateway.watch(&id, left, notice).await, in_the_middle)
    }

    /// A model of this name is asked for once: by it the stream is found.
    fn model_to_leave(&self, moment: Moment, number: u64) -> String {
        let pace = self.cadence().pace.as_millis();
        // Without a fault and a pause, `after` does nothing.
        let more = match moment {
            Moment::Busy => format!("words=600,after={}", number >> 1),
            Moment::Silence => format!("words=4,after=2,pause={}ms", 60_000 + number % 60_000),
            Moment::Prefill => format!("words=4,silence=60s,after={}", number >> 1),
        };
        self.demo(&format!("stamps,pace={pace}ms,{more}"))
    }

    /// Leaves behind the first events, or when they should have come. What came, and when that was.
    async fn leave_events(&self, request: RequestBuilder) -> Result<(Option<Trace>, Instant), &'static str> {
        let limit = Variant::Plain.length(self.cadence()) + CONNECT / 10;
        let trace = receive(request, self.terms(limit, 2)).await;
        match trace.end {
            End::Left | End::TimedOut => Ok((Some(trace), Instant::now())),
            End::Whole | End::Broken(_) | End::Unreachable(_) => Err("it ended before it was time to leave"),
        }
    }

    /// Leaves as soon as the gateway works on it.
    async fn leave_before_head(
        &self,
        gateway: &Self,
        model: &str,
        request: RequestBuilder,
    ) -> Result<(Option<Trace>, Instant), &'static str> {
        let begun = async {
            let found = timeout(CONNECT, async {
                while gateway.find(model).await.is_none() {
                    sleep(ASK_AGAIN).await;
                }
            });
            let found = found.await.is_ok();
            sleep(SETTLED).await;
            found
        };
        let asked = pin!(receive(request, self.terms(CONNECT * 2, usize::MAX)));
        tokio::select! {
            biased;
            _ = asked => Err("it ended before it was time to leave"),
            begun = begun => {
                begun.then(|| (None, Instant::now())).ok_or("the gateway does not tell which streams there are")
            }
        }
    }

    /// Watches what becomes of a stream whose client left then.
    async fn watch(&self, id: &str, left: Instant, notice: Duration) -> Leaving {
        loop {
            // Who was not run for all that time asks once more.
            let is_last = left.elapsed() >= notice;
            match self.state(id).await {
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
        let state = self.look(&format!("/v1/streams/{id}")).await?;
        Some(state.get("state")?.as_str()?.to_owned())
    }

    /// The id of the newest stream of this model.
    async fn find(&self, model: &str) -> Option<String> {
        let list = self.look("/v1/streams?limit=100").await?;
        let has = |stream: &&Value| stream.get("model").and_then(Value::as_str) == Some(model);
        let stream = list.get("data")?.as_array()?.iter().find(has)?;
        Some(stream.get("id")?.as_str()?.to_owned())
    }

    async fn look(&self, path: &str) -> Option<Value> {
        let url = self.endpoint.beside(path)?;
        let request = self.bare(self.over_http1(), Method::GET, url).header(ACCEPT, "application/json");
        let answer = timeout(NOTICE, request.send()).await.ok()?.ok()?;
        let body = timeout(NOTICE, answer.bytes()).await.ok()?.ok()?;
        serde_json::from_slice(&body).ok()
    }
}
