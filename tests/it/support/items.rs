//! The items of a response as the strictest SDK puts them together: numbered events, each item closed as it was filled, and a
//! last event that repeats them all.

use serde_json::{Value, json};

use super::heard::{Heard, Tool, push};

/// Which item is open, and how far the response is.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// The least number that the next event may have.
    number: u64,
    id: Option<Value>,
    open: Option<Value>,
    /// What the deltas of the open item's open part gave.
    said: String,
    done: Vec<Value>,
    ended: bool,
    failed: bool,
}

/// Members that a response always has.
const MEMBERS: [&str; 11] = [
    "id",
    "created_at",
    "error",
    "incomplete_details",
    "instructions",
    "model",
    "object",
    "output",
    "parallel_tool_calls",
    "tool_choice",
    "tools",
];

impl Items {
    /// Is it a stream of Responses?
    pub(super) fn have_come(&self) -> bool {
        self.number > 0
    }

    /// Did it end with `response.failed`?
    pub(super) fn have_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn hear(&mut self, heard: &mut Heard, kind: &str, event: &Value, name: Option<&str>) {
        assert_eq!(name, Some(kind), "an event has the name of its type: {event}");
        let number = event["sequence_number"].as_u64().unwrap_or_else(|| panic!("no number: {event}"));
        assert!(number >= self.number, "numbers grow: {event}");
        assert!(!self.ended, "behind the last event: {event}");
        match number {
            0 => assert_eq!(kind, "response.created"),
            1 => assert_eq!(kind, "response.in_progress"),
            _ => assert!(self.number > 1, "the first two are missing: {event}"),
        }
        self.number = number + 1;
        if event.get("response").is_some() {
            self.lifecycle(heard, kind, &event["response"]);
        } else if kind == "error" {
            for member in ["code", "message", "param"] {
                assert!(event.get(member).is_some(), "flat as well: {event}");
                assert_eq!(event[member], event["error"][member], "nested as well: {event}");
            }
            heard.error = Some(event["error"].clone());
        } else {
            self.inner(heard, kind, event);
        }
    }

    fn lifecycle(&mut self, heard: &mut Heard, kind: &str, response: &Value) {
        for member in MEMBERS {
            assert!(response.get(member).is_some(), "{member} is missing: {response}");
        }
        let id = self.id.get_or_insert_with(|| response["id"].clone());
        assert_eq!(&response["id"], id, "one id for the whole response");
        assert!(id.as_str().is_some_and(|id| id.starts_with("resp_")), "{id}");
        let status = kind.strip_prefix("response.").unwrap();
        match status {
            "created" | "in_progress" => assert_eq!(response["status"], "in_progress"),
            "completed" | "incomplete" => {
                self.ended = true;
                assert_eq!((&self.open, &response["status"]), (&None, &json!(status)), "{response}");
                assert_eq!(response["output"], json!(self.done), "the output is the finished items");
                heard.done += 1;
                heard.usage = response["usage"].is_object().then(|| response.clone());
                let reason = response["incomplete_details"]["reason"].as_str();
                heard.finish.push(reason.unwrap_or(status).to_owned());
            }
            _ => {
                (self.ended, self.failed) = (true, true);
                assert_eq!((kind, &response["status"]), ("response.failed", &json!("failed")));
                let told = &response["error"];
                assert!(told["code"].is_string() && told["message"].is_string(), "{response}");
                heard.error.get_or_insert_with(|| told.clone());
            }
        }
    }

    fn inner(&mut self, heard: &mut Heard, kind: &str, event: &Value) {
        assert_eq!(event["output_index"], self.done.len(), "places are counted, none is used twice: {event}");
        if kind == "response.output_item.added" {
            assert_eq!(self.open, None, "another item is open: {event}");
            let item = event["item"].clone();
            assert!(item["id"].as_str().is_some_and(|id| !id.is_empty()), "{event}");
            let unique = self.done.iter().all(|done| done["id"] != item["id"]);
            assert!(unique, "an id is used twice: {event}");
            hear_item(heard, &item);
            self.said.clear();
            self.open = Some(item);
            return;
        }
        let open = self.open.as_ref().unwrap_or_else(|| panic!("no item is open: {event}"));
        if kind == "response.output_item.done" {
            let item = &event["item"];
            for member in ["id", "type", "call_id", "name"] {
                assert_eq!(item[member], open[member], "{member}: {event}");
            }
            assert!(self.said.is_empty(), "a part is open: {event}");
            heard.sealed.extend(item["encrypted_content"].as_str().map(str::to_owned));
            if let Some(text) = item["arguments"].as_str().or_else(|| item["input"].as_str()) {
                assert_eq!(heard.tools.last().unwrap().arguments, text, "{event}");
            }
            self.done.push(item.clone());
            self.open = None;
            return;
        }
        assert_eq!(event["item_id"], open["id"], "{event}");
        let (what, how) = kind.rsplit_once('.').unwrap();
        let (into, field) = match what {
            "response.output_text" => (&mut heard.text, "text"),
            "response.refusal" => (&mut heard.refusal, "refusal"),
            "response.reasoning_summary_text" | "response.reasoning_text" => (&mut heard.thought, "text"),
            "response.function_call_arguments" => {
                (&mut heard.tools.last_mut().expect("a call").arguments, "arguments")
            }
            "response.custom_tool_call_input" => {
                (&mut heard.tools.last_mut().expect("a call").arguments, "input")
            }
            _ => return, // parts
        };
        match how {
            "delta" => {
                push(&mut self.said, &event["delta"]);
                push(into, &event["delta"]);
            }
            _ => assert_eq!(event[field], std::mem::take(&mut self.said), "{event}"),
        }
    }
}

/// What an item is, without what it says.
fn hear_item(heard: &mut Heard, item: &Value) {
    match item["type"].as_str() {
        Some("message") => heard.begin("text"),
        Some("reasoning") => heard.begin("thought"),
        Some("function_call" | "custom_tool_call") => {
            heard.begin("call");
            let word = |member: &str| item[member].as_str().unwrap_or_default().to_owned();
            heard.tools.push(Tool { id: word("call_id"), name: word("name"), arguments: String::new() });
        }
        _ => {}
    }
}

/// A whole response.
pub(super) fn hear_whole(heard: &mut Heard, response: &Value) {
    for member in MEMBERS {
        assert!(response.get(member).is_some(), "{member} is missing: {response}");
    }
    for item in response["output"].as_array().expect("output") {
        hear_item(heard, item);
        for part in item["content"].as_array().into_iter().flatten() {
            push(if item["type"] == "message" { &mut heard.text } else { &mut heard.thought }, &part["text"]);
            push(&mut heard.refusal, &part["refusal"]);
        }
        for part in item["summary"].as_array().into_iter().flatten() {
            push(&mut heard.thought, &part["text"]);
        }
        heard.sealed.extend(item["encrypted_content"].as_str().map(str::to_owned));
        if let Some(text) = item["arguments"].as_str().or_else(|| item["input"].as_str()) {
            heard.tools.last_mut().unwrap().arguments = text.to_owned();
        }
    }
    let reason = response["incomplete_details"]["reason"].as_str().or_else(|| response["status"].as_str());
    heard.finish.extend(reason.map(str::to_owned));
}
