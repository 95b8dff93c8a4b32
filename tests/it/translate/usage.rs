//! Token counts: what was read and written, with caches, whichever way the dialects count, told once and kept for the meter.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, request, request_with};
use crate::support::script::{chat, events, lines};
use crate::support::{Heard, Pairs, anthropic, ollama, openai, responses};

/// 100 tokens read, 30 of them from a cache and 20 into one, 40 written.
fn anthropic_frames() -> Vec<String> {
    let usage = json!({
        "input_tokens": 50, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20, "output_tokens": 1
    });
    let said = [
        anthropic::start(&usage),
        anthropic::open_text(0),
        anthropic::text(0, "Rhine"),
        anthropic::close(0),
        anthropic::stopped("end_turn", &json!({"output_tokens": 40})),
        anthropic::stop(),
    ];
    events(&said)
}

/// 100 tokens read, 30 of them from a cache, 40 written, 7 of them reasoning.
fn openai_usage() -> Value {
    let mut usage = openai::usage(100, 40);
    usage["usage"]["prompt_tokens_details"] = json!({"cached_tokens": 30});
    usage["usage"]["completion_tokens_details"] = json!({"reasoning_tokens": 7});
    usage
}

fn responses_frames() -> Vec<String> {
    let mut end = responses::completed(&[responses::message(&[responses::text_part("Rhine")])]);
    end["response"]["usage"] = json!({
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 140
    });
    events(&responses::stream(&responses::spoken(0, "Rhine"), end))
}

/// The counts that a client was told, as its dialect has them.
fn told(door: &str, stream: bool, heard: &Heard) -> Value {
    let event = heard.usage.as_ref().unwrap_or_else(|| panic!("no usage at {door}: {heard:?}"));
    if door == OLLAMA {
        return json!([event["prompt_eval_count"], event["eval_count"]]);
    }
    assert!(!stream || door != CHAT || event["choices"] == json!([]), "a chunk of its own: {event}");
    event["usage"].clone()
}

/// What each client is told of these frames: `cached` and `written` of the 100, `reasoning` of the 40.
async fn assert_told(api: &str, frames: &[String], [cached, written, reasoning]: [u64; 3]) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, frames).await;
            let mut cache = json!({"cached_tokens": cached});
            if written > 0 {
                cache["cache_write_tokens"] = json!(written);
            }
            let mut wanted = match door {
                CHAT => json!({
                    "prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140,
                    "prompt_tokens_details": cache,
                    "completion_tokens_details": {"reasoning_tokens": reasoning}
                }),
                RESPONSES => json!({
                    "input_tokens": 100, "input_tokens_details": cache, "output_tokens": 40,
                    "output_tokens_details": {"reasoning_tokens": reasoning}, "total_tokens": 140
                }),
                MESSAGES => json!({
                    "input_tokens": 100 - cached - written, "cache_read_input_tokens": cached,
                    "cache_creation_input_tokens": written, "output_tokens": 40
                }),
                _ => json!([100, 40]),
            };
            if door == MESSAGES && reasoning > 0 {
                wanted["output_tokens_details"] = json!({"thinking_tokens": reasoning});
            }
            assert_eq!(told(door, stream, &heard), wanted, "{door} over {api}, stream {stream}");
        }
    }
}

#[tokio::test]
async fn what_anthropic_counts_beside_its_input_is_added_to_it() {
    assert_told("anthropic", &anthropic_frames(), [30, 20, 0]).await;
}

#[tokio::test]
async fn what_openai_counts_in_its_input_is_taken_from_it_for_anthropic() {
    let frames = chat(&[openai::text("Rhine"), openai::finish("stop"), openai_usage()]);
    assert_told("openai", &frames, [30, 0, 7]).await;
}

#[tokio::test]
async fn the_counts_of_responses_arrive_everywhere() {
    assert_told("responses", &responses_frames(), [30, 0, 7]).await;
}

#[tokio::test]
async fn the_counts_of_ollama_arrive_everywhere() {
    let mut done = ollama::done("stop");
    (done["prompt_eval_count"], done["eval_count"]) = (json!(100), json!(40));
    assert_told("ollama", &lines(&[ollama::text("Rhine"), done]), [0, 0, 0]).await;
}

