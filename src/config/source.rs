//! Where the configuration comes from: a file that may change while the gateway runs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::config::reload::cut_off;
use crate::config::{Config, Overrides, Problem, Problems, Reloaded, unreadable};

/// A file, and what it said when it was last read.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    overrides: Overrides,
    /// What it said when it was last taken or refused.
    seen: Option<Text>,
    /// What it said when the configuration in force was read.
    in_force: String,
}

/// What a file says, or why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Result<String, Unreadable>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Unreadable {
    words: String,
    /// There is no such file: it may be about to be replaced.
    is_missing: bool,
}

/// How often it is looked at. What it says is taken once it has said so twice: an editor may still be writing.
const LOOK: Duration = Duration::from_secs(1);

impl Source {
    pub fn new(file: PathBuf, overrides: Overrides) -> Self {
        Self { file, overrides, seen: None, in_force: String::new() }
    }

    /// Reads and checks the file.
    pub fn load(&mut self) -> Result<Config, Problems> {
        let text = self.read();
        self.seen = Some(text.clone());
        let text = text.0.map_err(|error| self.problems(vec![unreadable(&error.words)]))?;
        let config = Config::parse(&text, self.overrides.clone()).map_err(|list| self.problems(list))?;
        self.in_force = text;
        Ok(config)
    }

    /// Waits until the file says something else than when it was last read, and gives that. Cancel safe.
    pub async fn changed(&self) -> Text {
        let mut before = None;
        loop {
            sleep(LOOK).await;
            let now = Some(self.read()).filter(|now| !now.is_missing());
            if now != self.seen
                && now == before
                && let Some(now) = now
            {
                return now;
            }
            before = now;
        }
    }

    /// Waits until the file says the same twice, and gives that. Cancel safe.
    pub async fn settled(&self) -> Text {
        let mut before = self.read();
        loop {
            sleep(LOOK).await;
            let now = self.read();
            if now == before {
                return now;
            }
            before = now;
        }
    }

    /// Checks what the file says now, and whether that may take the place of the configuration `in_force`.
    pub fn reload(&mut self, text: Text, in_force: &Config) -> Result<Reloaded, Problems> {
        let result = self.replacement(&text, in_force);
        self.seen = Some(text);
        result.map_err(|list| self.problems(list))
    }

    /// What was read last is in force.
    pub fn taken(&mut self) {
        if let Some(Text(Ok(text))) = &self.seen {
            self.in_force.clone_from(text);
        }
    }

    fn replacement(&self, text: &Text, in_force: &Config) -> Result<Reloaded, Vec<Problem>> {
        let text = text.0.as_ref().map_err(|error| vec![unreadable(&error.words)])?;
        if let Some(problem) = cut_off(&self.in_force, text) {
            return Err(vec![problem]);
        }
        Config::parse(text, self.overrides.clone())?.replaces(in_force)
    }

    fn read(&self) -> Text {
        Text(std::fs::read_to_string(&self.file).map_err(|error| Unreadable {
            words: error.to_string(),
            is_missing: error.kind() == io::ErrorKind::NotFound,
        }))
    }

    fn problems(&self, list: Vec<Problem>) -> Problems {
        Problems { file: self.file.clone(), list }
    }
}

impl Text {
    fn is_missing(&self) -> bool {
        self.0.as_ref().is_err_and(|error| error.is_missing)
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
