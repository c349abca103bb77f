//! One-time tokens that set a password.

use psyche_core::ids::UserId;
use psyche_core::port::{ResetToken, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::users;
use super::writer::Write;

pub fn put(write: &Write<'_>, token: &ResetToken) -> Result<(), Fault> {
    let known = write.db.prepare_cached("SELECT 1 FROM account WHERE user_id = ?1")?.exists([token.user_id.0])?;
    if !known {
        return Err(StoreError::NotFound("user").into());
    }
    let sql = "INSERT OR REPLACE INTO reset_token (user_id, hash, expires_at) VALUES (?1, ?2, ?3)";
    write.db.prepare_cached(sql)?.execute(params![token.user_id.0, token.hash.0, token.expires_at.micros()])?;
    Ok(())
}

pub fn owner(db: &Connection, hash: Hash, now: Timestamp) -> Result<Option<UserId>, Fault> {
    let mut select = db.prepare_cached("SELECT user_id FROM reset_token WHERE hash = ?1 AND expires_at > ?2")?;
    Ok(select.query_row(params![hash.0, now.micros()], |row| Ok(UserId(row.get(0)?))).optional()?)
}

pub fn spend(write: &Write<'_>, hash: Hash, now: Timestamp, phc: &str) -> Result<Option<UserId>, Fault> {
    let Some(user) = owner(write.db, hash, now)? else { return Ok(None) };
    write.db.prepare_cached("DELETE FROM reset_token WHERE user_id = ?1")?.execute([user.0])?;
    users::set_password(write, user, phc, None)?;
    Ok(Some(user))
}
