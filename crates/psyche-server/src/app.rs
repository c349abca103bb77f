//! The one value everything hangs from.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use psyche_core::audit::AuditDraft;
use psyche_core::port::{AuditLog, Bus, Clock, Directory, EphemeralStore, EventLog, ModelCatalog};
use psyche_engine::Engine;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::alerts::Courier;
use crate::analyses::Analyses;
use crate::blocks::Blocks;
use crate::client::bucket;
use crate::error::Answer;
use crate::histories::Histories;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::options::ServerOptions;
use crate::passwords::Hasher;
use crate::rates::Rates;
use crate::retention::Jobs;
use crate::tokens::Keys;

/// What the server needs from outside.
#[derive(Clone)]
pub struct Ports {
    pub engine: Engine,
    pub log: Arc<dyn EventLog>,
    pub directory: Arc<dyn Directory>,
    pub bus: Arc<dyn Bus>,
    pub ephemeral: Arc<dyn EphemeralStore>,
    /// Counts of failures and the like. Apart from `ephemeral`, so that nothing a client can make many of pushes them out.
    pub counters: Arc<dyn EphemeralStore>,
    pub audit: Arc<dyn AuditLog>,
    /// Takes alerts to where the operator wants them.
    pub courier: Option<Arc<dyn Courier>>,
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
    pub analyses: Analyses,
    pub histories: Histories,
    pub blocks: Blocks,
    pub rates: Rates,
    /// Tells this process from other replicas.
    pub me: uuid::Uuid,
    /// Signs what a browser keeps to be known again.
    pub device_key: [u8; 32],
    pub jobs: Jobs,
    /// Held while a provider is changed.
    pub providers: tokio::sync::Mutex<()>,
    /// Rung when the audit trail has grown.
    pub audited: tokio::sync::Notify,
    pub metrics: Metrics,
    pub monitor: Monitor,
    pub hub: Hub,
    pub tracker: TaskTracker,
    /// Cancelled when the server begins to leave: not ready, sockets say goodbye.
    pub leaving: CancellationToken,
    pub sockets: AtomicUsize,
    /// Places for exports and imports at once.
    pub exports: Arc<tokio::sync::Semaphore>,
    pub started_ms: u64,
    /// The OpenAPI document, as it is served.
    pub document: bytes::Bytes,
}

pub(crate) type Shared = Arc<App>;

impl App {
    /// Stores rows of the audit trail that belong to no other write.
    pub async fn record(&self, rows: Vec<AuditDraft>) -> Answer<()> {
        self.ports.audit.record(rows).await?;
        self.audited.notify_one();
        Ok(())
    }

    /// The same for what one client may cause many of: only the first within a minute is stored.
    pub async fn record_now_and_then(&self, kind: &str, address: IpAddr, row: AuditDraft) -> Answer<()> {
        let key = format!("{kind}:{}", bucket(address));
        match self.ports.counters.increment(&key, 60_000).await {
            Ok(1) => self.record(vec![row]).await,
            _ => Ok(()),
        }
    }

    /// Whether a job that one of all replicas should do is this one's, for that long. Without what they share each does it.
    pub async fn is_ours(&self, job: &str, for_ms: u64) -> bool {
        if !self.options.replicas {
            return true;
        }
        let me = self.me.as_bytes();
        match self.ports.ephemeral.put_new(&format!("job:{job}"), me.to_vec(), for_ms).await {
            Ok(Some(owner)) => owner == me,
            Ok(None) | Err(_) => true,
        }
    }

    /// A directory whose next write takes these rows along, or fails with them.
    pub fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory> {
        self.audited.notify_one();
        self.ports.audit.directory_with(rows)
    }

    pub fn socket_count(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
}
