//! Reasoning that its vendor signed or encrypted, in the two forms in which servers of chat completions hand it on.

use serde::Deserialize;
use smallvec::SmallVec;

use crate::wire::event::{Block, Event};
use crate::wire::json::{Field, Object, Text};
use crate::wire::members::all_members;
use crate::wire::openai_chat::chunk::ThinkingBlock;
use crate::wire::openai_chat::decode::{Decoder, Kind, Reasons};
use crate::wire::seal::{Seal, Sealed};

/// An entry of `OpenRouter`'s `reasoning_details`.
#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    summary: Field<'a>,
    #[serde(borrow, default)]
    signature: Field<'a>,
    #[serde(borrow, default)]
    data: Field<'a>,
}

impl Decoder {
    /// What Anthropic signed, as gateways before Anthropic hand it on. The text of it counts only where it does not come in a field
    /// for reasoning: most say it twice.
    pub(super) fn thinking(&mut self, blocks: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        for block in blocks.read::<SmallVec<[ThinkingBlock<'_>; 1]>>().unwrap_or_default() {
            if let Some(data) = block.data.some_text() {
                self.redacted(Sealed::read(data, Seal::Redacted), emit);
            }
            if let Some(text) = block.thinking.some_text().filter(|_| self.reasons == Reasons::InBlocks) {
                self.say(Kind::Reasoning, text, emit);
            }
            if let (Some(data), Some((Kind::Reasoning, _))) = (block.signature.some_text(), self.open) {
                self.sign(Sealed::read(data, Seal::Signature), emit);
            }
        }
    }

    /// `OpenRouter`'s entries, each of which its vendor wants back as it was.
    pub(super) fn details(&mut self, details: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        for entry in details.read::<SmallVec<[Field<'_>; 1]>>().unwrap_or_default() {
            let (Some(raw), Some(detail)) = (entry.object(), entry.read::<Detail<'_>>()) else { continue };
            let text = detail.text.some_text().or_else(|| detail.summary.some_text());
            if let Some(text) = text.filter(|_| self.reasons == Reasons::InBlocks) {
                self.say(Kind::Reasoning, text, emit);
            }
            let sealed = detail.signature.some_text().or_else(|| detail.data.some_text()).is_some();
            if !sealed {
                continue; // a piece of the text
            }
            let kept = without_text(raw);
            let sealed = Sealed { seal: Seal::Detail, data: Text::Plain(&kept) };
            match self.open {
                Some((Kind::Reasoning, _)) if detail.data.is_absent() => self.sign(sealed, emit),
                _ => self.redacted(sealed, emit),
            }
        }
    }

    /// Signs the reasoning that is open, which ends with that.
    fn sign(&mut self, sealed: Sealed<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some((_, index)) = self.open {
            emit(Event::Signature { index, sealed });
            self.close_text(emit);
        }
    }

    /// A block that only its vendor can read.
    fn redacted(&mut self, sealed: Sealed<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_text(emit);
        let index = self.next;
        self.next += 1;
        emit(Event::Open { index, block: Block::Redacted(sealed) });
        emit(Event::Close { index });
    }
}

/// An entry without its text, which travels as text.
fn without_text(entry: &str) -> String {
    let mut out = bytes::BytesMut::with_capacity(entry.len());
    let mut object = Object::new(&mut out);
    for (key, value) in all_members(entry) {
        if key != "text" {
            object.raw(&key, value);
        }
    }
    object.end();
    String::from_utf8_lossy(&out).into_owned()
}
