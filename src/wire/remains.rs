//! What the tools of a vendor left in a history, for backends of other vendors: the words that can be read, without ids, seals and
//! bytes that only the vendor knows.

use crate::wire::json::{Field, Text};
use crate::wire::members::inner_members;
use crate::wire::request::Part;

/// What stands before a summary of earlier messages.
pub(super) const SUMMARY: &str = "Summary of the conversation so far:";

/// The members in which results say something that reads.
const READABLE: [&str; 13] = [
    "title", "filename", "url", "content", "text", "results", "output", "outputs", "stdout", "stderr",
    "logs", "source", "error",
];

/// How deep results are looked into.
const LEVELS: u32 = 8;

/// The readable texts of a result, in order.
pub(super) fn readable(result: Field<'_>) -> Vec<Part<'_>> {
    let mut texts = Vec::new();
    read(result, LEVELS, &mut texts);
    texts.into_iter().map(Part::Text).collect()
}

fn read<'a>(field: Field<'a>, levels: u32, texts: &mut Vec<Text<'a>>) {
    let Some(levels) = levels.checked_sub(1) else { return };
    if let Some(text) = field.text() {
        texts.extend(Some(text).filter(|text| !text.is_empty()));
        return;
    }
    if let Some(list) = field.read::<Vec<Field<'a>>>() {
        for inner in list {
            read(inner, levels, texts);
        }
        return;
    }
    let members = inner_members(field, "result").unwrap_or_default();
    // The data of a document is words only where it says so.
    let is_text = members.iter().any(|(key, kind)| key == "type" && kind.string().as_deref() == Some("text"));
    for (key, value) in members {
        if READABLE.contains(&key.as_ref()) || (key == "data" && is_text) {
            read(value, levels, texts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: &str) -> Vec<String> {
        let field: Field<'_> = serde_json::from_str(result).unwrap();
        let parts = readable(field);
        crate::wire::request::texts(&parts).map(|text| text.plain().into_owned()).collect()
    }

    #[test]
    fn what_reads_is_told_and_what_only_the_vendor_knows_is_not() {
        let search = r#"[{"type":"web_search_result","title":"Harbour","url":"https://h.example","encrypted_content":"b3Bh","page_age":"1 day"}]"#;
        assert_eq!(told(search), ["Harbour", "https://h.example"]);
        let fetched = r#"{"type":"web_fetch_result","url":"https://h.example","content":{"type":"document","title":"Tides","source":{"type":"text","media_type":"text/plain","data":"At nine."}}}"#;
        assert_eq!(told(fetched), ["https://h.example", "Tides", "At nine."]);
        let pdf = r#"{"content":{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}}"#;
        assert!(told(pdf).is_empty());
        let shell = r#"{"type":"bash_code_execution_result","stdout":"9 m","stderr":"","return_code":0,"content":[{"file_id":"f1"}]}"#;
        assert_eq!(told(shell), ["9 m"]);
        let files = r#"[{"filename":"tides.md","text":"At nine.","score":0.9,"attributes":{"a":"b"}}]"#;
        assert_eq!(told(files), ["tides.md", "At nine."]);
        let deep = "[".repeat(100) + "\"x\"" + &"]".repeat(100);
        assert!(told(&deep).is_empty());
    }
}
