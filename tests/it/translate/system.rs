//! What the system says: at the start of a conversation, and in the middle of one.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Request, Turn, addressed, question, talk, told};

#[tokio::test]
async fn system_texts_at_the_start_are_joined_where_there_is_one_place_for_them() {
    let turns = [Turn::System("Be brief."), Turn::System("Use metres."), Turn::User("How deep?")];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.sent(client, backend, &talk(client, &turns)).await;
        match backend {
            Api::Anthropic => assert_eq!(sent["system"], "Be brief.\n\nUse metres.", "{client:?}"),
            Api::Responses => assert_eq!(sent["instructions"], "Be brief.\n\nUse metres.", "{client:?}"),
            Api::Chat | Api::Ollama => {
                let lines = told(backend, &sent);
                let (last, system) = lines.split_last().unwrap();
                assert_eq!(last, "user: How deep?");
                assert_eq!(system, ["system: Be brief.\n\nUse metres."], "{client:?} to {backend:?}");
            }
        }
    }
}

#[tokio::test]
async fn instructions_stand_before_what_developers_say_wherever_they_are_written() {
    let mut bench = Bench::start().await;
    for backend in Api::Responses.others() {
        let input = json!([{"role": "developer", "content": "Second."}, {"role": "user", "content": "Hi"}]);
        let request = format!("{{\"input\":{input},\"instructions\":\"First.\"}}");
        let sent = bench.ask_text(Api::Responses, backend, &request).await.json;
        let system = told(backend, &sent).join(" ");
        let at = |word: &str| system.find(word).unwrap_or_else(|| panic!("{word} in {system}"));
        assert!(at("First.") < at("Second.") && at("Second.") < at("Hi"), "{system}");
    }
}

