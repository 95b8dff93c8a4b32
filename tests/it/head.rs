//! The head of a streamed answer, when it is committed, and that events are passed on one by one.

use serde_json::json;

use crate::support::pairs::{self, MESSAGES, OLLAMA, pairs};
use crate::support::script::{Part, Reason, script};
use crate::support::{Ending, Heard, Item, Pairs, Request, chat, gateway_over, ollama, openai};

/// Long enough that only content can commit.
const LATE: &str = "commit_after = \"30s\"";
/// Short enough to wait for.
const SOON: &str = "commit_after = \"100ms\"";

#[tokio::test]
async fn the_head_of_an_openai_stream_keeps_hops_from_buffering() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Loire")).await;
    let answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-store, no-transform"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.header("incremental"), Some("?1"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn the_head_of_an_ollama_stream_differs_only_in_its_type() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.line(&ollama::text("Loire")).await;
    let answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-store, no-transform"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.header("incremental"), Some("?1"));
}

#[tokio::test]
async fn the_head_of_every_stream_keeps_hops_from_buffering() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = all.ask(door, &pairs::request(door, api, true)).await;
        call.say(&["Loire"]).await;
        let answer = asked.answer().await;
        let what = format!("{door} over {api}");
        let media_type = if door == OLLAMA { "application/x-ndjson" } else { "text/event-stream" };
        for (name, value) in [
            ("content-type", media_type),
            ("cache-control", "no-cache, no-store, no-transform"),
            ("x-accel-buffering", "no"),
            ("incremental", "?1"),
            ("x-content-type-options", "nosniff"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{what}");
        }
        for name in ["content-length", "content-encoding", "connection"] {
            assert_eq!(answer.header(name), None, "{name}, {what}");
        }
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{what}");
        assert_eq!(answer.header("request-id").is_some(), door == MESSAGES, "{what}");
    }
}

#[tokio::test]
async fn the_first_content_of_every_backend_commits_at_once() {
    let parts = [
        Part::Thought(&["A river."]),
        Part::Text(&["Loire"]),
        Part::Call("call_a", "depth", &["{\"of\":1}"]),
    ];
    let mut all = Pairs::start(&[LATE]).await;
    for (api, door, _) in pairs() {
        for part in parts {
            let (asked, mut call) = all.ask(door, &pairs::request(door, api, true)).await;
            call.say(&[]).await;
            for frame in script(api, &[part], Reason::Stop) {
                call.chunk(&frame).await;
                if ["river", "Loire", "of\\\":", "of\":"].iter().any(|word| frame.contains(word)) {
                    break;
                }
            }
            assert_eq!(asked.answer().await.status, 200, "{door} over {api}, {part:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_has_no_length_no_coding_and_no_close() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway
        .ask(&Request::post("/v1/chat/completions", &chat()).header("accept-encoding", "gzip, br"))
        .await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Loire")).await;
    let answer = asked.answer().await;
    for name in ["content-length", "content-encoding", "connection"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn identity_is_asked_of_the_backend_whatever_the_client_accepts() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let _asked = gateway
        .ask(&Request::post("/v1/chat/completions", &chat()).header("accept-encoding", "gzip, br"))
        .await;
    assert_eq!(upstream.call().await.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn a_text_commits_at_once() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    call.sse(&openai::text("Loire")).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.next_event().await.json(), openai::role());
    assert_eq!(answer.next_event().await.json(), openai::text("Loire"));
}

#[tokio::test]
async fn a_thought_commits_at_once() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::thought("A river in France.")).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_tool_call_commits_at_once() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::tool(0, "call_1", "depth", "{\"m\":")).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_role_chunk_does_not_commit() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    call.cut().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 502);
    assert!(answer.json().await["error"]["message"].is_string());
}

#[tokio::test]
async fn a_failure_before_content_has_its_status_and_the_openai_error() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    upstream.call().await.answer(500, &openai::error("out of memory")).await;
    let mut answer = asked.answer().await;
    assert!(answer.status >= 500, "{}", answer.status);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let error = answer.json().await["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("out of memory"), "{error}");
    assert_eq!(error["code"], "upstream_error");
    assert!(error["type"].is_string() && error.get("param").is_some(), "{error}");
}

