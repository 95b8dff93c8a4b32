//! Same dialect on both sides: every byte passes as it came, in both directions, but for what the gateway must change.

use serde_json::json;

use crate::support::pairs::{MESSAGES, RESPONSES, request};
use crate::support::{
    Ending, Gateway, Heard, Request, Setup, Upstream, begun, chat, gateway_over, openai, prompt,
};

/// A body that no serializer would write: spacing, order, unknown fields, odd numbers, a nested `model`.
const ODD: &str = "{ \"temperature\":1.0e0,\"stream\" : true,\n\t\"x_vendor\": {\"model\":\"inner\",\"big\":9007199254740993},\
                   \"messages\":[{\"content\":\"gr\\u00fc\u{df} \\ud83d\\ude00\",\"role\":\"user\"}] , \"model\":\"m\"  }";

/// What the backend was sent for this body.
async fn sent(api: &str, door: &str, body: &str) -> String {
    let (gateway, mut upstream) = gateway_over(api, &[]).await;
    let _asked = gateway.ask(&Request::raw(door, body.as_bytes())).await;
    String::from_utf8(upstream.call().await.body.to_vec()).unwrap()
}

#[tokio::test]
async fn an_ollama_request_goes_up_byte_for_byte() {
    assert_eq!(sent("ollama", "/api/chat", ODD).await, ODD);
}

#[tokio::test]
async fn a_request_that_asks_for_usage_goes_up_byte_for_byte() {
    let asking = ODD.replace(" , \"model\"", ",\"stream_options\":{\"include_usage\" : true} , \"model\"");
    assert_eq!(sent("openai", "/v1/chat/completions", &asking).await, asking);
}

#[tokio::test]
async fn a_whole_answers_request_goes_up_byte_for_byte() {
    let whole = ODD.replace("\"stream\" : true", "\"stream\" : false");
    assert_eq!(sent("openai", "/v1/chat/completions", &whole).await, whole);
}

#[tokio::test]
async fn an_embeddings_request_goes_up_byte_for_byte() {
    let body = "{\"input\" : [1.50, 2], \"encoding_format\":\"base64\", \"x\":1e2,\"model\":\"m\"}";
    assert_eq!(sent("openai", "/v1/embeddings", body).await, body);
}

#[tokio::test]
async fn asking_for_usage_is_all_that_is_added() {
    let sent = sent("openai", "/v1/chat/completions", ODD).await;
    let mut wanted: serde_json::Value = serde_json::from_str(ODD).unwrap();
    wanted["stream_options"] = json!({"include_usage": true});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sent).unwrap(), wanted);
    for part in [
        "\"temperature\":1.0e0",
        "\"big\":9007199254740993",
        "gr\\u00fc\u{df} \\ud83d\\ude00",
        "\n\t\"x_vendor\": {",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
}

#[tokio::test]
async fn usage_is_not_asked_of_a_backend_that_cannot_tell() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend_with("one", "openai", &upstream.url(), "stream_options = false");
    let gateway = setup.start().await;
    let _asked = gateway.ask(&Request::raw("/v1/chat/completions", ODD.as_bytes())).await;
    assert_eq!(upstream.call().await.body, ODD.as_bytes());
}

#[tokio::test]
async fn the_other_stream_options_of_the_client_stay() {
    let mut request = chat();
    request["stream_options"] = json!({"include_usage": false, "include_obfuscation": false});
    let sent = sent("openai", "/v1/chat/completions", &request.to_string()).await;
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent["stream_options"], json!({"include_usage": true, "include_obfuscation": false}));
}

#[tokio::test]
async fn an_alias_changes_the_model_and_nothing_else() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "ollama", &upstream.url());
    let route = "model = \"m\"\nbackends = [{ name = \"one\", model = \"org/river:2b\" }]";
    let gateway = setup.route(route).start().await;
    let _asked = gateway.ask(&Request::raw("/api/chat", ODD.as_bytes())).await;
    let wanted = ODD.replace("\"model\":\"m\"", "\"model\":\"org/river:2b\"");
    assert_eq!(upstream.call().await.body, wanted.as_bytes());
}

