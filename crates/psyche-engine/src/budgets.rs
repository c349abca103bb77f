//! Budgets of people and of the tenant (LIM-02): a model call is reserved before it is made and settled with the append
//! that holds its outcome.
//!
//! What was spent is the directory's to remember: an append that costs something charges the owner of its session and the
//! tenant in its own transaction. What turns under way may come to is held here, so that sessions that begin turns at the
//! same time do not all spend what is left. A turn whose process dies is charged with what was reserved for it, when its
//! session is taken up again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::port::{Charge, Directory, ModelCatalog, Payer, Price, Spent, StoreError};
use psyche_core::session::{Budget, Session};
use psyche_core::{SessionId, TenantId, UserId, event};
use tokio::time::Instant;

/// What model calls under way may come to, by who makes them.
#[derive(Default)]
pub(crate) struct Budgets {
    held: Mutex<HashMap<Holder, Hold>>,
    /// Reservations and calls so far.
    count: AtomicU64,
    /// People whose calls nothing limits, neither their own budget nor the tenant's, and when that was looked up.
    unlimited: Mutex<HashMap<UserId, Instant>>,
}

/// After this long a budget that was given to somebody without one is noticed.
const NOTICED: Duration = Duration::from_secs(1);
/// People remembered to have none, at most.
const REMEMBERED: usize = 10_000;

/// Times a reservation that does not fit is looked at again when others have changed meanwhile.
const TRIES: usize = 8;

/// What may be spent, of whom; each reservation has a number of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hold {
    of: UserId,
    spent: Spent,
    number: u64,
}

/// Who makes the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The turns of a session.
    Session(SessionId),
    /// One call outside of any log.
    Call(u64),
}

/// A reservation for one call outside of any log; gone when it is dropped.
pub(crate) struct Held<'a> {
    budgets: &'a Budgets,
    holder: Holder,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budgets.release(self.holder);
    }
}

impl Budgets {
    /// Holds what a session's next turns, or a call, may come to; `Err` names the budget that has not as much left.
    pub async fn reserve(
        &self,
        directory: &dyn Directory,
        (holder, owner): (Holder, UserId),
        wanted: Spent,
        default: Budget,
    ) -> Result<Result<(), Payer>, StoreError> {
        if self.is_unlimited(owner) {
            self.lock().insert(holder, self.hold(owner, wanted));
            return Ok(Ok(()));
        }
        let mut refused = Payer::User;
        for _ in 0..TRIES {
            let before = self.lock().clone();
            let of_user = directory.allowance(TenantId::DEFAULT, Some(owner));
            let of_tenant = directory.allowance(TenantId::DEFAULT, None);
            let (of_user, of_tenant) = futures_util::try_join!(of_user, of_tenant)?;
            let budgets = [
                (Payer::User, of_user.spent, of_user.budget.unwrap_or(default)),
                (Payer::Tenant, of_tenant.spent, of_tenant.budget.unwrap_or_default()),
            ];
            self.note(owner, budgets.iter().all(|(_, _, budget)| *budget == Budget::default()));
            let mut held = self.lock();
            // What was given back meanwhile may not have been among what is spent yet: it counts too.
            let gone = before.iter().filter(|(holder, hold)| held.get(holder) != Some(hold));
            let others: Vec<Hold> =
                held.iter().chain(gone).filter(|(of, _)| **of != holder).map(|(_, hold)| *hold).collect();
            let over = budgets.into_iter().find(|(payer, spent, budget)| {
                let theirs = others.iter().filter(|hold| *payer == Payer::Tenant || hold.of == owner);
                let all = theirs.map(|hold| hold.spent).fold(plus(*spent, wanted), plus);
                budget.tokens.is_some_and(|most| all.tokens > most) || budget.cost.is_some_and(|most| all.cost > most)
            });
            let Some((payer, ..)) = over else {
                held.insert(holder, self.hold(owner, wanted));
                return Ok(Ok(()));
            };
            refused = payer;
            if *held == before {
                break;
            }
        }
        Ok(Err(refused))
    }

    /// The same for one call outside of any log.
    pub async fn reserve_call(
        &self,
        directory: &dyn Directory,
        owner: UserId,
        wanted: Spent,
        default: Budget,
    ) -> Result<Result<Held<'_>, Payer>, StoreError> {
        let holder = Holder::Call(self.count.fetch_add(1, Ordering::Relaxed));
        let answer = self.reserve(directory, (holder, owner), wanted, default).await?;
        Ok(answer.map(|()| Held { budgets: self, holder }))
    }

    /// Once that was looked up too long ago one caller is told no, and looks again; until it has, the others go by what was
    /// found before.
    fn is_unlimited(&self, person: UserId) -> bool {
        let mut unlimited = self.unlimited.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(looked) = unlimited.get_mut(&person) else { return false };
        let known = looked.elapsed() < NOTICED;
        if !known {
            *looked = Instant::now();
        }
        known
    }

    fn note(&self, person: UserId, is_unlimited: bool) {
        let mut unlimited = self.unlimited.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_unlimited {
            unlimited.remove(&person);
            return;
        }
        if unlimited.len() >= REMEMBERED {
            unlimited.clear();
        }
        unlimited.insert(person, Instant::now());
    }

    fn hold(&self, of: UserId, spent: Spent) -> Hold {
        Hold { of, spent, number: self.count.fetch_add(1, Ordering::Relaxed) }
    }

    /// Holds what the turns under way may still come to; nothing when there are none.
    pub fn settle(&self, session: &Session, models: &dyn ModelCatalog) {
        let started = session.in_flight.values().map(|flight| &flight.started);
        let wanted = started.fold(Spent::default(), |sum, started| plus(sum, cost_of(started, models)));
        let holder = Holder::Session(session.id);
        if wanted == Spent::default() {
            self.release(holder);
        } else {
            self.lock().insert(holder, self.hold(session.initial.owner, wanted));
        }
    }

    /// The calls are over, or somebody else's.
    pub fn release(&self, holder: Holder) {
        self.lock().remove(&holder);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Holder, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a turn may come to at most: the tokens reserved for it at its model's price.
pub(crate) fn cost_of(started: &event::TurnStarted, models: &dyn ModelCatalog) -> Spent {
    let price = models.model(&started.model).map(|model| model.card().price).unwrap_or_default();
    most(started.reserved, started.sampling.max_tokens, price)
}

/// What a call may come to at most, of whose reserved tokens so many are its answer's.
pub(crate) fn most(reserved: u64, max_tokens: u32, price: Price) -> Spent {
    let answer = u64::from(max_tokens).min(reserved);
    let cost = ((reserved - answer) as f64 * price.input + answer as f64 * price.output) / 1e6;
    Spent { tokens: reserved, cost }
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
