//! Framing: however the backend's bytes are cut and whatever its line ends are, the client gets the same events.

use std::cell::RefCell;
use std::ops::Range;

use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::{Ending, Gateway, Heard, Upstream, chat, data_of, gateway_over, ollama, openai};

/// A short stream with everything that is awkward to cut: two line ends, comments, no space, several bytes a character.
const AWKWARD: &str = "\u{feff}: hello\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\u{1f30a}\u{e9}\"}}]}\r\n\r\n\
                       data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n: between\n\
                       data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The data that a client gets of these pieces, each in an HTTP chunk of its own.
async fn heard(gateway: &Gateway, upstream: &mut Upstream, pieces: &[&[u8]]) -> Vec<String> {
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    for piece in pieces {
        call.chunk(piece).await;
    }
    call.finish().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    let (body, ending) = answer.rest().await;
    assert_eq!(ending, Ending::Clean, "{pieces:?}");
    data_of(&body)
}

/// `stream` as the gateway's client gets it, from a backend that sends it in one piece.
async fn heard_whole(stream: &str) -> Vec<String> {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    heard(&gateway, &mut upstream, &[stream.as_bytes()]).await
}

fn plain() -> String {
    format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", openai::text("Sava"), openai::finish("stop"))
}

#[tokio::test]
async fn any_cut_gives_the_same_events() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let wanted = data_of(AWKWARD.as_bytes());
    assert_eq!(wanted.len(), 4);
    for at in 1..AWKWARD.len() {
        let (first, second) = AWKWARD.as_bytes().split_at(at);
        assert_eq!(heard(&gateway, &mut upstream, &[first, second]).await, wanted, "cut at {at}");
    }
}

#[tokio::test]
async fn a_byte_at_a_time_gives_the_same_events() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let pieces: Vec<&[u8]> = AWKWARD.as_bytes().chunks(1).collect();
    assert_eq!(heard(&gateway, &mut upstream, &pieces).await, data_of(AWKWARD.as_bytes()));
}

#[test]
fn any_cuts_of_any_texts_give_the_same_events() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gateway, upstream) = runtime.block_on(gateway_over("openai", &[]));
    let upstream = RefCell::new(upstream);
    let cases =
        (prop::collection::vec(".{1,20}", 1..6), prop::collection::vec(0.0..1.0_f64, 0..8), line_ends());
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let result = runner.run(&cases, |(texts, cuts, end)| {
        let mut events: Vec<String> = texts.iter().map(|text| openai::text(text).to_string()).collect();
        events.extend([openai::finish("stop").to_string(), "[DONE]".to_owned()]);
        let stream: String = events.iter().flat_map(|event| ["data: ", event, end, end]).collect();
        let pieces: Vec<&[u8]> = pieces(stream.len(), &cuts).map(|range| &stream.as_bytes()[range]).collect();
        let got = runtime.block_on(heard(&gateway, &mut upstream.borrow_mut(), &pieces));
        proptest::prop_assert_eq!(got, events);
        Ok(())
    });
    result.unwrap();
}

fn line_ends() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["\n", "\r\n", "\r"])
}

/// The pieces that these cuts, as parts of the whole, make; none is empty.
fn pieces(length: usize, cuts: &[f64]) -> impl Iterator<Item = Range<usize>> {
    let mut places: Vec<usize> =
        (0..length).filter(|&at| cuts.iter().any(|cut| at == scale(*cut, length))).collect();
    places.push(length);
    let mut start = 0;
    places.into_iter().filter_map(move |end| {
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

fn scale(part: f64, length: usize) -> usize {
    // Streams of this test are short: no digit is lost.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let place = (part * length as f64) as usize;
    place
}

#[tokio::test]
async fn crlf_gives_the_same_events() {
    assert_eq!(heard_whole(&plain().replace('\n', "\r\n")).await, data_of(plain().as_bytes()));
}

#[tokio::test]
async fn bare_cr_gives_the_same_events() {
    assert_eq!(heard_whole(&plain().replace('\n', "\r")).await, data_of(plain().as_bytes()));
}

#[tokio::test]
async fn a_byte_order_mark_gives_the_same_events() {
    assert_eq!(heard_whole(&format!("\u{feff}{}", plain())).await, data_of(plain().as_bytes()));
}

#[tokio::test]
async fn comments_and_blank_lines_give_the_same_events() {
    let commented = plain().replace("\n\n", "\n\n: between\n\n\n:\n");
    assert_eq!(heard_whole(&commented).await, data_of(plain().as_bytes()));
}

#[tokio::test]
async fn no_space_after_the_colon_gives_the_same_events() {
    assert_eq!(heard_whole(&plain().replace("data: ", "data:")).await, data_of(plain().as_bytes()));
}

#[tokio::test]
async fn a_done_without_its_blank_line_is_an_end() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.chunk(plain().trim_end()).await;
    call.finish().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn any_cut_of_ndjson_gives_the_same_lines() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let lines = format!(
        "{}\r\n{}\n",
        json!({"message": {"content": "S\u{e1}va"}, "done": false}),
        ollama::done("stop")
    );
    for at in (1..lines.len()).step_by(3) {
        let asked = gateway.ask_post("/api/chat", &chat()).await;
        let mut call = upstream.call().await;
        call.lines().await;
        call.chunk(&lines.as_bytes()[..at]).await;
        call.chunk(&lines.as_bytes()[at..]).await;
        call.finish().await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.succeeded() && heard.text == "S\u{e1}va", "cut at {at}: {heard:?}");
    }
}

#[tokio::test]
async fn a_last_line_without_its_newline_is_an_end() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.chunk(format!("{}\n{}", ollama::text("Sava"), ollama::done("stop"))).await;
    call.finish().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded() && heard.text == "Sava", "{heard:?}");
}
