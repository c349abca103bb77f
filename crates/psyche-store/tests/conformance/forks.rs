//! Sessions that begin with another's past.

use std::sync::Arc;

use psyche_core::ids::{SessionId, UserId};
use psyche_core::port::{NewFork, Parent, Relation, SessionFilter, SessionRow, Snapshot, StoreError};
use psyche_core::words::{Hash, Subject};

use super::Store;
use super::build::{Chain, TENANT, append, checked, create_owned, owner_id, row, session_id, texts, user_id};

/// Four events: words of an agent and of two people, a command, a turn.
async fn parent<S: Store>(store: &Arc<S>) -> (SessionId, Chain) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let words =
        [(Subject::Session, "agent"), (Subject::User(user_id(1)), "owner"), (Subject::User(user_id(2)), "guest")];
    let records = vec![chain.record("agent_message", &words), chain.command("c"), chain.turn(1)];
    store.append(append(session, Some(epoch), expected, records)).await.unwrap();
    (session, chain)
}

/// The chain as it was at `seq`.
async fn chain_at<S: Store>(store: &Arc<S>, session: SessionId, seq: u64) -> Chain {
    let records = store.read(session, seq - 1, 1).await.unwrap();
    Chain { generation: records[0].generation, seq, hash: records[0].hash }
}

fn fork_row(fork: SessionId, owner: UserId, parent: &Parent) -> SessionRow {
    let mut row = row(fork, owner);
    row.summary.parent = Some(parent.clone());
    row
}

/// Forks at `seq`, with one event of its own that holds a word of its owner.
async fn fork_at<S: Store>(
    store: &Arc<S>,
    from: SessionId,
    seq: u64,
    fork: SessionId,
    owner: UserId,
) -> Result<(), StoreError> {
    let generation = store.head(from).await.unwrap().unwrap().generation;
    let parent = Parent { session_id: from, generation, seq };
    let mut chain = chain_at(store, from, seq).await;
    let records = vec![chain.record("forked", &[(Subject::User(owner), "name")])];
    store.fork(NewFork { row: fork_row(fork, owner, &parent), parent, records }).await
}

pub async fn a_fork_has_its_parents_past<S: Store>(store: &Arc<S>) {
    let (session, chain) = parent(store).await;
    let snapshot =
        |seq, hash| Snapshot { generation: 1, seq, hash, form: 3, bytes: format!("state {seq}").into_bytes() };
    let at_two = chain_at(store, session, 2).await.hash;
    store.save_snapshot(session, snapshot(2, at_two)).await.unwrap();
    store.save_snapshot(session, snapshot(4, chain.hash)).await.unwrap();
    let (before, _) = checked(store.as_ref(), session).await;

    let fork = session_id(2);
    fork_at(store, session, 3, fork, user_id(3)).await.unwrap();
    let (copy, checker) = checked(store.as_ref(), fork).await;
    assert_eq!(checker.head().0, 4);
    for (copied, original) in copy.iter().zip(&before[..3]) {
        // Who owned the parent is not history.
        assert_eq!((copied.epoch, copied.hash), (0, original.hash));
        assert_eq!((&copied.body, &copied.texts), (&original.body, &original.texts));
        assert_eq!((copied.at, copied.generation), (original.at, original.generation));
    }
    assert_eq!(texts(&copy), [Some("agent"), Some("owner"), Some("guest"), Some("name")]);
    let head = store.head(fork).await.unwrap().unwrap();
    assert_eq!((head.generation, head.seq, head.epoch, head.owner), (1, 4, 0, None));
    assert_eq!(store.find_command(fork, "c").await.unwrap(), Some(3));
    // Snapshots of the shared past, and no other.
    assert_eq!(store.snapshot(fork, u64::MAX).await.unwrap(), Some(snapshot(2, at_two)));

    // It goes on by itself, and may commit the turn that its past does not hold.
    let claimed = super::build::claim(store.as_ref(), fork, owner_id(2), 60_000).await;
    let mut own = Chain::at(&claimed);
    let records = vec![own.turn(1), own.record("agent_message", &[(Subject::Session, "again")])];
    store.append(append(fork, Some(claimed.epoch), claimed.hash, records)).await.unwrap();
    checked(store.as_ref(), fork).await;
    assert_eq!(checked(store.as_ref(), session).await.0, before, "the parent is as it was");

    // A fork of a fork, within its own part.
    fork_at(store, fork, 5, session_id(3), user_id(1)).await.unwrap();
    let (second, _) = checked(store.as_ref(), session_id(3)).await;
    assert_eq!((second.len(), second[2].hash, second[3].hash), (6, before[2].hash, copy[3].hash));
    assert_eq!(second[4].committed_turn, Some(1));
}

pub async fn a_fork_outlives_its_parent<S: Store>(store: &Arc<S>) {
    let (session, _) = parent(store).await;
    fork_at(store, session, 4, session_id(2), user_id(3)).await.unwrap();
    store.delete(session).await.unwrap();
    let (copy, _) = checked(store.as_ref(), session_id(2)).await;
    assert_eq!(texts(&copy), [Some("agent"), Some("owner"), Some("guest"), Some("name")]);
}

