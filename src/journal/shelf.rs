//! Where the records of this process stand: found by their id, by their conversation and by the key of the request that made
//! them, and thrown away when their time is over or the room is needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::journal::record::{Meta, Record, Role, Stage};
use crate::journal::{Busy, Config, Created, Key, New, OpenError, Writer};

/// The records of this process, and those of other replicas that are read here.
#[derive(Debug)]
pub(super) struct Shelf {
    limits: Limits,
    max_bytes: usize,
    total: Arc<AtomicUsize>,
    places: Mutex<Places>,
}

/// What holds for every record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) stream_bytes: usize,
    pub(super) readers: usize,
}

#[derive(Debug, Default)]
struct Places {
    records: HashMap<String, Place>,
    /// The streams of a conversation that may still run, and its newest, which is the last.
    conversations: HashMap<Named, Vec<String>>,
    keys: HashMap<Named, Claimed>,
    /// Records have gone whose names are still there.
    untidy: bool,
}

/// An owner, and a name that is theirs.
type Named = (Option<String>, String);

#[derive(Debug)]
enum Place {
    Kept(Arc<Record>),
    /// It was here, and is not any more.
    Expired {
        owner: Option<String>,
        until: Instant,
    },
}

#[derive(Clone, Debug)]
struct Claimed {
    fingerprint: [u8; 32],
    id: String,
}

/// How long it is remembered that a record was there.
const EXPIRED: Duration = Duration::from_hours(1);
/// How many expired records are remembered.
const MAX_EXPIRED: usize = 100_000;

impl Shelf {
    pub(super) fn new(config: &Config) -> Self {
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Self {
            limits: Limits { stream_bytes: bytes(config.max_stream_bytes), readers: config.max_readers },
            max_bytes: bytes(config.max_bytes),
            total: Arc::default(),
            places: Mutex::default(),
        }
    }

