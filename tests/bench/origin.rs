//! The model server of the benchmark: speaks just enough HTTP/1.1 and OpenAI chat SSE to follow the script of each
//! request. It runs as a process of its own, so that its CPU time is nobody else's.

use std::io::Read;
use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::event::Event;
use crate::event::Script;
use crate::event::chunk;

/// Says on standard output where it listens, then serves until standard input ends: that is when the benchmark is gone.
pub(crate) async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut stdout = anstream::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    let (gone, mut parent) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let ended = std::io::stdin().read_to_end(&mut Vec::new());
        drop(gone);
        ended
    });

    let mut connections = JoinSet::new();
    let mut accepted = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut parent => return Ok(()),
            // an error here is a peer that left, or that asked for something else; it sees that itself
            Some(_ended) = connections.join_next() => {}
            peer = listener.accept() => {
                accepted += 1;
                connections.spawn(serve(peer?.0, accepted));
            }
        }
    }
}

/// One connection, request after request.
async fn serve(mut peer: TcpStream, number: u32) -> Result<()> {
    peer.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while let Some(request) = Request::read(&mut peer, &mut buffer).await? {
        let Some(script) = request.script else {
            peer.write_all(NOT_FOUND).await?;
            continue;
        };
        answer(&mut peer, script, number).await?;
        if request.last {
            break;
        }
    }
    Ok(())
}

/// One stream. The first content goes out at once, together with the head, so that time to first token is the proxy's.
async fn answer(peer: &mut TcpStream, script: Script, number: u32) -> Result<()> {
    let mut event = Event::new()?;
    let mut head = [HEAD.as_bytes(), &chunk(ROLE)].concat();
    head.extend_from_slice(event.stamped());
    peer.write_all(&head).await?;

    match script {
        Script::Idle => {
            let left = peer.read(&mut [0; 64]).await?;
            bail!("the peer of an idle stream left ({left})");
        }
        Script::Burst { events } => {
            let (mut left, mut batch) = (events.saturating_sub(1), Vec::new());
            while left > 0 {
                let together = left.min(BATCH);
                batch.clear();
                for _ in 0..together {
                    batch.extend_from_slice(event.stamped());
                }
                peer.write_all(&batch).await?;
                left -= together;
            }
        }
        Script::Paced { interval, events } => {
            let mut ticks = tokio::time::interval_at(Instant::now() + phase(interval, number), interval);
            for _ in 1..events {
                ticks.tick().await;
                peer.write_all(event.stamped()).await?;
            }
        }
    }
    peer.write_all(&[chunk(FINISH), chunk(DONE), chunk("")].concat()).await?;
    Ok(())
}

/// Spreads the streams evenly over the interval (golden section), whatever the rhythm in which they were opened: else
/// all events come in one heap, and what is measured is the queue.
fn phase(interval: Duration, number: u32) -> Duration {
    interval * (number.wrapping_mul(618) % 1000) / 1000
}

/// What of a request matters here.
struct Request {
    /// `None` for anything but a chat completion.
    script: Option<Script>,
    /// The peer wants the connection closed after the answer.
    last: bool,
}

impl Request {
    /// Reads one whole request; `None` when the peer closed instead. Bytes of a next request stay in `buffer`.
    async fn read(peer: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Self>> {
        let head_end = loop {
            if let Some(at) = memmem::find(buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if peer.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8(buffer.drain(..head_end).collect())?.to_ascii_lowercase();
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
        };
        let length: usize = header("content-length").unwrap_or("0").parse()?;
        while buffer.len() < length {
            if peer.read_buf(buffer).await? == 0 {
                bail!("the peer left inside a request");
            }
        }
        let body = String::from_utf8(buffer.drain(..length).collect())?;
        let script =
            if head.starts_with("post /v1/chat/completions ") { Some(model(&body)?.parse()?) } else { None };
        Ok(Some(Self { script, last: header("connection") == Some("close") }))
    }
}

/// The value of the member `model`, found by search.
fn model(body: &str) -> Result<&str> {
    let (_, rest) = body.split_once(r#""model""#).context("no model")?;
    rest.split('"').nth(1).context("no model name")
}

/// At full speed, so many events go in one write: else the origin is the narrowest place, and the figures are its own.
/// Paced events go one by one.
const BATCH: u64 = 16;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
    Transfer-Encoding: chunked\r\n\r\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

const ROLE: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench","#,
    r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n"
);
const FINISH: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench","#,
    r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n"
);
const DONE: &str = "data: [DONE]\n\n";
