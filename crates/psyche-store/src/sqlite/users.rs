//! Accounts.

use psyche_core::ids::{TenantId, UserId};
use psyche_core::port::{NewUser, Role, StoreError, User, UserPatch, UserStatus};
use psyche_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::{Fault, is_taken};
use super::writer::Write;
use crate::accounts::{is_active_admin, patched};
use crate::cursor::Place;

const COLUMNS: &str = "user_id, tenant, username, display_name, email, role, status, password_hash, preferences, \
                       last_login, created_at";

pub fn create(write: &Write<'_>, new: &NewUser) -> Result<(), Fault> {
    let user = &new.user;
    if new.only_first_admin && has_admin(write.db, user.tenant)? {
        return Err(StoreError::Conflict("admin").into());
    }
    let mut insert = write.db.prepare_cached(
        "INSERT INTO account (user_id, tenant, username, folded, display_name, email, role, status, password_hash,
                              preferences, last_login, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let inserted = insert.execute(params![
        user.user_id.0,
        user.tenant.0,
        user.username,
        user.username.to_lowercase(),
        user.display_name,
        user.email,
        role_name(user.role),
        status_name(user.status),
        user.password_hash,
        user.preferences.to_string(),
        user.last_login.map(Timestamp::micros),
        user.created_at.micros(),
    ]);
    match inserted {
        Err(error) if is_taken(&error) => {
            let what = if find(write.db, user.user_id)?.is_some() { "user" } else { "username" };
            Err(StoreError::Conflict(what).into())
        }
        other => Ok(other.map(drop)?),
    }
}

pub fn find(db: &Connection, id: UserId) -> Result<Option<User>, Fault> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE user_id = ?1"))?;
    select.query_row([id.0], |row| Ok(user_of(row))).optional()?.transpose()
}

pub fn find_by_name(db: &Connection, tenant: TenantId, username: &str) -> Result<Option<User>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE tenant = ?1 AND folded = ?2");
    let mut select = db.prepare_cached(&sql)?;
    select.query_row(params![tenant.0, username.to_lowercase()], |row| Ok(user_of(row))).optional()?.transpose()
}

/// Users newest first, from after `after`, at most `limit`.
pub fn list(db: &Connection, tenant: TenantId, after: Option<Place>, limit: usize) -> Result<Vec<User>, Fault> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM account
         WHERE tenant = ?1 AND (?2 IS NULL OR (created_at, user_id) < (?2, ?3))
         ORDER BY created_at DESC, user_id DESC LIMIT ?4"
    ))?;
    let (at, id) = (after.map(|(at, _)| at.micros()), after.map(|(_, id)| id));
    let rows = select.query_map(params![tenant.0, at, id, limit], |row| Ok(user_of(row)))?;
    rows.map(|row| row?).collect()
}

pub fn update(write: &Write<'_>, id: UserId, patch: UserPatch) -> Result<User, Fault> {
    let stored = find(write.db, id)?.ok_or(StoreError::NotFound("user"))?;
    let falls = is_active_admin(&stored);
    let user = patched(stored, patch);
    if falls && !is_active_admin(&user) && active_admins(write.db, user.tenant)? == 1 {
        return Err(StoreError::Conflict("last admin").into());
    }
    let mut update = write.db.prepare_cached(
        "UPDATE account SET display_name = ?2, email = ?3, role = ?4, status = ?5, password_hash = ?6,
                            preferences = ?7, last_login = ?8
         WHERE user_id = ?1",
    )?;
    update.execute(params![
        id.0,
        user.display_name,
        user.email,
        role_name(user.role),
        status_name(user.status),
        user.password_hash,
        user.preferences.to_string(),
        user.last_login.map(Timestamp::micros),
    ])?;
    Ok(user)
}

pub fn has_admin(db: &Connection, tenant: TenantId) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM account WHERE tenant = ?1 AND role = 'admin'")?.exists([tenant.0])?)
}

fn active_admins(db: &Connection, tenant: TenantId) -> Result<u64, Fault> {
    let mut count =
        db.prepare_cached("SELECT count(*) FROM account WHERE tenant = ?1 AND role = 'admin' AND status = 'active'")?;
    Ok(count.query_row([tenant.0], |row| row.get(0))?)
}

fn user_of(row: &Row<'_>) -> Result<User, Fault> {
    let (role, status): (String, String) = (row.get(5)?, row.get(6)?);
    Ok(User {
        user_id: UserId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        username: row.get(2)?,
        display_name: row.get(3)?,
        email: row.get(4)?,
        role: named(&role, "role", [Role::Observer, Role::Researcher, Role::Admin], role_name)?,
        status: named(&status, "status", [UserStatus::Active, UserStatus::Disabled], status_name)?,
        password_hash: row.get(7)?,
        preferences: serde_json::from_str(&row.get::<_, String>(8)?)?,
        last_login: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        created_at: Timestamp(row.get(10)?),
    })
}

/// The value whose name is stored.
pub fn named<T: Copy, const N: usize>(
    text: &str,
    what: &str,
    values: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    let found = values.into_iter().find(|value| name(*value) == text);
    Ok(found.ok_or_else(|| StoreError::Corrupt(format!("the stored {what} {text:?} is not known to this program")))?)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Observer => "observer",
        Role::Researcher => "researcher",
        Role::Admin => "admin",
    }
}

fn status_name(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Disabled => "disabled",
    }
}
