//! Pages that a backend tells beside its text: what a search found, or what the numbers in the text stand for. Those that the text
//! does not cite itself are told at its end.

use crate::wire::citation::{Citation, KeptCitation};
use crate::wire::event::Event;
use crate::wire::json::{Field, Text};

/// The pages, each once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pages: Vec<Page>,
    /// How long the lists were that were read last: most servers send the same with every event.
    read: [usize; 2],
}

#[derive(Debug)]
struct Page {
    url: String,
    citation: KeptCitation,
    told: bool,
}

/// How many pages are kept.
const PAGES: usize = 128;

impl Sources {
    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.pages.iter().map(|page| page.url.len() + page.citation.size()).sum()
    }

    /// Reads Perplexity's lists: of pages with their titles, and of their addresses alone.
    pub(super) fn read(&mut self, results: Field<'_>, addresses: Field<'_>) {
        let lengths = [results, addresses].map(|list| list.raw().map_or(0, str::len));
        if std::mem::replace(&mut self.read, lengths) == lengths {
            return;
        }
        self.add_all(results);
        for url in addresses.read::<Vec<Field<'_>>>().unwrap_or_default() {
            if let Some(url) = url.some_text() {
                let nothing = Text::Plain("");
                self.add(&Citation { url, title: nothing, quoted: nothing, span: None });
            }
        }
    }

    /// Adds a list of pages.
    pub(super) fn add_all(&mut self, results: Field<'_>) {
        for result in results.read::<Vec<Field<'_>>>().unwrap_or_default() {
            if let Some(citation) = Citation::read(result) {
                self.add(&Citation { span: None, ..citation });
            }
        }
    }

    fn add(&mut self, citation: &Citation<'_>) {
        let url = citation.url.plain();
        if self.pages.len() < PAGES && !self.pages.iter().any(|page| page.url == url) {
            let citation = KeptCitation::new(citation);
            self.pages.push(Page { url: url.into_owned(), citation, told: false });
        }
    }

    /// The text cites a page itself.
    pub(super) fn cited(&mut self, url: Text<'_>) {
        if self.pages.is_empty() {
            return;
        }
        let url = url.plain();
        for page in self.pages.iter_mut().filter(|page| page.url == url) {
            page.told = true;
        }
    }

    /// Is there nothing left to tell?
    pub(super) fn is_empty(&self) -> bool {
        self.pages.iter().all(|page| page.told)
    }

    /// Tells the pages that were not cited as what block `index` leans on.
    pub(super) fn tell(&mut self, index: u32, emit: &mut dyn FnMut(Event<'_>)) {
        for page in self.pages.iter_mut().filter(|page| !page.told) {
            page.told = true;
            emit(Event::Citation { index, citation: page.citation.citation() });
        }
    }
}
