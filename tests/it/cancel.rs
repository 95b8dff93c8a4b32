//! A client that goes away drops the backend's connection: at every POST route, in every phase.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::pairs::{crossed, request};
use crate::support::{
    Call, Gateway, Pairs, Setup, Upstream, begun, chat, counts, deaf_address, gateway_over, ollama, openai,
    prompt, until,
};

/// How far the call has come when the client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The backend has accepted, and answers nothing.
    Connect,
    /// The backend has sent its head, no content; the client has no byte yet.
    Prefill,
    /// The same, but the client has its head and a comment.
    Committed,
    /// Content has come.
    Streaming,
    /// `stream: false`, half of the answer is there.
    Whole,
}

async fn leave(door: &str, phase: Phase) {
    let api = match door {
        "/v1/responses" => "responses",
        _ if door.starts_with("/v1/messages") => "anthropic",
        _ if door.starts_with("/api/") => "ollama",
        _ => "openai",
    };
    leave_over(api, door, phase).await;
}

async fn leave_over(api: &str, door: &str, phase: Phase) {
    let commit = if phase == Phase::Committed { "commit_after = \"50ms\"" } else { "commit_after = \"60s\"" };
    let (gateway, mut upstream) = gateway_over(api, &[commit]).await;
    let asked = gateway.ask_post(door, &request(door, "m", phase != Phase::Whole)).await;
    let mut call = upstream.call().await;
    match phase {
        Phase::Connect => {}
        Phase::Prefill | Phase::Committed => call.say(&[]).await,
        Phase::Streaming => call.say(&["Rhine"]).await,
        Phase::Whole => {
            call.head(200, "application/json").await;
            call.chunk("{\"id\":").await;
        }
    }
    match phase {
        Phase::Connect | Phase::Prefill | Phase::Whole => drop(asked),
        Phase::Committed => drop(asked.answer().await),
        Phase::Streaming => {
            let mut answer = asked.answer().await;
            answer.next_event().await;
        }
    }
    let left = Instant::now();
    assert_dropped(&format!("{door} over {api}, {phase:?}"), left, call).await;
    until("no stream to be live", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
}

/// The promise is 100 ms. A busy machine gets a second, and the figure is printed.
async fn assert_dropped(what: &str, left: Instant, mut call: Call) {
    let took = call.closed().await.duration_since(left);
    println!("{what}: the backend was dropped {:.1} ms after the client left", took.as_secs_f64() * 1e3);
    assert!(took.as_secs_f64() < 1.0, "{took:?}");
}

macro_rules! promises {
    ($($name:ident: $door:literal $phase:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            leave($door, Phase::$phase).await;
        }
    )*};
}

