//! The messages of a Messages request as Anthropic wants them: turns of user and assistant that alternate, results of tools first
//! in the turn behind their calls, no empty text, and no reasoning that Anthropic has not signed.

use std::collections::HashSet;

use bytes::{BufMut, BytesMut};

use crate::wire::anthropic::encode::lawful_id;
use crate::wire::calls::Calls;
use crate::wire::json::{Object, Text, write_list};
use crate::wire::media::{DocumentSource, Image};
use crate::wire::names::Names;
use crate::wire::request::{Dropped, Message, Part, Role, Style, ToolCall, ToolResult};
use crate::wire::seal::Seal;

/// The longest name of a tool.
pub(super) const NAME_LIMIT: usize = 128;

/// The conversation without the system prompt at its start.
#[derive(Debug, Default)]
pub(super) struct Turns<'r, 'a>(Vec<Turn<'r, 'a>>);

#[derive(Debug)]
struct Turn<'r, 'a> {
    assistant: bool,
    parts: Vec<&'r Part<'a>>,
}

impl<'r, 'a> Turns<'r, 'a> {
    /// Splits the system prompt off, and orders the rest.
    pub(super) fn new(
        messages: &'r [Message<'a>],
        style: Style,
        dropped: &mut Dropped,
    ) -> (Vec<Text<'a>>, Self) {
        let leading = messages.iter().take_while(|message| message.role == Role::System).count();
        let (system, rest) = messages.split_at_checked(leading).unwrap_or((messages, &[]));
        let system = system.iter().flat_map(|message| &message.parts).filter_map(text).collect();
        let mut turns = Self::default();
        for message in rest {
            for part in &message.parts {
                if is_lawful(part, style.passed_on.unsigned_thinking, dropped) {
                    turns.push(message.role == Role::Assistant, part);
                }
            }
        }
        for turn in turns.0.iter_mut().filter(|turn| !turn.assistant) {
            turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_)));
        }
        (system, turns)
    }

    fn push(&mut self, assistant: bool, part: &'r Part<'a>) {
        match self.0.last_mut() {
            Some(turn) if turn.assistant == assistant => turn.parts.push(part),
            _ => self.0.push(Turn { assistant, parts: vec![part] }),
        }
    }

    /// The tools that are called in the history.
    pub(super) fn called(&self) -> Vec<Text<'a>> {
        let mut known = HashSet::new();
        let calls = self
            .0
            .iter()
            .flat_map(|turn| &turn.parts)
            .filter_map(|part| if let Part::ToolCall(call) = part { Some(call.name) } else { None });
        calls.filter(|name| known.insert(name.plain())).collect()
    }

    /// May the model think? Not if it is in the middle of a turn that began without: its last calls, or an answer that it is to
    /// go on with, have no signed reasoning before them.
    pub(super) fn may_think(&self) -> bool {
        let begun = self.0.last().is_some_and(|turn| turn.assistant);
        let last = self.0.iter().rfind(|turn| turn.assistant);
        last.is_none_or(|turn| {
            let calls = turn.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
            !(calls || begun)
                || matches!(turn.parts.first(), Some(Part::Reasoning { .. } | Part::Redacted(_)))
        })
    }

    /// Writes them. With `cache` the vendor keeps what it has read up to the end of the last turn of the user.
    pub(super) fn write(&self, cache: bool, names: &mut Names, out: &mut BytesMut) {
        let parts = self.0.iter().flat_map(|turn| turn.parts.iter().copied());
        let mut calls = Calls::distinct(parts, lawful_id);
        let first = self.0.first().filter(|turn| turn.assistant);
        let cached = self.0.iter().rposition(|turn| !turn.assistant).filter(|_| cache);
        out.put_u8(b'[');
        if first.is_some() || self.0.is_empty() {
            // Anthropic's conversations begin with the user.
            out.put_slice(b"{\"role\":\"user\",\"content\":\"(continue)\"}");
        }
        for (number, turn) in self.0.iter().enumerate() {
            if number > 0 || first.is_some() {
                out.put_u8(b',');
            }
            let mut message = Object::new(out);
            message.raw("role", if turn.assistant { "\"assistant\"" } else { "\"user\"" });
            let is_last = number + 1 == self.0.len() && turn.assistant;
            let last = turn.parts.len().saturating_sub(1);
            write_list(turn.parts.iter().enumerate(), message.key("content"), |(place, part), out| {
                let end = PartEnd {
                    trimmed: is_last && place == last,
                    cached: cached == Some(number) && place == last,
                };
                write_part(part, end, &mut calls, names, out);
            });
            message.end();
        }
        out.put_u8(b']');
    }
}

fn text<'a>(part: &Part<'a>) -> Option<Text<'a>> {
    if let Part::Text(text) = part { Some(*text).filter(|text| !is_blank(*text)) } else { None }
}

