//! Erasing a subject's words and deleting sessions. Chains stay true: bodies hold commitments only.

use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::words::{ERASED, Subject};
use rusqlite::params;

use super::fault::Fault;
use super::keys::scope;
use super::writer::Write;

/// Destroys the subject's key, and salts and sealed bytes of its texts; snapshots of the sessions it spoke in go too, and
/// the situation that lists show where it was the subject's own. A person may be erased from one session alone: then
/// the key stays, for the words said elsewhere.
pub fn erase(write: &mut Write<'_>, session: Option<SessionId>, subject: Subject) -> Result<(), Fault> {
    match (session, subject) {
        (None, Subject::Session) => return Err(StoreError::NotFound("session").into()),
        (Some(session), Subject::Session) => {
            write.db.execute("DELETE FROM subject_key WHERE scope = ?1", [scope(session, subject)])?;
        }
        (None, Subject::User(id)) => {
            write.db.execute("DELETE FROM subject_key WHERE scope = ?1", [format!("user:{id}")])?;
        }
        (Some(_), Subject::User(_)) => {}
    }
    let owner = match subject {
        Subject::Session => None,
        Subject::User(id) => Some(id.0),
    };
    let name = subject.to_string();
    let spoke_in: Vec<uuid::Uuid> = match session {
        Some(session) => vec![session.0],
        None => write
            .db
            .prepare("SELECT DISTINCT session_id FROM event_text WHERE subject = ?1 AND subject <> 'session'")?
            .query_map([&name], |row| row.get(0))?
            .collect::<Result<_, _>>()?,
    };
    for session in spoke_in {
        let texts = write.db.execute(
            "UPDATE event_text SET salt = zeroblob(16), key_id = NULL, sealed = NULL
             WHERE session_id = ?1 AND subject = ?2",
            params![session, name],
        )?;
        if texts == 0 {
            continue;
        }
        write.db.execute("DELETE FROM snapshot WHERE session_id = ?1", [session])?;
        write.db.execute(
            "UPDATE session SET summary = json_set(summary, '$.situation', ?2)
             WHERE session_id = ?1 AND (?3 IS NULL OR owner = ?3)",
            params![session, ERASED, owner],
        )?;
    }
    write.shredded();
    Ok(())
}

/// Removes a session and all that hangs on it, its key first of all.
pub fn delete(write: &mut Write<'_>, session: SessionId) -> Result<(), Fault> {
    write.db.execute("DELETE FROM subject_key WHERE scope = ?1", [scope(session, Subject::Session)])?;
    if write.db.execute("DELETE FROM session WHERE session_id = ?1", [session.0])? == 0 {
        return Err(StoreError::NotFound("session").into());
    }
    write.db.execute("INSERT OR IGNORE INTO deleted_session (session_id) VALUES (?1)", [session.0])?;
    write.head(session, None);
    write.shredded();
    Ok(())
}
