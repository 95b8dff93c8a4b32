//! The input items of a Responses request: each thing of a message is an item of its own.

use bytes::{BufMut, BytesMut};

use crate::wire::calls::Calls;
use crate::wire::json::{Object, Text, write_list};
use crate::wire::names::Names;
use crate::wire::request::{Dropped, Message, Part, Role, ToolCall, ToolResult, parts_of};
use crate::wire::seal::{Seal, Sealed};

/// The longest name of a tool.
pub(super) const NAME_LIMIT: usize = 64;

/// Writes all items.
pub(super) fn write_input(
    messages: &[Message<'_>],
    names: &mut Names,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    let mut writer = Writer { calls: Calls::short(parts_of(messages)), names, dropped, first: true };
    out.put_u8(b'[');
    for message in messages {
        writer.message(message, out);
    }
    out.put_u8(b']');
}

struct Writer<'n, 'a> {
    calls: Calls<'a>,
    names: &'n mut Names,
    dropped: &'n mut Dropped,
    first: bool,
}

impl<'a> Writer<'_, 'a> {
    /// Parts that a message may hold stand together, whatever else is an item.
    fn message(&mut self, message: &Message<'a>, out: &mut BytesMut) {
        let mut said: Vec<&Part<'a>> = Vec::new();
        let mut thought: Vec<Text<'a>> = Vec::new();
        for part in &message.parts {
            if !matches!(part, Part::Text(_) | Part::Image(_) | Part::Document(_)) {
                self.said(message.role, &mut said, out);
            }
            match part {
                Part::Text(text) if text.is_empty() && message.role == Role::Assistant => {}
                Part::Text(_) | Part::Image(_) | Part::Document(_) => said.push(part),
                Part::Reasoning { text, sealed } => {
                    thought.push(*text);
                    if let Some(sealed) = sealed {
                        self.reasoning(&std::mem::take(&mut thought), *sealed, out);
                    }
                }
                Part::Redacted(sealed) => self.reasoning(&[], *sealed, out),
                Part::ToolCall(call) => self.call(call, out),
                Part::ToolResult(result) => self.result(result, out),
            }
        }
        if !thought.is_empty() {
            self.dropped.add("reasoning"); // nobody sealed it
        }
        self.said(message.role, &mut said, out);
    }

    fn next<'o>(&mut self, out: &'o mut BytesMut) -> Object<'o> {
        if !std::mem::take(&mut self.first) {
            out.put_u8(b',');
        }
        Object::new(out)
    }

    fn said(&mut self, role: Role, said: &mut Vec<&Part<'a>>, out: &mut BytesMut) {
        if said.is_empty() {
            return;
        }
        let mut item = self.next(out);
        let (name, text) = match role {
            Role::System => ("developer", "input_text"),
            Role::User | Role::Tool => ("user", "input_text"),
            Role::Assistant => ("assistant", "output_text"),
        };
        item.raw("type", "\"message\"").text("role", Text::Plain(name));
        write_parts(said.drain(..), text, item.key("content"));
        item.end();
    }

    /// Reasoning that OpenAI sealed; any other it would refuse.
    fn reasoning(&mut self, texts: &[Text<'a>], sealed: Sealed<'a>, out: &mut BytesMut) {
        if sealed.seal != Seal::Encrypted {
            self.dropped.add("reasoning");
            return;
        }
        let mut item = self.next(out);
        item.raw("type", "\"reasoning\"");
        write_list(texts.iter().filter(|text| !text.is_empty()), item.key("summary"), |text, out| {
            let mut part = Object::new(out);
            part.raw("type", "\"summary_text\"").text("text", *text);
            part.end();
        });
        sealed.write_quoted(Seal::Encrypted, item.key("encrypted_content"));
        item.end();
    }

    fn call(&mut self, call: &ToolCall<'a>, out: &mut BytesMut) {
        let id = self.calls.open(call);
        let name = self.names.lawful(call.name, NAME_LIMIT);
        let mut item = self.next(out);
        item.raw("type", "\"function_call\"").text("call_id", Text::Plain(&id));
        item.text("name", Text::Plain(&name));
        call.arguments.write_quoted(item.key("arguments"));
        item.end();
    }

    fn result(&mut self, result: &ToolResult<'a>, out: &mut BytesMut) {
        let id = self.calls.close(result);
        let mut item = self.next(out);
        item.raw("type", "\"function_call_output\"").text("call_id", Text::Plain(&id));
        let output = item.key("output");
        if result.parts.iter().all(|part| matches!(part, Part::Text(_))) {
            result.write_text(output);
        } else {
            let failed = result.is_error.then_some(&Part::Text(Text::Plain("Error: ")));
            write_parts(failed.into_iter().chain(&result.parts), "input_text", output);
        }
        item.end();
    }
}

fn write_parts<'p>(parts: impl Iterator<Item = &'p Part<'p>>, text_type: &str, out: &mut BytesMut) {
    write_list(parts, out, |part, out| {
        let mut object = Object::new(out);
        match part {
            Part::Text(text) => {
                object.text("type", Text::Plain(text_type)).text("text", *text);
            }
            Part::Image(image) => {
                object.raw("type", "\"input_image\"");
                image.write_url(object.key("image_url"));
            }
            Part::Document(document) => {
                object.raw("type", "\"input_file\"");
                document.write_members(&mut object);
            }
            Part::Reasoning { .. } | Part::Redacted(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
        object.end();
    });
}