    /// How many records there are, how many read them, and how many bytes they hold.
    pub(super) fn totals(&self) -> (usize, usize, usize) {
        let places = self.places.lock();
        let kept = places.records.values().filter_map(|place| match place {
            Place::Kept(record) => Some(record.status().readers),
            Place::Expired { .. } => None,
        });
        let (records, readers) = kept.fold((0, 0), |(records, all), readers| (records + 1, all + readers));
        (records, readers, self.bytes())
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// A record that does not stand here yet.
    pub(super) fn record(&self, meta: Meta, role: Role) -> Arc<Record> {
        Arc::new(Record::new(meta, self.limits, Arc::clone(&self.total), role))
    }

    /// Begins a record, unless there is one that stands for it. The newest of a conversation is the one that the conversation's
    /// name stands for.
    pub(super) fn create(&self, new: New, role: Role) -> Created {
        self.make_room();
        let New { meta, key, busy } = new;
        let named = |name: &String| (meta.owner.clone(), name.clone());
        let mut places = self.places.lock();
        if let Some(key) = &key
            && let Some(claimed) = places.keys.get(&named(&key.name)).cloned()
            && let Some(earlier) = places.kept(&claimed.id)
        {
            if claimed.fingerprint != key.fingerprint {
                return Created::Differs;
            }
            if earlier.answers() {
                return Created::Repeats(earlier);
            }
        }
        let conversation = meta.conversation.as_ref().map(named);
        let its = conversation.as_ref().and_then(|name| places.conversations.get(name));
        let running: Vec<Arc<Record>> = its
            .into_iter()
            .flatten()
            .filter_map(|id| places.kept(id).filter(|record| record.goes_on()))
            .collect();
        let before = running.last().map(Arc::clone);
        if let (Some(before), Busy::Yield) = (&before, busy) {
            return Created::Busy(Arc::clone(before));
        }
        let record = self.record(meta, role);
        places.put(&record, key);
        drop(places);
        Created::New { writer: Writer::recorded(Arc::clone(&record)), record, before }
    }

    /// Gives a record its place, whose names are still to be taken.
    pub(super) fn stand(&self, record: &Arc<Record>) {
        self.make_room();
        let place = Place::Kept(Arc::clone(record));
        self.places.lock().records.insert(record.meta().id.clone(), place);
    }

    /// Gives a record its place, and its names.
    pub(super) fn put(&self, record: &Arc<Record>, key: Option<Key>) {
        self.make_room();
        self.places.lock().put(record, key);
    }

    /// Gives a record of another replica its place, unless there is one of this id: then it gives that one.
    pub(super) fn put_mirror(&self, record: Arc<Record>) -> Arc<Record> {
        self.make_room();
        let mut places = self.places.lock();
        if let Some(kept) = places.kept(&record.meta().id) {
            return kept;
        }
        places.records.insert(record.meta().id.clone(), Place::Kept(Arc::clone(&record)));
        record
    }

    /// The record of an id, whoever's it is; `None` where there never was one here.
    pub(super) fn find(&self, id: &str) -> Option<Result<Arc<Record>, Option<String>>> {
        self.places.lock().records.get(id).map(|place| match place {
            Place::Kept(record) => Ok(Arc::clone(record)),
            Place::Expired { owner, .. } => Err(owner.clone()),
        })
    }

    /// The id of the newest record of a conversation.
    pub(super) fn conversation(&self, owner: Option<&str>, name: &str) -> Result<String, OpenError> {
        let named = (owner.map(String::from), String::from(name));
        let places = self.places.lock();
        places.conversations.get(&named).and_then(|ids| ids.last().cloned()).ok_or(OpenError::Unknown)
    }

    /// The ids of the records of a conversation that may still run.
    pub(super) fn line(&self, owner: Option<&str>, name: &str) -> Vec<String> {
        let named = (owner.map(String::from), String::from(name));
        self.places.lock().conversations.get(&named).cloned().unwrap_or_default()
    }

    /// The records for which `is` holds.
    pub(super) fn all(&self, is: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        let places = self.places.lock();
        let kept = places.records.values().filter_map(|place| match place {
            Place::Kept(record) if is(record) => Some(Arc::clone(record)),
            Place::Kept(_) | Place::Expired { .. } => None,
        });
        kept.collect()
    }

    /// Takes a record away that has not got its names.
    pub(super) fn withdraw(&self, record: &Record) {
        self.places.lock().records.remove(&record.meta().id);
    }

    /// Takes a record of another replica away, and breaks off who still reads it.
    pub(super) fn remove(&self, record: &Record) {
        let mut places = self.places.lock();
        places.remove(&record.meta().id);
        places.tidy();
    }

    /// Throws away a record at once.
    pub(super) fn delete(&self, record: &Record) {
        self.places.lock().expire(&record.meta().id);
    }

    /// Throws away what is over its time. To be called now and then.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut places = self.places.lock();
        let over: Vec<String> = places
            .records
            .values()
            .filter_map(|place| match place {
                Place::Kept(record) if record.is_mirror() => None, // its follower sees to that
                Place::Kept(record) => {
                    record.drop_slow(now);
                    let ended = record.status().ended?.at;
                    let over = ended.checked_add(record.meta().retention)?;
                    (now >= over).then(|| record.meta().id.clone())
                }
                Place::Expired { .. } => None,
            })
            .collect();
        for id in over {
            places.expire(&id);
        }
        let mut remembered = places.records.len();
        places.records.retain(|_, place| match place {
            Place::Expired { until, .. } if now >= *until || remembered > MAX_EXPIRED => {
                remembered -= 1;
                false
            }
            Place::Expired { .. } | Place::Kept(_) => true,
        });
        places.tidy();
        drop(places);
        self.make_room();
    }

    /// Throws away finished records, the oldest first, then the oldest frames of running ones, until what is kept has room.
    fn make_room(&self) {
        if self.bytes() <= self.max_bytes {
            return;
        }
        let mut places = self.places.lock();
        let mut records: Vec<_> = places
            .records
            .values()
            .filter_map(|place| match place {
                Place::Kept(record) => {
                    Some((record.status().ended.map(|ended| ended.at), Arc::clone(record)))
                }
                Place::Expired { .. } => None,
            })
            .collect();
        records.sort_by_key(|(ended, record)| (ended.is_none(), *ended, record.meta().created));
        for (ended, record) in records {
            let over = self.bytes().saturating_sub(self.max_bytes);
            if over == 0 {
                break;
            }
            let elsewhere = record.is_mirror()
                || record.copied().is_some_and(|copied| copied.progress().stage == Stage::Whole);
            if ended.is_some() && elsewhere {
                places.remove(&record.meta().id);
            } else if ended.is_some() {
                places.expire(&record.meta().id);
            } else {
                record.trim(over);
            }
        }
        places.tidy();
    }
}

impl Places {
    fn kept(&self, id: &str) -> Option<Arc<Record>> {
        match self.records.get(id) {
            Some(Place::Kept(record)) => Some(Arc::clone(record)),
            Some(Place::Expired { .. }) | None => None,
        }
    }

    fn put(&mut self, record: &Arc<Record>, key: Option<Key>) {
        let meta = record.meta();
        let named = |name: String| (meta.owner.clone(), name);
        if let Some(Key { name, fingerprint }) = key {
            self.keys.insert(named(name), Claimed { fingerprint, id: meta.id.clone() });
        }
        if let Some(conversation) = meta.conversation.clone() {
            let name = named(conversation);
            let ids = self.conversations.remove(&name).unwrap_or_default();
            let runs = |id: &String| self.kept(id).is_some_and(|record| record.goes_on());
            let ids = ids.into_iter().filter(runs).chain([meta.id.clone()]).collect();
            self.conversations.insert(name, ids);
        }
        self.records.insert(meta.id.clone(), Place::Kept(Arc::clone(record)));
    }

