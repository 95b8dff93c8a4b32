//! Conversations between any client and any backend: nothing of them is lost, and each API gets the order that it insists on.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Turn, question, talk, told};

#[tokio::test]
async fn a_conversation_with_tools_reaches_every_backend() {
    let turns = [
        Turn::System("Be brief."),
        Turn::User("How deep are Tisza and Neva?"),
        Turn::Calls(&[("call_1", "depth", r#"{"of":"Tisza"}"#), ("call_2", "depth", r#"{"of":"Neva"}"#)]),
        Turn::Results(&[("call_1", "9 m"), ("call_2", "24 m")]),
        Turn::Assistant("9 m and 24 m."),
        Turn::User("Thanks."),
    ];
    let wanted = [
        "system: Be brief.",
        "user: How deep are Tisza and Neva?",
        r#"call call_1 depth {"of":"Tisza"}"#,
        r#"call call_2 depth {"of":"Neva"}"#,
        "result call_1: 9 m",
        "result call_2: 24 m",
        "assistant: 9 m and 24 m.",
        "user: Thanks.",
    ];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.ask(client, backend, &talk(client, &turns)).await;
        assert_eq!(told(backend, &sent.json), wanted, "{client:?} to {backend:?}");
        assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn every_backend_is_asked_at_its_own_route_for_a_stream() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.ask(client, backend, &question(client, &json!({}))).await;
        assert_eq!(sent.path, backend.door(), "{client:?}");
        assert_eq!((&sent.json["model"], &sent.json["stream"]), (&json!(backend.model()), &json!(true)));
        assert_eq!(told(backend, &sent.json), ["user: Hi"], "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn results_and_what_the_user_says_to_them_are_one_turn_of_anthropic() {
    let turns = [
        Turn::User("Compare."),
        Turn::Calls(&[("call_1", "depth", "{}"), ("call_2", "width", "{}")]),
        Turn::Results(&[("call_2", "80 m"), ("call_1", "9 m")]),
        Turn::User("In feet, please."),
    ];
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let roles: Vec<&Value> =
            sent["messages"].as_array().unwrap().iter().map(|turn| &turn["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "user"], "{client:?}");
        let last = &told(Api::Anthropic, &sent)[3..];
        assert_eq!(
            last,
            ["result call_2: 80 m", "result call_1: 9 m", "user: In feet, please."],
            "{client:?}"
        );
    }
}

#[tokio::test]
async fn results_of_anthropic_come_before_the_text_that_stood_before_them() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "depth", "input": {}});
    let result = |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
    let messages = json!([
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call("a"), call("b")]},
        {"role": "user", "content": [{"type": "text", "text": "Go on."}, result("a", "9 m"), result("b", "7 m")]}
    ]);
    let request = json!({"max_tokens": 9, "messages": messages});
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent = bench.sent(Api::Anthropic, backend, &request).await;
        let wanted = [
            "user: How deep?",
            "assistant: I look.",
            "call a depth {}",
            "call b depth {}",
            "result a: 9 m",
            "result b: 7 m",
            "user: Go on.",
        ];
        assert_eq!(told(backend, &sent), wanted, "{backend:?}");
    }
}

#[tokio::test]
async fn turns_of_one_role_in_a_row_are_one_turn_of_anthropic() {
    let turns = [
        Turn::User("One."),
        Turn::User("Two."),
        Turn::Assistant("Three."),
        Turn::Assistant("Four."),
        Turn::User("Five."),
    ];
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{client:?}: {sent}");
        let wanted = ["user: One.", "user: Two.", "assistant: Three.", "assistant: Four.", "user: Five."];
        assert_eq!(told(Api::Anthropic, &sent), wanted, "{client:?}");
    }
}

#[tokio::test]
async fn a_conversation_that_the_assistant_begins_is_begun_by_the_user_for_anthropic() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let turns = [Turn::System("Be kind."), Turn::Assistant("Hello!"), Turn::User("Hi.")];
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let lines = told(Api::Anthropic, &sent);
        assert!(lines[1].starts_with("user: "), "{client:?}: {lines:?}");
        assert_eq!(lines[2..], ["assistant: Hello!", "user: Hi."], "{client:?}");
    }
}

