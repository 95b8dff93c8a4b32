//! A response as its stream has told it so far, to tell it once more where nothing else comes: clients that put a response together
//! take what they are told of it for all of it, and fail behind one that lacks what was said before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use serde::Deserialize;
use serde_json::Value;

use crate::wire::dialect::Framing;
use crate::wire::frame::Frames;
use crate::wire::json::{Field, Object};
use crate::wire::members::all_members;
use crate::wire::openai_responses::failed::{begin_frame, end_frame};
use crate::wire::splitter::Splitter;

/// What is known of a response. Frames are read when that is needed, or when many wait: most streams are never silent for long.
#[derive(Debug, Default)]
pub struct Snapshot {
    unread: Vec<Bytes>,
    unread_bytes: usize,
    /// The response as the last event about all of it has it.
    response: Option<String>,
    items: BTreeMap<u64, Item>,
    /// The number of the last event. One that is told aside has it too: who goes on from there has missed nothing, and who passes
    /// over what it has seen passes over nothing else.
    number: u64,
    size: usize,
    /// It has ended, or is larger than what is kept.
    over: bool,
}

#[derive(Debug)]
enum Item {
    Open(Value),
    Done(String),
}

/// How many bytes of frames may wait to be read.
const UNREAD: usize = 32 << 10;
/// The largest response that is kept, in bytes.
const LARGEST: usize = 4 << 20;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    sequence_number: Field<'a>,
    #[serde(borrow, default)]
    output_index: Field<'a>,
    #[serde(borrow, default)]
    content_index: Field<'a>,
    #[serde(borrow, default)]
    summary_index: Field<'a>,
    #[serde(borrow, default)]
    delta: Field<'a>,
    #[serde(borrow, default)]
    part: Field<'a>,
    #[serde(borrow, default)]
    annotation: Field<'a>,
    #[serde(borrow, default)]
    item: Field<'a>,
    #[serde(borrow, default)]
    response: Field<'a>,
}

impl Snapshot {
    /// Takes a frame that the client sees.
    pub fn see(&mut self, frame: Bytes) {
        if self.over {
            return;
        }
        self.unread_bytes += frame.len();
        self.unread.push(frame);
        if self.unread_bytes > UNREAD {
            self.read();
        }
    }

    /// Bytes that [`Self::event`] would have, about.
    pub fn size(&self) -> usize {
        self.size + self.unread_bytes
    }

    /// The event that changes nothing. `None` where there is none: nothing was said yet, or all, or too much.
    pub fn event(&mut self) -> Option<Bytes> {
        self.read();
        let response = self.response.as_deref().filter(|_| !self.over)?;
        let mut frames = Frames::default();
        begin_frame("response.in_progress", self.number, frames.buffer());
        Object::inside(frames.buffer()).object("response", |object| {
            for (key, value) in all_members(response) {
                match key.as_ref() {
                    "status" => object.raw("status", "\"in_progress\""),
                    "output" if !self.items.is_empty() => object,
                    _ => object.raw(&key, value),
                };
            }
            if !self.items.is_empty() {
                let output = object.key("output");
                for (at, item) in self.items.values().enumerate() {
                    output.put_u8(if at == 0 { b'[' } else { b',' });
                    match item {
                        Item::Open(item) => output.put_slice(item.to_string().as_bytes()),
                        Item::Done(item) => output.put_slice(item.as_bytes()),
                    }
                }
                output.put_u8(b']');
            }
        });
        end_frame(&mut frames);
        Some(frames.joined())
    }

