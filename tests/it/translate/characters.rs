//! Characters that servers cut in two, and bytes that arrive in pieces, by every backend to every client.

use crate::support::pairs::{OLLAMA, crossed, request};
use crate::support::script::{Part, Reason, script};
use crate::support::{Heard, Pairs};

/// The answer, with what stands for escapes put in as such.
fn escaped(api: &str, parts: &[Part], escapes: [(&str, &str); 2]) -> Vec<String> {
    let put = |frame: String| escapes.iter().fold(frame, |frame, (mark, escape)| frame.replace(mark, escape));
    script(api, parts, Reason::Stop).into_iter().map(put).collect()
}

#[tokio::test]
async fn a_character_whose_halves_come_apart_is_put_together() {
    let escapes = [("@1", "\\ud83d"), ("@2", "\\ude00")];
    let parts = [Part::Thought(&["a@1", "@2b"]), Part::Text(&["c@1", "@2", "d"])];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, &escaped(api, &parts, escapes)).await;
            let what = format!("{door} over {api}, stream {stream}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            assert_eq!(
                (heard.thought.as_str(), heard.text.as_str()),
                ("a\u{1f600}b", "c\u{1f600}d"),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_character_whose_halves_come_apart_in_arguments_is_put_together() {
    // Once in the stream's JSON, so that the JSON of the arguments has the halves as they are.
    let escapes = [("@1", "\\ud83d"), ("@2", "\\ude00")];
    let parts = [Part::Call("call_a", "say", &["{\"it\":\"@1", "@2\"}"])];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed().filter(|(api, _)| *api != "ollama") {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, &escaped(api, &parts, escapes)).await;
            let what = format!("{door} over {api}, stream {stream}: {heard:?}");
            assert_eq!(heard.calls(), [("say", "{\"it\":\"\u{1f600}\"}")], "{what}");
        }
    }
}

#[tokio::test]
async fn half_a_character_whose_other_half_never_comes_ends_no_stream() {
    let escapes = [("@1", "\\ud83d"), ("@2", "")];
    let parts = [Part::Text(&["a@1", "b"]), Part::Thought(&["c@1"]), Part::Text(&["d"])];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let frames = escaped(api, &parts, escapes);
            let (body, ending) = pairs.answer(api, door, stream, &frames).await.rest().await;
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert_eq!(ending, crate::support::Ending::Clean, "{door} over {api}, stream {stream}: {body}");
            assert!(body.contains('b') && body.contains("\\ud83d"), "{door} over {api}: {body}");
        }
    }
}

#[tokio::test]
async fn a_stream_may_be_split_anywhere() {
    let parts = [
        Part::Thought(&["gr\u{fc}\u{df}"]),
        Part::Text(&["\u{1f30a} Rh\u{ee}ne"]),
        Part::Call("call_a", "depth", &["{\"of\":\"\u{20ac}\"}"]),
    ];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        let all = script(api, &parts, Reason::Calls).concat();
        for size in [1, 7] {
            let (asked, mut call) = pairs.ask(door, &request(door, api, true)).await;
            call.say(&[]).await;
            for piece in all.as_bytes().chunks(size) {
                call.chunk(piece).await;
            }
            call.finish().await;
            let heard = Heard::of(&mut asked.answer().await).await;
            let what = format!("{door} over {api} in pieces of {size}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            assert_eq!(heard.thought, "gr\u{fc}\u{df}", "{what}");
            assert_eq!(heard.text, "\u{1f30a} Rh\u{ee}ne", "{what}");
            assert_eq!(heard.calls(), [("depth", "{\"of\":\"\u{20ac}\"}")], "{what}");
        }
    }
}

#[tokio::test]
async fn a_stream_may_come_in_one_piece() {
    let words: &[&str] = &["ne "; 900];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        let all = script(api, &[Part::Text(words)], Reason::Stop).concat();
        let heard = pairs.hear(api, door, true, &[all]).await;
        assert!(heard.succeeded() && heard.text == words.concat(), "{door} over {api}");
    }
}

#[tokio::test]
async fn text_that_looks_like_framing_is_text() {
    let text: &[&str] = &["data: [DONE]\n\nevent: error\n", "\r\n\u{2028}\u{85}id: 7\0 \"}\\"];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, &script(api, &[Part::Text(text)], Reason::Stop)).await;
            assert!(heard.succeeded() && heard.text == text.concat(), "{door} over {api}: {heard:?}");
        }
    }
    let mut answer = pairs
        .answer("anthropic", OLLAMA, true, &script("anthropic", &[Part::Text(text)], Reason::Stop))
        .await;
    let (body, _) = answer.rest().await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(!body.contains('\u{2028}') && !body.contains('\u{85}'), "Python splits lines there: {body:?}");
}
