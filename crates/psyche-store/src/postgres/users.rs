//! Accounts. What names a person is sealed under that person's key; a name is found by its keyed digest.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SignInId, TenantId, UserId};
use psyche_core::port::{NewUser, ResetToken, StoreError, User, UserPatch, UserStatus, folded};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use tokio_postgres::Row;
use uuid::Uuid;

use super::column;
use super::fault::Fault;
use super::keys::Keys;
use super::write::Write;
use super::{allowances, audit, sign_ins};
use crate::accounts::{
    NAMES, Personal, account_scope, digest, is_active_admin, patched, role_name, role_of, status_name, status_of,
};
use crate::cursor::Place;
use crate::seal::about_row;

/// Accounts that a search opens at a time.
const SEARCHED: usize = 200;
/// The columns of an account and of the key its personal fields are sealed under.
const SELECT: &str =
    "SELECT a.user_id, a.tenant, a.role, a.status, a.password_hash, a.last_login, a.created_at, a.sealed,
                             k.key_id, k.tenant, k.scope, k.wrapped
                      FROM account AS a LEFT JOIN subject_key AS k ON k.key_id = a.key_id";

pub async fn create(write: &Write<'_>, new: &NewUser) -> Result<(), Fault> {
    let (db, user) = (&write.db, &new.user);
    if new.only_first_admin {
        // Of several that want to be the first, the others wait here and then see that there is one.
        db.batch_execute("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE").await?;
        if has_admin(db, user.tenant).await? {
            return Err(StoreError::Conflict("admin").into());
        }
    }
    let (_, names) = write.keys.current(db, user.tenant, NAMES).await?;
    let (key_id, sealed) = seal(write, user).await?;
    let insert = db
        .prepare_cached(
            "INSERT INTO account (user_id, tenant, folded, role, status, password_hash, last_login, created_at, key_id, sealed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .await?;
    let inserted = db
        .execute(
            &insert,
            &[
                &user.user_id.0,
                &user.tenant.0,
                &digest(&names, &user.username),
                &role_name(user.role),
                &status_name(user.status),
                &user.password_hash,
                &user.last_login.map(Timestamp::micros),
                &user.created_at.micros(),
                &key_id,
                &sealed,
            ],
        )
        .await;
    match inserted.map_err(Fault::from) {
        Err(fault) => match fault.taken() {
            Some("account_pkey") => Err(StoreError::Conflict("user").into()),
            Some(_) => Err(StoreError::Conflict("username").into()),
            None => Err(fault),
        },
        Ok(_) => Ok(()),
    }
}

async fn seal(write: &Write<'_>, user: &User) -> Result<(Uuid, Vec<u8>), Fault> {
    let (id, key) = write.keys.current(&write.db, user.tenant, &account_scope(user.user_id)).await?;
    let about = about_row("account", user.user_id.0.as_bytes());
    Ok((id, key.seal(write.keys.entropy(), &about, &serde_json::to_vec(&Personal::of(user))?)))
}

pub async fn find(db: &impl GenericClient, keys: &Keys, id: UserId) -> Result<Option<User>, Fault> {
    let select = db.prepare_cached(&format!("{SELECT} WHERE a.user_id = $1")).await?;
    db.query_opt(&select, &[&id.0]).await?.map(|row| user_of(keys, &row)).transpose()
}

/// The account, which nobody else changes until the transaction ends.
async fn hold(write: &Write<'_>, id: UserId) -> Result<User, Fault> {
    let select = write.db.prepare_cached(&format!("{SELECT} WHERE a.user_id = $1 FOR UPDATE OF a")).await?;
    let row = write.db.query_opt(&select, &[&id.0]).await?.ok_or(StoreError::NotFound("user"))?;
    user_of(write.keys, &row)
}

pub async fn find_by_name(
    db: &impl GenericClient,
    keys: &Keys,
    tenant: TenantId,
    username: &str,
) -> Result<Option<User>, Fault> {
    let Some((_, names)) = keys.existing(db, tenant, NAMES).await? else { return Ok(None) };
    let select = db.prepare_cached(&format!("{SELECT} WHERE a.tenant = $1 AND a.folded = $2")).await?;
    let row = db.query_opt(&select, &[&tenant.0, &digest(&names, username)]).await?;
    row.map(|row| user_of(keys, &row)).transpose()
}

/// Users newest first, from after `after`, at most `limit`. Names are sealed, so those that are searched for are found by
/// opening one page of rows after the other.
pub async fn list(
    db: &impl GenericClient,
    keys: &Keys,
    tenant: TenantId,
    query: Option<&str>,
    mut after: Option<Place>,
    limit: usize,
) -> Result<Vec<User>, Fault> {
    let sql = format!(
        "{SELECT} WHERE a.tenant = $1 AND ($2::bigint IS NULL OR (a.created_at, a.user_id) < ($2, $3::uuid))
         ORDER BY a.created_at DESC, a.user_id DESC LIMIT $4"
    );
    let select = db.prepare_cached(&sql).await?;
    let query = query.map(folded);
    let page = if query.is_some() { limit.max(SEARCHED) } else { limit };
    let mut users = Vec::new();
    loop {
        let (at, id) = (after.map(|(at, _)| at.micros()), after.map(|(_, id)| id));
        let rows = db.query(&select, &[&tenant.0, &at, &id, &column(page as u64)]).await?;
        for row in &rows {
            let user = user_of(keys, row)?;
            after = Some((user.created_at, user.user_id.0));
            if query.as_ref().is_none_or(|query| user.is_called(query)) {
                users.push(user);
            }
            if users.len() == limit {
                return Ok(users);
            }
        }
        if rows.len() < page {
            return Ok(users);
        }
    }
}

pub async fn update(write: &mut Write<'_>, id: UserId, patch: UserPatch) -> Result<User, Fault> {
    if patch.changes_rights() {
        write.rights_changed();
    }
    let stored = hold(write, id).await?;
    let user = patched(stored.clone(), patch);
    if !is_active_admin(&user) {
        spare_an_admin(write, &stored).await?;
    }
    let (key_id, sealed) = seal(write, &user).await?;
    let update = write
        .db
        .prepare_cached(
            "UPDATE account SET role = $2, status = $3, password_hash = $4, last_login = $5, key_id = $6, sealed = $7
             WHERE user_id = $1",
        )
        .await?;
    let (role, status) = (role_name(user.role), status_name(user.status));
    let last_login = user.last_login.map(Timestamp::micros);
    write.db.execute(&update, &[&id.0, &role, &status, &user.password_hash, &last_login, &key_id, &sealed]).await?;
    if stored.status == UserStatus::Active && user.status == UserStatus::Disabled {
        sign_ins::revoke_user(write, id, None).await?;
    }
    Ok(user)
}

pub async fn set_password(write: &mut Write<'_>, id: UserId, phc: &str, except: Option<SignInId>) -> Result<(), Fault> {
    let update = write.db.prepare_cached("UPDATE account SET password_hash = $2 WHERE user_id = $1").await?;
    if write.db.execute(&update, &[&id.0, &phc]).await? == 0 {
        return Err(StoreError::NotFound("user").into());
    }
    sign_ins::revoke_user(write, id, except).await.map(drop)
}

/// Removes the account with its key. What the person said is for the log to erase, before.
pub async fn delete(write: &mut Write<'_>, id: UserId) -> Result<(), Fault> {
    let user = hold(write, id).await?;
    spare_an_admin(write, &user).await?;
    audit::erase(write, id).await?;
    for sql in ["DELETE FROM membership WHERE user_id = $1", "DELETE FROM account WHERE user_id = $1"] {
        write.db.execute(sql, &[&id.0]).await?;
    }
    write.db.execute("DELETE FROM subject_key WHERE scope = $1", &[&account_scope(id)]).await?;
    allowances::delete(&write.db, id).await?;
    write.rights_changed();
    write.shredded();
    Ok(())
}

/// Refuses when this is the last active admin. All of them are held, so that two who leave at once see each other.
async fn spare_an_admin(write: &Write<'_>, user: &User) -> Result<(), Fault> {
    if !is_active_admin(user) {
        return Ok(());
    }
    let select = write
        .db
        .prepare_cached(
            "SELECT user_id FROM account WHERE tenant = $1 AND role = 'admin' AND status = 'active'
             ORDER BY user_id FOR UPDATE",
        )
        .await?;
    match write.db.query(&select, &[&user.tenant.0]).await?.len() {
        0 | 1 => Err(StoreError::Conflict("last admin").into()),
        _ => Ok(()),
    }
}

pub async fn has_admin(db: &impl GenericClient, tenant: TenantId) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE tenant = $1 AND role = 'admin')";
    let select = db.prepare_cached(sql).await?;
    Ok(db.query_one(&select, &[&tenant.0]).await?.get(0))
}

