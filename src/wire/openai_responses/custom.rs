//! Custom tools, which take free text: to models of other dialects they are functions with one string, `input`.

use serde::Deserialize;

use crate::wire::json::{Field, Text};

/// The parameters of the function that stands for a custom tool.
pub(super) const SCHEMA: &str = "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"],\"additionalProperties\":false}";

/// The free text of a call, as the inside of a JSON string; arguments of another shape are taken as the text themselves.
pub(super) fn input_of(arguments: &str) -> String {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow, default)]
        input: Field<'a>,
    }
    let mut out = String::new();
    let plain = Text::Escaped(arguments).plain();
    let input =
        serde_json::from_str::<Arguments<'_>>(&plain).ok().and_then(|wire| match wire.input.text()? {
            Text::Escaped(text) | Text::Plain(text) => Some(text.to_owned()),
        });
    match input {
        Some(input) => input,
        None => {
            Text::Escaped(arguments).write_into(&mut out);
            out
        }
    }
}
