//! Where a backend does not stream, it is asked for a whole answer, and the client has what it wanted all the same.

use serde_json::{Value, json};

use super::{assert_heard, request, whole};
use crate::support::pairs::{CHAT, OLLAMA, pairs};
use crate::support::{Pairs, gateway_over, prompt};

/// How servers refuse to stream.
fn refusals() -> [(u16, Value); 4] {
    let words = "Your organization must be verified to stream this model.";
    let error = json!({"message": words, "type": "invalid_request_error", "param": "stream", "code": "unsupported_value"});
    let unknown = json!([{"type": "extra_forbidden", "loc": ["body", "stream"], "msg": "Extra inputs are not permitted"}]);
    [
        (400, json!({"error": error})),
        (422, json!({"detail": unknown})),
        (
            501,
            json!({"error": {"message": "Streaming is not supported by this model", "type": "not_supported_error"}}),
        ),
        (400, json!({"error": "streaming is not supported"})),
    ]
}

#[tokio::test]
async fn a_stream_that_is_refused_is_asked_for_as_a_whole_answer_by_every_backend_for_every_client() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, same) in pairs() {
        for (at, (status, body)) in refusals().into_iter().enumerate() {
            let stream = same || at % 2 == 0;
            let what = format!("{door} over {api}, stream {stream}: {body}");
            let (asked, call) = all.ask(door, &request(door, api, stream)).await;
            let first = call.json();
            assert_ne!(first["stream"], json!(false), "{what}");
            call.answer(status, &body).await;
            let call = all.upstream.call().await;
            let mut wanted = first.clone();
            let members = wanted.as_object_mut().unwrap();
            members.remove("stream");
            members.remove("stream_options");
            if call.path == OLLAMA {
                members.insert("stream".into(), json!(false));
            }
            assert_eq!(call.json(), wanted, "{what}");
            call.answer(200, &whole(api)).await;
            let answer = asked.answer().await;
            if stream && api == "ollama" && same {
                assert_eq!(answer.status, 200, "{what}");
            } else {
                assert_heard(answer, stream, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn the_client_is_kept_alive_while_the_whole_answer_is_made() {
    let lines = ["commit_after = \"50ms\"", "keep_alive = \"50ms\""];
    let (gateway, mut upstream) = gateway_over("openai", &lines).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
    upstream.call().await.answer(400, &refusals()[0].1).await;
    let call = upstream.call().await;
    let answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    call.answer(200, &whole("openai")).await;
    assert_heard(answer, true, "chat").await;
}

#[tokio::test]
async fn another_refusal_is_the_clients_and_is_not_asked_again() {
    for (status, error) in [
        (400, json!({"message": "bad value", "param": "temperature"})),
        (400, json!({"message": "stream_options is not supported", "param": "stream_options"})),
        (400, json!({"message": "unsupported value: upstream"})),
    ] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
        upstream.call().await.answer(status, &json!({"error": error})).await;
        assert_eq!(asked.answer().await.status, status);
        assert_eq!(upstream.calls_seen(), 1, "{error}");
    }
}

#[tokio::test]
async fn a_backend_that_refuses_twice_is_believed() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
    for _ in 0..2 {
        upstream.call().await.answer(400, &refusals()[0].1).await;
    }
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 400);
    assert!(super::words(&answer.json().await).contains("must be verified"));
    assert_eq!(upstream.calls_seen(), 2);
}
