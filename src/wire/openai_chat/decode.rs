//! Decodes chat completion chunks, leniently: a chunk may carry reasoning, text, tool calls and the finish reason at once, any of
//! it may stand behind a finish reason, and usage anywhere. The answer ends at its terminator.

use std::collections::HashMap;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::wire::citation::Citation;
use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::Failure;
use crate::wire::frame::Frame;
use crate::wire::json::{Field, Text};
use crate::wire::members::named;
use crate::wire::openai_chat::chunk::{Annotation, Choice, Chunk, Delta, Named, Part};
use crate::wire::openai_chat::reason::{Reason, Word};
use crate::wire::openai_chat::tools::{Call, Function, Tools};
use crate::wire::openai_chat::whole::{PerChoice, usage_of};
use crate::wire::sources::Sources;
use crate::wire::told_failure::{is_refusal, read_failure};

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    started: bool,
    /// The index of the next block.
    pub(super) next: u32,
    /// The block of text, reasoning or refusal that is open.
    pub(super) open: Option<(Kind, u32)>,
    tools: Tools,
    /// Why the answer ends, if it ends here; it is told at its end.
    reason: Option<Reason>,
    over: bool,
    pub(super) reasons: Reasons,
    /// The further choices, and which of them are finished.
    others: HashMap<u64, bool>,
    done: Done,
    /// The last chunk held usage and no choice.
    usage_alone: bool,
    usage: PerChoice,
    sources: Sources,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Reasoning,
    Refusal,
}

/// Where the text of reasoning comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasons {
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

impl Decoder {
    pub fn new(seed: &str) -> Self {
        Self {
            started: false,
            next: 0,
            open: None,
            tools: Tools::new(seed),
            reason: None,
            over: false,
            reasons: Reasons::InBlocks,
            others: HashMap::new(),
            done: Done::Nothing,
            usage_alone: false,
            usage: PerChoice::default(),
            sources: Sources::default(),
        }
    }

    /// Was the last chunk there for nothing but usage? Clients that did not ask for it are not shown it.
    pub fn usage_alone(&self) -> bool {
        self.usage_alone
    }

