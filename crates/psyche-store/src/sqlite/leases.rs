//! Leases: who owns a session, by the database's clock. A replica's clock plays no part.

use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Claim, StoreError};
use psyche_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::records::head_of;
use super::writer::Write;

pub fn claim(write: &Write<'_>, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, Fault> {
    let mut claim = write.db.prepare_cached(
        "UPDATE session_head
         SET owner = ?2, epoch = epoch + 1, expires_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3
         WHERE session_id = ?1
           AND (owner IS NULL OR owner = ?2 OR expires_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER))
         RETURNING gen, last_seq, head_hash, epoch, owner",
    )?;
    if let Some(head) = claim.query_row(params![session.0, owner.0, ttl_ms], head_of).optional()? {
        return Ok(Claim::Granted(head));
    }
    let mut holder = write.db.prepare_cached("SELECT owner, expires_at FROM session_head WHERE session_id = ?1")?;
    let held = holder
        .query_row([session.0], |row| {
            let until = Timestamp(row.get::<_, i64>(1)?.saturating_mul(1000));
            Ok(Claim::Held { owner: OwnerId(row.get(0)?), until })
        })
        .optional()?;
    Ok(held.ok_or(StoreError::NotFound("session"))?)
}

pub fn renew(
    write: &Write<'_>,
    owner: OwnerId,
    mut sessions: Vec<SessionId>,
    ttl_ms: u64,
) -> Result<Vec<SessionId>, Fault> {
    let mut renew = write.db.prepare_cached(
        "UPDATE session_head SET expires_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3
         WHERE session_id = ?1 AND owner = ?2",
    )?;
    let mut failure = None;
    sessions.retain(|session| match renew.execute(params![session.0, owner.0, ttl_ms]) {
        Ok(rows) => rows == 1,
        Err(error) => {
            failure = Some(error);
            false
        }
    });
    failure.map_or(Ok(sessions), |error| Err(error.into()))
}

pub fn release(write: &Write<'_>, owner: OwnerId, sessions: &[SessionId]) -> Result<(), Fault> {
    let mut release = write
        .db
        .prepare_cached("UPDATE session_head SET owner = NULL, expires_at = 0 WHERE session_id = ?1 AND owner = ?2")?;
    for session in sessions {
        release.execute(params![session.0, owner.0])?;
    }
    Ok(())
}

pub fn claimable(db: &Connection, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT s.session_id FROM session AS s JOIN session_head AS h ON h.session_id = s.session_id
         WHERE s.tenant = ?1 AND (s.status = 'running' OR json_extract(s.summary, '$.waiting') > 0)
           AND (h.owner IS NULL OR h.expires_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER))
         ORDER BY s.status = 'running', s.session_id LIMIT ?2",
    )?;
    let rows = select.query_map(params![tenant.0, limit], |row| Ok(SessionId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
