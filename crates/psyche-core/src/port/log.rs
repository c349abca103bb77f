//! The event log: append under compare-and-set, read, snapshots, leases.

use async_trait::async_trait;

use crate::ids::{OwnerId, SessionId, TenantId};
use crate::record::Record;
use crate::time::Timestamp;
use crate::words::{Hash, Subject};

use super::allowance::Charge;
use super::directory::{Parent, SessionRow, SessionSummary};

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The dependency is away for now: try again.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    #[error("no such {0}")]
    NotFound(&'static str),
    /// A unique value is taken; the field is named.
    #[error("{0} is already taken")]
    Conflict(&'static str),
    /// What is stored cannot be read; the message says what to do.
    #[error("{0}")]
    Corrupt(String),
}

/// The head row of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub generation: u32,
    pub seq: u64,
    pub hash: Hash,
    pub epoch: u64,
    pub owner: Option<OwnerId>,
}

/// A session to be created together with its first records, in one transaction.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub row: SessionRow,
    pub records: Vec<Record>,
}

/// A session that begins with another's past.
#[derive(Clone, Debug)]
pub struct NewFork {
    pub row: SessionRow,
    /// Whose events are copied, up to `seq`, and the generation in which the new records were decided. It must be of the
    /// row's tenant.
    pub parent: Parent,
    /// What follows them; never empty.
    pub records: Vec<Record>,
}

/// Records to be appended as one transaction.
#[derive(Clone, Debug)]
pub struct Append {
    pub session: SessionId,
    /// The owner's epoch, or `None` for the one kind of record that needs no ownership (`command_received`).
    pub epoch: Option<u64>,
    /// Hash of the record the new ones follow.
    pub expected: Hash,
    /// Never empty; `seq` and `hash` already follow from `expected`.
    pub records: Vec<Record>,
    /// The session's row as it reads after these records; replaces the stored summary.
    pub summary: Option<SessionSummary>,
    /// What the records have cost, where they have.
    pub charge: Option<Charge>,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another owner holds the session: drop it.
    #[error("another owner has taken the session over")]
    Fenced,
    /// The log went on meanwhile: load the tail and decide again.
    #[error("the log is at event {} already", .0.seq)]
    Stale(Head),
    /// This turn was committed before.
    #[error("turn {0} was committed before")]
    TurnTaken(u64),
    /// This command was received before, as the event `seq`.
    #[error("command was received before, as event {seq}")]
    CommandTaken { seq: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The session is ours; the head carries the new epoch.
    Granted(Head),
    /// Another owner holds it until that moment of the database's clock.
    Held { owner: OwnerId, until: Timestamp },
}

/// A fold saved at a sequence number, so that a reader need not start at 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The generation of the log it was made from. When that has changed meanwhile it is of another past.
    pub generation: u32,
    pub seq: u64,
    pub hash: Hash,
    /// Version of the state's form; a reader that does not know it ignores the snapshot.
    pub form: u16,
    pub bytes: Vec<u8>,
}

/// The log of all sessions. Every acknowledged append survives a kill.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Creates the session's row, head (epoch 0, no owner) and first records.
    async fn create(&self, new: NewSession) -> Result<(), StoreError>;
    /// Creates a session with a copy of the parent's records up to `parent.seq`, under epoch 0, and of its snapshots of
    /// them, in one transaction. Texts of people stay under their keys, so that erasing a person reaches the copy; the
    /// session's own are sealed anew. Refuses with `Conflict("generation")` when the parent's past has changed since.
    async fn fork(&self, new: NewFork) -> Result<(), StoreError>;
    async fn head(&self, session: SessionId) -> Result<Option<Head>, StoreError>;
    /// The heads of those of the sessions that there are.
    async fn heads(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, Head)>, StoreError> {
        let mut heads = Vec::with_capacity(sessions.len());
        for session in sessions {
            heads.extend(self.head(*session).await?.map(|head| (*session, head)));
        }
        Ok(heads)
    }
    /// Takes the lease when it is free, expired or already ours. Each grant raises the epoch.
    async fn claim(&self, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, StoreError>;
    /// Extends the leases we still hold and returns those sessions.
    async fn renew(&self, owner: OwnerId, sessions: &[SessionId], ttl_ms: u64) -> Result<Vec<SessionId>, StoreError>;
    /// Gives leases back at once.
    async fn release(&self, owner: OwnerId, sessions: &[SessionId]) -> Result<(), StoreError>;
    /// Appends all records or none. Returns the new head.
    async fn append(&self, append: Append) -> Result<Head, AppendError>;
    /// Records with `seq > after`, ascending, at most `limit`.
    async fn read(&self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, StoreError>;
    /// Records of these kinds with `seq > after`, ascending, at most `limit`, without their texts: what is read of long logs
    /// for their numbers alone.
    async fn read_numbers(
        &self,
        session: SessionId,
        kinds: &'static [&'static str],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;
    /// The `seq` of the `command_received` with this id.
    async fn find_command(&self, session: SessionId, command_id: &str) -> Result<Option<u64>, StoreError>;
    /// Refuses a snapshot of another generation than the log's with `Conflict("generation")`.
    async fn save_snapshot(&self, session: SessionId, snapshot: Snapshot) -> Result<(), StoreError>;
    /// The newest snapshot at or before `seq`.
    async fn snapshot(&self, session: SessionId, seq: u64) -> Result<Option<Snapshot>, StoreError>;
    /// Sessions whose last status is `running`, or in which commands wait, and that nobody owns or whose lease ran out. Those
    /// that only wait come first: they are done with at once.
    async fn claimable(&self, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, StoreError>;
    /// Destroys the key and salts of a subject, in one session or everywhere: its texts read as erased from then on, and
    /// what others quote of a person reads as masked (docs/adr/0003). Returns the sessions in which something went. Each
    /// has a new generation: whoever holds what was read before is told by it.
    async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, StoreError>;
    /// Removes a session, its records, texts, keys and snapshots.
    async fn delete(&self, session: SessionId) -> Result<(), StoreError>;
    /// A cheap write and read that tells whether the store works.
    async fn probe(&self) -> Result<(), StoreError>;
}
