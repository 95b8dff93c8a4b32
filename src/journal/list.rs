//! Records that are found by what they belong to: those of an owner, page by page, and those of a conversation that still run.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::journal::new::{IN_LINE, StoreError};
use crate::journal::record::{Meta, Record, Status};
use crate::journal::store::Store;
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
        let stored: Vec<(u64, String)> = match self.store() {
            None => Vec::new(),
            Some(store) if store.is_up() => store.listed(owner).await?,
            Some(_) => return Err(OpenError::Away),
        };
        let mut behind = match page.after {
            None => None,
            Some(id) => {
                let there = || stored.iter().find(|(_, other)| other == id).cloned();
                Some(self.shelf().listed_at(owner, id).or_else(there).ok_or(OpenError::Unknown)?)
            }
        };
        let (mut entries, mut over) = (Vec::new(), Vec::new());
        while entries.len() <= page.limit {
            let wanted = (page.limit - entries.len()).saturating_add(1);
            let mut places = self.shelf().listed(owner, behind.as_ref(), wanted);
            places
                .extend(stored.iter().filter(|place| behind.as_ref().is_none_or(|at| *place < at)).cloned());
            places.sort_unstable_by(|one, other| other.cmp(one));
            places.dedup();
            places.truncate(wanted);
            let Some(last) = places.last() else { break };
            behind = Some(last.clone());
            let looks = places.into_iter().map(|(_, id)| async move { (self.entry(owner, &id).await, id) });
            let mut looks = stream::iter(looks).buffered(AT_A_TIME);
            while let Some((entry, id)) = looks.next().await {
                match entry? {
                    Some(entry) => entries.push(entry),
                    None => over.push(id),
                }
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
        let (mut ids, mut line) = (self.ids_ahead(record).await, Vec::new());
        while let Some(id) = ids.last().cloned() {
            match self.take_last_running(record, &mut ids).await {
                Ok(last) => line.extend(last),
                Err(_) => drop(ids.pop_if(|last| *last == id)),
            }
        }
        line.reverse();
        line
    }

    /// The ids of those that stand ahead of `record` in its conversation: some may have ended.
    pub async fn ids_ahead(&self, record: &Record) -> Vec<String> {
        let mine = record.meta();
        let (owner, Some(conversation)) = (mine.owner.as_deref(), mine.conversation.as_deref()) else {
            return Vec::new();
        };
        let shared = match self.store().filter(|store| store.is_up()) {
            Some(store) => store.line(owner, conversation).await.ok().and_then(|ids| ahead(ids, &mine.id)),
            None => None,
        };
        // One that began while the store was away stands in the line of this process alone.
        shared.unwrap_or_else(|| ahead(self.shelf().line(owner, conversation), &mine.id).unwrap_or_default())
    }

    /// Takes the last of `ids`, those ahead of `record`, that runs, or waits for its turn, and all behind it. `Err`: it is not known
    /// now whether the last of them runs.
    pub async fn take_last_running(
        &self,
        record: &Record,
        ids: &mut Vec<String>,
    ) -> Result<Option<Arc<Record>>, OpenError> {
        let (mut last, mut over) = (Ok(None), Vec::new());
        while let Some(id) = ids.pop() {
            match self.find(record.meta().owner.as_deref(), &id).await {
                Ok(other) if other.is_running() => {
                    last = Ok(Some(other));
                    break;
                }
                Ok(_) | Err(OpenError::Unknown | OpenError::Expired) => over.push(id),
                Err(away @ OpenError::Away) => {
                    ids.push(id);
                    last = Err(away);
                    break;
                }
            }
        }
        self.left_line(record, &over).await;
        last
    }

    /// Those that have ended leave the line.
    async fn left_line(&self, record: &Record, over: &[String]) {
        let mine = record.meta();
        if let (Some(store), Some(conversation)) = (self.store(), &mine.conversation)
            && !over.is_empty()
        {
            store.leave_line(mine.owner.as_deref(), conversation, over).await;
        }
    }

    /// How many of a conversation run, or wait for their turn, on all replicas. Who ends leaves the line; what a replica left there
    /// that is gone is looked for only where there seem to be too many, and at the head of the line, which it comes to.
    pub(super) async fn in_line(&self, store: &Store, meta: &Meta, name: &str) -> Result<usize, StoreError> {
        let owner = meta.owner.as_deref();
        let ids = store.line(owner, name).await?;
        if ids.len() < IN_LINE {
            return Ok(ids.len());
        }
        let mut over = Vec::new();
        for id in &ids {
            match self.find(owner, id).await {
                Ok(other) if other.is_running() => break,
                Ok(_) | Err(OpenError::Unknown | OpenError::Expired) => over.push(id.clone()),
                Err(OpenError::Away) => return Err(StoreError::Away),
            }
        }
        if !over.is_empty() {
            store.leave_line(owner, name, &over).await;
        }
        Ok(ids.len() - over.len())
    }
}

/// Who is ahead of `id` in a line; `None` if it does not stand there.
fn ahead(mut line: Vec<String>, id: &str) -> Option<Vec<String>> {
    let place = line.iter().position(|other| other == id)?;
    line.truncate(place);
    Some(line)
}
