//! Expiring values in process, within bounded memory.
//!
//! Durations are monotonic. When the bounds are reached, values that would expire soonest make room: they have the
//! least left to say. A value larger than all the room is refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use psyche_core::port::{Clock, EphemeralStore, StoreError};

/// How much may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub entries: usize,
    /// Of keys and values together.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 32 << 20 }
    }
}

/// Clones share their values.
#[derive(Clone)]
pub struct LocalEphemeral {
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// Held for one operation, never across an await: each operation is atomic.
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<Arc<str>, Entry>,
    /// Expiry and a serial number of each entry, soonest first.
    expiries: BTreeMap<(u64, u64), Arc<str>>,
    bytes: usize,
    serial: u64,
}

struct Entry {
    value: Vec<u8>,
    expiry: (u64, u64),
}

impl LocalEphemeral {
    pub fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { clock, limits, shelf: Arc::default() }
    }

    /// The shelf without what has expired by now.
    fn shelf(&self, now: u64) -> MutexGuard<'_, Shelf> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        while shelf.expiries.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            shelf.remove_soonest();
        }
        shelf
    }
}

#[async_trait]
impl EphemeralStore for LocalEphemeral {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let shelf = self.shelf(self.clock.monotonic_ms());
        Ok(shelf.entries.get(key).map(|entry| entry.value.clone()))
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<(), StoreError> {
        let now = self.clock.monotonic_ms();
        self.shelf(now).put(self.limits, key, value, now.saturating_add(ttl_ms))
    }

    async fn put_new(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.clock.monotonic_ms();
        let mut shelf = self.shelf(now);
        if let Some(entry) = shelf.entries.get(key) {
            return Ok(Some(entry.value.clone()));
        }
        shelf.put(self.limits, key, value, now.saturating_add(ttl_ms)).map(|()| None)
    }

    async fn increment(&self, key: &str, ttl_ms: u64) -> Result<u64, StoreError> {
        let now = self.clock.monotonic_ms();
        let mut shelf = self.shelf(now);
        let Some(entry) = shelf.entries.get(key) else {
            return shelf.put(self.limits, key, b"1".to_vec(), now.saturating_add(ttl_ms)).map(|()| 1);
        };
        let count = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<u64>().ok());
        let count = count.ok_or_else(|| StoreError::Corrupt(format!("the value of {key:?} is not a count")))?;
        let count = count.saturating_add(1);
        // The time to live started with the first.
        let at = entry.expiry.0;
        shelf.put(self.limits, key, count.to_string().into_bytes(), at).map(|()| count)
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.shelf(self.clock.monotonic_ms()).remove(key))
    }
}

impl Shelf {
    fn put(&mut self, limits: Limits, key: &str, value: Vec<u8>, at: u64) -> Result<(), StoreError> {
        let size = key.len() + value.len();
        if size > limits.bytes || limits.entries == 0 {
            let message =
                format!("a value of {size} bytes does not fit into the {} bytes for expiring values", limits.bytes);
            return Err(StoreError::Unavailable(message));
        }
        self.remove(key);
        while self.bytes + size > limits.bytes || self.entries.len() >= limits.entries {
            self.remove_soonest();
        }
        self.serial += 1;
        let (key, expiry): (Arc<str>, _) = (key.into(), (at, self.serial));
        self.bytes += size;
        self.expiries.insert(expiry, Arc::clone(&key));
        self.entries.insert(key, Entry { value, expiry });
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Option<Vec<u8>> {
        let entry = self.entries.remove(key)?;
        self.expiries.remove(&entry.expiry);
        self.bytes -= key.len() + entry.value.len();
        Some(entry.value)
    }

    fn remove_soonest(&mut self) {
        if let Some((_, key)) = self.expiries.pop_first() {
            self.remove(&key);
        }
    }
}

impl fmt::Debug for LocalEphemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEphemeral").field("limits", &self.limits).finish_non_exhaustive()
    }
}
