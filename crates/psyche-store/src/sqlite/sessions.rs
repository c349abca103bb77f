//! The session's row: what lists show, replaced with every append in the same transaction.

use psyche_core::ids::{SessionId, TenantId, UserId};
use psyche_core::port::{SessionFilter, SessionRow, SessionSummary, StoreError};
use psyche_core::session::SessionStatus;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::fault::{Fault, is_taken};
use super::writer::Write;
use crate::columns::Columns;
use crate::cursor::Place;

pub fn insert(write: &Write<'_>, tenant: TenantId, columns: &Columns) -> Result<(), Fault> {
    let mut insert = write.db.prepare_cached(
        "INSERT INTO session (session_id, tenant, owner, status, name_folded, created_at, last_activity, summary, parent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let inserted = insert.execute(params![
        columns.session.0,
        tenant.0,
        columns.owner.0,
        columns.status,
        columns.name_folded,
        columns.created_at,
        columns.last_activity,
        columns.summary,
        columns.parent.map(|parent| parent.0),
    ]);
    match inserted {
        Err(error) if is_taken(&error) => Err(StoreError::Conflict("session").into()),
        other => Ok(other.map(drop)?),
    }
}

/// Replaces the row of `session`. Whose it is (a log that was imported names another owner), when it was created, in which
/// tenant and from which other does not change.
pub fn update(write: &Write<'_>, session: SessionId, columns: &Columns) -> Result<(), Fault> {
    let mut update = write.db.prepare_cached(
        "UPDATE session SET status = ?2, name_folded = ?3, last_activity = ?4, summary = ?5
         WHERE session_id = ?1",
    )?;
    let Columns { status, name_folded, last_activity, summary, .. } = columns;
    update.execute(params![session.0, status, name_folded, last_activity, summary])?;
    Ok(())
}

pub fn find(db: &Connection, session: SessionId) -> Result<Option<SessionRow>, Fault> {
    let mut select = db.prepare_cached("SELECT tenant, owner, summary FROM session WHERE session_id = ?1")?;
    let found = select.query_row([session.0], columns).optional()?;
    found.map(parsed).transpose()
}

/// How many sessions there are of an owner, or forks of a parent.
pub fn count(
    db: &Connection,
    tenant: TenantId,
    owner: Option<UserId>,
    parent: Option<SessionId>,
) -> Result<u64, Fault> {
    // Each question has an index of its own.
    let sql = match parent {
        None => "SELECT count(*) FROM session WHERE tenant = ?1 AND (?2 IS NULL OR owner = ?2) AND ?3 IS NULL",
        Some(_) => "SELECT count(*) FROM session WHERE tenant = ?1 AND (?2 IS NULL OR owner = ?2) AND parent = ?3",
    };
    let ids = params![tenant.0, owner.map(|owner| owner.0), parent.map(|parent| parent.0)];
    Ok(db.prepare_cached(sql)?.query_row(ids, |row| row.get(0))?)
}

/// Sessions newest first, from after `after`, at most `limit`.
pub fn list(
    db: &Connection,
    tenant: TenantId,
    filter: &SessionFilter,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<SessionRow>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, owner, summary FROM session AS s
         WHERE tenant = :tenant
           AND (:user IS NULL OR owner = :user
                OR EXISTS (SELECT 1 FROM membership AS m WHERE m.session_id = s.session_id AND m.user_id = :user))
           AND (:owner IS NULL OR owner = :owner)
           AND (:status IS NULL OR status = :status)
           AND (:query IS NULL OR instr(name_folded, :query) > 0)
           AND (:parent IS NULL OR parent = :parent)
           AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(s.summary, '$.tags') WHERE value = :tag))
           AND (:at IS NULL OR (created_at, session_id) < (:at, :id))
         ORDER BY created_at DESC, session_id DESC LIMIT :limit",
    )?;
    let rows = select.query_map(
        named_params! {
            ":tenant": tenant.0,
            ":user": filter.visible_to.map(|user| user.0),
            ":owner": filter.owner.map(|user| user.0),
            ":status": filter.status.map(SessionStatus::name),
            ":query": filter.query.as_ref().map(|query| query.to_lowercase()),
            ":tag": filter.tag,
            ":parent": filter.parent.map(|parent| parent.0),
            ":at": after.map(|(at, _)| at.micros()),
            ":id": after.map(|(_, id)| id),
            ":limit": limit,
        },
        columns,
    )?;
    rows.map(|row| parsed(row?)).collect()
}

/// How many forks a session has that `visible_to` may see.
pub fn branches(db: &Connection, parent: SessionId, visible_to: Option<UserId>) -> Result<u64, Fault> {
    let mut count = db.prepare_cached(
        "SELECT count(*) FROM session AS s
         WHERE parent = ?1
           AND (?2 IS NULL OR owner = ?2
                OR EXISTS (SELECT 1 FROM membership AS m WHERE m.session_id = s.session_id AND m.user_id = ?2))",
    )?;
    Ok(count.query_row(params![parent.0, visible_to.map(|user| user.0)], |row| row.get(0))?)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(TenantId, UserId, String)> {
    Ok((TenantId(row.get(0)?), UserId(row.get(1)?), row.get(2)?))
}

fn parsed((tenant, owner, summary): (TenantId, UserId, String)) -> Result<SessionRow, Fault> {
    let summary = SessionSummary { owner, ..serde_json::from_str(&summary)? };
    Ok(SessionRow { tenant, summary })
}
