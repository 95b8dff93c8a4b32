//! What a client understood of an answer: the deltas put together, per dialect. In the dialects whose events must come in an
//! order it listens as strictly as the strictest SDK.

use serde_json::Value;

use super::answer::Answer;
use super::blocks::Blocks;
use super::items::Items;
use super::pieces::{Ending, Event};

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) thought: String,
    pub(crate) refusal: String,
    pub(crate) tools: Vec<Tool>,
    /// What came, in order: `thought`, `text`, `refusal`, `call` or `sealed`, each as often as it began anew.
    pub(crate) order: Vec<&'static str>,
    /// What is to be handed back with the reasoning: signatures, redacted and encrypted text.
    pub(crate) sealed: Vec<String>,
    /// `finish_reason`, `done_reason`, `stop_reason`, or the status of a response with the reason if it has one.
    pub(crate) finish: Vec<String>,
    /// The event that carried token counts.
    pub(crate) usage: Option<Value>,
    /// The `error` member of an error frame.
    pub(crate) error: Option<Value>,
    /// How often the terminator that means success was met.
    pub(crate) done: usize,
    pub(crate) aborted: bool,
    /// Every event but `[DONE]`, parsed.
    pub(crate) events: Vec<Value>,
    blocks: Blocks,
    items: Items,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
}

