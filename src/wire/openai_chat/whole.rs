//! Whole chat completions, and usage in OpenAI's words.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use crate::wire::answer::{Answer, AnswerBlock};
use crate::wire::codec::Identity;
use crate::wire::event::{Finish, Usage};
use crate::wire::json::{Field, Object, Text, write_list};
use crate::wire::members::usage_member;
use crate::wire::openai_chat::encode::{write_annotation, write_picture, write_sealed};
use crate::wire::request::Style;
use crate::wire::seal::Sealed;

/// Writes an answer for a client that did not ask for a stream.
pub fn whole(answer: &Answer, identity: &Identity, style: Style) -> Bytes {
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    let id = format!("chatcmpl-{}", identity.id);
    body.text("id", Text::Plain(&id))
        .text("object", Text::Plain("chat.completion"))
        .number("created", identity.started.seconds())
        .text("model", Text::Plain(&identity.model));
    write_list([answer], body.key("choices"), |answer, out| {
        let mut choice = Object::new(out);
        choice.number("index", 0).object("message", |message| write_message(answer, style, message));
        let finish = finish_reason(answer.finish.unwrap_or(Finish::Stop));
        choice.raw("logprobs", "null").text("finish_reason", Text::Plain(finish));
        choice.end();
    });
    if let Some(usage) = &answer.usage {
        body.object("usage", |object| write_usage(usage, object));
    }
    body.end();
    out.freeze()
}

fn write_message(answer: &Answer, style: Style, message: &mut Object<'_>) {
    message.text("role", Text::Plain("assistant"));
    let mut said = |key: &str, text: Option<String>| match text {
        Some(text) => {
            message.text(key, Text::Escaped(&text));
        }
        None => {
            message.raw(key, "null");
        }
    };
    said("content", answer.joined(|block| matches!(block, AnswerBlock::Text { .. })));
    said("refusal", answer.joined(|block| matches!(block, AnswerBlock::Refusal(_))));
    write_annotations(answer, message);
    if let Some(text) = answer.joined(|block| matches!(block, AnswerBlock::Reasoning { .. })) {
        message.text(style.reasoning_field, Text::Escaped(&text));
    }
    let mut sealed = answer.blocks.iter().filter_map(sealed_of).peekable();
    if sealed.peek().is_some() {
        write_list(sealed, message.key("thinking_blocks"), |(kind, sealed, text), out| {
            let mut block = Object::new(out);
            write_sealed(kind, sealed, text, &mut block);
            block.end();
        });
    }
    let mut pictures = answer.pictures().peekable();
    if pictures.peek().is_some() {
        write_list(pictures, message.key("images"), |url, out| write_picture(url, None, out));
    }
    let mut calls = answer.tool_calls().peekable();
    if calls.peek().is_some() {
        write_list(calls, message.key("tool_calls"), |(id, name, arguments), out| {
            let mut call = Object::new(out);
            call.text("id", Text::Plain(id)).text("type", Text::Plain("function"));
            call.object("function", |function| {
                let arguments = if arguments.is_empty() { Text::Plain("{}") } else { arguments };
                function.text("name", Text::Plain(name)).text("arguments", arguments);
            });
            call.end();
        });
    }
}

/// What the text leans on, by its place in the text of all blocks.
fn write_annotations(answer: &Answer, message: &mut Object<'_>) {
    let mut said = 0;
    let texts = answer.blocks.iter().filter(|block| matches!(block, AnswerBlock::Text { .. }));
    let cited = texts.flat_map(|block| {
        let from = said;
        said += Text::Escaped(block.escaped()).characters();
        let span = (from, said);
        block.citations().iter().map(move |kept| (kept, span))
    });
    let mut cited = cited.peekable();
    if cited.peek().is_some() {
        write_list(cited, message.key("annotations"), |(kept, span), out| {
            write_annotation(kept, span, None, out);
        });
    }
}

/// What a vendor wants back with its reasoning.
fn sealed_of(block: &AnswerBlock) -> Option<(&'static str, Sealed<'_>, Text<'_>)> {
    match block {
        AnswerBlock::Reasoning { sealed: Some(kept), .. } => {
            Some(("thinking", kept.sealed(), Text::Escaped(block.escaped())))
        }
        AnswerBlock::Redacted(kept) => Some(("redacted_thinking", kept.sealed(), Text::Plain(""))),
        AnswerBlock::Reasoning { sealed: None, .. }
        | AnswerBlock::Text { .. }
        | AnswerBlock::Refusal(_)
        | AnswerBlock::Picture(_)
        | AnswerBlock::ToolCall { .. } => None,
    }
}

