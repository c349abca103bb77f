//! The one writer: whoever comes first commits for all who wait.
//!
//! A group is one `BEGIN IMMEDIATE` transaction with a savepoint for each operation, so that one that fails leaves the
//! others alone. Callers are answered after COMMIT. While a commit waits for the disk, the next group gathers. When a
//! commit fails, every member of the group fails with it and nothing of it was written.
//!
//! There is one connection. A caller that finds it free commits on its own thread: handing the work to another thread
//! and being woken again would cost a third of a commit on a fast disk. Only when many sessions write at once does it
//! wait a few milliseconds for others to share the commit. What gathered meanwhile is committed on a
//! blocking thread, so that no caller waits for the groups after its own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use super::fault::{Fault, closed};
use super::keys::Keys;
use super::lock::DirectoryLock;
use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::high_water::{HighWater, Mark};

/// Operations that may wait; beyond it callers wait to be let in.
const QUEUE: usize = 256;
/// Operations of one transaction at most.
const GROUP: usize = 128;
/// So many sessions in a row within [`CROWDED_WITHIN`] make a crowd.
const CROWD: usize = 5;
const CROWDED_WITHIN: Duration = Duration::from_millis(5);
/// How long a commit waits for more in a crowd. With 200 sessions writing 2,000 times a second this halves what SQLite
/// costs; a longer wait gains little more.
const GATHERING: Duration = Duration::from_millis(4);

/// What an operation works with.
#[derive(Debug)]
pub struct Write<'a> {
    pub db: &'a Connection,
    pub keys: &'a Keys,
    effects: Vec<Effect>,
}

/// What follows once a write is durable.
#[derive(Debug)]
enum Effect {
    Head(SessionId, Option<Mark>),
    Audited(Checkpoint),
    Shredded,
}

impl<'a> Write<'a> {
    pub fn new(db: &'a Connection, keys: &'a Keys) -> Self {
        Self { db, keys, effects: Vec::new() }
    }

    /// Notes a session's new head; `None` when it was deleted.
    pub fn head(&mut self, session: SessionId, mark: Option<Mark>) {
        self.effects.push(Effect::Head(session, mark));
    }

    /// Notes that the audit trail has grown.
    pub fn audited(&mut self, checkpoint: Checkpoint) {
        self.effects.push(Effect::Audited(checkpoint));
    }

    /// Notes that something was destroyed: what the WAL still holds of it must go too.
    pub fn shredded(&mut self) {
        self.effects.push(Effect::Shredded);
    }
}

/// The way to the one connection that writes.
pub struct Writer {
    /// Taken before an operation waits, given back when it is answered.
    places: Semaphore,
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when the committer has come back, or is lost.
    returned: Notify,
    commits: AtomicU64,
}

/// Which sessions wrote last, and when.
#[derive(Default)]
struct Crowd {
    last: VecDeque<(SessionId, Instant)>,
}

impl Crowd {
    /// Notes a write; true when all of the last writes before it were of other sessions, and recent.
    fn joins(&mut self, session: SessionId, now: Instant) -> bool {
        while self.last.len() >= CROWD || self.last.front().is_some_and(|(_, at)| now - *at > CROWDED_WITHIN) {
            self.last.pop_front();
        }
        let others = self.last.iter().filter(|(other, _)| *other != session).count();
        self.last.push_back((session, now));
        others + 1 >= CROWD
    }
}

struct Waiting {
    queue: VecDeque<Box<dyn Member>>,
    committer: Slot,
    crowd: Crowd,
    closed: bool,
}

enum Slot {
    Free(Committer),
    /// Somebody commits with it.
    Busy,
    /// The store is closed.
    Gone,
}

