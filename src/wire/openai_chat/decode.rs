//! Decodes chat completion chunks, leniently: a chunk may carry reasoning, text, tool calls and the finish reason at once, and
//! usage may stand anywhere.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::wire::citation::Citation;
use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::{Code, Failure, read_failure};
use crate::wire::frame::Frame;
use crate::wire::json::{Field, Text};
use crate::wire::openai_chat::tools::{Call, Tools};
use crate::wire::openai_chat::whole::usage_of;
use crate::wire::seal::{Seal, Sealed};

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    started: bool,
    /// The index of the next block.
    next: u32,
    /// The block of text, reasoning or refusal that is open.
    open: Option<(Kind, u32)>,
    tools: Tools,
    finished: bool,
    reasons: Reasons,
    /// The further choices, and which of them are finished.
    others: HashMap<u64, bool>,
    done: Done,
    /// The last chunk held usage and no choice.
    usage_alone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
}

/// Where reasoning comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reasons {
    /// In a field for it.
    InField,
    /// In blocks of thinking, if anywhere.
    InBlocks,
}

/// What the terminator means without a finish reason before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// The end of nothing.
    Nothing,
    /// The end: there was text, of a server that does not know of finish reasons.
    End,
    /// The server has a place for the reason, and there was none.
    Broken,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<SmallVec<[Choice<'a>; 1]>>,
    #[serde(borrow, default)]
    usage: Field<'a>,
    #[serde(borrow, default)]
    x_groq: Field<'a>,
    #[serde(borrow, default)]
    error: Field<'a>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    index: Field<'a>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    /// The text of a legacy completion.
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default, deserialize_with = "named")]
    finish_reason: Option<Field<'a>>,
    /// The stop sequence that ended the answer, in vLLM's words; a number is a token.
    #[serde(borrow, default)]
    stop_reason: Field<'a>,
}

/// A member that is there, also if it is `null`.
fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Field<'de>>, D::Error> {
    <&RawValue>::deserialize(from).map(|raw| Some(Field::of(raw)))
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Field<'a>,
    #[serde(borrow, default)]
    reasoning_content: Field<'a>,
    #[serde(borrow, default)]
    reasoning: Field<'a>,
    #[serde(borrow, default)]
    thinking_blocks: Field<'a>,
    #[serde(borrow, default)]
    refusal: Field<'a>,
    #[serde(borrow, default)]
    annotations: Field<'a>,
    #[serde(borrow, default)]
    tool_calls: Field<'a>,
    #[serde(borrow, default)]
    audio: Field<'a>,
    #[serde(borrow, default)]
    function_call: Field<'a>,
}

/// A part of a content array (Mistral).
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    thinking: Field<'a>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow, default)]
    url_citation: Field<'a>,
}

/// A block of thinking as Anthropic has it.
#[derive(Deserialize)]
struct ThinkingBlock<'a> {
    #[serde(borrow, default)]
    thinking: Field<'a>,
    #[serde(borrow, default)]
    signature: Field<'a>,
    #[serde(borrow, default)]
    data: Field<'a>,
}

impl Decoder {
    pub fn new(seed: &str) -> Self {
        Self {
            started: false,
            next: 0,
            open: None,
            tools: Tools::new(seed),
            finished: false,
            reasons: Reasons::InBlocks,
            others: HashMap::new(),
            done: Done::Nothing,
            usage_alone: false,
        }
    }

    /// Was the last chunk there for nothing but usage? Clients that did not ask for it are not shown it.
    pub fn usage_alone(&self) -> bool {
        self.usage_alone
    }

