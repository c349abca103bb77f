//! What is not kept for ever: rows of the audit trail, dead sign-ins, used-up tokens and blocks, and sessions where the
//! operator says so. Once at the start, then
//! each hour.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use psyche_core::audit::{AuditDraft, AuditType};
use psyche_core::port::{SessionFilter, StoreError, for_each_session};
use psyche_core::session::SessionStatus;
use psyche_core::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::api::auth::millis;
use crate::app::{App, Shared};
use crate::context;

const EVERY: Duration = Duration::from_hours(1);
/// Ended sign-ins are shown to nobody, but a new one is compared with them for a while.
const DEAD_FOR: Duration = Duration::from_hours(30 * 24);

/// What a job last did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    name: &'static str,
    #[schema(value_type = String, format = DateTime)]
    last_run: Timestamp,
    /// `success` or `failure`.
    outcome: &'static str,
    /// Rows removed by that run.
    removed: u64,
}

#[derive(Default)]
pub struct Jobs(Mutex<Vec<Job>>);

impl Jobs {
    pub fn all(&self) -> Vec<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &'static str, at: Timestamp, outcome: Result<u64, StoreError>) {
        let removed = outcome.as_ref().copied().unwrap_or(0);
        let job = Job { name, last_run: at, outcome: if outcome.is_ok() { "success" } else { "failure" }, removed };
        if let Err(error) = outcome {
            tracing::warn!(%error, job = name, "a retention job failed; it is tried again in an hour");
        }
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|known| known.name != name);
        jobs.push(job);
    }
}

pub async fn run(app: Shared) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // A minute less, so that the next hour's is not the same replica's for ever.
        if app.is_ours("retention", u64::try_from(EVERY.as_millis()).unwrap_or(0) - 60_000).await {
            sweep(&app).await;
        }
    }
}

pub async fn sweep(app: &App) {
    let now = app.ports.clock.now();
    let before = |age: Duration| now.plus_ms(-millis(age));
    app.jobs.note("sign-ins", now, app.ports.directory.sweep(before(DEAD_FOR)).await);
    if let Some(age) = app.options.audit_retention {
        app.jobs.note("audit", now, app.ports.audit.prune(before(age)).await);
    }
    if let Some(age) = app.options.session_retention {
        app.jobs.note("sessions", now, old_sessions(app, before(age)).await);
    }
}

/// Removes sessions that nothing has happened in since `before`. Those that run are not old.
async fn old_sessions(app: &App, before: Timestamp) -> Result<u64, StoreError> {
    let mut old = Vec::new();
    let all = SessionFilter::default();
    for_each_session(app.ports.directory.as_ref(), TenantId::DEFAULT, all, |session| {
        if session.last_activity < before && session.status != SessionStatus::Running {
            old.push(session.session_id);
        }
    })
    .await?;
    let mut removed = 0;
    for session in old {
        let row = AuditDraft {
            session_id: Some(session),
            details: json!({"message": "Nothing had happened for as long as sessions are kept."}),
            ..context::own_row(app, AuditType::SessionTerminated)
        };
        app.ports.audit.record(vec![row]).await?;
        let deleted = app.ports.engine.delete(session).await;
        deleted.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        removed += 1;
    }
    Ok(removed)
}
