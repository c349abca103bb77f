//! The one writer: a thread that commits waiting operations of all sessions in groups.
//!
//! A group is one `BEGIN IMMEDIATE` transaction with a savepoint for each operation, so that one that fails leaves the
//! others alone. Callers are answered after COMMIT. While a commit waits for the disk, the next group gathers. When a
//! commit fails, every member of the group fails with it and nothing of it was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::{Fault, closed};
use super::high_water::{HighWater, Mark};
use super::keys::Keys;
use super::lock::DirectoryLock;

/// Operations that may wait; beyond it callers wait to be let in.
const QUEUE: usize = 256;
/// Operations of one transaction at most.
const GROUP: usize = 128;

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
    Shredded,
}

impl Write<'_> {
    /// Notes a session's new head; `None` when it was deleted.
    pub fn head(&mut self, session: SessionId, mark: Option<Mark>) {
        self.effects.push(Effect::Head(session, mark));
    }

    /// Notes that something was destroyed: what the WAL still holds of it must go too.
    pub fn shredded(&mut self) {
        self.effects.push(Effect::Shredded);
    }
}

/// The way to the thread.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    commits: Arc<AtomicU64>,
}

enum Message {
    Operation(Box<dyn Member>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// The thread owns all that must outlive the last commit: connection, high-water file, lock.
    pub fn start(db: Connection, keys: Arc<Keys>, high_water: HighWater, lock: DirectoryLock) -> std::io::Result<Self> {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let thread = Thread { db, keys, high_water, lock, incoming, commits: Arc::clone(&commits) };
        std::thread::Builder::new().name("psyche-writer".into()).spawn(move || thread.run())?;
        Ok(Self { queue, commits })
    }

    /// Runs the operation in a transaction. It is rolled back when it fails.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let operation = Box::new(Operation { work: Some(work), outcome: None, to });
        self.queue.send(Message::Operation(operation)).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Lets what waits finish, writes everything out and ends the thread.
    pub async fn close(&self) {
        let (to, done) = oneshot::channel();
        if self.queue.send(Message::Close(to)).await.is_ok() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }

    /// Transactions that wrote something.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
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

struct Thread {
    db: Connection,
    keys: Arc<Keys>,
    high_water: HighWater,
    lock: DirectoryLock,
    incoming: mpsc::Receiver<Message>,
    commits: Arc<AtomicU64>,
}

impl Thread {
    fn run(mut self) {
        let mut asked_to_close = Vec::new();
        while let Some(first) = self.incoming.blocking_recv() {
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Operation(member) => group.push(member),
                    Message::Close(to) => {
                        self.incoming.close();
                        asked_to_close.push(to);
                    }
                }
                next = if group.len() < GROUP { self.incoming.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
        self.truncate_wal();
        let Self { db, high_water, lock, .. } = self;
        drop(db);
        drop(high_water);
        // Last: the next process may begin only when all is written.
        drop(lock);
        for to in asked_to_close {
            let _ = to.send(());
        }
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Member>>) {
        let outcome = self.transact(&mut group);
        if outcome.is_err() && !self.db.is_autocommit() {
            // If this fails too, the transaction is gone with its connection; the next BEGIN says so.
            let _ = self.db.execute_batch("ROLLBACK");
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

    fn transact(&self, group: &mut [Box<dyn Member>]) -> Result<Vec<Effect>, Fault> {
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
            let mut write = Write { db: &self.db, keys: &self.keys, effects: Vec::new() };
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
        self.commits.fetch_add(u64::from(kept), Ordering::Relaxed);
        Ok(effects)
    }

    fn follow(&self, effects: Vec<Effect>) {
        let mut shredded = false;
        for effect in effects {
            match effect {
                Effect::Head(session, mark) => self.high_water.note(session, mark),
                Effect::Shredded => shredded = true,
            }
        }
        if shredded {
            self.keys.forget();
            self.truncate_wal();
        }
    }

    fn truncate_wal(&self) {
        // The call answers with a row; a reader may be in the way, and then the next checkpoint does it.
        if let Err(error) = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database");
        }
    }
}

#[cfg(test)]
mod tests {
    use psyche_core::Timestamp;
    use psyche_core::port::Clock;

    use super::*;
    use crate::sqlite::high_water::Marks;

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
        let keys = Arc::new(Keys::new([0; 32], Arc::new(Still)));
        let high_water = HighWater::start(dir.join("high-water"), Marks::new()).unwrap();
        Writer::start(db, keys, high_water, DirectoryLock::acquire(&dir.join("lock")).unwrap()).unwrap()
    }

    async fn insert(writer: &Writer, bytes: usize) -> Result<(), StoreError> {
        let work = move |write: &mut Write<'_>| {
            Ok(write.db.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]).map(drop)?)
        };
        Ok(writer.run(work).await?)
    }

    async fn count(writer: &Writer) -> u64 {
        writer.run(|write| Ok(write.db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)).await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_fails_what_does_not_fit_until_there_is_space() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        insert(&writer, 10).await.unwrap();
        let full = insert(&writer, 200_000).await;
        assert!(matches!(&full, Err(StoreError::Unavailable(why)) if why.contains("full")), "{full:?}");
        assert_eq!(count(&writer).await, 1);
        writer.run(|write| Ok(write.db.execute_batch("PRAGMA max_page_count = 1000")?)).await.unwrap();
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
        let blocker = writer.run(move |_| {
            gate.recv().unwrap();
            Ok(())
        });
        let failing = writer.run(|write| {
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
        let lose = writer.run(|write| Ok(write.db.execute_batch("ROLLBACK")?));
        let (before, lost, after) = tokio::join!(insert(&writer, 1), lose, insert(&writer, 2));
        assert!(matches!(lost, Err(Fault::Append(_))), "{lost:?}");
        let written = u64::from(before.is_ok()) + u64::from(after.is_ok());
        assert_eq!(count(&writer).await, written, "answered is written, and nothing else");
        insert(&writer, 3).await.unwrap();
        writer.close().await;
    }
}
