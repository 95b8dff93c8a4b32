//! Where the records of this process stand: found by their id, by their conversation and by the key of the request that made
//! them, and thrown away when their time is over or the room is needed. What is done for one record, or once a second, looks at
//! none of the others: orders are kept of what will be needed.

mod expired;
mod owned;
mod places;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::journal::ledger::Ledger;
use crate::journal::new::IN_LINE;
use crate::journal::record::{Meta, Record, Role};
use crate::journal::shelf::places::Places;
use crate::journal::{Busy, Config, Created, Key, New, OpenError, Writer};

/// The records of this process, and those of other replicas that are read here.
#[derive(Debug)]
pub(super) struct Shelf {
    limits: Limits,
    max_bytes: usize,
    ledger: Arc<Ledger>,
    places: Mutex<Places>,
}

/// What holds for every record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) stream_bytes: usize,
    pub(super) readers: usize,
}

/// How much is thrown away at once beyond what must be: a tenth of what may be kept, for it is not to be done for every record
/// again, but no more records than this, for somebody waits.
const AHEAD: usize = 512;
/// How many records are taken away in one step.
const AT_A_TIME: usize = 64;

impl Shelf {
    pub(super) fn new(config: &Config) -> Self {
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let (max_bytes, ledger) = (bytes(config.max_bytes), Arc::default());
        Self {
            limits: Limits { stream_bytes: bytes(config.max_stream_bytes), readers: config.max_readers },
            max_bytes,
            places: Mutex::new(Places::new(Arc::clone(&ledger), max_bytes)),
            ledger,
        }
    }

    /// How many records there are, how many read them, and how many bytes they take in memory.
    pub(super) fn totals(&self) -> (usize, usize, usize) {
        let readers = self.ledger.read().iter().map(|record| record.status().readers).sum();
        (self.places.lock().len(), readers, self.bytes())
    }

    /// Bytes of memory that are taken.
    pub(super) fn bytes(&self) -> usize {
        self.ledger.bytes()
    }

    /// A record that does not stand here yet.
    pub(super) fn record(&self, meta: Meta, role: Role) -> Arc<Record> {
        let account = self.places.lock().account(meta.owner.as_ref());
        Arc::new(Record::new(meta, self.limits, account, role))
    }

    /// Is there no room for a record that begins like this, whatever is thrown away?
    pub(super) fn refuses(&self, meta: &Meta) -> Option<Created> {
        self.make_room();
        self.places.lock().refuses(meta)
    }

    /// Begins a record, unless there is one that stands for it. The newest of a conversation is the one that the conversation's
    /// name stands for.
    pub(super) fn create(&self, new: New, role: Role) -> Created {
        if let Some(refused) = self.refuses(&new.meta) {
            return refused;
        }
        let New { meta, key, busy, alias } = new;
        let mut places = self.places.lock();
        if let Some(key) = &key
            && let Some((fingerprint, earlier)) = places.claimed(meta.owner.as_ref(), &key.name)
        {
            if fingerprint != key.fingerprint {
                return Created::Differs;
            }
            if earlier.answers() {
                return Created::Repeats(earlier);
            }
        }
        let (before, waiting) = places.running(&meta);
        match (&before, busy) {
            (Some(before), Busy::Yield) => return Created::Busy(Arc::clone(before)),
            (Some(_), Busy::Wait) if waiting >= IN_LINE => return Created::LineFull,
            (Some(_) | None, Busy::Begin | Busy::Wait | Busy::Yield) => {}
        }
        let account = places.account(meta.owner.as_ref());
        let record = Arc::new(Record::new(meta, self.limits, account, role));
        record.reads_alias(alias);
        places.put(&record, key);
        drop(places);
        Created::New { writer: Writer::recorded(Arc::clone(&record)), record, before }
    }

    /// Gives a record its place, whose names are still to be taken.
    pub(super) fn stand(&self, record: &Arc<Record>) {
        self.places.lock().stand(record);
    }

    /// Gives a record its place, and its names.
    pub(super) fn put(&self, record: &Arc<Record>, key: Option<Key>) {
        self.places.lock().put(record, key);
    }

    /// Gives a record of another replica its place, unless there is one of this id: then it gives that one.
    pub(super) fn put_mirror(&self, record: Arc<Record>) -> Arc<Record> {
        self.make_room();
        let mut places = self.places.lock();
        if let Some(kept) = places.kept(&record.meta().id) {
            return Arc::clone(kept);
        }
        places.stand(&record);
        record
    }

    /// The record of an id, whoever's it is; `None` where there never was one here.
    pub(super) fn find(&self, id: &str) -> Option<Result<Arc<Record>, Option<String>>> {
        self.places.lock().find(id)
    }

