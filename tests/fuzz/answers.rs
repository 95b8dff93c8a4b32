//! What a backend says on its way to a client of another dialect: what is lawful of the events, and what the client may be told at
//! the end of them.

use std::collections::HashMap;

use streamgate::wire::{
    Answer, Block, Code, Decode as _, Decoder, Dialect, Echo, Encode as _, Encoder, Event, Failure, Finish,
    Flow, Frame, Frames, Identity, Style, Text, Timestamp, Translation, whole,
};

use crate::{DIALECTS, check, frames};

/// Decodes a body of `from`, and encodes what it says for every client, streamed and whole.
pub fn translate(from: Dialect, body: &[u8]) {
    let frames = frames(from, body, usize::MAX);
    for to in DIALECTS {
        let identity = Identity { id: "x".into(), model: "m".into(), ..Identity::default() };
        let style = Style { usage: true, ..Style::default() };
        let encoder = Encoder::new(to, &identity, style).expect("a dialect that is translated");
        let mut relay = Relay {
            translation: Translation::new(&Echo::default(), to),
            encoder,
            out: Frames::default(),
            answer: Answer::default(),
            said: Heard::default(),
            told: Heard::default(),
            failed: false,
        };
        let ended = relay.read(Decoder::new(from, "s"), &frames);
        let answer = std::mem::take(&mut relay.answer);
        relay.end(to, ended);
        if ended {
            let whole = whole(to, &answer, &identity, style, Timestamp::default()).expect("as above");
            let whole = whole.expect("what can be streamed can be told as a whole");
            serde_json::from_slice::<serde_json::Value>(&whole).expect("JSON");
        }
    }
}

/// One answer on its way, as the gateway passes it on.
struct Relay {
    translation: Translation,
    encoder: Encoder,
    out: Frames,
    answer: Answer,
    /// What the backend said, and what the client is told.
    said: Heard,
    told: Heard,
    failed: bool,
}

impl Relay {
    fn pass(&mut self, event: &Event<'_>) {
        self.said.hear(event);
        let Self { translation, encoder, out, answer, told, failed, .. } = self;
        if *failed {
            return;
        }
        if let Event::Fail(_) = event {
            *failed = true;
            return;
        }
        let passed = translation.pass(event, &mut |event| {
            told.hear(event);
            answer.add(event, Timestamp::default());
            encoder.encode(event, Timestamp::default(), out)
        });
        *failed |= passed.is_err();
    }

    /// Did the answer end well?
    fn read(&mut self, mut decoder: Decoder, frames: &[Frame]) -> bool {
        for frame in frames {
            let flow = decoder.decode(frame, &mut |event| self.pass(&event));
            match flow {
                _ if self.failed => return false,
                Ok(Flow::More) => {}
                Ok(Flow::Ended) => return true,
                Ok(Flow::Truncated) | Err(_) => return false,
            }
        }
        if decoder.complete() {
            decoder.end(&mut |event| self.pass(&event));
            return !self.failed;
        }
        false
    }

    /// Ends the stream of the client, which reads it.
    fn end(mut self, to: Dialect, ended: bool) {
        if ended {
            self.encoder.finish(Timestamp::default(), &mut self.out);
        } else {
            self.encoder.fail(&Failure::new(Code::UpstreamError, "x"), &mut self.out);
        }
        let written = self.out.joined();
        check(to, &written);
        let mut heard = Heard::default();
        let mut decoder = Decoder::new(to, "t");
        let mut flow = Flow::More;
        for frame in frames(to, &written, usize::MAX) {
            flow = decoder.decode(&frame, &mut |event| heard.hear(&event)).expect("a frame of our own");
        }
        if !ended {
            assert!(heard.finish.is_none() && heard.failed, "{to:?}: a failure is told as a success");
            return;
        }
        assert_eq!(flow, Flow::Ended, "{to:?}: the stream has no end");
        self.said.ends_well();
        self.told.ends_well();
        heard.ends_well();
        self.compare(to, &heard);
    }

