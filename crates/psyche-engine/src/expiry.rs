//! Sessions that nobody touches any more are paused (TOK-06b), so that a forgotten one does not talk and cost for ever.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::port::{SessionFilter, StoreError, for_each_session};
use psyche_core::session::{EXPIRED, SessionStatus};
use psyche_core::{SessionId, TenantId, UserId};
use tokio::sync::oneshot;

use crate::task::{self, Place};
use crate::{EngineError, Inner, Mail, Order, peek};

/// Expirations that a listener may be behind.
pub(crate) const REMEMBERED: usize = 1_024;

/// A session was paused because nobody touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub session: SessionId,
    pub owner: UserId,
}

/// Looks again and again until the engine closes.
pub(crate) async fn watch(inner: Arc<Inner>, after: Duration) {
    let untouched_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(inner.options.expire_every) => {}
        }
        let mut due = in_memory(&inner, untouched_ms);
        match asleep(&inner, untouched_ms).await {
            Ok(sessions) => due.extend(sessions),
            Err(error) => tracing::warn!(%error, "sessions that nobody touches could not be looked for"),
        }
        due.sort_unstable();
        due.dedup();
        for session in due {
            if inner.closing.is_cancelled() {
                return;
            }
            match expire(&inner, session, untouched_ms).await {
                // Nobody may listen.
                Ok(Some(expired)) => _ = inner.expired.send(expired),
                Ok(None) => {}
                Err(error) => tracing::warn!(%session, %error, "a session that nobody touched could not be paused"),
            }
        }
    }
}

/// Those this engine drives; every running session is in some engine's memory.
fn in_memory(inner: &Inner, untouched_ms: u64) -> Vec<SessionId> {
    let now = inner.ports.clock.now();
    let residents = inner.residents();
    let due = residents.iter().filter(|(_, resident)| peek(&resident.state).has_expired(untouched_ms, now));
    due.map(|(id, _)| *id).collect()
}

/// Paused ones that are in nobody's memory. Their last event is no older than the last touch.
async fn asleep(inner: &Inner, untouched_ms: u64) -> Result<Vec<SessionId>, StoreError> {
    let now = inner.ports.clock.now();
    let filter = SessionFilter { status: Some(SessionStatus::Paused), ..SessionFilter::default() };
    let mut due = Vec::new();
    for_each_session(inner.ports.directory.as_ref(), TenantId::DEFAULT, filter, |row| {
        let quiet_ms = u64::try_from((now.micros() - row.last_activity.micros()) / 1_000).unwrap_or(0);
        if quiet_ms >= untouched_ms && row.reason.as_deref() != Some(EXPIRED) {
            due.push(row.session_id);
        }
    })
    .await?;
    Ok(due)
}

async fn expire(inner: &Arc<Inner>, session: SessionId, untouched_ms: u64) -> Result<Option<Expired>, EngineError> {
    let resident = match task::place(inner, session).await {
        Ok(Place::Here(resident)) => resident,
        // Another replica drives it and looks after it; or it is gone.
        Ok(Place::Elsewhere(_))
        | Err(EngineError::Unavailable(_) | EngineError::ShortOfMemory | EngineError::NotFound) => return Ok(None),
        Err(other) => return Err(other),
    };
    let (answer, expired) = oneshot::channel();
    if resident.mailbox.send(Mail::Order(Order::Expire(untouched_ms, answer))).await.is_err()
        || !expired.await.unwrap_or(false)
    {
        return Ok(None);
    }
    let Some(row) = inner.ports.directory.session(session).await? else { return Ok(None) };
    let owner = row.summary.owner;
    Ok(Some(Expired { session, owner }))
}
