//! The store in PostgreSQL: one database for any number of replicas.
//!
//! - An append is one statement and so one round trip and one transaction: compare-and-set on the head, the events, their
//!   sealed texts, the session's row and what they have cost.
//! - The database's row locks and unique indexes decide between replicas, at READ COMMITTED; its clock decides leases.
//! - Texts, snapshots and what names a person are sealed as in SQLite (docs/adr/0001). Rows refer to the key they are sealed
//!   under, so that nothing is sealed under a key that another replica has just destroyed.
//! - Every new connection is asked for what was acknowledged before: where the database has lost it (a failover), the
//!   session gets a new generation.
//! - The journal of erasures and the checkpoints of the audit trail lie outside the database, in the data directory of each
//!   replica. Erasures are written to the database too: a restored backup lacks those that a journal has, and they are done
//!   again at the start; a journal takes over what other replicas erased.

mod acknowledged;
mod allowances;
mod audit;
mod casts;
mod connection;
mod directory;
mod erasure;
mod fault;
mod forks;
mod keys;
mod leases;
mod lock;
mod log;
mod members;
mod open;
mod records;
mod restore;
mod rows;
mod schema;
mod sealed;
mod sessions;
mod sign_ins;
mod snapshots;
mod tls;
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
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Access;
use crate::checkpoints::Checkpoints;
use acknowledged::Acknowledged;
use fault::Fault;
use keys::Keys;
use write::transact;

pub use open::OpenError;
pub use records::APPEND;

/// How long a caller waits for a connection, and a statement may take, by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys that are wrapped anew in one transaction.
const REWRAPPED: usize = 200;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database`, with libpq's parameters. Without `sslmode` a server elsewhere is
    /// spoken to under TLS alone.
    pub url: String,
    /// Wraps the keys of subjects. The same for all replicas.
    pub master_key: [u8; 32],
    /// The one before it, which may still wrap some of them.
    pub master_key_before: Option<[u8; 32]>,
    /// Gives entropy for keys and nonces. Leases go by the database's clock.
    pub clock: Arc<dyn Clock>,
    /// Read only, the database itself refuses every write.
    pub access: Access,
    /// Refuse to open a database for writing that another program has open so, and have others refuse it. Otherwise it is
    /// shared with those that share it, and refused beside one that is alone.
    pub alone: bool,
    /// Where the journal of erasures, the high-water file and the audit trail's checkpoints lie.
    pub data_dir: PathBuf,
    /// Connections at most.
    pub connections: usize,
    /// How long a caller waits for a connection, and a statement may take.
    pub patience: Duration,
}

impl Options {
    /// Read and write beside others, 20 connections, 10 s of patience.
    pub fn new(url: String, master_key: [u8; 32], data_dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            master_key,
            master_key_before: None,
            clock,
            access: Access::ReadWrite,
            alone: false,
            data_dir,
            connections: 20,
            patience: PATIENCE,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Options").field("access", &self.access).finish_non_exhaustive()
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
    /// Where the audit trail's checkpoints lie.
    checkpoints: PathBuf,
    checkpoint: Checkpoints,
    /// The journal of erasures.
    erasures: PathBuf,
    erased: Vec<(UserId, Timestamp)>,
    /// What was acknowledged, held against every new connection.
    acknowledged: Arc<Acknowledged>,
    /// Keeps those away who want to be alone, and everybody where that was asked for.
    lock: Mutex<JoinSet<()>>,
}

impl PostgresStore {
    /// Whether nothing was ever stored in this database. Asked before a key is made for it.
    pub async fn is_new(url: &str) -> Result<bool, OpenError> {
        open::is_new(url).await
    }

    /// Connects, brings the schema up to date, and erases again what a restored backup brought back. A refused database is
    /// left as it is.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        open::open(options).await
    }

    /// Ends the connections and gives the database back.
    pub fn close(&self) {
        self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.inner.pool.close();
        self.inner.acknowledged.end();
    }

    /// Who was erased everywhere, and when, as it was known at the start. A restored database has lost their words again by
    /// now; their accounts are the caller's to remove.
    pub fn erased_people(&self) -> &[(UserId, Timestamp)] {
        &self.inner.erased
    }

    /// Wraps all keys by another master key, a few at a time, while the store goes on working. Until it returns some are
    /// wrapped by the one and some by the other: keep both. Returns how many were wrapped anew. Other replicas must know
    /// both keys by then ([`Options::master_key_before`]).
    pub async fn change_master_key(&self, master: [u8; 32]) -> Result<u64, StoreError> {
        if !self.keys().ring().change_master(master) {
            return Err(StoreError::Conflict("master key"));
        }
        self.wrap_anew().await
    }

    /// The same for a store that was opened with both keys.
    pub async fn wrap_anew(&self) -> Result<u64, StoreError> {
        let (mut after, mut all) = (Uuid::nil(), 0);
        loop {
            let (last, count) = self.rewrapped_after(after).await?;
            all += count;
            let Some(last) = last else { break };
            after = last;
        }
        self.keys().ring().forget_master_before();
        Ok(all)
    }

    async fn rewrapped_after(&self, after: Uuid) -> Result<(Option<Uuid>, u64), Fault> {
        Ok(transact!(self, |write| write.keys.rewrap_next(&write.db, after, REWRAPPED).await))
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

/// The same for a column of half the size.
fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// What a store answers when a column holds what this program never writes.
fn number<T: TryFrom<i64>>(column: i64, what: &str) -> Result<T, Fault> {
    T::try_from(column).map_err(|_| StoreError::Corrupt(format!("the stored {what} is {column}")).into())
}
