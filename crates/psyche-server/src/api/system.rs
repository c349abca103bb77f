//! How the system is: dependencies, sessions, sockets, models, memory.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::extract::State;
use psyche_core::port::{SessionFilter, for_each_session};
use psyche_core::{TenantId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::error::Answer;
use crate::json::Json;
use crate::monitor::ResourceUsage;
use crate::retention::Job;

use super::health::{self, Components, Status};

#[derive(Debug, Serialize, ToSchema)]
pub struct SystemStatus {
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    version: String,
    uptime_s: u64,
    components: Components,
    /// Sessions this process drives.
    sessions_running: usize,
    websocket_connections: usize,
    /// Sessions with at least one reader.
    live_sessions: usize,
    resource_usage: ResourceUsage,
    /// What is removed when its time has come.
    jobs: Vec<Job>,
}

/// Dependencies, sockets, memory.
#[utoipa::path(get, path = "/api/v1/system/status", tag = "system", responses((status = 200, body = SystemStatus)))]
pub async fn status(State(app): State<Shared>) -> Json<SystemStatus> {
    let components = health::components(&app).await;
    let now_ms = app.ports.clock.monotonic_ms();
    Json(SystemStatus {
        status: if components.is_healthy() { Status::Healthy } else { Status::Degraded },
        timestamp: app.ports.clock.now(),
        version: app.options.version.clone(),
        uptime_s: now_ms.saturating_sub(app.started_ms) / 1000,
        components,
        sessions_running: app.ports.engine.running(),
        websocket_connections: app.socket_count(),
        live_sessions: app.hub.feeds(),
        resource_usage: app.monitor.usage(now_ms),
        jobs: app.jobs.all(),
    })
}

#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Statistics {
    sessions: usize,
    sessions_by_status: BTreeMap<&'static str, usize>,
    events: u64,
    turns: u64,
    tokens: u64,
    cost: f64,
    emergencies: u64,
    frames_sent: u64,
    slow_readers_cut: u64,
    live_frames_dropped: u64,
}

/// Sums over all sessions.
#[utoipa::path(get, path = "/api/v1/system/statistics", tag = "system", responses((status = 200, body = Statistics)))]
pub async fn statistics(State(app): State<Shared>) -> Answer<Json<Statistics>> {
    let mut sums = Statistics {
        frames_sent: app.metrics.frames_sent.load(Ordering::Relaxed),
        slow_readers_cut: app.metrics.slow_readers_cut.load(Ordering::Relaxed),
        live_frames_dropped: app.metrics.live_dropped.load(Ordering::Relaxed),
        ..Statistics::default()
    };
    let all = SessionFilter::default();
    for_each_session(app.ports.directory.as_ref(), TenantId::DEFAULT, all, |session| {
        sums.sessions += 1;
        *sums.sessions_by_status.entry(session.status.name()).or_default() += 1;
        sums.events += session.seq;
        sums.turns += session.turn;
        sums.tokens += session.spent.tokens;
        sums.cost += session.spent.cost;
        sums.emergencies += session.emergencies;
    })
    .await?;
    Ok(Json(sums))
}
