//! JSON that is moved rather than understood: text that stays escaped as it came, fields of any type that never fail a parse,
//! and writing straight into a buffer.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A piece of text on its way from one JSON document to another. It is not unescaped on the way: that costs nothing, and half
/// a surrogate pair (the other half may be in the next delta) stays what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// The inside of a JSON string, still escaped.
    Escaped(&'a str),
    /// Text as it reads.
    Plain(&'a str),
}

impl<'a> Text<'a> {
    pub fn is_empty(self) -> bool {
        match self {
            Self::Escaped(text) | Self::Plain(text) => text.is_empty(),
        }
    }

    /// How many characters it has as it reads; the two escapes of a surrogate pair are one.
    pub fn characters(self) -> u64 {
        let (Self::Escaped(text) | Self::Plain(text)) = self;
        let mut chars = text.chars();
        let mut count = 0;
        while let Some(letter) = chars.next() {
            let escaped = matches!(self, Self::Escaped(_)) && letter == '\\';
            let second_half = escaped && chars.next() == Some('u') && {
                let digits = chars.as_str();
                chars.nth(3);
                digits.starts_with(['d', 'D'])
                    && digits.chars().nth(1).is_some_and(|digit| matches!(digit, 'c'..='f' | 'C'..='F'))
            };
            count += u64::from(!second_half);
        }
        count
    }

    /// Writes the inside of a JSON string.
    pub fn write(self, out: &mut BytesMut) {
        match self {
            Self::Escaped(text) => out.put_slice(text.as_bytes()),
            Self::Plain(text) => escape(text, out),
        }
    }

    /// Writes a JSON string, quotes included.
    pub fn write_quoted(self, out: &mut BytesMut) {
        out.put_u8(b'"');
        self.write(out);
        out.put_u8(b'"');
    }

    /// Adds the inside of a JSON string to `out`, still escaped.
    pub fn write_into(self, out: &mut String) {
        match self {
            Self::Escaped(text) => out.push_str(text),
            Self::Plain(text) => {
                let mut escaped = BytesMut::new();
                escape(text, &mut escaped);
                out.push_str(std::str::from_utf8(&escaped).unwrap_or_default());
            }
        }
    }

    /// The text as it reads. Half a surrogate pair becomes U+FFFD.
    pub fn plain(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Escaped(text) if !text.contains('\\') => Cow::Borrowed(text),
            Self::Escaped(text) => Cow::Owned(unescape(text)),
        }
    }
}

/// A field of any JSON type, kept as it was written. Absent and `null` are the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(from).map(Self::of)
    }
}

impl<'a> Field<'a> {
    /// A value that was read already.
    pub fn of(raw: &'a RawValue) -> Self {
        Self((raw.get() != "null").then_some(raw))
    }

    /// The JSON text, unless the field is absent or `null`.
    pub fn raw(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    pub fn is_absent(self) -> bool {
        self.0.is_none()
    }

    /// The inside of a string, still escaped.
    pub fn text(self) -> Option<Text<'a>> {
        let inside = self.raw()?.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::Escaped(inside))
    }

    /// A string that is not empty.
    pub fn some_text(self) -> Option<Text<'a>> {
        self.text().filter(|text| !text.is_empty())
    }

    /// A string as it reads.
    pub fn string(self) -> Option<Cow<'a, str>> {
        self.text().map(Text::plain)
    }

    /// A whole number; a fraction of zero (`3.0`) counts.
    pub fn whole(self) -> Option<u64> {
        let raw = self.raw()?;
        raw.strip_suffix(".0").unwrap_or(raw).parse().ok()
    }

    pub fn boolean(self) -> Option<bool> {
        self.raw()?.parse().ok()
    }

    /// A number as it was written.
    pub fn number(self) -> Option<&'a str> {
        self.raw().filter(|raw| raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    }

    /// An object, as it was written.
    pub fn object(self) -> Option<&'a str> {
        self.raw().filter(|raw| raw.starts_with('{'))
    }

    /// The field as a type; `None` if it is absent or of another shape.
    pub fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.raw()?).ok()
    }
}

/// The arguments of a tool call as an object; none at all are an empty one.
pub fn json_object(arguments: &str) -> Option<&str> {
    let text = arguments.trim();
    if text.is_empty() {
        return Some("{}");
    }
    (text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()).then_some(text)
}

/// Writes `text` as the inside of a JSON string.
pub fn escape(text: &str, out: &mut BytesMut) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (before, after) = rest.split_at(at);
        out.put_slice(before.as_bytes());
        let mut chars = after.chars();
        match chars.next() {
            Some('"') => out.put_slice(b"\\\""),
            Some('\\') => out.put_slice(b"\\\\"),
            Some('\n') => out.put_slice(b"\\n"),
            Some('\r') => out.put_slice(b"\\r"),
            Some('\t') => out.put_slice(b"\\t"),
            Some(control) => out.put_slice(format!("\\u{:04x}", u32::from(control)).as_bytes()),
            None => {}
        }
        rest = chars.as_str();
    }
    out.put_slice(rest.as_bytes());
}

/// Writes a whole number.
pub fn write_number(number: u64, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// An object being written, member by member.
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut BytesMut,
    first: bool,
}

impl<'o> Object<'o> {
    pub fn new(out: &'o mut BytesMut) -> Self {
        out.put_u8(b'{');
        Self { out, first: true }
    }

