//! Where the configuration comes from: a file that may change while the gateway runs.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{Config, Overrides, Problems};

/// A file, and what it said when it was last read.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    overrides: Overrides,
    text: Option<String>,
}

/// How often it is looked at. What it says is taken once it has said so twice: an editor may still be writing.
const LOOK: Duration = Duration::from_secs(1);

impl Source {
    pub fn new(file: PathBuf, overrides: Overrides) -> Self {
        Self { file, overrides, text: None }
    }

    /// Reads and checks the file.
    pub fn load(&mut self) -> Result<Config, Problems> {
        self.text = self.read();
        Config::load(&self.file, self.overrides.clone())
    }

    /// Waits until the file says something else than when it was last read. Cancel safe.
    pub async fn changed(&self) {
        let mut before = None;
        loop {
            sleep(LOOK).await;
            let now = self.read();
            if now.is_some() && now != self.text && now == before {
                return;
            }
            before = now;
        }
    }

    /// `None` while there is no such file: it may be about to be replaced.
    fn read(&self) -> Option<String> {
        std::fs::read_to_string(&self.file).ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.toml");
        std::fs::write(&file, "# one").unwrap();
        let mut source = Source::new(file.clone(), Overrides::default());
        source.load().unwrap();
        let mut changed = Box::pin(source.changed());
        let mut told = async |writes: Option<&str>| {
            if let Some(text) = writes {
                std::fs::write(&file, text).unwrap();
            }
            assert!(changed.as_mut().now_or_never().is_none());
            advance(LOOK).await;
            changed.as_mut().now_or_never().is_some()
        };
        assert!(!told(None).await);
        assert!(!told(Some("# t")).await);
        assert!(!told(Some("# two")).await);
        assert!(told(None).await);
    }
}