pub async fn erasing_reaches_forks<S: Store>(store: &Arc<S>) {
    let (session, _) = parent(store).await;
    let (fork, second) = (session_id(2), session_id(3));
    fork_at(store, session, 3, fork, user_id(3)).await.unwrap();
    fork_at(store, fork, 4, second, user_id(3)).await.unwrap();
    assert_eq!(store.erase(None, Subject::User(user_id(2))).await.unwrap(), [session, fork, second]);
    for copy in [fork, second] {
        let (records, checker) = checked(store.as_ref(), copy).await;
        assert_eq!(
            (texts(&records)[..3].to_vec(), checker.erased),
            (vec![Some("agent"), Some("owner"), None], vec![2])
        );
        assert_eq!(store.head(copy).await.unwrap().unwrap().generation, 2);
    }
    // What is gone already is gone in a new fork too.
    fork_at(store, session, 4, session_id(4), user_id(1)).await.unwrap();
    let (records, _) = checked(store.as_ref(), session_id(4)).await;
    assert_eq!(texts(&records), [Some("agent"), Some("owner"), None, Some("name")]);
    // The session's own words are its own.
    store.erase(Some(session), Subject::Session).await.unwrap();
    assert_eq!(texts(&checked(store.as_ref(), fork).await.0)[0], Some("agent"));
}

pub async fn what_does_not_follow_from_the_parent_is_no_fork<S: Store>(store: &Arc<S>) {
    let (session, chain) = parent(store).await;
    let fork = session_id(2);
    let attempt = |parent: Parent, records| {
        let row = fork_row(fork, user_id(1), &parent);
        let store = Arc::clone(store);
        async move { store.fork(NewFork { row, parent, records }).await }
    };
    let at = |session_id, generation, seq| Parent { session_id, generation, seq };
    let own = |mut chain: Chain| vec![chain.record("forked", &[])];
    let nothing = |outcome| assert!(matches!(outcome, Err(StoreError::NotFound(_))), "{outcome:?}");
    nothing(attempt(at(session_id(9), 1, 4), own(chain.clone())).await);
    nothing(attempt(at(session, 1, 5), own(chain.clone())).await);
    nothing(attempt(at(session, 1, 0), own(Chain::new())).await);
    let changed = attempt(at(session, 2, 4), own(chain.clone())).await;
    assert!(matches!(changed, Err(StoreError::Conflict("generation"))), "{changed:?}");
    let broken = |outcome| assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
    broken(attempt(at(session, 1, 4), Vec::new()).await);
    broken(attempt(at(session, 1, 3), own(chain.clone())).await);
    broken(attempt(at(session, 1, 4), own(Chain { hash: Hash::of(b"elsewhere"), ..chain.clone() })).await);
    assert_eq!(store.head(fork).await.unwrap(), None, "nothing was left behind");
    assert_eq!(store.session(fork).await.unwrap(), None);

    fork_at(store, session, 4, fork, user_id(1)).await.unwrap();
    let again = fork_at(store, session, 4, fork, user_id(1)).await;
    assert!(matches!(again, Err(StoreError::Conflict("session"))), "{again:?}");
}

pub async fn forks_are_listed_and_counted_by_parent<S: Store>(store: &Arc<S>) {
    let (session, _) = parent(store).await;
    for (n, owner) in [(2, 3), (3, 3), (4, 4)] {
        fork_at(store, session, 3, session_id(n), user_id(owner)).await.unwrap();
    }
    fork_at(store, session_id(2), 3, session_id(5), user_id(3)).await.unwrap();
    store.set_relation(session_id(4), user_id(5), Relation::Viewer).await.unwrap();
    let listed = async |parent, visible_to| {
        let filter = SessionFilter { parent: Some(parent), visible_to, ..SessionFilter::default() };
        let page = store.sessions(TENANT, filter, None, 10).await.unwrap();
        let mut ids: Vec<_> = page.items.iter().map(|row| row.summary.session_id).collect();
        ids.sort();
        ids
    };
    let forks: Vec<_> = [2, 3, 4].map(session_id).into();
    assert_eq!(listed(session, None).await, forks);
    assert_eq!(listed(session, Some(user_id(3))).await, forks[..2]);
    assert_eq!(listed(session, Some(user_id(5))).await, forks[2..]);
    let ids = [session, session_id(2), session_id(3), session_id(9)];
    for (visible_to, expected) in [
        (None, [3, 1, 0, 0]),
        (Some(user_id(3)), [2, 1, 0, 0]),
        (Some(user_id(5)), [1, 0, 0, 0]),
        (Some(user_id(6)), [0; 4]),
    ] {
        assert_eq!(store.branches(&ids, visible_to).await.unwrap(), expected, "{visible_to:?}");
    }
}