    /// The id of the newest record of a conversation.
    pub(super) fn conversation(&self, owner: Option<&str>, name: &str) -> Result<String, OpenError> {
        self.places.lock().line(owner, name).last().cloned().ok_or(OpenError::Unknown)
    }

    /// The ids of the records of a conversation that may still run.
    pub(super) fn line(&self, owner: Option<&str>, name: &str) -> Vec<String> {
        self.places.lock().line(owner, name).to_vec()
    }

    /// The id of the record that its backend calls so.
    pub(super) fn of_alias(&self, owner: Option<&str>, alias: &str) -> Option<String> {
        self.ledger.of_alias(owner, alias)
    }

    /// Where a record stands on the list of its owner, if it does.
    pub(super) fn listed_at(&self, owner: Option<&str>, id: &str) -> Option<(u64, String)> {
        self.places.lock().listed_at(owner, id)
    }

    /// What stands on the list of an owner behind this place, the newest first.
    pub(super) fn listed(
        &self,
        owner: Option<&str>,
        behind: Option<&(u64, String)>,
        limit: usize,
    ) -> Vec<(u64, String)> {
        self.places.lock().listed(owner, behind, limit)
    }

    /// All records for which `is` holds. For what happens once, not for a request or a timer.
    pub(super) fn all(&self, is: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        self.places.lock().all().filter(|record| is(record)).cloned().collect()
    }

    /// The records that run.
    pub(super) fn running(&self) -> Vec<Arc<Record>> {
        self.places.lock().all_running().cloned().collect()
    }

    /// The records of other replicas.
    pub(super) fn mirrors(&self) -> Vec<Arc<Record>> {
        self.places.lock().mirrors().cloned().collect()
    }

    /// The records that somebody reads.
    pub(super) fn read(&self) -> Vec<Arc<Record>> {
        self.ledger.read()
    }

    /// The channel of a name that another replica or the store has, if it is read here.
    pub(super) fn channel(&self, owner: Option<&str>, name: &str) -> Option<Arc<Record>> {
        self.places.lock().channel(owner, name)
    }

    /// Takes a record away that has not got its names.
    pub(super) fn withdraw(&self, record: &Record) {
        let withdrawn = self.places.lock().take(&record.meta().id);
        drop(withdrawn);
    }

    /// Takes a record of another replica away, and breaks off who still reads it.
    pub(super) fn remove(&self, record: &Record) {
        let removed = self.places.lock().take(&record.meta().id);
        if let Some(record) = removed {
            record.forget();
        }
    }

    /// Throws away a record at once.
    pub(super) fn delete(&self, record: &Record) {
        let expired = self.places.lock().expire(&record.meta().id);
        if let Some(record) = expired {
            record.forget();
        }
    }

    /// Throws away what is over its time. To be called now and then.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        for record in self.ledger.read() {
            if !record.is_mirror() {
                record.drop_slow(now); // a mirror may be behind, and not its readers
            }
        }
        loop {
            let over = self.places.lock().over(now, AT_A_TIME);
            if over.is_empty() {
                break;
            }
            forget(over);
        }
        self.make_room();
        let over = self.used().saturating_sub(self.max_bytes);
        if over > 0 {
            let running = self.places.lock().to_trim();
            let mut freed = 0;
            for record in running {
                if freed >= over {
                    break;
                }
                freed += record.trim(over - freed);
            }
        }
    }

    /// What counts against the bound.
    fn used(&self) -> usize {
        self.bytes() + self.places.lock().remembered()
    }

    /// Throws away finished records until what is kept has room, and a little more: the oldest of whoever's records take the
    /// most. Running ones lose their oldest frames only if that does not do, when all are swept.
    fn make_room(&self) {
        let mut used = self.used();
        if used <= self.max_bytes {
            return;
        }
        let goal = self.max_bytes - self.max_bytes / 10;
        let mut ahead = AHEAD;
        while used > self.max_bytes || used > goal && ahead > 0 {
            let evicted = self.places.lock().evict(used - goal, AT_A_TIME);
            if evicted.is_empty() {
                break;
            }
            ahead = ahead.saturating_sub(evicted.len());
            forget(evicted);
            used = self.used();
        }
    }
}

