//! Responses that are kept: read again, gone on from, worked on in the background, cancelled and deleted.

use serde_json::{Value, json};

use super::{ask, gateway, json_view, with};
use crate::support::pairs::RESPONSES;
use crate::support::{Call, Client, Gateway, Heard, Request, Setup, Upstream, until};

const BACKENDS: [&str; 3] = ["openai", "ollama", "responses"];

fn input(text: &str, more: &Value) -> Value {
    let mut body = json!({"model": "m", "input": text});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn post(gateway: &Gateway, upstream: &mut Upstream, body: &Value) -> (Client, Call) {
    ask(gateway, upstream, &Request::post(RESPONSES, body)).await
}

/// The backend says this and ends, streamed or whole as it was asked.
async fn say(mut call: Call, text: &'static str) {
    let streamed = call.json()["stream"] == true;
    if streamed {
        call.say(&[text]).await;
        call.end().await;
    } else {
        let item = crate::support::responses::message(&[crate::support::responses::text_part(text)]);
        let whole = crate::support::responses::completed(&[item])["response"].clone();
        call.answer(200, &whole).await;
    }
}

/// A turn that is not streamed: the response.
async fn turn(
    gateway: &Gateway,
    upstream: &mut Upstream,
    body: &Value,
    text: &'static str,
) -> (Value, Value) {
    let (asked, call) = post(gateway, upstream, body).await;
    let sent = call.json();
    say(call, text).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    (answer.json().await, sent)
}

async fn get(gateway: &Gateway, id: &Value) -> (u16, Value) {
    let mut answer = gateway.get(&format!("/v1/responses/{}", id.as_str().unwrap())).await;
    (answer.status, answer.json().await)
}

#[tokio::test]
async fn a_response_is_kept_unless_the_request_says_no() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (kept, _) = turn(&gateway, &mut upstream, &input("Name a river.", &json!({})), "Rhine").await;
        assert_eq!(get(&gateway, &kept["id"]).await, (200, kept.clone()), "{api}");
        let deleted = gateway
            .send(&Request::new("DELETE", &format!("/v1/responses/{}", kept["id"].as_str().unwrap())))
            .await
            .json()
            .await;
        assert_eq!((&deleted["deleted"], &deleted["id"]), (&json!(true), &kept["id"]), "{api}");
        assert_eq!(get(&gateway, &kept["id"]).await.0, 404, "{api}");
        let (not, _) = turn(&gateway, &mut upstream, &input("x", &json!({"store": false})), "Rhine").await;
        assert_eq!(get(&gateway, &not["id"]).await.0, 404, "{api}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_kept_is_unknown_although_its_stream_is_recorded() {
    let (gateway, mut upstream) = gateway("openai", &["record = \"always\""], &[]).await;
    let body = input("x", &json!({"store": false, "stream": true}));
    let (asked, call) = post(&gateway, &mut upstream, &body).await;
    say(call, "Rhine").await;
    let mut answer = asked.answer().await;
    let (id, heard) = (super::stream_id(&answer), Heard::of(&mut answer).await);
    let response = heard.events.last().unwrap()["response"]["id"].clone();
    assert_eq!(get(&gateway, &response).await.0, 404);
    assert_eq!(gateway.send(&super::source(&id, None)).await.status, 200);
    let more = input("y", &json!({"previous_response_id": response}));
    assert!(gateway.post(RESPONSES, &more).await.status >= 400);
}

#[tokio::test]
async fn a_streamed_response_is_kept_and_read_again_from_any_event_on() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (asked, call) = post(&gateway, &mut upstream, &input("x", &json!({"stream": true}))).await;
        say(call, "Rhine").await;
        let (events, _) = asked.answer().await.events().await;
        assert!(events.iter().all(|event| super::id_of(event).is_none()), "{api}");
        let last = events.last().unwrap().json();
        let id = &last["response"]["id"];
        assert_eq!(get(&gateway, id).await, (200, last["response"].clone()), "{api}");
        for after in 0..events.len() - 1 {
            let path = format!("/v1/responses/{}?stream=true&starting_after={after}", id.as_str().unwrap());
            let (rest, _) = gateway.get(&path).await.events().await;
            assert_eq!(super::raws(&rest), super::raws(&events[after + 1..]), "{api} behind {after}");
        }
    }
}

