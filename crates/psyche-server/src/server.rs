//! The server's life: bind elsewhere, run here, leave in order.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::get;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use psyche_core::audit::sign;
use psyche_core::words::Hash;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::accounts::{Accounts, watch_rights};
use crate::alerts;
use crate::api::auth::Peer;
use crate::api::health;
use crate::app::{App, Ports, Shared};
use crate::blocks::Blocks;
use crate::envelope;
use crate::expiry;
use crate::live::{Hub, watch_changes, watch_system};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::options::ServerOptions;
use crate::passwords::Hasher;
use crate::rates::Rates;
use crate::retention::{self, Jobs};
use crate::routes;
use crate::tokens::Keys;
use crate::web_files;

/// Request heads larger than this are refused (LIM-01).
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 100;

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
            blocks: Blocks::default(),
            rates: Rates::new(&options.limits),
            device_key: sign(&Hash::of(&options.jwt_secrets[0]).0, &[b"psyche.devices"]).0,
            jobs: Jobs::default(),
            audited: Notify::new(),
            metrics: Metrics::default(),
            monitor: Monitor::default(),
            hub: Hub::default(),
            tracker: TaskTracker::new(),
            leaving: CancellationToken::new(),
            sockets: AtomicUsize::new(0),
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

    /// `/metrics` without a question, and the probes: for the operator's own listener.
    pub fn metrics_router(&self) -> Router {
        Router::new()
            .route("/metrics", get(health::open_metrics))
            .route("/live", get(health::live))
            .route("/ready", get(health::ready))
            .with_state(Arc::clone(&self.app))
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
        self.app.tracker.spawn(expiry::watch(Arc::clone(&self.app), self.app.ports.engine.expirations()));
        let limits = self.app.options.limits.clone();
        let places = Arc::new(Semaphore::new(limits.connections));
        loop {
            let place = tokio::select! {
                () = token.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                () = token.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.app.tracker.spawn(self.clone().connection(stream, peer, place));
                }
                Err(error) => {
                    // Out of descriptors, most likely: others may end soon.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        self.app.leaving.cancel();
        self.app.tracker.close();
        if tokio::time::timeout(limits.drain, self.app.tracker.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are dropped");
        }
        Ok(())
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let _place = place;
        // Frames are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let (router, tracker) = (self.router.clone(), self.app.tracker.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let answer = router.clone().oneshot(request.map(axum::body::Body::new));
            // A client that breaks off does not break off what it asked for: half a password change is worse than none.
            let work = tracker.spawn(answer);
            async move { work.await.unwrap_or_else(|_| Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.app.options.limits.header_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            // Clients break off as they like.
            _ = connection.as_mut() => {}
            () = self.app.leaving.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}