#[tokio::test]
async fn a_developer_is_a_system_to_servers_that_may_not_know_the_word() {
    let mut bench = Bench::start().await;
    for (client, backend) in
        [(Api::Chat, Api::Ollama), (Api::Responses, Api::Ollama), (Api::Responses, Api::Chat)]
    {
        let turns =
            [Turn::System("Be brief."), Turn::User("Hi"), Turn::System("Be kind."), Turn::User("Hello")];
        let sent = bench.sent(client, backend, &talk(client, &turns)).await;
        let roles: Vec<&Value> =
            sent["messages"].as_array().unwrap().iter().map(|said| &said["role"]).collect();
        assert_eq!(roles, ["system", "user", "user"], "{client:?} to {backend:?}");
        assert_eq!(sent["messages"][1]["content"], "Hi\nBe kind.", "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn a_system_text_in_the_middle_stays_in_its_place_in_responses() {
    let turns = [Turn::User("A"), Turn::Assistant("B"), Turn::System("Be kind."), Turn::User("C")];
    let mut bench = Bench::start().await;
    for client in Api::Responses.others() {
        let sent = bench.sent(client, Api::Responses, &talk(client, &turns)).await;
        let wanted = ["user: A", "assistant: B", "system: Be kind.", "user: C"];
        assert_eq!(told(Api::Responses, &sent), wanted, "{client:?}");
    }
}

#[tokio::test]
async fn a_system_text_in_the_middle_is_told_in_the_users_turn_where_it_stands() {
    let call = Turn::Calls(&[("c1", "depth", "{}"), ("c2", "depth", "{}")]);
    let result = Turn::Results(&[("c1", "9 m"), ("c2", "8 m")]);
    let kind = Turn::System("Be kind.");
    let calls = ["call c1 depth {}", "call c2 depth {}", "result c1: 9 m", "result c2: 8 m"];
    let mut bench = Bench::start().await;
    for (turns, wanted) in [
        (vec![Turn::User("A"), kind], vec!["user: A\nBe kind."]),
        (
            vec![Turn::User("A"), kind, Turn::Assistant("B"), Turn::User("C")],
            vec!["user: A\nBe kind.", "assistant: B", "user: C"],
        ),
        (
            vec![Turn::User("A"), Turn::Assistant("B"), kind, Turn::User("C")],
            vec!["user: A", "assistant: B", "user: Be kind.\nC"],
        ),
        (
            vec![Turn::User("A"), Turn::Assistant("B"), kind, Turn::Assistant("C")],
            vec!["user: A", "assistant: B", "user: Be kind.", "assistant: C"],
        ),
        // not between the calls and their results
        (vec![Turn::User("A"), call, kind, result], [&["user: A"], &calls[..], &["user: Be kind."]].concat()),
        (
            vec![Turn::User("A"), call, result, kind, kind, Turn::User("B")],
            [&["user: A"], &calls[..], &["user: Be kind.\nBe kind.\nB"]].concat(),
        ),
    ] {
        for (client, backend) in Api::pairs() {
            if matches!(backend, Api::Chat | Api::Ollama) {
                let sent = bench.sent(client, backend, &talk(client, &turns)).await;
                assert_eq!(told(backend, &sent), wanted, "{client:?} to {backend:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_told_stays_the_start_of_what_is_told_next() {
    let all = [
        Turn::System("Be brief."),
        Turn::User("A"),
        Turn::System("Today is Monday."),
        Turn::Assistant("B"),
        Turn::User("C"),
        Turn::System("Be kind."),
        Turn::Assistant("D"),
        Turn::User("E"),
    ];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let mut before: Vec<String> = Vec::new();
        for end in [3, 6, 8] {
            let sent = bench.sent(client, backend, &talk(client, &all[..end])).await;
            let now = told(backend, &sent);
            assert_eq!(now[..before.len()], before, "{client:?} to {backend:?}");
            before = now;
        }
    }
}

const BILLING: &str = "x-anthropic-billing-header: cc_version=2.1.332.de8; cc_entrypoint=cli; cch=3fa09;";

#[tokio::test]
async fn the_line_for_anthropics_accounts_is_told_to_nobody_else() {
    let block = |text: &str| json!({"type": "text", "text": text});
    let systems = [
        json!([block(BILLING), block("Be brief.")]),
        json!([block(&format!("{BILLING}\n\nBe brief."))]),
        json!(format!("{BILLING}\nBe brief.")),
    ];
    let mut bench = Bench::with(Api::Anthropic, "billing_header = true").await;
    for system in systems {
        let request = question(Api::Anthropic, &json!({"system": system}));
        for backend in Api::Anthropic.others() {
            let sent = bench.ask(Api::Anthropic, backend, &request).await;
            assert_eq!(
                told(backend, &sent.json),
                ["system: Be brief.", "user: Hi"],
                "{system} to {backend:?}"
            );
            assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
        }
        let body = addressed(Api::Anthropic, &request.to_string());
        let sent = bench.pass(Api::Anthropic, &Request::raw("/v1/messages", body.as_bytes())).await;
        assert!(sent.text.contains("cch="), "{}", sent.text);
    }
    let alone = question(Api::Anthropic, &json!({"system": [block(BILLING)]}));
    let sent = bench.sent(Api::Anthropic, Api::Chat, &alone).await;
    assert_eq!(told(Api::Chat, &sent), ["user: Hi"]);
}

#[tokio::test]
async fn a_system_text_in_the_middle_opens_the_next_turn_of_anthropics_user() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let turns = [Turn::User("A"), Turn::Assistant("B"), Turn::System("Be kind."), Turn::User("C")];
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let wanted = ["user: A", "assistant: B", "user: Be kind.", "user: C"];
        assert_eq!(told(Api::Anthropic, &sent), wanted, "{client:?}");
        assert_eq!((sent["messages"].as_array().unwrap().len(), sent.get("system")), (3, None), "{client:?}");
    }
}

#[tokio::test]
async fn a_system_text_between_calls_and_results_does_not_part_them() {
    let turns = [
        Turn::User("How deep?"),
        Turn::Calls(&[("c1", "depth", "{}")]),
        Turn::System("Be kind."),
        Turn::Results(&[("c1", "9 m")]),
    ];
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        assert_eq!(told(Api::Anthropic, &sent)[2..], ["result c1: 9 m", "user: Be kind."], "{client:?}");
    }
}

#[tokio::test]
async fn a_request_of_system_texts_only_has_a_user_for_anthropic() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses, Api::Ollama] {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &[Turn::System("Say hello.")])).await;
        assert_eq!((&sent["system"], &sent["messages"][0]["role"]), (&json!("Say hello."), &json!("user")));
    }
}

#[tokio::test]
async fn an_empty_system_prompt_of_anthropics_clients_says_nothing() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        for system in [json!(""), json!([]), json!(null)] {
            let request = question(Api::Anthropic, &json!({"system": system}));
            let sent = bench.sent(Api::Anthropic, backend, &request).await;
            // An empty one would replace what the model has of its own.
            assert_eq!(told(backend, &sent), ["user: Hi"], "{backend:?}, {system}");
        }
    }
}

#[tokio::test]
async fn a_system_prompt_that_is_no_text_is_refused() {
    let mut bench = Bench::start().await;
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}});
    for system in [json!(7), json!([image])] {
        let request = question(Api::Anthropic, &json!({"system": system}));
        let words = bench.refused(Api::Anthropic, Api::Ollama, &request).await.message;
        assert!(words.contains("system"), "{words}");
    }
}
