//! Records that are found by what they belong to: those of an owner, page by page, and those of a conversation that still run.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::journal::record::{Meta, Record, Status};
use crate::journal::{Journal, OpenError};

/// A record as it stands, without what it says.
#[derive(Clone, Debug)]
pub struct Entry {
    pub meta: Meta,
    pub status: Status,
}

/// Which records of a list are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Those that stand behind this one.
    pub after: Option<&'a str>,
    /// How many.
    pub limit: usize,
}

impl Page<'_> {
    /// All of them.
    pub const ALL: Self = Self { after: None, limit: usize::MAX };
}

/// A page of a list.
#[derive(Debug)]
pub struct Listed {
    pub entries: Vec<Entry>,
    /// There are others behind it.
    pub more: bool,
}

/// How many records are looked at at a time.
const AT_A_TIME: usize = 16;

impl Journal {
    /// The records that belong to `owner`, the newest first. Channels are none of them, nor is what has no label. An error where
    /// the page stands behind something that is not on the list.
    pub async fn list(&self, owner: Option<&str>, page: Page<'_>) -> Result<Listed, OpenError> {
        let mut places: Vec<(u64, String)> = match self.store() {
            None => Vec::new(),
            Some(store) if store.is_up() => store.listed(owner).await?,
            Some(_) => return Err(OpenError::Away),
        };
        let is = |record: &Record| {
            let meta = record.meta();
            !record.is_mirror() && meta.owner.as_deref() == owner && !meta.label.is_empty()
        };
        places.extend(self.shelf().all(is).iter().map(|record| place(record.meta())));
        places.sort_unstable_by_key(|place| Reverse(place.clone()));
        places.dedup();
        if let Some(after) = page.after {
            let at = places.iter().position(|(_, id)| id == after).ok_or(OpenError::Unknown)?;
            places.drain(..=at);
        }
        let (mut entries, mut over) = (Vec::new(), Vec::new());
        let looks = places.into_iter().map(|(_, id)| async move { (self.entry(owner, &id).await, id) });
        let mut looks = stream::iter(looks).buffered(AT_A_TIME);
        while entries.len() <= page.limit
            && let Some((entry, id)) = looks.next().await
        {
            match entry? {
                Some(entry) => entries.push(entry),
                None => over.push(id),
            }
        }
        if let Some(store) = self.store().filter(|_| !over.is_empty()) {
            store.unlist(owner, over).await;
        }
        let more = entries.len() > page.limit;
        entries.truncate(page.limit);
        Ok(Listed { entries, more })
    }

    /// `None`: it is not there any more.
    async fn entry(&self, owner: Option<&str>, id: &str) -> Result<Option<Entry>, OpenError> {
        match (self.shelf().find(id), self.store()) {
            (Some(Ok(record)), _) => Ok(Some(Entry { meta: record.meta().clone(), status: record.status() })),
            (_, Some(store)) => Ok(store.entry(owner, id).await?),
            (Some(Err(_)) | None, None) => Ok(None),
        }
    }

    /// The other records of the conversation of `record` that still run, or wait for their turn, and took its name before. No two
    /// of them are before each other, whatever the clocks of their replicas say.
    pub async fn line(&self, record: &Record) -> Vec<Arc<Record>> {
        let mine = record.meta();
        let (owner, Some(conversation)) = (mine.owner.as_deref(), mine.conversation.as_deref()) else {
            return Vec::new();
        };
        let store = self.store().filter(|store| store.is_up());
        let shared = match store {
            Some(store) => store.line(owner, conversation).await.ok().and_then(|ids| ahead(ids, &mine.id)),
            None => None,
        };
        // One that began while the store was away stands in the line of this process alone.
        let here = || ahead(self.shelf().line(owner, conversation), &mine.id).unwrap_or_default();
        let (mut line, mut over) = (Vec::new(), Vec::new());
        for id in shared.unwrap_or_else(here) {
            match self.find(owner, &id).await {
                Ok(other) if other.is_running() => line.push(other),
                Ok(_) | Err(OpenError::Unknown | OpenError::Expired) => over.push(id),
                Err(OpenError::Away) => {}
            }
        }
        if let Some(store) = store.filter(|_| !over.is_empty()) {
            store.leave_line(owner, conversation, &over).await;
        }
        line
    }
}

/// Who is ahead of `id` in a line; `None` if it does not stand there.
fn ahead(mut line: Vec<String>, id: &str) -> Option<Vec<String>> {
    let place = line.iter().position(|other| other == id)?;
    line.truncate(place);
    Some(line)
}

/// Where a record stands on a list: by the millisecond, as the store has it.
fn place(meta: &Meta) -> (u64, String) {
    let created = meta.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    (u64::try_from(created.as_millis()).unwrap_or(u64::MAX), meta.id.clone())
}
