//! Whole responses.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::answer::{Answer, AnswerBlock};
use crate::wire::codec::{EncodeError, Identity};
use crate::wire::event::{Finish, Timestamp};
use crate::wire::openai_responses::item::{Kind, write_item};
use crate::wire::openai_responses::response::{Head, Status};

/// Writes an answer for a client that did not ask for a stream.
pub fn whole(answer: &Answer, identity: &Identity, at: Timestamp) -> Result<Bytes, EncodeError> {
    let head = Head::new(identity);
    let mut output = BytesMut::new();
    for (number, block) in (0_u64..).zip(&answer.blocks) {
        if number > 0 {
            output.put_u8(b',');
        }
        let id = Kind::of(block, &head.echo).id(&identity.id, number);
        write_item(&id, block, true, &head.echo, &mut output);
    }
    let refused = answer.blocks.iter().any(|block| matches!(block, AnswerBlock::Refusal(_)));
    let status = Status::of(answer.finish.unwrap_or(Finish::Stop), refused, at);
    let mut out = BytesMut::with_capacity(output.len() + 1024);
    head.write(status, &output, answer.usage.as_ref(), &mut out);
    Ok(out.freeze())
}
