//! Refusals in the words of every door: statuses, types, codes and headers as the door's own clients look for them.

use serde_json::{Value, json};

use crate::support::pairs::{APIS, CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, request};
use crate::support::{Answer, Gateway, Pairs, Request, Setup, Upstream, gateway_over};

const COUNT: &str = "/v1/messages/count_tokens";

/// The message of an error in the words of this door, and its type at Anthropic's or its code at OpenAI's.
fn words(door: &str, body: &Value) -> (String, String) {
    if door.starts_with("/api/") {
        return (
            body["error"].as_str().unwrap_or_else(|| panic!("{door}: {body}")).to_owned(),
            String::new(),
        );
    }
    let error = &body["error"];
    let message = error["message"].as_str().unwrap_or_else(|| panic!("{door}: {body}")).to_owned();
    let word = if door.starts_with(MESSAGES) {
        assert_eq!(body["type"], "error", "{body}");
        &error["type"]
    } else {
        assert!(error["type"].is_string() && error.get("param").is_some(), "{body}");
        &error["code"]
    };
    (message, word.as_str().unwrap_or_else(|| panic!("{door}: {body}")).to_owned())
}

/// At Anthropic's door an error says in its body and in a header which request it was.
async fn assert_named(answer: &mut Answer) -> Value {
    let header = answer.header("request-id").expect("a request-id").to_owned();
    assert_eq!(answer.header("x-request-id"), Some(header.as_str()));
    let body = answer.json().await;
    assert_eq!(body["request_id"], json!(header), "{body}");
    body
}

async fn gateway() -> Gateway {
    let setup = Setup::new().backend("one", "openai", "http://127.0.0.1:9");
    setup.route("model = \"m\"\nbackends = [\"one\"]").start().await
}

#[tokio::test]
async fn what_is_refused_at_the_newer_doors_is_refused_in_their_words() {
    let gateway = gateway().await;
    for (body, status, kind, code) in [
        ("{\"model\": ", 400, "invalid_request_error", "invalid_request"),
        ("", 400, "invalid_request_error", "invalid_request"),
        ("[1]", 400, "invalid_request_error", "invalid_request"),
        ("{\"messages\":[],\"input\":\"x\"}", 400, "invalid_request_error", "invalid_request"),
        ("{\"model\":\"sea\",\"messages\":[],\"input\":\"x\"}", 404, "not_found_error", "model_not_found"),
    ] {
        for door in [RESPONSES, MESSAGES, COUNT] {
            let mut answer = gateway.send(&Request::raw(door, body.as_bytes())).await;
            assert_eq!(answer.status, status, "{door}: {body}");
            let anthropic = door != RESPONSES;
            let told = if anthropic { assert_named(&mut answer).await } else { answer.json().await };
            assert_eq!(words(door, &told).1, if anthropic { kind } else { code }, "{door}: {told}");
            answer.reuse();
        }
    }
}

