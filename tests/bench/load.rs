//! The load client: many streams at once on raw sockets, parsed no further than to find each event's stamp, so that
//! the client costs less than what it measures.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::event::Script;
use crate::event::now;
use crate::event::scan;

/// The API that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    OpenAi,
    Responses,
    Anthropic,
    Ollama,
    /// OpenAI's, where each stream has [`READERS`] readers: one asked for it, the others read it along.
    Shared,
    /// OpenAI's, where each stream is begun at this address and read along at the target's.
    Elsewhere(SocketAddr),
}

/// Where the streams are opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) door: Door,
}

impl Target {
    /// What the stream `number` of a load asks.
    fn request(self, script: Script, number: usize) -> String {
        match self.conversation(script, number) {
            Some(conversation) if self.reads_along(number) => self.read_along(&conversation),
            _ => self.begin(script, number),
        }
    }

    /// What a stream is called that others read along.
    fn conversation(self, script: Script, number: usize) -> Option<String> {
        match self.door {
            Door::Shared => Some(format!("{script}-{}", number / READERS)),
            Door::Elsewhere(_) => Some(format!("{script}-{number}")),
            Door::OpenAi | Door::Responses | Door::Anthropic | Door::Ollama => None,
        }
    }

    fn reads_along(self, number: usize) -> bool {
        self.door != Door::Shared || !number.is_multiple_of(READERS)
    }

