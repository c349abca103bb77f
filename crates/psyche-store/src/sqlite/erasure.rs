//! Erasing a subject's words and deleting sessions. Chains stay true: bodies hold commitments only.

use std::collections::BTreeSet;

use psyche_core::event::EMBEDDING;
use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::quotes::{Quotes, goes, may_quote};
use psyche_core::time::Timestamp;
use psyche_core::words::{Hash, Salt, Subject, commitment};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::records::{self, HEAD, head_of, mark_of};
use super::sessions;
use super::writer::Write;
use crate::columns::Columns;
use crate::erasure::Refold;
use crate::journal::Entry;
use crate::keyring::scope;
use crate::seal::{about_masked, about_text};

/// Records folded at a time.
const BATCH: usize = 1_000;

/// What an erasure is about to destroy: sessions that hold words of the subject, and the time of the last event there.
pub fn reach(
    db: &Connection,
    session: Option<SessionId>,
    subject: Subject,
) -> Result<(Vec<SessionId>, Timestamp), Fault> {
    let sessions: Vec<SessionId> = match (session, subject) {
        (None, Subject::Session) => return Err(StoreError::NotFound("session").into()),
        (Some(session), _) => vec![session],
        (None, Subject::User(_)) => db
            .prepare(
                "SELECT DISTINCT session_id FROM event_text
                 WHERE subject = ?1 AND subject <> 'session' AND sealed IS NOT NULL",
            )?
            .query_map([subject.to_string()], |row| Ok(SessionId(row.get(0)?)))?
            .collect::<Result<_, _>>()?,
    };
    let mut last = db.prepare("SELECT at FROM event WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?;
    let mut latest = Timestamp(i64::MIN);
    for session in &sessions {
        let at = last.query_row([session.0], |row| Ok(Timestamp(row.get(0)?))).optional()?;
        latest = latest.max(at.unwrap_or(latest));
    }
    Ok((sessions, latest))
}

/// Destroys the subject's key, and salts and sealed bytes of its texts up to the entry's time; masks what quotes a
/// person; drops snapshots, the person's stored casts and the words in rows of lists. Returns the sessions in which
/// something went. A person may be erased from one session alone: then the key stays, for the words said elsewhere.
pub fn erase(write: &mut Write<'_>, entry: &Entry) -> Result<Vec<SessionId>, Fault> {
    let Entry { session, subject, at } = *entry;
    let (sessions, _) = reach(write.db, session, subject)?;
    let mut touched = Vec::new();
    for session in sessions {
        if erase_in(write, session, subject, at)? {
            touched.push(session);
        }
    }
    destroy_key(write, session, subject)?;
    if let (None, Subject::User(id)) = (session, subject) {
        write.db.execute("DELETE FROM stored_cast WHERE body ->> '$.owner' = ?1", [id.to_string()])?;
    }
    for session in &touched {
        rewrite_row(write, *session, subject)?;
    }
    write.shredded();
    Ok(touched)
}

/// Whether the database still holds what an entry says was erased.
pub fn is_pending(db: &Connection, entry: &Entry) -> Result<bool, Fault> {
    let (sessions, _) = reach(db, entry.session, entry.subject)?;
    let mut left = false;
    for session in sessions {
        left |= !texts(db, session, entry.at)?.iter().all(|text| !goes(&text.kind, text.subject, entry.subject));
    }
    Ok(left)
}

/// Deletes the key unless something said after the erasure needs it.
fn destroy_key(write: &Write<'_>, session: Option<SessionId>, subject: Subject) -> Result<(), Fault> {
    let (scope, left) = match (session, subject) {
        (Some(_), Subject::User(_)) | (None, Subject::Session) => return Ok(()),
        (Some(session), Subject::Session) => {
            let sql = "SELECT 1 FROM event_text WHERE session_id = ?1 AND subject = 'session' AND sealed IS NOT NULL";
            (scope(session, subject), write.db.prepare(sql)?.exists([session.0])?)
        }
        (None, Subject::User(id)) => {
            let sql = "SELECT 1 FROM event_text WHERE subject = ?1 AND subject <> 'session' AND sealed IS NOT NULL";
            (format!("user:{id}"), write.db.prepare(sql)?.exists([subject.to_string()])?)
        }
    };
    if !left {
        write.db.execute("DELETE FROM subject_key WHERE scope = ?1", [scope])?;
    }
    Ok(())
}

/// A text that still has its words.
struct Sealed {
    seq: u64,
    idx: u64,
    kind: String,
    field: String,
    subject: Subject,
    commitment: Hash,
    key_id: Uuid,
    bytes: Vec<u8>,
}

impl Sealed {
    /// The words; nothing when they cannot be read. That does not keep them from being destroyed.
    fn open(&self, db: &Connection, keys: &Keys) -> Option<String> {
        let key = keys.find(db, self.key_id).ok().flatten()?;
        let subject = self.subject.to_string();
        let plain = key
            .open(&about_text(&subject, &self.field, &self.commitment), &self.bytes)
            .or_else(|| key.open(&about_masked(&subject, &self.field, self.seq, &self.commitment), &self.bytes))?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

fn texts(db: &Connection, session: SessionId, until: Timestamp) -> Result<Vec<Sealed>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT t.seq, t.idx, e.kind, t.field, t.subject, t.commitment, t.key_id, t.sealed
         FROM event_text AS t JOIN event AS e ON e.session_id = t.session_id AND e.seq = t.seq
         WHERE t.session_id = ?1 AND t.sealed IS NOT NULL AND e.at <= ?2 ORDER BY t.seq, t.idx",
    )?;
    let rows = select.query_map(params![session.0, until.micros()], |row| {
        let subject: String = row.get(4)?;
        let sealed = Sealed {
            seq: row.get(0)?,
            idx: row.get(1)?,
            kind: row.get(2)?,
            field: row.get(3)?,
            subject: Subject::Session,
            commitment: Hash(row.get(5)?),
            key_id: row.get(6)?,
            bytes: row.get(7)?,
        };
        Ok((subject, sealed))
    })?;
    rows.map(|row| {
        let (subject, sealed) = row?;
        let subject = subject.parse().map_err(StoreError::Corrupt)?;
        Ok(Sealed { subject, ..sealed })
    })
    .collect()
}

fn erase_in(write: &mut Write<'_>, session: SessionId, subject: Subject, until: Timestamp) -> Result<bool, Fault> {
    let (gone, kept): (Vec<_>, Vec<_>) =
        texts(write.db, session, until)?.into_iter().partition(|text| goes(&text.kind, text.subject, subject));
    if gone.is_empty() {
        return Ok(false);
    }
    let mut quotes = Quotes::default();
    let mut blank = write.db.prepare_cached(
        "UPDATE event_text SET salt = zeroblob(16), key_id = NULL, sealed = NULL
         WHERE session_id = ?1 AND seq = ?2 AND idx = ?3",
    )?;
    for text in gone {
        if let (Subject::User(_), Some(words)) = (subject, text.open(write.db, write.keys)) {
            quotes.note(&text.kind, &text.field, &words);
        }
        blank.execute(params![session.0, text.seq, text.idx])?;
    }
    if !quotes.is_empty() {
        let mut quote_them = BTreeSet::new();
        for text in kept.iter().filter(|text| may_quote(&text.kind)) {
            let masked = text.open(write.db, write.keys).and_then(|words| quotes.mask(&words));
            if let Some(masked) = masked {
                replace(write, session, text, &masked)?;
                quote_them.insert(text.seq);
            }
        }
        for text in kept.iter().filter(|text| text.field == EMBEDDING && quote_them.contains(&text.seq)) {
            blank.execute(params![session.0, text.seq, text.idx])?;
        }
    }
    write.db.execute("DELETE FROM snapshot WHERE session_id = ?1", [session.0])?;
    Ok(true)
}

/// Puts the masked copy in the place of a text; salt and bytes of the text itself are overwritten.
fn replace(write: &Write<'_>, session: SessionId, text: &Sealed, masked: &str) -> Result<(), Fault> {
    let Some(key) = write.keys.find(write.db, text.key_id)? else { return Ok(()) };
    let mut salt: Salt = [0; 16];
    salt.copy_from_slice(&write.keys.entropy()[..16]);
    let committed = commitment(&salt, masked);
    let about = about_masked(&text.subject.to_string(), &text.field, text.seq, &committed);
    let sealed = key.seal(write.keys.entropy(), &about, masked.as_bytes());
    let mut update = write.db.prepare_cached(
        "UPDATE event_text SET commitment = ?4, salt = ?5, sealed = ?6 WHERE session_id = ?1 AND seq = ?2 AND idx = ?3",
    )?;
    update.execute(params![session.0, text.seq, text.idx, committed.0, salt, sealed])?;
    Ok(())
}

/// Begins a new generation, and folds the row of lists anew from what is left.
fn rewrite_row(write: &mut Write<'_>, session: SessionId, subject: Subject) -> Result<(), Fault> {
    write.db.execute("UPDATE session_head SET gen = gen + 1 WHERE session_id = ?1", [session.0])?;
    let head = write.db.prepare_cached(HEAD)?.query_row([session.0], head_of)?;
    write.head(session, Some(mark_of(&head)));
    let mut refold = Refold::new(session);
    let mut after = 0;
    while after < head.seq {
        let records = records::read(write.db, write.keys, session, after, BATCH)?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        for record in &records {
            refold.feed(record);
        }
    }
    let Some(row) = sessions::find(write.db, session)? else { return Ok(()) };
    sessions::update(write, session, &Columns::of(&refold.row(row.summary, head.generation, subject))?)
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
