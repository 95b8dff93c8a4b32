//! The blocks of an Anthropic message as its SDKs put them together: each is opened, filled and closed before the next.

use serde_json::{Value, json};

use super::heard::{Heard, Tool, push};

/// Which block is open, and how far the message is.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    started: bool,
    next: u64,
    /// Type of the open block.
    open: Option<String>,
    /// A signature came, and must be the last of its block.
    signed: bool,
    stopped: bool,
}

impl Blocks {
    pub(super) const KINDS: [&'static str; 8] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ];

    pub(super) fn hear(&mut self, heard: &mut Heard, kind: &str, event: &Value, name: Option<&str>) {
        assert_eq!(name, Some(kind), "the SDKs read the name of an event: {event}");
        match kind {
            "message_start" => self.start(event),
            "ping" => {}
            "error" => heard.error = Some(event["error"].clone()),
            _ => {
                assert!(self.started, "before message_start: {event}");
                self.inner(heard, kind, event);
            }
        }
    }

    fn start(&mut self, event: &Value) {
        assert!(!std::mem::replace(&mut self.started, true), "a second message_start: {event}");
        let message = &event["message"];
        assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
        assert!(message["id"].as_str().is_some_and(|id| id.starts_with("msg_")), "{event}");
        assert!(message["model"].is_string(), "{event}");
        assert_eq!(message["content"], json!([]), "{event}");
        for member in ["stop_reason", "stop_sequence"] {
            assert_eq!(message.get(member), Some(&Value::Null), "{member}: {event}");
        }
        let usage = &message["usage"];
        assert!(usage["input_tokens"].is_u64() && usage["output_tokens"].is_u64(), "{event}");
    }

    fn inner(&mut self, heard: &mut Heard, kind: &str, event: &Value) {
        match kind {
            "content_block_start" => self.open(heard, event),
            "content_block_delta" => {
                assert!(self.open.is_some(), "no block is open: {event}");
                assert_eq!(event["index"], self.next, "{event}");
                self.delta(heard, &event["delta"]);
            }
            "content_block_stop" => {
                let open = self.open.take().unwrap_or_else(|| panic!("no block is open: {event}"));
                assert_eq!(event["index"], self.next, "{event}");
                if let ("tool_use", Some(tool)) = (open.as_str(), heard.tools.last_mut())
                    && tool.arguments.is_empty()
                {
                    tool.arguments.push_str("{}"); // as it was opened
                }
                self.next += 1;
            }
            "message_delta" => {
                assert_eq!(self.open, None, "a block is open: {event}");
                assert!(!std::mem::replace(&mut self.stopped, true), "a second message_delta: {event}");
                let delta = &event["delta"];
                assert!(event["usage"]["output_tokens"].is_u64(), "{event}");
                assert!(delta.get("stop_sequence").is_some(), "{event}");
                heard.finish.extend(delta["stop_reason"].as_str().map(str::to_owned));
                heard.usage = Some(event.clone());
            }
            _ => {
                assert!(self.stopped, "message_stop without message_delta");
                heard.done += 1;
            }
        }
    }

    fn open(&mut self, heard: &mut Heard, event: &Value) {
        assert_eq!(self.open, None, "another block is open: {event}");
        assert!(!self.stopped, "behind message_delta: {event}");
        assert_eq!(event["index"], self.next, "{event}");
        let block = &event["content_block"];
        let kind = block["type"].as_str().expect("a block's type");
        match kind {
            "text" => assert!(block["text"].is_string(), "{event}"),
            "thinking" => assert!(block["thinking"].is_string() && block["signature"].is_string(), "{event}"),
            "redacted_thinking" => assert!(block["data"].is_string(), "{event}"),
            "tool_use" => assert_eq!(block["input"], json!({}), "{event}"),
            _ => {}
        }
        hear_block(heard, block);
        self.open = Some(kind.to_owned());
        self.signed = false;
    }

    fn delta(&mut self, heard: &mut Heard, delta: &Value) {
        assert!(!self.signed, "behind a signature: {delta}");
        let kind = delta["type"].as_str().expect("a delta's type");
        let (block, into) = match kind {
            "text_delta" => ("text", &mut heard.text),
            "thinking_delta" => ("thinking", &mut heard.thought),
            "signature_delta" => {
                self.signed = true;
                let signature = delta["signature"].as_str().expect("a signature");
                assert!(!signature.is_empty(), "an empty signature");
                heard.sealed.push(signature.to_owned());
                assert_eq!(self.open.as_deref(), Some("thinking"));
                return;
            }
            "input_json_delta" => ("tool_use", &mut heard.tools.last_mut().expect("a call").arguments),
            _ => return,
        };
        assert_eq!(self.open.as_deref(), Some(block), "{delta}");
        let field = match kind {
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            _ => "partial_json",
        };
        assert!(delta[field].is_string(), "{delta}");
        push(into, &delta[field]);
    }
}

/// A block as it begins, or whole; of a call everything but its input.
fn hear_block(heard: &mut Heard, block: &Value) {
    match block["type"].as_str() {
        Some("text") => {
            heard.begin("text");
            push(&mut heard.text, &block["text"]);
        }
        Some("thinking") => {
            heard.begin("thought");
            push(&mut heard.thought, &block["thinking"]);
            let signature = block["signature"].as_str().filter(|signature| !signature.is_empty());
            heard.sealed.extend(signature.map(str::to_owned));
        }
        Some("redacted_thinking") => {
            heard.begin("sealed");
            heard.sealed.extend(block["data"].as_str().map(str::to_owned));
        }
        Some("tool_use") => {
            heard.begin("call");
            let (id, name) = (block["id"].as_str().unwrap(), block["name"].as_str().unwrap());
            let lawful = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            assert!(lawful && !id.is_empty(), "no id of Anthropic's: {id}");
            heard.tools.push(Tool { id: id.to_owned(), name: name.to_owned(), arguments: String::new() });
        }
        _ => {}
    }
}

/// A whole message.
pub(super) fn hear_whole(heard: &mut Heard, message: &Value) {
    assert_eq!(message["role"], "assistant");
    for block in message["content"].as_array().expect("content") {
        hear_block(heard, block);
        if block["type"] == "tool_use" {
            assert!(block["input"].is_object(), "{block}");
            heard.tools.last_mut().unwrap().arguments = block["input"].to_string();
        }
    }
    heard.finish.extend(message["stop_reason"].as_str().map(str::to_owned));
}