#[tokio::test]
async fn blank_texts_are_not_told_to_anthropic() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let turns = [
            Turn::System("  "),
            Turn::User("One."),
            Turn::Assistant(" \n"),
            Turn::User(""),
            Turn::User("Two."),
            Turn::Assistant("\t"),
        ];
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        assert_eq!(told(Api::Anthropic, &sent), ["user: One.", "user: Two."], "{client:?}");
    }
}

#[tokio::test]
async fn the_beginning_of_an_answer_is_handed_to_anthropic_without_blanks_at_its_end() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let turns = [
            Turn::User("Name a river."),
            Turn::Assistant("  The \n"),
            Turn::User("?"),
            Turn::Assistant("A: \n "),
        ];
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let lines = told(Api::Anthropic, &sent);
        assert_eq!(lines[1..], ["assistant:   The \n", "user: ?", "assistant: A:"], "{client:?}");
    }
}

#[tokio::test]
async fn an_assistant_without_content_that_calls_a_tool_is_lawful_everywhere() {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "depth", "arguments": "{}"}});
    for content in [json!(null), json!(""), json!([])] {
        let mut bench = Bench::start().await;
        for backend in Api::Chat.others() {
            let messages = json!([
                {"role": "user", "content": "How deep?"},
                {"role": "assistant", "content": content, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "9 m"}]}
            ]);
            let sent = bench.sent(Api::Chat, backend, &json!({"messages": messages})).await;
            assert_eq!(told(backend, &sent)[1..], ["call c1 depth {}", "result c1: 9 m"], "{backend:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_history_is_what_the_assistant_said() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        let messages = json!([
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": null, "refusal": "I will not."},
            {"role": "user", "content": "B"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Nor this."}]},
            {"role": "user", "content": "C"}
        ]);
        let sent = bench.sent(Api::Chat, backend, &json!({"messages": messages})).await;
        let wanted = ["user: A", "assistant: I will not.", "user: B", "assistant: Nor this.", "user: C"];
        assert_eq!(told(backend, &sent), wanted, "{backend:?}");
    }
}

#[tokio::test]
async fn a_request_without_any_turn_is_refused() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(client, _)| *client != Api::Ollama) {
        let request = match client {
            Api::Responses => json!({"input": []}),
            Api::Chat | Api::Anthropic | Api::Ollama => json!({"max_tokens": 9, "messages": []}),
        };
        let words = bench.refused(client, backend, &request).await.message;
        assert!(words.contains("messages") || words.contains("input"), "{client:?}: {words}");
    }
}

#[tokio::test]
async fn what_is_said_stays_letter_for_letter() {
    let text =
        r#"nul \u0000, quote \", slash \/ \\, pair \ud83c\udf0a 🌊, line\nend\ttab \u00e9é </script> \u2028"#;
    let read: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let request = talk(
            client,
            &[Turn::System("TEXT"), Turn::User("TEXT"), Turn::Assistant("TEXT"), Turn::User("TEXT")],
        );
        let request = request.to_string().replace("TEXT", text);
        let sent = bench.ask_text(client, backend, &request).await.json;
        let wanted = ["system", "user", "assistant", "user"].map(|role| format!("{role}: {read}"));
        assert_eq!(told(backend, &sent), wanted, "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn ollamas_roles_may_be_written_in_capitals() {
    let mut bench = Bench::start().await;
    for backend in Api::Ollama.others() {
        let messages = json!([{"role": "System", "content": "Be brief."}, {"role": "USER", "content": "Hi"}]);
        let sent = bench.sent(Api::Ollama, backend, &json!({"messages": messages})).await;
        assert_eq!(told(backend, &sent), ["system: Be brief.", "user: Hi"], "{backend:?}");
    }
}
