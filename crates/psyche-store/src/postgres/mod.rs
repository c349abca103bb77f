//! The store in PostgreSQL: one database for any number of replicas.
//!
//! - An append is one statement and so one round trip and one transaction: compare-and-set on the head, the events, their
//!   sealed texts and the session's row.
//! - The database's row locks and unique indexes decide between replicas, at READ COMMITTED; its clock decides leases.
//! - Texts, snapshots and what names a person are sealed as in SQLite (docs/adr/0001). Rows refer to the key they are sealed
//!   under, so that nothing is sealed under a key that another replica has just destroyed.
//! - The journal of erasures and the checkpoints of the audit trail lie outside the database, in the data directory: a
//!   restored backup is erased again at the next start of a replica that has them.

mod audit;
mod casts;
mod connection;
mod directory;
mod erasure;
mod fault;
mod keys;
mod leases;
mod log;
mod members;
mod records;
mod schema;
mod sessions;
mod sign_ins;
mod snapshots;
mod users;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use psyche_core::audit::AuditDraft;
use psyche_core::ids::UserId;
use psyche_core::port::{Clock, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Subject;

use crate::sqlite::checkpoints::Checkpoints;
use crate::sqlite::journal;
use fault::Fault;
use keys::Keys;

pub use connection::OpenError;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database`, with libpq's parameters.
    pub url: String,
    /// Wraps the keys of subjects.
    pub master_key: [u8; 32],
    /// Gives entropy for keys and nonces. Leases go by the database's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the journal of erasures and the audit trail's checkpoints lie.
    pub data_dir: PathBuf,
    /// Connections at most.
    pub connections: usize,
    /// How long a caller waits for a connection, and a statement may take.
    pub patience: Duration,
}

impl Options {
    /// 20 connections, 10 s of patience.
    pub fn new(url: String, master_key: [u8; 32], data_dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { url, master_key, clock, data_dir, connections: 20, patience: Duration::from_secs(10) }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Options").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// An open store. Clones share its connections.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
    /// Rows of the audit trail that the next write takes along.
    audit: Arc<Mutex<Vec<AuditDraft>>>,
}

struct Inner {
    pool: Pool,
    keys: Keys,
    clock: Arc<dyn Clock>,
    checkpoints: PathBuf,
    checkpoint: Checkpoints,
    erasures: PathBuf,
    erased: Vec<(UserId, Timestamp)>,
}

impl PostgresStore {
    /// Connects, brings the schema up to date, and erases again what a restored backup brought back.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        std::fs::create_dir_all(&options.data_dir).map_err(|source| OpenError::io(&options.data_dir, source))?;
        let pool = connection::pool(&options)?;
        let keys = Keys::new(options.master_key, Arc::clone(&options.clock));
        {
            let mut client = connection::first(&pool).await?;
            schema::migrate(&mut client).await?;
            if !keys.fit(&client).await.map_err(OpenError::from)? {
                return Err(OpenError::WrongMasterKey);
            }
        }
        let erasures = options.data_dir.join("erasures");
        let entries = journal::load(&erasures).map_err(|source| OpenError::io(&erasures, source))?;
        let erased = entries.iter().filter_map(|entry| match (entry.session, entry.subject) {
            (None, Subject::User(id)) => Some((id, entry.at)),
            _ => None,
        });
        let erased = erased.collect();
        let checkpoints = options.data_dir.join("audit-checkpoints");
        let checkpoint =
            Checkpoints::start(checkpoints.clone()).map_err(|source| OpenError::io(&checkpoints, source))?;
        let inner = Inner { pool, keys, clock: options.clock, checkpoints, checkpoint, erasures, erased };
        let store = Self { inner: Arc::new(inner), audit: Arc::default() };
        for entry in &entries {
            let touched = store.erase_entry(entry).await.map_err(OpenError::from)?;
            if !touched.is_empty() {
                let sessions = touched.len();
                tracing::warn!(sessions, "the database held words that were erased before; they were erased again");
            }
        }
        Ok(store)
    }

    /// Gives the connections back.
    pub fn close(&self) {
        self.inner.pool.close();
    }

    /// Who was erased everywhere, and when, by the journal of erasures as it was at the start.
    pub fn erased_people(&self) -> &[(UserId, Timestamp)] {
        &self.inner.erased
    }

    fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    async fn client(&self) -> Result<Object, Fault> {
        Ok(self.inner.pool.get().await?)
    }

    fn take_audit(&self) -> Vec<AuditDraft> {
        std::mem::take(&mut *self.audit.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresStore")
    }
}

/// A number of ours in a column, which has a sign.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a store answers when a column holds what this program never writes.
fn number<T: TryFrom<i64>>(column: i64, what: &str) -> Result<T, Fault> {
    T::try_from(column).map_err(|_| StoreError::Corrupt(format!("the stored {what} is {column}")).into())
}
