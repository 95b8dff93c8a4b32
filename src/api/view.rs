//! The JSON view of a recorded stream: how it stands, and what it says so far.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::label::Label;
use crate::api::{Parts, Transcripts};
use crate::journal::{End, Meta, Record, Status};
use crate::wire::{Answer, AnswerBlock, Text};

/// How a stream stands, without what it says.
pub(super) fn summary(meta: &Meta, status: Status, label: &Label) -> Value {
    let state = match &status.ended {
        None => "running",
        Some(ended) if ended.end == End::Done => "done",
        Some(ended) if matches!(ended.reason.as_deref(), Some("cancelled" | "superseded")) => "cancelled",
        Some(_) => "failed",
    };
    json!({
        "id": meta.id,
        "object": "stream",
        "state": state,
        "error": status.ended.and_then(|ended| ended.reason),
        "path": label.dialect().path(),
        "model": label.model,
        "conversation": meta.conversation,
        "created_at": meta.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        "first_event": status.first,
        "last_event": status.last,
        "last_event_id": format!("{}.{}", meta.id, status.last),
        "bytes": status.bytes,
        "readers": status.readers,
    })
}

/// How a stream stands and what it says so far, as JSON.
pub(super) async fn described(parts: &Parts, record: &Arc<Record>, label: Label) -> Bytes {
    let (bytes, transcripts, record) =
        (record.status().bytes, Arc::clone(&parts.transcripts), Arc::clone(record));
    let describe = move || Bytes::from(value(&transcripts, &record, &label).to_string());
    parts.pool.offload().run(bytes, describe).await
}

fn value(transcripts: &Transcripts, record: &Record, label: &Label) -> Value {
    let mut value = summary(record.meta(), record.status(), label);
    let Some(members) = value.as_object_mut() else { return value };
    if label.whole() {
        let frame = record.first_frame();
        let response = frame.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or(Value::Null);
        members.insert("response".into(), response);
        return value;
    }
    transcripts.read(record, label, |answer| describe(answer, record, members));
    value
}

/// What an answer says so far.
fn describe(answer: &Answer, record: &Record, members: &mut serde_json::Map<String, Value>) {
    let text = |kind: fn(&AnswerBlock) -> bool| answer.joined(kind).map(|escaped| unescaped(&escaped));
    let said = text(|block| matches!(block, AnswerBlock::Text { .. })).unwrap_or_default();
    members.insert("text".into(), said.into());
    let thought = text(|block| matches!(block, AnswerBlock::Reasoning { .. }));
    members.insert("reasoning".into(), thought.into());
    let call = |(id, name, arguments): (&str, &str, Text<'_>)| json!({ "id": id, "name": name, "arguments": arguments.plain() });
    members.insert("tool_calls".into(), answer.tool_calls().map(call).collect());
    let usage = answer.usage.map(|usage| (usage.input, usage.output)).or_else(|| record.status().tokens);
    let usage = usage
        .map_or(Value::Null, |(input, output)| json!({ "input_tokens": input, "output_tokens": output }));
    members.insert("usage".into(), usage);
}

fn unescaped(escaped: &str) -> String {
    Text::Escaped(escaped).plain().into_owned()
}
