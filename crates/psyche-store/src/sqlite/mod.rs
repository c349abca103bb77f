//! The store in SQLite: one file, one writer thread that commits in groups, readers beside it.
//!
//! - Every acknowledged write is synced (`synchronous=FULL`); waiting operations of all sessions share a commit.
//! - Texts and snapshots are sealed under keys of their subjects (docs/adr/0001). What lists search by (a session's
//!   name, owner, status and summary) and the directory are stored in plain form.
//! - One process writes to a data directory (the directory of the database file); its lock file holds the process id.
//!   Commands that only read open it without the lock.
//! - A journal of erasures beside the database remembers who was erased: a restored backup is erased again at the start.
//! - A high-water file beside the database remembers how far each log was durable. A database that is behind it is
//!   refused until the loss is accepted.

mod allowances;
mod audit;
pub(crate) mod backup;
mod blocks;
mod casts;
mod directory;
mod erasure;
mod error;
mod fault;
mod forks;
mod keys;
mod leases;
mod lock;
mod log;
mod members;
mod open;
mod readers;
mod records;
mod resets;
pub(crate) mod restore;
mod rows;
mod schema;
mod sealed;
mod sessions;
mod sign_ins;
mod snapshots;
mod users;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use psyche_core::audit::AuditDraft;
use psyche_core::ids::{SessionId, UserId};
use psyche_core::port::{Clock, StoreError};
use psyche_core::time::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use fault::Fault;
use keys::Keys;
use readers::Readers;
use writer::{Write, Writer};

pub use crate::Access;
pub use backup::{Backup, BackupError, Files};
pub use error::{Lost, OpenError};
pub use restore::{Restored, restore};

/// Keys that are wrapped anew in one transaction.
const REWRAPPED: usize = 200;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The database file. Its directory is the data directory: `lock`, `high-water` and `erasures` lie there too.
    pub path: PathBuf,
    /// Wraps the keys of subjects.
    pub master_key: [u8; 32],
    /// The one before it, which may still wrap some of them.
    pub master_key_before: Option<[u8; 32]>,
    /// Gives entropy for keys and nonces. Leases go by the database's clock.
    pub clock: Arc<dyn Clock>,
    /// Only who writes takes the lock of the data directory.
    pub access: Access,
    /// Go on from a database that is behind its high-water file, under a new generation.
    pub accept_loss: bool,
    /// How long a statement waits for a lock that another program holds.
    pub busy_timeout: Duration,
}

impl Options {
    /// Read and write, no loss accepted, 5 s of patience.
    pub fn new(path: impl Into<PathBuf>, master_key: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        let busy_timeout = Duration::from_secs(5);
        Self {
            path: path.into(),
            master_key,
            master_key_before: None,
            clock,
            access: Access::ReadWrite,
            accept_loss: false,
            busy_timeout,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("path", &self.path).field("access", &self.access).finish_non_exhaustive()
    }
}

/// An open store. Clones share it. Call [`SqliteStore::close`] before the process ends.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
    /// Rows of the audit trail that the next write takes along.
    audit: Arc<Mutex<Vec<AuditDraft>>>,
}

struct Inner {
    writer: Option<Writer>,
    readers: Readers,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    /// Where the audit trail's checkpoints lie.
    checkpoints: PathBuf,
    lost: Vec<Lost>,
    /// The journal of erasures.
    erasures: PathBuf,
    erased: Vec<(UserId, Timestamp)>,
    /// One process writes to a data directory, so this process sees every change.
    rights: AtomicU64,
}

impl SqliteStore {
    /// Opens or makes the database. Blocks; a refused database is left as it is.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        open::open(options)
    }

    /// Finishes what waits, folds the WAL into the database, writes the high-water file and gives the lock back.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
    }

    /// What the database lost against its high-water file: found by a read-only open, or accepted by this one.
    pub fn lost(&self) -> &[Lost] {
        &self.inner.lost
    }

    /// Who was erased everywhere, and when, by the journal of erasures as it was at the start. A restored database has lost
    /// their words again by now; their accounts are the caller's to remove.
    pub fn erased_people(&self) -> &[(UserId, Timestamp)] {
        &self.inner.erased
    }

    /// Wraps all keys by another master key, a few at a time, while the store goes on working. Until it returns some are
    /// wrapped by the one and some by the other: keep both. Whoever opens the store meanwhile gives both
    /// ([`Options::master_key_before`]) and calls this again with the new one. Returns how many were wrapped anew.
    pub async fn change_master_key(&self, master: [u8; 32]) -> Result<u64, StoreError> {
        if !self.inner.keys.ring().change_master(master) {
            return Err(StoreError::Conflict("master key"));
        }
        self.wrap_anew().await
    }

    /// The same for a store that was opened with both keys.
    pub async fn wrap_anew(&self) -> Result<u64, StoreError> {
        let (mut after, mut all) = (Uuid::nil(), 0);
        loop {
            let (last, count) = self.write(move |write| write.keys.rewrap_next(write.db, after, REWRAPPED)).await?;
            all += count;
            let Some(last) = last else { break };
            after = last;
        }
        // What was wrapped before is to be found in no page and no WAL.
        self.write(|write| {
            write.shredded();
            Ok(())
        })
        .await?;
        self.inner.keys.ring().forget_master_before();
        Ok(all)
    }

    /// Transactions that wrote something since the store was opened. Fewer than the writes: they share commits.
    pub fn commits(&self) -> u64 {
        self.inner.writer.as_ref().map_or(0, Writer::commits)
    }

    /// A write after which somebody's rights are others.
    async fn write_rights<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let outcome = self.write(work).await;
        self.inner.rights.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    async fn write<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let rows = self.take_audit();
        if rows.is_empty() {
            return self.write_among(None, work).await;
        }
        let both = move |write: &mut Write<'_>| {
            let done = work(write)?;
            audit::insert(write, rows)?;
            Ok(done)
        };
        self.write_among(None, both).await
    }

    fn take_audit(&self) -> Vec<AuditDraft> {
        std::mem::take(&mut *self.audit.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A write that may wait for those of other sessions, when many write at once.
    async fn write_among<T, F>(&self, session: Option<SessionId>, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fault> + Send + 'static,
    {
        match &self.inner.writer {
            Some(writer) => writer.run(session, work).await,
            None => Err(StoreError::Unavailable("the database was opened for reading only".to_owned()).into()),
        }
    }

    fn look<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        self.inner.readers.look(work)
    }

    async fn read_with<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Keys) -> Result<T, Fault> + Send + 'static,
    {
        let keys = Arc::clone(&self.inner.keys);
        self.inner.readers.run(move |db| work(db, &keys)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("lost", &self.inner.lost).finish_non_exhaustive()
    }
}
