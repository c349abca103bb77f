//! The event log and the directory behind the ports of `psyche-core`: in memory, in SQLite, and in PostgreSQL.
//!
//! All adapters promise the same and run the same suite (`tests/conformance/`). The promises are those of the ports;
//! what SQLite adds (group commit, the high-water file, one writer per data directory) is told in [`sqlite`], what
//! PostgreSQL adds (any number of replicas) in [`postgres`]. Sealing, the audit trail and the rules of accounts are the
//! same for both.

mod accounts;
mod checkpoints;
mod columns;
mod cursor;
mod erasure;
mod guard;
mod high_water;
mod journal;
mod keyring;
pub mod memory;
pub mod postgres;
mod restored;
pub mod rows;
pub mod sqlite;
mod sums;
mod trail;

use psyche_core::seal;

/// Whether a store may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadWrite,
    /// For `verify`, `export` and `replay`: every write is refused.
    ReadOnly,
}
