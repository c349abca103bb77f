//! Blocked addresses, and what has run out.

use psyche_core::ids::TenantId;
use psyche_core::port::{AddressBlock, StoreError};
use psyche_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::writer::Write;

pub fn put(write: &Write<'_>, tenant: TenantId, block: &AddressBlock) -> Result<(), Fault> {
    let mut upsert = write.db.prepare_cached(
        "INSERT OR REPLACE INTO address_block (tenant, address, reason, blocked_at, until, times)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let AddressBlock { address, reason, blocked_at, until, times } = block;
    upsert.execute(params![tenant.0, address, reason, blocked_at.micros(), until.micros(), times])?;
    Ok(())
}

pub fn list(db: &Connection, tenant: TenantId) -> Result<Vec<AddressBlock>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT address, reason, blocked_at, until, times FROM address_block WHERE tenant = ?1
         ORDER BY blocked_at DESC, address",
    )?;
    let rows = select.query_map([tenant.0], |row| {
        Ok(AddressBlock {
            address: row.get(0)?,
            reason: row.get(1)?,
            blocked_at: Timestamp(row.get(2)?),
            until: Timestamp(row.get(3)?),
            times: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn lift(write: &Write<'_>, tenant: TenantId, address: &str) -> Result<(), Fault> {
    let mut delete = write.db.prepare_cached("DELETE FROM address_block WHERE tenant = ?1 AND address = ?2")?;
    match delete.execute(params![tenant.0, address])? {
        0 => Err(StoreError::NotFound("address").into()),
        _ => Ok(()),
    }
}

pub fn sweep(write: &Write<'_>, before: Timestamp) -> Result<u64, Fault> {
    let at = before.micros();
    let mut gone =
        write.db.execute("DELETE FROM sign_in WHERE expires_at < ?1 OR (revoked AND last_seen < ?1)", [at])?;
    gone += write.db.execute("DELETE FROM reset_token WHERE expires_at < ?1", [at])?;
    gone += write.db.execute("DELETE FROM address_block WHERE until < ?1", [at])?;
    Ok(gone as u64)
}
