//! The tasks of a worker: the only place that spawns, so that the end can wait for all of them.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Spawns and keeps count; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    limits: WorkLimits,
}

/// How much blocking work is done at a time, of all workers together; a clone is a handle.
#[derive(Clone, Debug)]
pub struct WorkLimits {
    cores: Arc<Semaphore>,
    /// KiB of bodies: what is made of one in memory takes up to twenty times as much, for as long as it is worked on.
    volume: Arc<Semaphore>,
}

/// KiB of bodies that are worked on at a time: a larger one is worked on alone.
const VOLUME: u32 = 20 << 10;

impl WorkLimits {
    /// On so many cores.
    pub fn new(cores: usize) -> Self {
        let volume = Arc::new(Semaphore::new(VOLUME as usize));
        Self { cores: Arc::new(Semaphore::new(cores)), volume }
    }
}

impl Tasks {
    pub fn new(limits: WorkLimits) -> Self {
        Self { tracker: TaskTracker::new(), limits }
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Runs work on so many bytes on a thread of the runtime's pool for blocking work, and resolves when it is done; a panic goes
    /// on in the caller. Cancel safe: dropped while it waits for its turn, it gives its place up, and the work never begins.
    pub async fn run_blocking(&self, bytes: usize, work: impl FnOnce() + Send + 'static) {
        let WorkLimits { cores, volume } = self.limits.clone();
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).min(VOLUME);
        let Ok(room) = volume.acquire_many_owned(kib).await else { return };
        let Ok(core) = cores.acquire_owned().await else { return };
        let work = move || {
            let _permits = (room, core); // they are taken until the work is over, whoever still waits for it
            work();
        };
        if let Err(error) = self.tracker.spawn_blocking(work).await
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
    }

    /// No more tasks are to come.
    pub fn close(&self) {
        self.tracker.close();
    }

    /// Waits for all tasks, once closed. Cancel safe.
    pub async fn wait(&self) {
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn blocking_work_leaves_the_thread_to_other_tasks() {
        let tasks = Tasks::new(WorkLimits::new(1));
        let (go, begin) = mpsc::channel();
        // The work waits for what only this thread does behind it.
        tokio::join!(biased; tasks.run_blocking(0, move || begin.recv().unwrap()), async { go.send(()).unwrap() });
    }

    #[tokio::test]
    async fn who_leaves_while_waiting_for_a_core_gives_its_place_up() {
        let tasks = Tasks::new(WorkLimits::new(1));
        let (go, begin) = mpsc::channel::<()>();
        let mut first = Box::pin(tasks.run_blocking(0, move || begin.recv().unwrap()));
        assert!(first.as_mut().now_or_never().is_none());
        let began = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&began);
        let mut second = Box::pin(tasks.run_blocking(0, move || note.store(true, Ordering::SeqCst)));
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        go.send(()).unwrap();
        first.await;
        tasks.run_blocking(0, || {}).await;
        assert!(!began.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_of_blocking_work_gives_the_core_back_and_goes_on_in_its_caller() {
        let tasks = Tasks::new(WorkLimits::new(1));
        let failing = tasks.run_blocking(0, || assert!(std::hint::black_box(false), "the subject"));
        assert!(AssertUnwindSafe(failing).catch_unwind().await.is_err());
        tasks.run_blocking(0, || {}).await;
    }

    #[tokio::test]
    async fn work_on_large_bodies_is_done_one_piece_after_the_other() {
        let tasks = Tasks::new(WorkLimits::new(4));
        let (go, begin) = mpsc::channel::<()>();
        let mut first = Box::pin(tasks.run_blocking(usize::MAX, move || begin.recv().unwrap()));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(tasks.run_blocking(1 << 20, || {}));
        assert!(second.as_mut().now_or_never().is_none());
        tasks.run_blocking(0, || {}).await; // a core is free
        assert!(second.as_mut().now_or_never().is_none());
        go.send(()).unwrap();
        tokio::join!(first, second);
    }
}
