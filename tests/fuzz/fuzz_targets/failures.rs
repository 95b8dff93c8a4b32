//! A backend fails with any words, its key among them in any spelling that JSON has: no client is told the key.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use memchr::memmem;
use serde_json::Value;
use streamgate::config::{Config, Overrides};
use streamgate::telemetry::{Board, Metrics};
use streamgate::upstream::{Backend, Standings, build_client};
use streamgate::wire::{Dialect, Failure, Frame, Retreat, Text, is_seen, read_failure};
use streamgate_fuzz::DIALECTS;
use streamgate_fuzz::members::Members;

/// Read by the configuration, as every key is.
const KEY: &str = "sk/proj+Fuzz_0123456789";
/// Stands for the key in what the backend says.
const PLACE: &[u8] = b"KEY";

static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let file = std::env::temp_dir().join(format!("streamgate-fuzz-key-{}", std::process::id()));
    std::fs::write(&file, KEY).expect("a file can be written");
    let text = format!(
        "[[backend]]\nname = \"b\"\napi = \"openai\"\nurl = \"http://127.0.0.1:1\"\napi_key = {{ file = {file:?} }}\n"
    );
    let config = Config::parse(&text, Overrides::default()).expect("a lawful configuration");
    std::fs::remove_file(&file).expect("it was written");
    let client = build_client(&config.backends[0], config.stream.connect_timeout, 1).expect("a client");
    let standings = Standings::new(&config.pool, &Metrics::new(), &Board::default());
    Backend::new(&config.backends[0], client, standings.of("b"))
});

fuzz_target!(|said: &[u8]| {
    if memmem::find(said, PLACE).is_none() {
        return told(&Bytes::copy_from_slice(said));
    }
    for key in SPELLINGS.iter() {
        told(&filled(said, key).into());
    }
});

fn told(body: &Bytes) {
    let failure = BACKEND.scrub_failure(read_failure(&BACKEND.scrub(body)));
    for dialect in DIALECTS {
        check(&failure.body(dialect, Some("id")));
        assert!(!holds(&failure.frame(dialect)));
        let _ = is_seen(dialect, &Frame { raw: body.clone(), event: None, data: body.clone() });
        retreat(dialect, body, &failure);
    }
}

/// The key as servers write it into JSON.
static SPELLINGS: LazyLock<[String; 5]> = LazyLock::new(|| {
    let hex = |letter: char| format!("\\u{:04X}", u32::from(letter));
    let spelled = |escaped: fn(char) -> bool, how: &dyn Fn(char) -> String| -> String {
        KEY.chars().map(|letter| if escaped(letter) { how(letter) } else { letter.into() }).collect()
    };
    [
        KEY.into(),
        spelled(|letter| letter == '/', &|letter| format!("\\{letter}")),
        spelled(|letter| !letter.is_ascii_alphanumeric(), &hex),
        spelled(|letter| letter == '+', &|letter| hex(letter).to_ascii_lowercase()),
        spelled(|_| true, &hex),
    ]
});

fn filled(said: &[u8], key: &str) -> Vec<u8> {
    let (mut out, mut from) = (Vec::with_capacity(said.len() + key.len()), 0);
    for at in memmem::find_iter(said, PLACE) {
        out.extend_from_slice(&said[from..at]);
        out.extend_from_slice(key.as_bytes());
        from = at + PLACE.len();
    }
    out.extend_from_slice(&said[from..]);
    out
}

/// Nothing that is told holds the key: not its strings, nor the JSON that stands in one of them.
fn check(told: &[u8]) {
    fn walk(value: &Value) {
        match value {
            Value::String(text) => {
                assert!(!holds(text.as_bytes()), "{text}");
                assert!(!holds(Text::Escaped(text).plain().as_bytes()), "{text}");
            }
            Value::Array(list) => list.iter().for_each(walk),
            Value::Object(members) => members.values().for_each(walk),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    walk(&serde_json::from_slice(told).expect("what is told is JSON"));
}

fn holds(told: &[u8]) -> bool {
    memmem::find(told, KEY.as_bytes()).is_some()
}

/// Members that a backend may blame, and those by which they are replaced.
const BLAMED: [&str; 19] = [
    "think",
    "reasoning_effort",
    "reasoning",
    "include",
    "thinking",
    "output_config",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
    "repetition_penalty",
];

/// What a backend blames is taken out of a request or put in other words, and nothing else; and that comes to an end.
fn retreat(dialect: Dialect, body: &[u8], failure: &Failure) {
    let words = format!("{} does not support thinking: reasoning, reasoning_effort, stream", failure.message);
    let blamed = Failure { message: words, ..failure.clone() };
    let before = Members::of(body);
    let left = |members: &Members| -> Vec<_> {
        let all = members.without(&BLAMED).into_iter();
        all.map(|(key, value)| (key.to_owned(), value.replace(['\r', '\n'], " "))).collect()
    };
    let mut retreat = Retreat::new(dialect, true);
    let (mut asked, mut times) = (Bytes::copy_from_slice(body), 0);
    while let Some(simpler) = retreat.simpler(&asked, &blamed) {
        let after = Members::of(&simpler.body).expect("an object");
        assert_eq!(left(before.as_ref().expect("an object")), left(&after));
        asked = simpler.body;
        times += 1;
        assert!(times < 10, "{blamed:?} is blamed for ever");
    }
}
