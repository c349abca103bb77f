//! Appending, reading, fencing, snapshots, deletion.

use std::sync::Arc;

use psyche_core::port::{AppendError, NewSession, SessionSummary, Snapshot, StoreError};
use psyche_core::words::{Hash, Subject};

use super::Store;
use super::build::{
    Chain, append, checked, claim, create, create_owned, owner_id, row, session_id, summary, texts, user_id,
};

pub async fn a_log_is_created_appended_to_and_read<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let mut chain = Chain::new();
    let people = [(Subject::User(user_id(1)), "I saw a house"), (Subject::Session, "and \u{1F40B} by the sea")];
    let mut written = vec![chain.record("session_created", &people), chain.command("first")];
    store.create(NewSession { row: row(session, user_id(1)), records: written.clone() }).await.unwrap();
    let head = store.head(session).await.unwrap().unwrap();
    assert_eq!((head.generation, head.seq, head.hash, head.epoch, head.owner), (1, 2, chain.hash, 0, None));

    let epoch = claim(store.as_ref(), session, owner_id(1), 3_600_000).await.epoch;
    let expected = chain.hash;
    let more = vec![chain.record("agent_message", &[(Subject::Session, "It is mine.")]), chain.turn(1)];
    let head = store.append(append(session, Some(epoch), expected, more.clone())).await.unwrap();
    assert_eq!((head.seq, head.hash, head.epoch, head.owner), (4, chain.hash, epoch, Some(owner_id(1))));
    assert_eq!(store.head(session).await.unwrap().unwrap(), head);

    written.extend(more);
    for record in &mut written[2..] {
        record.epoch = epoch;
    }
    let (read, checker) = checked(store.as_ref(), session).await;
    assert_eq!(read, written);
    assert_eq!(checker.erased, Vec::<u64>::new());
    assert_eq!(store.read(session, 1, 2).await.unwrap(), written[1..3]);
    assert_eq!(store.read(session, 3, usize::MAX).await.unwrap(), written[3..]);
    assert_eq!(store.read(session, 4, 10).await.unwrap(), []);
}

pub async fn an_append_is_fenced_by_epoch_and_head<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let before = chain.clone();
    let record = chain.record("reset", &[]);
    let first = append(session, Some(epoch), before.hash, vec![record]);
    let head = store.append(first.clone()).await.unwrap();

    // The same head again: the log went on.
    match store.append(first.clone()).await {
        Err(AppendError::Stale(found)) => assert_eq!(found, head),
        other => panic!("{other:?}"),
    }
    // An epoch from before or after, with a current head or not: another owner's.
    let mut next = chain.clone();
    let record = next.record("reset", &[]);
    for wrong in [epoch - 1, epoch + 1] {
        let fenced = append(session, Some(wrong), chain.hash, vec![record.clone()]);
        assert!(matches!(store.append(fenced).await, Err(AppendError::Fenced)));
        let fenced = append(session, Some(wrong), before.hash, first.records.clone());
        assert!(matches!(store.append(fenced).await, Err(AppendError::Fenced)));
    }
    // A record of another generation than the head's.
    let mut other = Chain { generation: 2, ..chain.clone() };
    let later = append(session, Some(epoch), chain.hash, vec![other.record("reset", &[])]);
    assert!(matches!(store.append(later).await, Err(AppendError::Stale(found)) if found == head));

    assert_eq!(checked(store.as_ref(), session).await.0.len(), 2);
    store.append(append(session, Some(epoch), chain.hash, vec![record])).await.unwrap();
}

pub async fn without_ownership_only_a_command_is_appended<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, _) = create_owned(store.as_ref(), session).await;
    let before = chain.clone();
    let refused = append(session, None, before.hash, vec![chain.clone().record("reset", &[])]);
    assert!(matches!(store.append(refused).await, Err(AppendError::Store(StoreError::Corrupt(_)))));

    let command = append(session, None, before.hash, vec![chain.command("c")]);
    store.append(command.clone()).await.unwrap();
    assert!(matches!(store.append(command).await, Err(AppendError::Stale(head)) if head.seq == 2));
    let (records, _) = checked(store.as_ref(), session).await;
    assert_eq!(records[1].epoch, 0);
}

