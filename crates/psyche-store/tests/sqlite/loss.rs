//! A database that is behind what was durable before.
//!
//! A crash is made by copying database and WAL before the close, and the high-water file after it, without its last line.

use std::fs;
use std::path::Path;

use psyche_core::port::{Directory as _, EventLog as _};
use psyche_core::words::Hash;
use psyche_store::sqlite::{OpenError, Options, SqliteStore};

use crate::conformance::build::{Chain, append, checked, create_owned, session_id};
use crate::{open_in, open_to_read, options};

/// A directory as a crash leaves it: two sessions of 1 + `appends` events, all in the WAL.
async fn crashed(appends: u64) -> tempfile::TempDir {
    let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_in(running.path()).unwrap();
    for n in [1, 2] {
        let (mut chain, epoch) = create_owned(&store, session_id(n)).await;
        for _ in 0..appends {
            let expected = chain.hash;
            let records = vec![chain.record("reset", &[])];
            store.append(append(session_id(n), Some(epoch), expected, records)).await.unwrap();
        }
    }
    for name in ["psyche.db", "psyche.db-wal"] {
        fs::copy(running.path().join(name), crashed.path().join(name)).unwrap();
    }
    store.close().await;
    let marks = fs::read_to_string(running.path().join("high-water")).unwrap();
    let lines = marks.lines().filter(|line| !line.starts_with("clean")).map(|line| format!("{line}\n"));
    fs::write(crashed.path().join("high-water"), lines.collect::<String>()).unwrap();
    crashed
}

fn digests(dir: &Path) -> [Hash; 3] {
    ["psyche.db", "psyche.db-wal", "high-water"].map(|name| Hash::of(&fs::read(dir.join(name)).unwrap_or_default()))
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn refused(dir: &Path) -> (Vec<psyche_store::sqlite::Lost>, String) {
    let before = digests(dir);
    let error = open_in(dir).unwrap_err();
    let message = error.to_string();
    assert_eq!(digests(dir), before, "a refused database stays as it is");
    match error {
        OpenError::Behind { lost, .. } => (lost, message),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_crash_alone_loses_nothing() {
    let dir = crashed(5).await;
    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.lost(), []);
    for n in [1, 2] {
        assert_eq!(checked(&store, session_id(n)).await.0.len(), 6);
    }
    store.close().await;
}

#[tokio::test]
async fn a_flipped_byte_in_the_wal_is_noticed_and_can_be_accepted() {
    let dir = crashed(5).await;
    // In a late frame: SQLite drops it and all that follow, and its own check says "ok".
    flip(&dir.path().join("psyche.db-wal"), |len| len - 3 * 4096);
    let (lost, message) = refused(dir.path());
    assert!(lost.iter().any(|l| l.session == session_id(2) && l.durable == 6), "{lost:?}");
    let found = lost[0].found.unwrap();
    let named = format!("session {} ends at event {found}, events {} to 6 are lost", lost[0].session, found + 1);
    assert!(message.contains(&named) && message.contains("--accept-loss"), "{message}");

    let reader = open_to_read(dir.path()).unwrap();
    assert_eq!(reader.lost(), lost, "a read-only open tells it too");
    reader.close().await;

    let marks = fs::read(dir.path().join("high-water")).unwrap();
    let store = SqliteStore::open(Options { accept_loss: true, ..options(dir.path()) }).unwrap();
    let session = lost[0].session;
    let head = store.head(session).await.unwrap().unwrap();
    assert_eq!((head.generation, head.seq), (2, found));
    assert_eq!(store.session(session).await.unwrap().unwrap().summary.generation, 2);
    let mut chain = Chain::at(&head);
    let batch = append(session, Some(head.epoch), head.hash, vec![chain.record("reset", &[])]);
    store.append(batch).await.unwrap();
    let (records, _) = checked(&store, session).await;
    assert_eq!(records.iter().map(|r| r.generation).collect::<Vec<_>>()[found as usize - 1..], [1, 2]);
    if lost.len() == 1 {
        assert_eq!(store.head(session_id(1)).await.unwrap().unwrap().generation, 1);
    }
    store.close().await;
    // Also when the process ended between accepting the loss and writing the file anew: it is accepted once.
    for _ in 0..2 {
        let again = open_in(dir.path()).unwrap();
        assert_eq!(again.lost(), []);
        again.close().await;
        fs::write(dir.path().join("high-water"), &marks).unwrap();
    }
}

#[tokio::test]
async fn a_lost_wal_a_lost_database_and_an_old_backup_are_noticed() {
    let dir = crashed(2).await;
    fs::remove_file(dir.path().join("psyche.db-wal")).unwrap();
    assert_eq!(refused(dir.path()).0.len(), 2);

    for name in ["psyche.db", "psyche.db-wal"] {
        let dir = crashed(2).await;
        fs::write(dir.path().join(name), b"").unwrap();
        let (lost, message) = refused(dir.path());
        assert_eq!(lost.len(), 2, "{name}");
        assert!(message.contains("is gone (3 events)"), "{message}");
        if name == "psyche.db" {
            let store = SqliteStore::open(Options { accept_loss: true, ..options(dir.path()) });
            // The old WAL does not fit the new database, so this may be refused; accepted means an empty store.
            if let Ok(store) = store {
                assert_eq!(store.head(session_id(1)).await.unwrap(), None);
                store.close().await;
            }
        }
    }

    // A backup from before the last events.
    let (old, new) = (crashed(2).await, crashed(5).await);
    fs::copy(new.path().join("high-water"), old.path().join("high-water")).unwrap();
    let (lost, _) = refused(old.path());
    assert_eq!(lost.iter().map(|l| (l.durable, l.found)).collect::<Vec<_>>(), [(6, Some(3)), (6, Some(3))]);

    // As many events, but others.
    let dir = crashed(2).await;
    let marks = fs::read_to_string(dir.path().join("high-water")).unwrap();
    let store = open_in(dir.path()).unwrap();
    store.close().await;
    let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    raw.execute("UPDATE event SET hash = zeroblob(32) WHERE seq = 3", []).unwrap();
    drop(raw);
    fs::write(dir.path().join("high-water"), marks).unwrap();
    assert!(refused(dir.path()).1.contains("holds another event 3 than before"));
}

#[tokio::test]
async fn a_deleted_session_is_not_a_loss() {
    let dir = crashed(2).await;
    let marks = fs::read_to_string(dir.path().join("high-water")).unwrap();
    let store = open_in(dir.path()).unwrap();
    store.delete(session_id(1)).await.unwrap();
    store.close().await;
    // The deletion was durable, its line in the high-water file was not.
    fs::write(dir.path().join("high-water"), marks).unwrap();
    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.lost(), []);
    store.close().await;
}

#[tokio::test]
async fn an_acknowledged_head_reaches_the_high_water_file_within_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let (chain, _) = create_owned(&store, session_id(1)).await;
    let path = dir.path().join("high-water");
    let expected = format!("m {} 1 1 {}", session_id(1), chain.hash);
    // The store is not closed: the file is written by the clock alone. The test's own time limit bounds the wait.
    while !fs::read_to_string(&path).unwrap().contains(&expected) {
        tokio::task::yield_now().await;
    }
    store.close().await;
    assert!(fs::read_to_string(&path).unwrap().lines().last().unwrap().starts_with("clean "));
}