    /// Goes on with an object that has members already; its end is written by whoever began it.
    pub fn inside(out: &'o mut BytesMut) -> Self {
        Self { out, first: false }
    }

    /// Writes a key; its value must follow in the buffer.
    pub fn key(&mut self, key: &str) -> &mut BytesMut {
        if !std::mem::take(&mut self.first) {
            self.out.put_u8(b',');
        }
        Text::Plain(key).write_quoted(self.out);
        self.out.put_u8(b':');
        self.out
    }

    pub fn text(&mut self, key: &str, value: Text<'_>) -> &mut Self {
        value.write_quoted(self.key(key));
        self
    }

    /// A member with a value that is JSON already. It is put on one line: an end of line would end an event or a line of NDJSON,
    /// and between the tokens of JSON it means no more than a space (in its strings it cannot stand).
    pub fn raw(&mut self, key: &str, value: &str) -> &mut Self {
        let out = self.key(key);
        let mut rest = value.as_bytes();
        while let Some((before, after)) =
            memchr::memchr2(b'\n', b'\r', rest).and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)))
        {
            out.put_slice(before);
            out.put_u8(b' ');
            rest = after;
        }
        out.put_slice(rest);
        self
    }

    /// Members that are JSON already, with the commas between them.
    pub fn members(&mut self, members: &str) -> &mut Self {
        if !std::mem::take(&mut self.first) {
            self.out.put_u8(b',');
        }
        self.out.put_slice(members.as_bytes());
        self
    }

    /// The same, if there is a value.
    pub fn maybe(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.raw(key, value);
        }
        self
    }

    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        write_number(value, self.key(key));
        self
    }

    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A member that is an object itself.
    pub fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        let mut inner = Object::new(self.key(key));
        write(&mut inner);
        inner.end();
        self
    }

    pub fn end(self) {
        self.out.put_u8(b'}');
    }
}

/// Writes texts as one JSON string, with `between` (escaped) between them.
#[expect(single_use_lifetimes, reason = "it cannot be left out in an argument's trait")]
pub fn write_joined<'t>(texts: impl IntoIterator<Item = Text<'t>>, between: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    write_inside(texts, between, out);
    out.put_u8(b'"');
}

/// The same without the quotes.
#[expect(single_use_lifetimes, reason = "it cannot be left out in an argument's trait")]
pub fn write_inside<'t>(texts: impl IntoIterator<Item = Text<'t>>, between: &str, out: &mut BytesMut) {
    for (number, text) in texts.into_iter().enumerate() {
        if number > 0 {
            out.put_slice(between.as_bytes());
        }
        text.write(out);
    }
}

/// Writes an array.
pub fn write_list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut BytesMut,
    mut write: impl FnMut(T, &mut BytesMut),
) {
    out.put_u8(b'[');
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.put_u8(b',');
        }
        write(item, out);
    }
    out.put_u8(b']');
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (decoded, behind) = unescape_unicode(chars.as_str());
                out.push(decoded);
                rest = behind;
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Reads the four digits behind `\u`, and a second escape if both make a surrogate pair.
fn unescape_unicode(text: &str) -> (char, &str) {
    let (high, rest) = four_digits(text);
    if let Some(one) = char::from_u32(high) {
        return (one, rest);
    }
    if (0xD800..0xDC00).contains(&high)
        && let Some(second) = rest.strip_prefix("\\u")
    {
        let (low, behind) = four_digits(second);
        if (0xDC00..0xE000).contains(&low)
            && let Some(joined) = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        {
            return (joined, behind);
        }
    }
    (char::REPLACEMENT_CHARACTER, rest)
}

fn four_digits(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((digits, rest)) => (u32::from_str_radix(digits, 16).unwrap_or(0xFFFD), rest),
        None => (0xFFFD, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: Text<'_>) -> String {
        let mut out = BytesMut::new();
        text.write_quoted(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn half_a_surrogate_pair_survives_and_is_joined_with_its_other_half() {
        let (first, second) = (Text::Escaped("a\\ud83d"), Text::Escaped("\\ude00b"));
        assert_eq!(written(first), "\"a\\ud83d\"");
        let mut joined = BytesMut::new();
        first.write(&mut joined);
        second.write(&mut joined);
        let joined = String::from_utf8(joined.to_vec()).unwrap();
        assert_eq!(Text::Escaped(&joined).plain(), "a😀b");
        assert_eq!(first.plain(), "a\u{FFFD}");
    }

    #[test]
    fn a_field_of_an_unexpected_type_is_no_error() {
        #[derive(serde::Deserialize)]
        struct Thing<'a> {
            #[serde(borrow, default)]
            n: Field<'a>,
            #[serde(borrow, default)]
            absent: Field<'a>,
        }
        let thing: Thing<'_> = serde_json::from_str(r#"{"n": {"deep": [1, "x"]}}"#).unwrap();
        assert_eq!(thing.n.whole(), None);
        assert!(thing.n.object().is_some() && thing.absent.is_absent());
        let thing: Thing<'_> = serde_json::from_str(r#"{"n": null}"#).unwrap();
        assert!(thing.n.is_absent());
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_it_was_written(text: String) {
            let json = written(Text::Plain(&text));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&read, &text);
            let inside = json.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            let count = text.chars().count() as u64;
            prop_assert_eq!((Text::Escaped(inside).characters(), Text::Plain(&text).characters()), (count, count));
            prop_assert_eq!(Text::Escaped(inside).plain(), text);
        }
    }
}
