//! Leases: who drives which session. Correctness never depends on these timers; the epoch in every append does.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::SessionId;
use psyche_core::TenantId;

use crate::{Inner, Mail, Order, task};

/// Sessions taken up at one look, so that a dead replica's load spreads.
const TAKE_AT_ONCE: usize = 32;

/// Renews the leases of all resident sessions in one statement; tells those that were lost.
pub(crate) async fn renew(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(inner.options.renew_every) => {}
        }
        // A task that crashed serves nobody: without its lease another one takes the session up.
        inner.residents().retain(|_, resident| !resident.mailbox.is_closed());
        let mut held: Vec<SessionId> = inner.residents().keys().copied().collect();
        // In an order that does not change from one run to the next: a simulation is to repeat itself.
        held.sort_unstable();
        if held.is_empty() {
            continue;
        }
        match inner.ports.log.renew(inner.owner, &held, inner.options.lease_ms).await {
            Ok(kept) => {
                for lost in held.iter().filter(|id| !kept.contains(id)) {
                    let resident = inner.residents().get(lost).cloned();
                    if let Some(resident) = resident {
                        let _ = resident.mailbox.try_send(Mail::Order(Order::Fenced));
                    }
                }
            }
            // The appends of a session whose lease ran out meanwhile are fenced by the store.
            Err(error) => tracing::warn!(%error, "leases could not be renewed"),
        }
    }
}

/// Takes up sessions that were running and that nobody drives: after a start, a crash or a hand-over.
pub(crate) async fn take_up(inner: Arc<Inner>, every: Duration) {
    loop {
        match inner.ports.log.claimable(TenantId::DEFAULT, TAKE_AT_ONCE).await {
            Ok(sessions) => {
                for session in sessions {
                    if inner.closing.is_cancelled() {
                        return;
                    }
                    if let Err(error) = task::resident(&inner, session).await {
                        tracing::warn!(%session, %error, "a running session could not be taken up");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "running sessions could not be looked for"),
        }
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
