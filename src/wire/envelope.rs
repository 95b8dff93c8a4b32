//! The outside of a request: the few top-level members the gateway acts on, found without understanding the rest, so that a
//! body for a backend of the same dialect is passed on as it came, with only those members replaced.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::wire::distinct::{distinct, text};
use crate::wire::edits::{Edits, span};
use crate::wire::json::{Field, Object, Text};
use crate::wire::members::{AllMembers, members};
use crate::wire::progress::ASK;

/// What is wrong with a request body, and which field is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    pub message: String,
    pub param: Option<&'static str>,
}

impl ParseError {
    pub fn new(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self { message: message.into(), param }
    }
}

/// Which member names the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKey {
    Model,
    /// `model`, or the older `name` of some of Ollama's routes.
    ModelOrName,
}

/// What the gateway reads of every request.
#[derive(Debug)]
pub struct Envelope {
    pub model: String,
    /// Does the client want a stream?
    pub stream: bool,
    /// Did the client ask for usage in its stream (`stream_options.include_usage`)?
    pub usage: bool,
    /// Did it ask to be told how far the server is with the prompt (llama.cpp's `return_progress`)?
    pub progress: Wish,
    /// Does it ask for something that only a whole answer holds?
    pub only_whole: bool,
    model_at: Vec<Range<usize>>,
    stream_at: Option<Range<usize>>,
    options_at: Option<Range<usize>>,
    /// Behind the opening brace: where a member can be added.
    inside: usize,
}

impl Envelope {
    /// Checks that `body` is one JSON object, no deeper than `max_depth`, and reads its outside. `streams_by_default` is what
    /// an absent `stream` means at this route.
    pub fn parse(
        body: &[u8],
        key: ModelKey,
        streams_by_default: bool,
        max_depth: usize,
    ) -> Result<Self, ParseError> {
        check_depth(body, max_depth)?;
        let known: &[&str] = match key {
            ModelKey::Model => &KNOWN,
            ModelKey::ModelOrName => &KNOWN_WITH_NAME,
        };
        let members = distinct(body, known)?;
        let member = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let older = member("name").filter(|_| key == ModelKey::ModelOrName);
        let Naming { model, at: model_at } = Naming::of(body, &[member("model"), older])?;
        let options = member("stream_options");
        let is_set = |name: &str| member(name).is_some_and(|value| !matches!(value.get(), "null" | "false"));
        let stream = match member("stream").map(RawValue::get) {
            None | Some("null") => streams_by_default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(ParseError::new("`stream` must be true or false", Some("stream"))),
        };
        Ok(Self {
            model,
            stream,
            usage: options.is_some_and(asks_usage),
            progress: match member(ASK) {
                None => Wish::Unsaid,
                Some(_) if is_set(ASK) => Wish::Yes,
                Some(_) => Wish::No,
            },
            only_whole: ONLY_WHOLE.iter().any(|name| is_set(name))
                || !stream && member("messages").is_some_and(goes_on),
            model_at,
            stream_at: member("stream").map(|stream| span(body, stream.get())),
            options_at: options.map(|options| span(body, options.get())),
            inside: body.len() - body.trim_ascii_start().len() + 1,
        })
    }