    fn choice(&mut self, choice: &Choice<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let Named(finish_reason) = choice.finish_reason;
        if finish_reason.is_some() {
            self.done = Done::Broken;
        }
        // Some servers send an empty reason with every chunk.
        let reason = finish_reason.and_then(Field::some_text).map(Text::plain);
        let index = choice.index.whole().unwrap_or(0);
        if index != 0 {
            *self.others.entry(index).or_default() |= reason.is_some();
            // Only a client of the same dialect asks for several, and it is given the bytes.
            emit(Event::Other { name: "a further choice", awaits_client: false });
            return Ok(());
        }
        if let Some(name) = &choice.unknown {
            emit(Event::Aside { name });
        }
        if let Some(text) = choice.text.some_text() {
            self.say(Kind::Text, text, emit);
        }
        if let Some(delta) = choice.delta.as_ref().or(choice.message.as_ref()) {
            self.delta(delta, emit)?;
        }
        match reason.as_deref().map(Word::of) {
            None => {}
            // Some proxies send a reason behind every chunk, so it counts when the answer is over.
            Some(Word::Ended(reason)) => Reason::learn(&mut self.reason, reason, choice.stop_reason),
            Some(Word::GaveUp(failure)) => {
                Reason::learn(&mut self.reason, Finish::Stop, Field::default());
                emit(Event::Fail(failure));
            }
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
        if !delta.reasoning_details.is_absent() {
            self.details(delta.reasoning_details, emit);
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
                self.sources.cited(citation.url);
                emit(Event::Citation { index, citation });
            }
        }
        if !delta.images.is_absent() {
            for image in delta.images.read::<Vec<Field<'_>>>().unwrap_or_default() {
                self.picture(image, emit);
            }
        }
        if !delta.tool_calls.is_absent() {
            let calls = delta.tool_calls.read::<SmallVec<[Call<'_>; 1]>>().unwrap_or_default();
            self.calls(&calls, emit)?;
        }
        if let Some(function) = delta.function_call.read::<Function<'_>>() {
            self.calls(&[function.into()], emit)?;
        }
        if let Some(name) = &delta.unknown {
            emit(Event::Other { name, awaits_client: false });
        }
        Ok(())
    }

    fn calls(&mut self, calls: &[Call<'_>], emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        if !calls.is_empty() {
            self.close_text(emit);
        }
        calls.iter().try_for_each(|call| self.tools.read(call, &mut self.next, emit))
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
        if !part.image_url.is_absent() {
            self.picture(part.image_url, emit);
        } else if part.text.is_absent() && part.thinking.is_absent() {
            let name = part.kind.string().unwrap_or_default();
            emit(Event::Other { name: &name, awaits_client: false });
        }
    }

    /// A picture that the model made: an address, or an object that has one.
    fn picture(&mut self, image: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let inside = |object| named(object, ["image_url", "url"], |_| {});
        let [within, url] = inside(image).unwrap_or_default();
        let url = [image, within, url].into_iter().find_map(Field::some_text);
        let Some(url) = url.or_else(|| inside(within)?[1].some_text()) else {
            return emit(Event::Other { name: "images", awaits_client: false });
        };
        self.close_text(emit);
        let index = self.next;
        self.next += 1;
        emit(Event::Open { index, block: Block::Picture(url) });
        emit(Event::Close { index });
    }

    /// Text of a kind: into the open block, or into a new one.
    pub(super) fn say(&mut self, kind: Kind, text: Text<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let index = self.block(kind, emit);
        emit(Event::Delta { index, text });
    }

    /// The open block, if it is of this kind, or a new one.
    fn block(&mut self, kind: Kind, emit: &mut dyn FnMut(Event<'_>)) -> u32 {
        match self.open {
            Some((open, index)) if open == kind => index,
            _ => {
                self.close_text(emit);
                self.tools.close_whole(&mut self.next, emit);
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

    pub(super) fn close_text(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some((kind, index)) = self.open.take() {
            if kind == Kind::Text {
                self.sources.tell(index, emit);
            }
            emit(Event::Close { index });
        }
    }

    /// The terminator. Proxies send it also behind an answer that broke off, so it is an end only where a reason came before it,
    /// or behind a text of a server that has no reasons.
    fn done(&mut self, emit: &mut dyn FnMut(Event<'_>)) -> Flow {
        if self.done == Done::End && !self.tools.called() {
            Reason::learn(&mut self.reason, Finish::Stop, Field::default());
        }
        if !self.complete() {
            return Flow::Truncated;
        }
        self.end(emit);
        Flow::Ended
    }

    fn usage(&mut self, chunk: &Chunk<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(usage) = usage_of(chunk.usage, chunk.x_groq) else { return };
        self.usage_alone = chunk.choices.as_ref().is_none_or(SmallVec::is_empty);
        let usage = match (self.usage_alone, self.others.is_empty()) {
            (true, false) => self.usage.add(usage, self.finished()),
            (false, _) | (true, true) => usage,
        };
        emit(Event::Usage(usage));
    }

    /// How many choices are finished.
    fn finished(&self) -> usize {
        self.others.values().filter(|finished| **finished).count() + usize::from(self.reason.is_some())
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
        if !chunk.error.is_absent() || is_refusal(chunk.base_resp) {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        if !std::mem::replace(&mut self.started, true) {
            emit(Event::Start);
        }
        if !chunk.citations.is_absent() || !chunk.search_results.is_absent() {
            self.sources.read(chunk.search_results, chunk.citations);
        }
        if let Some(name) = &chunk.unknown {
            emit(Event::Aside { name });
        }
        for choice in chunk.choices.iter().flatten() {
            self.choice(choice, emit)?;
        }
        self.usage(&chunk, emit);
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        (self.over || self.reason.is_some()) && self.others.values().all(|finished| *finished)
    }

    fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(reason) = self.reason.take() else { return };
        self.over = true;
        self.close_text(emit);
        self.tools.close(&mut self.next, emit);
        reason.tell(self.tools.called(), emit);
    }

    fn held(&self) -> usize {
        self.tools.held() + self.sources.held()
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
            | Event::Other { .. }
            | Event::Aside { .. } => format!("{event:?}"),
        }
    }

    fn call(delta: &str) -> String {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{delta}]}}}}]}}"#)
    }

    #[test]
    fn everything_in_one_chunk_comes_in_order() {
        let chunk = r#"{"choices":[{"delta":{"content":"b","reasoning":"a","tool_calls":[
            {"id":"x","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let seen = decode(&[chunk, "[DONE]"]);
        assert_eq!(
            seen[..9],
            ["Start", "0 Reasoning", "0 +a", "0 close", "1 Text", "1 +b", "1 close", "2 call x f", "2 +{}"]
        );
        assert!(seen[9].starts_with("Usage"), "{seen:?}");
        assert_eq!(seen[10..], ["2 close", "Finish(ToolCalls)"]);
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
            "[DONE]",
        ]);
        assert_eq!(
            seen[1..],
            [
                "0 call a f",
                "0 +1",
                "1 call b g",
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
    fn of_several_finish_reasons_the_one_that_says_most_counts() {
        let end = |reason: &str| {
            format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
        };
        for (reasons, finish) in [
            (["length", "stop"], "Finish(Length)"),
            (["stop", "length"], "Finish(Length)"),
            (["length", "content_filter"], "Finish(Refusal)"),
            (["content_filter", "tool_calls"], "Finish(Refusal)"),
            (["stop", "stop"], "Finish(Stop)"),
        ] {
            let [one, other] = reasons.map(end);
            assert_eq!(decode(&[&one, &other, "[DONE]"])[1..], [finish], "{reasons:?}");
        }
    }

    #[test]
    fn what_comes_behind_a_finish_reason_belongs_to_the_answer() {
        let seen = decode(&[
            &end("\"stop\""),
            &call(r#"{"index":0,"id":"x","function":{"name":"f"}}"#),
            &end("\"stop\""),
            &call(r#"{"index":0,"function":{"arguments":"{\"a\":1}"}}"#),
            "[DONE]",
        ]);
        let wanted = [
            "0 Text",
            "0 +a",
            "0 close",
            "1 Text",
            "1 +a",
            "1 close",
            "2 call x f",
            "2 +{\"a\":1}",
            "2 close",
            "Finish(ToolCalls)",
        ];
        assert_eq!(seen[1..], wanted, "the call waits for its name to be complete");
    }

    #[test]
    fn a_name_in_fragments_is_put_together_and_one_that_is_repeated_is_not() {
        let named = |name: &str, arguments: &str| {
            call(&format!(
                r#"{{"index":0,"id":"a","function":{{"name":"{name}","arguments":"{arguments}"}}}}"#
            ))
        };
        let names = |fragments: &[(&str, &str)]| {
            let mut chunks: Vec<String> =
                fragments.iter().map(|(name, arguments)| named(name, arguments)).collect();
            chunks.extend([r#"{"choices":[{"finish_reason":"stop"}]}"#.into(), "[DONE]".into()]);
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            let calls = decode(&chunks).into_iter().filter(|line| line.contains("call a"));
            calls.collect::<Vec<_>>()
        };
        assert_eq!(names(&[("get_", ""), ("weather", ""), ("", "{}")]), ["0 call a get_weather"]);
        assert_eq!(names(&[("get_", ""), ("wea", ""), ("ther", "{}")]), ["0 call a get_weather"]);
        assert_eq!(names(&[("get", ""), ("get", "{"), ("get", "}")]), ["0 call a get"]);
        assert_eq!(names(&[("get", "")]), ["0 call a get"], "a call without arguments");
    }

    #[test]
    fn calls_without_ids_at_one_index_are_told_apart_by_their_ends() {
        let named = |name: &str| {
            call(&format!(r#"{{"index":0,"function":{{"name":"{name}","arguments":"{{\"a\":1}}"}}}}"#))
        };
        let seen = decode(&[&named("f"), &named("g"), &end("\"stop\""), "[DONE]"]);
        let calls: Vec<&String> = seen.iter().filter(|line| line.contains("call call_s")).collect();
        assert_eq!(calls, ["0 call call_s_0 f", "1 call call_s_1 g"]);
    }

    #[test]
    fn calls_of_other_kinds_are_calls_of_functions() {
        let free = [
            call(r#"{"index":0,"id":"a","type":"custom","custom":{"name":"sh","input":"say \"h"}}"#),
            call(r#"{"index":0,"custom":{"input":"i\"\n"}}"#),
        ];
        let legacy = [
            r#"{"choices":[{"delta":{"function_call":{"name":"sh","arguments":"{\"a\""}}}]}"#.to_owned(),
            r#"{"choices":[{"delta":{"function_call":{"arguments":":1}"}}}]}"#.to_owned(),
        ];
        let whole = [r#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"sh","arguments":"{\"a\":1}"}}]}}]}"#.to_owned(), "null".to_owned()];
        for (chunks, arguments) in
            [(free, r#"{"input":"say \"hi\"\n"}"#), (legacy, r#"{"a":1}"#), (whole, r#"{"a":1}"#)]
        {
            let chunks: Vec<&str> =
                chunks.iter().map(String::as_str).filter(|chunk| *chunk != "null").collect();
            let seen = decode(&[&chunks[..], &[&end("\"stop\""), "[DONE]"]].concat());
            assert!(seen[1].ends_with(" sh"), "{seen:?}");
            let text: String = seen.iter().filter_map(|line| line.strip_prefix("0 +")).collect();
            assert_eq!(text, arguments);
        }
    }

    #[test]
    fn usage_of_every_choice_is_added_up_where_each_is_told_apart() {
        let choice = |index: u64| {
            format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}},"finish_reason":null}}]}}"#)
        };
        let done = |index: u64| {
            format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#)
        };
        let usage = |output: u64| {
            format!(r#"{{"choices":[],"usage":{{"prompt_tokens":5,"completion_tokens":{output}}}}}"#)
        };
        let last = |chunks: &[String]| {
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            decode(&chunks).into_iter().rfind(|line| line.starts_with("Usage")).unwrap()
        };
        let apart = last(&[choice(1), choice(0), done(1), usage(2), done(0), usage(3), "[DONE]".into()]);
        assert!(apart.contains("input: 5") && apart.contains("output: 5"), "{apart}");
        let together = last(&[choice(1), done(1), done(0), usage(3), usage(4), "[DONE]".into()]);
        assert!(together.contains("output: 4"), "{together}");
        let alone = last(&[choice(0), usage(3), done(0), usage(4), "[DONE]".into()]);
        assert!(alone.contains("output: 4"), "it grows: {alone}");
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
            assert_eq!(decode(&[&end(&format!("\"{reason}\"")), "[DONE]"]).last().unwrap(), "Finish(Length)");
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
