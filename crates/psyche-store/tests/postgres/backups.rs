//! Backups of either store, restored into either.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use psyche_core::audit::{AuditDraft, AuditType};
use psyche_core::port::{AuditLog, Relation, ResetToken, Role, Rotation, UserPatch, UserStatus};
use psyche_store::rows::Rows;
use psyche_store::sqlite::{self, Backup, BackupError, Files, Restored, SqliteStore, restore};

use crate::conformance::Store;
use crate::conformance::audit::draft;
use crate::conformance::build::{
    Chain, append, checked, create, new_sign_in, new_user, session_id, sign_in_id, texts, token, user_id,
};
use crate::conformance::clock::{START, TestClock};
use crate::moves::{PERSON, all, fill, in_sqlite, silent, sqlite_options};
use crate::{MASTER, open_in, server};

fn file_options(dir: &Path) -> sqlite::Options {
    sqlite::Options::new(dir.join("backup"), MASTER, Arc::new(TestClock::default()))
}

async fn back_up(dir: &Path, rows: Rows, files: Files) -> Backup {
    let options = file_options(dir);
    let path = options.path.clone();
    let write = move || Backup::write(&options, rows, &files, false, &silent());
    tokio::task::spawn_blocking(write).await.unwrap().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let beside: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["backup"], "one file");
    Backup::open(&file_options(dir)).unwrap()
}

async fn back_up_sqlite(dir: &Path, store: &SqliteStore) -> Backup {
    back_up(dir, store.rows(), Files::read(&store.beside()).unwrap()).await
}

fn row() -> AuditDraft {
    draft(AuditType::ConfigChanged, None)
}

async fn restore_sqlite(dir: &Path, backup: &Backup, over: bool) -> Result<Restored, BackupError> {
    restore(sqlite_options(dir), backup, over, row(), silent()).await
}

/// What happens after the backup: somebody is erased, signs out, is disabled, removed, shut out; a session is made, another
/// goes on.
async fn go_on<S: Store>(store: &S) {
    store.erase(None, PERSON).await.unwrap();
    store.revoke_sign_in(sign_in_id(1)).await.unwrap();
    store.rotate(token(20), token(21), START.plus_ms(1), START.plus_ms(3_600_000)).await.unwrap();
    store.use_reset(token(50), START, "$argon2id$new".to_owned()).await.unwrap().unwrap();
    let disabled = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    store.update_user(user_id(4), disabled).await.unwrap();
    store.delete_user(user_id(5)).await.unwrap();
    store.set_relation(session_id(1), user_id(2), Relation::None).await.unwrap();
    store.record(vec![row(), row()]).await.unwrap();
    create(store, session_id(9)).await;
    let head = store.head(session_id(2)).await.unwrap().unwrap();
    let mut chain = Chain::at(&head);
    let records = vec![chain.record("agent_message", &[])];
    store.append(append(session_id(2), Some(head.epoch), head.hash, records)).await.unwrap();
}

async fn prepare<S: Store>(store: &S) {
    fill(store).await;
    for n in [4, 5] {
        store.create_user(new_user(n, Role::Researcher)).await.unwrap();
    }
    store.create_sign_in(new_sign_in(20), 5).await.unwrap();
    let reset = ResetToken { user_id: user_id(1), hash: token(50), expires_at: START.plus_ms(3_600_000) };
    store.put_reset(reset).await.unwrap();
    store.set_relation(session_id(2), user_id(2), Relation::Viewer).await.unwrap();
}

