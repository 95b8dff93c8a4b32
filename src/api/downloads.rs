//! Downloads that other replicas run, as they are told to who listens to `/events` here.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use crate::api::pull::{OWNER, Pulls, why_failed};
use crate::journal::{End, Journal, Page, Record};
use crate::telemetry::Board;
use crate::wire::ollama::Progress;

/// How often they are looked for while somebody listens: as often as progress is told.
const LOOK: Duration = Duration::from_secs(1);
/// How many of the newest pulls are looked at.
const NEWEST: usize = 32;

/// Puts on the board what other replicas download, for as long as it is polled. A download that was seen once is followed to its
/// end, so that who listens later finds it.
pub async fn follow(journal: &Journal, pulls: &Pulls, board: &Board) -> Infallible {
    let (mut followed, mut running) = (HashSet::new(), FuturesUnordered::new());
    loop {
        tokio::select! {
            Some(id) = running.next() => {
                followed.remove(&id);
            }
            () = sleep(LOOK) => {
                if !journal.is_shared() || !board.is_heard(|interest| interest.downloads) {
                    continue;
                }
                for record in elsewhere(journal, pulls, &followed).await {
                    followed.insert(record.meta().id.clone());
                    running.push(tell(record, board));
                }
            }
        }
    }
}

/// The pulls that run on other replicas and are not `known`. None where the store does not answer.
async fn elsewhere(journal: &Journal, pulls: &Pulls, known: &HashSet<String>) -> Vec<Arc<Record>> {
    let page = Page { after: None, limit: NEWEST };
    let Ok(listed) = journal.list(Some(OWNER), page).await else { return Vec::new() };
    let mut found = Vec::new();
    for entry in listed.entries.into_iter().filter(|entry| entry.status.ended.is_none()) {
        let id = &entry.meta.id;
        if !known.contains(id)
            && !pulls.runs_here(id).await
            && let Ok(record) = journal.find(Some(OWNER), id).await
        {
            found.push(record);
        }
    }
    found
}

/// Tells of a download to its end; gives its id.
async fn tell(record: Arc<Record>, board: &Board) -> String {
    let task = String::from_utf8_lossy(&record.meta().label).into_owned();
    let download = board.download(&task);
    let mut seen = 0;
    loop {
        let is_over = !record.is_running(); // no line comes behind that
        let (first, lines) = record.frames_after(seen);
        for line in &lines {
            if let Some((layer, total, completed)) = Progress::read(line).layer() {
                download.progress(&layer, total, completed);
            }
        }
        seen = first + lines.len() as u64 - 1;
        if is_over {
            break;
        }
        record.changed(seen).await;
    }
    match record.status().ended {
        Some(ended) if ended.end == End::Done => download.succeeded(),
        Some(ended) if ended.reason.as_deref() == Some("cancelled") => download.stopped(),
        Some(ended) => download.failed(&why_failed(&record, ended.reason.as_deref()).failure.message),
        None => {}
    }
    record.meta().id.clone()
}
