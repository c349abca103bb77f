//! Erasing words without breaking chains.

use std::sync::Arc;

use psyche_core::port::{NewSession, Snapshot};
use psyche_core::words::{ERASED, Subject};

use super::Store;
use super::build::{Chain, append, checked, create_owned, owner_id, row, session_id, summary, texts, user_id};

/// Two sessions in which agents, the owner (user 1) and a guest (user 2) speak; each has a snapshot.
async fn two_conversations<S: Store>(store: &Arc<S>) {
    for n in [1, 2] {
        let session = session_id(n);
        let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
        let expected = chain.hash;
        let records = vec![
            chain.record("agent_message", &[(Subject::Session, "agent")]),
            chain.record("stimulus_injected", &[(Subject::User(user_id(1)), "owner")]),
            chain.record("annotation", &[(Subject::User(user_id(2)), "guest"), (Subject::Session, "agent again")]),
        ];
        let mut batch = append(session, Some(epoch), expected, records);
        batch.summary = Some(summary(session, user_id(1)));
        store.append(batch).await.unwrap();
        let snapshot = Snapshot { seq: chain.seq, hash: chain.hash, form: 1, bytes: b"words".to_vec() };
        store.save_snapshot(session, snapshot).await.unwrap();
    }
}

async fn said<S: Store>(store: &Arc<S>, n: u128) -> Vec<Option<String>> {
    let (records, checker) = checked(store.as_ref(), session_id(n)).await;
    let erased = records.iter().filter(|r| r.texts.iter().any(|t| t.text.is_none()));
    let mut found = checker.erased.clone();
    found.dedup();
    assert_eq!(found, erased.map(|r| r.seq).collect::<Vec<_>>());
    for text in records.iter().flat_map(|r| &r.texts) {
        assert_eq!(text.salt == [0; 16], text.text.is_none(), "the salt goes with the text");
    }
    texts(&records).into_iter().map(|t| t.map(str::to_owned)).collect()
}

fn words(list: [Option<&str>; 4]) -> Vec<Option<String>> {
    list.map(|w| w.map(str::to_owned)).to_vec()
}

const WHOLE: [Option<&str>; 4] = [Some("agent"), Some("owner"), Some("guest"), Some("agent again")];

pub async fn erasing_a_session_keeps_its_chain_and_the_people_in_it<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    store.erase(Some(session_id(1)), Subject::Session).await.unwrap();
    assert_eq!(said(store, 1).await, words([None, Some("owner"), Some("guest"), None]));
    assert_eq!(said(store, 2).await, words(WHOLE));
    assert_eq!(store.snapshot(session_id(1), 9).await.unwrap(), None);
    assert!(store.snapshot(session_id(2), 9).await.unwrap().is_some());
    assert_eq!(store.session(session_id(1)).await.unwrap().unwrap().summary.situation, ERASED);

    // What agents say afterwards is under a new key.
    let head = store.head(session_id(1)).await.unwrap().unwrap();
    let mut chain = Chain::at(&head);
    let records = vec![chain.record("agent_message", &[(Subject::Session, "new words")])];
    store.append(append(session_id(1), Some(head.epoch), head.hash, records)).await.unwrap();
    assert_eq!(said(store, 1).await[4].as_deref(), Some("new words"));
}

pub async fn erasing_a_person_reaches_every_session<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    store.erase(None, Subject::User(user_id(2))).await.unwrap();
    for n in [1, 2] {
        assert_eq!(said(store, n).await, words([Some("agent"), Some("owner"), None, Some("agent again")]));
        assert_eq!(store.snapshot(session_id(n), 9).await.unwrap(), None);
        let situation = store.session(session_id(n)).await.unwrap().unwrap().summary.situation;
        assert_eq!(situation, "A house by the sea", "the guest did not write it");
    }
    store.erase(None, Subject::User(user_id(1))).await.unwrap();
    assert_eq!(said(store, 2).await, words([Some("agent"), None, None, Some("agent again")]));
    assert_eq!(store.session(session_id(2)).await.unwrap().unwrap().summary.situation, ERASED);
}

pub async fn erasing_a_person_from_one_session_leaves_the_others<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    store.erase(Some(session_id(1)), Subject::User(user_id(2))).await.unwrap();
    assert_eq!(said(store, 1).await, words([Some("agent"), Some("owner"), None, Some("agent again")]));
    assert_eq!(said(store, 2).await, words(WHOLE));
    assert_eq!(store.snapshot(session_id(1), 9).await.unwrap(), None);
    assert!(store.snapshot(session_id(2), 9).await.unwrap().is_some());
}

pub async fn a_fork_carries_erased_texts<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    store.erase(Some(session_id(1)), Subject::User(user_id(2))).await.unwrap();
    let (parent, _) = checked(store.as_ref(), session_id(1)).await;
    let fork = session_id(3);
    store.create(NewSession { row: row(fork, user_id(1)), records: parent.clone() }).await.unwrap();
    assert_eq!(said(store, 3).await, said(store, 1).await);
    let (records, _) = checked(store.as_ref(), fork).await;
    assert_eq!(records[3].hash, parent[3].hash);
    assert!(records.iter().all(|r| r.epoch == 0), "ownership is not copied");

    // The fork's agents speak under the fork's own key.
    store.erase(Some(session_id(1)), Subject::Session).await.unwrap();
    assert_eq!(said(store, 3).await, words([Some("agent"), Some("owner"), None, Some("agent again")]));
    let claimed = super::build::claim(store.as_ref(), fork, owner_id(1), 1_000).await;
    assert_eq!((claimed.epoch, claimed.seq), (1, 4));
}
