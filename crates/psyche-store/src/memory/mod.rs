//! The store in memory: for tests and for `memory:`. Same promises as the others, until the process ends.

mod audit;
mod directory;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use psyche_core::audit::{AuditDraft, AuditRow};
use psyche_core::cast::Cast;
use psyche_core::ids::{OwnerId, SessionId, SignInId, TenantId, UserId};
use psyche_core::port::{
    AddressBlock, Allowance, Clock, Head, Relation, ResetToken, SessionRow, SignIn, Snapshot, StoreError, User,
};
use psyche_core::record::Record;
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;

/// A store whose clock of leases is the given one. Clones share what is stored.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    /// Held for one operation at a time and never across an await: every operation is a transaction.
    tables: Arc<Mutex<Tables>>,
    /// Rows of the audit trail that the next change takes along.
    audit: Arc<Mutex<Vec<AuditDraft>>>,
}

#[derive(Default)]
struct Tables {
    sessions: BTreeMap<SessionId, Log>,
    users: BTreeMap<UserId, User>,
    sign_ins: BTreeMap<SignInId, SignIn>,
    tokens: BTreeMap<Hash, Token>,
    casts: BTreeMap<(TenantId, String), Cast>,
    settings: BTreeMap<String, Vec<u8>>,
    resets: BTreeMap<UserId, ResetToken>,
    blocks: BTreeMap<(TenantId, String), AddressBlock>,
    allowances: BTreeMap<(TenantId, Option<UserId>), Allowance>,
    sealed: BTreeMap<(TenantId, &'static str, String), Vec<u8>>,
    audit: Vec<AuditRow>,
    /// The last row that was pruned.
    audit_base: (u64, Hash),
    /// People who were erased, and the moment up to which.
    erased: Vec<(UserId, Timestamp)>,
    /// Grows with every change of rights.
    rights: u64,
}

struct Log {
    row: SessionRow,
    head: Head,
    lease: Option<Lease>,
    records: Vec<Record>,
    /// What the unique indexes of a database hold: committed turns, and commands with their `seq`.
    turns: BTreeSet<u64>,
    commands: BTreeMap<String, u64>,
    snapshots: BTreeMap<u64, Snapshot>,
    members: BTreeMap<UserId, Relation>,
}

struct Lease {
    owner: OwnerId,
    until: Timestamp,
}

struct Token {
    sign_in: SignInId,
    spent: Option<(Timestamp, Hash)>,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tables: Arc::default(), audit: Arc::default() }
    }

    /// A change of the directory, with the rows of the audit trail that belong to it.
    fn change<T>(&self, change: impl FnOnce(&mut Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let rows = self.take_audit();
        let mut tables = self.tables();
        let done = change(&mut tables)?;
        audit::append(&mut tables, rows, &*self.clock);
        Ok(done)
    }

    fn take_audit(&self) -> Vec<AuditDraft> {
        std::mem::take(&mut *self.audit.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Operations check before they change, so a panic in one leaves the tables whole.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.tables().sessions.len()).finish_non_exhaustive()
    }
}
