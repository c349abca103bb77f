//! Casts and the small settings of the installation.

use psyche_core::cast::Cast;
use psyche_core::ids::TenantId;
use psyche_core::port::{StoreError, StoredCast};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::writer::Write;

pub fn put(write: &Write<'_>, stored: &StoredCast) -> Result<(), Fault> {
    let StoredCast { tenant, cast } = stored;
    let body = serde_json::to_string(cast)?;
    let mut put = write.db.prepare_cached(
        "INSERT INTO stored_cast (tenant, id, version, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, id) DO UPDATE SET version = excluded.version, body = excluded.body
         WHERE excluded.version = stored_cast.version + 1",
    )?;
    match put.execute(params![tenant.0, cast.id, cast.version, body])? {
        0 => Err(StoreError::Conflict("version").into()),
        _ => Ok(()),
    }
}

pub fn find(db: &Connection, tenant: TenantId, id: &str) -> Result<Option<Cast>, Fault> {
    let mut select = db.prepare_cached("SELECT body FROM stored_cast WHERE tenant = ?1 AND id = ?2")?;
    let body: Option<String> = select.query_row(params![tenant.0, id], |row| row.get(0)).optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// All casts of a tenant by id.
pub fn list(db: &Connection, tenant: TenantId) -> Result<Vec<Cast>, Fault> {
    let mut select = db.prepare_cached("SELECT body FROM stored_cast WHERE tenant = ?1 ORDER BY id")?;
    let rows = select.query_map([tenant.0], |row| row.get::<_, String>(0))?;
    rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
}

pub fn delete(write: &Write<'_>, tenant: TenantId, id: &str) -> Result<(), Fault> {
    let mut delete = write.db.prepare_cached("DELETE FROM stored_cast WHERE tenant = ?1 AND id = ?2")?;
    match delete.execute(params![tenant.0, id])? {
        0 => Err(StoreError::NotFound("cast").into()),
        _ => Ok(()),
    }
}

pub fn setting(db: &Connection, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    Ok(db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?)
}

pub fn put_setting(write: &Write<'_>, key: &str, value: Option<&[u8]>) -> Result<(), Fault> {
    match value {
        Some(value) => write
            .db
            .prepare_cached("INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)")?
            .execute(params![key, value])?,
        None => write.db.prepare_cached("DELETE FROM setting WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}
