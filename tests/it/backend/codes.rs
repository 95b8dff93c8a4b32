//! The words by which clients decide whether to ask again, and when.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, MESSAGES, Pairs, RESPONSES, request};
use crate::support::{Answer, Heard, Upstream, gateway_over, responses};

/// What a client of this door hears in a stream that has begun before its backend refuses so.
async fn in_the_stream(door: &str, status: u16, headers: &[(&str, &str)], body: &Value) -> Heard {
    let (gateway, mut upstream) = gateway_over("openai", &["commit_after = \"1ms\""]).await;
    let asked = gateway.ask_post(door, &request(door, "m", true)).await;
    let call = upstream.call().await;
    let mut answer = asked.answer().await;
    call.answer_with(status, headers, &body.to_string()).await;
    Heard::of(&mut answer).await
}

#[tokio::test]
async fn codex_is_told_to_wait_to_stop_or_to_ask_again() {
    for (status, error, code) in [
        (429, json!({"message": "slow down", "type": "server_error"}), "rate_limit_exceeded"),
        (429, json!({"message": "no money", "type": "insufficient_quota"}), "insufficient_quota"),
        (529, json!({"message": "overloaded", "type": "overloaded_error"}), "rate_limit_exceeded"),
        (400, json!({"message": "bad tool", "type": "invalid_request_error"}), "invalid_prompt"),
        (400, json!({"message": "m", "code": "context_length_exceeded"}), "context_length_exceeded"),
        (500, json!({"message": "out of memory"}), "server_error"),
    ] {
        let headers = [("retry-after", "7")];
        let heard = in_the_stream(RESPONSES, status, &headers, &json!({"error": error})).await;
        assert!(heard.failed(), "{heard:?}");
        let told = &heard.events.last().unwrap()["response"]["error"];
        assert_eq!(told["code"], code, "{error}: {heard:?}");
        let words = told["message"].as_str().unwrap();
        assert_eq!(words.contains("Please try again in 7s."), code == "rate_limit_exceeded", "{words}");
    }
}

/// A code alone says what it was: behind content there is no status, and another backend is not asked.
#[tokio::test]
async fn a_response_that_fails_behind_its_first_words_keeps_the_code_that_clients_act_on() {
    let mut pairs = Pairs::start(&[]).await;
    for (said, told, kind) in [
        ("insufficient_quota", "insufficient_quota", "rate_limit_error"),
        ("rate_limit_exceeded", "rate_limit_exceeded", "rate_limit_error"),
        ("invalid_prompt", "invalid_prompt", "invalid_request_error"),
        ("unsupported_image_media_type", "invalid_prompt", "invalid_request_error"),
        ("server_error", "server_error", "api_error"),
    ] {
        let frames = responses::stream(&responses::spoken(0, "Volga"), responses::failed(said, "words"));
        let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        let frames: Vec<String> = frames.iter().map(frame).collect();
        let mut same = pairs.answer("responses", RESPONSES, true, &frames).await;
        let heard = Heard::of(&mut same).await;
        assert_eq!(heard.events.last().unwrap()["response"]["error"]["code"], told, "{said}: {heard:?}");
        let mut other = pairs.answer("responses", MESSAGES, true, &frames).await;
        let heard = Heard::of(&mut other).await;
        assert_eq!(heard.error.as_ref().unwrap()["type"], kind, "{said}: {heard:?}");
    }
}

#[tokio::test]
async fn the_clients_of_the_other_apis_are_told_in_their_words() {
    for (status, kind, chat, messages) in [
        (429, "server_error", "rate_limit_exceeded", "rate_limit_error"),
        (429, "insufficient_quota", "insufficient_quota", "rate_limit_error"),
        (503, "server_error", "upstream_error", "overloaded_error"),
        (500, "server_error", "upstream_error", "api_error"),
        (400, "invalid_request_error", "upstream_error", "invalid_request_error"),
    ] {
        let body = json!({"error": {"message": "words", "type": kind}});
        let heard = in_the_stream(CHAT, status, &[], &body).await;
        let error = heard.error.as_ref().unwrap();
        assert_eq!((heard.code(), &error["type"]), (Some(chat), &json!(kind)), "{error}");
        let heard = in_the_stream(MESSAGES, status, &[], &body).await;
        assert_eq!(heard.error.as_ref().unwrap()["type"], messages, "{heard:?}");
    }
}

#[tokio::test]
async fn a_429_of_a_backend_has_the_code_by_which_sdks_know_it() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &request(CHAT, "m", true)).await;
    upstream.call().await.answer(429, &json!({"error": {"message": "slow", "type": "server_error"}})).await;
    let mut answer = asked.answer().await;
    let error = answer.json().await["error"].clone();
    assert_eq!(
        (answer.status, &error["code"], &error["type"]),
        (429, &json!("rate_limit_exceeded"), &json!("server_error"))
    );
}

/// The answer to a client whose backend refuses with this `Retry-After`.
async fn refused(seconds: &str) -> Answer {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &request(CHAT, "m", true)).await;
    upstream.call().await.answer_with(429, &[("retry-after", seconds)], "{\"error\":\"slow\"}").await;
    asked.answer().await
}

#[tokio::test]
async fn nobody_is_asked_to_wait_for_more_than_a_minute_and_not_at_all_for_a_day() {
    for (seconds, told, again) in
        [("7", "7", None), ("60", "60", None), ("130", "60", None), ("86400", "60", Some("false"))]
    {
        let answer = refused(seconds).await;
        let headers = (answer.header("retry-after"), answer.header("x-should-retry"));
        assert_eq!(headers, (Some(told), again), "{seconds}");
    }
}

/// A whole answer, translated from a stream that is cut behind its first words, or silent there.
async fn broken(cut: bool) -> (Answer, Upstream) {
    let (gateway, mut upstream) = gateway_over("openai", &["idle_timeout = \"200ms\""]).await;
    let asked = gateway.ask_post(MESSAGES, &request(MESSAGES, "m", false)).await;
    let mut call = upstream.call().await;
    call.say(&["Neva"]).await;
    let answer = if cut {
        call.cut().await;
        asked.answer().await
    } else {
        let answer = asked.answer().await;
        drop(call);
        answer
    };
    (answer, upstream)
}

#[tokio::test]
async fn a_cut_may_be_asked_for_again_and_a_timeout_behind_content_may_not() {
    let (cut, _upstream) = broken(true).await;
    assert_eq!((cut.status, cut.header("x-should-retry")), (502, None));
    let (stalled, _upstream) = broken(false).await;
    assert_eq!((stalled.status, stalled.header("x-should-retry")), (504, Some("false")));
}
