//! Properties of all decoders and encoders: nothing panics, what is written is lawful, and what is read again is what was written.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::wire::event::{Block, Finish};
use crate::wire::json::Text;
use crate::wire::seal::{Seal, Sealed};
use crate::wire::splitter::Splitter;

/// Something that is nearly an event.
const NEARLY: &str = r#"\{"(type|choices|message|error|usage|response|delta|item)": ?(\[\{"(delta|text|index)": ?("[a-z\\"]{0,6}"|\{\}|7|null|\[\{"function":\{"name":"f","arguments":"\{"\}\}\])\}\]|\{\}|null|"x"|"(message_(start|delta|stop)|content_block_(start|delta|stop)|response\.(created|completed|output_item\.(added|done)|output_text\.delta))"|\{"type":"(tool_use|text_delta|function_call|message)"\}|-1),? ?("done":true)?\}?"#;

fn identity() -> Identity {
    Identity { id: "x".into(), model: "m".into(), ..Identity::default() }
}

fn frames_of(dialect: Dialect, bytes: &[u8]) -> Vec<Frame> {
    let mut splitter = Splitter::new(dialect.framing(), 1 << 20);
    splitter.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| splitter.next_frame().unwrap()).collect()
}

proptest! {
    #[test]
    fn no_payload_panics_a_decoder_and_what_is_decoded_can_be_encoded(
        payloads in proptest::collection::vec(prop_oneof![Just(String::from("[DONE]")), ".*", NEARLY], 1..8)
    ) {
        for (from, to) in Dialect::ALL.into_iter().flat_map(|from| Dialect::ALL.map(|to| (from, to))) {
            let mut decoder = Decoder::new(from, "x");
            let Some(mut encoder) = Encoder::new(to, &identity(), Style::default()) else { continue };
            let mut frames = Frames::default();
            for payload in &payloads {
                let data = Bytes::copy_from_slice(payload.as_bytes());
                let frame = Frame { raw: data.clone(), event: None, data };
                let flow = decoder.decode(&frame, &mut |event| {
                    drop(encoder.encode(&event, Timestamp::default(), &mut frames));
                });
                drop(flow);
            }
            encoder.finish(Timestamp::default(), &mut frames);
            let written = frames.joined();
            for frame in frames_of(to, &written) {
                let lawful = frame.data == "[DONE]" || serde_json::from_slice::<serde_json::Value>(&frame.data).is_ok();
                prop_assert!(lawful, "{from:?} to {to:?}: {frame:?}");
            }
        }
    }
}

/// A block of an answer with its text in pieces.
#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<String>),
    Reasoning(Vec<String>, Option<String>),
    Refusal(Vec<String>),
    Redacted(String),
    ToolCall { name: String, arguments: String, cut: usize },
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let texts = || proptest::collection::vec(".{1,12}", 1..4);
    let piece = prop_oneof![
        texts().prop_map(Piece::Text),
        (texts(), proptest::option::of("[a-zA-Z0-9+/=]{1,20}"))
            .prop_map(|(texts, seal)| Piece::Reasoning(texts, seal)),
        texts().prop_map(Piece::Refusal),
        "[a-zA-Z0-9+/=]{1,20}".prop_map(Piece::Redacted),
        ("[a-z_]{1,12}", ".{0,12}", any::<f64>(), 0_usize..40).prop_map(|(name, text, number, cut)| {
            let number = serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, Into::into);
            let arguments = serde_json::json!({ "a": text, "b": [number, true] }).to_string();
            Piece::ToolCall { name, arguments, cut }
        }),
    ];
    proptest::collection::vec(piece, 1..6)
}

/// Does the dialect have a place for such a block?
fn carries(dialect: Dialect, piece: &Piece) -> bool {
    match piece {
        Piece::Text(_) | Piece::ToolCall { .. } | Piece::Reasoning(_, None) => true,
        Piece::Reasoning(_, Some(_)) | Piece::Redacted(_) => dialect != Dialect::OllamaChat,
        Piece::Refusal(_) => matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses),
    }
}

fn write(dialect: Dialect, pieces: &[Piece], usage: Usage) -> (Bytes, Vec<String>) {
    let mut encoder = Encoder::new(dialect, &identity(), Style { usage: true, ..Style::default() }).unwrap();
    let mut frames = Frames::default();
    let mut said = Vec::new();
    let mut pass = |event: Event<'_>| {
        encoder.encode(&event, Timestamp(1), &mut frames).unwrap();
        note(&event, &mut said);
    };
    pass(Event::Start);
    for (index, piece) in (0..).zip(pieces) {
        emit(index, piece, &mut pass);
    }
    pass(Event::Usage(usage));
    let called = pieces.iter().any(|piece| matches!(piece, Piece::ToolCall { .. }));
    pass(Event::Finish(if called { Finish::ToolCalls } else { Finish::Stop }));
    encoder.finish(Timestamp(2), &mut frames);
    (frames.joined(), said)
}

