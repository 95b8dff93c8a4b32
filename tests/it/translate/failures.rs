//! An answer that fails in the middle, by every backend to every client: told in the client's dialect, broken off, and nothing
//! that means success.

use serde_json::{Value, json};

use crate::support::pairs::{APIS, CHAT, DOORS, MESSAGES, RESPONSES, pairs, request};
use crate::support::script::{chunks, events, lines};
use crate::support::{Call, Client, Heard, Item, Pairs, anthropic, openai, responses};

const WORDS: &str = "the runner died";

/// Every way in which a backend of this API says that it failed.
fn told_by(api: &str) -> Vec<String> {
    let error = json!({"error": {"message": WORDS, "type": "server_error", "code": 500}});
    let mut inside = openai::text("");
    inside["error"] = error["error"].clone();
    let nameless = |event: &Value| format!("data: {event}\n\n");
    match api {
        "openai" => {
            let mut all = chunks(&[error.clone(), inside, json!({"error": WORDS})]);
            all.push(format!("event: error\ndata: {error}\n\n"));
            all.push(format!("event: error\ndata: {{\"message\":\"{WORDS}\"}}\n\n"));
            all.push(format!("error: {error}\n\n")); // older llama.cpp
            all
        }
        "responses" => {
            // Five events came before.
            let numbered = |number: u64, mut event: Value| {
                event["sequence_number"] = json!(number);
                event
            };
            let nested = numbered(5, responses::error(WORDS));
            let flat = json!({"type": "error", "code": "server_error", "message": WORDS, "param": null});
            let failed = |number| numbered(number, responses::failed("server_error", WORDS));
            let mut all = events(&[nested.clone(), numbered(5, flat), failed(5)]);
            let mut both = responses::error(WORDS);
            both["code"] = both["error"]["code"].clone();
            (both["message"], both["param"]) = (json!(WORDS), Value::Null);
            all.push(events(&[numbered(5, both), failed(6)]).concat());
            all.extend([nameless(&nested), nameless(&error)]);
            all
        }
        "anthropic" => {
            let wrapped = anthropic::error("overloaded_error", WORDS);
            let mut all = events(std::slice::from_ref(&wrapped));
            all.extend([nameless(&wrapped), nameless(&error)]); // the last is llama.cpp's
            all
        }
        _ => lines(&[json!({"error": WORDS}), error]),
    }
}

/// A call at which the text `Main` went out, and its client.
async fn begun(all: &mut Pairs, api: &str, door: &str) -> (Client, Call) {
    let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
    call.say(&["Main"]).await;
    (asked, call)
}

/// The error is one of the client's dialect.
fn assert_worded(door: &str, heard: &Heard) {
    let error = heard.error.as_ref().unwrap();
    match door {
        MESSAGES => {
            let kind = error["type"].as_str().unwrap_or_default();
            assert!(ANTHROPIC_TYPES.contains(&kind), "{error}");
        }
        CHAT | RESPONSES => {
            for member in ["message", "type", "code", "param"] {
                assert!(error.get(member).is_some(), "{door}, {member}: {error}");
            }
        }
        _ => assert!(error.is_string(), "{error}"),
    }
}

const ANTHROPIC_TYPES: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "overloaded_error",
    "timeout_error",
];

#[tokio::test]
async fn an_error_in_the_stream_is_told_to_every_client_in_its_words() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, same) in pairs() {
        for frame in told_by(api) {
            let (asked, mut call) = begun(&mut all, api, door).await;
            call.chunk(&frame).await;
            call.finish().await;
            let heard = Heard::of(&mut asked.answer().await).await;
            let what = format!("{door} over {api}, {frame:?}: {heard:?}");
            assert!(heard.failed() && heard.text == "Main", "{what}");
            assert!(heard.message().contains(WORDS), "{what}");
            if !same {
                assert_worded(door, &heard);
            }
        }
    }
}

#[tokio::test]
async fn the_words_of_an_error_line_of_older_llama_cpp_are_told() {
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        let (asked, mut call) = begun(&mut all, "openai", door).await;
        call.chunk(format!("error: {{\"code\":500,\"message\":\"{WORDS}\",\"type\":\"server_error\"}}\n\n"))
            .await;
        call.finish().await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.message().contains(WORDS), "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn an_error_before_the_first_content_is_a_status_and_a_body() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (api, door, _) in pairs() {
        for frame in told_by(api) {
            for stream in [true, false] {
                if !stream && pairs().any(|(a, d, same)| same && (a, d) == (api, door)) {
                    continue; // passed on whole
                }
                let mut answer = all.answer(api, door, stream, std::slice::from_ref(&frame)).await;
                let what = format!("{door} over {api}, {frame:?}, stream {stream}");
                assert!(answer.status >= 500, "{what}: {}", answer.status);
                assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
                let body = answer.json().await;
                assert!(body["error"].to_string().contains(WORDS), "{what}: {body}");
                assert_eq!(body.get("type").is_some(), door == MESSAGES, "{what}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_behind_an_early_head_is_told_in_the_stream() {
    let mut all = Pairs::start(&["commit_after = \"20ms\""]).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
        let mut answer = asked.answer().await; // the head and a keep-alive
        call.say(&[]).await;
        call.chunk(&told_by(api)[0]).await;
        call.finish().await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed() && heard.message().contains(WORDS), "{door} over {api}: {heard:?}");
        assert_worded(door, &heard);
    }
}

#[tokio::test]
async fn a_refusal_behind_an_early_head_is_told_in_the_stream() {
    let mut all = Pairs::start(&["commit_after = \"20ms\""]).await;
    for (api, door, _) in pairs() {
        let (asked, call) = all.ask(door, &request(door, api, true)).await;
        let mut answer = asked.answer().await;
        call.answer(503, &json!({"error": {"message": WORDS, "type": "unavailable_error", "code": 503}}))
            .await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed() && heard.message().contains(WORDS), "{door} over {api}: {heard:?}");
        assert_worded(door, &heard);
        if door == MESSAGES {
            assert_eq!(heard.error.unwrap()["type"], "overloaded_error", "{api}");
        }
    }
}

