//! Where an answer ends: at its terminator, not at the first reason for it.

use serde_json::json;

use crate::support::pairs::{CHAT, DOORS, MESSAGES, each, request};
use crate::support::script::{chat, chunks, events, lines};
use crate::support::{Heard, Pairs, anthropic, ollama, openai, responses};

/// The word of each client for an answer that the token limit cut.
const CUT: [&str; 3] = ["length", "max_tokens", "max_output_tokens"];

#[tokio::test]
async fn what_comes_behind_a_finish_reason_is_heard() {
    let text = vec![
        openai::finish("stop"),
        openai::text("Rhine"),
        openai::finish("stop"),
        openai::text(" and Main"),
    ];
    let thought = vec![openai::thought("Rhine"), openai::finish("stop"), openai::text("Rhine and Main")];
    for said in [text, thought] {
        each("openai", &chat(&said), |what, heard| assert_eq!(heard.text, "Rhine and Main", "{what}")).await;
    }
    let blocks = [
        anthropic::start(&anthropic::counts()),
        anthropic::stopped("end_turn", &json!({"output_tokens": 4})),
        anthropic::open_text(0),
        anthropic::text(0, "Rhine"),
        anthropic::close(0),
        anthropic::stop(),
    ];
    each("anthropic", &events(&blocks), |what, heard| assert_eq!(heard.text, "Rhine", "{what}")).await;
}

#[tokio::test]
async fn a_later_reason_that_says_more_counts() {
    let said =
        vec![openai::text("Rhi"), openai::finish("stop"), openai::text("ne"), openai::finish("length")];
    each("openai", &chat(&said), |what, heard| {
        let finish = heard.finish.last().unwrap();
        assert!(CUT.iter().any(|cut| finish.contains(cut)), "{what}");
    })
    .await;
    let blocks = [
        anthropic::start(&anthropic::counts()),
        anthropic::open_text(0),
        anthropic::text(0, "Rhi"),
        anthropic::stopped("end_turn", &json!({"output_tokens": 4})),
        anthropic::stopped("max_tokens", &json!({"output_tokens": 5})),
        anthropic::stop(),
    ];
    each("anthropic", &events(&blocks), |what, heard| {
        let finish = heard.finish.last().unwrap();
        assert!(CUT.iter().any(|cut| finish.contains(cut)), "{what}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_its_terminator_ends_with_its_body() {
    let said = chunks(&[openai::text("Rhine"), openai::finish("stop"), openai::usage(11, 4)]);
    each("openai", &said, |what, heard| assert_eq!(heard.text, "Rhine", "{what}")).await;
    let mut blocks = anthropic::stream(&[anthropic::open_text(0), anthropic::text(0, "Rhine")], "end_turn");
    blocks.pop();
    each("anthropic", &events(&blocks), |what, heard| assert_eq!(heard.text, "Rhine", "{what}")).await;
}

#[tokio::test]
async fn a_complete_answer_whose_connection_stays_open_is_one() {
    let mut pairs = Pairs::start(&["idle_timeout = \"300ms\""]).await;
    for (door, _) in DOORS {
        let (asked, mut call) = pairs.ask(door, &request(door, "openai", true)).await;
        call.say(&[]).await;
        for frame in chunks(&[openai::text("Rhine"), openai::finish("stop")]) {
            call.chunk(frame).await;
        }
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.succeeded() && heard.text == "Rhine", "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_behind_the_finish_reason_had_a_complete_answer() {
    let mut pairs = Pairs::start(&[]).await;
    let (asked, mut call) = pairs.ask(CHAT, &request(CHAT, "openai", true)).await;
    call.say(&["Rhine"]).await;
    call.chunk(chunks(&[openai::finish("stop")])[0].clone()).await;
    let mut answer = asked.answer().await;
    while !answer.next_event().await.data.contains("\"stop\"") {}
    drop(answer);
    call.chunk(chunks(&[openai::usage(11, 4)])[0].clone()).await;
    pairs.gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
    pairs.gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 4.0).await;
}

/// What a backend may say of which no other client can be shown anything.
fn unseen() -> Vec<(&'static str, Vec<String>, &'static str)> {
    let part = json!({"content": [{"type": "output_audio", "output_audio": {"data": "AA=="}}]});
    let search = json!({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}});
    let run = json!({"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1"});
    let line = json!({"role": "assistant", "content": "", "audio": ["AA=="]});
    let video = json!({"video": {"url": "https://example.org/v"}});
    vec![
        ("openai", chat(&[openai::delta(&video), openai::finish("stop")]), "video"),
        ("openai", chat(&[openai::delta(&part), openai::finish("stop")]), "output_audio"),
        (
            "anthropic",
            events(&anthropic::stream(&[anthropic::open(0, &search), anthropic::close(0)], "pause_turn")),
            "server_tool_use",
        ),
        (
            "responses",
            events(&responses::stream(
                &[responses::done(0, &run)],
                responses::completed(std::slice::from_ref(&run)),
            )),
            "code_interpreter_call",
        ),
        ("ollama", lines(&[ollama::message(&line), ollama::done("stop")]), "audio"),
    ]
}

#[tokio::test]
async fn an_answer_of_which_nothing_can_be_seen_is_no_success_and_says_what_it_was() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, frames, name) in unseen() {
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            let heard = pairs.hear(api, door, true, &frames).await;
            assert!(heard.failed() && heard.message().contains(name), "{door} over {api}: {heard:?}");
            let whole = pairs.answer(api, door, false, &frames).await;
            assert_eq!(whole.status, 502, "{door} over {api}");
        }
        let own = DOORS.into_iter().find(|(_, own)| *own == api).unwrap().0;
        let mut same = pairs.answer(api, own, true, &frames).await;
        let text = same.text().await;
        assert!(text.contains(name) && !text.contains("upstream_error"), "{api}: {text}");
    }
}

