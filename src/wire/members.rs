//! The members of a request's JSON object, read with the name of the field in every error.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};

/// The members of a request body that are not `null`.
pub(super) fn members(body: &[u8]) -> Result<Vec<(Cow<'_, str>, Field<'_>)>, ParseError> {
    let AllMembers(all) = serde_json::from_slice(body)
        .map_err(|error| ParseError::new(format!("the request is not a JSON object: {error}"), None))?;
    Ok(present(all))
}

/// All members of a JSON object as they stand there; none of what is no object.
pub(super) fn all_members(object: &str) -> Vec<(Cow<'_, str>, &str)> {
    let all = serde_json::from_str(object).map(|AllMembers(all)| all).unwrap_or_default();
    all.into_iter().map(|(key, value)| (key, value.get())).collect()
}

fn present<'a>(all: Vec<(Cow<'a, str>, &'a RawValue)>) -> Vec<(Cow<'a, str>, Field<'a>)> {
    let fields = all.into_iter().map(|(key, value)| (key, Field::of(value)));
    fields.filter(|(_, field)| !field.is_absent()).collect()
}

/// The members of a field that must be an object, without those that are `null`.
pub(super) fn inner_members<'a>(
    field: Field<'a>,
    name: &'static str,
) -> Result<Vec<(Cow<'a, str>, Field<'a>)>, ParseError> {
    let AllMembers(all) =
        field.read().ok_or_else(|| ParseError::new(format!("`{name}` must be an object"), Some(name)))?;
    Ok(present(all))
}

/// The members of an object that have these names, in the order of the names, and `null` for those that are not there. Each
/// other one that says something is handed to `unknown` by its name. `None` if the field is no object.
pub(super) fn named<'a, const N: usize>(
    object: Field<'a>,
    names: [&str; N],
    mut unknown: impl FnMut(&str),
) -> Option<[Field<'a>; N]> {
    let AllMembers(all) = object.read()?;
    let mut found = [Field::default(); N];
    for (key, value) in present(all) {
        match names.iter().position(|name| *name == key).and_then(|at| found.get_mut(at)) {
            Some(field) => *field = value,
            None => unknown(&key),
        }
    }
    Some(found)
}

/// The `usage` of a whole answer.
pub(super) fn usage_member(body: &[u8]) -> Field<'_> {
    #[derive(Default, serde::Deserialize)]
    struct Whole<'a> {
        #[serde(borrow, default)]
        usage: Field<'a>,
    }
    serde_json::from_slice::<Whole<'_>>(body).unwrap_or_default().usage
}

/// A field that must be a list.
pub(super) fn list<'a, T: Deserialize<'a>>(
    field: Field<'a>,
    name: &'static str,
) -> Result<Vec<T>, ParseError> {
    serde_json::from_str(field.raw().unwrap_or("[]"))
        .map_err(|error| ParseError::new(format!("`{name}` is not what it should be: {error}"), Some(name)))
}

/// A field that must be a number.
pub(super) fn number<'a>(field: Field<'a>, name: &'static str) -> Result<Option<&'a str>, ParseError> {
    let number = field.number();
    number.map(Some).ok_or_else(|| ParseError::new(format!("`{name}` must be a number"), Some(name)))
}

/// A field that must be a list of strings.
pub(super) fn strings<'a>(field: Field<'a>, name: &'static str) -> Result<Vec<Text<'a>>, ParseError> {
    let wrong = || ParseError::new(format!("`{name}` must hold strings"), Some(name));
    list::<Field<'a>>(field, name)?.into_iter().map(|text| text.text().ok_or_else(wrong)).collect()
}

/// All members of an object, in order, repeated ones included.
#[derive(Default)]
pub(super) struct AllMembers<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for AllMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut all = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    all.push((key, map.next_value()?));
                }
                Ok(all)
            }
        }
        from.deserialize_map(Reader).map(AllMembers)
    }
}

/// A key, or another short word, borrowed unless it has escapes.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Deref for Key<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
