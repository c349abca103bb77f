//! What is not kept for ever: rows of the audit trail, dead sign-ins, used-up tokens and blocks. Once at the start, then
//! each hour.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use psyche_core::Timestamp;
use psyche_core::port::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::millis;
use crate::app::{App, Shared};

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
            _ = ticks.tick() => sweep(&app).await,
        }
    }
}

async fn sweep(app: &App) {
    let now = app.ports.clock.now();
    let before = |age: Duration| now.plus_ms(-millis(age));
    app.jobs.note("sign-ins", now, app.ports.directory.sweep(before(DEAD_FOR)).await);
    if let Some(age) = app.options.audit_retention {
        app.jobs.note("audit", now, app.ports.audit.prune(before(age)).await);
    }
}
