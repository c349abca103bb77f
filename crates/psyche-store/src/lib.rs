//! The event log and the directory behind the ports of `psyche-core`: in memory, in SQLite, and in PostgreSQL.
//!
//! All adapters promise the same and run the same suite (`tests/conformance/`). The promises are those of the ports;
//! what SQLite adds (group commit, sealing, the high-water file, one writer per data directory) is told in [`sqlite`], what PostgreSQL adds
//! (any number of replicas) in [`postgres`].

mod accounts;
mod cursor;
mod erasure;
mod guard;
pub mod memory;
pub mod postgres;
pub mod sqlite;
