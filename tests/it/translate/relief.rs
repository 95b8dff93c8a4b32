//! Failover between backends of different dialects: whoever serves, the client hears one answer, in its own dialect, and nothing
//! of the backend that failed before.

use serde_json::json;

use crate::support::pairs::{APIS, DOORS, MESSAGES, request, request_with};
use crate::support::script::{Part, Reason, events, preamble, script};
use crate::support::{Gateway, Heard, Setup, Upstream, anthropic};

const ANSWER: [Part; 3] =
    [Part::Thought(&["Hm."]), Part::Text(&["Dou", "ro"]), Part::Call("call_a", "depth", &["{\"of\":1}"])];

/// A gateway before two backends of these APIs, in this order.
async fn over(first: &str, second: &str, commit: &str) -> (Gateway, Upstream, Upstream) {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream(commit).backend("one", first, &one.url());
    (setup.backend("two", second, &two.url()).start().await, one, two)
}

/// Is there an id of the scripted backends (`msg_it7`)? A random one may hold the same letters, but not at the end of a word of its own.
fn has_name_of_backend(text: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| word == "it7")
}

#[tokio::test]
async fn a_backend_that_breaks_off_before_content_is_followed_by_one_of_any_dialect() {
    for first in APIS {
        for second in APIS.into_iter().filter(|second| *second != first) {
            let (gateway, mut one, mut two) = over(first, second, "commit_after = \"30s\"").await;
            for (door, own) in DOORS {
                let asked = gateway.ask_post(door, &request(door, "m", true)).await;
                // Its events up to the first content, then nothing.
                one.call().await.play(&preamble(first)).await;
                two.call().await.play(&script(second, &ANSWER, Reason::Calls)).await;
                let heard = Heard::of(&mut asked.answer().await).await;
                let what = format!("{door} over {first} and {second}: {heard:?}");
                assert!(heard.succeeded(), "{what}");
                assert_eq!(
                    (heard.text.as_str(), heard.thought.as_str(), heard.tools.len()),
                    ("Douro", "Hm.", 1),
                    "{what}"
                );
                assert!(
                    own == second || !has_name_of_backend(&what),
                    "the names are the gateway's own: {what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_committed_head_does_not_hinder_failover_to_another_dialect() {
    for (first, second) in [("anthropic", "responses"), ("responses", "anthropic"), ("openai", "anthropic")] {
        let (gateway, mut one, mut two) = over(first, second, "commit_after = \"20ms\"").await;
        for (door, _) in DOORS {
            let asked = gateway.ask_post(door, &request(door, "m", true)).await;
            let call = one.call().await;
            let mut answer = asked.answer().await;
            call.play(&preamble(first)).await;
            two.call().await.play(&script(second, &ANSWER, Reason::Calls)).await;
            let heard = Heard::of(&mut answer).await;
            assert!(
                heard.succeeded() && heard.text == "Douro",
                "{door} over {first} and {second}: {heard:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_whole_answer_is_given_by_the_next_backend_of_another_dialect() {
    for (first, second) in [("anthropic", "openai"), ("openai", "responses"), ("ollama", "anthropic")] {
        let (gateway, mut one, mut two) = over(first, second, "").await;
        for (door, own) in DOORS.into_iter().filter(|(_, own)| *own != second) {
            let asked = gateway.ask_post(door, &request(door, "m", false)).await;
            one.call()
                .await
                .answer(529, &json!({"error": {"type": "overloaded_error", "message": "full"}}))
                .await;
            two.call().await.play(&script(second, &ANSWER, Reason::Calls)).await;
            let heard = Heard::of_whole(&asked.answer().await.json().await);
            assert_eq!(
                (heard.text.as_str(), heard.tools.len()),
                ("Douro", 1),
                "{door} ({own}) over {second}"
            );
        }
    }
}

#[tokio::test]
async fn two_messages_are_never_one() {
    let (gateway, mut one, two) = over("anthropic", "openai", "").await;
    for (door, own) in DOORS {
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = one.call().await;
        call.say(&["Dou"]).await;
        let restart = [anthropic::start_of("msg_other", &anthropic::counts())];
        call.chunk(events(&restart).concat()).await;
        call.cut().await;
        let mut answer = asked.answer().await;
        if own == "anthropic" {
            assert_eq!(answer.events().await.1, crate::support::Ending::Aborted);
        } else {
            let heard = Heard::of(&mut answer).await;
            assert!(heard.failed() && heard.text == "Dou", "{door}: {heard:?}");
        }
    }
    assert_eq!(two.calls_seen(), 0, "content was sent");
}

#[tokio::test]
async fn a_name_of_a_tool_is_restored_whoever_serves() {
    let name = "n".repeat(90);
    let (gateway, mut one, mut two) = over("openai", "anthropic", "commit_after = \"30s\"").await;
    let tool = json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let asked =
        gateway.ask_post("/api/chat", &request_with("/api/chat", "m", true, &json!({"tools": [tool]}))).await;
    let call = one.call().await;
    assert_ne!(call.json()["tools"][0]["function"]["name"], json!(name));
    call.answer(500, &json!({"error": "not me"})).await;
    let call = two.call().await;
    assert_eq!(call.json()["tools"][0]["name"], json!(name), "Anthropic takes longer ones");
    let said = [anthropic::open_tool(0, "toolu_1", &name), anthropic::close(0)];
    call.play(&events(&anthropic::stream(&said, "tool_use"))).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!(heard.calls(), [(name.as_str(), "{}")]);
}

#[tokio::test]
async fn when_all_backends_fail_the_last_one_is_told_in_the_clients_words() {
    let (gateway, mut one, mut two) = over("openai", "ollama", "commit_after = \"30s\"").await;
    let asked = gateway.ask_post(MESSAGES, &request(MESSAGES, "m", true)).await;
    one.call().await.answer(500, &json!({"error": {"message": "first"}})).await;
    two.call().await.answer(503, &json!({"error": "server busy"})).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 529);
    let body = answer.json().await;
    assert_eq!(
        (&body["error"]["type"], &body["error"]["message"]),
        (&json!("overloaded_error"), &json!("server busy"))
    );
}