/// That nothing of what went on is undone where it counts. `asked`: the store that was replaced could be read.
async fn holds<S: Store>(store: &S, generations: [u32; 2], asked: bool) {
    // Logs are the backup's and whole; erased words stay erased; clients learn of it.
    let (records, _) = checked(store, session_id(2)).await;
    assert_eq!(records.len(), 5);
    assert_eq!(texts(&records), [Some("agent"), None, None]);
    for (n, before) in [(1, generations[0]), (2, generations[1])] {
        let head = store.head(session_id(n)).await.unwrap().unwrap();
        assert!(head.generation > before, "session {n}: {} after {before}", head.generation);
        assert_eq!(head.owner, None);
        let row = store.session(session_id(n)).await.unwrap().unwrap();
        assert_eq!(row.summary.generation, head.generation);
    }
    assert_eq!(store.head(session_id(9)).await.unwrap(), None);
    // Nobody is signed in, with nothing.
    for user in [1, 2] {
        assert!(store.sign_ins(user_id(user)).await.unwrap().iter().all(|sign_in| sign_in.revoked));
    }
    assert_eq!(store.sign_ins(user_id(1)).await.unwrap().len(), 3);
    for n in [1, 11, 2, 20, 21] {
        let spent = store.rotate(token(n), token(n + 100), START.plus_ms(2), START.plus_ms(3_600_000)).await.unwrap();
        assert!(matches!(spent, Rotation::Unknown), "{n}: {spent:?}");
    }
    assert_eq!(store.reset_owner(token(50), START).await.unwrap(), None);
    let status = async |n| store.user(user_id(n)).await.unwrap().unwrap().status;
    let members = store.members(session_id(1)).await.unwrap().len();
    let password = store.user(user_id(1)).await.unwrap().unwrap().password_hash;
    if asked {
        assert_eq!((status(4).await, status(5).await), (UserStatus::Disabled, UserStatus::Disabled));
        assert_eq!((status(2).await, password.as_str()), (UserStatus::Active, "$argon2id$new"));
        assert_eq!(members, 1, "who was shut out stays out");
        assert_eq!(store.relation(session_id(2), user_id(2)).await.unwrap(), Relation::Viewer);
    } else {
        assert_eq!((status(4).await, members), (UserStatus::Active, 2));
    }
    // The trail is that of the backup, and tells of the restore.
    let check = AuditLog::verify(store).await.unwrap();
    assert!(check.problems.is_empty(), "{:?}", check.problems);
    assert_eq!((check.first_seq, check.last_seq), (3, 5));
}

