//! Casts and the small settings of the installation.

use deadpool_postgres::GenericClient;
use psyche_core::cast::Cast;
use psyche_core::ids::TenantId;
use psyche_core::port::{StoreError, StoredCast};

use super::fault::Fault;

pub async fn put(db: &impl GenericClient, stored: &StoredCast) -> Result<(), Fault> {
    let StoredCast { tenant, cast } = stored;
    let body = serde_json::to_string(cast)?;
    let put = db
        .prepare_cached(
            "INSERT INTO stored_cast (tenant, id, version, owner, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, id) DO UPDATE
             SET version = excluded.version, owner = excluded.owner, body = excluded.body
             WHERE excluded.version = stored_cast.version + 1",
        )
        .await?;
    let version = i32::try_from(cast.version).map_err(|_| StoreError::Conflict("version"))?;
    match db.execute(&put, &[&tenant.0, &cast.id, &version, &cast.owner, &body]).await? {
        0 => Err(StoreError::Conflict("version").into()),
        _ => Ok(()),
    }
}

pub async fn find(db: &impl GenericClient, tenant: TenantId, id: &str) -> Result<Option<Cast>, Fault> {
    let select = db.prepare_cached("SELECT body FROM stored_cast WHERE tenant = $1 AND id = $2").await?;
    let row = db.query_opt(&select, &[&tenant.0, &id]).await?;
    Ok(row.map(|row| serde_json::from_str(row.get(0))).transpose()?)
}

/// All casts of a tenant by id.
pub async fn list(db: &impl GenericClient, tenant: TenantId) -> Result<Vec<Cast>, Fault> {
    let sql = "SELECT body FROM stored_cast WHERE tenant = $1 ORDER BY id COLLATE \"C\"";
    let select = db.prepare_cached(sql).await?;
    let rows = db.query(&select, &[&tenant.0]).await?;
    rows.iter().map(|row| Ok(serde_json::from_str(row.get(0))?)).collect()
}

pub async fn delete(db: &impl GenericClient, tenant: TenantId, id: &str) -> Result<(), Fault> {
    let delete = db.prepare_cached("DELETE FROM stored_cast WHERE tenant = $1 AND id = $2").await?;
    match db.execute(&delete, &[&tenant.0, &id]).await? {
        0 => Err(StoreError::NotFound("cast").into()),
        _ => Ok(()),
    }
}

pub async fn setting(db: &impl GenericClient, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    let select = db.prepare_cached("SELECT value FROM setting WHERE key = $1").await?;
    Ok(db.query_opt(&select, &[&key]).await?.map(|row| row.get(0)))
}

pub async fn put_setting(db: &impl GenericClient, key: &str, value: Option<&[u8]>) -> Result<(), Fault> {
    if let Some(value) = value {
        let sql = "INSERT INTO setting (key, value) VALUES ($1, $2)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let put = db.prepare_cached(sql).await?;
        db.execute(&put, &[&key, &value]).await?;
    } else {
        let delete = db.prepare_cached("DELETE FROM setting WHERE key = $1").await?;
        db.execute(&delete, &[&key]).await?;
    }
    Ok(())
}
