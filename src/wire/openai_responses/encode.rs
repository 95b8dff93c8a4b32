//! Encodes the events of Responses: numbered from 0, items opened and closed in order, each closed before the response is.

use bytes::{BufMut, BytesMut};

use crate::wire::answer::AnswerBlock;
use crate::wire::codec::{Encode, EncodeError, Identity};
use crate::wire::event::{Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::frame::Frames;
use crate::wire::json::{Object, Text, write_number};
use crate::wire::openai_responses::custom::input_of;
use crate::wire::openai_responses::failed::{begin_frame, end_frame, write_error_frame};
use crate::wire::openai_responses::item::{
    Kind, Stage, arguments, may_be_cut, write_annotation, write_item, write_part,
};
use crate::wire::openai_responses::response::{Head, Status};
use crate::wire::sequence::Sequence;

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    sequence: Sequence,
    writer: Writer,
}

/// Writes events that are in order.
#[derive(Debug)]
struct Writer {
    head: Head,
    started: bool,
    /// The sequence number of the next event.
    number: u64,
    /// How many items are complete: the place of the open one.
    items: u64,
    /// The complete items, separated by commas.
    output: BytesMut,
    open: Option<Item>,
    usage: Option<Usage>,
    finish: Finish,
    refused: bool,
}

/// The item that is open.
#[derive(Debug)]
struct Item {
    id: String,
    kind: Kind,
    block: AnswerBlock,
    /// Bytes held for it.
    size: usize,
    /// The backend has closed it, but only what comes next tells whether it was cut.
    closed: bool,
}

impl Encoder {
    pub fn new(identity: &Identity) -> Self {
        let writer = Writer {
            head: Head::new(identity),
            started: false,
            number: 0,
            items: 0,
            output: BytesMut::new(),
            open: None,
            usage: None,
            finish: Finish::Stop,
            refused: false,
        };
        Self { sequence: Sequence::default(), writer }
    }
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, _: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        let Self { sequence, writer } = self;
        sequence.pass(event, |event| writer.write(event, out));
        Ok(())
    }

    fn held(&self) -> usize {
        let open = self.writer.open.as_ref().map_or(0, |item| item.size);
        self.sequence.held() + self.writer.output.len() + open
    }

    fn finish(&mut self, at: Timestamp, out: &mut Frames) {
        let writer = &mut self.writer;
        writer.start(out);
        writer.end_closed(Stage::Completed, out);
        let status = Status::of(writer.finish, writer.refused, at);
        let name = match status {
            Status::Incomplete { .. } => "response.incomplete",
            Status::Queued | Status::InProgress | Status::Completed { .. } | Status::Failed(_) => {
                "response.completed"
            }
        };
        writer.lifecycle(name, status, out);
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        let writer = &mut self.writer;
        writer.start(out);
        writer.end_closed(Stage::Completed, out);
        write_error_frame(failure, writer.number, out);
        writer.number += 1;
        writer.lifecycle("response.failed", Status::Failed(failure), out);
    }
}

