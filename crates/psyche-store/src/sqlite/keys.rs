//! Keys of subjects: random, wrapped by the master key, one row each. Deleting the row is what erases a person's words.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Clock, StoreError};
use psyche_core::words::Subject;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::fault::Fault;
use super::seal::Key;

/// Unwrapped keys that are kept. Beyond it all are dropped: unwrapping one again takes microseconds.
const KEPT: usize = 4096;

/// The row that tells whether the master key is the one this database was made with.
const CHECK: &str = "check";

pub struct Keys {
    master: Key,
    clock: Arc<dyn Clock>,
    /// By key id. An id is random and stands for one key for ever, so an entry can be stale but never wrong: whether a
    /// key still exists is asked of the database each time a text is sealed or read.
    opened: Mutex<HashMap<Uuid, Arc<Key>>>,
}

/// The name of a subject's key. A person has one key for all sessions.
pub fn scope(session: SessionId, subject: Subject) -> String {
    match subject {
        Subject::Session => format!("session:{session}"),
        Subject::User(id) => format!("user:{id}"),
    }
}

impl Keys {
    pub fn new(master: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self { master: Key::new(master), clock, opened: Mutex::default() }
    }

    pub fn entropy(&self) -> [u8; 32] {
        self.clock.entropy()
    }

    pub fn uuid(&self) -> Uuid {
        self.clock.uuid()
    }

    /// The subject's key for sealing, made when there is none. Only inside a write transaction.
    pub fn current(&self, db: &Connection, tenant: TenantId, scope: &str) -> Result<(Uuid, Arc<Key>), Fault> {
        if let Some((id, wrapped)) = wrapped_of(db, tenant, scope)? {
            return Ok((id, self.unwrap(id, tenant, scope, wrapped)?));
        }
        let id = self.clock.uuid();
        let key = Key::new(self.clock.entropy());
        let wrapped = self.master.seal(self.clock.entropy(), &about_key(id, tenant, scope), key.bytes());
        db.prepare_cached("INSERT INTO subject_key (key_id, tenant, scope, wrapped) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, tenant.0, scope, wrapped])?;
        Ok((id, self.keep(id, key)))
    }

    /// The scope's key, if there is one.
    pub fn existing(&self, db: &Connection, tenant: TenantId, scope: &str) -> Result<Option<Arc<Key>>, Fault> {
        wrapped_of(db, tenant, scope)?.map(|(id, wrapped)| self.unwrap(id, tenant, scope, wrapped)).transpose()
    }

    /// The key with this id; nothing once it was destroyed.
    pub fn find(&self, db: &Connection, id: Uuid) -> Result<Option<Arc<Key>>, Fault> {
        let mut select = db.prepare_cached("SELECT tenant, scope, wrapped FROM subject_key WHERE key_id = ?1")?;
        let stored = select
            .query_row([id], |row| Ok((TenantId(row.get(0)?), row.get::<_, String>(1)?, row.get(2)?)))
            .optional()?;
        stored.map(|(tenant, scope, wrapped)| self.unwrap(id, tenant, &scope, wrapped)).transpose()
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
        Ok(stored
            .is_none_or(|(id, wrapped)| self.master.open(&about_key(id, TenantId::DEFAULT, CHECK), &wrapped).is_some()))
    }

    /// Wraps every key by another master key. Returns how many.
    pub fn rewrap(&self, db: &Connection, master: &Key) -> Result<u64, Fault> {
        let mut select = db.prepare("SELECT key_id, tenant, scope, wrapped FROM subject_key")?;
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, Uuid>(0)?, TenantId(row.get(1)?), row.get::<_, String>(2)?, row.get(3)?))
        })?;
        let mut count = 0;
        for (id, tenant, scope, wrapped) in rows.collect::<Result<Vec<_>, _>>()? {
            let key = self.unwrap(id, tenant, &scope, wrapped)?;
            let wrapped = master.seal(self.clock.entropy(), &about_key(id, tenant, &scope), key.bytes());
            db.execute("UPDATE subject_key SET wrapped = ?2 WHERE key_id = ?1", params![id, wrapped])?;
            count += 1;
        }
        Ok(count)
    }

    fn unwrap(&self, id: Uuid, tenant: TenantId, scope: &str, wrapped: Vec<u8>) -> Result<Arc<Key>, Fault> {
        if let Some(key) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(key));
        }
        let plain = self.master.open(&about_key(id, tenant, scope), &wrapped);
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

    /// Drops the unwrapped keys, after a subject's was destroyed.
    pub fn forget(&self) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn wrapped_of(db: &Connection, tenant: TenantId, scope: &str) -> rusqlite::Result<Option<(Uuid, Vec<u8>)>> {
    let mut select = db.prepare_cached("SELECT key_id, wrapped FROM subject_key WHERE scope = ?1 AND tenant = ?2")?;
    select.query_row(params![scope, tenant.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Associated data of a wrapped key: it opens only in its own row.
fn about_key(id: Uuid, tenant: TenantId, scope: &str) -> Vec<u8> {
    [b"psyche.key\0".as_slice(), id.as_bytes(), tenant.0.as_bytes(), scope.as_bytes()].concat()
}
