//! The one value everything hangs from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use psyche_core::port::{Bus, Clock, Directory, EphemeralStore, EventLog, ModelCatalog};
use psyche_engine::Engine;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::options::ServerOptions;
use crate::passwords::Hasher;
use crate::tokens::Keys;

/// What the server needs from outside.
#[derive(Clone)]
pub struct Ports {
    pub engine: Engine,
    pub log: Arc<dyn EventLog>,
    pub directory: Arc<dyn Directory>,
    pub bus: Arc<dyn Bus>,
    pub ephemeral: Arc<dyn EphemeralStore>,
    pub clock: Arc<dyn Clock>,
    pub models: Arc<dyn ModelCatalog>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

pub(crate) struct App {
    pub options: ServerOptions,
    pub ports: Ports,
    pub keys: Keys,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub metrics: Metrics,
    pub monitor: Monitor,
    pub hub: Hub,
    pub tracker: TaskTracker,
    /// Cancelled when the server begins to leave: not ready, sockets say goodbye.
    pub leaving: CancellationToken,
    pub sockets: AtomicUsize,
    pub started_ms: u64,
    /// The OpenAPI document, as it is served.
    pub document: bytes::Bytes,
}

pub(crate) type Shared = Arc<App>;

impl App {
    pub fn socket_count(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
}
