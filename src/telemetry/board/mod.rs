//! The board: how the backends, the streams and the downloads stand, and everybody who wants to be told when that changes. Who
//! listens is first told how things stand, then every change; who cannot keep up is told how many changes it missed, and how
//! things stand then.
//!
//! The messages are compact JSON with sorted keys: those of downloads are Cortex's.

mod download;
mod listener;
mod live;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::telemetry::board::download::Task;
use crate::telemetry::board::listener::Queue;
use crate::telemetry::board::live::Running;
use crate::telemetry::{Shares, Taken};

pub use download::Download;
pub use listener::Listener;
pub(super) use live::{Live, Stream};

/// A handle on the board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether a backend is up; `None`: it was not asked yet.
    backends: BTreeMap<String, Option<bool>>,
    downloads: BTreeMap<String, Task>,
    streams: BTreeMap<String, Running>,
    listeners: BTreeMap<u64, Queue>,
    next_listener: u64,
    shares: Listening,
}

/// How many listen, by whose key.
#[derive(Debug)]
struct Listening(Shares);

impl Default for Listening {
    fn default() -> Self {
        Self(Shares::new(MAX_LISTENERS))
    }
}

/// What somebody wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Whose streams: what stands for an API key, or nothing where there are none.
    pub owner: Option<String>,
    pub backends: bool,
    pub downloads: bool,
    pub streams: bool,
}

impl Interest {
    /// Everything that `owner` may know.
    pub fn all(owner: Option<String>) -> Self {
        Self { owner, backends: true, downloads: true, streams: true }
    }
}

/// How many may listen at a time; a tenth of them by one key.
const MAX_LISTENERS: usize = 1000;

impl Board {
    /// A board of backends that nobody has asked yet.
    pub fn new(backends: impl Iterator<Item = String>) -> Self {
        let backends = backends.map(|name| (name, None)).collect();
        Self(Arc::new(Mutex::new(State { backends, ..State::default() })))
    }

    /// There are these backends from now on, and no others.
    pub fn keep(&self, backends: impl Iterator<Item = String>) {
        let mut state = self.0.lock();
        let mut before = std::mem::take(&mut state.backends);
        state.backends = backends
            .map(|name| (before.remove(&name).flatten(), name))
            .map(|(up, name)| (name, up))
            .collect();
    }

    /// A backend was reached, or was not.
    pub fn backend(&self, name: &str, is_up: bool) {
        let mut state = self.0.lock();
        if state.backends.get(name) == Some(&Some(is_up)) {
            return;
        }
        state.backends.insert(name.to_owned(), Some(is_up));
        let message = || {
            json!({
                "backend": backend(name, Some(is_up)),
                "type": if is_up { "BackendUp" } else { "BackendDown" },
            })
        };
        state.tell(message, |interest| interest.backends);
    }

    /// Does somebody listen who wants that?
    pub fn is_heard(&self, wants: impl Fn(&Interest) -> bool) -> bool {
        self.0.lock().listeners.values().any(|queue| wants(&queue.interest))
    }

    /// Listens from now on, if there is room.
    pub fn listen(&self, interest: Interest) -> Result<Listener, Taken> {
        let mut state = self.0.lock();
        state.shares.0.take(interest.owner.as_deref())?;
        let number = state.next_listener;
        state.next_listener += 1;
        let snapshot = state.snapshot(&interest);
        state.listeners.insert(number, Queue::new(interest, snapshot));
        Ok(Listener::new(self.clone(), number))
    }
}

impl State {
    /// Tells those who are interested.
    fn tell(&mut self, message: impl Fn() -> Value, is_for: impl Fn(&Interest) -> bool) {
        let mut text: Option<Arc<str>> = None; // written once, and only if somebody listens
        for queue in self.listeners.values_mut().filter(|queue| is_for(&queue.interest)) {
            queue.push(text.get_or_insert_with(|| message().to_string().into()));
        }
    }

    /// How things stand.
    fn snapshot(&self, interest: &Interest) -> Arc<str> {
        let backends = || self.backends.iter().map(|(name, up)| backend(name, *up));
        let streams = || self.streams.values().filter(|stream| stream.owner == interest.owner);
        let mut message = Map::from_iter([("type".to_owned(), "Snapshot".into())]);
        if interest.backends {
            message.insert("backends".into(), backends().collect());
        }
        if interest.downloads {
            message.insert("downloads".into(), self.downloads.values().map(Task::json).collect());
        }
        if interest.streams {
            message.insert("streams".into(), streams().map(Running::json).collect());
        }
        Value::Object(message).to_string().into()
    }
}

fn backend(name: &str, up: Option<bool>) -> Value {
    let state = match up {
        None => "unknown",
        Some(true) => "up",
        Some(false) => "down",
    };
    json!({ "name": name, "state": state })
}