fn is_blank(text: Text<'_>) -> bool {
    text.plain().trim().is_empty()
}

/// Anthropic refuses empty texts, and reasoning that it has not signed itself; others want theirs back, which is `unsigned`.
fn is_lawful(part: &Part<'_>, unsigned: bool, dropped: &mut Dropped) -> bool {
    let lawful = match part {
        Part::Text(text) => return !is_blank(*text),
        Part::Reasoning { text, sealed } => {
            sealed.is_some_and(|sealed| sealed.seal == Seal::Signature) || (unsigned && !text.is_empty())
        }
        Part::Redacted(sealed) => sealed.seal == Seal::Redacted,
        Part::Image(_) | Part::Document(_) | Part::ToolCall(_) | Part::ToolResult(_) => true,
    };
    if !lawful {
        dropped.add("reasoning");
    }
    lawful
}

/// How a part ends.
#[derive(Clone, Copy, Default)]
struct PartEnd {
    /// Without blanks: the end of an answer that is to go on.
    trimmed: bool,
    /// With a mark for the cache.
    cached: bool,
}

/// The mark up to which the vendor keeps what it has read.
pub(super) const CACHE: &str = "{\"type\":\"ephemeral\"}";

fn write_part<'a>(
    part: &Part<'a>,
    end: PartEnd,
    calls: &mut Calls<'a>,
    names: &mut Names,
    out: &mut BytesMut,
) {
    let mut block = Object::new(out);
    match part {
        // The end of the last turn must not be blank.
        Part::Text(text) if end.trimmed => {
            block.raw("type", "\"text\"").text("text", Text::Plain(text.plain().trim_end()));
        }
        Part::Text(text) => {
            block.raw("type", "\"text\"").text("text", *text);
        }
        Part::Image(image) => {
            block.raw("type", "\"image\"").object("source", |source| write_image(image, source));
        }
        Part::Document(document) => {
            block.raw("type", "\"document\"").object("source", |source| match &document.source {
                DocumentSource::Data { media_type, base64 } => {
                    source.raw("type", "\"base64\"").text("media_type", Text::Plain(media_type));
                    source.text("data", *base64);
                }
                DocumentSource::Url(url) => {
                    source.raw("type", "\"url\"").text("url", *url);
                }
            });
            if let Some(name) = document.name {
                block.text("title", name);
            }
        }
        Part::Reasoning { text, sealed } => {
            block.raw("type", "\"thinking\"").text("thinking", *text);
            match sealed.filter(|sealed| sealed.seal == Seal::Signature) {
                Some(sealed) => sealed.write_quoted(Seal::Signature, block.key("signature")),
                None => {
                    block.raw("signature", "\"\"");
                }
            }
        }
        Part::Redacted(sealed) => {
            block.raw("type", "\"redacted_thinking\"");
            sealed.write_quoted(Seal::Redacted, block.key("data"));
        }
        Part::ToolCall(call) => write_call(call, calls, names, &mut block),
        Part::ToolResult(result) => write_result(result, calls, names, &mut block),
    }
    if end.cached {
        block.raw("cache_control", CACHE);
    }
    block.end();
}

fn write_image(image: &Image<'_>, source: &mut Object<'_>) {
    match image {
        Image::Url(url) => {
            source.raw("type", "\"url\"").text("url", *url);
        }
        Image::Data { base64, .. } => {
            source.raw("type", "\"base64\"").text("media_type", Text::Plain(image.media_type()));
            source.text("data", *base64);
        }
    }
}

fn write_call<'a>(call: &ToolCall<'a>, calls: &mut Calls<'a>, names: &mut Names, block: &mut Object<'_>) {
    let id = calls.open(call);
    block.raw("type", "\"tool_use\"").text("id", Text::Plain(&id));
    block.text("name", Text::Plain(&names.lawful(call.name, NAME_LIMIT)));
    block.raw("input", &call.arguments.json());
}

fn write_result<'a>(
    result: &ToolResult<'a>,
    calls: &mut Calls<'a>,
    names: &mut Names,
    block: &mut Object<'_>,
) {
    let id = calls.close(result);
    block.raw("type", "\"tool_result\"").text("tool_use_id", Text::Plain(&id));
    let mut ignored = Dropped::default(); // only texts, images and documents are in a result
    let parts: Vec<&Part<'a>> =
        result.parts.iter().filter(|part| is_lawful(part, false, &mut ignored)).collect();
    match parts.as_slice() {
        [] => {}
        [Part::Text(text)] => {
            block.text("content", *text);
        }
        _ => write_list(parts, block.key("content"), |part, out| {
            write_part(part, PartEnd::default(), calls, names, out);
        }),
    }
    if result.is_error {
        block.boolean("is_error", true);
    }
}
