//! Whole answers of `/api/chat` and `/api/generate`, and usage in Ollama's words.

use bytes::{Bytes, BytesMut};

use crate::wire::answer::{Answer, AnswerBlock};
use crate::wire::codec::{EncodeError, Identity};
use crate::wire::event::{Finish, Timestamp, Usage};
use crate::wire::json::{Object, Text, json_object, write_list};
use crate::wire::ollama::Shape;
use crate::wire::ollama::decode::Line;
use crate::wire::ollama::encode::{End, write_end, write_head, write_pictures, write_tool_call};

/// Writes an answer for a client that did not ask for a stream.
pub fn whole(
    answer: &Answer,
    identity: &Identity,
    shape: Shape,
    at: Timestamp,
) -> Result<Bytes, EncodeError> {
    let finish = answer.finish.unwrap_or(Finish::Stop);
    let mut calls = Vec::new();
    for (id, name, arguments) in answer.tool_calls() {
        match json_object(&arguments.plain()) {
            Some(arguments) => calls.push((id, name, arguments.to_owned())),
            None if finish == Finish::Length => {} // the token limit cut it
            None => {
                return Err(EncodeError::Arguments { name: name.to_owned(), wanted: "a JSON object" });
            }
        }
    }
    let text = answer.joined(|block| matches!(block, AnswerBlock::Text { .. } | AnswerBlock::Refusal(_)));
    let thinking = answer.joined(|block| matches!(block, AnswerBlock::Reasoning { .. }));
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    write_head(&identity.model, at, &mut body);
    let write = |key: &str, object: &mut Object<'_>| {
        object.text(key, Text::Escaped(text.as_deref().unwrap_or_default()));
        if let Some(thinking) = &thinking {
            object.text("thinking", Text::Escaped(thinking));
        }
        if !calls.is_empty() {
            write_list(&calls, object.key("tool_calls"), |(id, name, arguments), out| {
                write_tool_call(id, name, arguments, out);
            });
        }
    };
    match shape {
        Shape::Chat => {
            body.object("message", |message| {
                message.text("role", Text::Plain("assistant"));
                write("content", message);
                let mut pictures = answer.pictures().peekable();
                if pictures.peek().is_some() {
                    write_pictures(pictures, message);
                }
            });
        }
        Shape::Generate => write("response", &mut body),
    }
    let end = End { finish, usage: answer.usage, started: identity.started, times: answer.times };
    write_end(&end, at, &mut body);
    body.end();
    Ok(out.freeze())
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    usage_of(&serde_json::from_slice(body).ok()?)
}

/// Counts of zero are left out by Ollama.
pub(super) fn usage_of(line: &Line<'_>) -> Option<Usage> {
    if line.prompt_eval_count.is_absent() && line.eval_count.is_absent() {
        return None;
    }
    Some(Usage {
        input: line.prompt_eval_count.whole().unwrap_or(0),
        output: line.eval_count.whole().unwrap_or(0),
        ..Usage::default()
    })
}