fn user_of(keys: &Keys, row: &Row) -> Result<User, Fault> {
    let damaged =
        || StoreError::Corrupt("an account's personal fields cannot be opened: its row was changed".to_owned());
    let id: Uuid = row.get(0);
    let key = keys.joined(row, 8)?.ok_or_else(damaged)?;
    let plain = key.open(&about_row("account", id.as_bytes()), row.get(7)).ok_or_else(damaged)?;
    let Personal { username, display_name, email, preferences, second_factor, consents } =
        serde_json::from_slice(&plain)?;
    Ok(User {
        user_id: UserId(id),
        tenant: TenantId(row.get(1)),
        username,
        display_name,
        email,
        role: role_of(row.get(2))?,
        status: status_of(row.get(3))?,
        password_hash: row.get(4),
        preferences,
        last_login: row.get::<_, Option<i64>>(5).map(Timestamp),
        created_at: Timestamp(row.get(6)),
        second_factor,
        consents,
    })
}

/// Keeps a reset token in place of the person's one before.
pub async fn put_reset(db: &impl GenericClient, token: &ResetToken) -> Result<(), Fault> {
    let put = db
        .prepare_cached(
            "INSERT INTO reset_token (user_id, hash, expires_at) SELECT user_id, $2, $3 FROM account WHERE user_id = $1
             ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at",
        )
        .await?;
    match db.execute(&put, &[&token.user_id.0, &token.hash.0.as_slice(), &token.expires_at.micros()]).await? {
        0 => Err(StoreError::NotFound("user").into()),
        _ => Ok(()),
    }
}

pub async fn reset_owner(db: &impl GenericClient, hash: Hash, now: Timestamp) -> Result<Option<UserId>, Fault> {
    let select = db.prepare_cached("SELECT user_id FROM reset_token WHERE hash = $1 AND expires_at > $2").await?;
    Ok(db.query_opt(&select, &[&hash.0.as_slice(), &now.micros()]).await?.map(|row| UserId(row.get(0))))
}

pub async fn spend_reset(
    write: &mut Write<'_>,
    hash: Hash,
    now: Timestamp,
    phc: &str,
) -> Result<Option<UserId>, Fault> {
    let sql = "DELETE FROM reset_token WHERE hash = $1 AND expires_at > $2 RETURNING user_id";
    let spend = write.db.prepare_cached(sql).await?;
    let row = write.db.query_opt(&spend, &[&hash.0.as_slice(), &now.micros()]).await?;
    let Some(user) = row.map(|row| UserId(row.get(0))) else { return Ok(None) };
    set_password(write, user, phc, None).await?;
    write.rights_changed();
    Ok(Some(user))
}
