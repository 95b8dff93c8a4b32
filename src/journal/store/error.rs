//! What can go wrong with the store: it is away, and everything is tried again later, or it does not want this.

use redis::RedisError;

use crate::journal::new::StoreError;

/// The words of a server that may take it later: full, a replica of another, loading, without enough replicas.
const LATER: [&str; 8] =
    ["OOM", "READONLY", "NOREPLICAS", "MISCONF", "LOADING", "BUSY", "MASTERDOWN", "NOAUTH"];

/// The words of a server that does not permit it. Within a script they differ between versions.
const FORBIDDEN: [&str; 5] = [
    "NOPERM",
    "ACL failure in script",
    "can't run this command",
    "can't access at least one of the keys",
    "can't publish to the channel",
];

/// Does the server's user lack a permission?
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    says(error, &FORBIDDEN)
}

/// Did no answer come in time, so that nobody knows what became of it?
pub(super) fn is_late(error: &RedisError) -> bool {
    error.is_timeout()
}

/// Is one of these the code of the error, or among its words? An error inside a script has no code of its own: it comes with the
/// script's words around it, which differ between versions.
fn says(error: &RedisError, words: &[&str]) -> bool {
    let text = error.to_string();
    words.iter().any(|word| error.code() == Some(word) || text.contains(word))
}

impl From<&RedisError> for StoreError {
    fn from(error: &RedisError) -> Self {
        let unanswered = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || error.is_connection_refusal();
        if unanswered || is_forbidden(error) || says(error, &LATER) { Self::Away } else { Self::Refused }
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// The error that a server's reply is.
    fn error(reply: &str) -> RedisError {
        let parsed = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes());
        parsed.and_then(Value::extract_error).unwrap_err()
    }

    #[test]
    fn what_a_server_may_take_later_is_no_refusal() {
        for reply in [
            "LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "BUSY Redis is busy running a script.",
            "NOREPLICAS Not enough good replicas to write.",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOPERM this user has no permissions to run the 'xadd' command",
            "ERR The user executing the script can't run this command or subcommand script: 0, on @user_script:2.",
            "ERR ACL failure in script: User x has no permissions to run the 'xadd' command",
        ] {
            assert_eq!(StoreError::from(&error(reply)), StoreError::Away, "{reply}");
        }
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(StoreError::from(&error(wrong)), StoreError::Refused);
    }

    #[test]
    fn what_is_not_permitted_is_known_inside_scripts_too() {
        for reply in [
            "NOPERM this user has no permissions to run the 'xadd' command",
            "ERR The user executing the script can't run this command or subcommand script: 0",
            "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
            "ERR The user executing the script can't publish to the channel mentioned in the command",
        ] {
            assert!(is_forbidden(&error(reply)), "{reply}");
        }
        assert!(!is_forbidden(&error("OOM command not allowed")));
    }
}
