//! A chat completion as its chunks: all that each choice says, then why each ends, with what stands beside them.

use bytes::{BufMut as _, BytesMut};

use crate::wire::frame::Frame;
use crate::wire::json::Object;
use crate::wire::unfold::{Members, frame, list, object};

/// Members that every chunk repeats.
const HEAD: [&str; 6] = ["id", "created", "model", "system_fingerprint", "provider", "service_tier"];

pub(super) fn unfold(answer: &Members<'_>, bare: bool) -> Option<Vec<Frame>> {
    let choices: Option<Vec<Members<'_>>> =
        Members::list(answer.get("choices")).into_iter().map(Members::of).collect();
    let choices = choices.filter(|choices| !choices.is_empty())?;
    let is_whole = |choice: &Members<'_>| {
        choice.get("message").object().is_some() && (bare || !choice.get("finish_reason").is_absent())
    };
    if !choices.iter().all(is_whole) || !answer.get("error").is_absent() {
        return None;
    }
    let said = object(|chunk| {
        answer.copy_only(&HEAD, chunk);
        chunk.raw("object", "\"chat.completion.chunk\"");
        list(chunk.key("choices"), choices.iter().zip(0..).map(|(choice, at)| said(choice, at)));
    });
    let ended = object(|chunk| {
        answer.copy(&["choices", "object"], chunk);
        chunk.raw("object", "\"chat.completion.chunk\"");
        list(chunk.key("choices"), choices.iter().zip(0..).map(|(choice, at)| ended(choice, at)));
    });
    Some(vec![frame(None, &said), frame(None, &ended), frame(None, b"[DONE]")])
}

/// What a choice says.
fn said(choice: &Members<'_>, at: u64) -> BytesMut {
    object(|out| {
        index(choice, at, out);
        out.object("delta", |delta| {
            let Some(message) =
                choice.get("message").read().map(|crate::wire::members::AllMembers(all)| Members(all))
            else {
                return;
            };
            message.copy(&["tool_calls"], delta);
            let calls = Members::list(message.get("tool_calls"));
            if !calls.is_empty() {
                let calls = calls.into_iter().filter_map(Members::of).zip(0..);
                list(
                    delta.key("tool_calls"),
                    calls.map(|(call, at)| {
                        object(|out| {
                            index(&call, at, out); // which SDKs join the pieces by
                            call.copy(&["index"], out);
                        })
                    }),
                );
            }
        });
        choice.copy(&["index", "message", "finish_reason", "stop_reason"], out);
        out.raw("finish_reason", "null");
    })
}

/// Why a choice ends.
fn ended(choice: &Members<'_>, at: u64) -> BytesMut {
    object(|out| {
        index(choice, at, out);
        out.raw("delta", "{}");
        choice.copy_only(&["stop_reason"], out);
        let reason = choice.get("finish_reason").raw().unwrap_or("\"stop\"");
        out.raw("finish_reason", reason);
    })
}

fn index(of: &Members<'_>, at: u64, out: &mut Object<'_>) {
    out.number("index", of.get("index").whole().unwrap_or(at));
}

/// A legacy completion has the form of its chunks: one of them is all of it.
pub(super) fn completion(answer: &Members<'_>, line: &[u8]) -> Option<Vec<Frame>> {
    let choices = Members::list(answer.get("choices"));
    if choices.is_empty() || !answer.get("error").is_absent() {
        return None;
    }
    let mut data = BytesMut::with_capacity(line.len());
    data.put_slice(line);
    Some(vec![frame(None, &data), frame(None, b"[DONE]")])
}
