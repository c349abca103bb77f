//! All content from one kind of store into the other and back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use psyche_core::audit::{AuditDraft, AuditType};
use psyche_core::cast::Cast;
use psyche_core::port::{
    AddressBlock, AuditLog, Charge, Directory as _, NewFork, Parent, Relation, ResetToken, Role, SessionFilter,
    Snapshot, Spent, StoreError, StoredCast,
};
use psyche_core::session::Budget;
use psyche_core::words::Subject;
use psyche_store::rows::{Row, Rows, TABLES, Told};
use psyche_store::sqlite::{self, SqliteStore};

use crate::conformance::Store;
use crate::conformance::audit::draft;
use crate::conformance::build::{
    Chain, TENANT, append, checked, create_owned, new_sign_in, new_user, owner_id, row, session_id, sign_in_id,
    summary, texts, token, user_id,
};
use crate::conformance::clock::{START, TestClock};
use crate::{MASTER, open_in, server};

pub fn sqlite_options(dir: &Path) -> sqlite::Options {
    sqlite::Options::new(dir.join("psyche.db"), MASTER, Arc::new(TestClock::default()))
}

pub fn in_sqlite(dir: &Path) -> SqliteStore {
    SqliteStore::open(sqlite_options(dir)).unwrap()
}

pub const PERSON: Subject = Subject::User(psyche_core::UserId(uuid::Uuid::from_u128(0xA002)));
pub const ERASED: Subject = Subject::User(psyche_core::UserId(uuid::Uuid::from_u128(0xA003)));

/// Rows in every table: words of agents and people, an erased one, a fork, accounts, sign-ins, a pruned trail.
pub async fn fill<S: Store>(store: &S) {
    for n in [1, 2] {
        let session = session_id(n);
        let (mut chain, epoch) = create_owned(store, session).await;
        let expected = chain.hash;
        let records = vec![
            chain.record("agent_message", &[(Subject::Session, "agent"), (PERSON, "Grüße")]),
            chain.record("annotation", &[(ERASED, "erased")]),
            chain.command("knock"),
            chain.turn(1),
        ];
        let mut batch = append(session, Some(epoch), expected, records);
        batch.summary = Some(summary(session, user_id(1)));
        if let Some(summary) = &mut batch.summary {
            summary.tags = vec!["a, \"b\"".to_owned(), format!("n{n}")];
            summary.waiting = u64::from(n == 2);
        }
        batch.charge = Some(Charge { tenant: TENANT, user: user_id(1), spent: Spent { tokens: 7, cost: 0.1 } });
        store.append(batch).await.unwrap();
    }
    store.erase(None, ERASED).await.unwrap();
    let head = store.head(session_id(1)).await.unwrap().unwrap();
    let snapshot =
        Snapshot { generation: head.generation, seq: head.seq, hash: head.hash, form: 1, bytes: b"words".to_vec() };
    store.save_snapshot(session_id(1), snapshot).await.unwrap();
    let parent = Parent { session_id: session_id(1), generation: head.generation, seq: 2 };
    let at = store.read(session_id(1), 1, 1).await.unwrap();
    let mut chain = Chain { generation: 1, seq: 2, hash: at[0].hash };
    let mut forked = row(session_id(3), user_id(1));
    forked.summary.parent = Some(parent.clone());
    let records = vec![chain.record("forked", &[(PERSON, "name")])];
    store.fork(NewFork { row: forked, parent, records }).await.unwrap();

    for (n, role) in [(1, Role::Admin), (2, Role::Observer)] {
        store.create_user(new_user(n, role)).await.unwrap();
    }
    store.create_sign_in(new_sign_in(1), 5).await.unwrap();
    store.create_sign_in(new_sign_in(2), 5).await.unwrap();
    store.rotate(token(1), token(11), START.plus_ms(1), START.plus_ms(3_600_000)).await.unwrap();
    store.revoke_sign_in(sign_in_id(2)).await.unwrap();
    let reset = ResetToken { user_id: user_id(1), hash: token(50), expires_at: START.plus_ms(3_600_000) };
    store.put_reset(reset).await.unwrap();
    store.set_relation(session_id(1), user_id(2), Relation::Viewer).await.unwrap();
    let cast = Cast { id: "mine".to_owned(), owner: Some(user_id(2).to_string()), ..Cast::jungian() };
    store.put_cast(StoredCast { tenant: TENANT, cast: Cast { version: 1, ..cast } }).await.unwrap();
    store.put_setting("zero", Some(vec![0, 255])).await.unwrap();
    store.put_sealed(TENANT, "provider", "house", Some(b"api key".to_vec())).await.unwrap();
    store.set_budget(TENANT, None, Some(Budget { tokens: Some(9), cost: Some(0.3) })).await.unwrap();
    let block = AddressBlock {
        address: "192.0.2.1".to_owned(),
        reason: "guessing".to_owned(),
        blocked_at: START,
        until: START.plus_ms(1000),
        times: 2,
    };
    store.put_block(TENANT, block).await.unwrap();
    for n in 0..4 {
        let at = START.plus_ms(n * 1_000);
        let row = AuditDraft { at, ..draft(AuditType::LoginSuccess, Some(2)) };
        store.record(vec![row]).await.unwrap();
    }
    assert_eq!(store.prune(START.plus_ms(1_500)).await.unwrap(), 2);
}

