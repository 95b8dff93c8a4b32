//! What can go wrong with the store: it is away, and everything is tried again later, or it does not want this.

use redis::RedisError;

use crate::journal::new::StoreError;

/// The words of a server that may take it later: full, a replica of another, loading, without enough replicas.
const LATER: [&str; 9] =
    ["OOM", "READONLY", "NOREPLICAS", "MISCONF", "LOADING", "BUSY", "MASTERDOWN", "NOAUTH", "NOPERM"];

impl From<&RedisError> for StoreError {
    fn from(error: &RedisError) -> Self {
        let unanswered = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || error.is_connection_refusal();
        // An error inside a script comes with the script's words around it, which differ between versions.
        let later = || {
            let text = error.to_string();
            LATER.iter().any(|word| text.contains(word))
        };
        if unanswered || later() { Self::Away } else { Self::Refused }
    }
}