#[tokio::test]
async fn a_wrong_method_and_a_coded_body_are_refused_in_the_words_of_the_newer_doors() {
    let gateway = gateway().await;
    for door in [RESPONSES, MESSAGES, COUNT] {
        let mut answer = gateway.send(&Request::new("GET", door)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{door}");
        words(door, &answer.json().await);
        let coded = Request::raw(door, b"\x1f\x8b\x08\x00").header("content-encoding", "br");
        let mut answer = gateway.send(&coded).await;
        assert_eq!(answer.status, 415, "{door}");
        words(door, &answer.json().await);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_in_the_words_of_the_newer_doors() {
    let gateway = gateway().await;
    for (door, word) in [(RESPONSES, "payload_too_large"), (MESSAGES, "request_too_large")] {
        let length = (25 << 20).to_string();
        let request = Request::new("POST", door).header("content-length", &length);
        let mut answer = gateway.send(&request.header("content-type", "application/json")).await;
        assert_eq!(answer.status, 413, "{door}");
        assert_eq!(words(door, &answer.json().await).1, word);
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_in_anthropics_words_to_those_who_say_its_version() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    let listed = json!({"id": "org/lake:Q4", "object": "model", "created": 1_780_000_000, "owned_by": "it"});
    upstream.page("/v1/models", &json!({"object": "list", "data": [listed]}));
    let version = |path: &str| Request::get(path).header("anthropic-version", "2023-06-01");
    let mut answer = gateway.send(&version("/v1/models/sea")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(assert_named(&mut answer).await["error"]["type"], "not_found_error");
    let list = gateway.send(&version("/v1/models")).await.json().await;
    assert_eq!((&list["first_id"], &list["has_more"]), (&json!("org/lake:Q4"), &json!(false)), "{list}");
    let one = gateway.send(&version("/v1/models/org/lake:Q4")).await.json().await;
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!("org/lake:Q4")), "{one}");
    assert!(one["created_at"].as_str().unwrap().ends_with('Z') && one["display_name"].is_string(), "{one}");
}

#[tokio::test]
async fn a_request_id_of_the_client_is_given_back_at_anthropics_door() {
    let (gateway, mut upstream) = gateway_over("anthropic", &[]).await;
    let asked = Request::post(MESSAGES, &request(MESSAGES, "m", true)).header("x-request-id", "trip-7");
    let asked = gateway.ask(&asked).await;
    upstream.call().await.say(&["Rhine"]).await;
    let answer = asked.answer().await;
    assert_eq!(
        (answer.header("request-id"), answer.header("x-request-id")),
        (Some("trip-7"), Some("trip-7"))
    );
}

/// What each door tells of a backend's status: its own, and the word at Anthropic's door and at OpenAI's.
const STATUSES: [(u16, u16, &str); 9] = [
    (400, 400, "invalid_request_error"),
    (402, 402, "billing_error"),
    (413, 413, "request_too_large"),
    (422, 422, "invalid_request_error"),
    (429, 429, "rate_limit_error"),
    (500, 500, "api_error"),
    (503, 529, "overloaded_error"),
    (504, 504, "timeout_error"),
    (529, 529, "overloaded_error"),
];

#[tokio::test]
async fn the_status_of_a_backend_is_told_in_the_words_of_every_door() {
    let mut pairs = Pairs::start(&["commit_after = \"30s\""]).await;
    for api in APIS {
        for (status, at_anthropic, kind) in STATUSES {
            for (door, _) in DOORS {
                for stream in [true, false] {
                    let (asked, call) = pairs.ask(door, &request(door, api, stream)).await;
                    call.answer(status, &json!({"error": {"message": "not now", "type": "x"}})).await;
                    let mut answer = asked.answer().await;
                    let what = format!("{status} of {api} at {door}, stream {stream}");
                    let elsewhere = if status == 529 { 503 } else { status };
                    let wanted = if door == MESSAGES { at_anthropic } else { elsewhere };
                    assert_eq!(answer.status, wanted, "{what}");
                    let (message, word) = words(door, &answer.json().await);
                    assert_eq!(message, "not now", "{what}");
                    assert!(door != MESSAGES || word == kind, "{what}: {word}");
                }
            }
        }
    }
}

#[tokio::test]
async fn every_shape_of_an_error_body_is_told_with_its_message() {
    let mut pairs = Pairs::start(&["commit_after = \"30s\""]).await;
    for body in [
        json!({"error": {"message": "not now", "type": "x", "code": "y"}}),
        json!({"error": "not now"}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "not now"}, "request_id": "r"}),
        json!({"detail": "not now"}),
        json!({"detail": [{"loc": ["body"], "msg": "not now"}]}),
        json!({"message": "not now", "object": "error", "code": 400}),
        json!({"error": {"code": 503, "message": "not now", "type": "unavailable_error"}}),
    ] {
        for api in APIS {
            for (door, _) in DOORS {
                let (asked, call) = pairs.ask(door, &request(door, api, true)).await;
                call.answer(400, &body).await;
                let (message, _) = words(door, &asked.answer().await.json().await);
                assert!(message.contains("not now"), "{body} of {api} at {door}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_in_the_backends_words() {
    let text = "prompt is too long: 210000 tokens > 200000 maximum";
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        let (asked, call) = pairs.ask(door, &request(door, "anthropic", true)).await;
        call.answer(
            400,
            &json!({"type": "error", "error": {"type": "invalid_request_error", "message": text}}),
        )
        .await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 400, "{door}");
        assert_eq!(words(door, &answer.json().await).0, text, "agents look for it at {door}");
    }
}

#[tokio::test]
async fn when_to_come_back_is_passed_on_at_every_door() {
    let mut pairs = Pairs::start(&[]).await;
    for api in APIS {
        for (door, _) in DOORS {
            let (asked, call) = pairs.ask(door, &request(door, api, true)).await;
            call.answer_with(429, &[("retry-after", "7")], "{\"error\":{\"message\":\"slow down\"}}").await;
            let answer = asked.answer().await;
            assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")), "{door} over {api}");
        }
    }
}

#[tokio::test]
async fn a_key_that_a_backend_refuses_is_no_fault_of_the_clients() {
    for api in ["anthropic", "responses"] {
        for status in [401, 403] {
            for door in [CHAT, RESPONSES, MESSAGES, OLLAMA] {
                let mut upstream = Upstream::start().await;
                let gateway = Setup::new().backend("one", api, &upstream.url()).start().await;
                let asked = gateway.ask_post(door, &request(door, "m", true)).await;
                let error = json!({"type": "authentication_error", "message": "invalid x-api-key sk-4711"});
                upstream.call().await.answer(status, &json!({"type": "error", "error": error})).await;
                let mut answer = asked.answer().await;
                assert_eq!(answer.status, 502, "{status} of {api} at {door}");
                assert!(!answer.text().await.contains("4711"), "{status} of {api} at {door}");
            }
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_told_at_every_door() {
    let gateway = gateway().await;
    for (door, _) in DOORS {
        let mut answer = gateway.post(door, &request(door, "m", true)).await;
        assert_eq!(answer.status, 502, "{door}");
        let (_, word) = words(door, &answer.json().await);
        let wanted = if door == MESSAGES { "api_error" } else { "upstream_unreachable" };
        assert!(door == OLLAMA || word == wanted, "{door}: {word}");
    }
}
