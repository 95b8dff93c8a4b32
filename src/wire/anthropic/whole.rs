//! Whole messages.

use bytes::{Bytes, BytesMut};

use crate::wire::answer::{Answer, AnswerBlock, KeptSeal};
use crate::wire::anthropic::encode::{message_id, write_citation, write_head, write_stop};
use crate::wire::anthropic::usage::write_usage;
use crate::wire::call_ids;
use crate::wire::codec::{EncodeError, Identity};
use crate::wire::event::Finish;
use crate::wire::json::{Object, Text, json_object, write_list};
use crate::wire::seal::Seal;

/// Writes an answer for a client that did not ask for a stream.
pub fn whole(answer: &Answer, identity: &Identity) -> Result<Bytes, EncodeError> {
    let finish = answer.finish.unwrap_or(Finish::Stop);
    let mut failed = None;
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    write_head(&message_id(identity), &identity.model, &mut body);
    let said = answer.blocks.iter().filter(|block| has_content(block));
    write_list(said, body.key("content"), |block, out| {
        let mut object = Object::new(out);
        if let Err(error) = write_block(block, finish, &mut object) {
            failed = Some(error);
        }
        object.end();
    });
    let refused = answer.blocks.iter().any(|block| matches!(block, AnswerBlock::Refusal(_)));
    write_stop(finish, refused, answer.stop_sequence.as_deref(), &mut body);
    body.object("usage", |usage| write_usage(&answer.usage.unwrap_or_default(), usage));
    body.end();
    failed.map_or(Ok(out.freeze()), Err)
}

/// Empty texts are refused when they are sent back.
fn has_content(block: &AnswerBlock) -> bool {
    match block {
        AnswerBlock::Text { text, .. } | AnswerBlock::Refusal(text) => !text.is_empty(),
        AnswerBlock::Reasoning { .. } | AnswerBlock::Redacted(_) | AnswerBlock::ToolCall { .. } => true,
        AnswerBlock::Picture(_) => false, // this dialect has none
    }
}

fn write_block(block: &AnswerBlock, finish: Finish, object: &mut Object<'_>) -> Result<(), EncodeError> {
    let text = Text::Escaped(block.escaped());
    match block {
        AnswerBlock::Text { .. } | AnswerBlock::Refusal(_) | AnswerBlock::Picture(_) => {
            object.raw("type", "\"text\"").text("text", text);
            if !block.citations().is_empty() {
                write_list(block.citations(), object.key("citations"), |kept, out| {
                    let mut object = Object::new(out);
                    write_citation(&kept.citation(), &mut object);
                    object.end();
                });
            }
        }
        AnswerBlock::Reasoning { sealed, .. } => {
            object.raw("type", "\"thinking\"").text("thinking", text);
            match sealed.as_ref().map(KeptSeal::sealed) {
                Some(sealed) => sealed.write_quoted(Seal::Signature, object.key("signature")),
                None => {
                    object.raw("signature", "\"\"");
                }
            }
        }
        AnswerBlock::Redacted(kept) => {
            object.raw("type", "\"redacted_thinking\"");
            kept.sealed().write_quoted(Seal::Redacted, object.key("data"));
        }
        AnswerBlock::ToolCall { id, name, .. } => {
            let arguments = text.plain();
            let input = match json_object(&arguments) {
                Some(input) => input,
                None if finish == Finish::Length => "{}", // the token limit cut it, and half an object cannot be said
                None => {
                    return Err(EncodeError::Arguments { name: name.clone(), wanted: "a JSON object" });
                }
            };
            object.raw("type", "\"tool_use\"").text("id", Text::Plain(&call_ids::lawful(id)));
            object.text("name", Text::Plain(name)).raw("input", input);
        }
    }
    Ok(())
}
