//! A key that is named in the configuration, read when the gateway starts, and never told: the other side of what is.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    Env(String),
    File(PathBuf),
}

/// A key and where it came from.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Source")]
pub struct Secret {
    pub source: Source,
    /// Filled by the configuration: nothing else reads the environment.
    pub value: Option<SecretString>,
}

impl From<Source> for Secret {
    fn from(source: Source) -> Self {
        Self { source, value: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
        }
    }
}
