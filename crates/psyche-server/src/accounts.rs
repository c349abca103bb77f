//! Who a sign-in belongs to and what that person may do now. Rights come from the directory, never from the token.
//!
//! What the directory said is remembered until somebody's rights change: here at once, elsewhere within the second in
//! which the directory's version of rights is asked for again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{Clock, Directory, Relation, Role, SessionRow, SignIn, StoreError, User, UserStatus};
use psyche_core::{SessionId, SignInId, Timestamp, UserId};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::app::{App, Shared};
use crate::blocks;
use crate::context::Context;
use crate::error::{Answer, ApiError};

/// How often the directory is asked whether rights have changed elsewhere.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Without knowledge of revocations for longer than this, nobody is let in (TOK-03).
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// Entries of a memory at most; a full one begins anew.
const MOST: usize = 20_000;

/// A person as rights and presence need them.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub user_id: UserId,
    pub sign_in: SignInId,
    pub username: String,
    pub display_name: String,
    pub role: Role,
    /// Whether a second factor is in force.
    pub has_second_factor: bool,
}

impl Caller {
    /// A row of the audit trail about what this person asked for.
    pub fn row(&self, app: &App, context: &Context, event_type: AuditType, outcome: Outcome) -> AuditDraft {
        context.row_about(app, self.user_id, &self.username, event_type, outcome)
    }
}

/// Somebody's rights changed: look again. `None`: anybody's.
#[derive(Clone, Copy, Debug)]
pub struct Changed(pub Option<UserId>);

/// A session as rights need it, and how somebody relates to it.
pub type Standing = (Arc<SessionRow>, Relation);

pub struct Accounts {
    callers: Mutex<HashMap<SignInId, (Caller, Timestamp)>>,
    standings: Mutex<HashMap<(SessionId, UserId), Standing>>,
    /// Grows with every change; what was read before one is not remembered after it.
    epoch: AtomicU64,
    changes: broadcast::Sender<Changed>,
    /// When the directory last said whether rights had changed; `None`: not asked yet.
    learned_at: Mutex<Option<Instant>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let changes = broadcast::channel(1024).0;
        Self {
            callers: Mutex::default(),
            standings: Mutex::default(),
            epoch: AtomicU64::new(0),
            changes,
            learned_at: Mutex::default(),
        }
    }
}

impl Accounts {
    /// The person behind a live sign-in of theirs.
    pub async fn caller(
        &self,
        directory: &dyn Directory,
        clock: &dyn Clock,
        id: SignInId,
        user: UserId,
    ) -> Answer<Caller> {
        let learned = *self.learned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_some_and(|at| at.elapsed() > UNKNOWN_FOR) {
            return Err(ApiError::unavailable("it has not been learned for ten seconds whether sign-ins were revoked"));
        }
        let now = clock.now();
        let known = lock(&self.callers).get(&id).filter(|(_, until)| *until > now).map(|(caller, _)| caller.clone());
        let caller = if let Some(caller) = known {
            caller
        } else {
            let epoch = self.epoch();
            let sign_in = directory.sign_in(id).await?.ok_or_else(ApiError::unauthenticated)?;
            let owner = directory.user(user).await?.ok_or_else(ApiError::unauthenticated)?;
            let until = sign_in.expires_at;
            let caller = live(&sign_in, owner, now).ok_or_else(ApiError::unauthenticated)?;
            self.remember(&self.callers, epoch, id, (caller.clone(), until));
            caller
        };
        if caller.user_id == user { Ok(caller) } else { Err(ApiError::unauthenticated()) }
    }

    /// A session and somebody's relation to it; `None` when there is no such session.
    pub async fn standing(
        &self,
        directory: &dyn Directory,
        session: SessionId,
        user: UserId,
    ) -> Result<Option<Standing>, StoreError> {
        let known = lock(&self.standings).get(&(session, user)).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let epoch = self.epoch();
        let Some(row) = directory.session(session).await? else { return Ok(None) };
        let standing = (Arc::new(row), directory.relation(session, user).await?);
        self.remember(&self.standings, epoch, (session, user), standing.clone());
        Ok(Some(standing))
    }