    fn read_along(self, conversation: &str) -> String {
        format!(
            "GET /v1/conversations/{conversation}/stream HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )
    }

    /// Begins the stream `number` of a load.
    fn begin(self, script: Script, number: usize) -> String {
        let conversation = self.conversation(script, number);
        let named = conversation.map(|name| format!("X-Conversation-Id: {name}\r\n")).unwrap_or_default();
        let (path, body) = match self.door {
            Door::OpenAi | Door::Shared | Door::Elsewhere(_) => (
                "/v1/chat/completions",
                format!(
                    r#"{{"model":"{script}","stream":true,"messages":[{{"role":"user","content":"go"}}]}}"#
                ),
            ),
            Door::Responses => (
                "/v1/responses",
                format!(r#"{{"model":"{script}","stream":true,"store":false,"input":"go"}}"#),
            ),
            Door::Anthropic => (
                "/v1/messages",
                format!(
                    r#"{{"model":"{script}","stream":true,"max_tokens":9,"messages":[{{"role":"user","content":"go"}}]}}"#
                ),
            ),
            Door::Ollama => (
                "/api/chat",
                format!(r#"{{"model":"{script}","messages":[{{"role":"user","content":"go"}}]}}"#),
            ),
        };
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             {named}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }

    /// What a whole answer has after its last content.
    fn terminator(self) -> &'static str {
        match self.door {
            Door::OpenAi | Door::Shared | Door::Elsewhere(_) => "data: [DONE]",
            Door::Responses => "event: response.completed",
            Door::Anthropic => "event: message_stop",
            Door::Ollama => r#""done":true"#,
        }
    }

    /// Does the end of an answer say everything again?
    fn repeats(self) -> bool {
        self.door == Door::Responses
    }
}

/// What all streams of a load have seen together.
#[derive(Debug)]
pub(crate) struct Tally {
    /// From the last byte of the request to the first content, in nanoseconds.
    pub(crate) first: Histogram<u64>,
    /// From the origin's write to the client's read, in nanoseconds, while `recording`.
    pub(crate) delays: Histogram<u64>,
    pub(crate) recording: bool,
    pub(crate) events: u64,
    pub(crate) opened: usize,
    pub(crate) ended: usize,
}

/// Running streams; dropping it closes them all.
pub(crate) struct Load {
    pub(crate) tally: Rc<RefCell<Tally>>,
    streams: JoinSet<Result<()>>,
}

impl Load {
    /// Opens `count` streams, one after every `gap`: the figures are of streams, not of a stampede.
    pub(crate) fn open(target: Target, script: Script, count: usize, gap: Duration) -> Result<Self> {
        let tally = Rc::new(RefCell::new(Tally {
            first: Histogram::new_with_max(LONGEST, 3)?,
            delays: Histogram::new_with_max(LONGEST, 3)?,
            recording: false,
            events: 0,
            opened: 0,
            ended: 0,
        }));
        let mut streams = JoinSet::new();
        let mut start = Instant::now();
        for number in 0..count {
            streams.spawn_local(stream((target, number), script, start, Rc::clone(&tally)));
            start += gap;
        }
        Ok(Self { tally, streams })
    }

    /// Waits until every stream has its first content.
    pub(crate) async fn all_open(&mut self) -> Result<()> {
        let deadline = Instant::now() + OPEN_WITHIN;
        while self.tally.borrow().opened < self.streams.len() {
            if let Some(ended) = self.streams.try_join_next() {
                ended??;
                bail!("a stream ended while others were still being opened");
            }
            ensure!(Instant::now() < deadline, "only {} streams opened", self.tally.borrow().opened);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits for the end of every stream.
    pub(crate) async fn all_ended(mut self) -> Result<()> {
        while let Some(ended) = self.streams.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// One stream from its connection to its end, checked for loss.
async fn stream(
    (target, number): (Target, usize),
    script: Script,
    start: Instant,
    tally: Rc<RefCell<Tally>>,
) -> Result<()> {
    tokio::time::sleep_until(start).await;
    let _begun = begun_elsewhere(target, script, number).await?;
    let mut peer = TcpStream::connect(target.address).await.context("connect")?;
    peer.set_nodelay(true)?;
    peer.write_all(target.request(script, number).as_bytes()).await?;
    let asked = now();

    let mut buffer = vec![0; READ_BYTES];
    let (mut events, mut kept, mut accepted) = (0, 0, false);
    let mut ending = Vec::new();
    loop {
        let read = peer.read(buffer.get_mut(kept..).unwrap_or_default()).await?;
        let received = now();
        if read == 0 {
            break;
        }
        let bytes = buffer.get(..kept + read).unwrap_or_default();
        let mut tally = tally.borrow_mut();
        if !accepted {
            accepted = bytes.starts_with(b"HTTP/1.1 200 ");
            ensure!(accepted, "refused: {}", String::from_utf8_lossy(bytes));
        }
        let before = events;
        let done = scan(bytes, |stamp| {
            if target.repeats() && script.events() == Some(events) {
                return;
            }
            events += 1;
            if let Some(sent) = stamp.filter(|_| tally.recording) {
                tally.delays.saturating_record(received.saturating_sub(sent));
            }
        });
        if before == 0 && events > 0 {
            tally.opened += 1;
            tally.first.saturating_record(received.saturating_sub(asked));
        }
        tally.events += events - before;
        if script.events() == Some(events) {
            ending.extend_from_slice(bytes);
        }
        buffer.copy_within(done..kept + read, 0);
        kept = kept + read - done;
    }
    tally.borrow_mut().ended += 1;
    ensure!(script.events() == Some(events), "{script} ended after {events} events");
    ensure!(
        memmem::find(&ending, target.terminator().as_bytes()).is_some(),
        "{script} ended without its terminator"
    );
    Ok(())
}

/// Begins what is read at another address, and reads it there, too, for as long as what is given lives.
async fn begun_elsewhere(target: Target, script: Script, number: usize) -> Result<Option<JoinSet<()>>> {
    let Door::Elsewhere(writer) = target.door else { return Ok(None) };
    let mut peer = TcpStream::connect(writer).await.context("connect")?;
    let request = Target { address: writer, ..target }.begin(script, number);
    peer.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; READ_BYTES];
    let read = peer.read(&mut buffer).await?;
    let head = buffer.get(..read).unwrap_or_default();
    ensure!(head.starts_with(b"HTTP/1.1 200 "), "refused: {}", String::from_utf8_lossy(head));
    let mut reading = JoinSet::new();
    reading.spawn_local(async move { while peer.read(&mut buffer).await.is_ok_and(|read| read > 0) {} });
    Ok(Some(reading))
}

/// How many read each stream at [`Door::Shared`].
const READERS: usize = 100;
/// One read takes at most this: more than enough for paced events, and what several of them at full speed need.
const READ_BYTES: usize = 16 * 1024;
/// The longest time that a histogram tells apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
const OPEN_WITHIN: Duration = Duration::from_mins(1);