/// Lets go of records that have no place any more, with nothing locked.
fn forget(records: Vec<Arc<Record>>) {
    for record in records {
        record.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use tokio::time::{advance, sleep};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::journal::record::{Copied, Stage, looks};
    use crate::journal::shelf::expired::REMEMBERED;
    use crate::journal::{AliasOf, Gone, Reader, Trimmed, Viewer};

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
        let new = New { meta: meta(id, linger), key: Some(key), busy: Busy::Begin, alias: None };
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
        let (writer, record) = create(&journal(1000, 100_000), "a", Some(Duration::from_mins(1)));
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
        let (writer, record) = create(&journal(1000, 100_000), "a", None);
        let waited = tokio::time::timeout(Duration::from_hours(1), writer.abandoned()).await;
        assert!(waited.is_err());
        record.cancel(Gone::Superseded);
        record.cancel(Gone::Cancelled);
        assert_eq!(writer.abandoned().now_or_never(), Some(Gone::Superseded));
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_was_kept_is_given_back() {
        let journal = journal(1000, 1 << 20);
        let (writer, record) = create(&journal, "a", None);
        assert!(journal.bytes() > 0);
        let reader = read(&record, 0, None).unwrap();
        for _ in 0..50 {
            writer.append([Bytes::from(vec![0; 100])]);
        }
        let status = record.status();
        assert_eq!((status.first, status.last, status.bytes), (41, 50, 1000));
        writer.close();
        advance(Duration::from_mins(2)).await;
        journal.sweep();
        assert!(matches!(journal.find("a"), Some(Err(None))));
        drop((reader, record));
        assert_eq!(journal.bytes(), 0);
        advance(REMEMBERED).await;
        journal.sweep();
        assert!(journal.find("a").is_none());
        let places = journal.places.lock();
        assert!(places.is_empty() && places.names() == (0, 0), "{places:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn finished_streams_make_room_before_running_ones_lose_anything() {
        let journal = journal(100_000, 80_000);
        let (running, record) = create(&journal, "running", None);
        running.append((0..15).map(|_| Bytes::from(vec![0; 1000])));
        for id in ["b", "c"] {
            let (writer, _) = create(&journal, id, None);
            writer.append([Bytes::from(vec![0; 30_000])]);
            writer.close();
            advance(Duration::from_secs(1)).await;
        }
        journal.sweep();
        assert!(matches!(journal.find("b"), Some(Err(None))));
        assert!(matches!(journal.find("c"), Some(Ok(_))));
        assert_eq!(record.status().first, 1);
        running.append((0..45).map(|_| Bytes::from(vec![0; 1500])));
        journal.sweep();
        assert!(matches!(journal.find("c"), Some(Err(None))));
        assert!(record.status().first > 1 && journal.bytes() <= 80_000);
    }

    #[tokio::test(start_paused = true)]
    async fn names_go_with_finished_streams_that_others_keep_too() {
        let journal = journal(100_000, 80_000);
        for id in ["a", "b", "c", "d"] {
            let key = Key { name: id.into(), fingerprint: [0; 32] };
            let meta = Meta { conversation: Some(id.into()), ..meta(id, None) };
            let role = Role::Source(Copied::new(Arc::default(), Some(key.clone())));
            let new = New { meta, key: Some(key), busy: Busy::Begin, alias: None };
            let Created::New { writer, record, .. } = journal.create(new, role) else {
                unreachable!("a new key")
            };
            writer.append([Bytes::from(vec![0; 30_000])]);
            writer.close();
            record.copied().unwrap().set(Stage::Whole);
            advance(Duration::from_secs(1)).await;
        }
        journal.sweep();
        let places = journal.places.lock();
        assert!((1..4).contains(&places.len()));
        assert_eq!(places.names(), (places.len(), places.len()));
    }

    fn owned(journal: &Shelf, owner: &str, id: &str, busy: Busy) -> Created {
        let meta = Meta { owner: Some(owner.into()), ..meta(id, None) };
        journal.create(New { meta, key: None, busy, alias: None }, Role::Alone)
    }

    /// A small record from its beginning to its end.
    fn finish(journal: &Shelf, owner: &str, id: &str) {
        let Created::New { writer, .. } = owned(journal, owner, id, Busy::Begin) else {
            unreachable!("there is room")
        };
        writer.append([Bytes::from_static(b"data: x\n\n")]);
        writer.close();
    }

    /// How often records are looked at for another hundred of them, and for a second that passes, where so many have been made
    /// of as many as have room.
    fn looks_per_hundred(made: usize, room: usize) -> usize {
        let journal = journal(1 << 20, room as u64 * 3000);
        for number in 0..made {
            finish(&journal, "alice", &number.to_string());
        }
        looks::of(|| {
            for number in 0..100 {
                finish(&journal, "alice", &format!("next {number}"));
            }
            journal.sweep();
            journal.totals();
        })
    }

    #[tokio::test]
    async fn at_the_cap_a_record_costs_no_more_than_what_it_throws_away() {
        let below = looks_per_hundred(200, 20_000);
        let few = looks_per_hundred(1000, 500);
        let many = looks_per_hundred(8000, 4000);
        // Room is made for more than one at a time: a tenth of the few, and of the many.
        assert!(few <= below + 3 * 300, "{below} looks below the cap, {few} at it");
        assert!(many <= below + 3 * (AHEAD + 100), "{below} looks below the cap, {many} at it");
    }

    #[tokio::test]
    async fn a_second_that_passes_looks_at_no_record_that_nobody_reads() {
        let journal = journal(1 << 20, 64 << 20);
        for number in 0..1000 {
            finish(&journal, "alice", &number.to_string());
        }
        journal.sweep();
        let (writer, record) = create(&journal, "read", None);
        let _reader = read(&record, 0, None).unwrap();
        let looks = looks::of(|| {
            journal.sweep();
            assert_eq!((journal.totals().0, journal.totals().1), (1001, 1));
        });
        assert!(looks < 10, "{looks} looks");
        drop(writer);
    }

    #[tokio::test]
    async fn who_takes_most_makes_room_and_what_others_have_finished_stays() {
        let journal = journal(1 << 20, 400_000);
        for id in ["a", "b", "c"] {
            finish(&journal, "alice", id);
        }
        for number in 0..1000 {
            finish(&journal, "bob", &number.to_string());
        }
        let kept = |id: &str| matches!(journal.find(id), Some(Ok(_)));
        assert!(["a", "b", "c"].into_iter().all(kept));
        assert!(!kept("0") && kept("999"));
        assert!(journal.bytes() <= 400_000);
    }

    #[tokio::test]
    async fn what_runs_of_one_owner_takes_half_of_the_room_at_most() {
        let journal = journal(1 << 20, 100_000);
        let mut running = Vec::new();
        while let Created::New { writer, .. } =
            owned(&journal, "bob", &running.len().to_string(), Busy::Begin)
        {
            running.push(writer);
        }
        assert!(running.len() > 10);
        assert!(matches!(owned(&journal, "bob", "more", Busy::Begin), Created::OverShare));
        let others = [owned(&journal, "alice", "a", Busy::Begin), owned(&journal, "alice", "b", Busy::Begin)];
        assert!(others.iter().all(|created| matches!(created, Created::New { .. })));
        running.pop();
        assert!(matches!(owned(&journal, "bob", "next", Busy::Begin), Created::New { .. }));
    }

    #[tokio::test]
    async fn a_line_has_a_bound_for_those_who_wait_and_not_for_who_takes_its_place() {
        let journal = journal(1 << 20, 64 << 20);
        let mut line = Vec::new();
        for number in 0..IN_LINE {
            let Created::New { writer, .. } = owned(&journal, "bob", &number.to_string(), Busy::Wait) else {
                unreachable!("there is room for number {number}")
            };
            line.push(writer);
        }
        assert!(matches!(owned(&journal, "bob", "full", Busy::Wait), Created::LineFull));
        assert!(matches!(owned(&journal, "alice", "other", Busy::Wait), Created::New { .. }));
        line.remove(7).close();
        assert!(matches!(owned(&journal, "bob", "next", Busy::Wait), Created::New { .. }));
        assert!(matches!(owned(&journal, "bob", "now", Busy::Begin), Created::New { .. }));
    }

    #[tokio::test]
    async fn a_record_is_found_by_what_its_backend_calls_it_for_as_long_as_it_is_there() {
        let journal = journal(1 << 20, 64 << 20);
        for number in 0..1000 {
            finish(&journal, "alice", &number.to_string());
        }
        let meta = Meta { owner: Some("alice".into()), ..meta("a", None) };
        let alias = Some((|_, frame| Some(String::from_utf8_lossy(frame).into_owned())) as AliasOf);
        let Created::New { writer, record, .. } =
            journal.create(New { meta, key: None, busy: Busy::Begin, alias }, Role::Alone)
        else {
            unreachable!("there is room")
        };
        assert_eq!(journal.of_alias(Some("alice"), "theirs"), None);
        writer.append([Bytes::from_static(b"theirs"), Bytes::from_static(b"not this")]);
        let looks = looks::of(|| {
            assert_eq!(journal.of_alias(Some("alice"), "theirs").as_deref(), Some("a"));
            assert_eq!(journal.of_alias(Some("bob"), "theirs"), None);
            assert_eq!(journal.of_alias(Some("alice"), "not this"), None);
        });
        assert_eq!(looks, 0);
        writer.close();
        journal.delete(&record);
        drop(record);
        assert_eq!(journal.of_alias(Some("alice"), "theirs"), None);
    }

    #[tokio::test]
    async fn a_record_that_ends_before_it_has_its_place_has_it_among_the_finished() {
        let journal = journal(1 << 20, 64 << 20);
        let record = journal.record(meta("a", None), Role::Alone);
        drop(Writer::recorded(Arc::clone(&record)));
        journal.sweep();
        journal.stand(&record);
        assert!(journal.running().is_empty());
        drop(record);
        journal.make_room();
        let evicted = journal.places.lock().evict(1, 1);
        assert_eq!(evicted.len(), 1);
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
        let (writer, record) = create(&journal(1000, 100_000), "a", None);
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
