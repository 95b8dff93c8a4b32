//! Reasoning by every backend to every client, and what its vendor wants handed back with it.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES};
use crate::support::script::{Part, Reason, chat, events, script};
use crate::support::{Heard, Pairs, anthropic, openai, responses};

/// What every client but those of this API hears of these frames, streamed and whole.
async fn each(api: &str, frames: &[String], check: impl Fn(&str, &str, &Heard)) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, frames).await;
            let what = format!("{door} over {api}, stream {stream}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            check(door, &what, &heard);
        }
    }
}

/// Thinking that is signed, some that only its vendor can read, and a text.
fn signed() -> Vec<String> {
    let said = [
        anthropic::open_thinking(0),
        anthropic::thinking(0, "It flows "),
        anthropic::thinking(0, "north."),
        anthropic::signature(0, "EqQB+/=="),
        anthropic::close(0),
        anthropic::open(1, &json!({"type": "redacted_thinking", "data": "Emw+/="})),
        anthropic::close(1),
        anthropic::open_text(2),
        anthropic::text(2, "Rhine"),
        anthropic::close(2),
    ];
    events(&anthropic::stream(&said, "end_turn"))
}

#[tokio::test]
async fn what_anthropic_signed_and_redacted_is_handed_on_where_it_can_come_back() {
    each("anthropic", &signed(), |door, what, heard| {
        assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("It flows north.", "Rhine"), "{what}");
        match door {
            OLLAMA => assert!(heard.sealed.is_empty(), "{what}"),
            _ => {
                assert_eq!(heard.sealed.len(), 2, "{what}");
                assert!(
                    heard.sealed[0].ends_with("EqQB+/==") && heard.sealed[1].ends_with("Emw+/="),
                    "{what}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_sealed_comes_back_to_its_vendor_as_it_was() {
    let mut pairs = Pairs::start(&[]).await;
    let whole = pairs.answer("anthropic", RESPONSES, false, &signed()).await.json().await;
    let mut input = vec![json!({"role": "user", "content": "Name a river."})];
    input.extend(whole["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"role": "user", "content": "Another."}));
    let request = json!({"model": "anthropic", "stream": true, "input": input});
    let (_asked, call) = pairs.ask(RESPONSES, &request).await;
    let turn = call.json()["messages"][1]["content"].clone();
    assert_eq!(turn[0], json!({"type": "thinking", "thinking": "It flows north.", "signature": "EqQB+/=="}));
    assert_eq!(turn[1], json!({"type": "redacted_thinking", "data": "Emw+/="}));
    assert_eq!(turn[2]["text"], "Rhine");
}

#[tokio::test]
async fn what_openai_encrypted_is_handed_to_anthropics_clients_and_back() {
    let mut item = responses::reasoning(&["It flows north."]);
    item["encrypted_content"] = json!("gAAAAB+/==");
    let said = [
        responses::added(0, &responses::reasoning(&[])),
        responses::summary(0, 0, "It flows north."),
        responses::done(0, &item),
    ];
    let text = responses::message(&[responses::text_part("Rhine")]);
    let said = [said.to_vec(), responses::spoken(1, "Rhine")].concat();
    let frames = events(&responses::stream(&said, responses::completed(&[item, text])));
    let mut pairs = Pairs::start(&[]).await;
    let whole = pairs.answer("responses", MESSAGES, false, &frames).await.json().await;
    let history = json!([
        {"role": "user", "content": "Name a river."},
        {"role": "assistant", "content": whole["content"]},
        {"role": "user", "content": "Another."}
    ]);
    let request = json!({"model": "responses", "stream": true, "max_tokens": 99, "messages": history});
    let (_asked, call) = pairs.ask(MESSAGES, &request).await;
    let items = call.json()["input"].clone();
    let reasoning = items.as_array().unwrap().iter().find(|item| item["type"] == "reasoning");
    assert_eq!(reasoning.unwrap()["encrypted_content"], "gAAAAB+/==", "{items}");
    let heard = pairs.hear("responses", MESSAGES, true, &frames).await;
    assert!(heard.sealed.len() == 1 && heard.sealed[0] != "gAAAAB+/==", "marked: {heard:?}");
}

#[tokio::test]
async fn no_signature_is_ever_invented() {
    for api in ["openai", "responses", "ollama"] {
        let frames = script(api, &[Part::Thought(&["Hm."]), Part::Text(&["Rhine"])], Reason::Stop);
        each(api, &frames, |_, what, heard| assert!(heard.sealed.is_empty(), "{what}")).await;
    }
}

#[tokio::test]
async fn reasoning_that_is_only_sealed_is_handed_on_too() {
    let mut item = responses::reasoning(&[]);
    item["encrypted_content"] = json!("gAAAAB==");
    let said = [responses::added(0, &responses::reasoning(&[])), responses::done(0, &item)];
    let said = [said.to_vec(), responses::spoken(1, "Rhine")].concat();
    let text = responses::message(&[responses::text_part("Rhine")]);
    let frames = events(&responses::stream(&said, responses::completed(&[item, text])));
    each("responses", &frames, |door, what, heard| {
        assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("", "Rhine"), "{what}");
        assert_eq!(heard.sealed.len(), usize::from(door != OLLAMA), "{what}");
    })
    .await;
}

#[tokio::test]
async fn several_blocks_of_thinking_are_all_heard() {
    let parts = [
        Part::Thought(&["One. "]),
        Part::Text(&["a"]),
        Part::Thought(&["Two."]),
        Part::Call("call_a", "depth", &["{}"]),
        Part::Thought(&["Three."]),
    ];
    for api in ["openai", "responses", "anthropic", "ollama"] {
        each(api, &script(api, &parts, Reason::Calls), |_, what, heard| {
            assert_eq!(heard.thought, "One. Two.Three.", "{what}");
        })
        .await;
    }
}

fn reasoned(delta: &Value) -> Vec<String> {
    chat(&[openai::role(), openai::delta(delta), openai::text("Rhine"), openai::finish("stop")])
}

#[tokio::test]
async fn reasoning_is_read_wherever_openais_imitators_put_it() {
    for delta in [
        json!({"reasoning_content": "Hm."}),
        json!({"reasoning": "Hm."}),
        json!({"reasoning": "Hm.", "reasoning_content": "Hm.", "content": null}),
        json!({"reasoning_content": "Hm.", "content": ""}),
        json!({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
        json!({"content": [{"type": "thinking", "thinking": "Hm."}]}),
        json!({"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}], "reasoning_content": "Hm."}),
    ] {
        each("openai", &reasoned(&delta), |_, what, heard| {
            assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", "Rhine"), "{delta}: {what}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_block_of_thinking_is_reasoning_also_without_the_field_for_it() {
    let delta = json!({"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]});
    each("openai", &reasoned(&delta), |_, what, heard| assert_eq!(heard.thought, "Hm.", "{what}")).await;
}

#[tokio::test]
async fn empty_reasoning_is_none() {
    for delta in [json!({"reasoning_content": ""}), json!({"reasoning": "", "content": null})] {
        each("openai", &reasoned(&delta), |_, what, heard| assert_eq!(heard.order, ["text"], "{what}")).await;
    }
}

/// The events of one reasoning item, and the answer's text.
fn item_said(mut said: Vec<Value>, item: &Value) -> Vec<String> {
    said.insert(0, responses::added(0, &responses::reasoning(&[])));
    said.push(responses::done(0, item));
    said.extend(responses::spoken(1, "Rhine"));
    let text = responses::message(&[responses::text_part("Rhine")]);
    events(&responses::stream(&said, responses::completed(&[item.clone(), text])))
}

#[tokio::test]
async fn reasoning_of_responses_is_heard_once_in_whichever_form() {
    let mut raw = responses::reasoning(&[]);
    raw["content"] = json!([{"type": "reasoning_text", "text": "Hm."}]);
    let mut both = raw.clone();
    both["summary"] = json!([{"type": "summary_text", "text": "Hm."}]);
    let summary = responses::reasoning(&["Hm."]);
    for (said, item) in [
        (vec![responses::summary(0, 0, "Hm.")], &summary),
        (
            vec![
                responses::summary(0, 0, "H"),
                responses::summary(0, 0, "m."),
                responses::summary_done(0, "Hm."),
            ],
            &summary,
        ),
        (vec![responses::thought(0, "Hm.")], &raw),
        (vec![responses::summary_done(0, "Hm.")], &summary),
        (Vec::new(), &summary),
        (Vec::new(), &raw),
        (Vec::new(), &both),
    ] {
        each("responses", &item_said(said.clone(), item), |_, what, heard| {
            assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", "Rhine"), "{said:?}: {what}");
        })
        .await;
    }
}

#[tokio::test]
async fn all_parts_of_a_summary_are_heard() {
    let said = vec![responses::summary(0, 0, "One. "), responses::summary(0, 1, "Two.")];
    let frames = item_said(said, &responses::reasoning(&["One. ", "Two."]));
    each("responses", &frames, |_, what, heard| assert_eq!(heard.thought, "One. Two.", "{what}")).await;
    let frames = item_said(Vec::new(), &responses::reasoning(&["One. ", "Two."]));
    each("responses", &frames, |_, what, heard| assert_eq!(heard.thought, "One. Two.", "{what}")).await;
}

#[tokio::test]
async fn thinking_that_stands_in_the_opening_of_a_block_is_heard() {
    let said = [
        anthropic::open(0, &json!({"type": "thinking", "thinking": "Hm.", "signature": "EqQB=="})),
        anthropic::close(0),
        anthropic::open(1, &json!({"type": "text", "text": "Rh"})),
        anthropic::text(1, "ine"),
        anthropic::close(1),
    ];
    each("anthropic", &events(&anthropic::stream(&said, "end_turn")), |_, what, heard| {
        assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", "Rhine"), "{what}");
    })
    .await;
}

#[tokio::test]
async fn only_one_field_of_a_chat_carries_reasoning() {
    let mut pairs = Pairs::start(&["reasoning_field = \"reasoning\""]).await;
    let heard = pairs.hear("anthropic", CHAT, true, &signed()).await;
    let deltas = heard.events.iter().map(|event| &event["choices"][0]["delta"]);
    let said: String = deltas.clone().filter_map(|delta| delta["reasoning"].as_str()).collect();
    assert_eq!(said, "It flows north.");
    assert!(deltas.clone().all(|delta| delta["reasoning_content"].is_null()), "{heard:?}");
}
