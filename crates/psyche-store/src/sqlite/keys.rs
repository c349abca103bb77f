//! Keys of subjects: random, wrapped by the master key, one row each. Deleting the row is what erases a person's words.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Clock, StoreError};
use psyche_core::words::Subject;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::seal::Key;

/// Unwrapped keys that are kept. Beyond it all are dropped: unwrapping one again takes microseconds.
const KEPT: usize = 4096;

/// The row that tells whether the master key is the one this database was made with.
const CHECK: &str = "check";

pub struct Keys {
    masters: RwLock<Masters>,
    clock: Arc<dyn Clock>,
    /// By key id. An id is random and stands for one key for ever, so an entry can be stale but never wrong: whether a
    /// key still exists is asked of the database each time a text is sealed or read.
    opened: Mutex<HashMap<Uuid, Arc<Key>>>,
}

/// The master key; and the one before it, as long as keys may be wrapped by that.
struct Masters {
    current: Key,
    before: Option<Key>,
}

impl Masters {
    /// The plain key, whichever of the two has wrapped it.
    fn open(&self, about: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let by = |master: &Key| master.open(about, wrapped);
        by(&self.current).or_else(|| self.before.as_ref().and_then(by))
    }
}

/// The name of a subject's key. A person has one key for all sessions.
pub fn scope(session: SessionId, subject: Subject) -> String {
    match subject {
        Subject::Session => format!("session:{session}"),
        Subject::User(id) => format!("user:{id}"),
    }
}

impl Keys {
    pub fn new(master: [u8; 32], before: Option<[u8; 32]>, clock: Arc<dyn Clock>) -> Self {
        let masters = Masters { current: Key::new(master), before: before.map(Key::new) };
        Self { masters: RwLock::new(masters), clock, opened: Mutex::default() }
    }

    fn masters(&self) -> RwLockReadGuard<'_, Masters> {
        self.masters.read().unwrap_or_else(PoisonError::into_inner)
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
        let wrapped = self.masters().current.seal(self.clock.entropy(), &about_key(id, tenant, scope), key.bytes());
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
        Ok(stored.is_none_or(|(id, wrapped)| {
            self.masters().open(&about_key(id, TenantId::DEFAULT, CHECK), &wrapped).is_some()
        }))
    }

    /// From now on keys are wrapped by another master key, and those that are not yet are still opened. False when a change
    /// of another key is not finished; nothing happens then.
    pub fn change_master(&self, master: [u8; 32]) -> bool {
        let mut masters = self.masters.write().unwrap_or_else(PoisonError::into_inner);
        if *masters.current.bytes() == master {
            return true;
        }
        if masters.before.is_some() {
            return false;
        }
        let before = std::mem::replace(&mut masters.current, Key::new(master));
        masters.before = Some(before);
        true
    }

    /// Every key is wrapped by the master key: the one before opens nothing any more.
    pub fn forget_master_before(&self) {
        self.masters.write().unwrap_or_else(PoisonError::into_inner).before = None;
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
        let masters = self.masters();
        let mut count = 0;
        for (id, tenant, scope, wrapped) in &rows {
            let about = about_key(*id, *tenant, scope);
            if masters.current.open(&about, wrapped).is_some() {
                continue;
            }
            let key = masters.open(&about, wrapped).ok_or_else(|| unopened(scope))?;
            let wrapped = masters.current.seal(self.clock.entropy(), &about, &key);
            db.execute("UPDATE subject_key SET wrapped = ?2 WHERE key_id = ?1", params![id, wrapped])?;
            count += 1;
        }
        Ok((rows.last().map(|(id, ..)| *id), count))
    }

    fn unwrap(&self, id: Uuid, tenant: TenantId, scope: &str, wrapped: Vec<u8>) -> Result<Arc<Key>, Fault> {
        if let Some(key) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(key));
        }
        let plain = self.masters().open(&about_key(id, tenant, scope), &wrapped);
        let bytes: [u8; 32] =
            plain.and_then(|plain| plain.as_slice().try_into().ok()).ok_or_else(|| unopened(scope))?;
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

fn unopened(scope: &str) -> StoreError {
    StoreError::Corrupt(format!("the key of {scope} cannot be unwrapped: its row was changed"))
}

fn wrapped_of(db: &Connection, tenant: TenantId, scope: &str) -> rusqlite::Result<Option<(Uuid, Vec<u8>)>> {
    let mut select = db.prepare_cached("SELECT key_id, wrapped FROM subject_key WHERE scope = ?1 AND tenant = ?2")?;
    select.query_row(params![scope, tenant.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Associated data of a wrapped key: it opens only in its own row.
fn about_key(id: Uuid, tenant: TenantId, scope: &str) -> Vec<u8> {
    [b"psyche.key\0".as_slice(), id.as_bytes(), tenant.0.as_bytes(), scope.as_bytes()].concat()
}
