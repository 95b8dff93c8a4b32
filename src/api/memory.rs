//! Memory for request bodies: how many bytes of them all requests may hold at a time, and those of one key. What is held is
//! counted from before it is read until the last copy of it is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use bytesize::ByteSize;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::edge::{Caller, Refusal};
use crate::telemetry::Metrics;
use crate::upstream::{INLINE_BYTES, Offload};
use crate::wire::Code;

/// The budget of all workers; a clone is a handle.
#[derive(Clone, Debug)]
pub struct BodyMemory {
    held: Arc<Mutex<Held>>,
    limits: MemoryLimits,
    turns: usize,
    metrics: Metrics,
}

/// How many bytes of bodies may be held.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    pub all: usize,
    pub per_key: usize,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// By the name of the key; those that hold nothing are not among them.
    by_key: HashMap<Option<Arc<str>>, OfKey>,
}

#[derive(Debug)]
struct OfKey {
    bytes: usize,
    /// Its long work is done in turn.
    turns: Arc<Semaphore>,
}

/// What one request holds; a clone is a handle.
#[derive(Clone, Debug)]
pub(super) struct Account(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    memory: BodyMemory,
    key: Option<Arc<str>>,
    /// Of this request alone; changed under the lock of `memory`.
    own: AtomicUsize,
}

/// Bytes that count as held while this lives.
#[derive(Debug)]
pub(super) struct Charge {
    account: Account,
    bytes: usize,
}

/// A buffer, and the bytes that it takes: in this order they are dropped.
#[derive(Debug)]
struct Charged {
    buffer: Vec<u8>,
    _charge: Charge,
}

/// How long a refused client is asked to stay away, in seconds.
const RETRY_AFTER: u32 = 5;
/// Smaller buffers are not worth being moved to give back what they have too much.
const SHRUNK: usize = 64 << 10;

impl BodyMemory {
    /// `turns`: on how many bodies of one key there is long work at a time.
    pub fn new(limits: MemoryLimits, turns: usize, metrics: Metrics) -> Self {
        Self { held: Arc::default(), limits, turns, metrics }
    }

    /// Other limits, for what is held already too.
    #[must_use]
    pub fn renewed(&self, limits: MemoryLimits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// An account for one request of a caller.
    pub(super) fn account(&self, caller: &Caller) -> Account {
        Account(Arc::new(Holder { memory: self.clone(), key: caller.key(), own: AtomicUsize::new(0) }))
    }
}

impl Account {
    /// Puts so many bytes aside, or refuses the request: what has no room is not read.
    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, Refusal> {
        let mut charge = Charge { account: self.clone(), bytes: 0 };
        charge.resize(bytes)?;
        Ok(charge)
    }

    /// The buffer as bytes that count as held until their last copy is dropped.
    pub(super) fn hold(&self, buffer: impl Into<Vec<u8>>) -> Result<Bytes, Refusal> {
        let mut buffer = buffer.into();
        if buffer.capacity() - buffer.len() > SHRUNK {
            buffer.shrink_to_fit();
        }
        let charge = self.charge(buffer.capacity())?;
        Ok(charge.keep(buffer))
    }

    /// The result of work on so many bytes of the request. Long work of one key waits for its turn, so that another's has not to
    /// wait behind all of it; where there are no keys there are no turns. Cancel safe: work that has not begun is given up.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        offload: &Offload,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let turns = if bytes < INLINE_BYTES { None } else { self.turns() };
        let Some(turns) = turns else { return offload.run(bytes, work).await };
        let turn = turns.acquire_owned().await;
        let work = move || {
            let _turn = turn; // until the work is over, whoever still waits for it
            work()
        };
        offload.run(bytes, work).await
    }

    fn turns(&self) -> Option<Arc<Semaphore>> {
        let Holder { memory, key, .. } = &*self.0;
        key.as_ref()?;
        memory.held.lock().by_key.get(key).map(|of_key| Arc::clone(&of_key.turns))
    }

    /// A body that was made from another, unless it is that one, which counts already.
    pub(super) fn rewritten(&self, from: &Bytes, body: Bytes) -> Result<Bytes, Refusal> {
        if body.as_ptr() == from.as_ptr() { Ok(body) } else { self.hold(body) }
    }

