//! How people relate to sessions.

use psyche_core::ids::{SessionId, UserId};
use psyche_core::port::{Relation, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::writer::Write;
use crate::accounts::{relation_name, relation_of};

pub fn relation(db: &Connection, session: SessionId, user: UserId) -> Result<Relation, Fault> {
    if owner(db, session)? == Some(user) {
        return Ok(Relation::Owner);
    }
    let mut select = db.prepare_cached("SELECT relation FROM membership WHERE session_id = ?1 AND user_id = ?2")?;
    let stored: Option<String> = select.query_row(params![session.0, user.0], |row| row.get(0)).optional()?;
    Ok(stored.map_or(Ok(Relation::None), |name| relation_of(&name))?)
}

pub fn set(write: &Write<'_>, session: SessionId, user: UserId, relation: Relation) -> Result<(), Fault> {
    if owner(write.db, session)?.is_none() {
        return Err(StoreError::NotFound("session").into());
    }
    if relation == Relation::None {
        write
            .db
            .prepare_cached("DELETE FROM membership WHERE session_id = ?1 AND user_id = ?2")?
            .execute(params![session.0, user.0])?;
    } else {
        write
            .db
            .prepare_cached("INSERT OR REPLACE INTO membership (session_id, user_id, relation) VALUES (?1, ?2, ?3)")?
            .execute(params![session.0, user.0, relation_name(relation)])?;
    }
    Ok(())
}

/// The owner first, then the others by their id.
pub fn list(db: &Connection, session: SessionId) -> Result<Vec<(UserId, Relation)>, Fault> {
    let Some(owner) = owner(db, session)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(
        "SELECT user_id, relation FROM membership WHERE session_id = ?1 AND user_id <> ?2 ORDER BY user_id",
    )?;
    let member = |row: &Row<'_>| Ok((UserId(row.get(0)?), row.get::<_, String>(1)?));
    let mut members = vec![(owner, Relation::Owner)];
    for row in select.query_map(params![session.0, owner.0], member)? {
        let (user, name) = row?;
        members.push((user, relation_of(&name)?));
    }
    Ok(members)
}

fn owner(db: &Connection, session: SessionId) -> Result<Option<UserId>, Fault> {
    let mut select = db.prepare_cached("SELECT owner FROM session WHERE session_id = ?1")?;
    Ok(select.query_row([session.0], |row| Ok(UserId(row.get(0)?))).optional()?)
}
