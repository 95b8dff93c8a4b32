//! A whole answer is asked for as a stream, which the server notices to be left, and is what the server would have written.

use serde_json::{Value, json};

use super::{KNOWN, asked, chat_with, gateway};
use crate::support::pairs::CHAT;
use crate::support::{Request, counts};

/// Behind `choices` in every chunk.
const OF_CHAT: &str = "\"created\":7,\"id\":\"c-1\",\"model\":\"m\",\"system_fingerprint\":\"b9\",\"object\":\"chat.completion.chunk\"";
const OF_TEXT: &str = "\"created\":7,\"model\":\"m\",\"system_fingerprint\":\"b9\",\"object\":\"text_completion\",\"id\":\"c-1\"";

fn delta(index: u32, delta: &str) -> String {
    format!("{{\"choices\":[{{\"finish_reason\":null,\"index\":{index},\"delta\":{delta}}}],{OF_CHAT}}}")
}

fn finish(index: u32, reason: &str) -> String {
    format!("{{\"choices\":[{{\"finish_reason\":\"{reason}\",\"index\":{index},\"delta\":{{}}}}],{OF_CHAT}}}")
}

fn usage(tokens: u32) -> String {
    format!("{{\"choices\":[],{OF_CHAT},{}}}", told(tokens))
}

fn told(tokens: u32) -> String {
    format!(
        "\"usage\":{{\"completion_tokens\":{tokens},\"prompt_tokens\":5}},\"timings\":{{\"predicted_n\":{tokens},\"ms\":1.50}}"
    )
}

fn text(index: u32, text: &str, finish: &str, more: &str) -> String {
    format!(
        "{{\"choices\":[{{\"text\":{text},\"index\":{index},\"logprobs\":null,\"finish_reason\":{finish}}}],{OF_TEXT}{more}}}"
    )
}

/// The same behind the choices of a whole answer.
fn behind(object: &str, tokens: u32) -> String {
    let told = told(tokens);
    let (usage, timings) = told.split_once(",\"timings\"").unwrap();
    format!(
        "\"created\":7,\"model\":\"m\",\"system_fingerprint\":\"b9\",\"object\":\"{object}\",{usage},\"id\":\"c-1\",\"timings\"{timings}"
    )
}

/// The gateway's answer to a request whose backend streams these chunks.
async fn answered(door: &str, request: &Value, chunks: &[String]) -> String {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let asked = gateway.ask(&Request::post(door, request)).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["stream"], true);
    call.stream().await;
    for chunk in chunks {
        call.chunk(format!("data: {chunk}\n\n")).await;
    }
    call.done().await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.text().await
}

#[tokio::test]
async fn it_is_asked_for_as_a_stream_with_usage_and_progress_and_nothing_else_changes() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let body = "{ \"temperature\":1.0e0,\"stream\" : false, \"messages\":[{\"content\":\"x\",\"role\":\"user\"}] , \"model\":\"m\"}";
    let _asked = gateway.ask(&Request::raw(CHAT, body.as_bytes())).await;
    let sent = String::from_utf8(upstream.call().await.body.to_vec()).unwrap();
    let added = "{\"return_progress\":true,\"stream_options\":{\"include_usage\":true}, \"temp";
    assert_eq!(sent, body.replace("{ \"temp", added).replace("false", "true"));
}

#[tokio::test]
async fn text_and_thoughts_are_joined_as_the_server_escapes_them() {
    let chunks = [
        delta(0, "{\"role\":\"assistant\",\"content\":null}"),
        delta(0, "{\"reasoning_content\":\"So \\\"\\\\\"}"),
        delta(0, "{\"reasoning_content\":\"\\n\"}"),
        delta(0, "{\"content\":\"gr\u{fc}\\u00df \"}"),
        delta(0, "{\"content\":\"\u{1f98a}\"}"),
        finish(0, "stop"),
        usage(4),
    ];
    let wanted = format!(
        "{{\"choices\":[{{\"finish_reason\":\"stop\",\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"gr\u{fc}\\u00df \u{1f98a}\",\"reasoning_content\":\"So \\\"\\\\\\n\"}}}}],{}}}",
        behind("chat.completion", 4)
    );
    assert_eq!(answered(CHAT, &chat_with(false, &json!({})), &chunks).await, wanted);
}

#[tokio::test]
async fn calls_are_joined_each_by_its_index() {
    let chunks = [
        delta(0, "{\"role\":\"assistant\",\"content\":null}"),
        delta(
            0,
            "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"sail\",\"arguments\":\"{\"}}]}",
        ),
        delta(
            0,
            "{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"row\",\"arguments\":\"\"}}]}",
        ),
        delta(0, "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"to\\\":1}\"}}]}"),
        delta(0, "{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}"),
        finish(0, "tool_calls"),
        usage(9),
    ];
    let call = |name: &str, arguments: &str, id: &str| {
        format!(
            "{{\"type\":\"function\",\"function\":{{\"name\":\"{name}\",\"arguments\":\"{arguments}\"}},\"id\":\"{id}\"}}"
        )
    };
    let (sail, row) = (call("sail", "{\\\"to\\\":1}", "a"), call("row", "{}", "b"));
    let wanted = format!(
        "{{\"choices\":[{{\"finish_reason\":\"tool_calls\",\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{sail},{row}]}}}}],{}}}",
        behind("chat.completion", 9)
    );
    assert_eq!(answered(CHAT, &chat_with(false, &json!({})), &chunks).await, wanted);
}

