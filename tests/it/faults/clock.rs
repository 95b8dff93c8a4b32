//! The clock of the machine is set: what is measured in time runs on.

use std::time::UNIX_EPOCH;

use serde_json::json;
use tempfile::NamedTempFile;

use crate::support::{Answer, Gateway, Heard, Item, Request, Setup, Upstream, chat, openai};

const CHAT: &str = "/v1/chat/completions";
const ALICE: &str = "sk-it-faults-clock";

/// What libfaketime makes of the clock of one process. The monotonic one is left alone, as the kernel leaves it.
struct Clock(NamedTempFile);

impl Clock {
    const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";

    fn new() -> Self {
        let clock = Self(NamedTempFile::new().unwrap());
        clock.set("+0");
        clock
    }

    fn set(&self, jump: &str) {
        std::fs::write(self.0.path(), jump).unwrap();
    }

    fn of(&self, setup: Setup) -> Setup {
        setup
            .environment("LD_PRELOAD", Self::LIBRARY)
            .environment("FAKETIME_TIMESTAMP_FILE", self.0.path().to_str().unwrap())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

fn wish(conversation: &str) -> Request {
    let authorization = format!("Bearer {ALICE}");
    Request::post(CHAT, &chat())
        .header("x-conversation-id", conversation)
        .header("authorization", &authorization)
}

/// An address for the stream of this id: what is read by it is not counted.
async fn address(gateway: &Gateway, id: &str) -> String {
    let request = Request::post(&format!("/v1/streams/{id}/token"), &json!({}));
    let mut told = gateway.send(&request.header("authorization", &format!("Bearer {ALICE}"))).await;
    told.json().await["stream_url"].as_str().unwrap().to_owned()
}

async fn look(gateway: &Gateway, address: &str) -> Answer {
    gateway.send(&Request::get(address).header("accept", "application/json")).await
}

/// How many seconds since 1970 the gateway believes it is, by its log: hyper's `Date` waits until a clock that was set back is where
/// it was.
async fn now(gateway: &Gateway) -> i64 {
    let mut answer = gateway.send(&wish("refused")).await;
    assert_eq!(answer.status, 429, "the limit of requests is another clock's");
    let id = answer.header("x-request-id").unwrap().to_owned();
    answer.rest().await;
    let line = gateway.access_line(&id).await;
    let time = humantime::parse_rfc3339(line.split_whitespace().next().unwrap()).unwrap();
    time.duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

#[tokio::test]
async fn a_clock_that_is_set_by_hours_ends_no_stream_forgets_no_answer_and_grants_nothing() {
    let clock = Clock::new();
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().lines(&["idle_timeout = \"5s\"", "keep_alive = \"300ms\""]);
    let setup = setup
        .key("alice", ALICE, "requests_per_minute = 3")
        .journal("url_lifetime = \"5h\"")
        .backend("one", "openai", &upstream.url());
    let gateway = clock.of(setup).start().await;
    let asked = gateway.ask(&wish("finished")).await;
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    call.end().await;
    let mut finished = asked.answer().await;
    let id = finished.header("stream-id").unwrap().to_owned();
    assert!(Heard::of(&mut finished).await.succeeded());
    let address = address(&gateway, &id).await;
    let asked = gateway.ask(&wish("running")).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut running = asked.answer().await;
    while !running.next_event().await.data.contains("Rhine") {}
    let began = now(&gateway).await;
    for (jump, hours) in [("+2h", 2), ("-2h", -2), ("+0", 0)] {
        clock.set(jump);
        let moved = now(&gateway).await - began - hours * 3600;
        assert!((0..600).contains(&moved), "the clock did not jump: {moved} s from where it should be");
        // Two keep-alives on time: no timer has gone off, and none waits for two hours.
        for _ in 0..2 {
            assert!(matches!(running.next_item().await, Item::Quiet(_)), "{jump}");
        }
        call.sse(&openai::text(jump)).await;
        while !running.next_event().await.data.contains(jump) {}
        assert_eq!(
            look(&gateway, &address).await.status,
            200,
            "{jump}: an answer is kept for as long as ever"
        );
    }
    call.end().await;
    assert!(Heard::of(&mut running).await.succeeded());
}
