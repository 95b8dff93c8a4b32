//! What holds between every backend and every client, streamed and whole: everything that is said arrives, in its order.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::pairs::{APIS, DOORS, crossed, pairs, request};
use crate::support::script::{Part, Reason, chat, lines, opening, script};
use crate::support::{Heard, Pairs, Setup, Upstream, ollama, openai, until};

/// Reasoning, a text, and two calls.
const ALL: [Part; 4] = [
    Part::Thought(&["It flows ", "north."]),
    Part::Text(&["Gr\u{fc}\u{df} ", "\u{1f30a} Rhine"]),
    Part::Call("call_1", "depth", &["{\"z\":1.0,", "\"a\":[9007199254740993]}"]),
    Part::Call("call_2", "width", &["{}"]),
];

/// What each client hears of this answer, where it is translated.
async fn each(parts: &[Part], reason: Reason, check: impl Fn(&str, &Heard)) {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, &script(api, parts, reason)).await;
            let what = format!("{door} over {api}, stream {stream}");
            assert!(heard.succeeded(), "{what}: {heard:?}");
            check(&what, &heard);
        }
    }
}

#[tokio::test]
async fn everything_that_a_model_says_arrives() {
    each(&ALL, Reason::Calls, |what, heard| {
        assert_eq!(heard.thought, "It flows north.", "{what}");
        assert_eq!(heard.text, "Gr\u{fc}\u{df} \u{1f30a} Rhine", "{what}");
        let names: Vec<&str> = heard.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["depth", "width"], "{what}");
        assert_eq!(heard.tools[1].arguments, "{}", "{what}");
        let ids: Vec<&str> = heard.tools.iter().map(|tool| tool.id.as_str()).collect();
        assert_eq!(ids, ["call_1", "call_2"], "{what}");
    })
    .await;
}

#[tokio::test]
async fn arguments_keep_their_order_and_their_numbers() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let frames = script(api, &ALL, Reason::Calls);
            let (body, _) = pairs.answer(api, door, stream, &frames).await.rest().await;
            // As text, for a parser that is not asked for them loses both.
            let body = String::from_utf8(body.to_vec()).unwrap().replace('\\', "");
            let what = format!("{door} over {api}, stream {stream}: {body}");
            for part in ["\"z\":1.0", "\"a\":[9007199254740993]}"] {
                assert!(body.contains(part), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn numbers_that_no_machine_holds_and_keys_said_twice_arrive_as_they_are() {
    let parts = [Part::Call("call_1", "depth", &["{\"z\":1e400,\"a\":1,", "\"a\":2,\"b\":-0.0}"])];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        let (body, _) =
            pairs.answer(api, door, false, &script(api, &parts, Reason::Calls)).await.rest().await;
        let body = String::from_utf8(body.to_vec()).unwrap().replace('\\', "");
        assert!(body.contains("{\"z\":1e400,\"a\":1,\"a\":2,\"b\":-0.0}"), "{door} over {api}: {body}");
    }
}

#[tokio::test]
async fn a_last_event_without_its_end_counts_if_it_is_complete() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let mut frames = script(api, &ALL, Reason::Calls);
            let last = frames.last_mut().unwrap();
            *last = last.trim_end().to_owned();
            let heard = pairs.hear(api, door, stream, &frames).await;
            assert!(
                heard.succeeded() && heard.tools.len() == 2,
                "{door} over {api}, stream {stream}: {heard:?}"
            );
        }
    }
}

#[tokio::test]
async fn comments_and_foreign_fields_between_events_are_swallowed() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door, _) in pairs_of_sse() {
        let mut frames = vec![": hello\n\n".to_owned(), ":\n\n".to_owned(), "retry: 5\n\n".to_owned()];
        for frame in script(api, &ALL, Reason::Calls) {
            frames.extend([": PROCESSING\n\n".to_owned(), format!(": c\nid: 7\n{frame}")]);
        }
        let heard = pairs.hear(api, door, true, &frames).await;
        assert!(heard.succeeded() && heard.tools.len() == 2, "{door} over {api}: {heard:?}");
    }
}

/// Every pair whose backend sends events.
fn pairs_of_sse() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    pairs().filter(|(api, ..)| *api != "ollama")
}

