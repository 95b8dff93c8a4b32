//! Habits of client libraries: what they send that asks for nothing new, and what must not have them knock for ever.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, request};
use crate::support::{Event, Gateway, Heard, Request, Setup, chat, gateway_over, openai, within};

fn handshake(path: &str) -> Request {
    Request::get(path)
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn a_handshake_where_no_websocket_begins_is_a_426() {
    let gateway = Setup::new().demo().key("one", "sk-one", "").start().await;
    for path in [RESPONSES, CHAT, MESSAGES, OLLAMA, "/v1/models", "/v1/streams/x", "/v1/channels/x"] {
        let mut answer = gateway.send(&handshake(path)).await;
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")), "{path}");
        assert!(answer.header("connection").unwrap().eq_ignore_ascii_case("upgrade"), "{path}");
        let error = answer.json().await["error"].clone();
        let words = error["message"].as_str().or(error.as_str()).unwrap();
        assert!(words.contains("over HTTP"), "{words}");
        assert_eq!(gateway.send(&Request::get("/healthz")).await.status, 200);
    }
}

#[tokio::test]
async fn a_handshake_is_refused_for_a_better_reason_where_there_is_one() {
    let gateway = Setup::new().demo().key("one", "sk-one", "").start().await;
    assert_eq!(gateway.send(&handshake("/v2/responses")).await.status, 404, "there is no such path");
    let page = handshake(RESPONSES).header("origin", "https://evil.test");
    assert_eq!(gateway.send(&page).await.status, 403, "a page of a stranger");
    assert_eq!(gateway.send(&handshake(RESPONSES).header("host", "evil.test")).await.status, 421);
    assert_eq!(gateway.send(&handshake("/events")).await.status, 401, "there it begins, with a key");
}

#[tokio::test]
async fn a_request_that_names_another_protocol_is_answered_in_this_one() {
    let gateway = Setup::new().demo().start().await;
    let asked = Request::get("/v1/models").header("connection", "upgrade").header("upgrade", "h2c");
    assert_eq!(gateway.send(&asked).await.status, 200);
    let asked =
        Request::post(CHAT, &question()).header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(gateway.send(&asked).await.status, 200, "no handshake is a POST");
}

fn question() -> Value {
    json!({"model": "demo:words=3,pace=1ms", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
}

#[tokio::test]
async fn a_post_for_a_part_of_an_answer_is_a_400_and_generates_nothing() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    for (door, _) in DOORS {
        for range in ["bytes=45-", "bytes=0-", "bytes=0-99"] {
            let asked = Request::post(door, &request(door, "m", true)).header("range", range);
            let mut answer = gateway.send(&asked).await;
            assert_eq!(answer.status, 400, "{door} {range}");
            assert!(answer.text().await.contains("without `Range`"), "{door}");
        }
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_client_that_comes_back_behind_a_clean_end_is_told_that_there_is_nothing_more() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    for door in [CHAT, RESPONSES, MESSAGES] {
        let back = Request::post(door, &request(door, "m", true)).header("last-event-id", "");
        let mut answer = gateway.send(&back).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (204, Some("text/event-stream")),
            "{door}"
        );
        assert_eq!(answer.text().await, "");
    }
    assert_eq!(upstream.calls_seen(), 0);
    // An id of somebody else's is none of ours, and in a stream that has ids who has none has read nothing yet.
    for (header, id) in [("x-other", "17"), ("x-conversation-id", "")] {
        let value = if id.is_empty() { "rivers" } else { "1" };
        let asked = Request::post(CHAT, &chat()).header(header, value).header("last-event-id", id);
        let asked = gateway.ask(&asked).await;
        let mut call = upstream.call().await;
        call.say(&["Po"]).await;
        call.end().await;
        assert!(Heard::of(&mut asked.answer().await).await.succeeded());
    }
}

#[tokio::test]
async fn who_comes_back_without_a_key_is_told_that_first() {
    let gateway = Setup::new().demo().key("one", "sk-one", "").start().await;
    let back = Request::post(CHAT, &question()).header("last-event-id", "");
    assert_eq!(gateway.send(&back).await.status, 401);
    let back = Request::raw(CHAT, b"{").header("last-event-id", "").header("x-api-key", "sk-one");
    assert_eq!(gateway.send(&back).await.status, 400);
}

#[tokio::test]
async fn a_cursor_may_have_the_name_that_event_sources_give_it() {
    let gateway = Setup::new().demo().start().await;
    let asked = Request::post(CHAT, &question()).header("x-conversation-id", "rivers");
    let mut answer = gateway.send(&asked).await;
    let (events, _) = answer.events().await;
    let id = answer.header("stream-id").unwrap().to_owned();
    let (last, at) = (events.len(), |number: usize| format!("/v1/streams/{id}?lastEventId={id}.{number}"));
    let (rest, _) = gateway.get(&at(last - 2)).await.events().await;
    assert_eq!(rest.len(), 2, "{rest:?}");
    let over = gateway.get(&at(last)).await;
    assert_eq!((over.status, over.header("content-type")), (204, Some("text/event-stream")));
    let twice = gateway.get(&format!("{}&last_event_id={id}.1", at(1))).await;
    assert_eq!(twice.status, 400);
    // The header is what an `EventSource` itself has seen since.
    let seen = Request::get(&at(1)).header("last-event-id", &format!("{id}.{last}"));
    assert_eq!(gateway.send(&seen).await.status, 204);
}

#[tokio::test]
async fn every_204_that_ends_a_reader_names_the_media_type_of_a_stream() {
    let gateway = Setup::new().demo().start().await;
    let asked = Request::post(CHAT, &question()).header("x-conversation-id", "rivers");
    let mut answer = gateway.send(&asked).await;
    answer.rest().await;
    let id = answer.header("stream-id").unwrap().to_owned();
    let cursor = format!("{id}.99");
    let named = |request: Request| request.header("last-event-id", &cursor);
    for request in [
        named(asked),
        named(Request::get(&format!("/v1/streams/{id}"))),
        named(Request::get("/v1/conversations/rivers/stream")),
    ] {
        let over = gateway.send(&request).await;
        assert_eq!((over.status, over.header("content-type")), (204, Some("text/event-stream")));
    }
    let job = "/v1/channels/job";
    let events = || Request::get(job).header("accept", "text/event-stream");
    gateway.post(job, &json!({"done": 1})).await.json().await;
    let mut reader = gateway.send(&events()).await;
    let id_of = |event: &Event| {
        String::from_utf8_lossy(&event.raw)
            .lines()
            .find_map(|line| line.strip_prefix("id: ").map(str::to_owned))
            .unwrap()
    };
    reader.next_event().await;
    let last = id_of(&reader.next_event().await);
    gateway.send(&Request::new("DELETE", job)).await;
    reader.events().await;
    let over = gateway.send(&events().header("last-event-id", &last)).await;
    assert_eq!((over.status, over.header("content-type")), (204, Some("text/event-stream")));
}

#[tokio::test]
async fn no_client_is_asked_to_wait_longer_than_every_client_waits() {
    let line = "tokens_per_day = 1";
    let gateway = Setup::new().demo().key("one", "sk-one", line).start().await;
    for (door, _) in DOORS {
        let body = request(door, "demo:words=3,pace=1ms", true);
        let asked = Request::post(door, &body).header("x-api-key", "sk-one");
        let mut answer = gateway.send(&asked).await;
        assert_eq!(answer.status, 429, "{door}");
        assert_eq!(answer.header("x-should-retry"), Some("false"), "midnight is further than a minute");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{door}: {wait}");
        assert!(answer.text().await.contains("tokens a day"), "{door}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_passed_over() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    for door in [CHAT, MESSAGES, OLLAMA] {
        let body = format!("\u{feff}{}", request(door, "m", false));
        let asked = gateway.ask(&Request::raw(door, body.as_bytes())).await;
        let call = upstream.call().await;
        assert_eq!(call.body[0], b'{', "{door}");
        call.answer(400, &json!({"error": {"message": "no", "type": "invalid_request_error"}})).await;
        assert_eq!(asked.answer().await.status, 400, "{door}");
    }
}

#[tokio::test]
async fn numbers_that_json_has_not_are_passed_on_in_any_chunk() {
    let odd = |text: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{text}\"}},\"logprobs\":{{\"content\":[{{\"token\":\"{text}\",\"logprob\":-Infinity,\
             \"top_logprobs\":[{{\"token\":\"x\",\"logprob\":NaN}}]}}]}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    for (door, _) in DOORS {
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.stream().await;
        for text in ["Po", "Adige", "Isar"] {
            call.chunk(odd(text)).await;
        }
        call.sse(&openai::finish("stop")).await;
        call.done().await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 200, "{door}");
        if door == CHAT {
            let (events, _) = answer.events().await;
            assert_eq!(events[0].raw, odd("Po").as_bytes(), "as it came");
            assert_eq!(events[2].raw, odd("Isar").as_bytes());
        } else {
            let heard = Heard::of(&mut answer).await;
            assert!(heard.succeeded(), "{door}: {heard:?}");
            assert_eq!(heard.text, "PoAdigeIsar", "{door}");
        }
    }
}

/// Sends this and reads until the gateway ends the connection.
async fn until_closed(gateway: &Gateway, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(within("the end of the connection", stream.read_to_end(&mut answer)).await);
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_body_that_is_declared_too_long_ends_the_connection() {
    let gateway = Setup::new().demo().start().await;
    for length in ["4294967296", "20971521", "9007199254740993"] {
        let asked = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        let answer = until_closed(&gateway, &asked).await;
        assert!(answer.starts_with("http/1.1 413 "), "{length}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{length}: {answer}");
    }
}

#[tokio::test]
async fn a_chunk_that_no_body_can_hold_is_refused_at_its_size() {
    let gateway = Setup::new().demo().start().await;
    for size in ["FFFFFFFFFFFFFFFF", "80000000", "7fffffffffffffff;x=y\r\n"] {
        let asked =
            format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{size}");
        let answer = until_closed(&gateway, &asked).await;
        assert!(answer.starts_with("http/1.1 413 "), "{size}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{size}: {answer}");
    }
}