impl Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Frames) {
        match event {
            Event::Start => self.start(out),
            Event::Open { block, .. } => {
                self.start(out);
                self.end_closed(Stage::Completed, out);
                self.open(AnswerBlock::new(*block), out);
            }
            Event::Delta { text, .. } => self.delta(event, *text, out),
            Event::Citation { .. } | Event::Signature { .. } => {
                if let Some(item) = &mut self.open {
                    item.size += item.block.add(event);
                }
            }
            Event::Close { .. } => self.close(out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.finish = *finish;
                let cut = *finish == Finish::Length;
                self.end_closed(if cut { Stage::Incomplete } else { Stage::Completed }, out);
            }
            Event::StopSequence(_) | Event::Fail(_) | Event::Other { .. } | Event::Aside { .. } => {}
        }
    }

    fn start(&mut self, out: &mut Frames) {
        if !std::mem::replace(&mut self.started, true) {
            self.lifecycle("response.created", Status::InProgress, out);
            self.lifecycle("response.in_progress", Status::InProgress, out);
        }
    }

    /// An event about the whole response.
    fn lifecycle(&mut self, name: &str, status: Status<'_>, out: &mut Frames) {
        begin_frame(name, self.number, out.buffer());
        self.number += 1;
        let usage = self.usage.as_ref().filter(|_| !matches!(status, Status::InProgress));
        self.head.write(status, &self.output, usage, Object::inside(out.buffer()).key("response"));
        end_frame(out);
    }

    fn open(&mut self, block: AnswerBlock, out: &mut Frames) {
        let kind = Kind::of(&block, &self.head.echo);
        self.refused |= kind == Kind::Refusal;
        let size = block.size();
        let item = Item { id: kind.id(&self.head.id, self.items), kind, block, size, closed: false };
        self.item_event("response.output_item.added", &item, Stage::Begun, out);
        if matches!(kind, Kind::Message | Kind::Refusal) {
            self.part_event("response.content_part.added", &item, out);
        }
        self.open = Some(item);
    }

    fn delta(&mut self, event: &Event<'_>, text: Text<'_>, out: &mut Frames) {
        let Some(mut item) = self.open.take() else { return };
        let name = match item.kind {
            Kind::Message => Some("response.output_text.delta"),
            Kind::Refusal => Some("response.refusal.delta"),
            Kind::Reasoning => {
                if item.block.is_empty() {
                    self.part_event("response.reasoning_summary_part.added", &item, out);
                }
                Some("response.reasoning_summary_text.delta")
            }
            Kind::FunctionCall => Some("response.function_call_arguments.delta"),
            // The free text is known when the arguments are whole, and a summary is shown as a whole.
            Kind::CustomCall | Kind::Picture | Kind::Compaction => None,
        };
        item.size += item.block.add(event);
        if let Some(name) = name {
            self.text_event(name, &item, ("delta", text), out);
        }
        self.open = Some(item);
    }

    /// An item that the token limit may have cut is ended with the next event, which tells.
    fn close(&mut self, out: &mut Frames) {
        if let Some(item) = &mut self.open {
            item.closed = true;
            if !may_be_cut(&item.block) {
                self.end_closed(Stage::Completed, out);
            }
        }
    }

    fn end_closed(&mut self, stage: Stage, out: &mut Frames) {
        let Some(item) = self.open.take_if(|item| item.closed) else { return };
        let text = Text::Escaped(item.block.escaped());
        match item.kind {
            Kind::Message => {
                self.annotations(&item, out);
                self.text_event("response.output_text.done", &item, ("text", text), out);
                self.part_event("response.content_part.done", &item, out);
            }
            Kind::Refusal => {
                self.text_event("response.refusal.done", &item, ("refusal", text), out);
                self.part_event("response.content_part.done", &item, out);
            }
            Kind::Picture | Kind::Compaction => {}
            Kind::Reasoning if text.is_empty() => {}
            Kind::Reasoning => {
                self.text_event("response.reasoning_summary_text.done", &item, ("text", text), out);
                self.part_event("response.reasoning_summary_part.done", &item, out);
            }
            Kind::FunctionCall => {
                let whole = arguments(&item.block);
                if text.is_empty() {
                    self.text_event("response.function_call_arguments.delta", &item, ("delta", whole), out);
                }
                self.text_event("response.function_call_arguments.done", &item, ("arguments", whole), out);
            }
            Kind::CustomCall => {
                let input = input_of(item.block.escaped());
                let input = Text::Escaped(&input);
                self.text_event("response.custom_tool_call_input.delta", &item, ("delta", input), out);
                self.text_event("response.custom_tool_call_input.done", &item, ("input", input), out);
            }
        }
        self.item_event("response.output_item.done", &item, stage, out);
        if self.items > 0 {
            self.output.put_u8(b',');
        }
        write_item(&item.id, &item.block, stage, &self.head.echo, &mut self.output);
        self.items += 1;
    }

    /// What the text leans on: told when all of it is there, so that it is known how far it reaches.
    fn annotations(&mut self, item: &Item, out: &mut Frames) {
        for (number, kept) in (0_u64..).zip(item.block.citations()) {
            self.begin_inner("response.output_text.annotation.added", item, out);
            let mut frame = Object::inside(out.buffer());
            frame.number("annotation_index", number);
            write_annotation(kept, &item.block, frame.key("annotation"));
            end_frame(out);
        }
    }

    /// An event that shows the item.
    fn item_event(&mut self, name: &str, item: &Item, stage: Stage, out: &mut Frames) {
        begin_frame(name, self.number, out.buffer());
        self.number += 1;
        let mut frame = Object::inside(out.buffer());
        frame.number("output_index", self.items);
        write_item(&item.id, &item.block, stage, &self.head.echo, frame.key("item"));
        end_frame(out);
    }

    /// An event that shows a part of the item.
    fn part_event(&mut self, name: &str, item: &Item, out: &mut Frames) {
        self.begin_inner(name, item, out);
        write_part(item.kind, &item.block, Object::inside(out.buffer()).key("part"));
        end_frame(out);
    }

    /// An event that shows a piece of text, or all of it.
    fn text_event(&mut self, name: &str, item: &Item, (key, text): (&str, Text<'_>), out: &mut Frames) {
        self.begin_inner(name, item, out);
        let mut frame = Object::inside(out.buffer());
        frame.text(key, text);
        if item.kind == Kind::Message {
            frame.raw("logprobs", "[]");
        }
        if let (Kind::FunctionCall, "arguments", AnswerBlock::ToolCall { name, .. }) =
            (item.kind, key, &item.block)
        {
            frame.text("name", Text::Plain(self.head.echo.own_name(name).name));
        }
        end_frame(out);
    }

    /// Begins an event about something in the item.
    fn begin_inner(&mut self, name: &str, item: &Item, out: &mut Frames) {
        let buffer = out.buffer();
        begin_frame(name, self.number, buffer);
        self.number += 1;
        buffer.put_slice(b",\"item_id\":\"");
        buffer.put_slice(item.id.as_bytes());
        buffer.put_slice(b"\",\"output_index\":");
        write_number(self.items, buffer);
        buffer.put_slice(match item.kind {
            Kind::Message | Kind::Refusal => b",\"content_index\":0",
            Kind::Reasoning => b",\"summary_index\":0",
            Kind::FunctionCall | Kind::CustomCall | Kind::Picture | Kind::Compaction => b"",
        });
    }
}
