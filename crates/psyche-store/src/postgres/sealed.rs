//! Values that are secrets as a whole, such as a provider's key: sealed under a key of their own, which is made anew at
//! every change and goes with the value.

use deadpool_postgres::GenericClient;
use psyche_core::ids::TenantId;
use psyche_core::port::StoreError;

use super::fault::Fault;
use super::keys::Keys;
use super::write::Write;
use crate::keyring::value_scope;
use crate::seal::about_value;

pub async fn put(
    write: &mut Write<'_>,
    tenant: TenantId,
    kind: &str,
    id: &str,
    value: Option<&[u8]>,
) -> Result<(), Fault> {
    let scope = value_scope(kind, id);
    let sql = "DELETE FROM sealed_value WHERE tenant = $1 AND kind = $2 AND id = $3";
    let gone = write.db.execute(sql, &[&tenant.0, &kind, &id]).await?;
    let sql = "DELETE FROM subject_key WHERE tenant = $1 AND scope = $2";
    write.db.execute(sql, &[&tenant.0, &scope]).await?;
    if gone > 0 {
        write.shredded();
    }
    let Some(value) = value else { return Ok(()) };
    let (key_id, key) = write.keys.current(&write.db, tenant, &scope).await?;
    let sealed = key.seal(write.keys.entropy(), &about_value(kind, id), value);
    let sql = "INSERT INTO sealed_value (tenant, kind, id, key_id, sealed) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (tenant, kind, id) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed";
    write.db.execute(sql, &[&tenant.0, &kind, &id, &key_id, &sealed]).await?;
    Ok(())
}

/// All values of a kind, by id.
pub async fn list(
    db: &impl GenericClient,
    keys: &Keys,
    tenant: TenantId,
    kind: &str,
) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let sql = "SELECT v.id, v.sealed, k.key_id, k.tenant, k.scope, k.wrapped
               FROM sealed_value AS v JOIN subject_key AS k ON k.key_id = v.key_id
               WHERE v.tenant = $1 AND v.kind = $2 ORDER BY v.id COLLATE \"C\"";
    let mut found = Vec::new();
    for row in db.query(sql, &[&tenant.0, &kind]).await? {
        let id: String = row.get(0);
        let plain = keys.joined(&row, 2)?.and_then(|key| key.open(&about_value(kind, &id), row.get(1)));
        let damaged = || StoreError::Corrupt(format!("the {kind} {id} cannot be opened: its row was changed"));
        let plain = plain.ok_or_else(damaged)?.to_vec();
        found.push((id, plain));
    }
    Ok(found)
}