/// Calls that the client has to answer and that no other API has.
#[tokio::test]
async fn what_the_client_must_act_on_is_never_a_success() {
    let mut pairs = Pairs::start(&[]).await;
    for kind in ["mcp_approval_request", "shell_call", "apply_patch_call", "computer_call"] {
        let item = json!({"type": kind, "id": "x_1", "call_id": "c_1"});
        let said = [
            responses::placed(0, &responses::message(&[responses::text_part("Wait.")])),
            responses::done(1, &item),
        ];
        let frames = events(&responses::stream(&said, responses::completed(std::slice::from_ref(&item))));
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "responses") {
            let heard = pairs.hear("responses", door, true, &frames).await;
            assert!(heard.failed() && heard.message().contains(kind), "{door}: {heard:?}");
        }
    }
    // The vendor has run it itself.
    let (call, output) = (
        json!({"type": "shell_call", "call_id": "c_1"}),
        json!({"type": "shell_call_output", "call_id": "c_1"}),
    );
    let message = responses::message(&[responses::text_part("Done.")]);
    let said = [responses::done(0, &call), responses::done(1, &output), responses::done(2, &message)];
    let frames = events(&responses::stream(&said, responses::completed(&[call, output, message])));
    each("responses", &frames, |what, heard| assert_eq!(heard.text, "Done.", "{what}")).await;
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let mut pairs = Pairs::start(&[]).await;
    let said =
        [openai::text("Rhine"), openai::delta(&json!({"video": {"url": "v"}})), openai::finish("stop")];
    let heard = pairs.hear("openai", MESSAGES, true, &chat(&said)).await;
    assert!(heard.succeeded() && heard.text == "Rhine", "{heard:?}");
    pairs.gateway.metric_reaches("streamgate_answer_parts_left_out_total", &[], 1.0).await;
    let nothing =
        [openai::delta(&json!({"content": "Rhine", "video": null, "audio": {}})), openai::finish("stop")];
    let heard = pairs.hear("openai", MESSAGES, true, &chat(&nothing)).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert!((pairs.gateway.metric("streamgate_answer_parts_left_out_total", &[]).await - 1.0).abs() < 0.1);
}
