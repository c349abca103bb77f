//! The audit trail's port.

use std::sync::Arc;

use async_trait::async_trait;

use crate::audit::{AuditDraft, AuditRow, AuditType, Problem, Severity};
use crate::{SessionId, TenantId, Timestamp, UserId};

use super::directory::Directory;
use super::log::StoreError;

/// Which rows. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Rows beyond this `seq`: after it, or before it when the newest come first.
    pub from: Option<u64>,
    pub newest_first: bool,
    /// Any of these; empty: every type.
    pub event_types: Vec<AuditType>,
    pub severity: Option<Severity>,
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
}

/// What a look at the whole trail found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditCheck {
    pub rows: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// The newest checkpoint outside the table: its row and time.
    pub checkpoint: Option<(u64, Timestamp)>,
    /// Empty: the trail is whole.
    pub problems: Vec<Problem>,
}

#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends rows in their order, durably.
    async fn record(&self, rows: Vec<AuditDraft>) -> Result<(), StoreError>;
    /// A directory whose next write takes these rows into its own transaction: both are stored, or neither. For
    /// [`Directory::rotate`], rows about a reused token are kept when it was one, and the others when not.
    fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory>;
    /// Rows by filter, at most `limit`.
    async fn rows(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError>;
    /// Walks the whole trail.
    async fn verify(&self) -> Result<AuditCheck, StoreError>;
    /// Removes rows older than `before` and signs where the trail now begins. Returns how many.
    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError>;
}