#[tokio::test]
async fn a_failure_before_content_has_its_status_and_the_ollama_error() {
    let (gateway, mut upstream) = gateway_over("ollama", &[LATE]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    upstream.call().await.answer(500, &json!({"error": "out of memory"})).await;
    let mut answer = asked.answer().await;
    assert!(answer.status >= 500, "{}", answer.status);
    let body = answer.json().await;
    assert!(body["error"].as_str().unwrap().contains("out of memory"), "{body}");
}

#[tokio::test]
async fn an_error_as_the_first_event_is_a_status_not_a_stream() {
    let (gateway, mut upstream) = gateway_over("openai", &[LATE]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::error("out of memory")).await;
    call.finish().await;
    let mut answer = asked.answer().await;
    assert!(answer.status >= 500, "{}", answer.status);
    let body = answer.json().await;
    assert!(body["error"]["message"].as_str().unwrap().contains("out of memory"), "{body}");
}

#[tokio::test]
async fn after_commit_after_the_head_and_one_comment_are_one_write() {
    let (gateway, mut upstream) = gateway_over("openai", &[SOON]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let _silent = upstream.call().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    assert!(!answer.early.is_empty(), "the comment came in a later write than the head");
    let Item::Quiet(comment) = answer.next_item().await else { panic!("a comment first") };
    assert!(comment.starts_with(b":"), "{comment:?}");
}

#[tokio::test]
async fn after_commit_after_the_head_of_ndjson_comes_with_one_space() {
    let (gateway, mut upstream) = gateway_over("ollama", &[SOON]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    assert!(matches!(answer.next_item().await, Item::Quiet(raw) if &raw[..] == b" "));
    call.lines().await;
    call.line(&ollama::text("Loire")).await;
    assert!(matches!(answer.next_item().await, Item::Event(event) if event.json() == ollama::text("Loire")));
}

#[tokio::test]
async fn a_failure_after_the_commit_is_told_in_the_stream() {
    let (gateway, mut upstream) = gateway_over("openai", &[SOON]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let call = upstream.call().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    call.answer(500, &openai::error("out of memory")).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert!(heard.error.unwrap()["message"].as_str().unwrap().contains("out of memory"));
}

#[tokio::test]
async fn an_event_that_arrived_is_passed_on_before_the_next_one_comes() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("0")).await;
    let mut answer = asked.answer().await;
    for n in 1..50 {
        assert_eq!(answer.next_event().await.json(), openai::text(&(n - 1).to_string()));
        call.sse(&openai::text(&n.to_string())).await;
    }
}

#[tokio::test]
async fn half_an_event_is_never_passed_on() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    let event = format!("data: {}\n\n", openai::text("Loire"));
    let (first, second) = event.split_at(event.len() / 2);
    call.chunk([&event, first].concat()).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.next_event().await.raw, event.as_bytes());
    call.chunk(second).await;
    assert_eq!(answer.next_event().await.raw, event.as_bytes());
    assert_eq!(answer.pieces, [event.clone(), event]);
}

#[tokio::test]
async fn events_that_arrived_together_go_out_together() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let request = Request::post("/v1/chat/completions", &chat()).header("x-conversation-id", "c");
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("first")).await;
    let mut answer = asked.answer().await;
    answer.next_event().await;
    // Each in a chunk of its own, as model servers write them, but all in one write.
    let events = (0..200).map(|n| format!("data: {}\n\n", openai::text(&n.to_string())));
    let chunks = events.map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
    call.send(chunks.collect::<String>().as_bytes()).await;
    call.end().await;
    let (events, ending) = answer.events().await;
    assert_eq!((events.len(), ending), (202, Ending::Clean));
    assert!(answer.pieces.len() < 100, "{} chunks", answer.pieces.len());
    // And so does what is read again.
    let mut again = gateway.send(&Request::get("/v1/conversations/c/stream")).await;
    let (events, ending) = again.events().await;
    assert_eq!((events.len(), ending), (203, Ending::Clean));
    assert!(again.pieces.len() < 10, "{} chunks", again.pieces.len());
}

#[tokio::test]
async fn an_http_1_0_client_gets_its_stream_to_the_end() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask(&Request::post("/v1/chat/completions", &chat()).http_1_0()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Loire")).await;
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
    let (events, ending) = answer.events().await;
    assert_eq!(ending, Ending::Closed);
    assert_eq!(events.last().unwrap().data, "[DONE]");
}

/// A FIN is how a whole answer ends there, too (RFC 9112 section 6.3).
#[tokio::test]
async fn an_http_1_0_client_is_told_of_a_broken_stream_by_a_reset_behind_the_error() {
    for door in ["/v1/chat/completions", "/v1/messages", "/api/chat"] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask(&Request::post(door, &pairs::request(door, "m", true)).http_1_0()).await;
        let mut call = upstream.call().await;
        call.stream().await;
        call.sse(&openai::text("Loire")).await;
        call.cut().await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.header("transfer-encoding"), None);
        let (events, ending) = answer.events().await;
        assert_eq!(ending, Ending::Aborted, "{door}");
        assert!(events.last().unwrap().data.contains("error"), "{door}: {events:?}");
    }
}
