//! Leases: who drives which session. Correctness never depends on these timers; the epoch in every append does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use psyche_core::port::{Head, StoreError};
use psyche_core::{SessionId, TenantId};
use tokio::time::Instant;

use crate::task::{self, Place};
use crate::{EngineError, Inner, Mail, Order, peek};

/// Sessions taken up at one look, so that a dead replica's load spreads.
const TAKE_AT_ONCE: usize = 32;

/// Pause before renewing is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long renewing may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often an engine among several looks whether others have appended to its sessions.
const LOOK: Duration = Duration::from_millis(500);

/// Renews the leases of all resident sessions in one statement; tells those that were lost. Among several engines, one that
/// could not renew for four fifths of a lease gives all of them up: another may be about to drive them.
pub(crate) async fn renew(inner: Arc<Inner>) {
    let mut renewed = Instant::now();
    let mut pause = inner.options.renew_every;
    loop {
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = inner.options.renew_every;
        // A task that crashed serves nobody: without its lease another one takes the session up.
        inner.residents().retain(|_, resident| !resident.mailbox.is_closed());
        let held = held(&inner);
        if held.is_empty() {
            renewed = Instant::now();
            continue;
        }
        let asked = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, inner.ports.log.renew(inner.owner, &held, inner.options.lease_ms));
        let answer = answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())));
        match answer {
            Ok(kept) => {
                renewed = asked;
                fence(&inner, held.into_iter().filter(|id| !kept.contains(id)));
            }
            // The appends of a session whose lease ran out meanwhile are fenced by the store.
            Err(error) => {
                pause = AGAIN;
                tracing::debug!(%error, "leases could not be renewed");
                if inner.options.replicas && renewed.elapsed() >= Duration::from_millis(inner.options.lease_ms / 5 * 4)
                {
                    tracing::warn!(%error, sessions = held.len(), "leases could not be renewed; the sessions are given up");
                    renewed = asked;
                    fence(&inner, held);
                }
            }
        }
    }
}

/// In an order that does not change from one run to the next: a simulation is to repeat itself.
fn held(inner: &Inner) -> Vec<SessionId> {
    let mut held: Vec<SessionId> = inner.residents().keys().copied().collect();
    held.sort_unstable();
    held
}

fn fence(inner: &Inner, lost: impl IntoIterator<Item = SessionId>) {
    let residents = inner.residents();
    for resident in lost.into_iter().filter_map(|id| residents.get(&id)) {
        let _ = resident.mailbox.try_send(Mail::Order(Order::Fenced));
    }
}

/// Has sessions look at the log that others have appended to, in one question for all. The bus tells sooner; this is for
/// when it does not.
pub(crate) async fn follow(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let held = held(&inner);
        if held.is_empty() {
            continue;
        }
        // Renewing tells of a store that is away.
        let Ok(heads) = inner.ports.log.heads(&held).await else { continue };
        let heads: HashMap<SessionId, Head> = heads.into_iter().collect();
        for id in held {
            let Some(resident) = inner.residents().get(&id).cloned() else { continue };
            let stands = {
                let session = peek(&resident.state);
                (session.generation, session.seq)
            };
            let changed = heads.get(&id).is_none_or(|head| {
                head.generation != stands.0 || head.seq > stands.1 || head.owner != Some(inner.owner)
            });
            if changed {
                let _ = resident.mailbox.try_send(Mail::Order(Order::Look));
            }
        }
    }
}

/// Takes up sessions that were running, or in which a command waits, and that nobody drives: after a start, a crash or a
/// hand-over.
pub(crate) async fn take_up(inner: Arc<Inner>, every: Duration) {
    loop {
        look(&inner).await;
        // Engines that look at different moments share what a dead one has left.
        let spread = f64::from(inner.ports.clock.entropy()[0]) / 255.0;
        tokio::select! {
            biased;
            () = inner.closing.cancelled() => return,
            () = tokio::time::sleep(every.mul_f64(0.75 + spread / 2.0)) => {}
        }
    }
}

async fn look(inner: &Arc<Inner>) {
    // What has brought another engine down would bring this one down next.
    if inner.short_of_memory.load(Ordering::Relaxed) {
        return;
    }
    match inner.ports.log.claimable(TenantId::DEFAULT, TAKE_AT_ONCE).await {
        Ok(sessions) => {
            for session in sessions {
                if inner.closing.is_cancelled() {
                    return;
                }
                match task::place(inner, session).await {
                    // Or another engine was faster.
                    Ok(Place::Here(_) | Place::Elsewhere(_)) => {}
                    Err(EngineError::ShortOfMemory) => return,
                    Err(error) => tracing::warn!(%session, %error, "a session without an owner could not be taken up"),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "sessions without an owner could not be looked for"),
    }
}
