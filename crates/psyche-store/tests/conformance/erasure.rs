//! Erasing words without breaking chains.

use std::sync::Arc;

use psyche_core::cast::Cast;
use psyche_core::event::{EMBEDDING, Event, Payload, SessionCreated};
use psyche_core::port::{AppendError, NewSession, Snapshot, StoreError};
use psyche_core::session::{Budget, Session, SessionType, TurnOrder};
use psyche_core::words::{ERASED, Hash, Salts, Subject, Words};

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
        let snapshot = Snapshot { generation: 1, seq: chain.seq, hash: chain.hash, form: 1, bytes: b"words".to_vec() };
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

const SECRET: &str = "My grandmother kept a lighthouse near Trieste until the winter.";

/// User 2 says something, and an agent quotes it.
async fn quoted<S: Store>(store: &Arc<S>, n: u128) {
    let session = session_id(n);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let whole = format!("You said: “{SECRET}” Why?");
    let records = vec![
        chain.record("stimulus_injected", &[(Subject::User(user_id(2)), SECRET)]),
        chain.record("agent_message", &[(Subject::Session, &whole), (Subject::Session, "A lighthouse?")]),
        chain.record("annotation", &[(Subject::User(user_id(1)), &whole)]),
    ];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();
}

pub async fn what_quotes_an_erased_person_is_masked<S: Store>(store: &Arc<S>) {
    quoted(store, 1).await;
    let (before, _) = checked(store.as_ref(), session_id(1)).await;
    assert_eq!(store.erase(None, Subject::User(user_id(2))).await.unwrap(), [session_id(1)]);
    let (records, checker) = checked(store.as_ref(), session_id(1)).await;
    assert_eq!((checker.erased, checker.masked), (vec![2], vec![3]));
    let texts = &records[2].texts;
    assert_eq!(texts[0].text.as_deref(), Some("You said: “[erased]” Why?"));
    assert!(texts[0].masked && texts[0].salt != before[2].texts[0].salt, "the salt of what it was is gone");
    assert_eq!((texts[1].text.as_deref(), texts[1].masked), (Some("A lighthouse?"), false));
    assert!(records[3].texts[0].text.as_deref().unwrap().contains(SECRET), "people's own words stay");

    // A fork carries the masked copy.
    let fork = session_id(2);
    store.create(NewSession { row: row(fork, user_id(1)), records: records[..3].to_vec() }).await.unwrap();
    let (forked, checker) = checked(store.as_ref(), fork).await;
    assert_eq!(checker.masked, [3]);
    assert_eq!(forked[2].texts[0].text, texts[0].text);
    assert_eq!(forked[2].hash, before[2].hash);
}

/// An embedding can be turned back into words: it holds the quotation as its utterance does.
pub async fn the_embedding_of_what_quotes_an_erased_person_goes<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let mut said = |words: &str| {
        let texts = [(Subject::Session, words), (Subject::Session, "an embedding")];
        let mut record = chain.record("agent_message", &texts);
        EMBEDDING.clone_into(&mut record.texts[1].field);
        record
    };
    let quotation = said(SECRET);
    let other = said("Something else.");
    let records = vec![quotation, other, chain.record("stimulus_injected", &[(Subject::User(user_id(2)), SECRET)])];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();
    store.erase(None, Subject::User(user_id(2))).await.unwrap();
    let (records, checker) = checked(store.as_ref(), session).await;
    assert_eq!((checker.erased, checker.masked), (vec![2, 4], vec![2]));
    let left: Vec<_> = records[1..3].iter().flat_map(|r| r.texts.iter().map(|t| t.text.as_deref())).collect();
    assert_eq!(left, [Some("[erased]"), None, Some("Something else."), Some("an embedding")]);
}