    /// A request that is alone in its key's share may take more than that: what it needs is known only when it is understood, and
    /// one that were refused then would be refused for ever.
    fn take(&self, more: usize) -> Result<(), Refusal> {
        let Holder { memory: BodyMemory { held, limits, turns, metrics }, key, own } = &*self.0;
        let refused = |code, words: String| {
            metrics.refused("body_memory");
            Err(Refusal::new(code, words).retry_after(RETRY_AFTER))
        };
        let mut held = held.lock();
        let alone = own.load(Ordering::Relaxed);
        let before = held.by_key.get(key).map_or(0, |of_key| of_key.bytes);
        if held.all.saturating_add(more) > limits.all {
            drop(held);
            return refused(Code::QueueFull, "the gateway has no memory for another body".into());
        }
        if before > alone && before.saturating_add(more) > limits.per_key {
            drop(held);
            let share = ByteSize(limits.per_key as u64);
            let words = format!("the requests of this API key hold their share of memory already: {share}");
            return refused(Code::RateLimited, words);
        }
        held.all += more;
        let new = || OfKey { bytes: 0, turns: Arc::new(Semaphore::new(*turns)) };
        held.by_key.entry(key.clone()).or_insert_with(new).bytes += more;
        own.store(alone + more, Ordering::Relaxed);
        metrics.body_bytes(held.all);
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let Holder { memory: BodyMemory { held, metrics, .. }, key, own } = &*self.0;
        let mut held = held.lock();
        held.all = held.all.saturating_sub(bytes);
        if let Some(of_key) = held.by_key.get_mut(key) {
            of_key.bytes = of_key.bytes.saturating_sub(bytes);
            if of_key.bytes == 0 {
                held.by_key.remove(key);
            }
        }
        own.store(own.load(Ordering::Relaxed).saturating_sub(bytes), Ordering::Relaxed);
        metrics.body_bytes(held.all);
    }
}

impl Charge {
    /// Counts as many bytes as these from now on. An error if they are more than there is room for: then it stays as it was.
    pub(super) fn resize(&mut self, bytes: usize) -> Result<(), Refusal> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.account.take(more)?,
            None => self.account.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The buffer as bytes that count until their last copy is dropped.
    pub(super) fn keep(self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Charged { buffer, _charge: self })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.give_back(self.bytes);
        }
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn memory(all: usize, per_key: usize) -> BodyMemory {
        BodyMemory::new(MemoryLimits { all, per_key }, 1, Metrics::new())
    }

    fn account(memory: &BodyMemory, key: &str) -> Account {
        Account(Arc::new(Holder { memory: memory.clone(), key: Some(key.into()), own: AtomicUsize::new(0) }))
    }

    fn held(memory: &BodyMemory) -> (usize, usize) {
        let held = memory.held.lock();
        (held.all, held.by_key.len())
    }

    #[test]
    fn a_key_has_its_share_and_all_keys_the_whole() {
        let memory = memory(100, 40);
        let _first = account(&memory, "alice").charge(30).unwrap();
        let refused = account(&memory, "alice").charge(11).unwrap_err();
        assert_eq!((refused.failure.status(), refused.retry_after), (429, Some(RETRY_AFTER)));
        let _second = account(&memory, "alice").charge(10).unwrap();
        let _others = ["bob", "carol"].map(|key| account(&memory, key).charge(30).unwrap());
        let refused = account(&memory, "dave").charge(1).unwrap_err();
        assert_eq!((refused.failure.status(), refused.retry_after), (503, Some(RETRY_AFTER)));
    }

    #[test]
    fn what_is_dropped_is_given_back_with_its_last_copy() {
        let memory = memory(100, 40);
        let body = account(&memory, "alice").hold(b"twelve bytes".to_vec()).unwrap();
        let copy = body.slice(2..4);
        drop(body);
        assert_eq!(held(&memory), (12, 1));
        drop(copy);
        assert_eq!(held(&memory), (0, 0));
    }

    #[test]
    fn a_request_alone_may_need_more_than_a_share_but_not_beside_another() {
        let memory = memory(100, 40);
        let alone = account(&memory, "alice");
        let mut body = alone.charge(40).unwrap();
        let more = alone.charge(30).unwrap();
        assert!(alone.charge(31).is_err(), "more than there is for all");
        assert!(account(&memory, "alice").charge(1).is_err());
        drop(more);
        body.resize(20).unwrap();
        let _other = account(&memory, "alice").charge(20).unwrap();
        assert!(body.resize(21).is_err());
        assert_eq!(body.bytes(), 20);
    }

    #[tokio::test]
    async fn long_work_of_one_key_is_done_in_turn_and_anothers_does_not_wait_for_it() {
        let memory = memory(100, 40);
        let hanging = Offload::new(|_, work| {
            Box::pin(async move {
                std::future::pending::<()>().await;
                work();
            })
        });
        let direct = Offload::new(|_, work| Box::pin(async move { work() }));
        let [first, second, other] = ["alice", "alice", "bob"].map(|key| account(&memory, key));
        let _held = [&first, &second, &other].map(|account| account.charge(1).unwrap());
        let mut running = Box::pin(first.run(&hanging, INLINE_BYTES, || {}));
        assert!(running.as_mut().now_or_never().is_none());
        let mut waiting = Box::pin(second.run(&direct, INLINE_BYTES, || {}));
        assert!(waiting.as_mut().now_or_never().is_none());
        other.run(&direct, INLINE_BYTES, || {}).await;
        second.run(&direct, INLINE_BYTES - 1, || {}).await; // small work has no turns
        drop(running);
        waiting.await;
    }
}
