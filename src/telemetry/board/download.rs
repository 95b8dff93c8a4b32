//! Downloads on the board, in the words and the shape of Cortex's `/events`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::telemetry::board::Board;

/// Between two messages of progress.
const PACE: Duration = Duration::from_secs(1);

/// How many items of one download are told; more than any model has.
const MAX_ITEMS: usize = 1000;

/// A download that runs.
#[derive(Debug)]
pub(super) struct Task {
    id: String,
    items: Vec<Item>,
    /// When progress was told last.
    told: Option<Instant>,
}

/// One file of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Item {
    id: String,
    bytes: u64,
    downloaded: u64,
}

impl Item {
    /// Names that are not known are empty, as Cortex leaves its own.
    fn json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "checksum": "N/A",
            "downloadUrl": "",
            "downloadedBytes": self.downloaded,
            "id": self.id,
            "localPath": "",
        })
    }
}

impl Task {
    pub(super) fn json(&self) -> Value {
        json!({ "id": self.id, "items": self.items.iter().map(Item::json).collect::<Value>(), "type": "Model" })
    }

    fn item(&mut self, id: &str) -> Option<&mut Item> {
        if self.items.len() < MAX_ITEMS && !self.items.iter().any(|item| item.id == id) {
            self.items.push(Item { id: id.to_owned(), ..Item::default() });
        }
        self.items.iter_mut().find(|item| item.id == id)
    }
}

/// Keeps a download on the board until it has ended; one that is dropped has failed.
#[derive(Debug)]
pub struct Download {
    board: Board,
    id: String,
    ended: bool,
}

impl Board {
    /// A download begins.
    pub fn download(&self, id: &str) -> Download {
        let task = Task { id: id.to_owned(), items: Vec::new(), told: None };
        let mut state = self.0.lock();
        let message = || json!({ "task": task.json(), "type": "DownloadStarted" });
        state.tell(message, |interest| interest.downloads);
        state.downloads.insert(id.to_owned(), task);
        drop(state);
        Download { board: self.clone(), id: id.to_owned(), ended: false }
    }
}

impl Download {
    /// So much of an item has come. Told at most once a second, and not of an item whose size is unknown or that is complete.
    pub fn progress(&self, item: &str, bytes: u64, downloaded: u64) {
        let mut state = self.board.0.lock();
        let Some(task) = state.downloads.get_mut(&self.id) else { return };
        if let Some(item) = task.item(item) {
            (item.bytes, item.downloaded) = (bytes, downloaded);
        }
        let now = Instant::now();
        if bytes == 0 || downloaded >= bytes || task.told.is_some_and(|told| now < told + PACE) {
            return;
        }
        task.told = Some(now);
        let told = task.json();
        let message = || json!({ "task": told, "type": "DownloadUpdated" });
        state.tell(message, |interest| interest.downloads);
    }

    /// All of it is there. Cortex counts nothing then.
    pub fn succeeded(mut self) {
        self.end("DownloadSuccess", None);
    }

    pub fn failed(mut self, error: &str) {
        self.end("DownloadError", Some(error));
    }

    /// Somebody did not want it any more.
    pub fn stopped(mut self) {
        self.end("DownloadStopped", None);
    }

    fn end(&mut self, kind: &str, error: Option<&str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.board.0.lock();
        let Some(mut task) = state.downloads.remove(&self.id) else { return };
        if kind == "DownloadSuccess" {
            for item in &mut task.items {
                (item.bytes, item.downloaded) = (0, 0);
            }
        }
        let message = || match error {
            Some(error) => json!({ "error": error, "task": task.json(), "type": kind }),
            None => json!({ "task": task.json(), "type": kind }),
        };
        state.tell(message, |interest| interest.downloads);
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.end("DownloadError", Some("the download ended without a word"));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;
    use crate::telemetry::board::Interest;

    #[tokio::test(start_paused = true)]
    async fn downloads_are_told_as_cortex_tells_them() {
        let board = Board::default();
        let mut listener = board.listen(Interest::all(None)).unwrap();
        let download = board.download("llama3.2");
        download.progress("sha256:a", 10, 0);
        download.progress("sha256:a", 10, 3);
        advance(PACE).await;
        download.progress("sha256:a", 10, 5);
        advance(PACE).await;
        download.progress("sha256:a", 10, 10);
        download.progress("sha256:b", 0, 0);
        download.succeeded();
        let told: Vec<_> = std::iter::from_fn(|| listener.next().now_or_never()).skip(1).collect();
        let item = |bytes, downloaded, id| {
            format!(
                "{{\"bytes\":{bytes},\"checksum\":\"N/A\",\"downloadUrl\":\"\",\"downloadedBytes\":{downloaded},\
                 \"id\":\"sha256:{id}\",\"localPath\":\"\"}}"
            )
        };
        let message = |items: &str, kind| {
            format!(
                "{{\"task\":{{\"id\":\"llama3.2\",\"items\":[{items}],\"type\":\"Model\"}},\"type\":\"{kind}\"}}"
            )
        };
        let both = [item(0, 0, "a"), item(0, 0, "b")].join(",");
        let expected = [
            message("", "DownloadStarted"),
            message(&item(10, 0, "a"), "DownloadUpdated"),
            message(&item(10, 5, "a"), "DownloadUpdated"),
            message(&both, "DownloadSuccess"),
        ];
        assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_download_that_fails_says_why() {
        let board = Board::default();
        let download = board.download("m");
        let mut listener = board.listen(Interest::all(None)).unwrap();
        assert!(listener.next().now_or_never().unwrap().contains("\"id\":\"m\""));
        download.failed("no such file");
        let told = "{\"error\":\"no such file\",\"task\":{\"id\":\"m\",\"items\":[],\"type\":\"Model\"},\"type\":\"DownloadError\"}";
        assert_eq!(listener.next().now_or_never().unwrap().as_ref(), told);
    }
}