    /// The body for a backend of the same dialect: unchanged but for the model's name, if the backend calls it otherwise, for
    /// what must be asked for besides, and for `edits` of its history.
    pub fn rewrite(&self, body: &Bytes, model: Option<&str>, ask: Ask, mut edits: Edits) -> Bytes {
        if let Some(model) = model {
            let mut name = BytesMut::new();
            Text::Plain(model).write_quoted(&mut name);
            let name = name.freeze();
            for at in &self.model_at {
                edits.replace(at.clone(), name.clone());
            }
        }
        let add = |member: &'static [u8], edits: &mut Edits| {
            edits.replace(self.inside..self.inside, Bytes::from_static(member)); // there is at least `model` behind it
        };
        match (&self.stream_at, ask.stream && !self.stream) {
            (Some(at), true) => edits.replace(at.clone(), Bytes::from_static(b"true")),
            (None, true) => add(b"\"stream\":true,", &mut edits),
            (_, false) => {}
        }
        if ask.progress && self.progress == Wish::Unsaid {
            add(b"\"return_progress\":true,", &mut edits);
        }
        if ask.usage && !self.usage {
            let (range, options) = self.usage_edit(body);
            edits.replace(range, options);
        }
        edits.apply(body)
    }

    fn usage_edit(&self, body: &[u8]) -> (Range<usize>, BytesMut) {
        const ASK: &[u8] = b"\"include_usage\":true";
        let mut out = BytesMut::new();
        let options = self.options_at.clone().and_then(|range| Some((body.get(range.clone())?, range)));
        match options {
            Some((text, range)) => {
                let others: Vec<(Cow<'_, str>, &RawValue)> =
                    serde_json::from_slice(text).map(|AllMembers(all)| all).unwrap_or_default();
                out.put_slice(b"{");
                out.put_slice(ASK);
                for (key, value) in others.iter().filter(|(key, _)| key != "include_usage") {
                    out.put_slice(b",");
                    Text::Plain(key).write_quoted(&mut out);
                    out.put_slice(b":");
                    out.put_slice(value.get().as_bytes());
                }
                out.put_slice(b"}");
                (range, out)
            }
            None => {
                out.put_slice(b"\"stream_options\":{");
                out.put_slice(ASK);
                out.put_slice(b"},"); // there is at least `model` behind it
                (self.inside..self.inside, out)
            }
        }
    }
}

/// Whether a client wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It does not say.
    Unsaid,
    Yes,
    No,
}

/// What a backend is asked for besides what the client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Usage in a stream.
    pub usage: bool,
    /// A stream, though the client wants a whole answer.
    pub stream: bool,
    /// How far it is with the prompt.
    pub progress: bool,
}

/// Members of llama.cpp's requests that only its whole answers answer in full: in a stream it leaves out the last token's
/// probability.
const ONLY_WHOLE: [&str; 4] = ["verbose", "__verbose", "return_tokens", "logprobs"];

/// Is the last message the beginning of the answer? llama.cpp repeats it in whole answers alone.
fn goes_on(messages: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow, default)]
        role: Field<'a>,
    }
    let messages: Vec<Message<'_>> = Field::of(messages).read().unwrap_or_default();
    messages.last().and_then(|last| last.role.string()).as_deref() == Some("assistant")
}

/// The same request, for a stream.
pub fn streaming(body: &[u8]) -> Result<Bytes, ParseError> {
    let mut out = BytesMut::with_capacity(body.len() + 16);
    let mut object = Object::new(&mut out);
    for (key, field) in members(body)? {
        if key != "stream" {
            object.raw(&key, field.raw().unwrap_or("null"));
        }
    }
    object.raw("stream", "true");
    object.end();
    Ok(out.freeze())
}

fn asks_usage(options: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Options<'a> {
        #[serde(borrow, default)]
        include_usage: Field<'a>,
    }
    serde_json::from_str::<Options<'_>>(options.get())
        .is_ok_and(|options| options.include_usage.boolean() == Some(true))
}

