//! Accounts. What names a person is sealed under that person's key; a name is found by its keyed digest.

use psyche_core::ids::{SignInId, TenantId, UserId};
use psyche_core::port::{NewUser, StoreError, User, UserPatch, UserStatus, folded};
use psyche_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::fault::{Fault, is_taken};
use super::keys::Keys;
use super::writer::Write;
use super::{allowances, audit, sign_ins};
use crate::accounts::{
    NAMES, Personal, account_scope as scope, digest, is_active_admin, patched, role_name, role_of, status_name,
    status_of,
};
use crate::cursor::Place;
use crate::seal::about_row;

const COLUMNS: &str = "user_id, tenant, role, status, password_hash, last_login, created_at, key_id, sealed";

pub fn create(write: &Write<'_>, new: &NewUser) -> Result<(), Fault> {
    let user = &new.user;
    if new.only_first_admin && has_admin(write.db, user.tenant)? {
        return Err(StoreError::Conflict("admin").into());
    }
    let (_, names) = write.keys.current(write.db, user.tenant, NAMES)?;
    let (key_id, sealed) = seal(write.db, write.keys, user)?;
    let mut insert = write.db.prepare_cached(
        "INSERT INTO account (user_id, tenant, username, folded, display_name, email, role, status, password_hash,
                              preferences, last_login, created_at, key_id, sealed)
         VALUES (?1, ?2, '', ?3, '', '', ?4, ?5, ?6, '', ?7, ?8, ?9, ?10)",
    )?;
    let inserted = insert.execute(params![
        user.user_id.0,
        user.tenant.0,
        digest(&names, &user.username),
        role_name(user.role),
        status_name(user.status),
        user.password_hash,
        user.last_login.map(Timestamp::micros),
        user.created_at.micros(),
        key_id,
        sealed,
    ]);
    match inserted {
        Err(error) if is_taken(&error) => {
            let what = if find(write.db, write.keys, user.user_id)?.is_some() { "user" } else { "username" };
            Err(StoreError::Conflict(what).into())
        }
        other => Ok(other.map(drop)?),
    }
}

fn seal(db: &Connection, keys: &Keys, user: &User) -> Result<(Uuid, Vec<u8>), Fault> {
    let (id, key) = keys.current(db, user.tenant, &scope(user.user_id))?;
    let about = about_row("account", user.user_id.0.as_bytes());
    Ok((id, key.seal(keys.entropy(), &about, &serde_json::to_vec(&Personal::of(user))?)))
}

pub fn find(db: &Connection, keys: &Keys, id: UserId) -> Result<Option<User>, Fault> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE user_id = ?1"))?;
    select.query_row([id.0], |row| Ok(user_of(db, keys, row))).optional()?.transpose()
}

pub fn find_by_name(db: &Connection, keys: &Keys, tenant: TenantId, username: &str) -> Result<Option<User>, Fault> {
    let Some(names) = keys.existing(db, tenant, NAMES)? else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM account WHERE tenant = ?1 AND folded = ?2");
    let mut select = db.prepare_cached(&sql)?;
    let found = select.query_row(params![tenant.0, digest(&names, username)], |row| Ok(user_of(db, keys, row)));
    found.optional()?.transpose()
}

/// Users newest first, from after `after`, at most `limit`. Names are sealed, so those that are searched for are found by
/// opening one row after the other.
pub fn list(
    db: &Connection,
    keys: &Keys,
    tenant: TenantId,
    query: Option<&str>,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<User>, Fault> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM account
         WHERE tenant = ?1 AND (?2 IS NULL OR (created_at, user_id) < (?2, ?3))
         ORDER BY created_at DESC, user_id DESC"
    ))?;
    let query = query.map(folded);
    let (at, id) = (after.map(|(at, _)| at.micros()), after.map(|(_, id)| id));
    let rows = select.query_map(params![tenant.0, at, id], |row| Ok(user_of(db, keys, row)))?;
    let users = rows.map(|row| row?);
    let fits = |user: &Result<User, Fault>| match (user, &query) {
        (Ok(user), Some(query)) => user.is_called(query),
        _ => true,
    };
    users.filter(fits).take(limit).collect()
}

pub fn update(write: &Write<'_>, id: UserId, patch: UserPatch) -> Result<User, Fault> {
    let stored = find(write.db, write.keys, id)?.ok_or(StoreError::NotFound("user"))?;
    let user = patched(stored.clone(), patch);
    if !is_active_admin(&user) {
        spare_an_admin(write.db, &stored)?;
    }
    let (key_id, sealed) = seal(write.db, write.keys, &user)?;
    let mut update = write.db.prepare_cached(
        "UPDATE account SET role = ?2, status = ?3, password_hash = ?4, last_login = ?5, key_id = ?6, sealed = ?7
         WHERE user_id = ?1",
    )?;
    update.execute(params![
        id.0,
        role_name(user.role),
        status_name(user.status),
        user.password_hash,
        user.last_login.map(Timestamp::micros),
        key_id,
        sealed,
    ])?;
    if stored.status == UserStatus::Active && user.status == UserStatus::Disabled {
        sign_ins::revoke_user(write, id, None)?;
    }
    Ok(user)
}

