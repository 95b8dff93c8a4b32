//! What a client understood of a stream: the deltas put together, per dialect.

use serde_json::Value;

use super::answer::Answer;
use super::pieces::Ending;

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) thought: String,
    pub(crate) tools: Vec<Tool>,
    /// `finish_reason`, or `done_reason`.
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
}

#[derive(Debug, Default, PartialEq, Eq)]
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
        let mut heard = Self { aborted: ending == Ending::Aborted, ..Self::default() };
        for event in events {
            assert!(heard.error.is_none(), "{:?} behind an error", event.data);
            if event.data == "[DONE]" {
                heard.done += 1;
                continue;
            }
            let event = event.json();
            heard.hear(&event);
            heard.events.push(event);
        }
        heard
    }

    /// The error's code at an OpenAI door.
    pub(crate) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.get("code")?.as_str()
    }

    /// Did the stream end as one that failed must: told in an error frame, broken off, nothing that means success?
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some() && self.aborted && self.done == 0
    }

    /// Did it end as one that succeeded must?
    pub(crate) fn succeeded(&self) -> bool {
        self.error.is_none() && !self.aborted && self.done == 1
    }

    fn hear(&mut self, event: &Value) {
        if let Some(error) = event.get("error") {
            self.error = Some(error.clone());
        } else if event.get("choices").is_some() {
            self.hear_openai(event);
        } else {
            self.hear_ollama(event);
        }
    }

    fn hear_openai(&mut self, event: &Value) {
        if event["usage"].is_object() {
            self.usage = Some(event.clone());
        }
        for choice in event["choices"].as_array().unwrap() {
            let delta = &choice["delta"];
            push(&mut self.text, &delta["content"]);
            push(&mut self.text, &choice["text"]);
            push(&mut self.thought, &delta["reasoning_content"]);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(call["index"].as_u64().expect("an index")).unwrap();
                if self.tools.len() <= index {
                    self.tools.resize_with(index + 1, Tool::default);
                }
                let tool = &mut self.tools[index];
                push(&mut tool.id, &call["id"]);
                push(&mut tool.name, &call["function"]["name"]);
                push(&mut tool.arguments, &call["function"]["arguments"]);
            }
            self.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
    }

    fn hear_ollama(&mut self, event: &Value) {
        let message = &event["message"];
        push(&mut self.text, &message["content"]);
        push(&mut self.text, &event["response"]);
        push(&mut self.thought, &message["thinking"]);
        push(&mut self.thought, &event["thinking"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            assert!(function["arguments"].is_object(), "Ollama's arguments are an object: {call}");
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

fn push(text: &mut String, value: &Value) {
    if let Some(more) = value.as_str() {
        text.push_str(more);
    }
}
