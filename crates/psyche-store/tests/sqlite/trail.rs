//! What somebody with the files in hand cannot do unseen.

use std::path::Path;

use psyche_core::audit::AuditType;
use psyche_core::port::{AuditFilter, AuditLog, Directory as _, Role};

use crate::conformance::audit::draft;
use crate::conformance::build::{TENANT, new_sign_in, sign_in_id, user, user_id};
use crate::{MASTER, open_in, open_to_read, options};
use psyche_store::sqlite::{OpenError, SqliteStore};

async fn trail(dir: &Path) {
    let store = open_in(dir).unwrap();
    for n in 0..6 {
        store.record(vec![draft(AuditType::LoginSuccess, Some(n))]).await.unwrap();
    }
    store.close().await;
}

async fn problems(dir: &Path) -> Vec<u64> {
    let store = open_to_read(dir).unwrap();
    let check = store.verify().await.unwrap();
    store.close().await;
    check.problems.iter().map(|p| p.seq).collect()
}

#[tokio::test]
async fn edits_deletions_swaps_and_cuts_are_named() {
    let tampers: [(&str, &[u64]); 9] = [
        ("SELECT 1", &[]),
        ("UPDATE audit SET outcome = 'failure' WHERE seq = 3", &[3]),
        ("UPDATE audit SET details = '{}' WHERE seq = 3", &[3]),
        ("UPDATE audit SET at = at + 1 WHERE seq = 6", &[6]),
        ("DELETE FROM audit WHERE seq = 3", &[3]),
        ("DELETE FROM audit WHERE seq <= 2", &[1]),
        (
            "UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, 3); UPDATE audit SET seq = -seq WHERE seq < 0",
            &[2, 3, 4],
        ),
        ("DELETE FROM audit WHERE seq >= 5", &[5]),
        // A base that was not signed hides nothing.
        (
            "INSERT INTO audit_base SELECT 1, seq, mac, zeroblob(32) FROM audit WHERE seq = 3; DELETE FROM audit WHERE seq <= 3",
            &[3],
        ),
    ];
    for (tamper, expected) in tampers {
        let dir = tempfile::tempdir().unwrap();
        trail(dir.path()).await;
        rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap().execute_batch(tamper).unwrap();
        assert_eq!(problems(dir.path()).await, expected, "{tamper}");
    }
}

#[tokio::test]
async fn a_checkpoint_is_ours_or_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    let path = dir.path().join("audit-checkpoints");
    let text = std::fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("{\"seq\":6,"), "the close writes the last one: {last}");
    let of_another_row = last.replace("\"seq\":6", "\"seq\":4");
    // The right row and its mac, but not our signature.
    let at = last.find("\"signature\":\"").unwrap() + "\"signature\":\"".len();
    let other = if last[at..].starts_with('0') { '1' } else { '0' };
    let not_signed = format!("{}{other}{}", &last[..at], &last[at + 1..]);
    std::fs::write(&path, format!("{text}{of_another_row}\n{not_signed}\nhalf a li")).unwrap();
    assert_eq!(problems(dir.path()).await, [4, 6]);
}

#[tokio::test]
async fn a_database_without_its_key_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    let db = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    db.execute("DELETE FROM subject_key WHERE scope = 'audit-chain'", []).unwrap();
    drop(db);
    assert_eq!(problems(dir.path()).await.len(), 1);
}

const PERSONAL: [&str; 5] = ["Leonora", "leonora@example.org", "203.0.113.9", "Netscape", "piano-player"];

fn occurs(dir: &Path, needle: &str) -> bool {
    let needle = needle.as_bytes();
    let files = std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle)))
}

