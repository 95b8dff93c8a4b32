//! Why an answer ended, in the words of every client.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, crossed};
use crate::support::script::{Part, Reason, chat, events, script};
use crate::support::{Pairs, anthropic, openai, responses};

/// Each door's words for an end by itself, by the token limit, by a call, and by a filter.
fn word(door: &str, reason: Reason) -> &'static str {
    let words = match door {
        CHAT => ["stop", "length", "tool_calls", "content_filter"],
        RESPONSES => ["completed", "max_output_tokens", "completed", "content_filter"],
        MESSAGES => ["end_turn", "max_tokens", "tool_use", "refusal"],
        _ => ["stop", "length", "stop", "stop"],
    };
    words[match reason {
        Reason::Stop => 0,
        Reason::Length => 1,
        Reason::Calls => 2,
        Reason::Filter => 3,
    }]
}

/// Every client over this backend, streamed and whole, is told this reason.
async fn assert_each(api: &str, frames: &[String], reason: Reason) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, frames).await;
            let what = format!("{door} over {api}, stream {stream}");
            assert!(heard.succeeded(), "{what}: {heard:?}");
            assert_eq!(heard.finish, [word(door, reason)], "{what}");
        }
    }
}

#[tokio::test]
async fn every_reason_is_said_in_the_words_of_every_client() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for reason in [Reason::Stop, Reason::Length, Reason::Calls, Reason::Filter] {
            let parts: &[Part] = match reason {
                Reason::Calls => &[Part::Text(&["I look."]), Part::Call("call_1", "depth", &["{}"])],
                Reason::Stop | Reason::Length | Reason::Filter => &[Part::Text(&["Rhine"])],
            };
            if (api, reason) == ("ollama", Reason::Filter) {
                continue;
            }
            for stream in [true, false] {
                let heard = pairs.hear(api, door, stream, &script(api, parts, reason)).await;
                let what = format!("{door} over {api}, {reason:?}, stream {stream}");
                assert_eq!(heard.finish, [word(door, reason)], "{what}: {heard:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_the_token_limit_cut_ends_by_length() {
    let parts = [Part::Text(&["I look."]), Part::Call("call_1", "depth", &["{\"of\":\"Rh"])];
    for api in ["openai", "responses", "anthropic"] {
        assert_each(api, &script(api, &parts, Reason::Length), Reason::Length).await;
    }
}

#[tokio::test]
async fn a_whole_call_before_the_token_limit_ends_by_length() {
    let parts = [Part::Call("call_1", "depth", &["{}"])];
    for api in ["openai", "responses", "anthropic", "ollama"] {
        assert_each(api, &script(api, &parts, Reason::Length), Reason::Length).await;
    }
}

#[tokio::test]
async fn a_call_ends_in_a_call_also_where_the_backend_says_stop() {
    let parts = [Part::Call("call_1", "depth", &["{}"])];
    for api in ["openai", "responses", "anthropic", "ollama"] {
        assert_each(api, &script(api, &parts, Reason::Stop), Reason::Calls).await;
    }
}

/// A text of an Anthropic backend that ends for this reason.
fn stopped(delta: &Value) -> Vec<String> {
    let mut said = vec![anthropic::start(&anthropic::counts()), anthropic::open_text(0)];
    said.extend([anthropic::text(0, "Rhine"), anthropic::close(0)]);
    said.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4}}));
    said.push(anthropic::stop());
    events(&said)
}

#[tokio::test]
async fn the_other_reasons_of_anthropic_are_said_too() {
    for (reason, wanted) in [
        ("pause_turn", Reason::Stop),
        ("stop_sequence", Reason::Stop),
        ("model_context_window_exceeded", Reason::Length),
        ("something_new", Reason::Stop),
    ] {
        let frames = stopped(&json!({"stop_reason": reason, "stop_sequence": "\n\n"}));
        assert_each("anthropic", &frames, wanted).await;
    }
}