promises! {
    a_client_that_leaves_a_chat_during_connect_drops_the_backend: "/v1/chat/completions" Connect,
    a_client_that_leaves_a_chat_during_prefill_drops_the_backend: "/v1/chat/completions" Prefill,
    a_client_that_leaves_a_committed_chat_drops_the_backend: "/v1/chat/completions" Committed,
    a_client_that_leaves_a_streaming_chat_drops_the_backend: "/v1/chat/completions" Streaming,
    a_client_that_leaves_a_whole_chat_drops_the_backend: "/v1/chat/completions" Whole,
    a_client_that_leaves_a_completion_during_connect_drops_the_backend: "/v1/completions" Connect,
    a_client_that_leaves_a_completion_during_prefill_drops_the_backend: "/v1/completions" Prefill,
    a_client_that_leaves_a_committed_completion_drops_the_backend: "/v1/completions" Committed,
    a_client_that_leaves_a_streaming_completion_drops_the_backend: "/v1/completions" Streaming,
    a_client_that_leaves_a_whole_completion_drops_the_backend: "/v1/completions" Whole,
    a_client_that_leaves_a_response_during_connect_drops_the_backend: "/v1/responses" Connect,
    a_client_that_leaves_a_response_during_prefill_drops_the_backend: "/v1/responses" Prefill,
    a_client_that_leaves_a_committed_response_drops_the_backend: "/v1/responses" Committed,
    a_client_that_leaves_a_streaming_response_drops_the_backend: "/v1/responses" Streaming,
    a_client_that_leaves_a_whole_response_drops_the_backend: "/v1/responses" Whole,
    a_client_that_leaves_a_message_during_connect_drops_the_backend: "/v1/messages" Connect,
    a_client_that_leaves_a_message_during_prefill_drops_the_backend: "/v1/messages" Prefill,
    a_client_that_leaves_a_committed_message_drops_the_backend: "/v1/messages" Committed,
    a_client_that_leaves_a_streaming_message_drops_the_backend: "/v1/messages" Streaming,
    a_client_that_leaves_a_whole_message_drops_the_backend: "/v1/messages" Whole,
    a_client_that_leaves_a_count_of_tokens_during_connect_drops_the_backend: "/v1/messages/count_tokens" Connect,
    a_client_that_leaves_a_count_of_tokens_halfway_drops_the_backend: "/v1/messages/count_tokens" Whole,
    a_client_that_leaves_an_embedding_during_connect_drops_the_backend: "/v1/embeddings" Connect,
    a_client_that_leaves_an_embedding_halfway_drops_the_backend: "/v1/embeddings" Whole,
    a_client_that_leaves_an_ollama_chat_during_connect_drops_the_backend: "/api/chat" Connect,
    a_client_that_leaves_an_ollama_chat_during_prefill_drops_the_backend: "/api/chat" Prefill,
    a_client_that_leaves_a_committed_ollama_chat_drops_the_backend: "/api/chat" Committed,
    a_client_that_leaves_a_streaming_ollama_chat_drops_the_backend: "/api/chat" Streaming,
    a_client_that_leaves_a_whole_ollama_chat_drops_the_backend: "/api/chat" Whole,
    a_client_that_leaves_a_generate_during_connect_drops_the_backend: "/api/generate" Connect,
    a_client_that_leaves_a_generate_during_prefill_drops_the_backend: "/api/generate" Prefill,
    a_client_that_leaves_a_committed_generate_drops_the_backend: "/api/generate" Committed,
    a_client_that_leaves_a_streaming_generate_drops_the_backend: "/api/generate" Streaming,
    a_client_that_leaves_a_whole_generate_drops_the_backend: "/api/generate" Whole,
    a_client_that_leaves_an_ollama_embedding_during_connect_drops_the_backend: "/api/embed" Connect,
    a_client_that_leaves_an_ollama_embedding_halfway_drops_the_backend: "/api/embed" Whole,
}

