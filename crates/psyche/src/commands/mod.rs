//! The subcommands, one file each, and what several of them need to know of sessions.

pub mod analyse;
pub mod audit;
pub mod backup;
pub mod config;
pub mod doctor;
pub mod export;
pub mod fork;
pub mod health;
pub mod import;
pub mod interview;
pub mod key;
pub mod migrate;
pub mod model;
pub mod replay;
pub mod restore;
pub mod run;
pub mod serve;
pub mod sessions;
pub mod speak;
pub mod user;
pub mod verify;

use psyche_core::TenantId;
use psyche_core::audit::{AuditDraft, AuditType, Outcome, Personal, Severity};
use psyche_core::port::Clock;

/// A row of the audit trail about what was done on the machine itself.
pub fn row(clock: &dyn Clock, event_type: AuditType, severity: Severity, details: serde_json::Value) -> AuditDraft {
    AuditDraft {
        tenant: TenantId::DEFAULT,
        event_type,
        severity,
        at: clock.now(),
        user_id: None,
        session_id: None,
        request_id: "command-line".to_owned(),
        outcome: Outcome::Success,
        personal: Personal::default(),
        details,
    }
}
