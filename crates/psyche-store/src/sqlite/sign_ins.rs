//! Sign-ins and the rotation of their refresh tokens.

use psyche_core::ids::{SignInId, TenantId, UserId};
use psyche_core::port::{NewSignIn, Rotation, SignIn, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::fault::{Fault, is_taken};
use super::keys::Keys;
use super::users;
use super::writer::Write;
use crate::accounts::{Verdict, Whence, account_scope, is_live, judge};
use crate::seal::about_row;

const COLUMNS: &str = "id, user_id, created_at, last_seen, expires_at, revoked, key_id, sealed";

pub fn create(write: &Write<'_>, new: &NewSignIn, keep: usize) -> Result<Vec<SignInId>, Fault> {
    let NewSignIn { sign_in, refresh_hash } = new;
    let user = sign_in.user_id;
    let owner = users::find(write.db, write.keys, user)?.ok_or(StoreError::NotFound("user"))?;
    let mut live = write.db.prepare_cached(
        "SELECT id FROM sign_in WHERE user_id = ?1 AND revoked = 0 AND expires_at > ?2 ORDER BY last_seen, id",
    )?;
    let rows = live.query_map(params![user.0, sign_in.created_at.micros()], |row| Ok(SignInId(row.get(0)?)))?;
    let mut ended = rows.collect::<Result<Vec<_>, _>>()?;
    ended.truncate((ended.len() + 1).saturating_sub(keep));
    for id in &ended {
        revoke(write.db, *id)?;
    }
    let personal = Whence::of(sign_in);
    let (key_id, sealed) = seal(write.db, write.keys, (owner.tenant, user), sign_in.id, &personal)?;
    let mut insert = write.db.prepare_cached(
        "INSERT INTO sign_in (id, user_id, device, ip, user_agent, created_at, last_seen, expires_at, revoked, key_id,
                              sealed)
         VALUES (?1, ?2, '', '', '', ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let inserted = insert.execute(params![
        sign_in.id.0,
        user.0,
        sign_in.created_at.micros(),
        sign_in.last_seen.micros(),
        sign_in.expires_at.micros(),
        sign_in.revoked,
        key_id,
        sealed,
    ]);
    let inserted = inserted.and_then(|_| insert_token(write.db, *refresh_hash, sign_in.id));
    match inserted {
        Err(error) if is_taken(&error) => Err(StoreError::Conflict("sign-in").into()),
        other => Ok(other.map(|()| ended)?),
    }
}

fn seal(
    db: &Connection,
    keys: &Keys,
    (tenant, user): (TenantId, UserId),
    id: SignInId,
    personal: &Whence,
) -> Result<(Uuid, Vec<u8>), Fault> {
    let (key_id, key) = keys.current(db, tenant, &account_scope(user))?;
    let about = about_row("sign_in", id.0.as_bytes());
    Ok((key_id, key.seal(keys.entropy(), &about, &serde_json::to_vec(personal)?)))
}

/// Seals what version 1 of the schema stored in plain form.
pub fn seal_old(db: &Connection, keys: &Keys) -> Result<(), Fault> {
    let mut select = db.prepare(
        "SELECT s.id, s.user_id, a.tenant, s.device, s.ip, s.user_agent
         FROM sign_in AS s JOIN account AS a USING (user_id) WHERE s.sealed IS NULL",
    )?;
    let rows = select.query_map([], |row| {
        let personal = Whence { device: row.get(3)?, ip: row.get(4)?, user_agent: row.get(5)? };
        Ok((SignInId(row.get(0)?), UserId(row.get(1)?), TenantId(row.get(2)?), personal))
    })?;
    for (id, user, tenant, personal) in rows.collect::<Result<Vec<_>, _>>()? {
        let (key_id, sealed) = seal(db, keys, (tenant, user), id, &personal)?;
        db.execute(
            "UPDATE sign_in SET device = '', ip = '', user_agent = '', key_id = ?2, sealed = ?3 WHERE id = ?1",
            params![id.0, key_id, sealed],
        )?;
    }
    Ok(())
}

pub fn find(db: &Connection, keys: &Keys, id: SignInId) -> Result<Option<SignIn>, Fault> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM sign_in WHERE id = ?1"))?;
    select.query_row([id.0], |row| Ok(sign_in_of(db, keys, row))).optional()?.transpose()
}

/// All sign-ins of a user, the last used first.
pub fn list(db: &Connection, keys: &Keys, user: UserId) -> Result<Vec<SignIn>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM sign_in WHERE user_id = ?1 ORDER BY last_seen DESC, id DESC");
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map([user.0], |row| Ok(sign_in_of(db, keys, row)))?;
    rows.map(|row| row?).collect()
}