pub async fn an_erasure_begins_a_new_generation<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    let session = session_id(1);
    let before = store.head(session).await.unwrap().unwrap();
    let touched = store.erase(None, Subject::User(user_id(1))).await.unwrap();
    assert_eq!(touched, [session, session_id(2)]);
    let after = store.head(session).await.unwrap().unwrap();
    assert_eq!(after.generation, before.generation + 1);
    assert_eq!((after.seq, after.hash, after.epoch), (before.seq, before.hash, before.epoch));
    let row = store.session(session).await.unwrap().unwrap().summary;
    assert_eq!((row.generation, row.name.as_str(), row.situation.as_str()), (after.generation, ERASED, ERASED));

    // Who still holds the past can neither write nor save it.
    let mut chain = Chain::at(&before);
    let late = append(session, Some(before.epoch), before.hash, vec![chain.record("reset", &[])]);
    assert!(matches!(store.append(late).await, Err(AppendError::Stale(head)) if head == after));
    let old = Snapshot { generation: before.generation, seq: before.seq, hash: before.hash, form: 1, bytes: vec![1] };
    let refused = store.save_snapshot(session, old.clone()).await;
    assert!(matches!(refused, Err(StoreError::Conflict("generation"))), "{refused:?}");
    store.save_snapshot(session, Snapshot { generation: after.generation, ..old }).await.unwrap();

    // Erasing again finds nothing, so nothing changes.
    assert_eq!(store.erase(None, Subject::User(user_id(1))).await.unwrap(), []);
    assert_eq!(store.head(session).await.unwrap().unwrap().generation, after.generation);
}

/// A session whose records are real ones: its row is folded anew.
pub async fn a_row_loses_the_words_of_who_wrote_them<S: Store>(store: &Arc<S>) {
    for (n, author, name, situation) in
        [(1, 2, "Whose name", ERASED), (2, 1, ERASED, "A cellar"), (3, 3, "Whose name", "A cellar")]
    {
        let id = session_id(n);
        let mut salts = Salts::fresh([7; 32]);
        let mut words = |text: &str, n| Words::new(text, Subject::User(user_id(n)), &mut salts);
        let erased = if n == 2 { 2 } else { author };
        let created = SessionCreated {
            name: words("Whose name", if n == 2 { 2 } else { 1 }),
            tags: vec![words("tag", 1)],
            situation: words("A cellar", author),
            session_type: SessionType::Shared,
            owner: user_id(1),
            cast: Box::new(Cast::jungian()),
            cast_words: None,
            seed: 1,
            model: "scripted".to_owned(),
            determinism: psyche_core::port::Determinism::Tape,
            turn_order: TurnOrder::Sequential,
            pacing_ms: 0,
            max_rounds: None,
            budget: Budget::default(),
            measures_version: 1,
            prompts_version: 1,
        };
        let payload = Payload::SessionCreated(created.clone());
        let event = Event { generation: 1, seq: 1, at: super::clock::START, payload };
        let session = Session::new(id, &event, &created);
        let records = vec![event.record(&Hash::ZERO, 0)];
        store.create(NewSession { row: session.row(super::build::TENANT), records }).await.unwrap();
        // In the third, nothing is erased.
        store.erase(Some(id), Subject::User(user_id(if n == 3 { 9 } else { erased }))).await.unwrap();
        let row = store.session(id).await.unwrap().unwrap().summary;
        assert_eq!((row.name.as_str(), row.situation.as_str(), row.tags.len()), (name, situation, 1), "session {n}");
        assert_eq!(row.tags, ["tag"]);
    }
}

/// A log that was taken along before an erasure is a backup of it, too.
pub async fn a_log_from_before_an_erasure_brings_nothing_back<S: Store>(store: &Arc<S>) {
    two_conversations(store).await;
    let before = store.read(session_id(1), 0, usize::MAX).await.unwrap();
    store.erase(None, Subject::User(user_id(2))).await.unwrap();
    let row = row(session_id(3), user_id(3));
    store.create(NewSession { row, records: before.clone() }).await.unwrap();
    assert_eq!(said(store, 3).await, words([Some("agent"), Some("owner"), None, Some("agent again")]));
    let head = store.head(session_id(3)).await.unwrap().unwrap();
    assert_eq!(head.hash, before[3].hash, "the chain is the same");
    assert_eq!(said(store, 2).await, words([Some("agent"), Some("owner"), None, Some("agent again")]));
}
