//! Errands at a backend, whose lines go to whoever reads them: a pull to all who asked for it, a push to its one client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::journal::{Backlog, Gone, Writer};
use crate::telemetry::{Access, Board, Download};
use crate::upstream::{Attempted, Backend, Errand, FrameStream, Next, Pool};
use crate::wire::ollama::Progress;
use crate::wire::{Code, Dialect, Failure, Frame, read_failure};

/// How long a backend may say nothing. Ollama counts the bytes of a large model again without a word.
const SILENCE: Duration = Duration::from_mins(15);

/// An errand to be run.
pub(super) struct Run {
    pub(super) pool: Pool,
    pub(super) errand: Errand,
    pub(super) writer: Writer,
    pub(super) access: Access,
    /// What it is called on the board, if it is a download.
    pub(super) task: Option<String>,
    /// Resolves when it must end, with why.
    pub(super) stopped: BoxFuture<'static, Failure>,
    /// Why it failed, for those who have not seen a line of it.
    pub(super) failed: Arc<Mutex<Option<Attempted>>>,
}

/// How it ended.
enum Ending {
    Done,
    Gone(Gone),
    /// The frame is what the backend said of it.
    Failed(Attempted, Option<Bytes>),
}

/// Runs an errand to its end.
pub(super) async fn run(run: Run) {
    let Run { pool, errand, writer, access, task, stopped, failed } = run;
    let mut said = Said { board: pool.board().clone(), task, download: None, succeeded: false };
    let work = async {
        let (backend, frames) =
            pool.lines(&errand, &access).await.map_err(|why| Ending::Failed(why, None))?;
        said.pass_on(&backend, frames, &writer).await
    };
    let ending = tokio::select! {
        biased;
        gone = writer.abandoned() => Ending::Gone(gone),
        failure = stopped => Ending::Failed(Attempted::refusal(failure), None),
        ended = Box::pin(work) => ended.err().unwrap_or(Ending::Done),
    };
    let download = said.download.take();
    match ending {
        Ending::Done => {
            if let Some(download) = download {
                download.succeeded();
            }
            writer.close();
        }
        Ending::Gone(gone) => {
            if let Some(download) = download {
                download.stopped();
            }
            if gone != Gone::Left {
                let failure = Failure::new(Code::Cancelled, "this download was stopped");
                writer.fail(failure.frame(Dialect::OllamaChat), failure.code.name());
            }
        }
        Ending::Failed(attempted, frame) => {
            let failure = attempted.failure.clone();
            *failed.lock() = Some(attempted); // before anybody is woken
            let download = download.or_else(|| Some(said.board.download(said.task.as_deref()?)));
            if let Some(download) = download {
                download.failed(&failure.message);
            }
            let frame = frame.unwrap_or_else(|| failure.frame(Dialect::OllamaChat));
            writer.fail(frame, failure.code.name());
        }
    }
}

/// What the backend has said so far.
struct Said {
    board: Board,
    task: Option<String>,
    download: Option<Download>,
    succeeded: bool,
}

impl Said {
    /// Hands on the lines of a backend. `Ok`: all went well.
    async fn pass_on(
        &mut self,
        backend: &Backend,
        mut frames: Box<FrameStream>,
        writer: &Writer,
    ) -> Result<(), Ending> {
        let broken = |words: &str| Ending::Failed(Attempted::retryable(Code::UpstreamTruncated, words), None);
        loop {
            let next = timeout(SILENCE, frames.next()).await.map_err(|_| {
                let words = "the backend has said nothing for a long time";
                Ending::Failed(Attempted::retryable(Code::UpstreamStalled, words), None)
            })?;
            let (frame, last) = match next {
                Ok(Next::Frame(frame)) => (Some(frame), false),
                Ok(Next::End(frame)) => (frame, true),
                Err(_) if self.succeeded => return Ok(()),
                Err(error) => return Err(broken(&error.to_string())),
            };
            if let Some(frame) = frame {
                self.hear(backend, &frame)?;
                if writer.append([frame.raw]) == Backlog::Full {
                    writer.room().await;
                }
            }
            match last {
                true if self.succeeded => return Ok(()),
                true => return Err(broken("the backend's answer broke off before its end")),
                false => {}
            }
        }
    }

    fn hear(&mut self, backend: &Backend, frame: &Frame) -> Result<(), Ending> {
        let progress = Progress::read(&frame.data);
        if let (Some(task), None) = (&self.task, &self.download) {
            self.download = Some(self.board.download(task));
        }
        if progress.is_error() {
            let failure = backend.scrub_failure(read_failure(&frame.data));
            return Err(Ending::Failed(Attempted::refusal(failure), Some(backend.scrub(&frame.raw))));
        }
        if let (Some(download), Some((layer, total, completed))) = (&self.download, progress.layer()) {
            download.progress(&layer, total, completed);
        }
        self.succeeded |= progress.is_success();
        Ok(())
    }
}
