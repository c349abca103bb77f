//! Health, life, readiness, metrics: what probes and scrapers read.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use psyche_core::Timestamp;
use psyche_core::permission::{Permission, verdict};
use psyche_core::port::{CircuitState, Relation};
use psyche_core::session::SessionType;
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::access::{bearer, signed_in};
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::Json;
use crate::metrics::Now;

/// A dependency that does not answer within this does not work.
const PROBE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Healthy,
    Degraded,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    pub status: Status,
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Only for those who may monitor the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub components: Components,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Components {
    pub store: Component,
    pub bus: Component,
    pub model: Component,
    pub websocket: Component,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Component {
    pub status: Status,
    /// Only for those who may monitor the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
}

impl Component {
    fn of(works: bool) -> Self {
        Self { status: if works { Status::Healthy } else { Status::Degraded }, connections: None }
    }
}

impl Components {
    pub fn is_healthy(&self) -> bool {
        [&self.store, &self.bus, &self.model, &self.websocket].iter().all(|c| c.status == Status::Healthy)
    }
}

pub async fn components(app: &App) -> Components {
    let ports = &app.ports;
    let (store, bus) = tokio::join!(probe(ports.log.probe()), probe(ports.bus.probe()));
    let model = ports.models.model(ports.models.default_model());
    let model = model.is_some_and(|m| m.ready().is_ok() && m.circuit() != CircuitState::Open);
    Components {
        store: Component::of(store),
        bus: Component::of(bus),
        model: Component::of(model),
        websocket: Component::of(!app.leaving.is_cancelled()),
    }
}

async fn probe<E>(work: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(PROBE, work).await, Ok(Ok(())))
}

/// What works. Versions and counts only with `system:monitor`.
#[utoipa::path(get, path = "/api/v1/health", tag = "health", responses((status = 200, body = Health)))]
pub async fn health(State(app): State<Shared>, headers: HeaderMap) -> Json<Health> {
    let mut components = components(&app).await;
    let status = if components.is_healthy() { Status::Healthy } else { Status::Degraded };
    let monitors = may_monitor(&app, &headers).await;
    if monitors {
        components.websocket.connections = Some(app.socket_count());
    }
    let version = monitors.then(|| app.options.version.clone());
    Json(Health { status, timestamp: app.ports.clock.now(), version, components })
}

async fn may_monitor(app: &App, headers: &HeaderMap) -> bool {
    let Some(token) = bearer(headers) else { return false };
    let Ok((_, caller)) = signed_in(app, token).await else { return false };
    let answer = verdict(Some(caller.role), Permission::SystemMonitor, Relation::None, SessionType::default());
    answer.is_allowed()
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    alive: bool,
}

/// The process runs.
#[utoipa::path(get, path = "/api/v1/live", tag = "health", responses((status = 200, body = Alive)))]
pub async fn live() -> Json<Alive> {
    Json(Alive { alive: true })
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

/// Whether requests should be sent here.
#[utoipa::path(
    get, path = "/api/v1/ready", tag = "health",
    responses((status = 200, body = Ready), (status = 503, body = Ready))
)]
pub async fn ready(State(app): State<Shared>) -> Response {
    let reason = why_not_ready(&app).await;
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Ready { ready: reason.is_none(), reason, timestamp: app.ports.clock.now() };
    let mut response = (status, axum::Json(body)).into_response();
    // The protocol gives this 503 its own body.
    response.extensions_mut().insert(crate::envelope::OwnBody);
    response
}

async fn why_not_ready(app: &App) -> Option<&'static str> {
    if app.leaving.is_cancelled() {
        return Some("shutting down");
    }
    (!probe(app.ports.log.probe()).await).then_some("store not ready")
}

/// Prometheus text, for those with `system:monitor` or the scrape token.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, content_type = "text/plain", body = String), (status = 401, description = "Neither a scrape token nor a token of somebody who may monitor."))
)]
pub async fn metrics(State(app): State<Shared>, headers: HeaderMap) -> Answer<Response> {
    let scraper = match (bearer(&headers), &app.options.metrics_token) {
        (Some(sent), Some(token)) => bool::from(sent.as_bytes().ct_eq(token.as_bytes())),
        _ => false,
    };
    if !scraper && !may_monitor(&app, &headers).await {
        return Err(if bearer(&headers).is_some() { ApiError::forbidden() } else { ApiError::unauthenticated() });
    }
    Ok(open_metrics(State(app)).await)
}

/// The same without a question, for the operator's own listener.
pub async fn open_metrics(State(app): State<Shared>) -> Response {
    let now = Now {
        sockets: app.socket_count(),
        sessions_running: app.ports.engine.running(),
        feeds: app.hub.feeds(),
        ready: why_not_ready(&app).await.is_none(),
        short_of_memory: app.ports.engine.is_short_of_memory(),
        version: app.options.version.clone(),
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.text(&now)).into_response()
}
