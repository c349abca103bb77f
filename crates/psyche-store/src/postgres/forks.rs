//! Forks: another session's past, copied within the database.

use std::sync::Arc;

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{NewFork, StoreError};
use psyche_core::words::Subject;
use uuid::Uuid;

use super::fault::Fault;
use super::records::{self, Texts, hash, insert_texts};
use super::write::Write;
use super::{column, number, sessions};
use crate::columns::Columns;
use crate::guard;
use crate::keyring::scope;
use crate::seal::{Key, about_masked, about_snapshot, about_text};

/// Creates the session with a copy of the parent's records and what follows them.
pub async fn fork(write: &Write<'_>, new: &NewFork, columns: &Columns) -> Result<(), Fault> {
    let NewFork { row, parent, records } = new;
    write.without_haste().await?;
    let (session, tenant) = (row.summary.session_id, row.tenant);
    // The parent's head is held until the fork is there: no erasure comes in between.
    let found = records::held_head(&write.db, parent.session_id, "FOR SHARE").await?;
    let Some((head, _)) = found.filter(|(_, of)| *of == tenant) else {
        return Err(StoreError::NotFound("session").into());
    };
    let last = write.db.prepare_cached("SELECT hash FROM event WHERE session_id = $1 AND seq = $2").await?;
    let last = write.db.query_opt(&last, &[&parent.session_id.0, &column(parent.seq)]).await?;
    let last = hash(last.ok_or(StoreError::NotFound("event of the fork"))?.get(0))?;
    guard::begins_fork(parent, head.generation, last, records)?;
    let end = records.last().ok_or(StoreError::NotFound("record of the fork"))?;
    sessions::insert(&write.db, tenant, columns).await?;
    sessions::insert_head(&write.db, (session, tenant), (end.generation, end.seq, end.hash)).await?;
    copy(write, parent.session_id, session, tenant, parent.seq).await?;
    records::insert(&write.db, write.keys, (session, tenant), records).await
}

/// Copies events, texts and snapshots up to `until`. Who owned the parent when an event was written is not history.
async fn copy(write: &Write<'_>, from: SessionId, to: SessionId, tenant: TenantId, until: u64) -> Result<(), Fault> {
    let (db, until) = (&write.db, column(until));
    let events = "INSERT INTO event (session_id, seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id)
                  SELECT $2, seq, gen, 0, kind, v, at, body, hash, committed_turn, command_id
                  FROM event WHERE session_id = $1 AND seq <= $3 ORDER BY seq";
    db.execute(events, &[&from.0, &to.0, &until]).await?;
    let (theirs, ours) = (scope(from, Subject::Session), scope(to, Subject::Session));
    let old = write.keys.existing(db, tenant, &theirs).await?;
    // What is sealed under a person's key, and what is erased, reads in the copy as in the original.
    let texts = "INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
                 SELECT $2, seq, idx, field, subject, commitment, salt, key_id, sealed
                 FROM event_text WHERE session_id = $1 AND seq <= $3 AND key_id IS DISTINCT FROM $4 ORDER BY seq, idx";
    db.execute(texts, &[&from.0, &to.0, &until, &old.as_ref().map(|(id, _)| *id)]).await?;
    let Some((old_id, old)) = old else { return Ok(()) };
    // Each session's own words end with it, so they are sealed under its own key.
    let (new_id, new) = write.keys.current(db, tenant, &ours).await?;
    let anew = Anew { write, from, to, until, old_id, old, new_id, new };
    anew.texts().await?;
    anew.snapshots().await
}

/// What is sealed under the old session's key, on its way to the new one's.
struct Anew<'a> {
    write: &'a Write<'a>,
    from: SessionId,
    to: SessionId,
    until: i64,
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

    async fn texts(&self) -> Result<(), Fault> {
        let db = &self.write.db;
        let select = "SELECT seq, idx, field, subject, commitment, salt, sealed
                      FROM event_text WHERE session_id = $1 AND seq <= $2 AND key_id = $3 ORDER BY seq, idx";
        let rows = db.query(select, &[&self.from.0, &self.until, &self.old_id]).await?;
        let mut texts = Texts::default();
        for row in &rows {
            let (seq, idx): (i64, i32) = (row.get(0), row.get(1));
            let (field, subject): (&str, &str) = (row.get(2), row.get(3));
            let (committed, sealed): (&[u8], &[u8]) = (row.get(4), row.get(6));
            let commitment = hash(committed)?;
            let anew = self
                .seal(&about_text(subject, field, &commitment), sealed)
                .or_else(|| self.seal(&about_masked(subject, field, u64::try_from(seq).ok()?, &commitment), sealed))
                .ok_or_else(|| {
                    let from = self.from;
                    StoreError::Corrupt(format!("the text `{field}` of event {seq} in session {from} cannot be read"))
                })?;
            texts.seq.push(seq);
            texts.idx.push(idx);
            texts.field.push(field);
            texts.subject.push(subject.to_owned());
            texts.commitment.push(committed.to_vec());
            texts.salt.push(row.get(5));
            texts.key_id.push(Some(self.new_id));
            texts.sealed.push(Some(anew));
        }
        insert_texts(db, self.to, &texts).await
    }

    /// A snapshot that cannot be opened is as good as none.
    async fn snapshots(&self) -> Result<(), Fault> {
        let db = &self.write.db;
        let select = "SELECT seq, hash, form, sealed FROM snapshot WHERE session_id = $1 AND seq <= $2 AND key_id = $3";
        let insert =
            "INSERT INTO snapshot (session_id, seq, hash, form, key_id, sealed) VALUES ($1, $2, $3, $4, $5, $6)";
        for row in db.query(select, &[&self.from.0, &self.until, &self.old_id]).await? {
            let (seq, bytes, form): (i64, &[u8], i32) = (row.get(0), row.get(1), row.get(2));
            let about = about_snapshot(number(i64::from(form), "form")?, number(seq, "seq")?, &hash(bytes)?);
            if let Some(sealed) = self.seal(&about, row.get(3)) {
                db.execute(insert, &[&self.to.0, &seq, &bytes, &form, &self.new_id, &sealed]).await?;
            }
        }
        Ok(())
    }
}