    fn choice(&mut self, choice: &Choice<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        if choice.finish_reason.is_some() {
            self.done = Done::Broken;
        }
        // Some servers send an empty reason with every chunk.
        let reason = choice.finish_reason.and_then(Field::some_text).map(Text::plain);
        let index = choice.index.whole().unwrap_or(0);
        if index != 0 {
            *self.others.entry(index).or_default() |= reason.is_some();
            emit(Event::Other); // only a client of the same dialect asks for several, and it is given the bytes
            return Ok(());
        }
        if self.finished {
            return Ok(()); // a second finish reason, or padding behind the first
        }
        if let Some(text) = choice.text.some_text() {
            self.say(Kind::Text, text, emit);
        }
        if let Some(delta) = &choice.delta {
            self.delta(delta, emit)?;
        }
        if let Some(reason) = reason {
            self.finish(&reason, choice.stop_reason, emit);
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        // Servers that send both fields send the same text in both.
        if let Some(text) = delta.reasoning_content.some_text().or_else(|| delta.reasoning.some_text()) {
            self.reasons = Reasons::InField;
            self.say(Kind::Reasoning, text, emit);
        }
        if !delta.thinking_blocks.is_absent() {
            self.thinking(delta.thinking_blocks, emit);
        }
        if let Some(text) = delta.content.some_text() {
            self.say(Kind::Text, text, emit);
        } else if delta.content.raw().is_some_and(|raw| raw.starts_with('[')) {
            for part in delta.content.read::<SmallVec<[Part<'_>; 1]>>().unwrap_or_default() {
                self.part(&part, emit);
            }
        }
        if let Some(text) = delta.refusal.some_text() {
            self.say(Kind::Refusal, text, emit);
        }
        for annotation in delta.annotations.read::<SmallVec<[Annotation<'_>; 1]>>().unwrap_or_default() {
            if let Some(citation) = Citation::read(annotation.url_citation) {
                let index = self.block(Kind::Text, emit);
                emit(Event::Citation { index, citation });
            }
        }
        let calls = delta.tool_calls.read::<SmallVec<[Call<'_>; 1]>>().unwrap_or_default();
        if !calls.is_empty() {
            self.close_text(emit);
        }
        for call in &calls {
            self.tools.read(call, &mut self.next, emit)?;
        }
        if !delta.audio.is_absent() || !delta.function_call.is_absent() {
            emit(Event::Other);
        }
        Ok(())
    }

    /// What Anthropic signed, as gateways before Anthropic hand it on. The text of it counts only where it does not come in a field
    /// for reasoning: most say it twice.
    fn thinking(&mut self, blocks: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        for block in blocks.read::<SmallVec<[ThinkingBlock<'_>; 1]>>().unwrap_or_default() {
            if let Some(data) = block.data.some_text() {
                self.close_text(emit);
                let index = self.next;
                self.next += 1;
                let sealed = Sealed::read(data, Seal::Redacted);
                emit(Event::Open { index, block: Block::Redacted(sealed) });
                emit(Event::Close { index });
            }
            if let Some(text) = block.thinking.some_text().filter(|_| self.reasons == Reasons::InBlocks) {
                self.say(Kind::Reasoning, text, emit);
            }
            if let (Some(data), Some((Kind::Reasoning, index))) = (block.signature.some_text(), self.open) {
                emit(Event::Signature { index, sealed: Sealed::read(data, Seal::Signature) });
                self.close_text(emit); // it is the last of a block
            }
        }
    }

    fn part(&mut self, part: &Part<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(text) = part.text.some_text() {
            self.say(Kind::Text, text, emit);
        }
        if let Some(text) = part.thinking.some_text() {
            self.say(Kind::Reasoning, text, emit);
        }
        for inner in part.thinking.read::<Vec<Part<'_>>>().unwrap_or_default() {
            if let Some(text) = inner.text.some_text() {
                self.say(Kind::Reasoning, text, emit);
            }
        }
    }

    /// Text of a kind: into the open block, or into a new one.
    fn say(&mut self, kind: Kind, text: Text<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let index = self.block(kind, emit);
        emit(Event::Delta { index, text });
    }

    /// The open block, if it is of this kind, or a new one.
    fn block(&mut self, kind: Kind, emit: &mut dyn FnMut(Event<'_>)) -> u32 {
        match self.open {
            Some((open, index)) if open == kind => index,
            _ => {
                self.close_text(emit);
                self.tools.close_whole(emit);
                let index = self.next;
                self.next += 1;
                self.open = Some((kind, index));
                if (kind, self.done) == (Kind::Text, Done::Nothing) {
                    self.done = Done::End;
                }
                let block = match kind {
                    Kind::Text => Block::Text,
                    Kind::Reasoning => Block::Reasoning,
                    Kind::Refusal => Block::Refusal,
                };
                emit(Event::Open { index, block });
                index
            }
        }
    }

    fn close_text(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some((_, index)) = self.open.take() {
            emit(Event::Close { index });
        }
    }

    /// The terminator. Proxies send it also behind an answer that broke off, so it is an end only where a reason came before it,
    /// or behind a text of a server that has no reasons.
    fn done(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Flow {
        if !self.finished && self.done == Done::End && !self.tools.called() {
            self.finish("stop", Field::default(), emit);
            return Flow::Ended;
        }
        if self.complete() { Flow::Ended } else { Flow::Truncated }
    }

    fn finish(&mut self, reason: &str, stopped_by: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.close_text(emit);
        self.tools.close(emit);
        // The words of vLLM and DeepSeek for an answer that they gave up.
        if matches!(reason, "error" | "abort" | "insufficient_system_resource") {
            let words = format!("the backend gave the answer up (`finish_reason` is `{reason}`)");
            emit(Event::Fail(Failure::new(Code::UpstreamError, words)));
            return;
        }
        let finish = match reason {
            "length" | "model_length" | "max_tokens" => Finish::Length, // the others are Mistral's
            "content_filter" => Finish::Refusal,
            // vLLM says `stop` for a named tool choice, older servers always
            _ if self.tools.called() => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        if let (Finish::Stop, Some(text)) = (finish, stopped_by.some_text()) {
            emit(Event::StopSequence(text));
        }
        emit(Event::Finish(finish));
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        self.usage_alone = false;
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(self.done(emit));
        }
        if frame.event.as_deref() == Some(b"error") {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        let chunk: Chunk<'_> = serde_json::from_slice(&frame.data)?;
        if !chunk.error.is_absent() {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        if !std::mem::replace(&mut self.started, true) {
            emit(Event::Start);
        }
        for choice in chunk.choices.iter().flatten() {
            self.choice(choice, emit)?;
        }
        let usage = usage_of(chunk.usage, chunk.x_groq);
        self.usage_alone = usage.is_some() && chunk.choices.as_ref().is_none_or(SmallVec::is_empty);
        if let Some(usage) = usage {
            emit(Event::Usage(usage));
        }
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        self.finished && self.others.values().all(|finished| *finished)
    }

    fn held(&self) -> usize {
        self.tools.held()
    }

    fn last_words(&self, failure: &Failure) -> Bytes {
        failure.frame(Dialect::OpenAiChat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&str]) -> Vec<String> {
        let mut decoder = Decoder::new("s");
        let mut seen = Vec::new();
        for chunk in chunks {
            let data = Bytes::copy_from_slice(chunk.as_bytes());
            let frame = Frame { raw: data.clone(), event: None, data };
            decoder.decode(&frame, &mut |event| seen.push(short(&event))).unwrap();
        }
        seen
    }

    fn short(event: &Event<'_>) -> String {
        match event {
            Event::Open { index, block: Block::ToolCall { id, name } } => {
                format!("{index} call {} {}", id.plain(), name.plain())
            }
            Event::Open { index, block } => format!("{index} {block:?}"),
            Event::Delta { index, text } => format!("{index} +{}", text.plain()),
            Event::Close { index } => format!("{index} close"),
            Event::Start
            | Event::Signature { .. }
            | Event::Citation { .. }
            | Event::Usage(_)
            | Event::StopSequence(_)
            | Event::Finish(_)
            | Event::Fail(_)
            | Event::Other => format!("{event:?}"),
        }
    }

    fn call(delta: &str) -> String {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{delta}]}}}}]}}"#)
    }

    #[test]
    fn everything_in_one_chunk_comes_in_order() {
        let chunk = r#"{"choices":[{"delta":{"content":"b","reasoning":"a","tool_calls":[
            {"id":"x","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        assert_eq!(
            decode(&[chunk])[..9],
            ["Start", "0 Reasoning", "0 +a", "0 close", "1 Text", "1 +b", "1 close", "2 call x f", "2 +{}"]
        );
        assert_eq!(decode(&[chunk])[9..11], ["2 close", "Finish(ToolCalls)"]);
    }

    #[test]
    fn fragments_of_parallel_calls_may_interleave_and_an_index_may_be_used_again() {
        let seen = decode(&[
            &call(r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#),
            &call(r#"{"index":1,"id":"b","function":{"name":"g","arguments":""}}"#),
            &call(r#"{"index":0,"function":{"arguments":"1"}}"#),
            &call(r#"{"index":1,"function":{"name":"","arguments":"2"}}"#),
            &call(r#"{"index":0,"id":"c","function":{"name":"h","arguments":{"x":1.0}}}"#),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ]);
        assert_eq!(
            seen[1..],
            [
                "0 call a f",
                "1 call b g",
                "0 +1",
                "1 +2",
                "2 call c h",
                "2 +{\"x\":1.0}",
                "0 close",
                "1 close",
                "2 close",
                "Finish(ToolCalls)"
            ]
        );
    }

    #[test]
    fn arguments_wait_for_their_name_and_missing_ids_are_made() {
        let seen = decode(&[
            &call(r#"{"index":0,"function":{"arguments":"{\"a\""}}"#),
            &call(r#"{"index":0,"function":{"name":"f","arguments":":1}"}}"#),
        ]);
        assert_eq!(seen[1..], ["0 call call_s_0 f", "0 +{\"a\"", "0 +:1}"]);
    }

    #[test]
    fn a_second_finish_reason_does_not_count() {
        let end = |reason: &str| {
            format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
        };
        assert_eq!(decode(&[&end("length"), &end("stop"), "[DONE]"])[1..], ["Finish(Length)"]);
    }

    fn end(reason: &str) -> String {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":{reason}}}]}}"#)
    }

    #[test]
    fn an_empty_finish_reason_is_none() {
        let seen = decode(&[&end("\"\""), &end("\"\""), &end("\"stop\""), "[DONE]"]);
        assert_eq!(
            seen[1..],
            ["0 Text", "0 +a", "0 +a", "0 +a", "0 close", "Finish(Stop)"],
            "and what comes behind it is heard"
        );
    }

    #[test]
    fn every_word_for_a_limit_is_length_and_every_word_for_giving_up_a_failure() {
        for reason in ["length", "model_length", "max_tokens"] {
            assert_eq!(decode(&[&end(&format!("\"{reason}\""))]).last().unwrap(), "Finish(Length)");
        }
        for reason in ["error", "abort", "insufficient_system_resource"] {
            let seen = decode(&[&end(&format!("\"{reason}\""))]);
            assert!(seen.last().unwrap().starts_with("Fail("), "{seen:?}");
        }
    }

    /// How the last of these chunks stands.
    fn flow(chunks: &[&str]) -> (Flow, bool) {
        let mut decoder = Decoder::new("s");
        let mut flow = Flow::More;
        for chunk in chunks {
            let data = Bytes::copy_from_slice(chunk.as_bytes());
            let frame = Frame { raw: data.clone(), event: None, data };
            flow = decoder.decode(&frame, &mut |_| {}).unwrap();
        }
        (flow, decoder.complete())
    }

    #[test]
    fn done_is_an_end_only_behind_a_finish_reason_or_where_there_are_none() {
        let unreasoned = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        assert_eq!(flow(&[&end("null"), &end("\"stop\""), "[DONE]"]), (Flow::Ended, true));
        assert_eq!(flow(&[&end("null"), "[DONE]"]), (Flow::Truncated, false));
        assert_eq!(flow(&["[DONE]"]), (Flow::Truncated, false));
        assert_eq!(flow(&[unreasoned, "[DONE]"]), (Flow::Ended, true));
        let called = call(r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#);
        assert_eq!(flow(&[unreasoned, &called, "[DONE]"]), (Flow::Truncated, false));
    }

    #[test]
    fn an_answer_of_several_choices_is_complete_when_each_of_them_is() {
        let choice = |index: u64, reason: &str| {
            format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":{reason}}}]}}"#)
        };
        let (one, other, done) = (choice(1, "null"), choice(0, "\"stop\""), choice(1, "\"length\""));
        assert_eq!(flow(&[&one, &other]), (Flow::More, false));
        assert_eq!(flow(&[&one, &other, "[DONE]"]), (Flow::Truncated, false));
        assert_eq!(flow(&[&one, &other, &done, &one, "[DONE]"]), (Flow::Ended, true));
    }
}
