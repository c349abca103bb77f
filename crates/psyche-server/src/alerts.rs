//! What admins should look at: rows of the audit trail that say so. They reach the system socket as they come, and a
//! webhook from where it left off, so that nothing is lost while either is away.

use std::time::Duration;

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditRow, AuditType, Outcome, Severity};
use psyche_core::port::AuditFilter;
use psyche_core::{TenantId, UserId};
use serde::Serialize;
use serde_json::json;

use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::Answer;

/// Row types that are alerts.
pub const TYPES: [AuditType; 3] = [AuditType::Suspicious, AuditType::TokenReuse, AuditType::IpBlocked];

/// Where the webhook has got to.
const DELIVERED: &str = "alerts.delivered";
const AT_ONCE: usize = 100;
/// One replica delivers alerts for so long; then any may.
const COURIER_MS: u64 = 30_000;

/// Takes alerts to where the operator wants them.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Delivers a signed body, or says why not. It is asked again later.
    async fn deliver(&self, body: String) -> Result<(), String>;
}

/// Suspicions by a rule anybody can follow. They alert and never lock.
pub fn suspicion(
    app: &App,
    context: &Context,
    (user, username): (UserId, &str),
    severity: Severity,
    (rule, message): (&str, &str),
) -> AuditDraft {
    AuditDraft {
        severity,
        details: json!({"rule": rule, "message": message}),
        ..context.row_about(app, user, username, AuditType::Suspicious, Outcome::Success)
    }
}

/// Counts something of somebody; the row when it has happened often enough within the time.
pub async fn burst(
    app: &App,
    context: &Context,
    (user, username): (UserId, &str),
    (rule, message): (&str, &str),
    (times, within): (u64, Duration),
) -> Answer<Option<AuditDraft>> {
    let ttl = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let count = app.ports.counters.increment(&format!("rule:{rule}:{user}"), ttl).await?;
    Ok((count == times).then(|| suspicion(app, context, (user, username), Severity::High, (rule, message))))
}

/// An alert as clients see it.
#[derive(Serialize)]
pub struct Alert {
    alert_id: String,
    rule: String,
    severity: Severity,
    message: String,
    user_id: Option<UserId>,
    username: Option<String>,
    ip_address: Option<String>,
    timestamp: psyche_core::Timestamp,
}

impl From<AuditRow> for Alert {
    fn from(row: AuditRow) -> Self {
        let text = |name: &str, otherwise: &str| row.details[name].as_str().unwrap_or(otherwise).to_owned();
        let personal = row.personal.clone().unwrap_or_default();
        Self {
            alert_id: row.event_id.to_string(),
            rule: text("rule", row.event_type.name()),
            severity: row.severity,
            message: text("message", "See the audit trail."),
            user_id: row.user_id,
            username: personal.username,
            ip_address: personal.ip_address,
            timestamp: row.at,
        }
    }
}

/// Shows what the audit trail gains to those who may see it, and delivers alerts, until the server leaves.
pub async fn watch(app: Shared) {
    let mut seen = None;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut retry_at = tokio::time::Instant::now();
    let mut pause = Duration::from_secs(5);
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            () = app.audited.notified() => {}
            _ = ticks.tick() => {}
        }
        if let Err(error) = show(&app, &mut seen).await {
            tracing::warn!(%error, "the audit trail cannot be read");
        }
        if tokio::time::Instant::now() >= retry_at {
            pause = match deliver(&app).await {
                Ok(()) => Duration::from_secs(5),
                Err(error) => {
                    tracing::warn!(error, "alerts could not be delivered; they wait");
                    retry_at = tokio::time::Instant::now() + pause;
                    (pause * 2).min(Duration::from_mins(10))
                }
            };
        }
    }
}

async fn show(app: &App, seen: &mut Option<u64>) -> Result<(), psyche_core::port::StoreError> {
    let newest = AuditFilter { newest_first: true, ..AuditFilter::default() };
    let Some(after) = *seen else {
        // What was before the start is for the pages to ask for.
        let last = app.ports.audit.rows(TenantId::DEFAULT, newest, 1).await?;
        *seen = Some(last.first().map_or(0, |row| row.seq));
        return Ok(());
    };
    let filter = AuditFilter { from: Some(after), ..AuditFilter::default() };
    for row in app.ports.audit.rows(TenantId::DEFAULT, filter, AT_ONCE).await? {
        *seen = Some(row.seq);
        let alert = TYPES.contains(&row.event_type).then(|| Alert::from(row.clone()));
        app.hub.tell_admins("audit", &crate::api::audit::AuditView::from(row));
        if let Some(alert) = alert {
            app.hub.tell_admins("alert", &alert);
        }
    }
    Ok(())
}

/// Delivers what has not been. An alert counts as delivered only after its answer: at least once.
async fn deliver(app: &App) -> Result<(), String> {
    let Some(courier) = &app.ports.courier else { return Ok(()) };
    if !app.is_ours("alerts", COURIER_MS).await {
        return Ok(());
    }
    let text = |error: psyche_core::port::StoreError| error.to_string();
    let directory = &app.ports.directory;
    let stored = directory.setting(DELIVERED).await.map_err(text)?;
    let from = stored.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()).unwrap_or(0);
    let filter = AuditFilter { from: Some(from), event_types: TYPES.to_vec(), ..AuditFilter::default() };
    for row in app.ports.audit.rows(TenantId::DEFAULT, filter, AT_ONCE).await.map_err(text)? {
        let seq = row.seq;
        let body = serde_json::to_string(&Alert::from(row)).map_err(|e| e.to_string())?;
        courier.deliver(body).await?;
        directory.put_setting(DELIVERED, Some(seq.to_string().into_bytes())).await.map_err(text)?;
    }
    Ok(())
}