#[tokio::test]
async fn counts_may_stand_anywhere_and_the_last_ones_are_told_once() {
    let with = |mut chunk: Value, usage: &Value| {
        chunk["usage"] = usage["usage"].clone();
        chunk
    };
    let usage = openai_usage();
    let mut groq = openai::finish("stop");
    groq["x_groq"] = json!({"id": "req_1", "usage": usage["usage"]});
    let mut azure = openai::usage(0, 0);
    (azure["usage"], azure["prompt_filter_results"]) = (Value::Null, json!([]));
    let mut deepseek = usage.clone();
    deepseek["usage"]["prompt_cache_hit_tokens"] = json!(30);
    deepseek["usage"].as_object_mut().unwrap().remove("prompt_tokens_details");
    for said in [
        vec![openai::text("Rhine"), with(openai::finish("stop"), &deepseek)],
        vec![openai::text("Rhine"), with(openai::finish("stop"), &usage)],
        vec![with(openai::text("Rhine"), &openai::usage(100, 1)), with(openai::finish("stop"), &usage)],
        vec![openai::text("Rhine"), groq],
        vec![azure, openai::text("Rhine"), openai::finish("stop"), usage.clone(), usage.clone()],
    ] {
        assert_told("openai", &chat(&said), [30, 0, 7]).await;
    }
}

#[tokio::test]
async fn counts_behind_the_finish_reason_are_awaited_and_need_no_done() {
    let mut frames = chat(&[openai::text("Rhine"), openai::finish("stop"), openai_usage()]);
    frames.pop();
    assert_told("openai", &frames, [30, 0, 7]).await;
}

#[tokio::test]
async fn counts_that_never_come_hold_nothing_up() {
    let mut pairs = Pairs::start(&[]).await;
    let mut frames = chat(&[openai::text("Rhine"), openai::finish("stop")]);
    for done in [true, false] {
        for door in [RESPONSES, MESSAGES, OLLAMA] {
            let heard = pairs.hear("openai", door, true, &frames).await;
            assert!(heard.succeeded(), "{door}, [DONE] {done}: {heard:?}");
            let last = heard.events.last().unwrap();
            assert!(last.get("prompt_eval_count").is_none(), "unknown is not 0: {last}");
        }
        frames.pop();
    }
}

#[tokio::test]
async fn the_counts_of_anthropic_are_set_and_never_added_up() {
    let full = json!({
        "input_tokens": 50, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20, "output_tokens": 20
    });
    let said = [
        anthropic::start(&full),
        anthropic::open_text(0),
        anthropic::text(0, "Rhine"),
        anthropic::close(0),
        json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 30}}),
        anthropic::stopped("end_turn", &{
            let mut last = full.clone();
            last["output_tokens"] = json!(40);
            last
        }),
        anthropic::stop(),
    ];
    assert_told("anthropic", &events(&said), [30, 20, 0]).await;
}

#[tokio::test]
async fn what_came_from_a_cache_is_counted_beside_the_input_where_there_is_more_of_it() {
    let mut usage = openai::usage(10, 4);
    usage["usage"]["prompt_tokens_details"] = json!({"cached_tokens": 30});
    let frames = chat(&[openai::text("Rhine"), openai::finish("stop"), usage]);
    let heard = Pairs::start(&[]).await.hear("openai", MESSAGES, true, &frames).await;
    let counts = told(MESSAGES, true, &heard);
    assert_eq!((&counts["input_tokens"], &counts["cache_read_input_tokens"]), (&json!(10), &json!(30)));
}

#[tokio::test]
async fn a_chat_client_that_did_not_ask_is_shown_no_counts() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, frames) in [("anthropic", anthropic_frames()), ("responses", responses_frames())] {
        let options = json!({"stream_options": {"include_usage": false}});
        let heard = pairs.hear_as(CHAT, &request_with(CHAT, api, true, &options), &frames).await;
        assert!(heard.succeeded() && heard.usage.is_none(), "{api}: {heard:?}");
        assert!(heard.events.iter().all(|event| event.get("usage").is_none()), "{api}: {heard:?}");
    }
}

#[tokio::test]
async fn what_is_known_of_the_input_is_told_at_the_start_of_a_message() {
    let heard = Pairs::start(&[]).await.hear("anthropic", MESSAGES, true, &anthropic_frames()).await;
    assert_eq!(heard.events[0]["message"]["usage"]["cache_read_input_tokens"], 30);
}

#[tokio::test]
async fn counts_of_both_new_dialects_are_metered_streamed_and_whole() {
    for (api, door, frames) in
        [("anthropic", MESSAGES, anthropic_frames()), ("responses", RESPONSES, responses_frames())]
    {
        let mut pairs = Pairs::start(&[]).await;
        pairs.hear(api, door, true, &frames).await;
        pairs.gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 100.0).await;
        pairs.gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 40.0).await;
        let (asked, call) = pairs.ask(door, &request(door, api, false)).await;
        let whole = if api == "anthropic" { anthropic::whole("Rhine") } else { responses::whole("Rhine") };
        call.answer(200, &whole).await;
        assert_eq!(asked.answer().await.json().await, whole, "{api}");
        let (input, output) = if api == "anthropic" { (105.0, 42.0) } else { (111.0, 44.0) };
        pairs.gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], input).await;
        pairs.gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], output).await;
    }
}
