//! Several stores on one database, as replicas have them.

use std::sync::Arc;

use psyche_core::port::{
    AppendError, AuditLog as _, Directory as _, EventLog, NewFork, NewSession, Parent, Relation, StoreError,
};
use psyche_core::words::Subject;
use psyche_store::postgres::PostgresStore;
use tempfile::TempDir;

use crate::conformance::build::{
    Chain, append, checked, claim, create, create_owned, owner_id, row, session_id, texts, user_id,
};
use crate::{open_in, server};

const HOUR: u64 = 3_600_000;
const PERSON: Subject = Subject::User(psyche_core::UserId(uuid::Uuid::from_u128(0xA002)));

/// Two stores on one empty database, each with its own data directory.
async fn two() -> (Arc<PostgresStore>, Arc<PostgresStore>, [TempDir; 2], String) {
    let url = server().database().unwrap();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // At once: one of them makes the schema.
    let (one, two) = tokio::join!(open_in(&url, dirs[0].path()), open_in(&url, dirs[1].path()));
    (Arc::new(one.unwrap()), Arc::new(two.unwrap()), dirs, url)
}

#[tokio::test]
async fn what_one_writes_the_other_reads_and_an_old_owner_is_fenced() {
    let (a, b, _dirs, _) = two().await;
    let session = session_id(1);
    let mut chain = create(a.as_ref(), session).await;
    let old = claim(a.as_ref(), session, owner_id(1), 0).await;
    let expected = chain.hash;
    let words = [(Subject::Session, "agent"), (PERSON, "person")];
    a.append(append(session, Some(old.epoch), expected, vec![chain.record("agent_message", &words)])).await.unwrap();
    assert_eq!(texts(&checked(b.as_ref(), session).await.0), [Some("agent"), Some("person")]);

    // The lease ran out; the other takes over, and whoever believes to own it still writes nothing.
    let new = claim(b.as_ref(), session, owner_id(2), HOUR).await;
    assert_eq!(new.epoch, old.epoch + 1);
    let late = append(session, Some(old.epoch), chain.hash, vec![chain.clone().record("agent_message", &words)]);
    assert!(matches!(a.append(late).await, Err(AppendError::Fenced)));
    let before = chain.clone();
    let records = vec![chain.record("agent_message", &words)];
    b.append(append(session, Some(new.epoch), before.hash, records)).await.unwrap();
    // A command needs no ownership, and is refused where the log has gone on.
    let unowned = |chain: &Chain| append(session, None, chain.hash, vec![chain.clone().command("c")]);
    assert!(matches!(a.append(unowned(&before)).await, Err(AppendError::Stale(head)) if head.seq == 3));
    a.append(unowned(&chain)).await.unwrap();
    assert_eq!(checked(b.as_ref(), session).await.0.len(), 4);
}

#[tokio::test]
async fn a_key_that_another_replica_destroyed_seals_nothing_more() {
    let (a, b, dirs, url) = two().await;
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(a.as_ref(), session).await;
    let say = |chain: &mut Chain, words: &str| {
        let expected = chain.hash;
        append(session, Some(epoch), expected, vec![chain.record("stimulus_injected", &[(PERSON, words)])])
    };
    a.append(say(&mut chain, "before")).await.unwrap();
    assert_eq!(b.erase(None, PERSON).await.unwrap(), [session]);
    // The first store still remembers the key; the erasure began a new generation too.
    chain.generation += 1;
    a.append(say(&mut chain, "after")).await.unwrap();
    for store in [&a, &b] {
        assert_eq!(texts(&checked(store.as_ref(), session).await.0), [None, Some("after")]);
    }
    // A replica that starts later knows of the erasure, wherever it was done.
    drop(a);
    let a = open_in(&url, dirs[0].path()).await.unwrap();
    assert_eq!(a.erased_people().iter().map(|(user, _)| *user).collect::<Vec<_>>(), [user_id(2)]);
    assert_eq!(texts(&checked(&a, session).await.0), [None, Some("after")], "what was said later stays");
}

/// Forks and imports are made at one replica while a person is erased at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_made_meanwhile_escapes_an_erasure() {
    let (a, b, _dirs, _) = two().await;
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(a.as_ref(), session).await;
    let expected = chain.hash;
    let spoken = chain.record("stimulus_injected", &[(PERSON, "a secret")]);
    a.append(append(session, Some(epoch), expected, vec![spoken])).await.unwrap();
    let (past, _) = checked(a.as_ref(), session).await;

    let copier = async {
        let mut copies = Vec::new();
        for n in 2..40 {
            let id = session_id(n);
            let parent = Parent { session_id: session, generation: 1, seq: 2 };
            let mut chain = chain.clone();
            let records = vec![chain.record("forked", &[])];
            match a.fork(NewFork { row: row(id, user_id(1)), parent, records }).await {
                Ok(()) => copies.push(id),
                Err(StoreError::Conflict("generation")) => {}
                Err(other) => panic!("{other}"),
            }
            let id = session_id(100 + n);
            a.create(NewSession { row: row(id, user_id(1)), records: past.clone() }).await.unwrap();
            copies.push(id);
        }
        copies
    };
    let eraser = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        b.erase(None, PERSON).await.unwrap()
    };
    let (copies, erased) = tokio::join!(copier, eraser);
    assert!(erased.len() < copies.len() + 1, "the erasure was over before the last copy");
    for id in copies.into_iter().chain([session]) {
        assert_eq!(texts(&checked(b.as_ref(), id).await.0), [None], "in {id}");
    }
}

