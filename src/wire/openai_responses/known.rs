//! Which item of a response an event is about. Some servers change the ids of items, some tell no place, some give two items one
//! place: what is told of an item is put together.

use std::collections::HashMap;

use crate::wire::json::Field;

/// The items so far, each by its number in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct KnownItems {
    items: Vec<KnownItem>,
    /// The last item of each `output_index`.
    by_place: HashMap<u64, usize>,
    /// By the ids of items and of calls, escaped.
    by_id: HashMap<String, usize>,
    /// The item that was asked for last: most events are about the one of the event before.
    last: Option<(u64, usize)>,
    /// Two items had one place.
    shared: bool,
}

#[derive(Debug, Default)]
struct KnownItem {
    kind: String,
    id: Option<String>,
    call_id: Option<String>,
    done: bool,
    /// Something of it was said.
    said: bool,
    /// The last event of the response has it, too.
    matched: bool,
}

/// What an item says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) kind: &'a str,
    pub(super) id: Field<'a>,
    pub(super) call_id: Field<'a>,
}

fn text_of(field: Field<'_>) -> Option<&str> {
    field.raw().filter(|raw| raw.len() > 2)
}

impl KnownItems {
    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.items.len() * ITEM
    }

    /// The item of an event that tells a place, an id, or nothing.
    pub(super) fn of(&mut self, place: Option<u64>, id: Field<'_>) -> usize {
        if let Some((last, item)) = self.last
            && place == Some(last)
            && !self.shared
        {
            return item;
        }
        let by_id = || text_of(id).and_then(|id| self.by_id.get(id)).copied();
        let found = match place {
            Some(place) if self.shared => by_id().or_else(|| self.by_place.get(&place).copied()),
            Some(place) => self.by_place.get(&place).copied(),
            None if text_of(id).is_some() => by_id(),
            None => self.items.len().checked_sub(1),
        };
        let item =
            found.unwrap_or_else(|| self.push(place, Named { kind: "", id, call_id: Field::default() }));
        self.last = place.map(|place| (place, item));
        item
    }

    /// The item that begins, or begins anew.
    pub(super) fn added(&mut self, place: Option<u64>, named: Named<'_>) -> usize {
        let item = match place.and_then(|place| self.by_place.get(&place)).copied() {
            Some(item) if !self.differs(item, named, true) => Some(item),
            None if place.is_some() => None,
            Some(_) | None => self.by_ids(named),
        };
        self.note(item, place, named)
    }

    /// The item that is complete.
    pub(super) fn done(&mut self, place: Option<u64>, named: Named<'_>) -> usize {
        let at_place = place.and_then(|place| self.by_place.get(&place)).copied();
        let item = match at_place {
            Some(item) if !self.differs(item, named, self.items.get(item).is_some_and(|item| item.done)) => {
                Some(item)
            }
            Some(_) | None => self.by_ids(named),
        };
        let item = self.note(item, place, named);
        if let Some(known) = self.items.get_mut(item) {
            known.done = true;
        }
        item
    }

    pub(super) fn is_done(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|item| item.done)
    }

    pub(super) fn is_said(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|item| item.said)
    }

    pub(super) fn said(&mut self, item: usize) {
        if let Some(known) = self.items.get_mut(item) {
            known.said = true;
        }
    }

    /// The item that the end of the response has; `None` for one that was not told before. By its ids, else the first of its kind
    /// that is left.
    pub(super) fn matched(&mut self, named: Named<'_>) -> Option<usize> {
        let left = || {
            self.items.iter().position(|item| {
                let calls = item.call_id.is_some() && text_of(named.call_id).is_some();
                !item.matched && !calls && (item.kind.is_empty() || item.kind == named.kind)
            })
        };
        let item = self.by_ids(named).or_else(left)?;
        self.items.get_mut(item)?.matched = true;
        Some(item)
    }

    /// Marks the items whose ids the end of the response has: none of them is there for another.
    pub(super) fn mark(&mut self, named: Named<'_>) {
        if let Some(item) = self.by_ids(named).and_then(|item| self.items.get_mut(item)) {
            item.matched = true;
        }
    }

    fn by_ids(&self, named: Named<'_>) -> Option<usize> {
        let find = |id| text_of(id).and_then(|id| self.by_id.get(id)).copied();
        // Some servers give every call the same id of an item.
        let same_call = |item: &usize| {
            let known = self.items.get(*item).and_then(|item| item.call_id.as_deref());
            known.zip(text_of(named.call_id)).is_none_or(|(known, id)| known == id)
        };
        find(named.call_id).or_else(|| find(named.id).filter(same_call))
    }

    /// Is it another than the one at its place? Calls are told apart by the ids of calls, all others by their own only if those
    /// `count`.
    fn differs(&self, item: usize, named: Named<'_>, count: bool) -> bool {
        let Some(known) = self.items.get(item) else { return true };
        if let (Some(known), Some(id)) = (known.call_id.as_deref(), text_of(named.call_id)) {
            return known != id;
        }
        let other_kind = !known.kind.is_empty() && known.kind != named.kind;
        let other_id = known.id.as_deref().zip(text_of(named.id)).is_some_and(|(known, id)| known != id);
        other_kind || (count && other_id)
    }

    fn note(&mut self, item: Option<usize>, place: Option<u64>, named: Named<'_>) -> usize {
        let Some(at) = item else { return self.push(place, named) };
        if let Some(known) = self.items.get_mut(at) {
            if known.kind.is_empty() {
                named.kind.clone_into(&mut known.kind);
            }
            for (field, id) in [(&mut known.id, named.id), (&mut known.call_id, named.call_id)] {
                if let Some(id) = text_of(id) {
                    self.by_id.entry(id.to_owned()).or_insert(at);
                    field.get_or_insert_with(|| id.to_owned());
                }
            }
        }
        at
    }

    fn push(&mut self, place: Option<u64>, named: Named<'_>) -> usize {
        let at = self.items.len();
        let [id, call_id] = [named.id, named.call_id].map(|id| text_of(id).map(str::to_owned));
        for id in [&id, &call_id].into_iter().flatten() {
            self.by_id.insert(id.clone(), at);
        }
        if let Some(place) = place {
            self.shared |= self.by_place.insert(place, at).is_some();
            self.last = None;
        }
        self.items.push(KnownItem { kind: named.kind.to_owned(), id, call_id, ..KnownItem::default() });
        at
    }
}

/// About what an item costs.
const ITEM: usize = 256;