/// The word for why an answer ended.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Pause | Finish::Load | Finish::Unload => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal => "content_filter",
    }
}

/// Writes the members of a usage object.
pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object
        .number("prompt_tokens", usage.input)
        .number("completion_tokens", usage.output)
        .number("total_tokens", usage.input.saturating_add(usage.output))
        .object("prompt_tokens_details", |details| {
            details.number("cached_tokens", usage.cache_read);
            if usage.cache_write > 0 {
                details.number("cache_write_tokens", usage.cache_write);
            }
        })
        .object("completion_tokens_details", |details| {
            details.number("reasoning_tokens", usage.reasoning);
        });
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    usage_of(usage_member(body), Field::default())
}

/// Usage of several choices, of which each is told apart (llama.cpp), behind the end of its choice.
#[derive(Debug, Default)]
pub(super) struct PerChoice {
    before: Usage,
    /// The last that came, and how many choices were finished then.
    last: Option<(Usage, usize)>,
}

impl PerChoice {
    /// The usage of all choices so far.
    pub(super) fn add(&mut self, usage: Usage, finished: usize) -> Usage {
        if let Some((last, then)) = self.last
            && finished > then
        {
            self.before.output = self.before.output.saturating_add(last.output);
            self.before.reasoning = self.before.reasoning.saturating_add(last.reasoning);
        }
        self.last = Some((usage, finished));
        Usage {
            output: usage.output.saturating_add(self.before.output),
            reasoning: usage.reasoning.saturating_add(self.before.reasoning),
            ..usage
        }
    }
}

/// Usage as it stands in a chunk, or where Groq puts it.
pub(super) fn usage_of(usage: Field<'_>, x_groq: Field<'_>) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Groq<'a> {
        #[serde(borrow, default)]
        usage: Field<'a>,
    }
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        prompt_tokens: Field<'a>,
        #[serde(borrow, default)]
        completion_tokens: Field<'a>,
        #[serde(borrow, default)]
        total_tokens: Field<'a>,
        #[serde(borrow, default)]
        prompt_tokens_details: Field<'a>,
        #[serde(borrow, default)]
        completion_tokens_details: Field<'a>,
        #[serde(borrow, default)]
        prompt_cache_hit_tokens: Field<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Details<'a> {
        #[serde(rename = "cached_tokens", borrow, default)]
        cached: Field<'a>,
        #[serde(rename = "cache_write_tokens", borrow, default)]
        cache_write: Field<'a>,
        #[serde(rename = "reasoning_tokens", borrow, default)]
        reasoning: Field<'a>,
    }
    let wire: Wire<'_> = usage.read().or_else(|| x_groq.read::<Groq<'_>>()?.usage.read())?;
    let inside: Details<'_> = wire.prompt_tokens_details.read().unwrap_or_default();
    let outside: Details<'_> = wire.completion_tokens_details.read().unwrap_or_default();
    let input = wire.prompt_tokens.whole().unwrap_or(0);
    let output = wire.completion_tokens.whole().unwrap_or(0);
    // xAI counts reasoning beside the completion; the total shows it.
    let apart = wire.total_tokens.whole().unwrap_or(0).saturating_sub(input);
    let usage = Usage {
        input,
        cache_read: inside.cached.whole().or_else(|| wire.prompt_cache_hit_tokens.whole()).unwrap_or(0),
        cache_write: inside.cache_write.whole().unwrap_or(0),
        output: output.max(apart),
        reasoning: outside.reasoning.whole().unwrap_or(0),
    };
    Some(usage.with_cache_inside())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_to_a_cache_is_read_and_told() {
        let body = r#"{"usage":{"prompt_tokens":9,"completion_tokens":18446744073709551615,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3}}}"#;
        let usage = read_usage(body.as_bytes()).unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.cache_write), (9, 2, 3));
        let mut out = BytesMut::new();
        let mut object = Object::new(&mut out);
        write_usage(&usage, &mut object);
        object.end();
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(told["prompt_tokens_details"]["cache_write_tokens"], 3);
        assert_eq!(told["total_tokens"], u64::MAX);
    }
}
