//! What the tests stand on: the built gateway, a scripted model server, and a client that sees the raw bytes.
//!
//! Nothing here waits without an upper guard: [`within`] fails with words about what was awaited.

mod answer;
pub(crate) mod anthropic;
mod bench;
mod blocks;
mod call;
mod client;
mod frames;
mod gateway;
mod heard;
pub(crate) mod hops;
mod items;
mod lawful;
mod link;
mod namespace;
pub(crate) mod pairs;
mod pieces;
pub(crate) mod port;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod request;
pub(crate) mod responses;
pub(crate) mod script;
mod server;
mod setup;
mod talk;
mod upstream;

pub(crate) use answer::Answer;
pub(crate) use bench::{Api, Bench, Sent, addressed, question};
pub(crate) use call::Call;
pub(crate) use client::Client;
pub(crate) use frames::{chat, generate, ollama, openai, prompt};
pub(crate) use gateway::{Gateway, Run, run, run_with};
pub(crate) use heard::{Heard, data_of};
pub(crate) use link::{Break, Fault, Link};
pub(crate) use namespace::Namespace;
pub(crate) use pairs::Pairs;
pub(crate) use pieces::{Ending, Event, Item};
pub(crate) use request::Request;
pub(crate) use server::{Manner, Server};
pub(crate) use setup::Setup;
pub(crate) use talk::{Turn, talk, told};
pub(crate) use upstream::{Upstream, deaf_address, refusing_address};

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use self::pairs::request;

/// Upper guard of every wait: far above anything that is right, so that it only ends tests that would hang.
pub(crate) const GUARD: Duration = Duration::from_secs(10);

/// The result of `work`, or a failure that says what was awaited and where.
#[track_caller]
pub(crate) fn within<F: Future>(what: &str, work: F) -> impl Future<Output = F::Output> {
    let at = Location::caller();
    async move {
        let result = tokio::time::timeout(GUARD, work).await;
        result.unwrap_or_else(|_| panic!("waited {GUARD:?} for {what} ({at})"))
    }
}

/// Waits until `question` answers yes; asks again every few milliseconds, for what nothing announces.
#[track_caller]
pub(crate) fn until<F: AsyncFnMut() -> bool>(what: &str, mut question: F) -> impl Future<Output = ()> {
    within(what, async move {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// The samples of this metric with these labels make this sum.
#[track_caller]
pub(crate) fn counts(gateway: &Gateway, name: &str, labels: &[&str], sum: u32) -> impl Future<Output = ()> {
    let at = Location::caller();
    async move {
        let found = gateway.metric(name, labels).await;
        assert!((found - f64::from(sum)).abs() < 0.5, "{name}{labels:?} is {found}, not {sum} ({at})");
    }
}

/// A gateway before one scripted backend called `one`, with these lines in its `[stream]` table.
pub(crate) async fn gateway_over(api: &str, stream: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let gateway = Setup::new().lines(stream).backend("one", api, &upstream.url()).start().await;
    (gateway, upstream)
}

/// The door whose dialect a backend of this API speaks.
pub(crate) fn door_of(api: &str) -> &'static str {
    let own = pairs::DOORS.into_iter().find(|(_, own)| *own == api);
    own.unwrap_or_else(|| panic!("an API called {api}")).0
}

/// A streamed chat in this dialect, on both sides, with the text `Rhine` through.
pub(crate) async fn begun(api: &str, stream: &[&str]) -> (Gateway, Upstream, Answer, Call) {
    let (gateway, mut upstream) = gateway_over(api, stream).await;
    let (answer, call) = begin(&gateway, &mut upstream, api).await;
    (gateway, upstream, answer, call)
}

/// One more such stream through a gateway that runs.
pub(crate) async fn begin(gateway: &Gateway, upstream: &mut Upstream, api: &str) -> (Answer, Call) {
    let request = if matches!(api, "openai" | "ollama") { chat() } else { request(door_of(api), "m", true) };
    let asked = gateway.ask_post(door_of(api), &request).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    while !answer.next_event().await.data.contains("Rhine") {}
    (answer, call)
}
