//! A reader that does not read stops the reading of its backend, costs little, and harms nobody else.

use std::time::Duration;

use crate::support::{
    Answer, Call, Client, Ending, Gateway, Request, Upstream, begin, chat, gateway_over, openai,
};

/// More than all socket buffers on the way could hold.
const FLOOD: usize = 128 << 20;
/// What may go out before it stops: the gateway's 256 KiB, and what the kernel keeps in four socket buffers.
const BOUND: usize = 32 << 20;

/// A stream whose reader has read one event, and reads no more.
async fn stuck(gateway: &Gateway, upstream: &mut Upstream) -> (Answer, Call) {
    let mut client = Client::connect_narrow(gateway.public).await;
    client.ask(&Request::post("/v1/chat/completions", &chat())).await;
    let mut call = upstream.call().await;
    call.say(&["Volga"]).await;
    let mut answer = client.answer().await;
    answer.next_event().await;
    (answer, call)
}

fn event() -> Vec<u8> {
    format!("data: {}\n\n", openai::text(&"x".repeat(3000))).into_bytes()
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_backend() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let (_answer, mut call) = stuck(&gateway, &mut upstream).await;
    let flood = call.flood(&event(), FLOOD).await;
    println!("the backend was stopped after {} KiB", flood.bytes / 1024);
    assert!(!flood.unsent.is_empty() && flood.bytes < BOUND, "{} bytes", flood.bytes);
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_a_bounded_amount_of_memory() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let (_answer, mut call) = stuck(&gateway, &mut upstream).await;
    let before = gateway.resident();
    call.flood(&event(), FLOOD).await;
    let grown = gateway.resident().saturating_sub(before);
    println!("resident memory grew by {grown} KiB");
    assert!(grown < 16 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn a_reader_that_reads_on_misses_nothing() {
    let (gateway, mut upstream) = gateway_over("openai", &["max_duration = \"5m\""]).await;
    let (mut answer, mut call) = stuck(&gateway, &mut upstream).await;
    let flood = call.flood(&event(), FLOOD).await;
    let (((body, ending), rest), ()) = tokio::join!(
        async {
            let body = answer.rest().await;
            (body, answer.pieces.len())
        },
        async {
            call.send(&flood.unsent).await;
            call.end().await;
        }
    );
    assert!(rest > 0 && ending == Ending::Clean);
    let end = format!("data: {}\n\ndata: [DONE]\n\n", openai::finish("stop"));
    // One more than went out whole: the chunk that was stuck.
    assert_eq!(body.len(), (flood.chunks + 1) * event().len() + end.len());
    assert!(body.ends_with(end.as_bytes()));
}

#[tokio::test]
async fn a_stuck_reader_does_not_hold_up_another_stream() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut stuck_streams = Vec::new();
    for _ in 0..4 {
        let (answer, mut call) = stuck(&gateway, &mut upstream).await;
        call.flood(&event(), FLOOD).await;
        stuck_streams.push((answer, call));
    }
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    for _ in 0..20 {
        call.sse(&openai::text("on")).await;
        let event = tokio::time::timeout(Duration::from_secs(2), answer.next_event()).await;
        assert_eq!(event.expect("an event while others are stuck").json(), openai::text("on"));
    }
}

#[tokio::test]
async fn a_stuck_reader_that_leaves_drops_its_backend() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let (answer, mut call) = stuck(&gateway, &mut upstream).await;
    call.flood(&event(), FLOOD).await;
    drop(answer);
    call.closed().await;
}

#[tokio::test]
async fn a_reader_that_pauses_longer_than_idle_timeout_misses_nothing() {
    let (gateway, mut upstream) = gateway_over("openai", &["idle_timeout = \"300ms\""]).await;
    let (mut answer, mut call) = stuck(&gateway, &mut upstream).await;
    // It gives up after a second in which nothing was taken: three times the timeout.
    let flood = call.flood(&event(), FLOOD).await;
    assert!(!flood.unsent.is_empty(), "the backend was held up");
    let ((body, ending), ()) = tokio::join!(answer.rest(), async {
        call.send(&flood.unsent).await;
        call.end().await;
    });
    let end = format!("data: {}\n\ndata: [DONE]\n\n", openai::finish("stop"));
    assert_eq!(
        ending,
        Ending::Clean,
        "{:?}",
        String::from_utf8_lossy(&body[body.len().saturating_sub(300)..])
    );
    assert_eq!(body.len(), (flood.chunks + 1) * event().len() + end.len());
    assert!(body.ends_with(end.as_bytes()));
}
