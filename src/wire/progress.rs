//! How far a server is with a prompt, as llama.cpp tells it in chunks of their own where it is asked (`return_progress`).

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use crate::wire::frame::Frame;
use crate::wire::json::Field;
use crate::wire::members::AllMembers;

/// The member of a request that asks for it.
pub(super) const ASK: &str = "return_progress";
const NAME: &[u8] = b"prompt_progress";
const TOLD: &[u8] = b"\"prompt_progress\"";

/// How much of the prompt is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub percent: u8,
    /// The frame says nothing else.
    pub alone: bool,
}

/// What a frame tells of progress; `None`: it does not.
pub fn progress(frame: &Frame) -> Option<Progress> {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Field<'a>,
        #[serde(borrow, default)]
        prompt_progress: Field<'a>,
        #[serde(borrow, default)]
        choices: Vec<Choice<'a>>,
    }
    #[derive(Deserialize)]
    struct Read<'a> {
        #[serde(borrow, default)]
        total: Field<'a>,
        #[serde(borrow, default)]
        processed: Field<'a>,
    }
    memmem::find(&frame.data, TOLD)?; // a text may hold it too
    let told: Told<'_> = serde_json::from_slice(&frame.data).ok()?;
    let Read { total, processed } = told.prompt_progress.read()?;
    let (total, processed) = (total.whole()?.max(1), processed.whole()?);
    let percent = u8::try_from(u128::from(processed.min(total)) * 100 / u128::from(total)).ok()?;
    let kind = told.kind.string();
    let silent = kind.as_deref().is_none_or(|kind| kind == "response.in_progress");
    Some(Progress { percent, alone: silent && !told.choices.iter().any(Choice::says) })
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Field<'a>,
    #[serde(borrow, default)]
    text: Field<'a>,
}

impl Choice<'_> {
    /// More than whose turn it is?
    fn says(&self) -> bool {
        let AllMembers(delta) = self.delta.read().unwrap_or_default();
        let says = |name: &str, value| name != "role" && !Field::of(value).is_absent();
        self.text.some_text().is_some() || delta.iter().any(|(name, value)| says(name, value))
    }
}

/// The frame without that, if it says something else too: llama.cpp begins an answer with what the prompt's template begins it with.
pub fn without_progress(frame: &Frame) -> Bytes {
    let members = serde_json::from_slice(&frame.data).map(|AllMembers(members)| members).unwrap_or_default();
    let told = members.iter().find(|(name, _)| name.as_bytes() == NAME);
    let cut = told.and_then(|(_, value)| {
        let member = [b",", TOLD, b":", value.get().as_bytes()].concat();
        let at = memmem::find(&frame.raw, &member)?;
        Some([frame.raw.get(..at)?, frame.raw.get(at + member.len()..)?].concat())
    });
    cut.map_or_else(|| frame.raw.clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_and_never_mistaken_for_a_text() {
        let read = |data: &'static str| {
            let data = Bytes::from_static(data.as_bytes());
            progress(&Frame { raw: data.clone(), event: None, data })
        };
        let told = r#"{"choices":[],"prompt_progress":{"total":80,"cache":19,"processed":33,"time_ms":0}}"#;
        let alone = |percent| Some(Progress { percent, alone: true });
        assert_eq!(read(told), alone(41));
        assert_eq!(read(r#"{"prompt_progress":{"total":0,"processed":7}}"#), alone(100));
        assert_eq!(read(r#"{"prompt_progress":{"total":18446744073709551615,"processed":1}}"#), alone(0));
        for (choice, is_alone) in [
            (r#"{"index":1,"delta":{"role":"assistant","content":null}}"#, true),
            (r#"{"text":"","index":1}"#, true),
            (r#"{"text":"a"}"#, false),
            (r#"{"delta":{"content":"<t>"}}"#, false),
            (r#"{"delta":{"role":"assistant","tool_calls":[]}}"#, false),
        ] {
            let data = Bytes::from(told.replace("[]", &format!("[{choice}]")));
            let read = progress(&Frame { raw: data.clone(), event: None, data }).unwrap();
            assert_eq!((read.percent, read.alone), (41, is_alone), "{choice}");
        }
        for (kind, is_alone) in [("response.in_progress", true), ("response.output_text.delta", false)] {
            let data = told.replace(r#""choices":[]"#, &format!("\"type\":\"{kind}\",\"delta\":\"<t>\""));
            let read = progress(&Frame { raw: Bytes::new(), event: None, data: data.into() }).unwrap();
            assert_eq!(read.alone, is_alone, "{kind}");
        }
        let data = Bytes::from(told.replace("[]", r#"[{"delta":{"content":"<t>"}}]"#));
        let raw = Bytes::from([b"data: ", data.as_ref(), b"\n\n"].concat());
        let cut = without_progress(&Frame { raw, event: None, data });
        assert_eq!(cut, "data: {\"choices\":[{\"delta\":{\"content\":\"<t>\"}}]}\n\n");
        for other in [
            r#"{"choices":[{"delta":{"content":"\"prompt_progress\""}}]}"#,
            r#"{"choices":[{"delta":{"prompt_progress":{"total":1,"processed":1}}}]}"#,
            r#"{"prompt_progress":null}"#,
            r#"{"prompt_progress":{"total":-1,"processed":1}}"#,
            "[DONE]",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
