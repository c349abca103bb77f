//! Words are unreadable in every file, and what was tampered with is found.

use std::fs;
use std::path::Path;

use psyche_core::port::{Directory as _, EventLog as _, Role, Snapshot, StoreError};
use psyche_core::record::{Broken, Checker};
use psyche_core::words::Subject;
use psyche_store::sqlite::{OpenError, Options, SqliteStore};

use crate::conformance::build::{TENANT, append, checked, create, create_owned, new_user, session_id, user_id};
use crate::{open_in, options};

const AGENT: &str = "the lighthouse keeper dreams of salt";
const PERSON: &str = "my grandmother lived in Trieste";

async fn conversation(dir: &Path) -> SqliteStore {
    let store = open_in(dir).unwrap();
    let (mut chain, epoch) = create_owned(&store, session_id(1)).await;
    let expected = chain.hash;
    let words = [(Subject::Session, AGENT), (Subject::User(user_id(1)), PERSON)];
    let records = vec![chain.record("agent_message", &words), chain.record("agent_message", &words)];
    store.append(append(session_id(1), Some(epoch), expected, records)).await.unwrap();
    let snapshot =
        Snapshot { generation: 1, seq: 3, hash: chain.hash, form: 1, bytes: format!("state: {AGENT}").into_bytes() };
    store.save_snapshot(session_id(1), snapshot).await.unwrap();
    store
}

fn occurs(dir: &Path, needle: &[u8]) -> bool {
    let files = fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[tokio::test]
async fn no_file_holds_a_word_in_plain_form() {
    let dir = tempfile::tempdir().unwrap();
    let store = conversation(dir.path()).await;
    assert!(occurs(dir.path(), b"agent_message"), "the search works");
    let hidden = || [AGENT, PERSON].iter().all(|words| !occurs(dir.path(), &words.as_bytes()[..12]));
    assert!(hidden(), "while open");
    store.close().await;
    assert!(hidden(), "after the close");
    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.snapshot(session_id(1), 3).await.unwrap().unwrap().bytes, format!("state: {AGENT}").into_bytes());
    store.close().await;
}

#[tokio::test]
async fn an_erased_key_and_its_texts_leave_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = conversation(dir.path()).await;
    let path = dir.path().join("psyche.db");
    let traces: Vec<Vec<u8>> = {
        let raw = rusqlite::Connection::open(&path).unwrap();
        let mut traces = raw
            .prepare(
                "SELECT wrapped FROM subject_key WHERE scope LIKE 'user:%'
                 UNION ALL SELECT sealed FROM event_text WHERE subject <> 'session'
                 UNION ALL SELECT salt FROM event_text WHERE subject <> 'session'",
            )
            .unwrap();
        traces.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(traces.len(), 5);
    assert!(traces.iter().all(|trace| occurs(dir.path(), trace)), "the search works");
    store.erase(None, Subject::User(user_id(1))).await.unwrap();
    // The store is still open, so this holds for its WAL as well.
    for trace in &traces {
        assert!(!occurs(dir.path(), trace));
    }
    store.close().await;
}

#[tokio::test]
async fn a_changed_row_is_found() {
    let swap = "UPDATE event_text SET sealed = (SELECT sealed FROM event_text WHERE seq = 2 AND idx = 0) WHERE seq = 3 AND idx = 0";
    let chain_breaks = [
        "UPDATE event SET body = replace(body, '\"n\":3', '\"n\":4') WHERE seq = 3",
        "UPDATE event SET at = at + 1 WHERE seq = 3",
        "UPDATE event SET kind = 'other' WHERE seq = 3",
        "DELETE FROM event WHERE seq = 2",
    ];
    for sql in chain_breaks {
        let (dir, outcome) = tampered(sql).await;
        let records = outcome.unwrap();
        let mut checker = Checker::default();
        let broken = records.iter().find_map(|record| checker.check(record).err());
        assert!(matches!(broken, Some(Broken::Hash { seq: 3, .. } | Broken::Gap { seq: 2, .. })), "{sql}: {broken:?}");
        drop(dir);
    }
    let seal_breaks = [
        swap,
        "UPDATE event_text SET sealed = zeroblob(length(sealed)) WHERE seq = 3 AND idx = 0",
        "UPDATE event_text SET commitment = zeroblob(32) WHERE seq = 3 AND idx = 0",
        "UPDATE event_text SET field = 'text9' WHERE seq = 3 AND idx = 0",
        "UPDATE subject_key SET wrapped = zeroblob(72) WHERE scope LIKE 'session:%'",
    ];
    for sql in seal_breaks {
        let (dir, outcome) = tampered(sql).await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{sql}: {outcome:?}");
        drop(dir);
    }
    // A salt is outside the seal and inside the commitment.
    let (_dir, outcome) = tampered("UPDATE event_text SET salt = zeroblob(16) WHERE seq = 3 AND idx = 1").await;
    let mut checker = Checker::default();
    let broken = outcome.unwrap().iter().find_map(|record| checker.check(record).err());
    assert!(matches!(broken, Some(Broken::Text { seq: 3, .. })), "{broken:?}");
}