#[tokio::test]
async fn why_anthropic_refused_is_told() {
    let details = json!({"type": "refusal", "category": "cyber", "explanation": "I must not."});
    let frames = stopped(&json!({"stop_reason": "refusal", "stop_sequence": null, "stop_details": details}));
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "anthropic") {
        for stream in [true, false] {
            let heard = pairs.hear("anthropic", door, stream, &frames).await;
            assert!(heard.succeeded(), "{door}: {heard:?}");
            let told = [heard.refusal.as_str(), heard.text.as_str()].concat();
            assert!(told.contains("I must not."), "{door}, stream {stream}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn a_filter_without_words_is_an_end_that_says_so() {
    let frames = chat(&[openai::role(), openai::finish("content_filter")]);
    assert_each("openai", &frames, Reason::Filter).await;
    let frames = events(&responses::stream(&[], responses::incomplete(&[], "content_filter")));
    assert_each("responses", &frames, Reason::Filter).await;
}

/// A refusal in words, as the two dialects of OpenAI say it.
fn refusing(api: &str) -> Vec<String> {
    if api == "openai" {
        let word = |text: &str| openai::delta(&json!({"refusal": text}));
        return chat(&[openai::role(), word("I would "), word("rather not."), openai::finish("stop")]);
    }
    let item = responses::message(&[responses::refusal_part("I would rather not.")]);
    let mut said = vec![responses::added(0, &responses::message(&[]))];
    said.extend([responses::refusal(0, "I would "), responses::refusal(0, "rather not.")]);
    said.push(responses::done(0, &item));
    events(&responses::stream(&said, responses::completed(&[item])))
}

#[tokio::test]
async fn a_refusal_stays_one_where_there_is_a_word_for_it() {
    let mut pairs = Pairs::start(&[]).await;
    for api in ["openai", "responses"] {
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            for stream in [true, false] {
                let heard = pairs.hear(api, door, stream, &refusing(api)).await;
                let what = format!("{door} over {api}, stream {stream}: {heard:?}");
                assert!(heard.succeeded(), "{what}");
                let (refusal, text, finish) = match door {
                    CHAT => ("I would rather not.", "", "stop"),
                    RESPONSES => ("I would rather not.", "", "completed"),
                    MESSAGES => ("", "I would rather not.", "refusal"),
                    _ => ("", "I would rather not.", "stop"),
                };
                assert_eq!((heard.refusal.as_str(), heard.text.as_str()), (refusal, text), "{what}");
                assert_eq!(heard.finish, [finish], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_second_finish_reason_does_not_count() {
    let said = [openai::text("Rhine"), openai::finish("length"), openai::finish("stop")];
    assert_each("openai", &chat(&said), Reason::Length).await;
}

#[tokio::test]
async fn a_stop_sequence_that_the_backend_names_is_named_to_anthropics_clients() {
    let mut finish = openai::finish("stop");
    finish["choices"][0]["stop_reason"] = json!("END"); // vLLM
    let mut pairs = Pairs::start(&[]).await;
    for stream in [true, false] {
        let frames = chat(&[openai::text("Rhine"), finish.clone()]);
        let heard = pairs.hear("openai", MESSAGES, stream, &frames).await;
        assert_eq!(heard.finish, ["stop_sequence"], "stream {stream}: {heard:?}");
        let told = heard.usage.unwrap();
        let told = if stream { &told["delta"] } else { &told };
        assert_eq!(told["stop_sequence"], "END", "{told}");
    }
}

#[tokio::test]
async fn an_end_without_a_reason_is_no_reason_of_ollamas() {
    let mut done = crate::support::ollama::done("stop");
    done.as_object_mut().unwrap().remove("done_reason");
    let lines = crate::support::script::lines(&[crate::support::ollama::text("Rhine"), done]);
    assert_each("ollama", &lines, Reason::Stop).await;
    // A server that has a place for the reason and leaves it empty has broken off.
    let mut pairs = Pairs::start(&[]).await;
    assert!(pairs.hear("openai", OLLAMA, true, &chat(&[openai::text("Rhine")])).await.failed());
    let mut unreasoned = openai::text("Rhine");
    unreasoned["choices"][0].as_object_mut().unwrap().remove("finish_reason");
    assert!(pairs.hear("openai", OLLAMA, true, &chat(&[unreasoned])).await.succeeded());
}

#[tokio::test]
async fn a_token_that_ended_the_answer_is_no_stop_sequence() {
    let mut finish = openai::finish("stop");
    finish["choices"][0]["stop_reason"] = json!(128_009); // vLLM
    let mut pairs = Pairs::start(&[]).await;
    let heard = pairs.hear("openai", MESSAGES, true, &chat(&[openai::text("Rhine"), finish])).await;
    assert_eq!(heard.finish, ["end_turn"], "{heard:?}");
    assert!(heard.usage.unwrap()["delta"]["stop_sequence"].is_null());
}