/// Frames that no serializer would write, and what must be seen of them.
const FRAMES: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"gr\u{fc}\\u00df \u{1f30a}\"}}],\"x_vendor\" : {\"t\":1.50,\"big\":9007199254740993}}\n\n\
                      event: note\ndata: {\"choices\":[{\"index\":0, \"delta\":{\"content\":\"b\"}}],\"obfuscation\":\"xx\",\"usage\":null}\n\n\
                      data:{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn openai_frames_come_down_byte_for_byte() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.chunk(FRAMES).await;
    call.done().await;
    let (body, ending) = asked.answer().await.rest().await;
    assert_eq!(String::from_utf8(body.to_vec()).unwrap(), format!("{FRAMES}data: [DONE]\n\n"));
    assert_eq!(ending, Ending::Clean);
}

/// Both newer dialects: events that are unknown, odd spacing, members nobody knows, and numbers as they are written.
const MESSAGE: &str = "event: message_start\ndata: {\"type\" : \"message_start\",\"message\":{\"id\":\"msg_1\", \"usage\":{\"input_tokens\":3,\"x\":1.50}}}\n\n\
                       event: ping\ndata:{\"type\":\"ping\"}\n\n\
                       event: vendor\ndata: {\"type\":\"vendor\",\"big\":9007199254740993}\n\n\
                       event: content_block_start\ndata: {\"index\":0,\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"s\"}}\n\n\
                       event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
                       event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"text\":\"\",\"type\":\"text\",\"citations\":[]}}\n\n\
                       event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"gr\u{fc}\\u00df\"} }\n\n\
                       event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}}\n\n\
                       event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n\
                       event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"pause_turn\"},\"usage\":{\"output_tokens\":1e0},\"context_management\":null}\n\n\
                       event: message_stop\ndata: {\"type\":\"message_stop\", \"amazon-bedrock\":{}}\n\n";
const RESPONSE: &str = "event: response.created\ndata: {\"type\":\"response.created\", \"response\":{\"id\":\"r\",\"x\":1.50},\"sequence_number\":0}\n\n\
                        event: response.queued\ndata:{\"type\":\"response.queued\",\"sequence_number\":1}\n\n\
                        event: response.vendor\ndata: {\"type\":\"response.vendor\",\"big\":9007199254740993}\n\n\
                        event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":3}\n\n\
                        event: response.output_text.delta\ndata: {\"delta\":\"gr\u{fc}\\u00df\",\"type\":\"response.output_text.delta\" ,\"obfuscation\":\"x\"}\n\n\
                        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{ \"usage\":null,\"output\":[]}}\n\n";

#[tokio::test]
async fn the_events_of_anthropic_and_responses_come_down_byte_for_byte() {
    for (api, door, frames) in [("anthropic", MESSAGES, MESSAGE), ("responses", RESPONSES, RESPONSE)] {
        let (gateway, mut upstream) = gateway_over(api, &[]).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.stream().await;
        call.chunk(frames).await;
        call.finish().await;
        let (body, ending) = asked.answer().await.rest().await;
        assert_eq!(String::from_utf8(body.to_vec()).unwrap(), frames, "{door}");
        assert_eq!(ending, Ending::Clean, "{door}");
    }
}

#[tokio::test]
async fn the_requests_of_anthropic_and_responses_go_up_byte_for_byte() {
    assert_eq!(sent("anthropic", MESSAGES, ODD).await, ODD);
    assert_eq!(sent("responses", RESPONSES, ODD).await, ODD);
    assert_eq!(sent("anthropic", "/v1/messages/count_tokens", ODD).await, ODD);
}

#[tokio::test]
async fn the_query_of_a_beta_client_makes_no_difference() {
    assert_eq!(sent("anthropic", "/v1/messages?beta=true", ODD).await, ODD);
}

#[tokio::test]
async fn whole_answers_of_anthropic_and_responses_come_down_byte_for_byte() {
    for (api, door) in [("anthropic", MESSAGES), ("responses", RESPONSES)] {
        let (gateway, mut upstream) = gateway_over(api, &[]).await;
        let asked = gateway.ask_post(door, &request(door, "m", false)).await;
        // A response has an `error` also where it has none.
        let body = "{ \"x\":1.50,\"id\":\"c\", \"error\" : null,\"big\":9007199254740993,\"output\":[],\"content\":[]}\n";
        upstream.call().await.answer_with(200, &[], body).await;
        let mut answer = asked.answer().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{door}");
        assert_eq!(answer.text().await, body, "{door}");
    }
}

#[tokio::test]
async fn a_count_of_tokens_comes_down_byte_for_byte() {
    let (gateway, mut upstream) = gateway_over("anthropic", &[]).await;
    let asked = gateway.ask_post("/v1/messages/count_tokens", &request(MESSAGES, "m", false)).await;
    let call = upstream.call().await;
    assert_eq!(call.path, "/v1/messages/count_tokens");
    call.answer_with(200, &[], "{ \"input_tokens\" : 7,\"x\":{}}").await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.header("x-estimated"), None);
    assert_eq!(answer.text().await, "{ \"input_tokens\" : 7,\"x\":{}}");
}