    fn remove(&mut self, id: &str) {
        if let Some(Place::Kept(record)) = self.records.remove(id) {
            record.forget();
            self.untidy |= !record.is_mirror(); // a mirror has no names here
        }
    }

    fn expire(&mut self, id: &str) {
        let Some(place) = self.records.get_mut(id) else { return };
        if let Place::Kept(record) = place {
            record.forget();
            if let Some(copied) = record.copied() {
                copied.set(Stage::Never); // what is forgotten cannot be sent
            }
            let owner = record.meta().owner.clone();
            self.untidy = true;
            *place = Place::Expired { owner, until: Instant::now() + EXPIRED };
        }
    }

    /// Forgets names whose records are not there any more.
    fn tidy(&mut self) {
        if !std::mem::take(&mut self.untidy) {
            return;
        }
        let records = &self.records;
        let kept = |id: &String| matches!(records.get(id), Some(Place::Kept(_)));
        self.conversations.retain(|_, ids| {
            ids.retain(kept);
            !ids.is_empty()
        });
        self.keys.retain(|_, claimed| kept(&claimed.id));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use tokio::time::{advance, sleep};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::journal::record::Copied;
    use crate::journal::{Gone, Reader, Trimmed, Viewer};

    fn journal(max_stream_bytes: u64, max_bytes: u64) -> Shelf {
        let size = bytesize::ByteSize::b;
        Shelf::new(&Config {
            max_stream_bytes: size(max_stream_bytes),
            max_bytes: size(max_bytes),
            ..Config::default()
        })
    }

    fn meta(id: &str, linger: Option<Duration>) -> Meta {
        Meta {
            id: id.into(),
            owner: None,
            conversation: Some("talk".into()),
            channel: None,
            created: SystemTime::now(),
            linger,
            retention: Duration::from_mins(1),
            label: Bytes::from_static(b"label"),
        }
    }

    fn create(journal: &Shelf, id: &str, linger: Option<Duration>) -> (Writer, Arc<Record>) {
        let key = Key { name: id.into(), fingerprint: [0; 32] };
        let new = New { meta: meta(id, linger), key: Some(key), busy: Busy::Begin };
        let Created::New { writer, record, .. } = journal.create(new, Role::Alone) else {
            unreachable!("a new key")
        };
        (writer, record)
    }

    fn read(record: &Arc<Record>, after: u64, viewer: Option<&str>) -> Result<Reader, Trimmed> {
        let viewer = viewer.map(|id| Viewer::new(id.into(), true));
        record.read(after, viewer, CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_on_for_so_long_without_a_reader() {
        let (writer, record) = create(&journal(1000, 10_000), "a", Some(Duration::from_mins(1)));
        let began = Instant::now();
        let reader = read(&record, 0, None).unwrap();
        tokio::join!(
            async {
                sleep(Duration::from_mins(10)).await;
                drop(reader);
                sleep(Duration::from_secs(50)).await;
                let back = read(&record, 0, None).unwrap();
                sleep(Duration::from_secs(50)).await;
                drop(back);
                sleep(Duration::from_secs(50)).await;
                record.touch();
            },
            async { assert_eq!(writer.abandoned().await, Gone::Left) }
        );
        assert_eq!(began.elapsed().as_secs(), 600 + 50 + 50 + 50 + 60);
        assert!(!record.answers(), "who comes now is answered anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_runs_by_itself_is_never_abandoned_but_can_be_cancelled() {
        let (writer, record) = create(&journal(1000, 10_000), "a", None);
        let waited = tokio::time::timeout(Duration::from_hours(1), writer.abandoned()).await;
        assert!(waited.is_err());
        record.cancel(Gone::Superseded);
        record.cancel(Gone::Cancelled);
        assert_eq!(writer.abandoned().now_or_never(), Some(Gone::Superseded));
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_was_kept_is_given_back() {
        let journal = journal(100, 1 << 20);
        let (writer, record) = create(&journal, "a", None);
        assert!(journal.bytes() > 0);
        let reader = read(&record, 0, None).unwrap();
        for _ in 0..50 {
            writer.append([Bytes::from_static(b"0123456789")]);
        }
        let status = record.status();
        assert_eq!((status.first, status.last, status.bytes), (41, 50, 100));
        writer.close();
        advance(Duration::from_mins(2)).await;
        journal.sweep();
        assert!(matches!(journal.find("a"), Some(Err(None))));
        drop((reader, record));
        assert_eq!(journal.bytes(), 0);
        advance(EXPIRED).await;
        journal.sweep();
        assert!(journal.find("a").is_none());
        let places = journal.places.lock();
        assert!(places.records.is_empty() && places.conversations.is_empty() && places.keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn finished_streams_make_room_before_running_ones_lose_anything() {
        let journal = journal(10_000, 12_000);
        let (running, record) = create(&journal, "running", None);
        running.append((0..4).map(|_| Bytes::from(vec![0; 1000])));
        for id in ["b", "c"] {
            let (writer, _) = create(&journal, id, None);
            writer.append([Bytes::from(vec![0; 3000])]);
            writer.close();
            advance(Duration::from_secs(1)).await;
        }
        journal.sweep();
        assert!(matches!(journal.find("b"), Some(Err(None))));
        assert!(matches!(journal.find("c"), Some(Ok(_))));
        assert_eq!(record.status().first, 1);
        running.append((0..5).map(|_| Bytes::from(vec![0; 1500])));
        journal.sweep();
        assert!(matches!(journal.find("c"), Some(Err(None))));
        assert!(record.status().first > 1 && journal.bytes() <= 12_000);
    }

    #[tokio::test(start_paused = true)]
    async fn names_go_with_finished_streams_that_others_keep_too() {
        let journal = journal(10_000, 12_000);
        for id in ["a", "b", "c", "d"] {
            let key = Key { name: id.into(), fingerprint: [0; 32] };
            let meta = Meta { conversation: Some(id.into()), ..meta(id, None) };
            let role = Role::Source(Copied::new(Arc::default(), Some(key.clone())));
            let new = New { meta, key: Some(key), busy: Busy::Begin };
            let Created::New { writer, record, .. } = journal.create(new, role) else {
                unreachable!("a new key")
            };
            writer.append([Bytes::from(vec![0; 4000])]);
            writer.close();
            record.copied().unwrap().set(Stage::Whole);
            advance(Duration::from_secs(1)).await;
        }
        journal.sweep();
        let places = journal.places.lock();
        assert!(places.records.len() < 4);
        assert_eq!(places.conversations.len(), places.records.len());
        assert_eq!(places.keys.len(), places.records.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stands_still_is_dropped_and_one_that_reads_slowly_is_not() {
        let journal = journal(16 << 20, 64 << 20);
        let (writer, record) = create(&journal, "a", None);
        let (stuck, slow) = (CancellationToken::new(), CancellationToken::new());
        let _stuck = record.read(0, None, stuck.clone()).unwrap();
        let mut reader = record.read(0, None, slow.clone()).unwrap();
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..20 {
            writer.append([Bytes::from(vec![0; 100 << 10])]);
        }
        for second in 0..10 {
            advance(Duration::from_secs(1)).await;
            assert!(reader.poll_next(&cx).is_ready());
            journal.sweep();
            assert!(!stuck.is_cancelled() || second >= 3);
        }
        assert!(stuck.is_cancelled() && !slow.is_cancelled());
    }

    #[test]
    fn the_newest_viewer_wins_although_an_older_one_is_let_in_behind_it() {
        let (writer, record) = create(&journal(1000, 10_000), "a", None);
        let come = |id: &str, turn| {
            let viewer = Viewer { turn, ..Viewer::new(id.into(), true) };
            record.read(0, Some(viewer), CancellationToken::new())
        };
        let mut newest = come("y", 2).unwrap();
        assert_eq!(come("x", 1).unwrap_err(), Trimmed::Superseded);
        writer.append([Bytes::from_static(b"a")]);
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        let next = newest.poll_next(&cx);
        assert_eq!(next, std::task::Poll::Ready(crate::journal::Next::Frame(Bytes::from_static(b"a"))));
        assert!(come("y", 3).is_ok() && come("x", 4).is_ok());
    }

    #[test]
    fn a_viewer_that_was_displaced_stays_displaced_and_one_that_is_refused_displaces_nobody() {
        let journal = Shelf::new(&Config { max_readers: 2, ..Config::default() });
        let (writer, record) = create(&journal, "a", None);
        let _first = read(&record, 0, Some("x")).unwrap();
        let _second = read(&record, 0, Some("y")).unwrap();
        assert_eq!(read(&record, 0, Some("x")).unwrap_err(), Trimmed::Superseded);
        let _other = read(&record, 0, None).unwrap();
        assert_eq!(read(&record, 0, None).unwrap_err(), Trimmed::Full);
        assert!(read(&record, 0, Some("z")).is_ok(), "it takes the place of the one that it displaces");
        drop(writer);
    }
}