/// Everything a store sends, as one sorted list.
pub async fn all(mut rows: Rows) -> Vec<(&'static str, Row)> {
    let mut found = Vec::new();
    while let Some(batch) = rows.next().await.unwrap() {
        found.extend(batch.rows.into_iter().map(|row| (batch.table.name, row)));
    }
    // Who stands for everybody is the first in one store and the last in the other.
    found.sort_by_cached_key(|row| format!("{row:?}"));
    found
}

pub fn silent() -> Told {
    Arc::new(|_| {})
}

/// That the copy works as a store: words are read, names are found, what was erased stays so.
pub async fn works<S: Store>(store: &S) {
    let said = [Some("agent"), Some("Grüße"), None];
    assert_eq!(texts(&checked(store, session_id(2)).await.0), said);
    assert_eq!(texts(&checked(store, session_id(3)).await.0), [Some("agent"), Some("Grüße"), Some("name")]);
    assert_eq!(store.user_by_name(TENANT, "user2").await.unwrap().map(|user| user.user_id), Some(user_id(2)));
    assert_eq!(store.sealed(TENANT, "provider").await.unwrap(), [("house".to_owned(), b"api key".to_vec())]);
    let tagged = SessionFilter { tag: Some("a, \"b\"".to_owned()), ..SessionFilter::default() };
    assert_eq!(store.sessions(TENANT, tagged, None, 9).await.unwrap().items.len(), 2);
    assert_eq!(store.count_sessions(TENANT, None, Some(session_id(1))).await.unwrap(), 1);
    store.release(owner_id(1), &[session_id(2)]).await.unwrap();
    assert_eq!(store.claimable(TENANT, 9).await.unwrap(), [session_id(2)], "a command waits in it");
    let everybody = store.allowance(TENANT, None).await.unwrap();
    assert_eq!((everybody.spent.tokens, everybody.budget.and_then(|b| b.tokens)), (14, Some(9)));
    let check = AuditLog::verify(store).await.unwrap();
    assert!(check.problems.is_empty(), "{:?}", check.problems);
    // A person is erased by what the row of a cast says of its owner, in either store.
    store.erase(None, PERSON).await.unwrap();
    assert_eq!(store.cast(TENANT, "mine").await.unwrap(), None);
    assert_eq!(texts(&checked(store, session_id(2)).await.0), [Some("agent"), None, None]);
    // And a log goes on.
    let head = store.head(session_id(2)).await.unwrap().unwrap();
    let mut chain = Chain::at(&head);
    let records = vec![chain.record("agent_message", &[(Subject::Session, "more")])];
    store.append(append(session_id(2), Some(head.epoch), head.hash, records)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_gives_the_same_rows() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = in_sqlite(dirs[0].path());
    fill(&first).await;
    let before = all(first.rows()).await;
    for table in TABLES {
        assert!(before.iter().any(|(name, _)| *name == table.name), "{} is not tested", table.name);
    }

    let there = open_in(&server().database().unwrap(), dirs[1].path()).await.unwrap();
    let rights = there.rights_version().await.unwrap();
    let copied = there.fill(first.rows(), silent()).await.unwrap();
    assert_eq!(copied.rows, before.len() as u64);
    // Five events in each of two sessions, three in the fork; what is erased in both is erased.
    assert_eq!((copied.sessions, copied.events, copied.erased), (3, 13, 2));
    assert_eq!(all(there.rows().await.unwrap()).await, before);
    assert!(there.rights_version().await.unwrap() > rights, "other replicas learn of it");

    let back = in_sqlite(dirs[2].path());
    assert_eq!(back.fill(there.rows().await.unwrap(), silent()).await.unwrap(), copied);
    assert_eq!(all(back.rows()).await, before);
    // What was taken in is durable for the high-water file too.
    for beside in [there.beside(), back.beside()] {
        beside.take_erasures(&first.beside().erasures).unwrap();
        beside.take_checkpoints(&first.beside().checkpoints).unwrap();
        beside.take_erasures(&first.beside().erasures).unwrap();
    }
    assert_eq!(std::fs::read(&back.beside().erasures).unwrap(), std::fs::read(&first.beside().erasures).unwrap());
    back.close().await;
    let marks = std::fs::read_to_string(dirs[2].path().join("high-water")).unwrap();
    assert_eq!(marks.lines().filter(|line| line.starts_with("m ")).count(), 3);
    works(&there).await;
    let back = in_sqlite(dirs[2].path());
    works(&back).await;
    back.close().await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_whole_or_not_empty_is_refused_and_nothing_is_written() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = in_sqlite(dir.path());
    fill(&source).await;
    let url = server().database().unwrap();
    let target = open_in(&url, other.path()).await.unwrap();
    let empty = all(target.rows().await.unwrap()).await.len();
    assert_eq!(empty, 1, "a new store tells of its master key alone");
    let file = tempfile::tempdir().unwrap();
    let refused = async |what: &str, session| {
        let error = target.fill(source.rows(), silent()).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(&session), "{error}");
        assert_eq!(all(target.rows().await.unwrap()).await.len(), empty);
        let sqlite = in_sqlite(file.path());
        let error = sqlite.fill(source.rows(), silent()).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(&session), "{error}");
        assert_eq!(all(sqlite.rows()).await.len(), empty);
        sqlite.close().await;
    };

    // Tampered with: an event, the text that an event commits to, where a log ends, an event without a head.
    let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    let id = session_id(2).0;
    let turn = |sql: &str| assert!(raw.execute(sql, [id]).unwrap() > 0, "{sql}");
    turn("UPDATE event SET body = replace(body, '\"n\":4', '\"n\":5') WHERE session_id = ?1 AND seq = 4");
    refused("hash", session_id(2).to_string()).await;
    turn("UPDATE event SET body = replace(body, '\"n\":5', '\"n\":4') WHERE session_id = ?1 AND seq = 4");
    turn("UPDATE event_text SET sealed = zeroblob(60) WHERE session_id = ?1 AND seq = 2 AND idx = 0");
    refused("its seal is broken", session_id(2).to_string()).await;
    turn(
        "UPDATE event_text SET sealed = t.sealed FROM event_text AS t
          WHERE event_text.session_id = ?1 AND event_text.seq = 2 AND event_text.idx = 0
            AND t.session_id = ?1 AND t.seq = 2 AND t.idx = 1",
    );
    refused("cannot be read", session_id(2).to_string()).await;
    turn("DELETE FROM event_text WHERE session_id = ?1");
    turn("DELETE FROM event WHERE session_id = ?1 AND seq = 5");
    refused("reaches event 4", session_id(2).to_string()).await;
    turn("DELETE FROM session_head WHERE session_id = ?1");
    refused("belong to a log with a head", String::new()).await;
    turn("DELETE FROM event WHERE session_id = ?1");
    target.fill(source.rows(), silent()).await.unwrap();

    let before = all(target.rows().await.unwrap()).await;
    let error = target.fill(source.rows(), silent()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("it is not empty")), "{error}");
    assert_eq!(all(target.rows().await.unwrap()).await, before);
    let error = source.fill(target.rows().await.unwrap(), silent()).await.unwrap_err();
    assert!(error.to_string().contains("it is not empty"), "{error}");
    source.close().await;
}

