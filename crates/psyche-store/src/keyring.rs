//! The keys of subjects outside the database: making, wrapping and unwrapping them, and remembering the unwrapped. Where
//! their rows lie is each adapter's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Clock, StoreError};
use psyche_core::words::Subject;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::seal::Key;

/// Unwrapped keys that are kept. Beyond it all are dropped: unwrapping one again takes microseconds.
const KEPT: usize = 4096;

/// The scope of the row that tells whether the master key is the one this database was made with.
pub const CHECK: &str = "check";

pub struct Keyring {
    masters: RwLock<Masters>,
    clock: Arc<dyn Clock>,
    /// By key id. An id is random and stands for one key for ever, so an entry can be stale but never wrong: whether a
    /// key still exists is for the database to say.
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

/// A new key, and how its row holds it.
pub struct Fresh {
    pub id: Uuid,
    pub wrapped: Vec<u8>,
    key: Key,
}

/// The name of a subject's key. A person has one key for all sessions.
pub fn scope(session: SessionId, subject: Subject) -> String {
    match subject {
        Subject::Session => format!("session:{session}"),
        Subject::User(id) => format!("user:{id}"),
    }
}

/// The name of the key of a value that is a secret as a whole.
pub fn value_scope(kind: &str, id: &str) -> String {
    format!("{kind}:{id}")
}

impl Keyring {
    pub fn new(master: [u8; 32], before: Option<[u8; 32]>, clock: Arc<dyn Clock>) -> Self {
        let masters = Masters { current: Key::new(master), before: before.map(Key::new) };
        Self { masters: RwLock::new(masters), clock, opened: Mutex::default() }
    }

    fn masters(&self) -> RwLockReadGuard<'_, Masters> {
        self.masters.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Key>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn entropy(&self) -> [u8; 32] {
        self.clock.entropy()
    }

    pub fn uuid(&self) -> Uuid {
        self.clock.uuid()
    }

    /// A key for a row that is still to be stored.
    pub fn fresh(&self, tenant: TenantId, scope: &str) -> Fresh {
        let id = self.clock.uuid();
        let key = Key::new(self.clock.entropy());
        let wrapped = self.masters().current.seal(self.clock.entropy(), &about_key(id, tenant, scope), key.bytes());
        Fresh { id, wrapped, key }
    }

    /// Remembers a fresh key whose row is stored.
    pub fn stored(&self, fresh: Fresh) -> (Uuid, Arc<Key>) {
        (fresh.id, self.keep(fresh.id, fresh.key))
    }

    /// The key of a row.
    pub fn unwrap(&self, id: Uuid, tenant: TenantId, scope: &str, wrapped: &[u8]) -> Result<Arc<Key>, StoreError> {
        if let Some(key) = self.opened().get(&id) {
            return Ok(Arc::clone(key));
        }
        let plain = self.masters().open(&about_key(id, tenant, scope), wrapped);
        let bytes: [u8; 32] =
            plain.and_then(|plain| plain.as_slice().try_into().ok()).ok_or_else(|| unopened(scope))?;
        Ok(self.keep(id, Key::new(bytes)))
    }

    /// Whether the master key opens the check row.
    pub fn fits(&self, id: Uuid, wrapped: &[u8]) -> bool {
        self.masters().open(&about_key(id, TenantId::DEFAULT, CHECK), wrapped).is_some()
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

    /// The row's key wrapped by the master key; nothing when it is already.
    pub fn rewrapped(
        &self,
        id: Uuid,
        tenant: TenantId,
        scope: &str,
        wrapped: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let masters = self.masters();
        let about = about_key(id, tenant, scope);
        if masters.current.open(&about, wrapped).is_some() {
            return Ok(None);
        }
        let key = masters.open(&about, wrapped).ok_or_else(|| unopened(scope))?;
        Ok(Some(masters.current.seal(self.clock.entropy(), &about, &key)))
    }

    fn keep(&self, id: Uuid, key: Key) -> Arc<Key> {
        let key = Arc::new(key);
        let mut opened = self.opened();
        if opened.len() >= KEPT {
            opened.clear();
        }
        opened.insert(id, Arc::clone(&key));
        key
    }

    /// Drops the unwrapped keys, after a subject's was destroyed.
    pub fn forget(&self) {
        self.opened().clear();
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

fn unopened(scope: &str) -> StoreError {
    StoreError::Corrupt(format!("the key of {scope} cannot be unwrapped: its row was changed"))
}

/// Associated data of a wrapped key: it opens only in its own row.
fn about_key(id: Uuid, tenant: TenantId, scope: &str) -> Vec<u8> {
    [b"psyche.key\0".as_slice(), id.as_bytes(), tenant.0.as_bytes(), scope.as_bytes()].concat()
}