/// In this phase, every client over every backend of another dialect.
async fn leave_translated(phase: Phase) {
    let commit = if phase == Phase::Committed { "commit_after = \"50ms\"" } else { "commit_after = \"60s\"" };
    let mut pairs = Pairs::start(&[commit]).await;
    for (api, door) in crossed() {
        let (asked, mut call) = pairs.ask(door, &request(door, api, phase != Phase::Whole)).await;
        match phase {
            Phase::Connect => {}
            Phase::Prefill | Phase::Committed => call.say(&[]).await,
            Phase::Streaming | Phase::Whole => call.say(&["Rhine"]).await,
        }
        match phase {
            Phase::Connect | Phase::Prefill | Phase::Whole => drop(asked),
            Phase::Committed | Phase::Streaming => drop(asked.answer().await),
        }
        assert_dropped(&format!("{door} over {api}, {phase:?}"), Instant::now(), call).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_translated_stream_during_connect_drops_the_backend() {
    leave_translated(Phase::Connect).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_translated_stream_during_prefill_drops_the_backend() {
    leave_translated(Phase::Prefill).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_committed_translated_stream_drops_the_backend() {
    leave_translated(Phase::Committed).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_translated_stream_drops_the_backend() {
    leave_translated(Phase::Streaming).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_translated_whole_answer_drops_the_backend() {
    leave_translated(Phase::Whole).await;
}

#[tokio::test]
async fn a_client_that_resets_drops_the_backend() {
    let (_gateway, _upstream, answer, call) = begun("openai", &[]).await;
    answer.reset();
    assert_dropped("a reset", Instant::now(), call).await;
}

#[tokio::test]
async fn a_client_that_resets_during_connect_drops_the_backend() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let call = upstream.call().await;
    asked.reset();
    assert_dropped("a reset during connect", Instant::now(), call).await;
}

/// A client that has sent more than its request, as some do, is seen to leave all the same.
async fn leave_behind(phase: Phase, extra: &[u8]) {
    let (gateway, mut upstream) = gateway_over("openai", &["commit_after = \"60s\""]).await;
    let mut asked = gateway.ask_post("/v1/chat/completions", &prompt("m", phase != Phase::Whole)).await;
    asked.send(extra).await;
    let mut call = upstream.call().await;
    if phase == Phase::Prefill {
        call.say(&[]).await;
    }
    call.stays(Duration::from_millis(100)).await;
    drop(asked);
    assert_dropped(&format!("{phase:?} behind {extra:?}"), Instant::now(), call).await;
}

const LINE_END: &[u8] = b"\r\n";
const PIPELINED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: loc";

#[tokio::test]
async fn a_client_that_sent_a_line_end_too_many_is_seen_to_leave_a_stream() {
    leave_behind(Phase::Connect, LINE_END).await;
    leave_behind(Phase::Prefill, LINE_END).await;
}

#[tokio::test]
async fn a_client_that_sent_a_line_end_too_many_is_seen_to_leave_a_whole_answer() {
    leave_behind(Phase::Whole, LINE_END).await;
}

#[tokio::test]
async fn a_client_that_began_its_next_request_is_seen_to_leave_a_stream() {
    leave_behind(Phase::Connect, PIPELINED).await;
    leave_behind(Phase::Prefill, PIPELINED).await;
}

#[tokio::test]
async fn a_client_that_began_its_next_request_is_seen_to_leave_a_whole_answer() {
    leave_behind(Phase::Whole, PIPELINED).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_gone() {
    let (gateway, _upstream, answer, mut call) = begun("openai", &[]).await;
    gateway.metric_reaches("streamgate_streams_live", &[], 1.0).await;
    drop(answer);
    call.closed().await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"client_gone\""], 1.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_the_finish_has_had_its_answer_and_its_usage_is_counted() {
    let (gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::finish("stop")).await;
    while !answer.next_event().await.data.contains("\"stop\"") {}
    drop(answer);
    call.sse(&openai::usage(11, 7)).await;
    call.done().await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
    counts(&gateway, "streamgate_stream_ends_total", &["reason=\"client_gone\""], 0).await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 7.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_during_failover_leaves_no_backend_running() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup =
        Setup::new().backend("first", "openai", &first.url()).backend("second", "openai", &second.url());
    let gateway = setup.start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    first.call().await.answer(503, &openai::error("full")).await;
    let call = second.call().await;
    drop(asked);
    assert_dropped("the second backend", Instant::now(), call).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_a_connect_hangs_ends_the_attempt() {
    let (_kept, url) = deaf_address();
    let gateway =
        Setup::new().stream("connect_timeout = \"60s\"").backend("one", "openai", &url).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    gateway.metric_reaches("streamgate_streams_live", &[], 1.0).await;
    drop(asked);
    until("no stream to be live", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
}

/// A stream whose client has left, with this choice of what happens then.
async fn abandoned(choice: &str) -> (Gateway, Upstream, Call) {
    let (gateway, upstream, answer, call) = begun("openai", &[choice]).await;
    drop(answer);
    (gateway, upstream, call)
}

#[tokio::test]
async fn with_drain_the_backend_is_read_on_for_its_usage() {
    let (gateway, _upstream, mut call) = abandoned("on_disconnect = \"drain:10s\"").await;
    for _ in 0..20 {
        call.sse(&openai::text("on")).await;
    }
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(31, 21)).await;
    call.done().await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 31.0).await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 21.0).await;
}

#[tokio::test]
async fn with_drain_the_backend_is_dropped_when_the_time_is_over() {
    let (_gateway, _upstream, mut call) = abandoned("on_disconnect = \"drain:300ms\"").await;
    call.closed().await;
}

#[tokio::test]
async fn with_drain_a_translated_stream_is_read_on_for_its_usage() {
    let (gateway, mut upstream) = gateway_over("ollama", &["on_disconnect = \"drain:5s\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    answer.next_event().await;
    drop(answer);
    // The backend takes its time, and is not dropped.
    call.stays(Duration::from_millis(300)).await;
    call.line(&ollama::text("on")).await;
    call.end().await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 11.0).await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 4.0).await;
}

#[tokio::test]
async fn with_drain_a_client_that_had_read_nothing_for_long_is_drained_too() {
    let (gateway, mut upstream) = gateway_over("openai", &["on_disconnect = \"drain:5s\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    answer.next_event().await;
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(3000)));
    let flood = call.flood(event.as_bytes(), 128 << 20).await;
    drop(answer);
    call.send(&flood.unsent).await;
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(31, 21)).await;
    call.done().await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 21.0).await;
}

#[tokio::test]
async fn with_drain_a_backend_that_goes_on_and_on_is_dropped_when_the_time_is_over() {
    let (_gateway, _upstream, mut call) = abandoned("on_disconnect = \"drain:300ms\"").await;
    until("the gateway to close the backend's connection", async || {
        call.try_send(b"8\r\n: on\n\n\n\n\r\n").await.is_err()
    })
    .await;
}