    /// The client hears what the backend said, once, and its calls can be run.
    fn compare(&self, to: Dialect, heard: &Heard) {
        let finish = self.said.finish.expect("it ended well");
        let (said, told) = (&self.said, &self.told);
        // Two dialects have no place of their own for a refusal.
        let joined = matches!(to, Dialect::Anthropic | Dialect::OllamaChat | Dialect::OllamaGenerate);
        let spoken = |heard: &Heard| if joined { heard.spoken.clone() } else { heard.text.clone() };
        // The others tell texts that come at the same time as they come.
        if !said.interleaves || matches!(to, Dialect::Anthropic | Dialect::OpenAiResponses) {
            assert_eq!(plain(&spoken(heard)), plain(&spoken(said)), "{to:?}: another text");
            assert_eq!(plain(&heard.thought), plain(&said.thought), "{to:?}: another thought");
        }
        let names = |heard: &Heard| heard.calls.iter().map(|call| call.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(told), names(said), "{to:?}: other calls");
        let whole = |call: &&Call| finish != Finish::Length || call.object().is_some();
        let lawful = told.calls.iter().filter(whole).map(|call| &call.name).collect::<Vec<_>>();
        let ollama = matches!(to, Dialect::OllamaChat | Dialect::OllamaGenerate);
        if ollama && finish == Finish::Length {
            assert_eq!(heard.calls.iter().map(|call| &call.name).collect::<Vec<_>>(), lawful);
        } else {
            assert_eq!(names(heard), names(said), "{to:?}: other calls");
        }
        for call in heard.calls.iter().filter(|_| finish != Finish::Length) {
            assert!(call.object().is_some(), "{to:?}: no object: {call:?}");
        }
        let success = matches!(finish, Finish::Stop | Finish::ToolCalls | Finish::Pause);
        let nothing = heard.is_empty() && heard.sealed == 0 && told.sealed == 0;
        assert!(!(success && nothing && said.others > 0), "{to:?}: a success of nothing");
        let ids: std::collections::HashSet<&String> = heard.calls.iter().map(|call| &call.id).collect();
        assert_eq!(ids.len(), heard.calls.len(), "{to:?}: two calls have one id: {:?}", heard.calls);
    }
}

fn plain(escaped: &str) -> String {
    Text::Escaped(escaped).plain().into_owned()
}

/// Events put together, and what holds of all events.
#[derive(Debug, Default)]
struct Heard {
    started: bool,
    next: u32,
    open: HashMap<u32, Kind>,
    /// Still escaped, block by block: those may interleave.
    blocks: Vec<(Kind, String)>,
    text: String,
    spoken: String,
    thought: String,
    calls: Vec<Call>,
    /// Two texts were open at the same time.
    interleaves: bool,
    sealed: usize,
    others: usize,
    finish: Option<Finish>,
    failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Hidden,
    Call,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Call {
    fn object(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        let arguments = plain(&self.arguments);
        serde_json::from_str(if arguments.trim().is_empty() { "{}" } else { &arguments }).ok()
    }
}

impl Heard {
    fn hear(&mut self, event: &Event<'_>) {
        if self.finish.is_some() {
            let beside = matches!(event, Event::Usage(_) | Event::Aside { .. } | Event::Fail(_));
            assert!(beside || self.failed, "{event:?} behind the finish");
        }
        match event {
            Event::Start => assert!(!std::mem::replace(&mut self.started, true), "it starts twice"),
            Event::Open { index, block } => {
                assert_eq!(*index, self.next, "blocks are counted");
                self.next += 1;
                let kind = match block {
                    Block::Text => Kind::Text,
                    Block::Refusal => Kind::Refusal,
                    Block::Reasoning => Kind::Reasoning,
                    Block::Redacted(_) | Block::Picture(_) => {
                        self.sealed += 1;
                        Kind::Hidden
                    }
                    Block::ToolCall { id, name } => {
                        let (id, name) = (id.plain().into_owned(), name.plain().into_owned());
                        self.calls.push(Call { id, name, arguments: String::new() });
                        Kind::Call
                    }
                };
                let is_text = |kind: &Kind| matches!(kind, Kind::Text | Kind::Refusal | Kind::Reasoning);
                self.interleaves |= is_text(&kind) && self.open.values().any(is_text);
                self.blocks.push((kind, String::new()));
                self.open.insert(*index, kind);
            }
            Event::Delta { index, text } => {
                let kind = *self.open.get(index).expect("an open block");
                assert_ne!(kind, Kind::Hidden, "it has no text");
                text.write_into(&mut self.blocks[*index as usize].1);
            }
            Event::Citation { index, .. } | Event::Signature { index, .. } => {
                assert!(self.open.contains_key(index), "an open block");
            }
            Event::Close { index } => {
                assert!(self.open.remove(index).is_some(), "a block ends once");
            }
            Event::Finish(finish) => {
                assert!(self.open.is_empty(), "blocks are open at the end");
                self.finish = Some(*finish);
            }
            Event::Fail(_) => self.failed = true,
            Event::Other { .. } => self.others += 1,
            Event::Usage(_) | Event::StopSequence(_) | Event::Aside { .. } => {}
        }
    }

    /// It is over: puts the texts of its blocks together.
    fn ends_well(&mut self) {
        assert!(self.finish.is_some() && !self.failed, "no end: {self:?}");
        let mut calls = self.calls.iter_mut();
        for (kind, text) in &self.blocks {
            match kind {
                Kind::Text => {
                    self.text.push_str(text);
                    self.spoken.push_str(text);
                }
                Kind::Refusal => self.spoken.push_str(text),
                Kind::Reasoning => self.thought.push_str(text),
                Kind::Hidden => {}
                Kind::Call => {
                    calls.next().expect("a call").arguments.clone_from(text);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.spoken.is_empty() && self.thought.is_empty() && self.calls.is_empty()
    }
}
