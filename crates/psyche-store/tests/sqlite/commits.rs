//! Group commit, and what happens when a commit cannot be.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::port::{AppendError, EventLog as _, StoreError};
use psyche_core::words::Subject;
use psyche_store::sqlite::{Options, SqliteStore};

use crate::conformance::build::{append, checked, create_owned, session_id, texts};
use crate::{open_in, options};

#[tokio::test]
async fn waiting_appends_of_many_sessions_share_commits() {
    const SESSIONS: u128 = 64;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open_in(dir.path()).unwrap());
    let mut batches = Vec::new();
    for n in 1..=SESSIONS {
        let (mut chain, epoch) = create_owned(store.as_ref(), session_id(n)).await;
        let expected = chain.hash;
        // Every eighth one is fenced: its neighbours do not notice.
        let epoch = epoch + u64::from(n % 8 == 0);
        batches.push(append(session_id(n), Some(epoch), expected, vec![chain.record("reset", &[])]));
    }
    let before = store.commits();
    let outcomes = futures_util::future::join_all(batches.into_iter().map(|batch| store.append(batch))).await;
    let commits = store.commits() - before;
    for (n, outcome) in (1..).zip(outcomes) {
        match outcome {
            Ok(head) => assert_eq!((head.seq, n % 8 == 0), (2, false)),
            Err(AppendError::Fenced) => assert_eq!(n % 8, 0),
            Err(other) => panic!("{other}"),
        }
        let expected = if n % 8 == 0 { 1 } else { 2 };
        assert_eq!(checked(store.as_ref(), session_id(n)).await.0.len(), expected);
    }
    assert!((1..=16).contains(&commits), "56 appends took {commits} commits");
    store.close().await;
}

#[tokio::test]
async fn a_locked_database_fails_writes_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(Options { busy_timeout: Duration::from_millis(20), ..options(dir.path()) }).unwrap();
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(&store, session).await;
    let expected = chain.hash;
    let batch = append(session, Some(epoch), expected, vec![chain.record("x", &[(Subject::Session, "words")])]);

    let other = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = tokio::join!(store.append(batch.clone()), store.probe());
    assert!(matches!(one, Err(AppendError::Store(StoreError::Unavailable(_)))), "{one:?}");
    assert!(matches!(two, Err(StoreError::Unavailable(_))), "{two:?}");
    assert_eq!(checked(&store, session).await.0.len(), 1, "reading goes on");

    other.execute_batch("ROLLBACK").unwrap();
    store.append(batch).await.unwrap();
    assert_eq!(texts(&checked(&store, session).await.0), [Some("words")]);
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let (_, epoch) = create_owned(&store, session_id(1)).await;
    store.close().await;
    store.close().await;
    let chain = crate::conformance::build::Chain::new();
    let late = append(session_id(1), Some(epoch), chain.hash, vec![chain.clone().record("reset", &[])]);
    assert!(matches!(store.append(late).await, Err(AppendError::Store(StoreError::Unavailable(_)))));
    assert!(matches!(store.head(session_id(1)).await, Err(StoreError::Unavailable(_))));
    // The lock was given back although the closed store still lives.
    let again = open_in(dir.path()).unwrap();
    assert_eq!(checked(&again, session_id(1)).await.0.len(), 1);
    again.close().await;
}
