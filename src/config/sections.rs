//! Reads the sections of a file one by one, so that a mistake in one does not hide those in the others.

use std::ops::Range;

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::config::Problem;

/// The sections that have not been read yet, and what was wrong with those that have.
pub(super) struct Sections<'t> {
    text: &'t str,
    root: DeTable<'t>,
    lines: Lines,
    problems: Vec<Problem>,
}

/// Where each section stands, and each key in it; in order for those that may repeat.
#[derive(Default)]
pub(super) struct Lines(Vec<(&'static str, Vec<Places>)>);

/// The line of a section, and those of its keys.
struct Places {
    line: usize,
    keys: Vec<(String, usize)>,
}

/// What reading found.
pub(super) struct Found {
    pub(super) lines: Lines,
    pub(super) problems: Vec<Problem>,
}

impl Lines {
    /// The line of a key in the section `name`, the `at`-th of them; that of the section if the key is not written there,
    /// and 0 if neither is.
    pub(super) fn of(&self, name: &str, at: usize, key: &str) -> usize {
        let section = self.0.iter().find(|(section, _)| *section == name);
        let Some(places) = section.and_then(|(_, places)| places.get(at)) else {
            return 0;
        };
        places.keys.iter().find(|(known, _)| known == key).map_or(places.line, |(_, line)| *line)
    }
}

const SECTIONS: [&str; 9] =
    ["server", "admin", "log", "stream", "journal", "pool", "key", "backend", "route"];

impl<'t> Sections<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let root = DeTable::parse(text).map_err(|error| vec![problem(text, &error, None)])?.into_inner();
        Ok(Self { text, root, lines: Lines::default(), problems: Vec::new() })
    }

    /// A section that stands once; its default if it is absent.
    pub(super) fn one<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        let Some(value) = self.root.remove(name) else {
            return T::default();
        };
        self.note(name, std::slice::from_ref(&value));
        self.read(name, value).unwrap_or_default()
    }

    /// A section that may repeat, `[[name]]`.
    pub(super) fn many<T: DeserializeOwned>(&mut self, name: &'static str) -> Vec<T> {
        let Some(value) = self.root.remove(name) else {
            return Vec::new();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            let message = format!("`{name}` is a list: write it as [[{name}]]");
            self.problems.push(Problem { line: line(self.text, &span), message, hint: None });
            return Vec::new();
        };
        let items: Vec<_> = items.into_iter().collect();
        self.note(name, &items);
        items.into_iter().filter_map(|item| self.read(name, item)).collect()
    }

    /// What is left is unknown.
    pub(super) fn finish(mut self) -> Found {
        for key in self.root.keys() {
            let name = key.get_ref();
            self.problems.push(Problem {
                line: line(self.text, &key.span()),
                message: format!("unknown section `{name}`"),
                hint: Some(nearest(name, &SECTIONS.map(String::from))),
            });
        }
        Found { lines: self.lines, problems: self.problems }
    }

    fn note(&mut self, name: &'static str, items: &[Spanned<DeValue<'_>>]) {
        let places = |item: &Spanned<DeValue<'_>>| {
            let table = item.get_ref().as_table().into_iter().flatten();
            let keys =
                table.map(|(key, _)| (key.get_ref().to_string(), line(self.text, &key.span()))).collect();
            Places { line: line(self.text, &item.span()), keys }
        };
        let places = items.iter().map(places).collect();
        self.lines.0.push((name, places));
    }

    /// Reads one section. A key that cannot be read is noted and taken out, and the rest is tried again.
    fn read<T: DeserializeOwned>(&mut self, name: &str, mut value: Spanned<DeValue<'t>>) -> Option<T> {
        let mut taken: Vec<String> = Vec::new();
        loop {
            let error = match T::deserialize(value.clone().into_deserializer()) {
                Ok(section) => return Some(section),
                Err(error) => error,
            };
            // What was taken out is not missing.
            let missing = error.message().trim().strip_prefix("missing field ");
            if missing.is_some_and(|field| taken.contains(&field.replace('`', ""))) {
                return None;
            }
            self.problems.push(problem(self.text, &error, Some((name, &value.span()))));
            let at = error.span()?;
            let DeValue::Table(table) = value.get_mut() else {
                return None;
            };
            let covers = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
            let wrong = table.iter().find(|(key, value)| covers(key.span()) || covers(value.span()));
            let key = wrong.map(|(key, _)| key.clone())?;
            taken.push(key.get_ref().to_string());
            table.remove(&key);
        }
    }
}

/// Is there nothing but comments in this text?
pub(super) fn is_empty(text: &str) -> bool {
    DeTable::parse(text).is_ok_and(|root| root.get_ref().is_empty())
}

/// An error of the parser in our words.
fn problem(text: &str, error: &Error, section: Option<(&str, &Range<usize>)>) -> Problem {
    let message = error.message();
    let section_line = section.map_or(0, |(_, span)| line(text, span));
    let line = error.span().map_or(section_line, |span| line(text, &span));
    match (unknown_key(message), section) {
        (Some((key, known)), Some((name, _))) => Problem {
            line,
            message: format!("unknown key `{key}` in [{name}]"),
            hint: Some(nearest(&key, &known)),
        },
        _ => Problem { line, message: message.trim_end().replace('\n', ", "), hint: written(message) },
    }
}

/// How a value is written that serde only names.
fn written(message: &str) -> Option<String> {
    message
        .contains("expected a duration")
        .then(|| "a time has a unit: \"10s\", \"5m\", \"200ms\"".to_owned())
}

/// Takes serde's sentence apart: "unknown field `a`, expected one of `b`, `c`".
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).map(String::from);
    Some((quoted.next()?, quoted.collect()))
}

fn nearest(key: &str, known: &[String]) -> String {
    let near = known.iter().max_by(|a, b| {
        let likeness = |known: &str| strsim::jaro_winkler(key, known);
        likeness(a).total_cmp(&likeness(b))
    });
    match near.filter(|near| strsim::jaro_winkler(key, near) > 0.75) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are `{}`", known.join("`, `")),
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// The keys of every section, as their types know them.
#[cfg(test)]
pub(super) fn known_keys() -> Vec<(&'static str, Vec<String>)> {
    fn keys<T: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let error = toml::from_str::<T>("no_such_key = 1").unwrap_err();
        unknown_key(error.message()).expect("the section denies unknown keys").1
    }
    vec![
        ("server", keys::<crate::server::Config>()),
        ("admin", keys::<crate::config::Admin>()),
        ("log", keys::<crate::telemetry::Config>()),
        ("stream", keys::<crate::api::StreamConfig>()),
        ("journal", keys::<crate::journal::Config>()),
        ("pool", keys::<crate::upstream::PoolConfig>()),
        ("[key]", keys::<crate::edge::KeyConfig>()),
        ("[backend]", keys::<crate::upstream::Config>()),
        ("[route]", keys::<crate::api::RouteConfig>()),
    ]
}
