//! What holds behind every program that has its snippet.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::client_async;

use super::super::support::hops::{Hop, Program};
use super::super::support::{
    Answer, Call, Ending, Gateway, Item, Request, Setup, Upstream, chat, gateway_over, openai,
    refusing_address, until, within,
};
use super::times::Times;

/// The promises, each a test, behind each of these programs.
macro_rules! behind {
    ($($program:ident: $kind:expr),* $(,)?) => {
        $(mod $program {
            use super::super::super::support::hops::Program;

            #[tokio::test]
            async fn no_event_is_held_back() {
                super::no_event_is_held_back($kind).await;
            }

            #[tokio::test]
            async fn keep_alives_cross_a_silence_that_is_longer_than_its_patience() {
                super::keep_alives_cross_a_silence($kind).await;
            }

            #[tokio::test]
            async fn a_client_that_leaves_ends_the_backends_work() {
                super::a_client_that_leaves_ends_the_work($kind).await;
            }

            #[tokio::test]
            async fn a_stream_that_breaks_off_does_not_look_whole() {
                super::a_stream_that_breaks_off_does_not_look_whole($kind).await;
            }

            #[tokio::test]
            async fn a_reader_that_does_not_read_is_felt_by_the_backend() {
                super::a_reader_that_does_not_read_is_felt($kind).await;
            }

            #[tokio::test]
            async fn a_gateway_that_is_gone_is_passed_over() {
                super::a_gateway_that_is_gone_is_passed_over($kind).await;
            }

            #[tokio::test]
            async fn events_are_told_on_a_websocket() {
                super::events_are_told_on_a_websocket($kind).await;
            }
        })*
    };
}

behind! {
    apache: Program::Apache,
    caddy: Program::Caddy,
    envoy: Program::Envoy,
    haproxy: Program::Haproxy,
    nginx: Program::Nginx,
    traefik: Program::Traefik,
    varnish: Program::Varnish,
}

async fn no_event_is_held_back(program: Program) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let hop = program.start(&[gateway.public]).await;
    lock_step(&hop, &mut upstream, &format!("{program:?}")).await;
}

/// Streams at two doors whose every event is sent only when the one before it was received, with and without a client that takes
/// compressed answers: what is held back to be sent with something later never comes. What is merely late shows in the median.
pub(super) async fn lock_step(hop: &Hop, upstream: &mut Upstream, name: &str) {
    for (door, accepted) in [
        ("/v1/chat/completions", "identity"),
        ("/v1/chat/completions", "gzip, deflate, br, zstd"),
        ("/api/chat", "gzip"),
    ] {
        // What a busy machine delays is not late three times; what a program holds back is.
        for round in 1..=3 {
            let (mut heads, mut events) = (Times::default(), Times::default());
            for _ in 0..STREAMS {
                let request = Request::post(door, &chat()).header("accept-encoding", accepted);
                stream(hop, upstream, &request, (&mut heads, &mut events)).await;
            }
            eprintln!("{name} {door} {accepted}: heads {heads}; events {events}");
            if heads.median() <= LATE && events.median() <= LATE {
                break;
            }
            assert!(round < 3, "{name}: heads {heads}, events {events}");
        }
    }
}

/// One stream; how late its head and its events were is added to the times.
async fn stream(hop: &Hop, upstream: &mut Upstream, request: &Request, times: (&mut Times, &mut Times)) {
    let (heads, events) = times;
    let asked = hop.ask(request).await;
    let mut call = upstream.call().await;
    let sent = Instant::now();
    call.stream().await;
    call.sse(&openai::text("word0")).await;
    let mut answer = asked.answer().await;
    heads.add(sent.elapsed());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-encoding"), None);
    assert!(answer.next_event().await.data.contains("word0"));
    for number in 1..=WORDS {
        let (word, sent) = (format!("word{number}"), Instant::now());
        call.sse(&openai::text(&word)).await;
        assert!(answer.next_event().await.data.contains(&word));
        events.add(sent.elapsed());
    }
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    assert_ne!(answer.events().await.1, Ending::Aborted);
}

const STREAMS: usize = 5;
const WORDS: usize = 10;
/// What a hop may add. An event that a program holds for a moment is 200 ms late (`HAProxy` without `http-no-delay`).
pub(super) const LATE: Duration = Duration::from_millis(50);

async fn keep_alives_cross_a_silence(program: Program) {
    let lines = ["keep_alive = \"300ms\"", "commit_after = \"200ms\""];
    let (gateway, mut upstream) = gateway_over("openai", &lines).await;
    let hop = program.start_with(&[gateway.public], &[], |text| impatient(program, &text)).await;
    let (begun, asked) = (Instant::now(), hop.ask(&Request::post(DOOR, &chat())).await);
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    while begun.elapsed() < PATIENCE * 3 / 2 {
        let item = answer.next_item().await;
        assert!(matches!(item, Item::Quiet(_)), "{item:?} after {:?}", begun.elapsed());
    }
    call.stream().await;
    call.sse(&openai::text("Rhine")).await;
    assert!(answer.next_event().await.data.contains("Rhine"));
}

/// How long the programs may wait in this test; Caddy and Traefik wait for ever by themselves.
const PATIENCE: Duration = Duration::from_secs(2);