fn emit(index: u32, piece: &Piece, pass: &mut impl FnMut(Event<'_>)) {
    let id = format!("id_{index}");
    let (block, texts, sealed) = match piece {
        Piece::Text(texts) => (Block::Text, texts.clone(), None),
        Piece::Refusal(texts) => (Block::Refusal, texts.clone(), None),
        Piece::Reasoning(texts, sealed) => (Block::Reasoning, texts.clone(), sealed.as_deref()),
        Piece::Redacted(data) => {
            let sealed = Sealed { seal: Seal::Redacted, data: Text::Plain(data) };
            (Block::Redacted(sealed), Vec::new(), None)
        }
        Piece::ToolCall { name, arguments, cut } => {
            let cut = (0..=(*cut).min(arguments.len())).rev().find(|cut| arguments.is_char_boundary(*cut));
            let (first, rest) = arguments.split_at(cut.unwrap());
            let block = Block::ToolCall { id: Text::Plain(&id), name: Text::Plain(name) };
            (block, vec![first.into(), rest.into()], None)
        }
    };
    pass(Event::Open { index, block });
    for text in texts.iter().filter(|text| !text.is_empty()) {
        pass(Event::Delta { index, text: Text::Plain(text) });
    }
    if let Some(data) = sealed {
        pass(Event::Signature { index, sealed: Sealed { seal: Seal::Signature, data: Text::Plain(data) } });
    }
    pass(Event::Close { index });
}

/// What is said, with the pieces of a text joined, and blocks of one kind that follow each other too: not every dialect can tell
/// where one text ends and the next begins.
fn note(event: &Event<'_>, said: &mut Vec<String>) {
    let line = match event {
        Event::Open { block: Block::ToolCall { id, name }, .. } => {
            format!("call {} {}: ", id.plain(), name.plain())
        }
        Event::Open { block: Block::Redacted(sealed), .. } => format!("redacted {}", sealed.data.plain()),
        Event::Open { block, .. } => format!("{block:?}: "),
        Event::Delta { text, .. } => {
            said.last_mut().unwrap().push_str(&text.plain());
            return;
        }
        Event::Signature { sealed, .. } => format!("signed {}", sealed.data.plain()),
        Event::Usage(usage) => format!("{usage:?}"),
        Event::Finish(finish) => format!("{finish:?}"),
        Event::Citation { citation, .. } => format!("cites {}", citation.url.plain()),
        Event::StopSequence(text) => format!("stopped by {}", text.plain()),
        Event::Start | Event::Close { .. } => return,
        Event::Fail(_) | Event::Other { .. } | Event::Aside { .. } => format!("{event:?}"),
    };
    let open = line.ends_with(": ") && !line.starts_with("call ");
    if !(open && said.last().is_some_and(|last| last.starts_with(&line))) {
        said.push(line);
    }
}

/// The arguments of a call as what they mean: Ollama's lines have some characters escaped that others have not.
fn meant(line: &str) -> String {
    let call = line.split_once(": ").filter(|_| line.starts_with("call "));
    let value = call.and_then(|(_, arguments)| serde_json::from_str::<serde_json::Value>(arguments).ok());
    call.zip(value).map_or_else(|| line.to_owned(), |((call, _), value)| format!("{call}: {value}"))
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same_events(
        pieces in pieces(),
        input in 1_u64..100_000,
        cached in 0_u64..100,
        output in 1_u64..100_000,
    ) {
        for dialect in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::OllamaChat] {
            let carried: Vec<Piece> = pieces.iter().filter(|piece| carries(dialect, piece)).cloned().collect();
            let cache_read = if dialect == Dialect::OllamaChat { 0 } else { cached };
            let usage = Usage { input: input + cached, cache_read, output, ..Usage::default() };
            let (bytes, mut expected) = write(dialect, &carried, usage);
            let mut decoder = Decoder::new(dialect, "x");
            let mut said = Vec::new();
            let mut flow = Flow::More;
            for frame in frames_of(dialect, &bytes) {
                flow = decoder.decode(&frame, &mut |event| note(&event, &mut said)).unwrap();
            }
            prop_assert_eq!(flow, Flow::Ended);
            // Usage may be told more than once, and behind the finish: the last counts.
            let told = said.iter().rfind(|line| line.starts_with("Usage")).cloned();
            prop_assert_eq!(told, Some(format!("{usage:?}")));
            for lines in [&mut expected, &mut said] {
                lines.retain(|line| !line.starts_with("Usage"));
                for line in lines.iter_mut() {
                    *line = meant(line);
                }
            }
            prop_assert_eq!(said, expected, "{:?}: {}", dialect, String::from_utf8_lossy(&bytes));
        }
    }
}