#[tokio::test]
async fn a_response_goes_on_from_another_twice() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (first, _) = turn(&gateway, &mut upstream, &input("first", &json!({})), "Rhine").await;
        let more = json!({"previous_response_id": first["id"]});
        let (second, _) = turn(&gateway, &mut upstream, &input("second", &more), "Main").await;
        let more = json!({"previous_response_id": second["id"]});
        let (_, sent) = turn(&gateway, &mut upstream, &input("third", &more), "Neckar").await;
        let sent = sent.to_string();
        let at = |word: &str| sent.find(word).unwrap_or_else(|| panic!("{api}: {word} in {sent}"));
        let places = ["first", "Rhine", "second", "Main", "third"].map(at);
        assert!(places.is_sorted(), "{api}: {sent}");
        assert!(!sent.contains("previous_response_id"), "{api}: {sent}");
    }
}

#[tokio::test]
async fn a_tool_call_and_its_result_go_on_from_the_response_that_called() {
    use crate::support::script::{Part, Reason, script};
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let tools = json!([{"type": "function", "name": "depth", "parameters": {"type": "object", "properties": {}}}]);
        let (asked, call) =
            post(&gateway, &mut upstream, &input("how deep?", &json!({"stream": true, "tools": tools})))
                .await;
        call.play(&script(api, &[Part::Call("call_7", "depth", &["{}"])], Reason::Calls)).await;
        let heard = Heard::of(&mut asked.answer().await).await;
        let id = heard.events.last().unwrap()["response"]["id"].clone();
        let result =
            json!([{"type": "function_call_output", "call_id": heard.tools[0].id, "output": "nine metres"}]);
        let body = json!({"model": "m", "tools": tools, "previous_response_id": id, "input": result});
        let (_, sent) = turn(&gateway, &mut upstream, &body, "Deep").await;
        let sent = sent.to_string();
        for word in ["how deep?", "depth", "nine metres"] {
            assert!(sent.contains(word), "{api}: {word} in {sent}");
        }
    }
}

#[tokio::test]
async fn a_response_that_still_runs_is_not_gone_on_from() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, mut call) = post(&gateway, &mut upstream, &input("x", &json!({"background": true}))).await;
    let told = asked.answer().await.json().await;
    call.say(&["Rhine"]).await;
    let more = input("y", &json!({"previous_response_id": told["id"]}));
    let mut refused = gateway.post(RESPONSES, &more).await;
    assert_eq!(
        (refused.status, &refused.json().await["error"]["param"]),
        (409, &json!("previous_response_id"))
    );
}

#[tokio::test]
async fn a_response_of_another_key_is_unknown() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "a-1", "").key("bob", "b-2", "");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let by = |key: &str, body: &Value| with(Request::post(RESPONSES, body), &[("x-api-key", key)]);
    let (asked, call) = ask(&gateway, &mut upstream, &by("a-1", &input("secret", &json!({})))).await;
    say(call, "Rhine").await;
    let id = asked.answer().await.json().await["id"].clone();
    let mut theirs = gateway.send(&by("b-2", &input("y", &json!({"previous_response_id": id})))).await;
    let mut never = gateway.send(&by("b-2", &input("y", &json!({"previous_response_id": "resp_x"})))).await;
    assert!(theirs.status >= 400 && theirs.status == never.status);
    assert_eq!(theirs.text().await.replace(id.as_str().unwrap(), "resp_x"), never.text().await);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn work_in_the_background_is_told_at_once_and_polled() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (asked, call) = post(&gateway, &mut upstream, &input("x", &json!({"background": true}))).await;
        let mut answer = asked.answer().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{api}");
        let told = answer.json().await;
        assert_eq!((&told["status"], &told["background"]), (&json!("queued"), &json!(true)), "{api}");
        assert_eq!(get(&gateway, &told["id"]).await.0, 200);
        assert_eq!(call.json()["stream"], true, "{api}");
        say(call, "Rhine").await;
        until("the response to be complete", async || {
            get(&gateway, &told["id"]).await.1["status"] == "completed"
        })
        .await;
        let text = get(&gateway, &told["id"]).await.1.to_string();
        assert!(text.contains("Rhine"), "{api}: {text}");
    }
}

