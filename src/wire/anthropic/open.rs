//! A block of Anthropic's that is open.

/// The backend's index and ours, which differ where it sends blocks that we do not know.
#[derive(Debug)]
pub(super) struct Open {
    /// `None` where the backend does not say.
    pub(super) theirs: Option<u64>,
    pub(super) index: u32,
    pub(super) kind: Kind,
}

/// What it holds.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Reasoning,
    Redacted,
    Call,
    /// No block of ours, and its name until that was told.
    Foreign {
        name: Option<String>,
    },
}

impl Kind {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
