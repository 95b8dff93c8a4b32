//! Anything is put around, into and in place of a signed address: it opens what it was made for, and nothing else, and whoever else
//! reads it reads the same.

#![no_main]

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use streamgate::edge::fuzzing::{allows, signed};
use streamgate::edge::{Grant, Resource, Signer};

/// What addresses were made for, and by whom.
const MADE: [(Resource<'_>, Grant, Option<&str>); 3] = [
    (Resource::Stream("abcdefghijklmnopqrstuvwxy2"), Grant::Read, None),
    (Resource::Stream("zzzzzzzzzzzzzzzzzzzzzzzzzz"), Grant::Cancel, Some("alice")),
    (Resource::Channel { id: "yyyyyyyyyyyyyyyyyyyyyyyyyy", name: "news" }, Grant::Read, Some("alice")),
];

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(b"secret", Duration::from_secs(86_400)));
static QUERIES: LazyLock<[String; 3]> =
    LazyLock::new(|| MADE.map(|(resource, grant, owner)| signed(&SIGNER, resource, grant, owner)));

fuzz_target!(|input: &[u8]| {
    let text = filled(&String::from_utf8_lossy(input));
    let (query, other) = text.split_once('\u{1f}').unwrap_or((&text, ""));
    let said = pairs(query);
    let neighbours =
        [Resource::Stream(other), Resource::Channel { id: "yyyyyyyyyyyyyyyyyyyyyyyyyy", name: other }];
    for resource in MADE.map(|(resource, ..)| resource).into_iter().chain(neighbours) {
        for grant in [Grant::Read, Grant::Cancel] {
            for owner in [None, Some("alice"), Some(other)] {
                if !allows(&SIGNER, query, resource, grant, owner) {
                    continue;
                }
                let made = MADE.iter().position(|made| *made == (resource, grant, owner));
                let made = made.unwrap_or_else(|| panic!("none was made to {grant:?} {resource:?}: {query}"));
                for (name, value) in pairs(&QUERIES[made]) {
                    let values: HashSet<&String> =
                        said.iter().filter(|(own, _)| *own == name).map(|(_, value)| value).collect();
                    assert!(
                        values.len() == 1 && values.contains(&value),
                        "`{name}` is read in two ways: {query}"
                    );
                }
            }
        }
    }
});

/// The letters below the printable ones stand for a query that was made, for one of its pairs, or for a value in it.
fn filled(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        let code = u32::from(letter) as usize;
        match code {
            0..=2 => out.push_str(&QUERIES[code]),
            3..=14 => out.extend(QUERIES[(code - 3) / 4].split('&').nth((code - 3) % 4)),
            15..=26 => out.extend(QUERIES[(code - 15) / 4].split(['&', '=']).nth((code - 15) % 4 * 2 + 1)),
            _ => out.push(letter),
        }
    }
    out
}

/// The pairs, decoded. A number may have zeros before it, and hexadecimal digits any case.
fn pairs(query: &str) -> Vec<(String, String)> {
    let read = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        let value = match name.as_ref() {
            "expires" => value.trim_start_matches(['0', '+', ' ']).to_owned(),
            "signature" => value.to_ascii_lowercase(),
            _ => value.into_owned(),
        };
        (name.into_owned(), value)
    };
    form_urlencoded::parse(query.as_bytes()).map(read).collect()
}