#[tokio::test]
async fn work_in_the_background_can_be_streamed_and_goes_on_without_its_client() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let body = input("x", &json!({"background": true, "stream": true}));
        let (asked, mut call) = post(&gateway, &mut upstream, &body).await;
        call.say(&["Rhine"]).await;
        let mut answer = asked.answer().await;
        let first = answer.next_event().await.json();
        let id = first["response"]["id"].as_str().unwrap().to_owned();
        drop(answer);
        call.end().await;
        let path = format!("/v1/responses/{id}?stream=true&starting_after=0");
        let (events, _) = gateway.get(&path).await.events().await;
        assert_eq!(events[0].json()["sequence_number"], 1, "{api}");
        assert_eq!(events.last().unwrap().json()["type"], "response.completed", "{api}");
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_of_a_response_is_a_410_and_never_a_gap() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "openai", &upstream.url()).journal("max_stream_bytes = \"4KiB\"");
    let (gateway, mut upstream) = (setup.start().await, upstream);
    let body = input("x", &json!({"background": true}));
    let (asked, mut call) = post(&gateway, &mut upstream, &body).await;
    let id = asked.answer().await.json().await["id"].clone();
    call.say(&["Rhine"; 60]).await;
    call.end().await;
    until("the response to be complete", async || get(&gateway, &id).await.1["status"] == "completed").await;
    let path = format!("/v1/responses/{}?stream=true", id.as_str().unwrap());
    assert_eq!(gateway.get(&path).await.status, 410);
    // Until the next event is one that is kept.
    let mut number = 0;
    let mut answer = loop {
        let answer = gateway.get(&format!("{path}&starting_after={number}")).await;
        match answer.status {
            410 => number += 1,
            _ => break answer,
        }
        assert!(answer.header("stream-earliest-id").is_some());
    };
    assert!(number > 30, "{number}");
    assert_eq!(answer.next_event().await.json()["sequence_number"], number + 1);
}

#[tokio::test]
async fn a_response_that_was_no_stream_cannot_be_streamed_later() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (kept, _) = turn(&gateway, &mut upstream, &input("x", &json!({})), "Rhine").await;
    let path = format!("/v1/responses/{}?stream=true", kept["id"].as_str().unwrap());
    let mut refused = gateway.get(&path).await;
    assert_eq!(refused.status, 400);
    let error = &refused.json().await["error"];
    assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!("stream")));
    assert!(error["message"].as_str().unwrap().contains("background=true"));
}

#[tokio::test]
async fn work_in_the_background_is_cancelled() {
    for api in BACKENDS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (asked, mut call) =
            post(&gateway, &mut upstream, &input("x", &json!({"background": true}))).await;
        let told = asked.answer().await.json().await;
        call.say(&["Rhine"]).await;
        let path = format!("/v1/responses/{}/cancel", told["id"].as_str().unwrap());
        for _ in 0..2 {
            let mut answer = gateway.send(&Request::new("POST", &path)).await;
            let cancelled = answer.json().await;
            assert_eq!(
                (answer.status, &cancelled["status"], &cancelled["error"]),
                (200, &json!("cancelled"), &Value::Null),
                "{api}"
            );
        }
        call.closed().await;
        assert_eq!(get(&gateway, &told["id"]).await.1["status"], "cancelled");
    }
}

#[tokio::test]
async fn work_in_the_background_that_is_not_kept_is_a_400() {
    let (gateway, upstream) = gateway("openai", &[], &[]).await;
    let body = input("x", &json!({"background": true, "store": false}));
    assert_eq!(gateway.post(RESPONSES, &body).await.status, 400);
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_repeated_request_for_background_work_is_told_the_same_response() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let request = || {
        with(Request::post(RESPONSES, &input("x", &json!({"background": true}))), &[("idempotency-key", "k")])
    };
    let (first, _call) = ask(&gateway, &mut upstream, &request()).await;
    let first = first.answer().await.json().await;
    let second = gateway.send(&request()).await.json().await;
    assert_eq!(second["id"], first["id"]);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn an_unknown_response_is_a_404() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    for (method, path) in [
        ("GET", "/v1/responses/resp_x"),
        ("DELETE", "/v1/responses/resp_x"),
        ("POST", "/v1/responses/resp_x/cancel"),
    ] {
        let mut answer = gateway.send(&Request::new(method, path)).await;
        assert_eq!(answer.status, 404, "{method}");
        assert!(answer.json().await["error"]["message"].is_string());
    }
    assert_eq!(gateway.send(&json_view("/v1/responses/resp_x")).await.status, 404);
}
