//! The memory adapter under the suite.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

mod conformance;

use std::sync::Arc;

use conformance::Fixture;
use conformance::clock::TestClock;
use psyche_store::memory::MemoryStore;

fn open() -> Fixture<MemoryStore> {
    Fixture { store: Arc::new(MemoryStore::new(Arc::new(TestClock::default()))), keep: None }
}

conformance::conformance!(crate::open);