/// Without an account a conversation belongs to the user whose id is all zero, who is not the tenant.
#[tokio::test]
async fn nobody_is_charged_beside_everybody() {
    use psyche_core::port::{Charge, Spent};
    let (a, b, _dirs, _) = two().await;
    let nobody = psyche_core::UserId(uuid::Uuid::nil());
    let tenant = psyche_core::TenantId::DEFAULT;
    let charge = Charge { tenant, user: nobody, spent: Spent { tokens: 5, cost: 0.5 } };
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(a.as_ref(), session).await;
    let expected = chain.hash;
    let mut costly = append(session, Some(epoch), expected, vec![chain.turn(1)]);
    costly.charge = Some(charge);
    a.append(costly).await.unwrap();
    b.charge(charge).await.unwrap();
    for of in [Some(nobody), None] {
        assert_eq!(b.allowance(tenant, of).await.unwrap().spent, Spent { tokens: 10, cost: 1.0 });
    }
}

#[tokio::test]
async fn rights_that_change_at_one_are_seen_at_the_other() {
    let (a, b, _dirs, _) = two().await;
    create(a.as_ref(), session_id(1)).await;
    let before = b.rights_version().await.unwrap();
    a.set_relation(session_id(1), user_id(2), Relation::Viewer).await.unwrap();
    assert!(b.rights_version().await.unwrap() > before);
    assert_eq!(b.relation(session_id(1), user_id(2)).await.unwrap(), Relation::Viewer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_add_to_one_audit_trail() {
    use psyche_core::audit::{AuditDraft, AuditType, Outcome, Personal, Severity};
    let (a, b, _dirs, _) = two().await;
    let draft = |n: u32| AuditDraft {
        tenant: psyche_core::TenantId::DEFAULT,
        event_type: AuditType::ConfigChanged,
        severity: Severity::Low,
        at: psyche_core::Timestamp(i64::from(n)),
        user_id: Some(user_id(1)),
        session_id: None,
        request_id: format!("{n}"),
        outcome: Outcome::Success,
        personal: Personal::default(),
        details: serde_json::Value::Null,
    };
    let add = |store: Arc<PostgresStore>| async move {
        for n in 0..20 {
            store.record(vec![draft(n), draft(n)]).await.unwrap();
        }
    };
    tokio::join!(add(Arc::clone(&a)), add(Arc::clone(&b)));
    let check = b.verify().await.unwrap();
    assert_eq!((check.rows, check.last_seq, check.problems), (80, 80, vec![]));
}

/// The lock of the lease is the row's: many that want a free session at once, and one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_claim_a_free_session_one_gets_it() {
    use psyche_core::port::Claim;
    let (a, b, _dirs, _) = two().await;
    create(a.as_ref(), session_id(1)).await;
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..16 {
        let store = Arc::clone(if n % 2 == 0 { &a } else { &b });
        claims.spawn(async move { store.claim(session_id(1), owner_id(n), HOUR).await.unwrap() });
    }
    let granted = claims.join_all().await.into_iter().filter(|claim| matches!(claim, Claim::Granted(_))).count();
    assert_eq!(granted, 1);
    assert_eq!(b.head(session_id(1)).await.unwrap().unwrap().epoch, 1);
}

#[tokio::test]
async fn a_master_key_is_changed_under_replicas_that_know_both() {
    let url = server().database().unwrap();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = open_in(&url, dirs[0].path()).await.unwrap();
    let (mut chain, epoch) = create_owned(&a, session_id(1)).await;
    let expected = chain.hash;
    let records = vec![chain.record("agent_message", &[(Subject::Session, "agent"), (PERSON, "person")])];
    a.append(append(session_id(1), Some(epoch), expected, records)).await.unwrap();

    let fresh = [43; 32];
    let knows_both = psyche_store::postgres::Options {
        master_key: fresh,
        master_key_before: Some(crate::MASTER),
        ..crate::options(&url, dirs[1].path())
    };
    let b = PostgresStore::open(knows_both).await.unwrap();
    assert!(b.wrap_anew().await.unwrap() >= 3);
    assert_eq!(b.wrap_anew().await.unwrap(), 0);
    assert_eq!(texts(&checked(&b, session_id(1)).await.0), [Some("agent"), Some("person")]);
    let old = open_in(&url, dirs[0].path()).await.unwrap_err();
    assert!(matches!(old, psyche_store::postgres::OpenError::WrongMasterKey), "{old}");
}