    fn remember<K: Eq + Hash, V>(&self, memory: &Mutex<HashMap<K, V>>, epoch: u64, key: K, value: V) {
        let mut memory = lock(memory);
        if self.epoch() != epoch {
            return;
        }
        if memory.len() >= MOST {
            memory.clear();
        }
        memory.insert(key, value);
    }

    /// Makes a change of rights act at once here; other replicas see it when they ask.
    pub fn changed(&self, user_id: UserId) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        lock(&self.callers).retain(|_, (caller, _)| caller.user_id != user_id);
        lock(&self.standings).retain(|(_, user), _| *user != user_id);
        self.tell(Changed(Some(user_id)));
    }

    /// Anything may have changed.
    fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        lock(&self.callers).clear();
        lock(&self.standings).clear();
        self.tell(Changed(None));
    }

    fn tell(&self, changed: Changed) {
        // Nobody listening is fine.
        let _ = self.changes.send(changed);
    }

    /// Grows with every change of rights that is known here.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }
}

/// Follows the directory's version of rights until the server leaves.
pub async fn watch_rights(app: Shared) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    let mut known = None;
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match learn(&app, &mut known).await {
            Ok(()) => {
                *app.accounts.learned_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            Err(error) => tracing::warn!(%error, "it cannot be learned whether rights have changed"),
        }
    }
}

async fn learn(app: &App, known: &mut Option<u64>) -> Result<(), StoreError> {
    let version = app.ports.directory.rights_version().await?;
    if *known != Some(version) {
        blocks::reload(app).await?;
        if known.is_some() {
            app.accounts.forget();
        }
        *known = Some(version);
    }
    Ok(())
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live(sign_in: &SignIn, user: User, now: Timestamp) -> Option<Caller> {
    let valid = !sign_in.revoked
        && sign_in.expires_at > now
        && sign_in.user_id == user.user_id
        && user.status == UserStatus::Active;
    valid.then_some(Caller {
        user_id: user.user_id,
        sign_in: sign_in.id,
        username: user.username,
        display_name: user.display_name,
        role: user.role,
        has_second_factor: user.second_factor.is_some_and(|factor| factor.confirmed),
    })
}

#[cfg(test)]
mod tests {
    use psyche_store::memory::MemoryStore;
    use uuid::Uuid;

    use super::*;
    use crate::error::ErrorKind;

    struct StillClock;

    impl Clock for StillClock {
        fn now(&self) -> Timestamp {
            Timestamp(1_800_000_000_000_000)
        }
        fn monotonic_ms(&self) -> u64 {
            0
        }
        fn entropy(&self) -> [u8; 32] {
            [3; 32]
        }
    }

    /// TOK-03: somebody whose sign-in may have been revoked elsewhere is not let in, however well known here.
    #[tokio::test(start_paused = true)]
    async fn whoever_cannot_learn_of_revocations_lets_nobody_in() {
        let (sign_in, user_id) = (SignInId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let known = Caller {
            user_id,
            sign_in,
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            role: Role::Observer,
            has_second_factor: false,
        };
        let store = MemoryStore::new(Arc::new(StillClock));
        let accounts = Accounts::default();
        accounts.remember(&accounts.callers, 0, sign_in, (known.clone(), Timestamp(i64::MAX)));
        *lock_instant(&accounts) = Some(Instant::now());
        let caller = async || accounts.caller(&store, &StillClock, sign_in, user_id).await;
        tokio::time::advance(UNKNOWN_FOR).await;
        assert_eq!(caller().await.unwrap(), known);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(caller().await.unwrap_err().kind, ErrorKind::Unavailable);
        *lock_instant(&accounts) = Some(Instant::now());
        assert_eq!(caller().await.unwrap(), known);
    }

    fn lock_instant(accounts: &Accounts) -> MutexGuard<'_, Option<Instant>> {
        accounts.learned_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
