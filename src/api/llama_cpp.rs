//! The streams that are recorded, as llama.cpp's own clients ask for them: by the name of their conversation, in bytes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::api::label::Label;
use crate::api::look::Look;
use crate::api::reading::nothing;
use crate::api::recorded::numbering;
use crate::api::visitor::Visitor;
use crate::api::{Parts, body, reading, streams};
use crate::downstream::{Body, json as whole};
use crate::edge::{Parameter, Query, Refusal};
use crate::journal::{OpenError, Record};
use crate::wire::{Code, Failure};

/// `GET|DELETE /v1/stream?conv_id=…&from=N`. What is not there is over already: to end it is 204 in any case.
pub(super) async fn stream(
    parts: &Parts,
    query: &Query,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let Some(name) = query.get(Parameter::ConversationId).filter(|name| !name.is_empty()) else {
        let failure = Failure::new(Code::InvalidRequest, "`conv_id` names the conversation");
        return Err(failure.param("conv_id").into());
    };
    let ends = look.method == Method::DELETE;
    match streams::raw(parts, name, look, visitor).await {
        Ok(_) if ends => Ok(nothing(StatusCode::NO_CONTENT)),
        Err(refusal) if ends && matches!(refusal.failure.status(), 404 | 410) => {
            Ok(nothing(StatusCode::NO_CONTENT))
        }
        answer => answer,
    }
}

/// How many conversations may be asked for at once.
const MOST: usize = 1000;

/// `POST /v1/streams/lookup {"conversation_ids": […]}`: how those of them stand that have a stream.
pub(super) async fn lookup(
    parts: Arc<Parts>,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default)]
        conversation_ids: Vec<String>,
    }
    let account = parts.memory.account(&visitor.caller);
    let body = body::read(&parts, &account, request).await?;
    let wrong =
        |words: String| Refusal::from(Failure::new(Code::InvalidRequest, words).param("conversation_ids"));
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("`conversation_ids` must be a list of names: {error}")))?;
    if asked.conversation_ids.len() > MOST {
        return Err(wrong(format!("`conversation_ids` holds more than {MOST} names")));
    }
    let mut found = Vec::new();
    for name in &asked.conversation_ids {
        match parts.journal.conversation(visitor.owner(), name).await {
            Ok(record) => found.extend(Label::of(&record).map(|label| stands(name, &record, &label))),
            Err(OpenError::Unknown | OpenError::Expired) => {}
            Err(OpenError::Away) => return Err(reading::refused(OpenError::Away)),
        }
    }
    Ok(whole(StatusCode::OK, Bytes::from(json!(found).to_string())))
}

fn stands(name: &str, record: &Arc<Record>, label: &Label) -> serde_json::Value {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let status = record.status();
    let completed = status.ended.as_ref().and_then(|ended| SystemTime::now().checked_sub(ended.ago()));
    let numbers = label.numbered.then(|| numbering(record, label).added(status.first..=status.last));
    json!({
        "conversation_id": name,
        "is_done": status.ended.is_some(),
        "total_bytes": status.bytes as u64 + numbers.unwrap_or_default(),
        "started_at": seconds(record.meta().created),
        "completed_at": completed.map_or(0, seconds),
    })
}