#[tokio::test]
async fn ollama_lines_come_down_byte_for_byte() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/generate", &json!({"model": "m", "prompt": "Hi"})).await;
    let mut call = upstream.call().await;
    call.lines().await;
    // The token context of a long talk is the longest line there is.
    let context = "1234567,".repeat(20_000);
    let lines = format!(
        "{{ \"response\":\"gr\\u00fc\u{df}\", \"done\" :false,\"x\":1.50}}\n{{\"response\":\"\",\"done\":true,\"context\":[{context}1]}}\n"
    );
    call.chunk(&lines).await;
    call.finish().await;
    let (body, ending) = asked.answer().await.rest().await;
    assert_eq!(String::from_utf8(body.to_vec()).unwrap(), lines);
    assert_eq!(ending, Ending::Clean);
}

#[tokio::test]
async fn a_whole_answer_comes_down_byte_for_byte() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let body = "{ \"x\":1.50,\"id\":\"c\", \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n";
    upstream.call().await.answer_with(200, &[], body).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text().await, body);
}

#[tokio::test]
async fn base64_embeddings_come_down_byte_for_byte() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a"})).await;
    let body = "{\"object\":\"list\", \"data\":[{\"index\":0,\"embedding\":\"AAAAPwAAgL4=\"}],\"usage\":{\"prompt_tokens\":2}}";
    upstream.call().await.answer_with(200, &[], body).await;
    assert_eq!(asked.answer().await.text().await, body);
}

#[tokio::test]
async fn the_embeddings_of_ollama_pass_at_both_their_routes() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    for (door, field) in [("/api/embed", "input"), ("/api/embeddings", "prompt")] {
        let asked = gateway.ask_post(door, &json!({"model": "m", field: "a"})).await;
        let call = upstream.call().await;
        assert_eq!(call.path, door);
        call.answer_with(200, &[], "{ \"embedding\" : [0.50] }").await;
        assert_eq!(asked.answer().await.text().await, "{ \"embedding\" : [0.50] }");
    }
}

/// What a client hears of a stream that ends with a usage chunk.
async fn heard(request: &serde_json::Value) -> (Gateway, Heard) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", request).await;
    let mut call = upstream.call().await;
    call.say(&["Neva"]).await;
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(13, 1)).await;
    call.done().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    (gateway, heard)
}

#[tokio::test]
async fn the_usage_chunk_is_hidden_from_a_client_that_did_not_ask_but_counted() {
    let (gateway, heard) = heard(&chat()).await;
    assert_eq!(heard.events, [openai::text("Neva"), openai::finish("stop")]);
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 13.0).await;
}

#[tokio::test]
async fn the_usage_chunk_is_shown_to_a_client_that_asked() {
    let mut request = chat();
    request["stream_options"] = json!({"include_usage": true});
    assert_eq!(heard(&request).await.1.events.last(), Some(&openai::usage(13, 1)));
}

#[tokio::test]
async fn usage_on_a_chunk_with_choices_passes_as_it_is() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    let mut finish = openai::finish("stop");
    finish["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
    call.sse(&finish).await;
    call.done().await;
    let heard = Heard::of(&mut answer).await;
    assert_eq!(heard.events, [finish]);
}

#[tokio::test]
async fn finish_reasons_that_mean_failure_come_down_byte_for_byte() {
    for reason in ["error", "abort"] {
        let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
        call.sse(&openai::finish(reason)).await;
        assert_eq!(answer.next_event().await.raw, format!("data: {}\n\n", openai::finish(reason)));
    }
}
