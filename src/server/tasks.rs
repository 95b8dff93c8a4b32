//! The tasks of a worker: the only place that spawns, so that the end can wait for all of them.

use tokio_util::task::TaskTracker;

/// Spawns and keeps count; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// No more tasks are to come.
    pub fn close(&self) {
        self.0.close();
    }

    /// Waits for all tasks, once closed. Cancel safe.
    pub async fn wait(&self) {
        self.0.wait().await;
    }
}
