//! Rows of keys. Deleting one is what erases a person's words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Clock, StoreError};
use tokio_postgres::Row;
use uuid::Uuid;

use super::column;
use super::fault::Fault;
use crate::keyring::{CHECK, Keyring};
use crate::seal::Key;

/// Current keys, and tenants, that are remembered. Beyond it all are dropped.
const KEPT: usize = 4096;

/// A key and its id.
pub type Named = (Uuid, Arc<Key>);

pub struct Keys {
    ring: Keyring,
    /// What was current when it was last asked for. A key that was destroyed meanwhile is refused by the foreign key of
    /// whatever is sealed under it.
    current: Mutex<HashMap<(TenantId, String), Named>>,
    /// Of sessions that were written to. A session's never changes.
    tenants: Mutex<HashMap<SessionId, TenantId>>,
}

impl Keys {
    pub fn new(master: [u8; 32], before: Option<[u8; 32]>, clock: Arc<dyn Clock>) -> Self {
        Self { ring: Keyring::new(master, before, clock), current: Mutex::default(), tenants: Mutex::default() }
    }

    pub fn ring(&self) -> &Keyring {
        &self.ring
    }

    pub fn entropy(&self) -> [u8; 32] {
        self.ring.entropy()
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<(TenantId, String), Named>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant a session is of.
    pub async fn tenant_of(&self, db: &impl GenericClient, session: SessionId) -> Result<TenantId, Fault> {
        let tenants = || self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants().get(&session).copied();
        if let Some(tenant) = known {
            return Ok(tenant);
        }
        let select = db.prepare_cached("SELECT tenant FROM session WHERE session_id = $1").await?;
        let row = db.query_opt(&select, &[&session.0]).await?.ok_or(StoreError::NotFound("session"))?;
        let tenant = TenantId(row.get(0));
        let mut tenants = tenants();
        if tenants.len() >= KEPT {
            tenants.clear();
        }
        tenants.insert(session, tenant);
        Ok(tenant)
    }

    /// The subject's key as it was last known, else as the database has it.
    pub async fn probable(&self, db: &impl GenericClient, tenant: TenantId, scope: String) -> Result<Named, Fault> {
        let place = (tenant, scope);
        let known = self.remembered().get(&place).cloned();
        if let Some(named) = known {
            return Ok(named);
        }
        let named = self.current(db, tenant, &place.1).await?;
        let mut remembered = self.remembered();
        if remembered.len() >= KEPT {
            remembered.clear();
        }
        remembered.insert(place, named.clone());
        Ok(named)
    }

    /// The subject's key for sealing, made when there is none; it stays until the transaction ends.
    pub async fn current(&self, db: &impl GenericClient, tenant: TenantId, scope: &str) -> Result<Named, Fault> {
        loop {
            let select = "SELECT key_id, wrapped FROM subject_key WHERE scope = $1 AND tenant = $2 FOR KEY SHARE";
            let select = db.prepare_cached(select).await?;
            if let Some(row) = db.query_opt(&select, &[&scope, &tenant.0]).await? {
                let id = row.get(0);
                return Ok((id, self.ring.unwrap(id, tenant, scope, row.get(1))?));
            }
            let fresh = self.ring.fresh(tenant, scope);
            // Another replica may make one at the same time: then theirs is read in the next round.
            let insert = "INSERT INTO subject_key (key_id, tenant, scope, wrapped) VALUES ($1, $2, $3, $4)
                          ON CONFLICT (scope, tenant) DO NOTHING";
            let insert = db.prepare_cached(insert).await?;
            if db.execute(&insert, &[&fresh.id, &tenant.0, &scope, &fresh.wrapped]).await? == 1 {
                return Ok(self.ring.stored(fresh));
            }
        }
    }

    /// The scope's key, if there is one.
    pub async fn existing(
        &self,
        db: &impl GenericClient,
        tenant: TenantId,
        scope: &str,
    ) -> Result<Option<Named>, Fault> {
        let select = "SELECT key_id, wrapped FROM subject_key WHERE scope = $1 AND tenant = $2";
        let select = db.prepare_cached(select).await?;
        let Some(row) = db.query_opt(&select, &[&scope, &tenant.0]).await? else { return Ok(None) };
        let id = row.get(0);
        Ok(Some((id, self.ring.unwrap(id, tenant, scope, row.get(1))?)))
    }

    /// The key of a row that was joined with `subject_key`: its id, tenant, scope and wrapped bytes begin at `first`.
    /// Nothing once it was destroyed.
    pub fn joined(&self, row: &Row, first: usize) -> Result<Option<Arc<Key>>, Fault> {
        let wrapped: Option<&[u8]> = row.get(first + 3);
        let Some(wrapped) = wrapped else { return Ok(None) };
        let (tenant, scope): (Uuid, &str) = (row.get(first + 1), row.get(first + 2));
        Ok(Some(self.ring.unwrap(row.get(first), TenantId(tenant), scope, wrapped)?))
    }

    /// Makes the check row in a new database.
    pub async fn install_check(&self, db: &impl GenericClient) -> Result<(), Fault> {
        self.current(db, TenantId::DEFAULT, CHECK).await.map(drop)
    }

    /// Whether the master key opens what this database holds. A database without a check row is new.
    pub async fn fit(&self, db: &impl GenericClient) -> Result<bool, Fault> {
        let row = db.query_opt("SELECT key_id, wrapped FROM subject_key WHERE scope = $1", &[&CHECK]).await?;
        Ok(row.is_none_or(|row| self.ring.fits(row.get(0), row.get(1))))
    }

    /// Wraps by the master key those of the next keys after `after` that are not yet. Returns the last one looked at,
    /// `None` at the end, and how many were wrapped.
    pub async fn rewrap_next(
        &self,
        db: &impl GenericClient,
        after: Uuid,
        limit: usize,
    ) -> Result<(Option<Uuid>, u64), Fault> {
        let sql = "SELECT key_id, tenant, scope, wrapped FROM subject_key WHERE key_id > $1 ORDER BY key_id LIMIT $2
                   FOR NO KEY UPDATE";
        let rows = db.query(sql, &[&after, &column(limit as u64)]).await?;
        let mut count = 0;
        for row in &rows {
            let id: Uuid = row.get(0);
            if let Some(wrapped) = self.ring.rewrapped(id, TenantId(row.get(1)), row.get(2), row.get(3))? {
                db.execute("UPDATE subject_key SET wrapped = $2 WHERE key_id = $1", &[&id, &wrapped]).await?;
                count += 1;
            }
        }
        Ok((rows.last().map(|row| row.get(0)), count))
    }

    /// Drops the unwrapped keys, after a subject's was destroyed here or elsewhere.
    pub fn forget(&self) {
        self.ring.forget();
        self.remembered().clear();
    }
}