impl Heard {
    /// Reads the answer to its end.
    pub(crate) async fn of(answer: &mut Answer) -> Self {
        assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.early));
        let (events, ending) = answer.events().await;
        Self::of_events(&events, ending)
    }

    pub(crate) fn of_events(events: &[Event], ending: Ending) -> Self {
        let mut heard = Self { aborted: ending == Ending::Aborted, ..Self::default() };
        for event in events {
            let data = &event.data;
            assert!(
                heard.error.is_none() || data.contains("\"response.failed\""),
                "{data:?} behind an error"
            );
            if data == "[DONE]" {
                heard.done += 1;
                continue;
            }
            heard.hear(&event.json(), event.name.as_deref());
        }
        heard
    }

    /// A whole answer, of whatever dialect.
    pub(crate) fn of_whole(whole: &Value) -> Self {
        let mut heard = Self { usage: Some(whole.clone()), done: 1, ..Self::default() };
        if whole["object"] == "response" {
            super::items::hear_whole(&mut heard, whole);
        } else if whole["type"] == "message" {
            super::blocks::hear_whole(&mut heard, whole);
        } else if whole.get("choices").is_some() {
            heard.hear_message(&whole["choices"][0]["message"]);
            heard.finish.extend(whole["choices"][0]["finish_reason"].as_str().map(str::to_owned));
        } else {
            heard.done = 0;
            heard.hear_ollama(whole);
        }
        heard.events.push(whole.clone());
        heard
    }

    /// The error's code at an OpenAI door.
    pub(crate) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.get("code")?.as_str()
    }

    /// The error's message, at any door.
    pub(crate) fn message(&self) -> &str {
        let error = self.error.as_ref().expect("an error");
        error.as_str().or_else(|| error["message"].as_str()).expect("a message")
    }

    /// Did the stream end as one that failed must: told in an error frame, broken off, nothing that means success? Responses has
    /// an event that ends such a stream, and the body ends properly behind it.
    pub(crate) fn failed(&self) -> bool {
        let ended =
            if self.items.have_come() { self.items.have_failed() && !self.aborted } else { self.aborted };
        self.error.is_some() && ended && self.done == 0
    }

    /// Did it end as one that succeeded must?
    pub(crate) fn succeeded(&self) -> bool {
        self.error.is_none() && !self.aborted && self.done == 1
    }

    /// Names and arguments of the tool calls.
    pub(crate) fn calls(&self) -> Vec<(&str, &str)> {
        self.tools.iter().map(|tool| (tool.name.as_str(), tool.arguments.as_str())).collect()
    }

    /// Something of this kind came.
    pub(super) fn note(&mut self, kind: &'static str) {
        if self.order.last() != Some(&kind) {
            self.order.push(kind);
        }
    }

    /// Something of this kind began anew.
    pub(super) fn begin(&mut self, kind: &'static str) {
        self.order.push(kind);
    }

    fn hear(&mut self, event: &Value, name: Option<&str>) {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if kind.starts_with("response.") || (kind == "error" && event.get("sequence_number").is_some()) {
            let mut items = std::mem::take(&mut self.items);
            items.hear(self, &kind, event, name);
            self.items = items;
        } else if Blocks::KINDS.contains(&kind.as_str()) {
            let mut blocks = std::mem::take(&mut self.blocks);
            blocks.hear(self, &kind, event, name);
            self.blocks = blocks;
        } else if let Some(error) = event.get("error") {
            self.error = Some(error.clone());
        } else if event.get("choices").is_some() {
            self.hear_openai(event);
        } else {
            self.hear_ollama(event);
        }
        self.events.push(event.clone());
    }

    fn hear_openai(&mut self, event: &Value) {
        if event["usage"].is_object() {
            self.usage = Some(event.clone());
        }
        for choice in event["choices"].as_array().unwrap() {
            push(&mut self.text, &choice["text"]);
            self.hear_message(&choice["delta"]);
            self.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
    }

    /// A delta, or the message of a whole answer.
    fn hear_message(&mut self, delta: &Value) {
        if said(&delta["reasoning_content"]) {
            self.note("thought");
            push(&mut self.thought, &delta["reasoning_content"]);
        }
        for block in delta["thinking_blocks"].as_array().into_iter().flatten() {
            let sealed = block["signature"].as_str().or_else(|| block["data"].as_str());
            self.sealed.extend(sealed.map(str::to_owned));
            if block["type"] == "redacted_thinking" {
                self.begin("sealed");
            }
        }
        if said(&delta["content"]) {
            self.note("text");
            push(&mut self.text, &delta["content"]);
        }
        if said(&delta["refusal"]) {
            self.note("refusal");
            push(&mut self.refusal, &delta["refusal"]);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            // In a whole answer they have none.
            let index = call["index"].as_u64().map(|index| usize::try_from(index).unwrap());
            let index = index.unwrap_or(self.tools.len());
            if self.tools.len() <= index {
                self.begin("call");
                self.tools.resize_with(index + 1, Tool::default);
            }
            let tool = &mut self.tools[index];
            push(&mut tool.id, &call["id"]);
            push(&mut tool.name, &call["function"]["name"]);
            push(&mut tool.arguments, &call["function"]["arguments"]);
        }
    }

    fn hear_ollama(&mut self, event: &Value) {
        let message = &event["message"];
        for thought in [&message["thinking"], &event["thinking"]] {
            if said(thought) {
                self.note("thought");
                push(&mut self.thought, thought);
            }
        }
        for text in [&message["content"], &event["response"]] {
            if said(text) {
                self.note("text");
                push(&mut self.text, text);
            }
        }
        let calls = [&message["tool_calls"], &event["tool_calls"]];
        for call in calls.into_iter().flat_map(|calls| calls.as_array().into_iter().flatten()) {
            let function = &call["function"];
            assert!(function["arguments"].is_object(), "Ollama's arguments are an object: {call}");
            self.begin("call");
            self.tools.push(Tool {
                id: call["id"].as_str().unwrap_or_default().to_owned(),
                name: function["name"].as_str().unwrap().to_owned(),
                arguments: function["arguments"].to_string(),
            });
        }
        if event["done"] == true {
            self.done += 1;
            self.finish.extend(event["done_reason"].as_str().map(str::to_owned));
            self.usage = Some(event.clone());
        }
    }
}

/// The `data` of every block, read as the HTML standard says, whatever the line ends are.
pub(crate) fn data_of(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).expect("a body in UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    });
    blocks.filter(|data| !data.is_empty()).collect()
}

fn said(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

pub(super) fn push(text: &mut String, value: &Value) {
    if let Some(more) = value.as_str() {
        text.push_str(more);
    }
}
