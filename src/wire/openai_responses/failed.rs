//! How a stream of Responses says that it failed: an `error` event in both the shapes that clients look for, then the response
//! itself with the status `failed`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::failure::Failure;
use crate::wire::frame::Frames;
use crate::wire::json::{Object, Text, write_number};
use crate::wire::members::AllMembers;
use crate::wire::openai_responses::response::write_error;

/// Begins an event; its members follow.
pub(super) fn begin_frame(name: &str, number: u64, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\ndata: {\"type\":\"");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\",\"sequence_number\":");
    write_number(number, out);
}

/// Ends an event.
pub(super) fn end_frame(out: &mut Frames) {
    out.buffer().put_slice(b"}\n\n");
    out.end();
}

/// Writes the `error` event. The flat members are what the API's reference says, the nested ones what servers send and what most
/// clients see.
pub(super) fn write_error_frame(failure: &Failure, number: u64, out: &mut Frames) {
    begin_frame("error", number, out.buffer());
    let mut frame = Object::inside(out.buffer());
    frame.text("code", Text::Plain(failure.openai_code())).text("message", Text::Plain(&failure.message));
    match &failure.param {
        Some(param) => frame.text("param", Text::Plain(param)),
        None => frame.raw("param", "null"),
    };
    frame.object("error", |error| failure.write_openai(error));
    end_frame(out);
}

/// The end of a backend's own stream that broke off: its next number, and its response as far as that is known.
pub(super) fn write_failed(failure: &Failure, number: u64, response: Option<&str>) -> Bytes {
    let mut frames = Frames::default();
    write_error_frame(failure, number, &mut frames);
    begin_frame("response.failed", number + 1, frames.buffer());
    let known = response.and_then(|response| serde_json::from_str::<AllMembers<'_>>(response).ok());
    let mut frame = Object::inside(frames.buffer());
    frame.object("response", |object| {
        for (key, value) in known.iter().flat_map(|AllMembers(members)| members) {
            if !matches!(key.as_ref(), "status" | "error") {
                object.raw(key, value.get());
            }
        }
        object.raw("status", "\"failed\"").object("error", |error| write_error(failure, error));
    });
    end_frame(&mut frames);
    frames.joined()
}
