//! Forks: another session's past, copied within the database.

use std::sync::Arc;

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Head, NewFork, StoreError};
use psyche_core::words::{Hash, Salt, Subject};
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::fault::Fault;
use super::records::{self, HEAD, head_of, mark_of};
use super::sessions;
use super::writer::Write;
use crate::columns::Columns;
use crate::guard;
use crate::keyring::scope;
use crate::seal::{Key, about_masked, about_snapshot, about_text};

/// Creates the session with a copy of the parent's records and what follows them.
pub fn fork(write: &mut Write<'_>, new: &NewFork, columns: &Columns) -> Result<(), Fault> {
    let NewFork { row, parent, records } = new;
    let (session, tenant) = (row.summary.session_id, row.tenant);
    let found = write
        .db
        .prepare_cached(HEAD)?
        .query_row([parent.session_id.0], |row| Ok((head_of(row)?, TenantId(row.get(5)?))))
        .optional()?;
    let Some((head, _)) = found.filter(|(_, of)| *of == tenant) else {
        return Err(StoreError::NotFound("session").into());
    };
    let mut last = write.db.prepare_cached("SELECT hash FROM event WHERE session_id = ?1 AND seq = ?2")?;
    let hash = last.query_row(params![parent.session_id.0, parent.seq], |row| Ok(Hash(row.get(0)?))).optional()?;
    let hash = hash.ok_or(StoreError::NotFound("event of the fork"))?;
    guard::begins_fork(parent, head.generation, hash, records)?;
    sessions::insert(write, tenant, columns)?;
    let end = records.last().ok_or(StoreError::NotFound("record of the fork"))?;
    let head = Head { generation: end.generation, seq: end.seq, hash: end.hash, epoch: 0, owner: None };
    let mut insert = write.db.prepare_cached(
        "INSERT INTO session_head (session_id, tenant, gen, owner, epoch, expires_at, last_seq, head_hash)
         VALUES (?1, ?2, ?3, NULL, 0, 0, ?4, ?5)",
    )?;
    insert.execute(params![session.0, tenant.0, head.generation, head.seq, head.hash.0])?;
    copy(write, parent.session_id, session, tenant, parent.seq)?;
    records::insert(write, session, tenant, 0, records)?;
    write.head(session, Some(mark_of(&head)));
    Ok(())
}

/// Copies events, texts and snapshots up to `until`. Who owned the parent when an event was written is not history.
fn copy(write: &Write<'_>, from: SessionId, to: SessionId, tenant: TenantId, until: u64) -> Result<(), Fault> {
    let mut events = write.db.prepare_cached(
        "INSERT INTO event (session_id, seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id)
         SELECT ?2, seq, gen, 0, kind, v, at, body, hash, committed_turn, command_id
         FROM event WHERE session_id = ?1 AND seq <= ?3 ORDER BY seq",
    )?;
    events.execute(params![from.0, to.0, until])?;
    let (theirs, ours) = (scope(from, Subject::Session), scope(to, Subject::Session));
    let mut key = write.db.prepare_cached("SELECT key_id FROM subject_key WHERE scope = ?1 AND tenant = ?2")?;
    let old_id: Option<Uuid> = key.query_row(params![theirs, tenant.0], |row| row.get(0)).optional()?;
    // What is sealed under a person's key, and what is erased, reads in the copy as in the original.
    let mut texts = write.db.prepare_cached(
        "INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
         SELECT ?2, seq, idx, field, subject, commitment, salt, key_id, sealed
         FROM event_text WHERE session_id = ?1 AND seq <= ?3 AND key_id IS NOT ?4 ORDER BY seq, idx",
    )?;
    texts.execute(params![from.0, to.0, until, old_id])?;
    let Some(old_id) = old_id else { return Ok(()) };
    let Some(old) = write.keys.find(write.db, old_id)? else { return Ok(()) };
    // Each session's own words end with it, so they are sealed under its own key.
    let (new_id, new) = write.keys.current(write.db, tenant, &ours)?;
    let anew = Anew { write, from, to, until, old_id, old, new_id, new };
    anew.texts()?;
    anew.snapshots()
}

/// What is sealed under the old session's key, on its way to the new one's.
struct Anew<'a> {
    write: &'a Write<'a>,
    from: SessionId,
    to: SessionId,
    until: u64,
    old_id: Uuid,
    old: Arc<Key>,
    new_id: Uuid,
    new: Arc<Key>,
}

impl Anew<'_> {
    fn seal(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let plain = self.old.open(about, sealed)?;
        Some(self.new.seal(self.write.keys.entropy(), about, &plain))
    }

    fn texts(&self) -> Result<(), Fault> {
        let mut select = self.write.db.prepare_cached(
            "SELECT seq, idx, field, subject, commitment, salt, sealed
             FROM event_text WHERE session_id = ?1 AND seq <= ?2 AND key_id = ?3 ORDER BY seq, idx",
        )?;
        let mut insert = self.write.db.prepare_cached(
            "INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let mut rows = select.query(params![self.from.0, self.until, self.old_id])?;
        while let Some(row) = rows.next()? {
            let (seq, idx): (u64, u64) = (row.get(0)?, row.get(1)?);
            let (field, subject): (String, String) = (row.get(2)?, row.get(3)?);
            let committed = Hash(row.get(4)?);
            let (salt, sealed): (Salt, Vec<u8>) = (row.get(5)?, row.get(6)?);
            let anew = self
                .seal(&about_text(&subject, &field, &committed), &sealed)
                .or_else(|| self.seal(&about_masked(&subject, &field, seq, &committed), &sealed))
                .ok_or_else(|| {
                    let from = self.from;
                    StoreError::Corrupt(format!("the text `{field}` of event {seq} in session {from} cannot be read"))
                })?;
            insert.execute(params![self.to.0, seq, idx, field, subject, committed.0, salt, self.new_id, anew])?;
        }
        Ok(())
    }

    /// A snapshot that cannot be opened is as good as none.
    fn snapshots(&self) -> Result<(), Fault> {
        let mut select = self.write.db.prepare_cached(
            "SELECT seq, hash, form, sealed FROM snapshot WHERE session_id = ?1 AND seq <= ?2 AND key_id = ?3",
        )?;
        let mut insert = self.write.db.prepare_cached(
            "INSERT INTO snapshot (session_id, seq, hash, form, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut rows = select.query(params![self.from.0, self.until, self.old_id])?;
        while let Some(row) = rows.next()? {
            let (seq, hash, form): (u64, Hash, u16) = (row.get(0)?, Hash(row.get(1)?), row.get(2)?);
            if let Some(sealed) = self.seal(&about_snapshot(form, seq, &hash), &row.get::<_, Vec<u8>>(3)?) {
                insert.execute(params![self.to.0, seq, hash.0, form, self.new_id, sealed])?;
            }
        }
        Ok(())
    }
}
