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

/// The line at which each section stands: 1 for a single one, in order for those that may repeat.
#[derive(Default)]
pub(super) struct Lines(Vec<(&'static str, Vec<usize>)>);

/// What reading found.
pub(super) struct Found {
    pub(super) lines: Lines,
    pub(super) problems: Vec<Problem>,
}

impl Lines {
    /// The line of the section `name`, the `at`-th of them; 0 if it is not there.
    pub(super) fn of(&self, name: &str, at: usize) -> usize {
        let lines = self.0.iter().find(|(section, _)| *section == name);
        lines.and_then(|(_, lines)| lines.get(at)).copied().unwrap_or(0)
    }
}

const SECTIONS: [&str; 7] = ["server", "admin", "log", "stream", "key", "backend", "route"];

impl<'t> Sections<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let root = DeTable::parse(text)
            .map_err(|error| vec![problem(text, &error, None)])?
            .into_inner();
        Ok(Self {
            text,
            root,
            lines: Lines::default(),
            problems: Vec::new(),
        })
    }

    /// A section that stands once; its default if it is absent.
    pub(super) fn one<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        let Some(value) = self.root.remove(name) else {
            return T::default();
        };
        self.note(name, vec![line(self.text, &value.span())]);
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
            self.problems.push(Problem {
                line: line(self.text, &span),
                message,
                hint: None,
            });
            return Vec::new();
        };
        let items: Vec<_> = items.into_iter().collect();
        self.note(
            name,
            items.iter().map(|item| line(self.text, &item.span())).collect(),
        );
        items
            .into_iter()
            .filter_map(|item| self.read(name, item))
            .collect()
    }

    /// What is left is unknown.
    pub(super) fn finish(mut self) -> Found {
        for key in self.root.keys() {
            let name = key.get_ref();
            self.problems.push(Problem {
                line: line(self.text, &key.span()),
                message: format!("unknown section `{name}`"),
                hint: nearest(name, &SECTIONS.map(String::from)),
            });
        }
        Found {
            lines: self.lines,
            problems: self.problems,
        }
    }

    fn note(&mut self, name: &'static str, lines: Vec<usize>) {
        self.lines.0.push((name, lines));
    }

    /// Reads one section. A key that cannot be read is noted and taken out, and the rest is tried again.
    fn read<T: DeserializeOwned>(&mut self, name: &str, mut value: Spanned<DeValue<'t>>) -> Option<T> {
        loop {
            let error = match T::deserialize(value.clone().into_deserializer()) {
                Ok(section) => return Some(section),
                Err(error) => error,
            };
            self.problems
                .push(problem(self.text, &error, Some((name, &value.span()))));
            let at = error.span()?;
            let DeValue::Table(table) = value.get_mut() else {
                return None;
            };
            let covers = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
            let wrong = table
                .iter()
                .find(|(key, value)| covers(key.span()) || covers(value.span()));
            let key = wrong.map(|(key, _)| key.clone())?;
            table.remove(&key);
        }
    }
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
            hint: nearest(&key, &known),
        },
        _ => Problem {
            line,
            message: message.trim_end().replace('\n', ", "),
            hint: None,
        },
    }
}

/// Takes serde's sentence apart: "unknown field `a`, expected one of `b`, `c`".
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2)
        .map(String::from);
    Some((quoted.next()?, quoted.collect()))
}

fn nearest(key: &str, known: &[String]) -> Option<String> {
    let near = known.iter().max_by(|a, b| {
        let likeness = |known: &str| strsim::jaro_winkler(key, known);
        likeness(a).total_cmp(&likeness(b))
    });
    match near.filter(|near| strsim::jaro_winkler(key, near) > 0.75) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!(
            "known are {}",
            known
                .iter()
                .map(|key| format!("`{key}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes()
        .take(span.start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// The keys of every section, as their types know them.
#[cfg(test)]
pub(super) fn known_keys() -> Vec<(&'static str, Vec<String>)> {
    fn keys<T: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let error = toml::from_str::<T>("no_such_key = 1").unwrap_err();
        unknown_key(error.message())
            .expect("the section denies unknown keys")
            .1
    }
    vec![
        ("server", keys::<crate::server::Config>()),
        ("admin", keys::<crate::config::Admin>()),
        ("log", keys::<crate::telemetry::Config>()),
        ("stream", keys::<crate::api::StreamConfig>()),
        ("[key]", keys::<crate::edge::KeyConfig>()),
        ("[backend]", keys::<crate::upstream::Config>()),
        ("[route]", keys::<crate::api::RouteConfig>()),
    ]
}
