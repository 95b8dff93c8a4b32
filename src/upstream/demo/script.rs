//! The answer of the built-in model, written out before the first byte of it is sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;

use crate::telemetry::{random_id, since_1970};
use crate::upstream::demo::options::{Fault, Options};
use crate::wire::json::{Field, Text, escape};
use crate::wire::{Block, Encode as _, Encoder, Envelope, Event, Failure, Finish, Frames, Identity};
use crate::wire::{Code, Dialect, Request, Style, Timestamp, Tool, ToolChoice, Usage};

/// What happens, in order.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Bytes, after a time.
    Say {
        after: Duration,
        bytes: Bytes,
    },
    Cut,
    Stall,
    #[cfg(debug_assertions)]
    Panic,
}

impl Step {
    pub(super) fn delay(&self) -> Duration {
        match self {
            Self::Say { after, .. } => *after,
            Self::Cut | Self::Stall => Duration::ZERO,
            #[cfg(debug_assertions)]
            Self::Panic => Duration::ZERO,
        }
    }
}

const THOUGHT: &str =
    "The user wants to see a stream, so I shall think for a moment and then speak one word at a time.";
const ANSWER: &str = "Hello! I am the demo model that is built into Streamgate, so that a fresh machine can try a stream \
                      without a model server. Every word of this answer is an event of its own, and you should see them \
                      arrive one by one. If they come all at once, something between us holds them back.";

/// Puts an answer together from events, as a real model would send them.
struct Writer {
    encoder: Encoder,
    steps: Vec<Step>,
    pace: Duration,
    /// Until the next word: the silence before the first.
    wait: Duration,
    /// The pause in the middle, and the words before it.
    pause: (Duration, u64),
    /// When the next word leaves, counted from the request.
    elapsed: Duration,
    /// Stamps in place of words, with so many bytes behind them.
    stamps: Option<usize>,
    next: u32,
    words: u64,
    /// Words until the fault.
    left: usize,
}

impl Script {
    pub(super) fn new(options: &Options, request: &Request<'_>, envelope: &Envelope, size: usize) -> Self {
        let started = Timestamp::of(since_1970());
        let identity =
            Identity { id: random_id(), model: envelope.model.clone(), started, ..Identity::default() };
        let style = Style { usage: envelope.usage, ..Style::default() };
        let Some(encoder) = Encoder::new(Dialect::OpenAiChat, &identity, style) else {
            return Self { steps: Vec::new() };
        };
        let mut writer = Writer {
            encoder,
            steps: Vec::new(),
            pace: options.pace,
            wait: options.silence,
            pause: (options.pause, options.after as u64),
            elapsed: Duration::ZERO,
            stamps: options.stamps.then_some(options.pad),
            next: 0,
            words: 0,
            left: options.fault.map_or(usize::MAX, |_| options.after),
        };
        let finish = writer.answer(options, request);
        match options.fault {
            None => writer.end(finish.unwrap_or(Finish::Stop), size as u64 / 4),
            Some(fault) => writer.go_wrong(fault),
        }
        Self { steps: writer.steps }
    }
}