async fn tampered(sql: &str) -> (tempfile::TempDir, Result<Vec<psyche_core::record::Record>, StoreError>) {
    let dir = tempfile::tempdir().unwrap();
    let store = conversation(dir.path()).await;
    checked(&store, session_id(1)).await;
    store.close().await;
    let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    assert!(raw.execute(sql, []).unwrap() > 0, "{sql}");
    drop(raw);
    // The head row and the high-water file still fit, but for events that are gone.
    let store = crate::open_to_read(dir.path()).unwrap();
    let outcome = store.read(session_id(1), 0, usize::MAX).await;
    store.close().await;
    (dir, outcome)
}

#[tokio::test]
async fn the_master_key_changes_while_the_store_works_and_after_a_crash_in_between() {
    const NEXT: [u8; 32] = [43; 32];
    let dir = tempfile::tempdir().unwrap();
    let store = conversation(dir.path()).await;
    store.put_sealed(TENANT, "provider", "cloud", Some(b"sk-secret".to_vec())).await.unwrap();
    let intact = async |store: &SqliteStore| {
        let (records, _) = checked(store, session_id(1)).await;
        assert_eq!(records.iter().flat_map(|r| &r.texts).filter(|t| t.text.is_some()).count(), 4);
        assert_eq!(store.sealed(TENANT, "provider").await.unwrap(), [("cloud".to_owned(), b"sk-secret".to_vec())]);
    };
    // People come and speak while keys are wrapped anew.
    let speak = async {
        for n in 10..60 {
            create(&store, session_id(n)).await;
            store.create_user(new_user(n, Role::Observer)).await.unwrap();
        }
    };
    let (changed, ()) = futures_util::future::join(store.change_master_key(NEXT), speak).await;
    assert!(changed.unwrap() >= 4);
    intact(&store).await;
    store.close().await;
    assert!(matches!(open_in(dir.path()), Err(OpenError::WrongMasterKey(_))), "the old key opens nothing");
    let with = |master_key, master_key_before| {
        SqliteStore::open(Options { master_key, master_key_before, ..options(dir.path()) }).unwrap()
    };

    // A change that broke off: one key is wrapped by the next master key already, and some are not.
    let store = with(NEXT, None);
    store.change_master_key(crate::MASTER).await.unwrap();
    store.close().await;
    let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    let saved: Vec<(Vec<u8>, Vec<u8>)> = {
        let mut select = raw.prepare("SELECT key_id, wrapped FROM subject_key ORDER BY key_id DESC LIMIT 3").unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let store = with(crate::MASTER, None);
    store.change_master_key(NEXT).await.unwrap();
    store.close().await;
    for (id, wrapped) in saved {
        raw.execute("UPDATE subject_key SET wrapped = ?2 WHERE key_id = ?1", rusqlite::params![id, wrapped]).unwrap();
    }
    drop(raw);
    let store = with(NEXT, Some(crate::MASTER));
    intact(&store).await;
    assert!(matches!(store.change_master_key([44; 32]).await, Err(StoreError::Conflict("master key"))));
    assert_eq!(store.wrap_anew().await.unwrap(), 3);
    assert_eq!(store.wrap_anew().await.unwrap(), 0);
    store.close().await;
    intact(&with(NEXT, None)).await;
}

#[tokio::test]
async fn a_removed_secret_leaves_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    store.put_sealed(TENANT, "provider", "cloud", Some(b"sk-first-secret".to_vec())).await.unwrap();
    let trace = |sql: &str| -> Vec<u8> {
        let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
        raw.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (sealed, wrapped) =
        ("SELECT sealed FROM sealed_value", "SELECT wrapped FROM subject_key WHERE scope LIKE 'provider:%'");
    let mut traces = vec![trace(sealed), trace(wrapped)];
    assert!(!occurs(dir.path(), b"sk-first"));
    assert!(traces.iter().all(|trace| occurs(dir.path(), trace)), "the search works");
    store.put_sealed(TENANT, "provider", "cloud", Some(b"sk-second-secret".to_vec())).await.unwrap();
    assert!(traces.iter().all(|trace| !occurs(dir.path(), trace)), "a changed key leaves nothing of the one before");
    traces = vec![trace(sealed), trace(wrapped)];
    store.put_sealed(TENANT, "provider", "cloud", None).await.unwrap();
    assert!(traces.iter().all(|trace| !occurs(dir.path(), trace)));
    store.close().await;
}
