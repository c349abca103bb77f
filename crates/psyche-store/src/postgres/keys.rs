//! Keys of subjects: random, wrapped by the master key, one row each. Deleting the row is what erases a person's words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::GenericClient;
use psyche_core::ids::TenantId;
use psyche_core::port::{Clock, StoreError};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use crate::sqlite::keys::{CHECK, about_key};
use crate::sqlite::seal::Key;

/// Unwrapped keys, and keys that were current, that are kept. Beyond it all are dropped.
const KEPT: usize = 4096;

/// A key and its id.
pub type Named = (Uuid, Arc<Key>);

pub struct Keys {
    master: Key,
    clock: Arc<dyn Clock>,
    /// By key id. An id is random and stands for one key for ever, so an entry can be stale but never wrong.
    opened: Mutex<HashMap<Uuid, Arc<Key>>>,
    /// What was current when it was last asked for. A key that was destroyed meanwhile is refused by the foreign key of
    /// whatever is sealed under it.
    current: Mutex<HashMap<(TenantId, String), Named>>,
}

impl Keys {
    pub fn new(master: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self { master: Key::new(master), clock, opened: Mutex::default(), current: Mutex::default() }
    }

    pub fn entropy(&self) -> [u8; 32] {
        self.clock.entropy()
    }

    pub fn uuid(&self) -> Uuid {
        self.clock.uuid()
    }

    /// The subject's key as it was last known, else as the database has it.
    pub async fn probable(&self, db: &impl GenericClient, tenant: TenantId, scope: String) -> Result<Named, Fault> {
        let place = (tenant, scope);
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some(named) = known {
            return Ok(named);
        }
        let named = self.current(db, tenant, &place.1).await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.len() >= KEPT {
            current.clear();
        }
        current.insert(place, named.clone());
        Ok(named)
    }

    /// The subject's key for sealing, made when there is none; it stays until the transaction ends.
    pub async fn current(&self, db: &impl GenericClient, tenant: TenantId, scope: &str) -> Result<Named, Fault> {
        loop {
            let select = "SELECT key_id, wrapped FROM subject_key WHERE scope = $1 AND tenant = $2 FOR KEY SHARE";
            let select = db.prepare_cached(select).await?;
            if let Some(row) = db.query_opt(&select, &[&scope, &tenant.0]).await? {
                let id = row.get(0);
                return Ok((id, self.unwrap(id, tenant, scope, row.get(1))?));
            }
            let id = self.clock.uuid();
            let key = Key::new(self.clock.entropy());
            let wrapped = self.master.seal(self.clock.entropy(), &about_key(id, tenant, scope), key.bytes());
            let insert = "INSERT INTO subject_key (key_id, tenant, scope, wrapped) VALUES ($1, $2, $3, $4)
                          ON CONFLICT (scope, tenant) DO NOTHING";
            let insert = db.prepare_cached(insert).await?;
            if db.execute(&insert, &[&id, &tenant.0, &scope, &wrapped]).await? == 1 {
                return Ok((id, self.keep(id, key)));
            }
        }
    }

    /// The scope's key, if there is one.
    pub async fn existing(
        &self,
        db: &impl GenericClient,
        tenant: TenantId,
        scope: &str,
    ) -> Result<Option<Arc<Key>>, Fault> {
        let select = "SELECT key_id, wrapped FROM subject_key WHERE scope = $1 AND tenant = $2";
        let select = db.prepare_cached(select).await?;
        let row = db.query_opt(&select, &[&scope, &tenant.0]).await?;
        row.map(|row| self.unwrap(row.get(0), tenant, scope, row.get(1))).transpose()
    }

    /// The key of a row that was joined with `subject_key`: its id, tenant, scope and wrapped bytes begin at `first`.
    /// Nothing once it was destroyed.
    pub fn joined(&self, row: &Row, first: usize) -> Result<Option<Arc<Key>>, Fault> {
        let wrapped: Option<&[u8]> = row.get(first + 3);
        let Some(wrapped) = wrapped else { return Ok(None) };
        let (tenant, scope): (Uuid, &str) = (row.get(first + 1), row.get(first + 2));
        Ok(Some(self.unwrap(row.get(first), TenantId(tenant), scope, wrapped)?))
    }

    /// Whether the master key opens what this database holds. A database without a check row gets one.
    pub async fn fit(&self, db: &impl GenericClient) -> Result<bool, Fault> {
        match self.current(db, TenantId::DEFAULT, CHECK).await {
            Ok(_) => Ok(true),
            Err(Fault::Append(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn unwrap(&self, id: Uuid, tenant: TenantId, scope: &str, wrapped: &[u8]) -> Result<Arc<Key>, Fault> {
        if let Some(key) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(key));
        }
        let plain = self.master.open(&about_key(id, tenant, scope), wrapped);
        let bytes: [u8; 32] = plain.and_then(|plain| plain.as_slice().try_into().ok()).ok_or_else(|| {
            StoreError::Corrupt(format!("the key of {scope} cannot be unwrapped: its row was changed"))
        })?;
        Ok(self.keep(id, Key::new(bytes)))
    }

    fn keep(&self, id: Uuid, key: Key) -> Arc<Key> {
        let key = Arc::new(key);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= KEPT {
            opened.clear();
        }
        opened.insert(id, Arc::clone(&key));
        key
    }

    /// Drops the unwrapped keys, after a subject's was destroyed here or elsewhere.
    pub fn forget(&self) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