/// How a backend breaks off.
#[derive(Clone, Copy, Debug)]
enum Break {
    Clean,
    Cut,
    Reset,
    HalfAnEvent,
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error_to_every_client() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, _) in pairs() {
        for how in [Break::Clean, Break::Cut, Break::Reset, Break::HalfAnEvent] {
            let (asked, mut call) = begun(&mut all, api, door).await;
            let mut answer = asked.answer().await;
            while !answer.next_event().await.data.contains("Main") {}
            match how {
                Break::Clean => call.finish().await,
                Break::Cut => call.cut().await,
                Break::Reset => call.reset(),
                Break::HalfAnEvent => {
                    call.chunk("data: {\"type\":\"content_block_de").await;
                    call.finish().await;
                }
            }
            let (events, ending) = answer.events().await;
            let last = events.last().unwrap_or_else(|| panic!("{door} over {api}, {how:?}: no error"));
            let broken = ending == crate::support::Ending::Aborted;
            assert_eq!(broken, door != RESPONSES, "{door} over {api}, {how:?}");
            assert!(last.data.contains("error"), "{door} over {api}, {how:?}: {last:?}");
            let told = if door == RESPONSES { 2 } else { 1 };
            assert!(events.len() >= told && events.len() <= told, "{door} over {api}, {how:?}: {events:?}");
            if door == MESSAGES {
                assert_eq!(last.name.as_deref(), Some("error"));
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_stalls_is_an_error_to_every_client() {
    let mut all = Pairs::start(&["idle_timeout = \"100ms\""]).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = begun(&mut all, api, door).await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.text == "Main", "{door} over {api}: {heard:?}");
        assert_worded(door, &heard);
        call.closed().await;
    }
}

#[tokio::test]
async fn an_event_that_is_no_json_is_an_error_where_it_is_translated() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, same) in pairs() {
        let (asked, mut call) = begun(&mut all, api, door).await;
        let frame = if api == "ollama" { "{\"mess\n" } else { "data: {\"mess\n\n" };
        call.chunk(frame).await;
        let mut answer = asked.answer().await;
        if same {
            while let Item::Event(event) = answer.next_item().await {
                if event.data == "{\"mess" {
                    break;
                }
            }
            continue;
        }
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed() && heard.text == "Main", "{door} over {api}: {heard:?}");
    }
}

#[tokio::test]
async fn a_finish_reason_that_means_failure_is_an_error_to_every_client() {
    let mut all = Pairs::start(&[]).await;
    for reason in ["error", "abort"] {
        for (door, _) in DOORS.into_iter().filter(|(_, api)| *api != "openai") {
            let (asked, mut call) = begun(&mut all, "openai", door).await;
            call.sse(&openai::finish(reason)).await;
            let heard = Heard::of(&mut asked.answer().await).await;
            assert!(heard.failed() && heard.text == "Main", "{door}, {reason}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn nothing_behind_an_error_is_passed_on() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = begun(&mut all, api, door).await;
        let more = crate::support::script::ending(&call.path, &["Main".to_owned()]).concat();
        let error = told_by(api).pop().unwrap();
        let error = if api == "openai" { told_by(api)[0].clone() } else { error };
        call.chunk(format!("{error}{more}")).await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.finish.is_empty(), "{door} over {api}: {heard:?}");
    }
}

#[tokio::test]
async fn an_error_that_quotes_the_gateways_key_is_told_without_it() {
    for api in APIS {
        for (door, _) in DOORS {
            let mut upstream = crate::support::Upstream::start().await;
            let key = "api_key = { env = \"IT_KEY\" }";
            let setup = crate::support::Setup::new().backend_with("one", api, &upstream.url(), key);
            let gateway = setup.environment("IT_KEY", "sk-it-4711").start().await;
            let asked = gateway.ask_post(door, &request(door, "m", true)).await;
            let mut call = upstream.call().await;
            call.say(&["Main"]).await;
            call.chunk(told_by(api)[0].replace(WORDS, "bad key sk-it-4711")).await;
            call.finish().await;
            let (body, _) = asked.answer().await.rest().await;
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.contains("bad key") && !body.contains("4711"), "{door} over {api}: {body}");
        }
    }
}
