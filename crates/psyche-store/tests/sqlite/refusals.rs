//! What cannot be opened is refused with a sentence, and left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use psyche_core::port::{EventLog as _, StoreError};
use psyche_core::words::Hash;
use psyche_store::sqlite::{OpenError, Options, SqliteStore};

use crate::conformance::build::{checked, create, create_owned, session_id};
use crate::{open_in, open_to_read, options};

async fn closed_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    create_owned(&store, session_id(1)).await;
    store.close().await;
    dir
}

/// The files that hold data, by digest. The lock file, SQLite's shared memory and an empty WAL do not.
fn files(dir: &Path) -> BTreeMap<String, Hash> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()));
    named
        .filter(|(name, bytes)| {
            name != "lock" && !name.ends_with("-shm") && !(name.ends_with("-wal") && bytes.is_empty())
        })
        .map(|(name, bytes)| (name, Hash::of(&bytes)))
        .collect()
}

fn refusal(dir: &Path, options: Options) -> OpenError {
    let before = files(dir);
    let error = SqliteStore::open(options).unwrap_err();
    assert_eq!(files(dir), before, "{error}");
    error
}

#[tokio::test]
async fn damaged_and_foreign_files_are_named() {
    type Damage = fn(&Path);
    fn sql(path: &Path, sql: &str) {
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }
    let cases: [(&str, Damage, &str); 7] = [
        ("text", |p| fs::write(p, "a letter, not a database").unwrap(), "not an SQLite database"),
        ("zero bytes", |p| fs::write(p, "").unwrap(), "is gone (1 events)"),
        ("cut short", |p| fs::File::options().write(true).open(p).unwrap().set_len(8192).unwrap(), "is cut short"),
        (
            "cut within the header",
            |p| fs::File::options().write(true).open(p).unwrap().set_len(60).unwrap(),
            "is cut short",
        ),
        (
            "a page of noise",
            |p| {
                let mut bytes = fs::read(p).unwrap();
                bytes[4096 * 2..4096 * 12].fill(0xA5);
                fs::write(p, bytes).unwrap();
            },
            "is damaged",
        ),
        (
            "newer",
            |p| sql(p, "INSERT INTO schema_version VALUES (1000)"),
            "schema version 1000, this program knows up to 5",
        ),
        ("foreign", |p| sql(p, "DROP TABLE schema_version"), "made by another program"),
    ];
    for (name, damage, expected) in cases {
        let dir = closed_store().await;
        damage(&dir.path().join("psyche.db"));
        let error = refusal(dir.path(), options(dir.path()));
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn another_master_key_is_refused() {
    let dir = closed_store().await;
    let error = refusal(dir.path(), Options { master_key: [43; 32], ..options(dir.path()) });
    assert!(matches!(error, OpenError::WrongMasterKey(_)), "{error}");
}

#[tokio::test]
async fn a_data_directory_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    create(&store, session_id(1)).await;
    match open_in(dir.path()).unwrap_err() {
        OpenError::InUse { pid: Some(pid), .. } => assert_eq!(pid, std::process::id()),
        other => panic!("{other}"),
    }
    let reader = open_to_read(dir.path()).unwrap();
    create(&store, session_id(2)).await;
    assert_eq!(checked(&reader, session_id(2)).await.0.len(), 1, "a reader follows the writer");
    let written = reader.probe().await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    reader.close().await;
    store.close().await;
    open_in(dir.path()).unwrap().close().await;
}

#[tokio::test]
async fn places_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = open_to_read(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
    assert_eq!(files(dir.path()).len(), 0);

    fs::write(dir.path().join("file"), "x").unwrap();
    let error = open_in(&dir.path().join("file")).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    fs::create_dir(dir.path().join("psyche.db")).unwrap();
    let error = open_in(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = closed_store().await;
    fs::remove_file(dir.path().join("lock")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(dir.path().join("probe"), "x").is_ok() {
        // The superuser may do everything: there is nothing to see.
        return;
    }
    let error = refusal(dir.path(), options(dir.path()));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(error.to_string().contains("Give the user that runs psyche access"), "{error}");
}
