//! A standby without the last commits takes over: what was acknowledged is missing, and nobody goes on as if it were not.

use std::path::Path;
use std::time::Duration;

use psyche_core::ids::SessionId;
use psyche_core::port::{AppendError, Directory as _, EventLog as _};
use psyche_core::words::Subject;
use psyche_store::postgres::PostgresStore;
use tokio::time::Instant;

use crate::conformance::build::{Chain, append, checked, create_owned, owner_id, session_id, user_id};
use crate::refusals::{cut, name_of};
use crate::{open_in, server};

/// Two sessions of three events each.
async fn two(store: &PostgresStore) -> [(Chain, u64); 2] {
    let mut made = Vec::new();
    for n in [1, 2] {
        let (mut chain, epoch) = create_owned(store, session_id(n)).await;
        let expected = chain.hash;
        let person = Subject::User(user_id(2));
        let records = vec![chain.record("agent_message", &[(person, "words")]), chain.record("agent_message", &[])];
        store.append(append(session_id(n), Some(epoch), expected, records)).await.unwrap();
        made.push((chain, epoch));
    }
    made.try_into().unwrap()
}

/// Makes a session end at `seq`, as on a standby that never got the rest.
fn lose(url: &str, session: SessionId, seq: u64) {
    let sql = format!(
        "DELETE FROM event WHERE session_id = '{session}' AND seq > {seq};
         DELETE FROM event_text WHERE session_id = '{session}' AND seq > {seq};
         UPDATE session_head AS h SET last_seq = e.seq, head_hash = e.hash FROM event AS e
         WHERE h.session_id = '{session}' AND e.session_id = h.session_id AND e.seq = {seq}"
    );
    server().run(name_of(url), &sql).unwrap();
}

async fn generations(store: &PostgresStore) -> [u32; 2] {
    let generation = async |n| store.head(session_id(n)).await.unwrap().unwrap().generation;
    [generation(1).await, generation(2).await]
}

async fn reopened(url: &str, dir: &Path) -> [u32; 2] {
    let store = open_in(url, dir).await.unwrap();
    let found = generations(&store).await;
    store.close();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_at_the_start_begins_a_new_generation_once() {
    let url = server().database().unwrap();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_in(&url, dir.path()).await.unwrap();
    two(&store).await;
    store.close();
    drop(store);
    assert_eq!(reopened(&url, dir.path()).await, [1, 1], "nothing is missing");
    let marks = dir.path().join("acknowledged");
    std::fs::copy(&marks, other.path().join("acknowledged")).unwrap();

    lose(&url, session_id(1), 2);
    assert_eq!(reopened(&url, dir.path()).await, [2, 1]);
    // Another replica that remembers the same finds it done, and so does this one.
    assert_eq!(reopened(&url, other.path()).await, [2, 1]);
    assert_eq!(reopened(&url, dir.path()).await, [2, 1]);

    let store = open_in(&url, dir.path()).await.unwrap();
    assert_eq!(store.session(session_id(1)).await.unwrap().unwrap().summary.generation, 2);
    assert_eq!(checked(&store, session_id(1)).await.0.len(), 2);
    // Lost again, it is noticed again: the file goes by what there was then.
    lose(&url, session_id(1), 1);
    store.close();
    drop(store);
    assert_eq!(reopened(&url, dir.path()).await, [3, 1]);

    // As many events, but others.
    let sql = "UPDATE event SET hash = decode(repeat('07', 32), 'hex') WHERE session_id = '{id}' AND seq = 3;
               UPDATE session_head SET head_hash = decode(repeat('07', 32), 'hex') WHERE session_id = '{id}'";
    server().run(name_of(&url), &sql.replace("{id}", &session_id(2).to_string())).unwrap();
    assert_eq!(reopened(&url, dir.path()).await, [3, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_after_a_reconnect_fences_the_owner() {
    let url = server().database().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(&url, dir.path()).await.unwrap();
    let [(mut chain, epoch), _] = two(&store).await;
    // New connections alone change nothing.
    server().run("postgres", &cut(name_of(&url))).unwrap();
    assert_eq!(after_reconnect(&store).await, [1, 1]);

    lose(&url, session_id(1), 2);
    server().run("postgres", &cut(name_of(&url))).unwrap();
    assert_eq!(after_reconnect(&store).await, [2, 1]);
    let expected = chain.hash;
    let next = append(session_id(1), Some(epoch), expected, vec![chain.record("agent_message", &[])]);
    let refused = store.append(next).await;
    assert!(matches!(&refused, Err(AppendError::Stale(head)) if (head.generation, head.seq) == (2, 2)), "{refused:?}");
    // Who reads anew goes on, under the new generation.
    let head = store.head(session_id(1)).await.unwrap().unwrap();
    let mut chain = Chain::at(&head);
    let records = vec![chain.record("agent_message", &[])];
    store.append(append(session_id(1), Some(epoch), head.hash, records)).await.unwrap();
    assert_eq!(checked(&store, session_id(1)).await.0.len(), 3);
    server().run("postgres", &cut(name_of(&url))).unwrap();
    assert_eq!(after_reconnect(&store).await, [2, 1], "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_and_a_deletion_are_no_loss() {
    let url = server().database().unwrap();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, second) = (open_in(&url, dir.path()).await.unwrap(), open_in(&url, other.path()).await.unwrap());
    two(&store).await;
    second.erase(None, Subject::User(user_id(2))).await.unwrap();
    second.claim(session_id(1), owner_id(1), 0).await.unwrap();
    assert_eq!(generations(&store).await, [2, 2]);
    store.close();
    second.close();
    drop((store, second));
    assert_eq!(reopened(&url, dir.path()).await, [2, 2]);
    assert_eq!(reopened(&url, other.path()).await, [2, 2]);
    let store = open_in(&url, dir.path()).await.unwrap();
    store.delete(session_id(2)).await.unwrap();
    store.close();
    drop(store);
    for dir in [&dir, &other] {
        let store = open_in(&url, dir.path()).await.unwrap();
        assert_eq!(store.head(session_id(2)).await.unwrap(), None);
        assert_eq!(store.head(session_id(1)).await.unwrap().unwrap().generation, 2);
        store.close();
    }
}

/// The generations as a connection that is made now finds them.
async fn after_reconnect(store: &PostgresStore) -> [u32; 2] {
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.probe().await.is_err() {
        assert!(Instant::now() < deadline, "no new connection");
        tokio::task::yield_now().await;
    }
    generations(store).await
}
