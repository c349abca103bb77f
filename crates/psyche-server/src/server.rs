//! The server's life: bind elsewhere, run here, leave in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use psyche_core::audit::sign;
use psyche_core::words::Hash;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{Accounts, watch_rights};
use crate::alerts;
use crate::analyses::Analyses;
use crate::api::health;
use crate::app::{App, Ports, Shared};
use crate::blocks::Blocks;
use crate::door::Door;
use crate::envelope;
use crate::expiry;
use crate::histories::Histories;
use crate::live::{Hub, watch_changes, watch_system};
use crate::memory;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::options::ServerOptions;
use crate::passwords::Hasher;
use crate::providers;
use crate::rates::Rates;
use crate::retention::{self, Jobs};
use crate::routes;
use crate::tokens::Keys;
use crate::web_files;

/// Connections at once to the listener for metrics.
const SCRAPERS: usize = 64;

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("jwt_secrets: {0}")]
    Secrets(&'static str),
    #[error("passwords cannot be hashed: {0}")]
    Hasher(String),
}

/// HTTP and sockets over the engine. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    app: Shared,
    router: Router,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("options", &self.app.options).finish_non_exhaustive()
    }
}

impl Server {
    /// Takes some tens of milliseconds: the hash of nobody's password is made here.
    pub fn new(ports: Ports, options: ServerOptions) -> Result<Self, StartError> {
        if options.jwt_secrets.is_empty() {
            return Err(StartError::Secrets("there is none; give at least one key"));
        }
        if options.jwt_secrets.iter().any(|secret| secret.len() < 32) {
            return Err(StartError::Secrets("a key is shorter than 32 bytes; give 32 random bytes"));
        }
        let (router, operations, rows) = routes::all().split();
        let document = crate::openapi::complete(operations, &rows);
        let app = Arc::new(App {
            keys: Keys::new(&options.jwt_secrets),
            hasher: Hasher::new(options.password_hash, ports.clock.entropy()).map_err(StartError::Hasher)?,
            accounts: Accounts::default(),
            analyses: Analyses::default(),
            histories: Histories::default(),
            blocks: Blocks::default(),
            rates: Rates::new(&options.limits, Arc::clone(&ports.counters)),
            me: ports.clock.uuid(),
            device_key: sign(&Hash::of(&options.jwt_secrets[0]).0, &[b"psyche.devices"]).0,
            jobs: Jobs::default(),
            providers: tokio::sync::Mutex::default(),
            audited: Notify::new(),
            metrics: Metrics::default(),
            monitor: Monitor::default(),
            hub: Hub::default(),
            tracker: TaskTracker::new(),
            leaving: CancellationToken::new(),
            sockets: AtomicUsize::new(0),
            exports: Arc::new(tokio::sync::Semaphore::new(options.limits.exports_at_once)),
            started_ms: ports.clock.monotonic_ms(),
            document: document.to_json().map(Into::into).unwrap_or_default(),
            ports,
            options,
        });
        let router = router
            .fallback(web_files::serve)
            .layer(from_fn_with_state(Arc::clone(&app), envelope::around))
            .with_state(Arc::clone(&app));
        Ok(Self { app, router })
    }

    /// The public routes.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// `/metrics` without a question, and the probes: for the operator's own listener. Ends when the token is cancelled
    /// and the answers under way are out.
    pub async fn run_metrics(self, listener: TcpListener, token: CancellationToken) {
        let router = Router::new()
            .route("/metrics", get(health::open_metrics))
            .route("/live", get(health::live))
            .route("/ready", get(health::ready))
            .with_state(Arc::clone(&self.app));
        let tracker = TaskTracker::new();
        let door = Door {
            router,
            tls: None,
            places: SCRAPERS,
            header_timeout: self.app.options.limits.header_timeout,
            tracker: tracker.clone(),
            leaving: token.clone(),
        };
        door.open(listener, &token).await;
        tracker.close();
        tracker.wait().await;
    }

    /// Open sockets at this moment.
    pub fn sockets(&self) -> usize {
        self.app.socket_count()
    }

    /// Passwords that were looked at since the start.
    pub fn password_checks(&self) -> u64 {
        self.app.hasher.checks.load(Ordering::Relaxed)
    }

    /// Removes what has had its time, now. The server does so by itself each hour.
    pub async fn sweep(&self) {
        retention::sweep(&self.app).await;
    }

    /// Serves until the token is cancelled; then sockets say goodbye, and answers under way may end.
    pub async fn run(self, listener: TcpListener, token: CancellationToken) -> std::io::Result<()> {
        // Listening before the first socket comes: no change of rights is missed.
        self.app.tracker.spawn(watch_changes(Arc::clone(&self.app), self.app.accounts.changes()));
        self.app.tracker.spawn(watch_rights(Arc::clone(&self.app)));
        self.app.tracker.spawn(watch_system(Arc::clone(&self.app)));
        self.app.tracker.spawn(alerts::watch(Arc::clone(&self.app)));
        self.app.tracker.spawn(retention::run(Arc::clone(&self.app)));
        self.app.tracker.spawn(memory::watch(Arc::clone(&self.app)));
        if self.app.options.replicas {
            self.app.tracker.spawn(providers::watch(Arc::clone(&self.app)));
        }
        self.app.tracker.spawn(expiry::watch(Arc::clone(&self.app), self.app.ports.engine.expirations()));
        let limits = &self.app.options.limits;
        let door = Door {
            router: self.router.clone(),
            tls: self.app.options.tls.clone(),
            places: limits.connections,
            header_timeout: limits.header_timeout,
            tracker: self.app.tracker.clone(),
            leaving: self.app.leaving.clone(),
        };
        door.open(listener, &token).await;
        self.app.leaving.cancel();
        self.app.tracker.close();
        if tokio::time::timeout(limits.drain, self.app.tracker.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are dropped");
        }
        Ok(())
    }
}
