//! The PostgreSQL adapter: the suite, and what only several replicas and a server can suffer.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

mod backups;
#[path = "../conformance/mod.rs"]
mod conformance;
mod encrypted;
mod failover;
mod moves;
mod refusals;
mod replicas;
#[path = "../servers/postgres.rs"]
#[expect(dead_code, reason = "tests of the program need more of it")]
mod server;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use conformance::Fixture;
use conformance::clock::TestClock;
use psyche_store::postgres::{OpenError, Options, PostgresStore};
use server::Postgres;

conformance::conformance!(crate::open);

/// One server for all tests of this process. A process that ends closes the server's input, and that ends the server.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "how xtask hands a server to all test processes")]
    let start = || {
        let given = std::env::var(server::VARIABLE).ok();
        Postgres::given_or_start(given.as_deref()).unwrap_or_else(|why| panic!("{why}"))
    };
    SERVER.get_or_init(start)
}

const MASTER: [u8; 32] = [42; 32];

fn options(url: &str, dir: &Path) -> Options {
    Options::new(url.to_owned(), MASTER, dir.to_owned(), Arc::new(TestClock::default()))
}

async fn open_in(url: &str, dir: &Path) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(options(url, dir)).await
}

fn open() -> Fixture<PostgresStore> {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let store =
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open_in(&url, dir.path())).unwrap());
    Fixture { store: Arc::new(store), keep: Some(dir) }
}
