//! Read-only connections. Long reads run on blocking threads, as many at once as there are connections; the rest wait.
//! A row that is found by its key takes microseconds, less than a change of threads: such reads run where they are asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::port::StoreError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::fault::{Fault, closed};

/// Long reads at once.
const CONNECTIONS: usize = 4;
/// Connections kept open while nobody uses them.
const KEPT: usize = 8;

#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    busy: Duration,
    permits: Arc<Semaphore>,
    /// Connections nobody uses now. Held for a push or a pop.
    free: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub fn new(path: PathBuf, busy: Duration) -> Self {
        Self { path, busy, permits: Arc::new(Semaphore::new(CONNECTIONS)), free: Arc::default() }
    }

    /// Runs the reading in one read transaction: it sees one state of the database.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let (path, busy, free) = (self.path.clone(), self.busy, Arc::clone(&self.free));
        let reading = tokio::task::spawn_blocking(move || {
            let outcome = borrow(&path, busy, &free, |db| {
                let transaction = db.transaction()?;
                work(&transaction)
            });
            drop(permit);
            outcome
        });
        reading
            .await
            .unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a read ended early: {error}")).into()))
    }

    /// Runs a reading that finds its row by a key, at once.
    pub fn look<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.permits.is_closed() {
            return Err(closed().into());
        }
        borrow(&self.path, self.busy, &self.free, |db| work(db))
    }

    /// Ends the connections; reads fail from now on.
    pub async fn close(&self) {
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        // All permits at once: no read is under way.
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
        self.permits.close();
        lock(&self.free).clear();
    }
}

fn borrow<T>(
    path: &Path,
    busy: Duration,
    free: &Mutex<Vec<Connection>>,
    work: impl FnOnce(&mut Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let idle = lock(free).pop();
    let mut db = match idle {
        Some(db) => db,
        None => open(path, busy)?,
    };
    let outcome = work(&mut db);
    let mut free = lock(free);
    if free.len() < KEPT {
        free.push(db);
    }
    outcome
}

/// A read-only connection.
pub fn open(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(busy)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn lock(free: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}