impl Slot {
    fn take(&mut self) -> Option<Committer> {
        match std::mem::replace(self, Self::Busy) {
            Self::Free(committer) => Some(committer),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Writer {
    pub fn new(
        db: Connection,
        keys: Arc<Keys>,
        high_water: HighWater,
        checkpoints: Checkpoints,
        lock: DirectoryLock,
    ) -> Self {
        let committer =
            Slot::Free(Committer { db, keys, high_water, checkpoints, unfolded: Cell::new(false), _lock: lock });
        let waiting = Mutex::new(Waiting { queue: VecDeque::new(), committer, crowd: Crowd::default(), closed: false });
        let shared = Arc::new(Shared { waiting, returned: Notify::new(), commits: AtomicU64::new(0) });
        Self { places: Semaphore::new(QUEUE), shared }
    }

    /// Runs the operation in a transaction. It is rolled back when it fails. A write of one session waits a little for
    /// others to share its commit when many sessions write at once.
    pub async fn run<T, F>(&self, session: Option<SessionId>, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let (to, answer) = oneshot::channel();
        let (committer, crowded) = {
            let mut waiting = self.shared.waiting();
            if waiting.closed {
                return Err(closed().into());
            }
            let crowded = session.is_some_and(|session| waiting.crowd.joins(session, Instant::now()));
            waiting.queue.push_back(Box::new(Operation { work: Some(work), outcome: None, to }));
            (waiting.committer.take(), crowded)
        };
        if let Some(committer) = committer {
            let turn = Turn { shared: Arc::clone(&self.shared), committer: Some(committer) };
            // Only a runtime of many threads can spare this one.
            let rest = match Handle::current().runtime_flavor() {
                RuntimeFlavor::MultiThread if !crowded => tokio::task::block_in_place(|| turn.commit_group()),
                _ => Some(turn),
            };
            if let Some(mut rest) = rest {
                tokio::task::spawn_blocking(move || {
                    if crowded {
                        std::thread::sleep(GATHERING);
                    }
                    while let Some(more) = rest.commit_group() {
                        rest = more;
                    }
                });
            }
        }
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Lets what waits finish, writes everything out and gives the directory back.
    pub async fn close(&self) {
        loop {
            let mut returned = std::pin::pin!(self.shared.returned.notified());
            returned.as_mut().enable();
            let committer = {
                let mut waiting = self.shared.waiting();
                waiting.closed = true;
                if matches!(waiting.committer, Slot::Gone) {
                    return;
                }
                waiting.committer.take()
            };
            if let Some(committer) = committer {
                let shared = Arc::clone(&self.shared);
                let end = move || {
                    drop(committer);
                    shared.waiting().committer = Slot::Gone;
                    shared.returned.notify_waiters();
                };
                // Fails only when the runtime ends, and the committer with it.
                let _ = tokio::task::spawn_blocking(end).await;
                return;
            }
            returned.await;
        }
    }

    /// Transactions that wrote something.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The committer while somebody commits with it. It goes back when this is dropped.
struct Turn {
    shared: Arc<Shared>,
    committer: Option<Committer>,
}

impl Turn {
    /// Commits what waits, up to a group. Gives itself back when more came meanwhile.
    fn commit_group(self) -> Option<Self> {
        let group: Vec<_> = {
            let mut waiting = self.shared.waiting();
            let size = waiting.queue.len().min(GROUP);
            waiting.queue.drain(..size).collect()
        };
        if let Some(committer) = &self.committer {
            committer.commit(group, &self.shared.commits);
        }
        let mut turn = self;
        let mut waiting = turn.shared.waiting();
        if waiting.queue.is_empty()
            && let Some(committer) = turn.committer.take()
        {
            waiting.committer = Slot::Free(committer);
        }
        drop(waiting);
        turn.committer.is_some().then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(committer) = self.committer.take() {
            // An operation panicked, or the runtime ends: nobody commits what waits, so nobody may wait for it.
            committer.give_up();
            let left = {
                let mut waiting = self.shared.waiting();
                waiting.committer = Slot::Free(committer);
                std::mem::take(&mut waiting.queue)
            };
            for member in left {
                member.answer(Some("another write broke off; try again"));
            }
        }
        self.shared.returned.notify_waiters();
    }
}

/// One operation of a group.
trait Member: Send {
    /// Whether its writes are to be kept.
    fn run(&mut self, write: &mut Write<'_>) -> bool;
    fn answer(self: Box<Self>, failure: Option<&str>);
}

struct Operation<T, F> {
    work: Option<F>,
    outcome: Option<Result<T, Fault>>,
    to: oneshot::Sender<Result<T, Fault>>,
}

impl<T: Send, F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send> Member for Operation<T, F> {
    fn run(&mut self, write: &mut Write<'_>) -> bool {
        self.outcome = self.work.take().map(|work| work(write));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failure: Option<&str>) {
        let outcome = match (failure, self.outcome) {
            (None, Some(outcome)) => outcome,
            // Even a member's own error counts no more: it may rest on what another member wrote.
            (failure, _) => Err(StoreError::Unavailable(failure.unwrap_or("not run").to_owned()).into()),
        };
        // A caller that went away needs no answer.
        let _ = self.to.send(outcome);
    }
}

/// All that must outlive the last commit. Fields go in this order when it is dropped.
struct Committer {
    db: Connection,
    keys: Arc<Keys>,
    high_water: HighWater,
    checkpoints: Checkpoints,
    /// The WAL may still hold what was destroyed: a reader was in the way.
    unfolded: Cell<bool>,
    /// Last: the next process may begin only when all is written.
    _lock: DirectoryLock,
}

impl Committer {
    fn commit(&self, mut group: Vec<Box<dyn Member>>, commits: &AtomicU64) {
        let outcome = self.transact(&mut group, commits);
        if outcome.is_err() {
            self.give_up();
        }
        let failure = match outcome {
            Ok(effects) => {
                self.follow(effects);
                None
            }
            Err(fault) => Some(match StoreError::from(fault) {
                StoreError::Unavailable(why) => why,
                other => other.to_string(),
            }),
        };
        for member in group {
            member.answer(failure.as_deref());
        }
    }

    /// Rolls back what was begun and not committed.
    fn give_up(&self) {
        if !self.db.is_autocommit() {
            // If this fails too, the transaction is gone with its connection; the next BEGIN says so.
            let _ = self.db.execute_batch("ROLLBACK");
        }
    }

    fn transact(&self, group: &mut [Box<dyn Member>], commits: &AtomicU64) -> Result<Vec<Effect>, Fault> {
        let statement = |sql| self.db.prepare_cached(sql)?.execute([]).map(drop);
        let mut effects = Vec::new();
        let mut kept = false;
        // Alone, a member needs no savepoint: the transaction is its own.
        let shared = group.len() > 1;
        statement("BEGIN IMMEDIATE")?;
        for member in group {
            if shared {
                statement("SAVEPOINT member")?;
            }
            let mut write = Write::new(&self.db, &self.keys);
            let keep = member.run(&mut write);
            if self.db.is_autocommit() {
                // SQLite ends the whole transaction by itself on some failures, such as a full disk.
                return Err(StoreError::Unavailable("the database gave up the transaction (full disk?)".into()).into());
            }
            if keep {
                effects.append(&mut write.effects);
                kept = true;
            } else if shared {
                statement("ROLLBACK TO member")?;
            } else {
                statement("ROLLBACK")?;
                return Ok(effects);
            }
            if shared {
                statement("RELEASE member")?;
            }
        }
        statement("COMMIT")?;
        commits.fetch_add(u64::from(kept), Ordering::Relaxed);
        Ok(effects)
    }

    fn follow(&self, effects: Vec<Effect>) {
        let mut shredded = false;
        for effect in effects {
            match effect {
                Effect::Head(session, mark) => self.high_water.note(session, mark),
                Effect::Audited(checkpoint) => self.checkpoints.note(checkpoint),
                Effect::Shredded => shredded = true,
            }
        }
        if shredded {
            self.keys.ring().forget();
        }
        if shredded || self.unfolded.get() {
            self.truncate_wal();
        }
    }

    fn truncate_wal(&self) {
        // The call answers with a row; a reader may be in the way for longer than we wait, and then the next commit does it.
        let busy = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        self.unfolded.set(!matches!(busy, Ok(false)));
        if let Err(error) = busy {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.truncate_wal();
    }
}

#[cfg(test)]
mod tests {
    use psyche_core::Timestamp;
    use psyche_core::port::Clock;

    use super::*;
    use crate::high_water::Marks;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn monotonic_ms(&self) -> u64 {
            0
        }
        fn entropy(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    /// A writer over a table of blobs, in a database of at most 20 pages.
    fn writer(dir: &std::path::Path) -> Writer {
        let db = Connection::open(dir.join("db")).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x BLOB) STRICT; PRAGMA max_page_count = 20")
            .unwrap();
        let keys = Arc::new(Keys::new([0; 32], None, Arc::new(Still)));
        let high_water = HighWater::start(dir.join("high-water"), Marks::new()).unwrap();
        let checkpoints = Checkpoints::start(dir.join("checkpoints")).unwrap();
        Writer::new(db, keys, high_water, checkpoints, DirectoryLock::acquire(&dir.join("lock")).unwrap())
    }

    async fn insert(writer: &Writer, bytes: usize) -> Result<(), StoreError> {
        let work = move |write: &mut Write<'_>| {
            Ok(write.db.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]).map(drop)?)
        };
        Ok(writer.run(None, work).await?)
    }

    async fn count(writer: &Writer) -> u64 {
        writer.run(None, |write| Ok(write.db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)).await.unwrap()
    }

    #[test]
    fn a_crowd_is_many_sessions_in_a_short_time() {
        let mut crowd = Crowd::default();
        let start = Instant::now();
        let session = |n: u128| SessionId(uuid::Uuid::from_u128(n));
        let alone = (0..20).any(|_| crowd.joins(session(1), start));
        assert!(!alone, "one session is none");
        let mut crowd = Crowd::default();
        let pair = (0..20).any(|n| crowd.joins(session(1 + n % 2), start));
        assert!(!pair, "nor are two by turns");
        let mut crowd = Crowd::default();
        let many: Vec<_> = (0..6).map(|n| crowd.joins(session(n), start)).collect();
        assert_eq!(many, [false, false, false, false, true, true]);
        assert!(!crowd.joins(session(20), start + CROWDED_WITHIN * 2), "those before are long ago");
    }

    #[tokio::test]
    async fn a_full_disk_fails_what_does_not_fit_until_there_is_space() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        insert(&writer, 10).await.unwrap();
        let full = insert(&writer, 200_000).await;
        assert!(matches!(&full, Err(StoreError::Unavailable(why)) if why.contains("full")), "{full:?}");
        assert_eq!(count(&writer).await, 1);
        writer.run(None, |write| Ok(write.db.execute_batch("PRAGMA max_page_count = 1000")?)).await.unwrap();
        insert(&writer, 200_000).await.unwrap();
        assert_eq!(count(&writer).await, 2);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_member_that_fails_leaves_its_group_alone() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        let (open, gate) = std::sync::mpsc::channel();
        // Holds the thread until all others wait, so that they share a transaction.
        let blocker = writer.run(None, move |_| {
            gate.recv().unwrap();
            Ok(())
        });
        let failing = writer.run(None, |write| {
            write.db.execute("INSERT INTO t VALUES (x'00')", [])?;
            Err::<(), _>(StoreError::NotFound("reason to go on").into())
        });
        let opener = async { open.send(()).unwrap() };
        let (_, one, failed, two, ()) = tokio::join!(blocker, insert(&writer, 1), failing, insert(&writer, 2), opener);
        assert!(one.is_ok() && failed.is_err() && two.is_ok());
        assert_eq!(count(&writer).await, 2);
        writer.close().await;
    }

    #[tokio::test]
    async fn when_a_transaction_is_lost_every_member_fails() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        // As SQLite does by itself on some failures: the transaction ends under its members.
        let lose = writer.run(None, |write| Ok(write.db.execute_batch("ROLLBACK")?));
        let (before, lost, after) = tokio::join!(insert(&writer, 1), lose, insert(&writer, 2));
        assert!(matches!(lost, Err(Fault::Append(_))), "{lost:?}");
        let written = u64::from(before.is_ok()) + u64::from(after.is_ok());
        assert_eq!(count(&writer).await, written, "answered is written, and nothing else");
        insert(&writer, 3).await.unwrap();
        writer.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_gathers_while_one_commits_shares_the_next_commit() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(dir.path()));
        let (open, gate) = std::sync::mpsc::channel();
        let (begun, begins) = oneshot::channel();
        let mut tasks = tokio::task::JoinSet::new();
        let first = Arc::clone(&writer);
        tasks.spawn(async move {
            let wait = move |_: &mut Write<'_>| {
                begun.send(()).unwrap();
                gate.recv().unwrap();
                Ok(())
            };
            first.run(None, wait).await.unwrap();
        });
        begins.await.unwrap();
        let before = writer.commits();
        let mut inserts = Vec::new();
        for n in 0..20 {
            // Polled once, so that it waits before the gate opens.
            let mut insert = Box::pin(insert(&writer, n));
            assert!(futures_util::poll!(&mut insert).is_pending());
            inserts.push(insert);
        }
        open.send(()).unwrap();
        for insert in inserts {
            insert.await.unwrap();
        }
        assert_eq!(writer.commits(), before + 2, "the first, and one for all the others");
        assert_eq!(count(&writer).await, 20);
        writer.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_that_panics_leaves_the_next_alone() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(dir.path()));
        let panics = Arc::clone(&writer);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let broken = |write: &mut Write<'_>| -> Result<(), Fault> {
                write.db.execute("INSERT INTO t VALUES (x'00')", [])?;
                panic!("a bug");
            };
            panics.run(None, broken).await
        });
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
        insert(&writer, 1).await.unwrap();
        assert_eq!(count(&writer).await, 1, "what the broken one wrote is rolled back");
        writer.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn closing_waits_for_what_is_under_way_and_refuses_what_follows() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(dir.path()));
        let (open, gate) = std::sync::mpsc::channel();
        let (begun, begins) = oneshot::channel();
        let slow = Arc::clone(&writer);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let work = move |write: &mut Write<'_>| {
                begun.send(()).unwrap();
                gate.recv().unwrap();
                Ok(write.db.execute("INSERT INTO t VALUES (x'00')", []).map(drop)?)
            };
            slow.run(None, work).await.unwrap();
        });
        begins.await.unwrap();
        let mut close = Box::pin(writer.close());
        assert!(futures_util::poll!(&mut close).is_pending());
        assert!(insert(&writer, 1).await.is_err(), "closed");
        assert!(DirectoryLock::acquire(&dir.path().join("lock")).is_err(), "still held");
        open.send(()).unwrap();
        close.await;
        tasks.join_next().await.unwrap().unwrap();
        assert!(DirectoryLock::acquire(&dir.path().join("lock")).is_ok());
        writer.close().await;
    }
}
