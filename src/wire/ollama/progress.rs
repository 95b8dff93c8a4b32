//! The lines by which Ollama tells how far a pull, a push or a new model is.

use serde::Deserialize;

use crate::wire::json::Field;

/// One line.
#[derive(Debug, Default, Deserialize)]
pub struct Progress<'a> {
    #[serde(borrow, default)]
    status: Field<'a>,
    #[serde(borrow, default)]
    digest: Field<'a>,
    #[serde(borrow, default)]
    total: Field<'a>,
    #[serde(borrow, default)]
    completed: Field<'a>,
    #[serde(borrow, default)]
    error: Field<'a>,
}

impl<'a> Progress<'a> {
    /// Reads a line; nothing of what is no object.
    pub fn read(line: &'a [u8]) -> Self {
        serde_json::from_slice(line).unwrap_or_default()
    }

    /// Is it the last line of what went well?
    pub fn is_success(&self) -> bool {
        self.status.string().as_deref() == Some("success")
    }

    /// Does it say that it went wrong?
    pub fn is_error(&self) -> bool {
        !self.error.is_absent()
    }

    /// A layer, how large it is, and how much of it has come. Models of many small files name none.
    pub fn layer(&self) -> Option<(String, u64, u64)> {
        let total = self.total.whole()?;
        let layer = self.digest.string().or_else(|| self.status.string()).unwrap_or_default();
        Some((layer.into_owned(), total, self.completed.whole().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_of_layers_and_of_the_end() {
        let line = br#"{"status":"pulling ab","digest":"sha256:ab","total":9}"#;
        assert_eq!(Progress::read(line).layer(), Some(("sha256:ab".into(), 9, 0)));
        let line = br#"{"status":"pulling model","total":9,"completed":4}"#;
        assert_eq!(Progress::read(line).layer(), Some(("pulling model".into(), 9, 4)));
        assert_eq!(Progress::read(br#"{"status":"verifying sha256 digest"}"#).layer(), None);
        assert!(Progress::read(br#"{"status":"success"}"#).is_success());
        assert!(Progress::read(br#"{"error":"no"}"#).is_error());
        assert!(!Progress::read(b"[]").is_error());
    }
}