pub async fn records_that_would_break_the_log_are_refused<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (chain, epoch) = create_owned(store.as_ref(), session).await;
    let good = chain.clone().record("agent_message", &[(Subject::Session, "words")]);

    let mut other_words = good.clone();
    other_words.texts[0].text = Some("other words".to_owned());
    let mut other_body = good.clone();
    other_body.body.push(' ');
    let mut skipping = Chain { seq: chain.seq + 1, ..chain.clone() };
    let skipped = skipping.record("reset", &[]);
    let mut second = Chain { seq: 7, hash: good.hash, ..chain.clone() };
    let gap = vec![good.clone(), second.record("reset", &[])];
    for broken in [vec![other_words], vec![other_body], vec![skipped], gap, Vec::new()] {
        let refused = append(session, Some(epoch), chain.hash, broken.clone());
        let outcome = store.append(refused).await;
        assert!(matches!(outcome, Err(AppendError::Store(StoreError::Corrupt(_)))), "{broken:?}: {outcome:?}");
    }
    let mut late = Chain { seq: 4, ..Chain::new() };
    let records = vec![late.record("session_created", &[])];
    let created = store.create(NewSession { row: row(session_id(2), user_id(1)), records }).await;
    assert!(matches!(created, Err(StoreError::Corrupt(_))), "{created:?}");
    assert_eq!(store.head(session_id(2)).await.unwrap(), None);
    store.append(append(session, Some(epoch), chain.hash, vec![good])).await.unwrap();
}

pub async fn an_append_is_kept_whole_or_not_at_all<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let taken = vec![chain.command("c")];
    store.append(append(session, Some(epoch), expected, taken)).await.unwrap();

    // The first record is new and brings a new key; the second is a duplicate.
    let mut failing = chain.clone();
    let words = [(Subject::User(user_id(7)), "said once"), (Subject::Session, "answered once")];
    let records = vec![failing.record("agent_message", &words), failing.command("c")];
    let mut failed = append(session, Some(epoch), chain.hash, records);
    failed.summary = Some(SessionSummary { round: 99, ..summary(session, user_id(1)) });
    assert!(matches!(store.append(failed).await, Err(AppendError::CommandTaken { seq: 2 })));
    assert_eq!(checked(store.as_ref(), session).await.0.len(), 2);
    assert_eq!(store.session(session).await.unwrap().unwrap().summary.round, 1);

    // Another session takes a key meanwhile; then the words are said after all, and can be read.
    create_owned(store.as_ref(), session_id(2)).await;
    let expected = chain.hash;
    let records = vec![chain.record("agent_message", &words)];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();
    let (records, _) = checked(store.as_ref(), session).await;
    assert_eq!(texts(&records), [Some("said once"), Some("answered once")]);
}

pub async fn a_turn_and_a_command_are_taken_once<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let records = vec![chain.turn(1), chain.command("a"), chain.turn(2)];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();

    let turn = append(session, Some(epoch), chain.hash, vec![chain.clone().turn(2)]);
    assert!(matches!(store.append(turn).await, Err(AppendError::TurnTaken(2))));
    let command = append(session, None, chain.hash, vec![chain.clone().command("a")]);
    assert!(matches!(store.append(command).await, Err(AppendError::CommandTaken { seq: 3 })));
    let mut twice = chain.clone();
    let twice = append(session, Some(epoch), chain.hash, vec![twice.turn(3), twice.turn(3)]);
    assert!(matches!(store.append(twice).await, Err(AppendError::TurnTaken(3))));

    assert_eq!(store.find_command(session, "a").await.unwrap(), Some(3));
    assert_eq!(store.find_command(session, "b").await.unwrap(), None);
    assert_eq!(store.find_command(session_id(9), "a").await.unwrap(), None);
    // Taken in this session only.
    let (mut other, epoch) = create_owned(store.as_ref(), session_id(2)).await;
    let expected = other.hash;
    let records = vec![other.turn(2), other.command("a")];
    store.append(append(session_id(2), Some(epoch), expected, records)).await.unwrap();
    assert_eq!(checked(store.as_ref(), session).await.0.len(), 4);
}

pub async fn of_concurrent_appends_to_one_head_one_wins<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (chain, epoch) = create_owned(store.as_ref(), session).await;
    let racers = (0..16).map(|n| {
        let record = chain.clone().command(&format!("racer {n}"));
        let batch = append(session, Some(epoch), chain.hash, vec![record]);
        let store = Arc::clone(store);
        async move { store.append(batch).await }
    });
    let outcomes = futures_util::future::join_all(racers).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    let stale = outcomes.iter().filter(|o| matches!(o, Err(AppendError::Stale(head)) if head.seq == 2));
    assert_eq!(stale.count(), 15);
    assert_eq!(checked(store.as_ref(), session).await.0.len(), 2);
}

