//! Budgets of people and of the tenant (LIM-02): a model call is reserved before it is made and settled with the append
//! that holds its outcome.
//!
//! What was spent is the directory's to remember: an append that costs something charges the owner of its session and the
//! tenant in its own transaction. What turns under way may come to is held here, so that sessions that begin turns at the
//! same time do not all spend what is left. A turn whose process dies is charged with what was reserved for it, when its
//! session is taken up again.

use std::collections::HashMap;

use psyche_core::port::{Charge, Directory, ModelCatalog, Payer, Spent, StoreError};
use psyche_core::session::{Budget, Session};
use psyche_core::{SessionId, TenantId, UserId, event};
use tokio::sync::Mutex;

/// What turns under way may come to, by session.
#[derive(Default)]
pub(crate) struct Budgets {
    held: Mutex<HashMap<SessionId, (UserId, Spent)>>,
}

impl Budgets {
    /// Holds what a session's next turns may come to; `Err` names the budget that has not as much left.
    pub async fn reserve(
        &self,
        directory: &dyn Directory,
        (session, owner): (SessionId, UserId),
        wanted: Spent,
        default: Budget,
    ) -> Result<Result<(), Payer>, StoreError> {
        // Held while the directory is asked: whoever comes next sees this reservation.
        let mut held = self.held.lock().await;
        for payer in [Payer::User, Payer::Tenant] {
            let (user, default) = match payer {
                Payer::User => (Some(owner), default),
                Payer::Tenant => (None, Budget::default()),
            };
            let allowance = directory.allowance(TenantId::DEFAULT, user).await?;
            let budget = allowance.budget.unwrap_or(default);
            let others =
                held.iter().filter(|(id, (whose, _))| **id != session && user.is_none_or(|user| user == *whose));
            let all = others.fold(plus(allowance.spent, wanted), |sum, (_, (_, spent))| plus(sum, *spent));
            if budget.tokens.is_some_and(|most| all.tokens > most) || budget.cost.is_some_and(|most| all.cost > most) {
                return Ok(Err(payer));
            }
        }
        held.insert(session, (owner, wanted));
        Ok(Ok(()))
    }

    /// Holds what the turns under way may still come to; nothing when there are none.
    pub async fn settle(&self, session: &Session, models: &dyn ModelCatalog) {
        let started = session.in_flight.values().map(|flight| &flight.started);
        let wanted = started.fold(Spent::default(), |sum, started| plus(sum, cost_of(started, models)));
        let mut held = self.held.lock().await;
        if wanted == Spent::default() {
            held.remove(&session.id);
        } else {
            held.insert(session.id, (session.initial.owner, wanted));
        }
    }

    /// The session is somebody else's to drive.
    pub async fn release(&self, session: SessionId) {
        self.held.lock().await.remove(&session);
    }
}

/// What a turn may come to at most: the tokens reserved for it at its model's price.
pub(crate) fn cost_of(started: &event::TurnStarted, models: &dyn ModelCatalog) -> Spent {
    let price = models.model(&started.model).map(|model| model.card().price).unwrap_or_default();
    let answer = u64::from(started.sampling.max_tokens).min(started.reserved);
    let cost = ((started.reserved - answer) as f64 * price.input + answer as f64 * price.output) / 1e6;
    Spent { tokens: started.reserved, cost }
}

/// What lies between two states of a session.
pub(crate) fn charge(before: &Session, after: &Session) -> Option<Charge> {
    let tokens = after.spent.tokens.saturating_sub(before.spent.tokens);
    let cost = after.spent.cost - before.spent.cost;
    let spent = Spent { tokens, cost };
    (tokens > 0 || cost > 0.0).then_some(Charge { tenant: TenantId::DEFAULT, user: after.initial.owner, spent })
}

pub(crate) fn plus(a: Spent, b: Spent) -> Spent {
    Spent { tokens: a.tokens.saturating_add(b.tokens), cost: a.cost + b.cost }
}