/// The snippet with the program's patience shortened.
fn impatient(program: Program, text: &str) -> String {
    let short = match program {
        Program::Caddy | Program::Traefik => return text.to_owned(),
        Program::Varnish => text.replace("pipe_timeout=1830", "pipe_timeout=2"),
        Program::Apache | Program::Envoy | Program::Haproxy | Program::Nginx => text.replace("1830", "2"),
    };
    assert_ne!(short, text, "a patience that is that of the defaults");
    short
}

async fn a_client_that_leaves_ends_the_work(program: Program) {
    // Most learn at once that their client left: a keep-alive would come too late to tell them. Apache learns by writing, and the
    // first write to a client that is gone still goes well.
    let at_once = program != Program::Apache;
    let (keep_alive, limit) = if at_once { ("1m", LEFT) } else { ("300ms", KEEP_ALIVE * 2 + LEFT) };
    let lines = [&format!("keep_alive = \"{keep_alive}\""), "commit_after = \"200ms\""];
    let (gateway, mut upstream) = gateway_over("openai", &lines).await;
    let hop = program.start(&[gateway.public]).await;
    let (mut before, mut middle) = (Times::default(), Times::default());
    for _ in 0..LEAVERS {
        // Before the first token.
        let asked = hop.ask(&Request::post(DOOR, &chat())).await;
        let mut call = upstream.call().await;
        let left = Instant::now();
        drop(asked);
        before.add(call.closed().await - left);
        // And in the middle.
        let (answer, mut call) = begun(&hop, &mut upstream).await;
        let left = Instant::now();
        drop(answer);
        middle.add(call.closed().await - left);
    }
    eprintln!("{program:?}, a client left: before the first word {before}; in the middle {middle}");
    assert!(before.median() <= limit && middle.median() <= limit, "{program:?}: {before}; {middle}");
}

const LEAVERS: usize = 5;
/// Until the backend sees its connection closed, behind a program that looks at once.
const LEFT: Duration = Duration::from_millis(100);
const KEEP_ALIVE: Duration = Duration::from_millis(300);

async fn begun(hop: &Hop, upstream: &mut Upstream) -> (Answer, Call) {
    let asked = hop.ask(&Request::post(DOOR, &chat())).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Rhine")).await;
    let mut answer = asked.answer().await;
    assert!(answer.next_event().await.data.contains("Rhine"));
    (answer, call)
}

async fn a_stream_that_breaks_off_does_not_look_whole(program: Program) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let hop = program.start(&[gateway.public]).await;
    let (mut answer, call) = begun(&hop, &mut upstream).await;
    call.cut().await;
    let (events, ending) = answer.events().await;
    let last: Value = events.last().expect("the error").json();
    assert_eq!(last["error"]["code"], "upstream_truncated", "{last}");
    assert!(events.iter().all(|event| event.data != "[DONE]"));
    assert_eq!(ending, Ending::Aborted);
}

/// A program that reads on, into its memory or onto its disk, hides from the gateway how far its client is.
async fn a_reader_that_does_not_read_is_felt(program: Program) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let hop = program.start(&[gateway.public]).await;
    let _asked = hop.ask(&Request::post(DOOR, &chat())).await;
    let mut call = upstream.call().await;
    call.stream().await;
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(32_000)));
    let flood = call.flood(event.as_bytes(), MUCH).await;
    eprintln!("{program:?} took {} KB", flood.bytes / 1000);
    assert!(!flood.unsent.is_empty(), "{program:?} took {} bytes", flood.bytes);
}

/// More than the kernel keeps of what goes through three connections.
const MUCH: usize = 100_000_000;

async fn a_gateway_that_is_gone_is_passed_over(program: Program) {
    let (_socket, gone) = refusing_address();
    let gone = gone.trim_start_matches("http://").parse().unwrap();
    let gateway = Setup::new().demo().start().await;
    let hop = program.start(&[gone, gateway.public]).await;
    let request = Request::get("/healthz").header("connection", "close");
    // Some find out by asking, and some by looking every two seconds.
    until("24 answers one after the other", async || {
        for _ in 0..24 {
            if hop.ask(&request).await.answer().await.status != 200 {
                return false;
            }
        }
        true
    })
    .await;
}

async fn events_are_told_on_a_websocket(program: Program) {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    let hop = program.start(&[gateway.public]).await;
    websocket(&hop, &gateway, upstream).await;
}

/// What the gateway does is told through the hop as it happens.
pub(super) async fn websocket(hop: &Hop, gateway: &Gateway, mut upstream: Upstream) {
    let stream = TcpStream::connect(hop.address).await.unwrap();
    let url = format!("ws://{}/events", hop.address);
    let (mut socket, _) = within("a handshake", client_async(url, stream)).await.unwrap();
    let mut next = async || loop {
        let message = within("a message", socket.next()).await.expect("a message").unwrap();
        if message.is_text() {
            return serde_json::from_str::<Value>(message.to_text().unwrap()).unwrap();
        }
    };
    assert_eq!(next().await["type"], "Snapshot");
    let asked = gateway.ask_post(DOOR, &chat()).await;
    let _call = upstream.call().await;
    loop {
        let told = next().await;
        if told["type"] == "StreamStarted" {
            assert_eq!(told["stream"]["model"], json!("m"));
            break;
        }
    }
    drop(asked);
}

const DOOR: &str = "/v1/chat/completions";