async fn generations<S: Store>(store: &S) -> [u32; 2] {
    let generation = async |n| store.head(session_id(n)).await.unwrap().unwrap().generation;
    [generation(1).await, generation(2).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_data_directory_undoes_no_erasure_and_no_revocation() {
    let (dir, file) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = in_sqlite(dir.path());
    prepare(&store).await;
    let before = all(store.rows()).await;
    // The store goes on writing; the backup is of one moment.
    let backup = back_up_sqlite(file.path(), &store).await;
    assert_eq!(all(backup.rows()).await, before);
    let refused = restore_sqlite(dir.path(), &backup, true).await.unwrap_err();
    assert!(matches!(refused, BackupError::Open(sqlite::OpenError::InUse { .. })), "{refused}");
    go_on(&store).await;
    let last = generations(&store).await;
    store.close().await;
    drop(store);

    let refused = restore_sqlite(dir.path(), &backup, false).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty), "{refused}");
    let store = in_sqlite(dir.path());
    assert_eq!(generations(&store).await, last, "left as it was");
    store.close().await;
    drop(store);
    // Who reads is in the way too: two databases would share one log of writes.
    let reader = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    let hasty = sqlite::Options { busy_timeout: std::time::Duration::from_millis(1), ..sqlite_options(dir.path()) };
    let refused = restore(hasty, &backup, true, row(), silent()).await.unwrap_err();
    assert!(matches!(refused, BackupError::InUse), "{refused}");
    drop(reader);

    let restored = restore_sqlite(dir.path(), &backup, true).await.unwrap();
    assert!(restored.asked);
    assert_eq!(restored.kept.len(), 2, "{:?}", restored.kept);
    assert!(!dir.path().join("restoring").exists());
    let store = in_sqlite(dir.path());
    assert_eq!(store.lost(), [], "the high-water file takes the restore for no loss");
    holds(&store, last, true).await;
    store.close().await;
    drop(store);

    // What was replaced is kept whole.
    let old = restored.kept.iter().find(|kept| kept.to_string_lossy().contains("psyche.db")).unwrap();
    let kept = rusqlite::Connection::open(old).unwrap();
    let events: u64 = kept.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 15);

    // Restored twice, the generation rises twice.
    let store = in_sqlite(dir.path());
    let last = generations(&store).await;
    store.close().await;
    drop(store);
    restore_sqlite(dir.path(), &backup, true).await.unwrap();
    let store = in_sqlite(dir.path());
    holds(&store, last, true).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_any_more_is_replaced_and_kept() {
    let (dir, file) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = in_sqlite(dir.path());
    prepare(&store).await;
    let backup = back_up_sqlite(file.path(), &store).await;
    go_on(&store).await;
    let last = generations(&store).await;
    store.close().await;
    drop(store);
    let path = dir.path().join("psyche.db");
    fs::write(&path, b"a disk that went bad").unwrap();
    fs::write(dir.path().join("psyche.db-wal"), b"what is left of its writes").unwrap();
    assert!(matches!(restore_sqlite(dir.path(), &backup, false).await, Err(BackupError::NotEmpty)));
    let restored = restore_sqlite(dir.path(), &backup, true).await.unwrap();
    assert!(!restored.asked);
    assert_eq!(restored.kept.len(), 3, "{:?}", restored.kept);
    let store = in_sqlite(dir.path());
    // The high-water file alone knew the generations by now.
    holds(&store, last, false).await;
    store.close().await;
    drop(store);

    // And where the database is gone nothing has to be said.
    fs::remove_file(&path).unwrap();
    restore_sqlite(dir.path(), &backup, false).await.unwrap();
    let store = in_sqlite(dir.path());
    holds(&store, last, false).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_postgresql_undoes_no_erasure_and_no_revocation() {
    let (dir, file, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = server().database().unwrap();
    let store = open_in(&url, dir.path()).await.unwrap();
    prepare(&store).await;
    let before = all(store.rows().await.unwrap()).await;
    let files = Files::read(&store.beside()).unwrap();
    let backup = back_up(file.path(), store.rows().await.unwrap(), files).await;
    assert_eq!(all(backup.rows()).await, before);
    go_on(&store).await;
    let last = generations(&store).await;
    let now = all(store.rows().await.unwrap()).await;
    let refused = store.restore(&backup, false, row(), silent()).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty), "{refused}");
    assert_eq!(all(store.rows().await.unwrap()).await, now);

    let restored = store.restore(&backup, true, row(), silent()).await.unwrap();
    assert!(restored.asked);
    store.close();
    let store = open_in(&url, dir.path()).await.unwrap();
    holds(&store, last, true).await;

    // The same file into the other kind of store: a machine of which nothing but the file and the key is left.
    restore_sqlite(other.path(), &backup, false).await.unwrap();
    let store = in_sqlite(other.path());
    let (records, _) = checked(&store, session_id(2)).await;
    assert_eq!(texts(&records), [Some("agent"), Some("Grüße"), None], "its journal knows of one erasure");
    assert_eq!(generations(&store).await, [3, 3], "one erasure, one restore");
    let check = AuditLog::verify(&store).await.unwrap();
    assert!(check.problems.is_empty(), "{:?}", check.problems);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_backup_is_refused_and_nothing_is_replaced_unasked() {
    let (dir, file, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = in_sqlite(dir.path());
    fill(&store).await;
    drop(back_up_sqlite(file.path(), &store).await);
    let path = file.path().join("backup");
    let whole = fs::read(&path).unwrap();
    let again = |force: bool| {
        let (options, rows) = (file_options(file.path()), store.rows());
        let files = Files::read(&store.beside()).unwrap();
        tokio::task::spawn_blocking(move || Backup::write(&options, rows, &files, force, &silent()))
    };
    assert!(matches!(again(false).await.unwrap(), Err(BackupError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), whole);
    fs::write(&path, b"an older one").unwrap();
    again(true).await.unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);

    let other_key = sqlite::Options { master_key: [1; 32], ..file_options(file.path()) };
    assert!(matches!(Backup::open(&other_key), Err(BackupError::WrongMasterKey(_))));
    let edit = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    // Changed in the file, a log is found while it is restored: the directory stays as empty as it was.
    edit("UPDATE event SET body = replace(body, '\"n\":4', '\"n\":5') WHERE seq = 4");
    let backup = Backup::open(&file_options(file.path())).unwrap();
    let error = restore_sqlite(other.path(), &backup, false).await.unwrap_err().to_string();
    assert!(error.contains("is not whole"), "{error}");
    assert!(!other.path().join("psyche.db").exists());
    let url = server().database().unwrap();
    let target = open_in(&url, tempfile::tempdir().unwrap().path()).await.unwrap();
    target.restore(&backup, true, row(), silent()).await.unwrap_err();
    assert_eq!(all(target.rows().await.unwrap()).await.len(), 1);
    // A log that is not whole is not backed up either.
    let raw = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    raw.execute("UPDATE event SET at = at + 1 WHERE seq = 4", []).unwrap();
    let error = again(true).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("is not whole"), "{error}");
    assert_eq!(fs::read_dir(file.path()).unwrap().count(), 1, "nothing half done is left");

    edit("UPDATE schema_version SET version = 99 WHERE version = 3");
    assert!(matches!(Backup::open(&file_options(file.path())), Err(BackupError::OtherVersion { found: 99, .. })));
    edit("DROP TABLE backup");
    assert!(matches!(Backup::open(&file_options(file.path())), Err(BackupError::NoBackup(_))));
    fs::write(&path, b"words").unwrap();
    assert!(matches!(Backup::open(&file_options(file.path())), Err(BackupError::NoBackup(_))));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Backup::open(&file_options(file.path())), Err(BackupError::Io { .. })));
    store.close().await;
}