async fn somebody(store: &SqliteStore) {
    let mut person = user(1, Role::Researcher);
    (person.username, person.email) = ("Leonora".to_owned(), "leonora@example.org".to_owned());
    person.preferences = serde_json::json!({"plays": "piano-player"});
    let new = psyche_core::port::NewUser { user: person, only_first_admin: false };
    store.create_user(new).await.unwrap();
    let mut sign_in = new_sign_in(1);
    (sign_in.sign_in.ip, sign_in.sign_in.user_agent) = ("203.0.113.9".to_owned(), "Netscape".to_owned());
    store.create_sign_in(sign_in, 5).await.unwrap();
    let mut row = draft(AuditType::LoginSuccess, Some(1));
    row.personal.username = Some("Leonora".to_owned());
    row.personal.ip_address = Some("203.0.113.9".to_owned());
    store.record(vec![row]).await.unwrap();
}

#[tokio::test]
async fn nothing_that_names_a_person_is_in_plain_form_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    somebody(&store).await;
    assert!(occurs(dir.path(), "auth.login.success"), "the search works");
    for words in PERSONAL {
        assert!(!occurs(dir.path(), words), "{words} while open");
    }
    store.close().await;
    for words in PERSONAL {
        assert!(!occurs(dir.path(), words), "{words} after the close");
    }
    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.user_by_name(TENANT, "LEONORA").await.unwrap().unwrap().email, "leonora@example.org");
    store.close().await;
}

#[tokio::test]
async fn rows_of_version_one_are_sealed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    somebody(&store).await;
    store.close().await;
    // Back to version 1 by hand: its tables held these fields in plain form.
    let db = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    db.execute_batch(
        "UPDATE account SET username = 'Leonora', folded = 'leonora', display_name = 'Leonora C.',
                            email = 'leonora@example.org', preferences = '{\"plays\":\"piano-player\"}';
         UPDATE sign_in SET device = 'laptop', ip = '203.0.113.9', user_agent = 'Netscape';
         ALTER TABLE account DROP COLUMN sealed; ALTER TABLE account DROP COLUMN key_id;
         ALTER TABLE sign_in DROP COLUMN sealed; ALTER TABLE sign_in DROP COLUMN key_id;
         DROP TABLE reset_token; DROP TABLE address_block; DROP TABLE audit; DROP TABLE audit_base;
         DROP TABLE allowance; DROP TABLE sealed_value; DROP INDEX session_parent; ALTER TABLE session DROP COLUMN parent;
         DROP INDEX session_claimable; CREATE INDEX session_running ON session (tenant) WHERE status = 'running';
         DELETE FROM schema_version WHERE version > 1; DELETE FROM subject_key WHERE scope = 'names'",
    )
    .unwrap();
    drop(db);
    std::fs::remove_file(dir.path().join("audit-checkpoints")).unwrap();
    let store = open_in(dir.path()).unwrap();
    let found = store.user_by_name(TENANT, "leonora").await.unwrap().unwrap();
    assert_eq!((found.user_id, found.display_name.as_str()), (user_id(1), "Leonora C."));
    assert_eq!(store.sign_in(sign_in_id(1)).await.unwrap().unwrap().user_agent, "Netscape");
    assert!(AuditLog::rows(&store, TENANT, AuditFilter::default(), 1).await.unwrap().is_empty());
    store.close().await;
    let db = rusqlite::Connection::open(dir.path().join("psyche.db")).unwrap();
    let plain: String =
        db.query_row("SELECT username || email || preferences FROM account", [], |row| row.get(0)).unwrap();
    assert_eq!(plain, "");
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    trail(dir.path()).await;
    let mut master = MASTER;
    master[0] ^= 1;
    let mut other = options(dir.path());
    other.master_key = master;
    assert!(matches!(SqliteStore::open(other), Err(OpenError::WrongMasterKey(_))));
}

#[tokio::test]
async fn a_changed_master_key_opens_everything_and_the_old_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    somebody(&store).await;
    assert!(store.change_master_key([7; 32]).await.unwrap() >= 4);
    store.close().await;
    assert!(matches!(open_in(dir.path()), Err(OpenError::WrongMasterKey(_))));
    let mut other = options(dir.path());
    other.master_key = [7; 32];
    let store = SqliteStore::open(other).unwrap();
    assert!(store.user_by_name(TENANT, "leonora").await.unwrap().is_some());
    assert!(store.verify().await.unwrap().problems.is_empty());
    store.close().await;
}
