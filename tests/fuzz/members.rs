//! How others read a JSON object in which a member stands twice, or in other cases.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of an object, in order, repeated ones included.
#[derive(Debug)]
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(Reader)
    }
}

impl Members {
    /// `None`: it is no object.
    pub fn of(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// As Python, JavaScript and `serde_json` read it: a name is what it is, and the last one counts.
    pub fn exact(&self, name: &str) -> Option<Value> {
        let last = self.0.iter().rev().find(|(key, _)| key == name);
        last.map(|(_, value)| read(value)).filter(|value| !value.is_null())
    }

    /// As Go's `encoding/json` reads it: names in any case by Unicode's simple folding, the last that is not `null` counts.
    pub fn folded(&self, name: &str) -> Option<Value> {
        let named = self.0.iter().rev().filter(|(key, _)| key.chars().map(fold).eq(name.chars()));
        named.map(|(_, value)| read(value)).find(|value| !value.is_null())
    }

    /// The text of all members but these.
    pub fn without(&self, names: &[&str]) -> Vec<(&str, &str)> {
        let others = self.0.iter().filter(|(key, _)| !names.contains(&key.as_str()));
        others.map(|(key, value)| (key.as_str(), value.get())).collect()
    }
}

/// A number that no `Value` can hold stands for its text.
fn read(value: &RawValue) -> Value {
    serde_json::from_str(value.get()).unwrap_or_else(|_| Value::String(value.get().into()))
}

/// The two letters beyond ASCII that are letters of ASCII in another case.
fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    }
}