#[tokio::test]
async fn everything_may_come_at_once() {
    let call = json!({"index": 0, "id": "call_1", "function": {"name": "depth", "arguments": "{}"}});
    let mut all = json!({"role": "assistant", "reasoning": "Hm.", "content": "Rhine", "tool_calls": [call]});
    let mut chunk = openai::chunk(&all, &json!("stop"));
    chunk["usage"] = json!({"prompt_tokens": 11, "completion_tokens": 4});
    let call = json!({"function": {"name": "depth", "arguments": {}}});
    all = json!({"role": "assistant", "thinking": "Hm.", "content": "Rhine", "tool_calls": [call]});
    let mut done = ollama::done("stop");
    done["message"] = all;
    let mut pairs = Pairs::start(&[]).await;
    for (api, frames) in [("openai", chat(&[chunk])), ("ollama", lines(&[done]))] {
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            for stream in [true, false] {
                let heard = pairs.hear(api, door, stream, &frames).await;
                let what = format!("{door} over {api}, stream {stream}: {heard:?}");
                assert!(heard.succeeded() && heard.usage.is_some(), "{what}");
                assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", "Rhine"), "{what}");
                assert_eq!(heard.calls(), [("depth", "{}")], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_comes_in_an_order_is_heard_in_it() {
    let parts = [
        Part::Text(&["First."]),
        Part::Thought(&["Hm."]),
        Part::Text(&["Then."]),
        Part::Call("call_1", "depth", &["{}"]),
        Part::Text(&["Last."]),
    ];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        let heard = pairs.hear(api, door, true, &script(api, &parts, Reason::Calls)).await;
        assert!(heard.succeeded(), "{door} over {api}: {heard:?}");
        assert_eq!(heard.order, ["text", "thought", "text", "call", "text"], "{door} over {api}");
        assert_eq!((heard.text.as_str(), heard.thought.as_str()), ("First.Then.Last.", "Hm."));
    }
}

#[tokio::test]
async fn reasoning_and_nothing_else_is_an_answer() {
    each(&[Part::Thought(&["Hm."])], Reason::Length, |what, heard| {
        assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", ""), "{what}");
    })
    .await;
}

#[tokio::test]
async fn reasoning_right_before_a_call_is_an_answer() {
    each(&[Part::Thought(&["Hm."]), Part::Call("call_1", "depth", &["{}"])], Reason::Calls, |what, heard| {
        assert_eq!(heard.order, ["thought", "call"], "{what}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_content_is_an_answer() {
    each(&[], Reason::Stop, |what, heard| {
        assert_eq!((heard.text.as_str(), heard.tools.len()), ("", 0), "{what}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_one_name_and_the_model_that_the_client_asked_for() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, &script(api, &ALL, Reason::Calls)).await;
            let named = |event: &&Value| ["id", "created", "model"].map(|key| event[key].clone());
            let inner =
                |event| ["response", "message"].into_iter().filter_map(move |name| Value::get(event, name));
            let described = heard.events.iter().flat_map(|event| inner(event).chain([event]));
            let described: Vec<_> = described.filter(|event| event["model"].is_string()).collect();
            let first = named(&described[0]);
            assert_eq!(first[2], json!(api), "{door} over {api}");
            assert!(described.iter().all(|event| named(event) == first), "{door} over {api}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn no_two_answers_have_one_name() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed().filter(|(_, door)| *door != "/api/chat") {
        let mut names = Vec::new();
        for _ in 0..2 {
            let whole = pairs.answer(api, door, false, &script(api, &ALL, Reason::Calls)).await.json().await;
            names.push(whole["id"].as_str().unwrap().to_owned());
        }
        assert_ne!(names[0], names[1], "{door} over {api}");
    }
}

#[tokio::test]
async fn where_both_speak_one_dialect_everything_arrives_too() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, _) in pairs().filter(|(_, _, same)| *same) {
        let heard = all.hear(api, door, true, &script(api, &ALL, Reason::Calls)).await;
        assert!(heard.succeeded(), "{door}: {heard:?}");
        assert_eq!((heard.thought.as_str(), heard.tools.len()), ("It flows north.", 2), "{door}");
    }
}

#[tokio::test]
async fn every_event_passes_before_the_next_one_comes() {
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        for api in APIS {
            let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
            call.say(&["Main 0"]).await;
            let mut answer = asked.answer().await;
            while !answer.next_event().await.data.contains("Main 0") {}
            for n in 1..5 {
                let text = format!("Main {n}");
                let frame = opening(&call.path, &[&text]).pop().unwrap();
                call.chunk(&frame).await;
                let event = answer.next_event().await;
                assert!(event.data.contains(&text), "{door} over {api}: {event:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_whole_answer_leaves_its_connection_for_the_next() {
    for api in APIS {
        let mut upstream = Upstream::start().await;
        // Every worker has connections of its own.
        let gateway = Setup::new().server("workers = 1").backend("one", api, &upstream.url()).start().await;
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            let mut seen = HashSet::new();
            until("a connection that is used again", async || {
                let asked = gateway.ask_post(door, &request(door, "m", false)).await;
                let mut call = upstream.call().await;
                let used_again = !seen.insert(call.connection);
                call.say(&[]).await;
                for frame in script(api, &[Part::Text(&["Rhine"])], Reason::Stop) {
                    call.chunk(frame).await;
                }
                // The answer does not wait for the end of the body.
                assert_eq!(asked.answer().await.status, 200);
                call.finish().await;
                used_again
            })
            .await;
        }
    }
}
