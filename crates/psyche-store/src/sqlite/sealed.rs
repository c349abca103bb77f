//! Values that are secrets as a whole, such as a provider's key: sealed under a key of their own, which is made anew at
//! every change and goes with the value.

use psyche_core::ids::TenantId;
use psyche_core::port::StoreError;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::writer::Write;
use crate::keyring::value_scope;
use crate::seal::about_value;

pub fn put(write: &mut Write<'_>, tenant: TenantId, kind: &str, id: &str, value: Option<&[u8]>) -> Result<(), Fault> {
    let scope = value_scope(kind, id);
    let db = write.db;
    let gone = db
        .execute("DELETE FROM sealed_value WHERE tenant = ?1 AND kind = ?2 AND id = ?3", params![tenant.0, kind, id])?;
    db.execute("DELETE FROM subject_key WHERE tenant = ?1 AND scope = ?2", params![tenant.0, scope])?;
    if gone > 0 {
        write.shredded();
    }
    let Some(value) = value else { return Ok(()) };
    let (key_id, key) = write.keys.current(db, tenant, &scope)?;
    let sealed = key.seal(write.keys.entropy(), &about_value(kind, id), value);
    db.execute(
        "INSERT INTO sealed_value (tenant, kind, id, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![tenant.0, kind, id, key_id, sealed],
    )?;
    Ok(())
}

/// All values of a kind, by id.
pub fn list(db: &Connection, keys: &Keys, tenant: TenantId, kind: &str) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut select =
        db.prepare("SELECT id, key_id, sealed FROM sealed_value WHERE tenant = ?1 AND kind = ?2 ORDER BY id")?;
    let rows = select.query_map(params![tenant.0, kind], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Uuid>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (id, key_id, sealed) = row?;
        let key = keys.find(db, key_id)?;
        let plain = key.and_then(|key| key.open(&about_value(kind, &id), &sealed));
        let damaged = || StoreError::Corrupt(format!("the {kind} {id} cannot be opened: its row was changed"));
        found.push((id.clone(), plain.ok_or_else(damaged)?.to_vec()));
    }
    Ok(found)
}
