//! Sign-ins and the rotation of their refresh tokens; blocked addresses, and what has run out.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SignInId, TenantId, UserId};
use psyche_core::port::{AddressBlock, NewSignIn, Rotation, SignIn, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::number;
use super::write::Write;
use crate::accounts::{Verdict, Whence, account_scope, is_live, judge};
use crate::seal::about_row;

const SELECT: &str = "SELECT s.id, s.user_id, s.created_at, s.last_seen, s.expires_at, s.revoked, s.sealed,
                             k.key_id, k.tenant, k.scope, k.wrapped
                      FROM sign_in AS s LEFT JOIN subject_key AS k ON k.key_id = s.key_id";

pub async fn create(write: &mut Write<'_>, new: &NewSignIn, keep: usize) -> Result<Vec<SignInId>, Fault> {
    let NewSignIn { sign_in, refresh_hash } = new;
    let user = sign_in.user_id;
    // Sign-ins of one person take turns, so that they never count the same ones.
    let owner = write.db.prepare_cached("SELECT tenant FROM account WHERE user_id = $1 FOR UPDATE").await?;
    let owner = write.db.query_opt(&owner, &[&user.0]).await?.ok_or(StoreError::NotFound("user"))?;
    let tenant = TenantId(owner.get(0));
    let live = write
        .db
        .prepare_cached(
            "SELECT id FROM sign_in WHERE user_id = $1 AND NOT revoked AND expires_at > $2 ORDER BY last_seen, id",
        )
        .await?;
    let rows = write.db.query(&live, &[&user.0, &sign_in.created_at.micros()]).await?;
    let mut ended: Vec<SignInId> = rows.iter().map(|row| SignInId(row.get(0))).collect();
    ended.truncate((ended.len() + 1).saturating_sub(keep));
    for id in &ended {
        revoke(write, *id).await?;
    }
    if !ended.is_empty() {
        write.rights_changed();
    }
    let (key_id, key) = write.keys.current(&write.db, tenant, &account_scope(user)).await?;
    let about = about_row("sign_in", sign_in.id.0.as_bytes());
    let sealed = key.seal(write.keys.entropy(), &about, &serde_json::to_vec(&Whence::of(sign_in))?);
    let insert = write
        .db
        .prepare_cached(
            "INSERT INTO sign_in (id, user_id, created_at, last_seen, expires_at, revoked, key_id, sealed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .await?;
    let (created, seen, expires) =
        (sign_in.created_at.micros(), sign_in.last_seen.micros(), sign_in.expires_at.micros());
    let inserted = write
        .db
        .execute(&insert, &[&sign_in.id.0, &user.0, &created, &seen, &expires, &sign_in.revoked, &key_id, &sealed])
        .await;
    let inserted = match inserted {
        Ok(_) => insert_token(write, *refresh_hash, sign_in.id).await,
        Err(error) => Err(error.into()),
    };
    match inserted {
        Err(fault) if fault.taken().is_some() => Err(StoreError::Conflict("sign-in").into()),
        other => other.map(|()| ended),
    }
}

pub async fn find(db: &impl GenericClient, keys: &Keys, id: SignInId) -> Result<Option<SignIn>, Fault> {
    let select = db.prepare_cached(&format!("{SELECT} WHERE s.id = $1")).await?;
    db.query_opt(&select, &[&id.0]).await?.map(|row| sign_in_of(keys, &row)).transpose()
}

/// All sign-ins of a user, the last used first.
pub async fn list(db: &impl GenericClient, keys: &Keys, user: UserId) -> Result<Vec<SignIn>, Fault> {
    let sql = format!("{SELECT} WHERE s.user_id = $1 ORDER BY s.last_seen DESC, s.id DESC");
    let select = db.prepare_cached(&sql).await?;
    let rows = db.query(&select, &[&user.0]).await?;
    rows.iter().map(|row| sign_in_of(keys, row)).collect()
}

pub async fn rotate(
    write: &mut Write<'_>,
    old: Hash,
    new: Hash,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Rotation, Fault> {
    // The sign-in is held first: all that present one of its tokens take turns.
    let hold = "SELECT sign_in FROM refresh_token WHERE hash = $1";
    let hold = write.db.prepare_cached(hold).await?;
    let Some(row) = write.db.query_opt(&hold, &[&old.0.as_slice()]).await? else { return Ok(Rotation::Unknown) };
    let id = SignInId(row.get(0));
    let held = write.db.prepare_cached(&format!("{SELECT} WHERE s.id = $1 FOR UPDATE OF s")).await?;
    let row = write.db.query_opt(&held, &[&id.0]).await?;
    let sign_in = row.map(|row| sign_in_of(write.keys, &row)).transpose()?;
    let Some(mut sign_in) = sign_in.filter(|s| is_live(s, now)) else { return Ok(Rotation::Unknown) };
    let token = write
        .db
        .prepare_cached(
            "SELECT t.spent_at, t.successor, n.spent_at IS NOT NULL
             FROM refresh_token AS t LEFT JOIN refresh_token AS n ON n.hash = t.successor WHERE t.hash = $1",
        )
        .await?;
    let Some(row) = write.db.query_opt(&token, &[&old.0.as_slice()]).await? else { return Ok(Rotation::Unknown) };
    let spent_at = row.get::<_, Option<i64>>(0).map(Timestamp);
    let successor: Option<Vec<u8>> = row.get(1);
    let verdict = judge(spent_at, row.get(2), now);
    if verdict == Verdict::Revoke {
        revoke(write, id).await?;
        write.rights_changed();
        sign_in.revoked = true;
        return Ok(Rotation::Reused(sign_in));
    }
    match insert_token(write, new, id).await {
        Err(fault) if fault.taken().is_some() => return Err(StoreError::Conflict("refresh token").into()),
        other => other?,
    }
    let spend = "UPDATE refresh_token SET spent_at = $2, successor = $3 WHERE hash = $1";
    let spend = write.db.prepare_cached(spend).await?;
    let at = spent_at.unwrap_or(now).micros();
    write.db.execute(&spend, &[&old.0.as_slice(), &at, &new.0.as_slice()]).await?;
    // A reissue also spends the successor whose answer was lost: should it turn up, the sign-in was shared.
    if let Some(lost) = successor {
        write.db.execute(&spend, &[&lost, &now.micros(), &new.0.as_slice()]).await?;
    }
    let seen = write.db.prepare_cached("UPDATE sign_in SET last_seen = $2, expires_at = $3 WHERE id = $1").await?;
    write.db.execute(&seen, &[&id.0, &now.micros(), &expires_at.micros()]).await?;
    sign_in.last_seen = now;
    sign_in.expires_at = expires_at;
    Ok(if verdict == Verdict::Rotate { Rotation::Rotated(sign_in) } else { Rotation::Reissued(sign_in) })
}

pub async fn revoke_one(write: &mut Write<'_>, id: SignInId) -> Result<(), Fault> {
    write.rights_changed();
    match revoke(write, id).await? {
        0 => Err(StoreError::NotFound("sign-in").into()),
        _ => Ok(()),
    }
}

pub async fn revoke_user(
    write: &mut Write<'_>,
    user: UserId,
    except: Option<SignInId>,
) -> Result<Vec<SignInId>, Fault> {
    write.rights_changed();
    let revoke = write
        .db
        .prepare_cached(
            "UPDATE sign_in SET revoked = true
             WHERE user_id = $1 AND NOT revoked AND ($2::uuid IS NULL OR id <> $2) RETURNING id",
        )
        .await?;
    let rows = write.db.query(&revoke, &[&user.0, &except.map(|id| id.0)]).await?;
    let mut ended: Vec<SignInId> = rows.iter().map(|row| SignInId(row.get(0))).collect();
    ended.sort_unstable();
    Ok(ended)
}

async fn revoke(write: &Write<'_>, id: SignInId) -> Result<u64, Fault> {
    let revoke = write.db.prepare_cached("UPDATE sign_in SET revoked = true WHERE id = $1").await?;
    Ok(write.db.execute(&revoke, &[&id.0]).await?)
}

async fn insert_token(write: &Write<'_>, hash: Hash, sign_in: SignInId) -> Result<(), Fault> {
    let insert = write.db.prepare_cached("INSERT INTO refresh_token (hash, sign_in) VALUES ($1, $2)").await?;
    write.db.execute(&insert, &[&hash.0.as_slice(), &sign_in.0]).await?;
    Ok(())
}

fn sign_in_of(keys: &Keys, row: &Row) -> Result<SignIn, Fault> {
    let id: Uuid = row.get(0);
    let opened = keys.joined(row, 7)?.and_then(|key| key.open(&about_row("sign_in", id.as_bytes()), row.get(6)));
    let opened = opened.ok_or_else(|| {
        StoreError::Corrupt("a sign-in's personal fields cannot be opened: its row was changed".to_owned())
    })?;
    let Whence { device, ip, user_agent } = serde_json::from_slice(&opened)?;
    Ok(SignIn {
        id: SignInId(id),
        user_id: UserId(row.get(1)),
        device,
        ip,
        user_agent,
        created_at: Timestamp(row.get(2)),
        last_seen: Timestamp(row.get(3)),
        expires_at: Timestamp(row.get(4)),
        revoked: row.get(5),
    })
}

pub async fn put_block(db: &impl GenericClient, tenant: TenantId, block: &AddressBlock) -> Result<(), Fault> {
    let put = db
        .prepare_cached(
            "INSERT INTO address_block (tenant, address, reason, blocked_at, until, times) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant, address) DO UPDATE SET reason = excluded.reason, blocked_at = excluded.blocked_at,
                                                         until = excluded.until, times = excluded.times",
        )
        .await?;
    let AddressBlock { address, reason, blocked_at, until, times } = block;
    let times = i32::try_from(*times).unwrap_or(i32::MAX);
    db.execute(&put, &[&tenant.0, address, reason, &blocked_at.micros(), &until.micros(), &times]).await?;
    Ok(())
}

pub async fn blocks(db: &impl GenericClient, tenant: TenantId) -> Result<Vec<AddressBlock>, Fault> {
    let select = db
        .prepare_cached(
            "SELECT address, reason, blocked_at, until, times FROM address_block WHERE tenant = $1
             ORDER BY blocked_at DESC, address COLLATE \"C\"",
        )
        .await?;
    let rows = db.query(&select, &[&tenant.0]).await?;
    let block = |row: &Row| {
        Ok(AddressBlock {
            address: row.get(0),
            reason: row.get(1),
            blocked_at: Timestamp(row.get(2)),
            until: Timestamp(row.get(3)),
            times: number(i64::from(row.get::<_, i32>(4)), "count of blocks")?,
        })
    };
    rows.iter().map(block).collect()
}

pub async fn lift_block(write: &mut Write<'_>, tenant: TenantId, address: &str) -> Result<(), Fault> {
    write.rights_changed();
    let delete = write.db.prepare_cached("DELETE FROM address_block WHERE tenant = $1 AND address = $2").await?;
    match write.db.execute(&delete, &[&tenant.0, &address]).await? {
        0 => Err(StoreError::NotFound("address").into()),
        _ => Ok(()),
    }
}

pub async fn sweep(write: &Write<'_>, before: Timestamp) -> Result<u64, Fault> {
    let mut gone = 0;
    for sql in [
        "DELETE FROM sign_in WHERE expires_at < $1 OR (revoked AND last_seen < $1)",
        "DELETE FROM reset_token WHERE expires_at < $1",
        "DELETE FROM address_block WHERE until < $1",
    ] {
        gone += write.db.execute(sql, &[&before.micros()]).await?;
    }
    Ok(gone)
}
