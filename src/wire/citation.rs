//! Citations of pages: what a text of an answer leans on. Of other sources (a place in a document of the request) each vendor has
//! words of its own, which no other has.

use serde::Deserialize;

use crate::wire::json::{Field, Object, Text};

/// A page that a block of text leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Citation<'a> {
    pub url: Text<'a>,
    pub title: Text<'a>,
    /// The words of the page, where they are told.
    pub quoted: Text<'a>,
    /// The characters of the block that lean on it, from and to; all of them where it is not told.
    pub span: Option<(u64, u64)>,
}

impl<'a> Citation<'a> {
    /// Reads a citation, all of whose vendors call the same things by the same names; `None` for one that is not of a page.
    pub(super) fn read(wire: Field<'a>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow, default)]
            url: Field<'a>,
            #[serde(borrow, default)]
            title: Field<'a>,
            #[serde(borrow, default)]
            cited_text: Field<'a>,
            #[serde(borrow, default)]
            start_index: Field<'a>,
            #[serde(borrow, default)]
            end_index: Field<'a>,
        }
        let wire: Wire<'a> = wire.read()?;
        Some(Self {
            url: wire.url.some_text()?,
            title: wire.title.text().unwrap_or(Text::Plain("")),
            quoted: wire.cited_text.text().unwrap_or(Text::Plain("")),
            span: wire.start_index.whole().zip(wire.end_index.whole()).filter(|(from, to)| from < to),
        })
    }

    /// Writes the members of OpenAI's annotation of a text whose characters `from` to `to` the block is.
    pub(super) fn write_openai(&self, (from, to): (u64, u64), annotation: &mut Object<'_>) {
        let within = |at: u64| from.saturating_add(at).min(to);
        let (start, end) = self.span.map_or((from, to), |(start, end)| (within(start), within(end)));
        annotation.number("start_index", start).number("end_index", end);
        annotation.text("title", self.title).text("url", self.url);
    }
}

/// A citation that is kept, its texts still escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCitation {
    url: String,
    title: String,
    quoted: String,
    span: Option<(u64, u64)>,
}

impl KeptCitation {
    pub(super) fn new(citation: &Citation<'_>) -> Self {
        let Citation { url, title, quoted, span } = *citation;
        let mut kept = Self { url: String::new(), title: String::new(), quoted: String::new(), span };
        url.write_into(&mut kept.url);
        title.write_into(&mut kept.title);
        quoted.write_into(&mut kept.quoted);
        kept
    }

    pub(super) fn citation(&self) -> Citation<'_> {
        let Self { url, title, quoted, span } = self;
        Citation {
            url: Text::Escaped(url),
            title: Text::Escaped(title),
            quoted: Text::Escaped(quoted),
            span: *span,
        }
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.url.len() + self.title.len() + self.quoted.len()
    }
}
