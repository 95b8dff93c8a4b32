//! A backend that answers by itself, in a manner that a test may change: for tests of many requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;

use super::call::Call;
use super::frames::openai;
use super::upstream::Upstream;

/// What it does with every request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// A short stream, or a whole answer.
    Well,
    /// The same, after so long.
    After(Duration),
    Status(u16),
    /// This status, and the seconds for which it wants to be left alone.
    RetryAfter(u16, u32),
    /// llama.cpp that loads its model.
    Loading,
    /// Every second request fails with a 500.
    Half,
}

pub(crate) struct Server {
    url: String,
    manner: Arc<Mutex<Manner>>,
    seen: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::of(Upstream::start().await, manner)
    }

    /// Answers what comes to this model server.
    pub(crate) fn of(upstream: Upstream, manner: Manner) -> Self {
        let url = upstream.url();
        let (manner, seen) = (Arc::new(Mutex::new(manner)), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(upstream, Arc::clone(&manner), Arc::clone(&seen)));
        Self { url, manner, seen, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on it answers so.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// How many requests came so far, probes not counted.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

async fn serve(mut upstream: Upstream, manner: Arc<Mutex<Manner>>, seen: Arc<AtomicUsize>) {
    let mut answers = JoinSet::new();
    while let Some(call) = upstream.any_call().await {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        let manner = *manner.lock();
        answers.spawn(answer(call, manner, number));
        while answers.try_join_next().is_some() {}
    }
}

async fn answer(call: Call, manner: Manner, number: usize) {
    match manner {
        Manner::After(time) => {
            tokio::time::sleep(time).await;
            well(call).await;
        }
        Manner::Status(status) => call.answer(status, &openai::error("not me")).await,
        Manner::Loading => {
            let error = json!({"code": 503, "message": "Loading model", "type": "unavailable_error"});
            call.answer(503, &json!({"error": error})).await;
        }
        Manner::RetryAfter(status, seconds) => {
            let words = openai::error("not now").to_string();
            call.answer_with(status, &[("retry-after", &seconds.to_string())], &words).await;
        }
        Manner::Half if number.is_multiple_of(2) => call.answer(500, &openai::error("not me")).await,
        Manner::Well | Manner::Half => well(call).await,
    }
}

async fn well(mut call: Call) {
    let asked = call.json();
    if call.path.ends_with("/embeddings") {
        return call.answer(200, &json!({"object": "list", "data": []})).await;
    }
    if asked["stream"] == true {
        call.say(&["Douro"]).await;
        return call.end().await;
    }
    call.answer(200, &openai::whole("Douro")).await;
}
