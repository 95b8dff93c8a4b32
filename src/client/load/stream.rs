//! One stream of a load: asked for, read to its end, timed and judged.

use std::cell::RefCell;
use std::time::Duration;

use http::Version;
use tokio::time::{Instant, timeout};

use crate::client::load::tally::{note, note_rate};
use crate::client::load::{Api, Ask, Tally};
use crate::client::server::{ask as send, messages};
use crate::client::{ClientError, Meaning, Message, Missing, Next, Verdict};

/// Runs one stream, which was due at `begun`. Dropped before its end, it is unfinished.
pub(super) async fn run(ask: &Ask, tally: &RefCell<Tally>, begun: Instant, stall: Duration) {
    tally.borrow_mut().begun += 1;
    let mut stream = Stream { ask, tally, begun, last: None, content: None, input: None, output: None };
    let result = stream.read(stall).await;
    let mut tally = tally.borrow_mut();
    if stream.input.is_some() || stream.output.is_some() {
        tally.counted += 1;
        tally.input_tokens += stream.input.unwrap_or_default();
        tally.output_tokens += stream.output.unwrap_or_default();
    }
    match result {
        Ok(ended) => {
            tally.done += 1;
            note(&mut tally.totals, ended - begun);
            if let Some(Content { first, last, events }) = stream.content {
                note_rate(&mut tally.rates, events - 1, last - first);
            }
        }
        Err(Failure { how, words }) => tally.fail(how, words),
    }
}

struct Stream<'a> {
    ask: &'a Ask,
    tally: &'a RefCell<Tally>,
    begun: Instant,
    /// When the last event came.
    last: Option<Instant>,
    content: Option<Content>,
    input: Option<u64>,
    output: Option<u64>,
}

/// What a reader waits for: when it came, and how many events it is.
struct Content {
    first: Instant,
    last: Instant,
    events: u64,
}

/// How a stream failed, in a word that is counted, and what there is to say about it.
struct Failure {
    how: String,
    words: String,
}

fn failure(how: &str, words: impl Into<String>) -> Failure {
    Failure { how: how.trim_end().to_owned(), words: words.into() }
}

impl Stream<'_> {
    /// When it ended well, or how it failed.
    async fn read(&mut self, stall: Duration) -> Result<Instant, Failure> {
        let stalled = |_| failure("stall", format!("nothing came for {}", humantime::format_duration(stall)));
        let Some((request, _running)) = self.ask.request() else { return Err(failure("connect", "")) };
        let answer = timeout(stall, send(request)).await.map_err(stalled)?.map_err(|error| kind(&error))?;
        *self.tally.borrow_mut().versions.entry(name(answer.version())).or_default() += 1;
        let mut messages = messages(answer).map_err(|error| kind(&error))?;
        let mut ended = None;
        loop {
            match timeout(stall, messages.next()).await.map_err(stalled)? {
                Next::Message(message) => match self.hear(&message) {
                    Some(Verdict::Done) => ended = Some(Instant::now()),
                    Some(Verdict::Failed { code, message }) => {
                        return Err(failure(&format!("error {code}"), message));
                    }
                    None => {}
                },
                // A stream that ends without saying so is not complete, however cleanly its body ends.
                Next::Ended => {
                    let cut = || failure("cut", "the body ended without a terminator");
                    return ended.or_else(|| self.needs_no_word()).ok_or_else(cut);
                }
                Next::Cut(why) => return Err(failure("cut", why)),
                Next::Malformed(why) => return Err(failure("malformed", why)),
            }
        }
    }

    /// Events of nobody's API have no terminator, unless one was named.
    fn needs_no_word(&self) -> Option<Instant> {
        (self.ask.api == Api::Sse && self.ask.until.is_none()).then(Instant::now)
    }

    fn hear(&mut self, message: &Message) -> Option<Verdict> {
        let now = Instant::now();
        let meaning = Meaning::of(&message.name, &message.data);
        let mut tally = self.tally.borrow_mut();
        tally.events += 1;
        if let Some(last) = self.last.replace(now) {
            note(&mut tally.gaps, now - last);
        }
        if meaning.is_content || self.ask.api == Api::Sse {
            match &mut self.content {
                Some(content) => (content.last, content.events) = (now, content.events + 1),
                None => {
                    self.content = Some(Content { first: now, last: now, events: 1 });
                    note(&mut tally.first, now - self.begun);
                }
            }
        }
        self.input = meaning.input_tokens.or(self.input);
        self.output = meaning.output_tokens.or(self.output);
        if self.ask.until.as_ref().is_some_and(|until| *until == message.data) {
            return Some(Verdict::Done);
        }
        meaning.verdict
    }
}

/// Why no stream came.
fn kind(error: &ClientError) -> Failure {
    let words = || error.to_string().lines().next().unwrap_or_default().to_owned();
    match error {
        ClientError::Refused(refused) => failure(&format!("status {}", refused.status), &refused.message),
        ClientError::NoStream { what, .. } => failure("no stream", format!("the answer came {what}")),
        ClientError::Unreachable { missing: Missing::Answer, reason, .. } => failure("no answer", reason),
        ClientError::Unreachable { missing: Missing::Connection, reason, .. } => failure("connect", reason),
        ClientError::Address(_)
        | ClientError::Key
        | ClientError::Usage(_)
        | ClientError::GaveUp { .. }
        | ClientError::Certificates(_) => failure("connect", words()),
    }
}

fn name(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
