//! Sessions that were paused because nobody touched them, in the audit trail.

use psyche_core::audit::{AuditDraft, AuditType};
use psyche_engine::Expired;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::app::Shared;
use crate::context;

pub async fn watch(app: Shared, mut expirations: broadcast::Receiver<Expired>) {
    loop {
        let expired = tokio::select! {
            () = app.leaving.cancelled() => return,
            expired = expirations.recv() => expired,
        };
        let Expired { session, owner } = match expired {
            Ok(expired) => expired,
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "more sessions expired than could be noted in the audit trail; their logs say so");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let row = AuditDraft {
            user_id: Some(owner),
            session_id: Some(session),
            ..context::own_row(&app, AuditType::SessionExpired)
        };
        if let Err(error) = app.record(vec![row]).await {
            tracing::warn!(%session, error = %error.message, "an expired session could not be noted in the audit trail");
        }
    }
}