pub async fn snapshots_are_found_at_or_before_a_seq<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let mut hashes = vec![Hash::ZERO, chain.hash];
    for _ in 0..9 {
        let expected = chain.hash;
        let records = vec![chain.record("reset", &[])];
        store.append(append(session, Some(epoch), expected, records)).await.unwrap();
        hashes.push(chain.hash);
    }
    let taken = |seq: u64, words: &str| Snapshot {
        generation: 1,
        seq,
        hash: hashes[seq as usize],
        form: 3,
        bytes: words.into(),
    };
    for (seq, words) in [(5, "five"), (2, "two"), (5, "five again")] {
        store.save_snapshot(session, taken(seq, words)).await.unwrap();
    }
    for (seq, expected) in [(1, None), (2, Some((2, "two"))), (4, Some((2, "two"))), (5, Some((5, "five again")))] {
        let found = store.snapshot(session, seq).await.unwrap();
        assert_eq!(found, expected.map(|(seq, words)| taken(seq, words)), "at {seq}");
    }
    assert_eq!(store.snapshot(session, u64::MAX).await.unwrap(), Some(taken(5, "five again")));
    assert_eq!(store.snapshot(session_id(2), 9).await.unwrap(), None);
    // A state that this log never reached.
    let foreign = Snapshot { hash: Hash::of(b"elsewhere"), ..taken(5, "wrong") };
    assert!(matches!(store.save_snapshot(session, foreign).await, Err(StoreError::NotFound(_))));
}

pub async fn numbers_are_read_without_words<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let words = [(Subject::Session, "agent")];
    let records = vec![
        chain.record("agent_message", &words),
        chain.record("health_update", &[]),
        chain.turn(1),
        chain.record("agent_message", &words),
    ];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();
    const KINDS: &[&str] = &["agent_message", "health_update"];
    let (all, _) = checked(store.as_ref(), session).await;
    for (after, limit, expected) in [(0, 9, vec![2, 3, 5]), (0, 2, vec![2, 3]), (2, 9, vec![3, 5]), (5, 9, vec![])] {
        let read = store.read_numbers(session, KINDS, after, limit).await.unwrap();
        assert_eq!(read.iter().map(|r| r.seq).collect::<Vec<_>>(), expected);
        for record in read {
            let whole = &all[record.seq as usize - 1];
            assert!(record.texts.is_empty());
            assert_eq!((record.hash, &record.body, record.at), (whole.hash, &whole.body, whole.at));
        }
    }
    assert_eq!(store.read_numbers(session_id(9), KINDS, 0, 9).await.unwrap(), []);
}

pub async fn deleting_removes_one_session_whole<S: Store>(store: &Arc<S>) {
    let (gone, kept) = (session_id(1), session_id(2));
    for session in [gone, kept] {
        let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
        let expected = chain.hash;
        let words = [(Subject::Session, "agent"), (Subject::User(user_id(1)), "person")];
        let records = vec![chain.record("agent_message", &words), chain.command("c")];
        store.append(append(session, Some(epoch), expected, records)).await.unwrap();
        let snapshot = Snapshot { generation: 1, seq: 3, hash: chain.hash, form: 1, bytes: vec![1] };
        store.save_snapshot(session, snapshot).await.unwrap();
        store.set_relation(session, user_id(2), psyche_core::port::Relation::Viewer).await.unwrap();
    }
    store.delete(gone).await.unwrap();
    assert_eq!(store.head(gone).await.unwrap(), None);
    assert_eq!(store.session(gone).await.unwrap(), None);
    assert_eq!(store.read(gone, 0, 10).await.unwrap(), []);
    assert_eq!(store.snapshot(gone, 9).await.unwrap(), None);
    assert_eq!(store.find_command(gone, "c").await.unwrap(), None);
    assert_eq!(store.members(gone).await.unwrap(), []);
    assert!(matches!(store.delete(gone).await, Err(StoreError::NotFound("session"))));

    let (records, _) = checked(store.as_ref(), kept).await;
    assert_eq!(texts(&records), [Some("agent"), Some("person")]);
    assert!(store.snapshot(kept, 9).await.unwrap().is_some());
}

pub async fn what_is_not_there_is_named<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let nothing = |outcome: Result<(), StoreError>| assert!(matches!(outcome, Err(StoreError::NotFound("session"))));
    assert_eq!(store.head(session).await.unwrap(), None);
    assert_eq!(store.read(session, 0, 10).await.unwrap(), []);
    nothing(store.claim(session, owner_id(1), 10).await.map(drop));
    nothing(store.set_relation(session, user_id(1), psyche_core::port::Relation::Viewer).await);
    nothing(
        store
            .save_snapshot(session, Snapshot { generation: 1, seq: 1, hash: Hash::ZERO, form: 1, bytes: Vec::new() })
            .await,
    );
    nothing(store.erase(None, Subject::Session).await.map(drop));
    let lost = append(session, Some(1), Hash::ZERO, vec![Chain::new().record("reset", &[])]);
    assert!(matches!(store.append(lost).await, Err(AppendError::Store(StoreError::NotFound("session")))));

    create(store.as_ref(), session).await;
    let again = NewSession { row: row(session, user_id(1)), records: Vec::new() };
    assert!(matches!(store.create(again).await, Err(StoreError::Conflict("session"))));
}