pub fn set_password(write: &Write<'_>, id: UserId, phc: &str, except: Option<SignInId>) -> Result<(), Fault> {
    let mut update = write.db.prepare_cached("UPDATE account SET password_hash = ?2 WHERE user_id = ?1")?;
    if update.execute(params![id.0, phc])? == 0 {
        return Err(StoreError::NotFound("user").into());
    }
    sign_ins::revoke_user(write, id, except).map(drop)
}

/// Removes the account with its key. What the person said is for the log to erase, before.
pub fn delete(write: &mut Write<'_>, id: UserId) -> Result<(), Fault> {
    let user = find(write.db, write.keys, id)?.ok_or(StoreError::NotFound("user"))?;
    spare_an_admin(write.db, &user)?;
    audit::erase(write, id)?;
    write.db.execute("DELETE FROM membership WHERE user_id = ?1", [id.0])?;
    write.db.execute("DELETE FROM account WHERE user_id = ?1", [id.0])?;
    write.db.execute("DELETE FROM subject_key WHERE scope = ?1", [scope(id)])?;
    allowances::delete(write, id)?;
    write.shredded();
    Ok(())
}

/// Refuses when this is the last active admin.
fn spare_an_admin(db: &Connection, user: &User) -> Result<(), Fault> {
    if is_active_admin(user) && active_admins(db, user.tenant)? == 1 {
        return Err(StoreError::Conflict("last admin").into());
    }
    Ok(())
}

/// Seals what version 1 of the schema stored in plain form.
pub fn seal_old(db: &mut Connection, keys: &Keys) -> Result<(), Fault> {
    let step = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut plain = Vec::new();
    {
        let mut select = step.prepare(&format!(
            "SELECT {COLUMNS}, username, display_name, email, preferences FROM account WHERE sealed IS NULL"
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let preferences: String = row.get(12)?;
            let personal = Personal {
                username: row.get(9)?,
                display_name: row.get(10)?,
                email: row.get(11)?,
                preferences: serde_json::from_str(&preferences)?,
                second_factor: None,
                consents: Vec::new(),
            };
            plain.push(with(row, personal)?);
        }
    }
    for user in plain {
        let (_, names) = keys.current(&step, user.tenant, NAMES)?;
        let (key_id, sealed) = seal(&step, keys, &user)?;
        step.execute(
            "UPDATE account SET username = '', display_name = '', email = '', preferences = '', folded = ?2, key_id = ?3,
                                sealed = ?4
             WHERE user_id = ?1",
            params![user.user_id.0, digest(&names, &user.username), key_id, sealed],
        )?;
    }
    sign_ins::seal_old(&step, keys)?;
    Ok(step.commit()?)
}

pub fn has_admin(db: &Connection, tenant: TenantId) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM account WHERE tenant = ?1 AND role = 'admin'")?.exists([tenant.0])?)
}

fn active_admins(db: &Connection, tenant: TenantId) -> Result<u64, Fault> {
    let mut count =
        db.prepare_cached("SELECT count(*) FROM account WHERE tenant = ?1 AND role = 'admin' AND status = 'active'")?;
    Ok(count.query_row([tenant.0], |row| row.get(0))?)
}

fn user_of(db: &Connection, keys: &Keys, row: &Row<'_>) -> Result<User, Fault> {
    let damaged =
        || StoreError::Corrupt("an account's personal fields cannot be opened: its row was changed".to_owned());
    let (id, key_id): (Uuid, Uuid) = (row.get(0)?, row.get(7)?);
    let key = keys.find(db, key_id)?.ok_or_else(damaged)?;
    let plain = key.open(&about_row("account", id.as_bytes()), &row.get::<_, Vec<u8>>(8)?).ok_or_else(damaged)?;
    with(row, serde_json::from_slice(&plain)?)
}

/// The user of a row and its personal fields.
fn with(row: &Row<'_>, personal: Personal) -> Result<User, Fault> {
    let (role, status): (String, String) = (row.get(2)?, row.get(3)?);
    let Personal { username, display_name, email, preferences, second_factor, consents } = personal;
    Ok(User {
        user_id: UserId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        username,
        display_name,
        email,
        role: role_of(&role)?,
        status: status_of(&status)?,
        password_hash: row.get(4)?,
        preferences,
        last_login: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        created_at: Timestamp(row.get(6)?),
        second_factor,
        consents,
    })
}
