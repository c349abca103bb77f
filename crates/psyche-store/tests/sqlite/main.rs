//! The SQLite adapter: the suite, and what only files can suffer.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

mod commits;
#[path = "../conformance/mod.rs"]
mod conformance;
mod erased;
mod kill;
mod loss;
mod refusals;
mod sealed;
mod trail;

use std::path::Path;
use std::sync::Arc;

use conformance::Fixture;
use conformance::clock::TestClock;
use psyche_store::sqlite::{Access, OpenError, Options, SqliteStore};

conformance::conformance!(crate::open);

fn open() -> Fixture<SqliteStore> {
    let dir = tempfile::tempdir().unwrap();
    Fixture { store: Arc::new(open_in(dir.path()).unwrap()), keep: Some(dir) }
}

const MASTER: [u8; 32] = [42; 32];

fn options(dir: &Path) -> Options {
    Options::new(dir.join("psyche.db"), MASTER, Arc::new(TestClock::default()))
}

fn open_in(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(options(dir))
}

fn open_to_read(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(Options { access: Access::ReadOnly, ..options(dir) })
}