/// Counts brackets outside strings. The parser would skip unread members of any depth; backends may not.
fn check_depth(body: &[u8], max: usize) -> Result<(), ParseError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in body {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return Err(ParseError::new(
                        format!("the request is nested deeper than {max} levels"),
                        None,
                    ));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The members that the gateway reads, or that name a model to a backend.
const KNOWN: [&str; 3] = ["model", "stream", "stream_options"];
const KNOWN_WITH_NAME: [&str; 5] = ["model", "name", "stream", "stream_options", "from"];

/// Where the model is named: by each of these values.
struct Naming {
    model: String,
    at: Vec<Range<usize>>,
}

impl Naming {
    /// Backends take the older name only where `model` is empty, but not all need do so: two that differ are refused.
    fn of(body: &[u8], named: &[Option<&RawValue>]) -> Result<Self, ParseError> {
        let mut naming: Option<Self> = None;
        for value in named.iter().flatten() {
            let Some(model) = text(Some(value.get()), "model")? else { continue };
            let at = span(body, value.get());
            match &mut naming {
                None => naming = Some(Self { model, at: vec![at] }),
                Some(naming) if naming.model == model => naming.at.push(at),
                Some(_) => {
                    let words = "`model` and `name` name two models";
                    return Err(ParseError::new(words, Some("model")));
                }
            }
        }
        naming.ok_or_else(|| ParseError::new("model is required", Some("model")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Envelope, ParseError> {
        Envelope::parse(body.as_bytes(), ModelKey::Model, false, 128)
    }

    #[test]
    fn a_body_is_passed_on_byte_for_byte_but_for_what_must_change() {
        let body = Bytes::from_static(b" {\"b\" : 1.0, \"model\":\"a\\u0062\", \"x\":[1e400], \"y\":2}");
        let envelope = Envelope::parse(&body, ModelKey::Model, false, 128).unwrap();
        assert_eq!(envelope.model, "ab");
        assert_eq!(envelope.rewrite(&body, None, Ask::default(), Edits::default()), body);
        let usage = Ask { usage: true, ..Ask::default() };
        let rewritten = envelope.rewrite(&body, Some("q\"x"), usage, Edits::default());
        assert_eq!(
            rewritten,
            " {\"stream_options\":{\"include_usage\":true},\"b\" : 1.0, \"model\":\"q\\\"x\", \"x\":[1e400], \"y\":2}"
        );
    }

    #[test]
    fn usage_is_asked_for_beside_other_stream_options() {
        let body = Bytes::from_static(br#"{"model":"m","stream_options":{"include_usage":false,"x":[1]}}"#);
        let envelope = Envelope::parse(&body, ModelKey::Model, false, 128).unwrap();
        assert!(!envelope.usage);
        assert_eq!(
            envelope.rewrite(&body, None, Ask { usage: true, ..Ask::default() }, Edits::default()),
            r#"{"model":"m","stream_options":{"include_usage":true,"x":[1]}}"#
        );
    }

    #[test]
    fn a_stream_and_progress_are_asked_for_where_the_client_does_not_say() {
        let ask = Ask { usage: true, stream: true, progress: true };
        for (body, wanted) in [
            (
                r#"{"model":"m","stream" : false}"#,
                r#"{"return_progress":true,"stream_options":{"include_usage":true},"model":"m","stream" : true}"#,
            ),
            (
                r#"{ "stream":null,"return_progress":false,"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true}, "stream":true,"return_progress":false,"model":"m"}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage":true}}"#,
                r#"{"stream":true,"return_progress":true,"model":"m","stream_options":{"include_usage":true}}"#,
            ),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            let envelope = Envelope::parse(&body, ModelKey::Model, false, 128).unwrap();
            assert_eq!(envelope.rewrite(&body, None, ask, Edits::default()), wanted);
        }
        let asks = parse(r#"{"model":"m","return_progress":true,"verbose":true}"#).unwrap();
        assert!(asks.progress == Wish::Yes && asks.only_whole);
        for whole in [r#""logprobs":true"#, r#""messages":[{"role":"user"},{"role":"assistant"}]"#] {
            assert!(parse(&format!("{{\"model\":\"m\",{whole}}}")).unwrap().only_whole, "{whole}");
        }
        let asks = parse(r#"{"model":"m","return_progress":null,"verbose":false}"#).unwrap();
        assert!(asks.progress == Wish::No && !asks.only_whole);
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        for (body, words, param) in [
            ("{", "the request is not a JSON object", None),
            ("[]", "the request is not a JSON object", None),
            ("{}", "model is required", Some("model")),
            (r#"{"model":""}"#, "model is required", Some("model")),
            (r#"{"model":7}"#, "`model` must be a string", Some("model")),
            (r#"{"model":"m","stream":1}"#, "`stream` must be true or false", Some("stream")),
            (
                r#"{"model":"m","model":"n"}"#,
                "the request is not a JSON object: `model` stands there twice",
                None,
            ),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.message.starts_with(words), "{body}: {error}");
            assert_eq!(error.param, param, "{body}");
        }
        let deep = format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
        assert!(parse(&deep).unwrap_err().message.contains("nested deeper than 128"));
    }
}