/// What is forgotten here would be in no backup.
#[tokio::test]
async fn every_column_of_the_schema_moves_but_those_a_store_keeps_about_itself() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    drop(open_in(&url, dir.path()).await.unwrap());
    let sql = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'
               AND table_name NOT IN ('schema_version', 'probe', 'rights', 'audit_gate', 'erasure')
               -- Both are told as `allowance`, added up.
               AND table_name NOT IN ('spent', 'allowance_in_all')";
    let stored = server().run(crate::refusals::name_of(&url), sql).unwrap();
    let stored: BTreeSet<String> = stored.lines().map(str::to_owned).collect();
    let of = |table: &'static psyche_store::rows::Table| {
        table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name))
    };
    assert_eq!(stored, TABLES.iter().flat_map(of).collect());
}

/// A reader that breaks off, and rows that are left out on the way, are no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_leaves_the_target_empty() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = in_sqlite(dir.path());
    fill(&source).await;
    let target = open_in(&server().database().unwrap(), other.path()).await.unwrap();
    let broken = source.rows().edited(Box::new(|table, _| match table.name {
        "snapshot" => Err(StoreError::Unavailable("the disk is gone".to_owned())),
        _ => Ok(true),
    }));
    let error = target.fill(broken, silent()).await.unwrap_err().to_string();
    assert!(error.contains("the disk is gone"), "{error}");
    // At once: a store that is closed waits for whoever reads it.
    let rows = source.rows();
    let ((), closed) = tokio::join!(source.close(), target.fill(rows, silent()));
    assert!(closed.is_ok() || all(target.rows().await.unwrap()).await.len() == 1, "all or nothing");
    let after_close = target.fill(source.rows(), silent()).await;
    let error = after_close.unwrap_err().to_string();
    assert!(error.contains("broke off") || error.contains("not empty"), "{error}");
}
