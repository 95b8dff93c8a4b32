//! The names of what is in the store. All keys of one stream share one hash slot; names of callers stand there as digests only.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::telemetry::random_id;

/// Makes the names.
#[derive(Clone)]
pub(super) struct Names {
    seal: Option<[u8; 32]>,
}

/// The keys of one stream.
pub(super) struct StreamKeys {
    /// How it stands.
    pub(super) meta: String,
    pub(super) frames: String,
    /// What is known of it from its beginning, in pieces.
    pub(super) head: String,
    /// There while somebody reads it on another replica than its writer's.
    pub(super) readers: String,
    /// The viewers that may not read it any more.
    pub(super) viewers: String,
    /// Where it is told that it has grown.
    pub(super) channel: String,
}

impl StreamKeys {
    pub(super) fn new(id: &str) -> Self {
        Self {
            meta: format!("sg:{{{id}}}:meta"),
            frames: format!("sg:{{{id}}}:frames"),
            head: format!("sg:{{{id}}}:head"),
            readers: format!("sg:{{{id}}}:readers"),
            viewers: format!("sg:{{{id}}}:viewers"),
            channel: channel(id),
        }
    }
}

/// Where the pieces of one large frame wait for the others.
pub(super) fn staged(id: &str) -> String {
    format!("sg:{{{id}}}:staged:{}", random_id())
}

fn channel(id: &str) -> String {
    format!("sg:{{{id}}}")
}

/// The stream that is told of on a channel.
pub(super) fn stream_of(channel: &str) -> Option<&str> {
    channel.strip_prefix("sg:{")?.strip_suffix('}')
}

/// Where a replica is told which of its streams to look after.
pub(super) fn replica(id: &str) -> String {
    format!("sg:replica:{id}")
}

/// Where every replica writes now and then, to see whether it can.
pub(super) const PROBE: &str = "sg:probe";
/// The names of all channels, and until when they count.
pub(super) const CHANNELS: &str = "sg:{channels}";
/// The secret that addresses are signed with.
pub(super) const SECRET: &str = "sg:secret";

impl Names {
    pub(super) fn new(seal: Option<[u8; 32]>) -> Self {
        Self { seal }
    }

    /// What the key of a request stands for.
    pub(super) fn key(&self, owner: Option<&str>, name: &str) -> String {
        format!("sg:key:{}", self.digest(owner, name))
    }

    /// What a backend calls a stream.
    pub(super) fn alias(&self, owner: Option<&str>, name: &str) -> String {
        format!("sg:alias:{}", self.digest(owner, name))
    }

    /// The newest stream of a conversation.
    pub(super) fn conversation(&self, owner: Option<&str>, name: &str) -> String {
        format!("sg:conversation:{{{}}}", self.digest(owner, name))
    }

    /// The channel of a name, as it stands now.
    pub(super) fn channel(&self, owner: Option<&str>, name: &str) -> String {
        format!("sg:channel:{}", self.digest(owner, name))
    }

    /// The names of an owner's channels, in the slot of the names of all.
    pub(super) fn channels(&self, owner: Option<&str>) -> String {
        format!("{CHANNELS}:{}", self.owner(owner))
    }

    /// The streams of a conversation that may still run, in the slot of its name.
    pub(super) fn line(&self, owner: Option<&str>, name: &str) -> String {
        format!("sg:line:{{{}}}", self.digest(owner, name))
    }

    /// The streams of a caller.
    pub(super) fn list(&self, owner: Option<&str>) -> String {
        format!("sg:list:{}", self.owner(owner))
    }

    /// What a caller's key has used.
    pub(super) fn budget(&self, key: &str) -> String {
        format!("sg:{{budget:{}}}", self.digest(Some(key), "budget"))
    }

    pub(super) fn owner(&self, owner: Option<&str>) -> String {
        self.digest(owner, "")
    }

    fn digest(&self, owner: Option<&str>, name: &str) -> String {
        // The length keeps apart what the two together could make alike.
        let text = match owner {
            Some(owner) => format!("{} {owner} {name}", owner.len()),
            None => format!("- {name}"),
        };
        let digest: [u8; 32] = match self.seal.and_then(|key| Hmac::<Sha256>::new_from_slice(&key).ok()) {
            Some(mac) => mac.chain_update(text).finalize().into_bytes().into(),
            None => Sha256::digest(text).into(),
        };
        digest.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]).map(hex).collect()
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_stream_share_a_slot_and_its_channel_names_it() {
        let keys = StreamKeys::new("abc");
        for key in [&keys.meta, &keys.frames, &keys.head, &keys.readers, &keys.viewers] {
            assert!(key.starts_with("sg:{abc}:"));
        }
        assert_eq!(stream_of(&keys.channel), Some("abc"));
        assert_eq!(stream_of(&replica("abc")), None);
    }

    #[test]
    fn names_of_different_callers_differ() {
        let names = Names::new(None);
        assert_ne!(names.key(Some("a"), "b c"), names.key(Some("a b"), "c"));
        assert_ne!(names.key(None, "a"), names.key(Some(""), "a"));
        assert_ne!(names.key(None, "a"), Names::new(Some([1; 32])).key(None, "a"));
    }
}
