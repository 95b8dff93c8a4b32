//! Whole responses.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::answer::{Answer, AnswerBlock};
use crate::wire::codec::{EncodeError, Identity};
use crate::wire::event::{Finish, Timestamp};
use crate::wire::openai_responses::item::{Kind, Stage, may_be_cut, write_item};
use crate::wire::openai_responses::response::{Head, Status};

/// Writes an answer for a client that did not ask for a stream.
pub fn whole(answer: &Answer, identity: &Identity, at: Timestamp) -> Result<Bytes, EncodeError> {
    let head = Head::new(identity);
    let mut output = BytesMut::new();
    let finish = answer.finish.unwrap_or(Finish::Stop);
    let last = answer.blocks.len().saturating_sub(1);
    for ((number, block), place) in (0_u64..).zip(&answer.blocks).zip(0_usize..) {
        if number > 0 {
            output.put_u8(b',');
        }
        let id = Kind::of(block, &head.echo).id(&identity.id, number);
        let cut = finish == Finish::Length && place == last && may_be_cut(block);
        let stage = if cut { Stage::Incomplete } else { Stage::Completed };
        write_item(&id, block, stage, &head.echo, &mut output);
    }
    let refused = answer.blocks.iter().any(|block| matches!(block, AnswerBlock::Refusal(_)));
    let status = Status::of(finish, refused, at);
    let mut out = BytesMut::with_capacity(output.len() + 1024);
    head.write(status, &output, answer.usage.as_ref(), &mut out);
    Ok(out.freeze())
}