impl Writer {
    /// `None` when the fault is due.
    fn answer(&mut self, options: &Options, request: &Request<'_>) -> Option<Finish> {
        if options.think {
            self.speak(Block::Reasoning, &mut THOUGHT.split_inclusive(' '))?;
        }
        if options.tools && !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None) {
            for (number, tool) in request.tools.iter().enumerate() {
                let id = format!("call_demo_{number}");
                let arguments = arguments(tool);
                let halves = arguments.split_at_checked(arguments.len() / 2).unwrap_or((&arguments, ""));
                self.speak(
                    Block::ToolCall { id: Text::Plain(&id), name: tool.name },
                    &mut [halves.0, halves.1].into_iter(),
                )?;
            }
            return Some(Finish::ToolCalls);
        }
        let asked = request.sampling.max_tokens.and_then(|tokens| tokens.parse::<usize>().ok());
        let words = options.words.unwrap_or_else(|| ANSWER.split(' ').count());
        let said = words.min(asked.unwrap_or(usize::MAX));
        self.speak(Block::Text, &mut ANSWER.split_inclusive(' ').chain([" "]).cycle().take(said))?;
        Some(if said < words { Finish::Length } else { Finish::Stop })
    }

    /// One block, a word at a time.
    fn speak(&mut self, block: Block<'_>, words: &mut dyn Iterator<Item = &str>) -> Option<()> {
        let index = self.next;
        self.next += 1;
        let mut frames = Frames::default();
        self.emit(&Event::Open { index, block }, &mut frames);
        for word in words {
            self.left = self.left.checked_sub(1)?;
            let mut wait = std::mem::replace(&mut self.wait, self.pace);
            if self.words == self.pause.1 {
                wait += self.pause.0;
            }
            self.elapsed += wait;
            let word = self.stamp().map_or(Cow::Borrowed(word), Cow::Owned);
            self.words += 1;
            self.emit(&Event::Delta { index, text: Text::Plain(&word) }, &mut frames);
            self.say(wait, &mut frames);
        }
        self.emit(&Event::Close { index }, &mut frames);
        self.say(Duration::ZERO, &mut frames);
        Some(())
    }

    /// What stands in the next word's place. Random letters, so that no compression makes the padding smaller.
    fn stamp(&self) -> Option<String> {
        let pad = self.stamps?;
        let mut stamp = format!("[{}@{}]", self.words, self.elapsed.as_millis());
        let full = stamp.len() + pad;
        while stamp.len() < full {
            stamp.push_str(&random_id());
        }
        stamp.truncate(full);
        stamp.push(' ');
        Some(stamp)
    }

    fn end(&mut self, finish: Finish, input: u64) {
        let mut frames = Frames::default();
        self.emit(&Event::Finish(finish), &mut frames);
        self.emit(&Event::Usage(Usage { input, output: self.words, ..Usage::default() }), &mut frames);
        self.encoder.finish(Timestamp::default(), &mut frames);
        self.say(Duration::ZERO, &mut frames);
    }

    fn go_wrong(&mut self, fault: Fault) {
        match fault {
            Fault::Cut => self.steps.push(Step::Cut),
            Fault::Stall => self.steps.push(Step::Stall),
            Fault::Error => {
                let failure = Failure::new(Code::UpstreamError, "the demo model was asked to fail");
                self.steps.push(Step::Say { after: self.pace, bytes: failure.frame(Dialect::OpenAiChat) });
            }
            Fault::Truncated => {}
            #[cfg(debug_assertions)]
            Fault::Panic => self.steps.push(Step::Panic),
        }
    }

    fn emit(&mut self, event: &Event<'_>, frames: &mut Frames) {
        let encoded = self.encoder.encode(event, Timestamp::default(), frames);
        debug_assert_eq!(encoded, Ok(()), "what the demo model says can be said");
    }

    /// Everything in `frames` is sent at once.
    fn say(&mut self, after: Duration, frames: &mut Frames) {
        let mut bytes = BytesMut::new();
        frames.drain().for_each(|frame| bytes.put_slice(&frame));
        if !bytes.is_empty() {
            self.steps.push(Step::Say { after, bytes: bytes.freeze() });
        }
    }
}

/// Arguments that a tool's schema allows in simple cases: a value for every required property, by its type.
fn arguments(tool: &Tool<'_>) -> String {
    #[derive(Default, Deserialize)]
    struct Schema<'a> {
        #[serde(borrow, default)]
        required: Field<'a>,
        #[serde(borrow, default)]
        properties: Field<'a>,
    }
    let schema: Schema<'_> =
        tool.parameters.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let properties: serde_json::Value = schema.properties.read().unwrap_or_default();
    let required: Vec<String> = schema.required.read().unwrap_or_default();
    let members: Vec<String> = required
        .iter()
        .map(|name| {
            let value = match properties.get(name).and_then(|property| property.get("type")?.as_str()) {
                Some("integer" | "number") => "1",
                Some("boolean") => "true",
                Some("array") => "[]",
                Some("object") => "{}",
                _ => "\"demo\"",
            };
            let mut key = BytesMut::new();
            escape(name, &mut key);
            format!("\"{}\":{value}", String::from_utf8_lossy(&key))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}
