//! Who owns a session.

use std::sync::Arc;

use psyche_core::SessionId;
use psyche_core::port::{AppendError, Claim, SessionSummary};
use psyche_core::session::SessionStatus;
use psyche_core::words::Subject;

use super::Store;
use super::build::{
    Chain, TENANT, append, checked, claim, create, create_owned, owner_id, session_id, summary, user_id,
};

const HOUR: u64 = 3_600_000;

pub async fn a_lease_is_held_renewed_and_given_back<S: Store>(store: &Arc<S>) {
    let (one, two) = (session_id(1), session_id(2));
    let (me, other) = (owner_id(1), owner_id(2));
    for session in [one, two] {
        create(store.as_ref(), session).await;
    }
    let head = claim(store.as_ref(), one, me, HOUR).await;
    assert_eq!((head.epoch, head.owner, head.seq), (1, Some(me), 1));
    let until = match store.claim(one, other, HOUR).await.unwrap() {
        Claim::Held { owner, until } if owner == me => until,
        other => panic!("{other:?}"),
    };
    // Ours again: each grant fences what was granted before.
    assert_eq!(claim(store.as_ref(), one, me, HOUR).await.epoch, 2);
    assert_eq!(claim(store.as_ref(), two, other, HOUR).await.epoch, 1);

    let mut heads = store.heads(&[two, session_id(9), one]).await.unwrap();
    heads.sort_by_key(|(session, _)| *session);
    let seen: Vec<_> = heads.iter().map(|(session, head)| (*session, head.epoch, head.owner, head.seq)).collect();
    assert_eq!(seen, [(one, 2, Some(me), 1), (two, 1, Some(other), 1)], "of those that there are");

    let both = [one, two];
    assert_eq!(store.renew(me, &both, 2 * HOUR).await.unwrap(), [one]);
    match store.claim(one, other, HOUR).await.unwrap() {
        Claim::Held { until: later, .. } => assert!(later > until.plus_ms(1_800_000), "{later} after {until}"),
        Claim::Granted(head) => panic!("{head:?}"),
    }

    store.release(me, &both).await.unwrap();
    assert_eq!(store.head(one).await.unwrap().unwrap().owner, None);
    assert_eq!(store.head(two).await.unwrap().unwrap().owner, Some(other));
    assert_eq!(store.renew(me, &both, HOUR).await.unwrap(), []);
    assert_eq!(claim(store.as_ref(), one, other, HOUR).await.epoch, 3);
}

pub async fn an_expired_lease_is_free<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let mut chain = create(store.as_ref(), session).await;
    let before = chain.hash;
    let old = claim(store.as_ref(), session, owner_id(1), 0).await;
    let new = claim(store.as_ref(), session, owner_id(2), HOUR).await;
    assert_eq!(new.epoch, old.epoch + 1);
    let record = chain.record("reset", &[]);
    let fenced = append(session, Some(old.epoch), before, vec![record.clone()]);
    assert!(matches!(store.append(fenced).await, Err(AppendError::Fenced)));
    assert_eq!(store.renew(owner_id(1), &[session], HOUR).await.unwrap(), []);
    store.append(append(session, Some(new.epoch), before, vec![record])).await.unwrap();
}

pub async fn sessions_without_an_owner_that_run_or_wait_are_claimable<S: Store>(store: &Arc<S>) {
    use SessionStatus::{Paused, Running};
    let cases = [(1, Running, 0), (2, Paused, 0), (3, Running, 0), (4, Running, 2), (5, Running, 0), (6, Paused, 1)];
    for (n, status, waiting) in cases {
        let session = session_id(n);
        let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
        becomes(store.as_ref(), (session, &mut chain, epoch), (status, waiting)).await;
    }
    assert_eq!(store.claimable(TENANT, 10).await.unwrap(), []);
    // Given back, ran out, given back but paused, paused but asked for something.
    store.release(owner_id(1), &[1, 2, 4, 6].map(session_id)).await.unwrap();
    store.renew(owner_id(1), &[session_id(3)], 0).await.unwrap();
    let free = [6, 1, 3, 4].map(session_id);
    assert_eq!(store.claimable(TENANT, 10).await.unwrap(), free);
    assert_eq!(store.claimable(TENANT, 2).await.unwrap(), free[..2]);
    let session = session_id(6);
    store.erase(Some(session), Subject::Session).await.unwrap();
    assert_eq!(store.claimable(TENANT, 10).await.unwrap(), free, "an erasure writes the row anew");
    let head = claim(store.as_ref(), session, owner_id(2), HOUR).await;
    assert_eq!(store.claimable(TENANT, 10).await.unwrap(), free[1..]);
    // Decided.
    becomes(store.as_ref(), (session, &mut Chain::at(&head), head.epoch), (Paused, 0)).await;
    store.release(owner_id(2), &[session]).await.unwrap();
    assert_eq!(store.claimable(TENANT, 10).await.unwrap(), free[1..]);
}

/// Appends an event after which the session's row says that.
async fn becomes<S: Store>(
    store: &S,
    (session, chain, epoch): (SessionId, &mut Chain, u64),
    (status, waiting): (SessionStatus, u64),
) {
    let expected = chain.hash;
    let mut next = append(session, Some(epoch), expected, vec![chain.record("session_status", &[])]);
    next.summary = Some(SessionSummary { status, waiting, ..summary(session, user_id(1)) });
    store.append(next).await.unwrap();
}

/// Two owners take a lease of 20 ms from each other as often as it runs out; each appends while it believes to own the
/// session, and goes on believing when it does not. What is acknowledged is in the log, once, in order.
pub async fn owners_that_steal_a_short_lease_leave_a_gapless_log<S: Store>(store: &Arc<S>) {
    const TERMS: u64 = 12;
    let session = session_id(1);
    create(store.as_ref(), session).await;
    let owner = |n: u128| {
        let store = Arc::clone(store);
        async move {
            let (mut acknowledged, mut fenced, mut terms) = (Vec::new(), 0, 0);
            while terms < TERMS {
                tokio::task::yield_now().await;
                let Claim::Granted(head) = store.claim(session, owner_id(n), 20).await.unwrap() else { continue };
                terms += 1;
                let mut chain = Chain::at(&head);
                // Until the other has taken over: the term ends with being fenced, never by looking at a clock.
                for step in 0..400 {
                    tokio::task::yield_now().await;
                    let expected = chain.hash;
                    let record = chain.command(&format!("{n} {terms} {step}"));
                    match store.append(append(session, Some(head.epoch), expected, vec![record])).await {
                        Ok(head) => acknowledged.push((head.seq, head.hash)),
                        Err(AppendError::Fenced) => {
                            fenced += 1;
                            break;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            store.release(owner_id(n), &[session]).await.unwrap();
            (acknowledged, fenced)
        }
    };
    let ((mut acknowledged, fenced), (more, more_fenced)) = tokio::join!(owner(1), owner(2));
    acknowledged.extend(more);
    acknowledged.sort_unstable();
    let (records, _) = checked(store.as_ref(), session).await;
    let written: Vec<_> = records.iter().skip(1).map(|r| (r.seq, r.hash)).collect();
    assert_eq!(acknowledged, written);
    assert!(fenced + more_fenced > 0, "nobody was ever fenced: the hammer did not strike");
}
