//! What is refused at the start, with a sentence; and what a server suffers while it is used.

use std::time::Duration;

use psyche_core::port::{Directory as _, EventLog as _, StoreError};
use psyche_core::words::Subject;
use psyche_store::Access;
use psyche_store::postgres::{OpenError, Options, PostgresStore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::conformance::build::{TENANT, append, checked, create, create_owned, session_id, texts, user_id};
use crate::server::Postgres;
use crate::{open_in, options, server};

async fn refused(options: Options) -> OpenError {
    PostgresStore::open(options).await.unwrap_err()
}

pub fn name_of(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

/// Ends all connections to a database and counts them.
pub fn cut(name: &str) -> String {
    format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")
}

#[tokio::test]
async fn each_wrong_start_has_its_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let read = |url: &str| Options { access: Access::ReadOnly, ..options(url, dir.path()) };
    let nowhere = "postgres://psyche:secret@127.0.0.1:1/psyche";
    let error = refused(options(nowhere, dir.path())).await.to_string();
    assert!(error.contains("cannot be reached") && !error.contains("secret"), "{error}");
    let error = refused(options("postgres://psyche@127.0.0.1/psyche?sslmode=verify-ca", dir.path())).await;
    assert!(matches!(error, OpenError::Url(_)), "{error}");
    let error = refused(options("postgres://psyche@127.0.0.1/psyche?unheard=of", dir.path())).await;
    assert!(matches!(error, OpenError::Url(_)), "{error}");

    let error = refused(read(&url)).await;
    assert!(matches!(error, OpenError::Empty), "{error}");
    assert!(PostgresStore::is_new(&url).await.unwrap());
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(server().run(name_of(&url), tables).unwrap(), "0", "left as it was");

    server().run(name_of(&url), "CREATE TABLE theirs (x integer)").unwrap();
    let error = refused(options(&url, dir.path())).await;
    assert!(matches!(error, OpenError::Foreign), "{error}");
    assert_eq!(server().run(name_of(&url), tables).unwrap(), "1", "left as it was");
    server().run(name_of(&url), "DROP TABLE theirs").unwrap();

    drop(open_in(&url, dir.path()).await.unwrap());
    assert!(!PostgresStore::is_new(&url).await.unwrap());
    let error = refused(Options { master_key: [1; 32], ..options(&url, dir.path()) }).await;
    assert!(matches!(error, OpenError::WrongMasterKey), "{error}");
    server().run(name_of(&url), "INSERT INTO schema_version VALUES (99)").unwrap();
    let error = refused(options(&url, dir.path())).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    server().run(name_of(&url), "DELETE FROM schema_version WHERE version > 2").unwrap();
    let error = refused(read(&url)).await;
    assert!(matches!(error, OpenError::Older { found: 2, .. }), "{error}");
}

#[tokio::test]
async fn who_only_reads_cannot_write_and_keeps_nobody_away() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let sole = || Options { alone: true, ..options(&url, dir.path()) };
    let writer = PostgresStore::open(sole()).await.unwrap();
    create_owned(&writer, session_id(1)).await;
    let reader = PostgresStore::open(Options { access: Access::ReadOnly, ..sole() }).await.unwrap();
    assert_eq!(checked(&reader, session_id(1)).await.0.len(), 1);
    let refused = reader.put_setting("a", Some(vec![1])).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");

    let second = PostgresStore::open(sole()).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse), "{second}");
    // Who asked to be alone gives the database back at its end.
    writer.close();
    let deadline = Instant::now() + Duration::from_secs(10);
    while PostgresStore::open(sole()).await.is_err() {
        assert!(Instant::now() < deadline, "the lock was not given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_is_alone_beside_replicas_and_no_replica_beside_who_is_alone() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = server().database().unwrap();
    let shared = |n: usize| PostgresStore::open(options(&url, dirs[n].path()));
    let sole = || PostgresStore::open(Options { alone: true, ..options(&url, dirs[2].path()) });
    let (a, b) = (shared(0).await.unwrap(), shared(1).await.unwrap());
    for replica in [a, b] {
        let refused = sole().await.unwrap_err();
        assert!(matches!(refused, OpenError::InUse), "{refused}");
        replica.close();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    let alone = loop {
        match sole().await {
            Ok(alone) => break alone,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    let refused = shared(0).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse), "{refused}");
    alone.close();
}

#[tokio::test]
async fn a_restored_backup_is_erased_again_before_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let person = Subject::User(user_id(2));
    let store = open_in(&url, dir.path()).await.unwrap();
    let (mut chain, epoch) = create_owned(&store, session_id(1)).await;
    let expected = chain.hash;
    let records = vec![chain.record("stimulus_injected", &[(person, "person"), (Subject::Session, "agent")])];
    store.append(append(session_id(1), Some(epoch), expected, records)).await.unwrap();
    store.close();
    drop(store);
    // Other connections to the database would be in the way of copying it.
    let (name, backup) = (name_of(&url), format!("{}_backup", name_of(&url)));
    let cut = cut(name);
    let copy = format!("CREATE DATABASE {backup} TEMPLATE {name} STRATEGY = FILE_COPY");
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(why) = server().run("postgres", &cut).and_then(|_| server().run("postgres", &copy)) {
        assert!(Instant::now() < deadline, "{why}");
        tokio::task::yield_now().await;
    }
    let store = open_in(&url, dir.path()).await.unwrap();
    store.erase(None, person).await.unwrap();
    let generation = store.head(session_id(1)).await.unwrap().unwrap().generation;
    drop(store);

    let url = format!("{}/{backup}", server().url());
    let error = refused(Options { access: Access::ReadOnly, ..options(&url, dir.path()) }).await;
    assert!(matches!(error, OpenError::NotErased), "{error}");
    let store = open_in(&url, dir.path()).await.unwrap();
    assert_eq!(texts(&checked(&store, session_id(1)).await.0), [None, Some("agent")]);
    assert_eq!(store.head(session_id(1)).await.unwrap().unwrap().generation, generation);
    assert_eq!(store.erased_people().len(), 1);
    // It is done now: nothing is erased a second time, and reading alone is fine.
    let reader = PostgresStore::open(Options { access: Access::ReadOnly, ..options(&url, dir.path()) }).await.unwrap();
    assert_eq!(reader.head(session_id(1)).await.unwrap().unwrap().generation, generation);
}

/// PostgreSQL has no text with a zero byte: asking for one is no fault of the log.
#[tokio::test]
async fn a_zero_byte_is_in_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(&server().database().unwrap(), dir.path()).await.unwrap();
    create_owned(&store, session_id(1)).await;
    let found = store.find_command(session_id(1), "a\0b").await;
    assert!(matches!(found, Err(StoreError::NotFound(_))), "{found:?}");
    store.probe().await.unwrap();
}

