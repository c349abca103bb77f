//! Rows of keys. Deleting one is what erases a person's words.

use std::sync::Arc;

use psyche_core::ids::TenantId;
use psyche_core::port::Clock;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::fault::Fault;
use crate::keyring::{CHECK, Keyring};
use crate::seal::Key;

/// Whether a key still exists is asked of the database each time a text is sealed or read.
#[derive(Debug)]
pub struct Keys(Keyring);

impl Keys {
    pub fn new(master: [u8; 32], before: Option<[u8; 32]>, clock: Arc<dyn Clock>) -> Self {
        Self(Keyring::new(master, before, clock))
    }

    pub fn ring(&self) -> &Keyring {
        &self.0
    }

    pub fn entropy(&self) -> [u8; 32] {
        self.0.entropy()
    }

    /// The subject's key for sealing, made when there is none. Only inside a write transaction.
    pub fn current(&self, db: &Connection, tenant: TenantId, scope: &str) -> Result<(Uuid, Arc<Key>), Fault> {
        if let Some((id, wrapped)) = wrapped_of(db, tenant, scope)? {
            return Ok((id, self.0.unwrap(id, tenant, scope, &wrapped)?));
        }
        let fresh = self.0.fresh(tenant, scope);
        db.prepare_cached("INSERT INTO subject_key (key_id, tenant, scope, wrapped) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![fresh.id, tenant.0, scope, fresh.wrapped])?;
        Ok(self.0.stored(fresh))
    }

    /// The scope's key, if there is one.
    pub fn existing(&self, db: &Connection, tenant: TenantId, scope: &str) -> Result<Option<Arc<Key>>, Fault> {
        let stored = wrapped_of(db, tenant, scope)?;
        Ok(stored.map(|(id, wrapped)| self.0.unwrap(id, tenant, scope, &wrapped)).transpose()?)
    }

    /// The key with this id; nothing once it was destroyed.
    pub fn find(&self, db: &Connection, id: Uuid) -> Result<Option<Arc<Key>>, Fault> {
        let mut select = db.prepare_cached("SELECT tenant, scope, wrapped FROM subject_key WHERE key_id = ?1")?;
        let stored = select
            .query_row([id], |row| Ok((TenantId(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?)))
            .optional()?;
        Ok(stored.map(|(tenant, scope, wrapped)| self.0.unwrap(id, tenant, &scope, &wrapped)).transpose()?)
    }

    /// Makes the check row in a new database.
    pub fn install_check(&self, db: &Connection) -> Result<(), Fault> {
        self.current(db, TenantId::DEFAULT, CHECK).map(drop)
    }

    /// Whether the master key opens what this database holds. A database without a check row is new.
    pub fn fit(&self, db: &Connection) -> Result<bool, Fault> {
        let mut select = db.prepare("SELECT key_id, wrapped FROM subject_key WHERE scope = ?1")?;
        let stored: Option<(Uuid, Vec<u8>)> =
            select.query_row([CHECK], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(stored.is_none_or(|(id, wrapped)| self.0.fits(id, &wrapped)))
    }

    /// Wraps by the master key those of the next keys after `after` that are not yet. Returns the last one looked at,
    /// `None` at the end, and how many were wrapped.
    pub fn rewrap_next(&self, db: &Connection, after: Uuid, limit: usize) -> Result<(Option<Uuid>, u64), Fault> {
        let mut select = db.prepare_cached(
            "SELECT key_id, tenant, scope, wrapped FROM subject_key WHERE key_id > ?1 ORDER BY key_id LIMIT ?2",
        )?;
        let rows = select.query_map(params![after, limit], |row| {
            Ok((row.get::<_, Uuid>(0)?, TenantId(row.get(1)?), row.get::<_, String>(2)?, row.get::<_, Vec<u8>>(3)?))
        })?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let mut count = 0;
        for (id, tenant, scope, wrapped) in &rows {
            if let Some(wrapped) = self.0.rewrapped(*id, *tenant, scope, wrapped)? {
                db.execute("UPDATE subject_key SET wrapped = ?2 WHERE key_id = ?1", params![id, wrapped])?;
                count += 1;
            }
        }
        Ok((rows.last().map(|(id, ..)| *id), count))
    }
}

fn wrapped_of(db: &Connection, tenant: TenantId, scope: &str) -> rusqlite::Result<Option<(Uuid, Vec<u8>)>> {
    let mut select = db.prepare_cached("SELECT key_id, wrapped FROM subject_key WHERE scope = ?1 AND tenant = ?2")?;
    select.query_row(params![scope, tenant.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}
