//! Snapshots of the fold, sealed under the session's key because they hold words in plain form.

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Snapshot, StoreError};
use psyche_core::words::{Hash, Subject};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::writer::Write;
use crate::keyring::scope;
use crate::seal::about_snapshot;

/// Keeps a snapshot of a state that the log really reached.
pub fn save(write: &Write<'_>, session: SessionId, snapshot: &Snapshot) -> Result<(), Fault> {
    let Snapshot { generation, seq, hash, form, bytes } = snapshot;
    let mut reached = write.db.prepare_cached(
        "SELECT h.tenant, h.gen FROM event AS e JOIN session_head AS h ON h.session_id = e.session_id
         WHERE e.session_id = ?1 AND e.seq = ?2 AND e.hash = ?3",
    )?;
    let found = reached
        .query_row(params![session.0, seq, hash.0], |row| Ok((TenantId(row.get(0)?), row.get::<_, u32>(1)?)))
        .optional()?;
    let Some((tenant, now)) = found else {
        let mut known = write.db.prepare_cached("SELECT 1 FROM session WHERE session_id = ?1")?;
        let what = if known.exists([session.0])? { "event of the snapshot" } else { "session" };
        return Err(StoreError::NotFound(what).into());
    };
    if now != *generation {
        return Err(StoreError::Conflict("generation").into());
    }
    let (key_id, key) = write.keys.current(write.db, tenant, &scope(session, Subject::Session))?;
    let sealed = key.seal(write.keys.entropy(), &about_snapshot(*form, *seq, hash), bytes);
    let mut insert = write.db.prepare_cached(
        "INSERT OR REPLACE INTO snapshot (session_id, seq, hash, form, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    insert.execute(params![session.0, seq, hash.0, form, key_id, sealed])?;
    Ok(())
}

/// The newest snapshot at or before `seq`. One that cannot be opened is as good as none: the fold starts earlier.
pub fn find(db: &Connection, keys: &Keys, session: SessionId, seq: u64) -> Result<Option<Snapshot>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT s.seq, s.hash, s.form, s.key_id, s.sealed, h.gen
         FROM snapshot AS s JOIN session_head AS h ON h.session_id = s.session_id
         WHERE s.session_id = ?1 AND s.seq <= ?2 ORDER BY s.seq DESC LIMIT 1",
    )?;
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let found = select
        .query_row(params![session.0, seq], |row| {
            let key_id: Uuid = row.get(3)?;
            let sealed: Vec<u8> = row.get(4)?;
            let (seq, hash) = (row.get(0)?, Hash(row.get(1)?));
            let snapshot = Snapshot { generation: row.get(5)?, seq, hash, form: row.get(2)?, bytes: Vec::new() };
            Ok((snapshot, key_id, sealed))
        })
        .optional()?;
    let Some((mut snapshot, key_id, sealed)) = found else { return Ok(None) };
    let about = about_snapshot(snapshot.form, snapshot.seq, &snapshot.hash);
    let Some(bytes) = keys.find(db, key_id)?.and_then(|key| key.open(&about, &sealed)) else {
        tracing::warn!(%session, seq = snapshot.seq, "a snapshot cannot be opened and is passed over");
        return Ok(None);
    };
    snapshot.bytes = bytes.to_vec();
    Ok(Some(snapshot))
}