#[tokio::test]
async fn connections_that_were_cut_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let store = open_in(&url, dir.path()).await.unwrap();
    store.probe().await.unwrap();
    let cut = cut(name_of(&url));
    assert_ne!(server().run("postgres", &cut).unwrap(), "0");
    // One whose end is not known yet says so and is given up; there are no more of them than the pool holds.
    let mut left = options(&url, dir.path()).connections;
    while let Err(error) = store.probe().await {
        assert!(left > 0 && matches!(error, StoreError::Unavailable(_)), "{error:?}");
        left -= 1;
    }
    store.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_told_from_a_broken_log() {
    let dir = tempfile::tempdir().unwrap();
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let store =
        PostgresStore::open(Options { patience: Duration::from_secs(2), ..options(&url, dir.path()) }).await.unwrap();
    create_owned(&store, session_id(1)).await;
    tokio::task::block_in_place(|| drop(server));
    for _ in 0..3 {
        let error = store.head(session_id(1)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(_)), "{error}");
    }
}

/// What the newest version has changed, taken back.
const VERSION_4: &str = "ALTER TABLE session DROP COLUMN waiting; DELETE FROM schema_version WHERE version > 4;
    CREATE INDEX session_running ON session (tenant, session_id) WHERE status = 'running'";

/// A backup has all tables for as long as it takes. Whoever wants to change one meanwhile must not keep the others from it.
#[tokio::test]
async fn a_change_of_the_schema_waits_without_stopping_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    drop(open_in(&url, dir.path()).await.unwrap());
    let sql = {
        let name = name_of(&url).to_owned();
        move |sql: String| {
            let name = name.clone();
            tokio::task::spawn_blocking(move || server().run(&name, &sql).unwrap())
        }
    };
    sql(VERSION_4.to_owned()).await.unwrap();
    let locks = |mode: &str, granted: bool| {
        let which = format!("relation = 'session'::regclass AND mode = '{mode}' AND granted = {granted}");
        sql(format!("SELECT count(*) FROM pg_locks WHERE {which}"))
    };
    let reads = sql("BEGIN; LOCK session IN ACCESS SHARE MODE; SELECT pg_sleep(6); COMMIT".to_owned());
    while locks("AccessShareLock", true).await.unwrap() == "0" {
        assert!(!reads.is_finished());
    }
    let mut opens = JoinSet::new();
    opens.spawn({
        let (url, dir) = (url.clone(), dir.path().to_owned());
        async move { open_in(&url, &dir).await.map(drop) }
    });
    while locks("AccessExclusiveLock", false).await.unwrap() == "0" {
        assert!(opens.try_join_next().is_none(), "nobody wants to change the schema");
    }
    sql("UPDATE session SET status = status".to_owned()).await.unwrap();
    assert!(!reads.is_finished(), "a write waited for the reader");
    opens.join_next().await.unwrap().unwrap().unwrap();
    assert!(reads.is_finished());
    assert_eq!(sql("SELECT max(version) FROM schema_version".to_owned()).await.unwrap(), "5");
}

#[tokio::test]
async fn what_an_older_program_left_in_the_column_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let url = server().database().unwrap();
    let store = open_in(&url, dir.path()).await.unwrap();
    create(&store, session_id(1)).await;
    server().run(name_of(&url), "UPDATE session SET waiting = true").unwrap();
    assert_eq!(store.claimable(TENANT, 9).await.unwrap(), []);
}