pub fn rotate(
    write: &Write<'_>,
    old: Hash,
    new: Hash,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Rotation, Fault> {
    let db = write.db;
    let mut select = db.prepare_cached(
        "SELECT t.sign_in, t.spent_at, t.successor, n.spent_at IS NOT NULL
         FROM refresh_token AS t LEFT JOIN refresh_token AS n ON n.hash = t.successor WHERE t.hash = ?1",
    )?;
    let token = select
        .query_row([old.0], |row| {
            let spent_at = row.get::<_, Option<i64>>(1)?.map(Timestamp);
            Ok((SignInId(row.get(0)?), spent_at, row.get::<_, Option<[u8; 32]>>(2)?, row.get::<_, bool>(3)?))
        })
        .optional()?;
    let Some((id, spent_at, successor, successor_spent)) = token else { return Ok(Rotation::Unknown) };
    let Some(mut sign_in) = find(db, write.keys, id)?.filter(|s| is_live(s, now)) else { return Ok(Rotation::Unknown) };
    let verdict = judge(spent_at, successor_spent, now);
    if verdict == Verdict::Revoke {
        revoke(db, id)?;
        sign_in.revoked = true;
        return Ok(Rotation::Reused(sign_in));
    }
    match insert_token(db, new, id) {
        Err(error) if is_taken(&error) => return Err(StoreError::Conflict("refresh token").into()),
        other => other?,
    }
    let mut spend = db.prepare_cached("UPDATE refresh_token SET spent_at = ?2, successor = ?3 WHERE hash = ?1")?;
    spend.execute(params![old.0, spent_at.unwrap_or(now).micros(), new.0])?;
    // A reissue also spends the successor whose answer was lost: should it turn up, the sign-in was shared.
    if let Some(lost) = successor {
        spend.execute(params![lost, now.micros(), new.0])?;
    }
    db.prepare_cached("UPDATE sign_in SET last_seen = ?2, expires_at = ?3 WHERE id = ?1")?.execute(params![
        id.0,
        now.micros(),
        expires_at.micros()
    ])?;
    sign_in.last_seen = now;
    sign_in.expires_at = expires_at;
    Ok(if verdict == Verdict::Rotate { Rotation::Rotated(sign_in) } else { Rotation::Reissued(sign_in) })
}

pub fn revoke_one(write: &Write<'_>, id: SignInId) -> Result<(), Fault> {
    match revoke(write.db, id)? {
        0 => Err(StoreError::NotFound("sign-in").into()),
        _ => Ok(()),
    }
}

pub fn revoke_user(write: &Write<'_>, user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, Fault> {
    let mut select = write.db.prepare_cached(
        "UPDATE sign_in SET revoked = 1 WHERE user_id = ?1 AND revoked = 0 AND (?2 IS NULL OR id <> ?2) RETURNING id",
    )?;
    let rows = select.query_map(params![user.0, except.map(|id| id.0)], |row| Ok(SignInId(row.get(0)?)))?;
    let mut ended = rows.collect::<Result<Vec<_>, _>>()?;
    ended.sort_unstable();
    Ok(ended)
}

fn revoke(db: &Connection, id: SignInId) -> rusqlite::Result<usize> {
    db.prepare_cached("UPDATE sign_in SET revoked = 1 WHERE id = ?1")?.execute([id.0])
}

fn insert_token(db: &Connection, hash: Hash, sign_in: SignInId) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT INTO refresh_token (hash, sign_in) VALUES (?1, ?2)")?;
    insert.execute(params![hash.0, sign_in.0]).map(drop)
}

fn sign_in_of(db: &Connection, keys: &Keys, row: &Row<'_>) -> Result<SignIn, Fault> {
    let (id, key_id): (Uuid, Uuid) = (row.get(0)?, row.get(6)?);
    let opened = keys
        .find(db, key_id)?
        .and_then(|key| key.open(&about_row("sign_in", id.as_bytes()), &row.get::<_, Vec<u8>>(7).ok()?));
    let opened = opened.ok_or_else(|| {
        StoreError::Corrupt("a sign-in's personal fields cannot be opened: its row was changed".to_owned())
    })?;
    let Whence { device, ip, user_agent } = serde_json::from_slice(&opened)?;
    Ok(SignIn {
        id: SignInId(id),
        user_id: UserId(row.get(1)?),
        device,
        ip,
        user_agent,
        created_at: Timestamp(row.get(2)?),
        last_seen: Timestamp(row.get(3)?),
        expires_at: Timestamp(row.get(4)?),
        revoked: row.get(5)?,
    })
}
