//! A key that is named in the configuration, read when the gateway starts, and never told: the other side of what is.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Env(String),
    File(PathBuf),
}

/// A key and where it came from.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
pub struct Secret {
    pub source: Source,
    /// Filled by the configuration: nothing else reads the environment.
    pub value: Option<SecretString>,
}

/// How it stands in the configuration. Untagged: an error says what is expected, and not what is there, which may be the secret
/// itself.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected { env = \"NAME\" } or { file = \"path\" }")]
enum Written {
    Env { env: String },
    File { file: PathBuf },
}

impl From<Written> for Secret {
    fn from(written: Written) -> Self {
        let source = match written {
            Written::Env { env } => Source::Env(env),
            Written::File { file } => Source::File(file),
        };
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
