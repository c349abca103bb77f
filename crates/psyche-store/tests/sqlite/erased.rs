//! A restored backup is erased again before anything is read from it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use psyche_core::Timestamp;
use psyche_core::port::{Clock, Directory as _, EventLog as _};
use psyche_core::words::{ERASED, Subject};
use psyche_store::sqlite::{OpenError, Options, SqliteStore};

use crate::conformance::build::{append, checked, create_owned, session_id, summary, texts, user_id};
use crate::conformance::clock::START;
use crate::{open_in, open_to_read, options};

const PERSON: &str = "My grandmother kept a lighthouse near Trieste until the winter.";
const AGENT: &str = "A lighthouse, of all things.";

/// A session in which user 1 speaks, an agent answers and another quotes; user 2 speaks too.
async fn talk(store: &SqliteStore, n: u128) {
    let session = session_id(n);
    let (mut chain, epoch) = create_owned(store, session).await;
    let expected = chain.hash;
    let quote = format!("You said: {PERSON}");
    let records = vec![
        chain.record("stimulus_injected", &[(Subject::User(user_id(1)), PERSON)]),
        chain.record("agent_message", &[(Subject::Session, AGENT), (Subject::Session, &quote)]),
        chain.record("annotation", &[(Subject::User(user_id(2)), "A note.")]),
    ];
    let mut batch = append(session, Some(epoch), expected, records);
    batch.summary = Some(summary(session, user_id(1)));
    store.append(batch).await.unwrap();
}

/// The database as a backup holds it: one file, made while the store was closed.
fn backup(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("psyche.db")).unwrap()
}

const LEFT: [Option<&str>; 4] = [None, Some(AGENT), Some("You said: [erased]"), Some("A note.")];

#[tokio::test]
async fn a_restored_backup_is_erased_again_before_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    for n in [1, 2] {
        talk(&store, n).await;
    }
    store.close().await;
    let old = backup(dir.path());

    let store = open_in(dir.path()).unwrap();
    store.erase(None, Subject::User(user_id(1))).await.unwrap();
    // A session that is gone by the time of the restore comes back with it.
    store.delete(session_id(2)).await.unwrap();
    let generation = store.head(session_id(1)).await.unwrap().unwrap().generation;
    store.close().await;

    fs::write(dir.path().join("psyche.db"), &old).unwrap();
    let refused = open_to_read(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NotErased(_)), "{refused}");
    assert!(refused.to_string().contains("start psyche once"), "{refused}");

    let store = open_in(dir.path()).unwrap();
    for n in [1, 2] {
        let (records, _) = checked(&store, session_id(n)).await;
        assert_eq!(texts(&records), LEFT, "session {n}");
        let row = store.session(session_id(n)).await.unwrap().unwrap().summary;
        assert_eq!((row.name.as_str(), row.situation.as_str()), (ERASED, ERASED));
        assert_eq!(store.head(session_id(n)).await.unwrap().unwrap().generation, generation);
    }
    let people: Vec<_> = store.erased_people().iter().map(|(user, _)| *user).collect();
    assert_eq!(people, [user_id(1)]);
    store.close().await;

    // Done once: the next start finds nothing to do, and reading alone is possible.
    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.head(session_id(1)).await.unwrap().unwrap().generation, generation);
    store.close().await;
    open_to_read(dir.path()).unwrap().close().await;
}

/// A clock that stands where it is put.
struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        START.plus_ms(self.0)
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
    fn entropy(&self) -> [u8; 32] {
        crate::conformance::clock::TestClock::default().entropy()
    }
}

#[tokio::test]
async fn what_was_said_after_an_erasure_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |ms| SqliteStore::open(Options { clock: Arc::new(At(ms)), ..options(dir.path()) }).unwrap();
    let store = at(0);
    talk(&store, 1).await;
    for subject in [Subject::Session, Subject::User(user_id(1))] {
        store.erase(Some(session_id(1)), subject).await.unwrap();
    }
    let head = store.head(session_id(1)).await.unwrap().unwrap();
    let mut chain = crate::conformance::build::Chain::at(&head);
    let said = [(Subject::User(user_id(1)), "Here I am again."), (Subject::Session, "Welcome back.")];
    let records = vec![chain.record("agent_message", &said)];
    store.append(append(session_id(1), Some(head.epoch), head.hash, records)).await.unwrap();
    store.close().await;
    let store = at(10);
    let (records, _) = checked(&store, session_id(1)).await;
    assert_eq!(texts(&records[4..]), [Some("Here I am again."), Some("Welcome back.")]);
    assert_eq!(
        store.head(session_id(1)).await.unwrap().unwrap(),
        psyche_core::port::Head { owner: None, seq: 5, hash: chain.hash, ..head }
    );
    assert!(store.erased_people().is_empty(), "nobody was erased everywhere");
    store.close().await;
}

#[tokio::test]
async fn an_erasure_that_cannot_be_noted_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    talk(&store, 1).await;
    fs::create_dir(dir.path().join("erasures")).unwrap();
    let refused = store.erase(None, Subject::User(user_id(1))).await.unwrap_err();
    assert!(refused.to_string().contains("nothing was erased"), "{refused}");
    let (records, _) = checked(&store, session_id(1)).await;
    assert_eq!(texts(&records)[0], Some(PERSON));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_in_the_way_delays_the_wal_only() {
    let dir = tempfile::tempdir().unwrap();
    let patience = std::time::Duration::from_millis(1);
    let store = SqliteStore::open(Options { busy_timeout: patience, ..options(dir.path()) }).unwrap();
    talk(&store, 1).await;
    let wal = dir.path().join("psyche.db-wal");
    let mut reader = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    let looking = reader.transaction().unwrap();
    looking.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, u64>(0)).unwrap();
    store.erase(None, Subject::User(user_id(1))).await.unwrap();
    assert!(fs::metadata(&wal).unwrap().len() > 0, "a reader holds it");
    drop(looking);
    store.probe().await.unwrap();
    assert_eq!(fs::metadata(&wal).unwrap().len(), 0, "the next commit folds it");
    store.close().await;
}
