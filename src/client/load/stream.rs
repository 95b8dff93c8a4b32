//! One stream of a load: asked for, read to its end, timed and judged.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::client::load::tally::note;
use crate::client::load::{Api, Ask, Tally};
use crate::client::server::{ask as send, messages};
use crate::client::{ClientError, Meaning, Message, Next, Verdict};

/// Runs one stream, which was due at `begun`. Dropped before its end, it is unfinished.
pub(super) async fn run(ask: &Ask, tally: &RefCell<Tally>, begun: Instant, stall: Duration) {
    tally.borrow_mut().begun += 1;
    let mut stream = Stream { ask, tally, begun, last: None, has_content: false, input: None, output: None };
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
        }
        Err(how) => tally.fail(how),
    }
}

struct Stream<'a> {
    ask: &'a Ask,
    tally: &'a RefCell<Tally>,
    begun: Instant,
    /// When the last event came.
    last: Option<Instant>,
    has_content: bool,
    input: Option<u64>,
    output: Option<u64>,
}

impl Stream<'_> {
    /// When it ended well, or how it failed.
    async fn read(&mut self, stall: Duration) -> Result<Instant, String> {
        let stalled = |_| "stall".to_owned();
        let answer = timeout(stall, send(self.ask.request())).await.map_err(stalled)?;
        let mut messages = answer.and_then(messages).map_err(|error| kind(&error))?;
        let mut ended = None;
        loop {
            match timeout(stall, messages.next()).await.map_err(stalled)? {
                Next::Message(message) => match self.hear(&message) {
                    Some(Verdict::Done) => ended = Some(Instant::now()),
                    Some(Verdict::Failed { code, .. }) => {
                        return Err(format!("error {code}").trim_end().into());
                    }
                    None => {}
                },
                // A stream that ends without saying so is not complete, however cleanly its body ends.
                Next::Ended => return ended.or_else(|| self.needs_no_word()).ok_or_else(|| "cut".into()),
                Next::Cut(_) => return Err("cut".into()),
                Next::Malformed(_) => return Err("malformed".into()),
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
        if !self.has_content && (meaning.is_content || self.ask.api == Api::Sse) {
            self.has_content = true;
            note(&mut tally.first, now - self.begun);
        }
        self.input = meaning.input_tokens.or(self.input);
        self.output = meaning.output_tokens.or(self.output);
        if self.ask.until.as_ref().is_some_and(|until| *until == message.data) {
            return Some(Verdict::Done);
        }
        meaning.verdict
    }
}

/// One word for why no stream came.
fn kind(error: &ClientError) -> String {
    match error {
        ClientError::Refused(refused) => format!("status {}", refused.status),
        ClientError::NoStream { .. } => "no stream".into(),
        ClientError::Unreachable { .. }
        | ClientError::Address(_)
        | ClientError::Key
        | ClientError::Usage(_)
        | ClientError::GaveUp { .. }
        | ClientError::Certificates(_) => "connect".into(),
    }
}