#[tokio::test]
async fn several_choices_are_told_apart_and_usage_is_that_of_the_first() {
    let chunks = [
        delta(1, "{\"role\":\"assistant\",\"content\":null}"),
        delta(0, "{\"role\":\"assistant\",\"content\":null}"),
        delta(1, "{\"content\":\"b\"}"),
        delta(0, "{\"content\":\"a\"}"),
        finish(1, "stop"),
        usage(2),
        delta(0, "{\"content\":\"A\"}"),
        finish(0, "length"),
        usage(3),
    ];
    let choice = |index: u32, finish: &str, text: &str| {
        format!(
            "{{\"finish_reason\":\"{finish}\",\"index\":{index},\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}}}}"
        )
    };
    let (first, second) = (choice(0, "length", "aA"), choice(1, "stop", "b"));
    let wanted = format!("{{\"choices\":[{first},{second}],{}}}", behind("chat.completion", 3));
    assert_eq!(answered(CHAT, &chat_with(false, &json!({"n": 2})), &chunks).await, wanted);
}

#[tokio::test]
async fn completions_of_several_prompts_are_put_together_too() {
    let request = json!({"model": "m", "prompt": ["p", "q"]});
    let chunks = [
        text(0, "\"a\"", "null", ""),
        "null".to_owned(),
        text(1, "\"b \"", "null", ""),
        text(1, "\"\"", "\"length\"", &format!(",{}", told(1))),
        text(0, "\" c\"", "null", ""),
        text(0, "\"\"", "\"stop\"", &format!(",{}", told(2))),
    ];
    let choice = |index: u32, text: &str, finish: &str| {
        format!("{{\"text\":\"{text}\",\"index\":{index},\"logprobs\":null,\"finish_reason\":\"{finish}\"}}")
    };
    let (first, second) = (choice(0, "a c", "stop"), choice(1, "b ", "length"));
    let wanted = format!("{{\"choices\":[{first},{second}],{}}}", behind("text_completion", 2));
    assert_eq!(answered("/v1/completions", &request, &chunks).await, wanted);
}

#[tokio::test]
async fn all_choices_count_for_the_meter() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let (asked, mut call) = asked(&gateway, &mut upstream, &chat_with(false, &json!({"n": 2}))).await;
    call.stream().await;
    for chunk in [delta(0, "{\"content\":\"a\"}"), delta(1, "{\"content\":\"b\"}")] {
        call.chunk(format!("data: {chunk}\n\n")).await;
    }
    for chunk in [finish(1, "stop"), usage(2), finish(0, "stop"), usage(3)] {
        call.chunk(format!("data: {chunk}\n\n")).await;
    }
    call.done().await;
    assert_eq!(asked.answer().await.status, 200);
    counts(&gateway, "streamgate_tokens_total", &["out"], 5).await;
}

#[tokio::test]
async fn what_only_a_whole_answer_holds_is_asked_for_as_one() {
    let begun = json!([{"role": "user", "content": "Go on:"}, {"role": "assistant", "content": "Once"}]);
    for more in [json!({"logprobs": true}), json!({"verbose": true}), json!({"messages": begun})] {
        let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
        let request = chat_with(false, &more);
        let (asked, call) = asked(&gateway, &mut upstream, &request).await;
        assert_eq!(call.json(), request);
        call.answer_with(200, &[], "{ \"choices\":[] }").await;
        assert_eq!(asked.answer().await.text().await, "{ \"choices\":[] }");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_is_written_drops_the_backend() {
    for door in [CHAT, "/v1/completions"] {
        let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
        let asked = gateway
            .ask(&Request::post(
                door,
                &json!({"model": "m", "prompt": "p", "messages": [{"role": "user", "content": "p"}]}),
            ))
            .await;
        let mut call = upstream.call().await;
        call.stream().await;
        call.chunk(format!("data: {}\n\n", text(0, "\"a\"", "null", ""))).await;
        drop(asked);
        call.closed().await;
    }
}

#[tokio::test]
async fn what_goes_wrong_behind_the_head_is_a_status() {
    let error =
        "data: {\"error\":{\"code\":500,\"message\":\"out of memory\",\"type\":\"server_error\"}}\n\n";
    for (what, frame) in [("an error", error), ("no end", "data: null\n\n"), ("no event", "data: {\n\n")] {
        let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
        let (asked, mut call) = asked(&gateway, &mut upstream, &chat_with(false, &json!({}))).await;
        call.stream().await;
        call.chunk(format!("data: {}\n\n", delta(0, "{\"content\":\"a\"}"))).await;
        call.chunk(frame).await;
        call.finish().await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 502, "{what}");
        assert!(answer.json().await["error"].is_object(), "{what}");
    }
}
