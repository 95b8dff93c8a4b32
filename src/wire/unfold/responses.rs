//! A response as its events. Items that do not grow in pieces come whole.

use bytes::BytesMut;

use crate::wire::frame::Frame;
use crate::wire::json::{Object, Text};
use crate::wire::unfold::{Members, frame, object};

pub(super) fn unfold(answer: &Members<'_>) -> Option<Vec<Frame>> {
    let output = answer.get("output");
    if answer.get("object").string().as_deref() != Some("response") || !output.raw()?.starts_with('[') {
        return None;
    }
    let status = answer.get("status").string().unwrap_or_else(|| "completed".into());
    let end = match status.as_ref() {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        "failed" => "response.failed",
        _ => return None, // it is not over
    };
    let mut events = Events::default();
    for begun in ["response.created", "response.in_progress"] {
        events.push(begun, |event| {
            event.object("response", |response| {
                answer.copy(&["status", "output", "usage", "completed_at"], response);
                response.raw("status", "\"in_progress\"").raw("output", "[]").raw("usage", "null");
            });
        });
    }
    for (item, at) in Members::list(output).into_iter().zip(0..) {
        events.item(&Members::of(item)?, item.get(), at);
    }
    events.push(end, |event| {
        event.object("response", |response| {
            answer.copy(&["status"], response);
            response.text("status", Text::Plain(&status));
        });
    });
    Some(events.0)
}

#[derive(Default)]
struct Events(Vec<Frame>);

impl Events {
    fn push(&mut self, name: &'static str, write: impl FnOnce(&mut Object<'_>)) {
        let number = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        let data: BytesMut = object(|event| {
            event.text("type", Text::Plain(name)).number("sequence_number", number);
            write(event);
        });
        self.0.push(frame(Some(name), &data));
    }

    fn item(&mut self, item: &Members<'_>, whole: &str, at: u64) {
        let kind = item.get("type").string().unwrap_or_default();
        let (grows, empty): (&[&str], &str) = match kind.as_ref() {
            "message" => (&["content"], "[]"),
            "reasoning" => (&["summary", "content"], "[]"),
            "function_call" => (&["arguments"], "\"\""),
            "custom_tool_call" => (&["input"], "\"\""),
            _ => (&[], ""),
        };
        self.push("response.output_item.added", |event| {
            event.number("output_index", at).object("item", |added| {
                item.copy(grows, added);
                for key in grows.iter().filter(|key| !item.get(key).is_absent()) {
                    added.raw(key, empty);
                }
            });
        });
        let place = Place { id: item.get("id").raw().unwrap_or("null"), at };
        for (part, number) in Members::list(item.get("summary")).into_iter().zip(0..) {
            self.part(&place, ("summary_index", number), part.get(), SUMMARY);
        }
        for (part, number) in Members::list(item.get("content")).into_iter().zip(0..) {
            let names = match Members::of(part).and_then(|part| part.get("type").string()).as_deref() {
                Some("refusal") => REFUSAL,
                Some("reasoning_text") => REASONING,
                Some("output_text" | "text") => TEXT,
                _ => PART,
            };
            self.part(&place, ("content_index", number), part.get(), names);
        }
        match kind.as_ref() {
            "function_call" => self.grown(&place, item, "arguments", ARGUMENTS),
            "custom_tool_call" => self.grown(&place, item, "input", INPUT),
            _ => {}
        }
        self.push("response.output_item.done", |event| {
            event.number("output_index", at).raw("item", whole);
        });
    }

    /// A part of an item: its beginning, its text, its end.
    fn part(&mut self, place: &Place<'_>, (key, number): (&str, u64), part: &str, names: Names) {
        let Ok(members) = serde_json::from_str(part) else { return };
        let members = Members::of(members).unwrap_or(Members(Vec::new()));
        self.push(names.added, |event| {
            place.write(event);
            event.number(key, number).object("part", |added| {
                members.copy(&[names.member, "annotations", "logprobs"], added);
                if !names.member.is_empty() {
                    added.raw(names.member, "\"\"");
                }
                if names.added == TEXT.added && names.member == TEXT.member {
                    added.raw("annotations", "[]").raw("logprobs", "[]");
                }
            });
        });
        let text = members.get(names.member);
        if let Some(text) = text.raw().filter(|_| text.some_text().is_some()) {
            self.push(names.delta, |event| {
                place.write(event);
                event.number(key, number).raw("delta", text);
                event.raw("logprobs", members.get("logprobs").raw().unwrap_or("[]"));
            });
            for (annotation, at) in Members::list(members.get("annotations")).into_iter().zip(0..) {
                self.push("response.output_text.annotation.added", |event| {
                    place.write(event);
                    event
                        .number(key, number)
                        .number("annotation_index", at)
                        .raw("annotation", annotation.get());
                });
            }
            self.push(names.done, |event| {
                place.write(event);
                event.number(key, number).raw(names.member, text);
                event.raw("logprobs", members.get("logprobs").raw().unwrap_or("[]"));
            });
        }
        self.push(names.ended, |event| {
            place.write(event);
            event.number(key, number).raw("part", part);
        });
    }

    /// What a call is given.
    fn grown(
        &mut self,
        place: &Place<'_>,
        item: &Members<'_>,
        key: &str,
        (delta, done): (&'static str, &'static str),
    ) {
        let Some(text) = item.get(key).raw() else { return };
        self.push(delta, |event| {
            place.write(event);
            event.raw("delta", text);
        });
        self.push(done, |event| {
            place.write(event);
            event.raw(key, text);
            if key == "arguments" {
                item.copy_only(&["name"], event);
            }
        });
    }
}

/// Which item an event is about.
struct Place<'a> {
    id: &'a str,
    at: u64,
}

impl Place<'_> {
    fn write(&self, event: &mut Object<'_>) {
        event.raw("item_id", self.id).number("output_index", self.at);
    }
}

/// How the events of a part are called, and which member grows.
#[derive(Clone, Copy)]
struct Names {
    added: &'static str,
    delta: &'static str,
    done: &'static str,
    ended: &'static str,
    member: &'static str,
}

/// A part that is known by nothing but its beginning and its end.
const PART: Names = Names {
    added: "response.content_part.added",
    delta: "",
    done: "",
    ended: "response.content_part.done",
    member: "",
};
const TEXT: Names =
    Names { delta: "response.output_text.delta", done: "response.output_text.done", member: "text", ..PART };
const REFUSAL: Names =
    Names { delta: "response.refusal.delta", done: "response.refusal.done", member: "refusal", ..PART };
const REASONING: Names = Names {
    delta: "response.reasoning_text.delta",
    done: "response.reasoning_text.done",
    member: "text",
    ..PART
};
const SUMMARY: Names = Names {
    added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    ended: "response.reasoning_summary_part.done",
    member: "text",
};
const ARGUMENTS: (&str, &str) =
    ("response.function_call_arguments.delta", "response.function_call_arguments.done");
const INPUT: (&str, &str) = ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done");