    fn read(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let mut splitter = Splitter::new(Framing::Sse, usize::MAX >> 1);
        self.unread_bytes = 0;
        for frame in std::mem::take(&mut self.unread) {
            splitter.push(frame);
            while let Ok(Some(frame)) = splitter.next_frame() {
                if let Ok(line) = serde_json::from_slice(&frame.data) {
                    self.take(&line);
                }
            }
        }
        if self.size > LARGEST {
            *self = Self { over: true, ..Self::default() };
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        self.number = line.sequence_number.whole().unwrap_or(self.number);
        let index = line.output_index.whole().unwrap_or_default();
        match line.kind.as_ref() {
            "response.created" | "response.queued" | "response.in_progress" => {
                if let Some(response) = line.response.object() {
                    self.size += response.len().saturating_sub(self.response.as_ref().map_or(0, String::len));
                    self.response = Some(response.to_owned());
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "error" => self.over = true,
            "response.output_item.added" => {
                if let Some(item) = line.item.read() {
                    self.size += line.item.raw().map_or(0, str::len);
                    self.items.insert(index, Item::Open(item));
                }
            }
            "response.output_item.done" => {
                if let Some(item) = line.item.object() {
                    self.size += item.len();
                    self.items.insert(index, Item::Done(item.to_owned()));
                }
            }
            kind => {
                if let Some(Item::Open(item)) = self.items.get_mut(&index) {
                    self.size += grow(item, kind, line).unwrap_or_default();
                }
            }
        }
    }
}

/// Adds to an open item what an event says of it; tells how much that is. `None`: nothing, or it has no place there.
fn grow(item: &mut Value, kind: &str, line: &Line<'_>) -> Option<usize> {
    let (what, how) = kind.rsplit_once('.')?;
    let content = ("content", line.content_index);
    let summary = ("summary", line.summary_index);
    match (what, how) {
        ("response.content_part", "added" | "done") => set(item, content, line.part),
        ("response.reasoning_summary_part", "added" | "done") => set(item, summary, line.part),
        ("response.output_text" | "response.reasoning_text", "delta") => {
            append(part(item, content)?, "text", line.delta)
        }
        ("response.refusal", "delta") => append(part(item, content)?, "refusal", line.delta),
        ("response.reasoning_summary_text", "delta") => append(part(item, summary)?, "text", line.delta),
        ("response.function_call_arguments" | "response.mcp_call_arguments", "delta") => {
            append(item, "arguments", line.delta)
        }
        ("response.custom_tool_call_input", "delta") => append(item, "input", line.delta),
        ("response.code_interpreter_call_code", "delta") => append(item, "code", line.delta),
        ("response.output_text.annotation", "added") => {
            let annotations = part(item, content)?.get_mut("annotations")?.as_array_mut()?;
            annotations.push(line.annotation.read()?);
            line.annotation.raw().map(str::len)
        }
        _ => None,
    }
}

fn part<'i>(item: &'i mut Value, (list, index): (&str, Field<'_>)) -> Option<&'i mut Value> {
    item.get_mut(list)?.get_mut(usize::try_from(index.whole().unwrap_or_default()).ok()?)
}

fn set(item: &mut Value, (list, index): (&str, Field<'_>), part: Field<'_>) -> Option<usize> {
    let parts = item.as_object_mut()?.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    let parts = parts.as_array_mut()?;
    let index = usize::try_from(index.whole().unwrap_or_default()).ok()?;
    let told = part.read()?;
    let next = index == parts.len();
    match parts.get_mut(index) {
        Some(part) => *part = told,
        None if next => parts.push(told),
        None => return None,
    }
    part.raw().map(str::len)
}

fn append(object: &mut Value, key: &str, delta: Field<'_>) -> Option<usize> {
    let delta = delta.string()?;
    let value = object.as_object_mut()?.entry(key).or_insert(Value::Null);
    if let Value::String(text) = value {
        text.push_str(&delta);
    } else {
        *value = Value::String(delta.clone().into_owned());
    }
    Some(delta.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(event: &Value) -> Bytes {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).into()
    }

    fn seen(events: &[Value]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for event in events {
            snapshot.see(frame(event));
        }
        snapshot
    }

    fn told(snapshot: &mut Snapshot) -> Value {
        let event = snapshot.event().unwrap();
        let text = std::str::from_utf8(&event).unwrap();
        let data = text.strip_prefix("event: response.in_progress\ndata: ").unwrap();
        serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
    }

    fn created() -> Value {
        json!({"type": "response.created", "sequence_number": 0, "response": {
            "id": "resp_1", "status": "in_progress", "instructions": "Be brief", "output": [], "usage": null
        }})
    }

    fn added(at: u64, item: &Value) -> Value {
        json!({"type": "response.output_item.added", "sequence_number": 2, "output_index": at, "item": item})
    }

    #[test]
    fn a_response_is_told_with_all_of_its_output_so_far() {
        let message = json!({"id": "msg_1", "type": "message", "status": "in_progress", "content": []});
        let part = json!({"type": "output_text", "text": "", "annotations": []});
        let mut snapshot = seen(&[
            created(),
            added(0, &json!({"id": "rs_0", "type": "reasoning", "summary": []})),
            json!({"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
            json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": {"id": "rs_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}}),
            added(1, &message),
            json!({"type": "response.content_part.added", "output_index": 1, "content_index": 0, "part": part}),
            json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "The \"Po\" "}),
            json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "flows\n", "sequence_number": 7}),
            json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0, "annotation": {"type": "url_citation"}}),
            added(2, &json!({"id": "fc_2", "type": "function_call", "name": "f", "arguments": ""})),
            json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{\"a\":", "sequence_number": 11}),
        ]);
        let event = told(&mut snapshot);
        assert_eq!((&event["type"], &event["sequence_number"]), (&json!("response.in_progress"), &json!(11)));
        let response = &event["response"];
        assert_eq!((&response["id"], &response["status"]), (&json!("resp_1"), &json!("in_progress")));
        assert_eq!(response["instructions"], "Be brief");
        let output = &response["output"];
        assert_eq!(output[0]["summary"][0]["text"], "Hm.");
        assert_eq!(output[1]["content"][0]["text"], "The \"Po\" flows\n");
        assert_eq!(output[1]["content"][0]["annotations"], json!([{"type": "url_citation"}]));
        assert_eq!((&output[2]["name"], &output[2]["arguments"]), (&json!("f"), &json!("{\"a\":")));
        assert_eq!(told(&mut snapshot), event, "as often as one likes");
    }

    #[test]
    fn nothing_is_told_of_a_response_that_has_not_begun_or_has_ended() {
        assert_eq!(Snapshot::default().event(), None);
        assert_eq!(seen(&[added(0, &json!({}))]).event(), None);
        for kind in ["response.completed", "response.incomplete", "response.failed", "error"] {
            assert_eq!(seen(&[created(), json!({"type": kind})]).event(), None, "{kind}");
        }
    }

    #[test]
    fn what_has_no_place_changes_nothing() {
        let mut snapshot = seen(&[
            created(),
            json!({"type": "response.output_text.delta", "output_index": 5, "content_index": 3, "delta": "x"}),
            added(0, &json!({"type": "message", "content": null})),
            json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {}}),
            json!({"type": "response.refusal.delta", "output_index": 0, "delta": 7}),
        ]);
        snapshot.see(Bytes::from_static(b": keep-alive\n"));
        snapshot.see(Bytes::from_static(b"data: [DONE]\n\n"));
        assert_eq!(told(&mut snapshot)["response"]["output"], json!([{"type": "message", "content": null}]));
    }

    #[test]
    fn a_response_that_is_too_large_is_no_longer_kept() {
        let mut snapshot = seen(&[created(), added(0, &json!({"type": "function_call", "arguments": ""}))]);
        let delta = json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "x".repeat(1 << 20)});
        for _ in 0..4 {
            assert!(snapshot.event().is_some());
            snapshot.see(frame(&delta));
        }
        assert_eq!((snapshot.event(), snapshot.size()), (None, 0));
    }
}
