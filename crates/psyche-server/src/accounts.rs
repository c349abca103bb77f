//! Who a sign-in belongs to and what that person may do now. Rights come from the directory, never from the token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use psyche_core::port::{Clock, Directory, Role, SignIn, User, UserStatus};
use psyche_core::{SignInId, Timestamp, UserId};
use tokio::sync::broadcast;

use crate::error::{Answer, ApiError};

/// How long an answer of the directory is believed.
const TTL_MS: u64 = 1_000;
const MOST: usize = 10_000;

/// A person as rights and presence need them.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub user_id: UserId,
    pub sign_in: SignInId,
    pub username: String,
    pub display_name: String,
    pub role: Role,
}

/// A sign-in ended, or a person's rights changed: look again.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    pub user_id: UserId,
}

pub struct Accounts {
    cache: Mutex<HashMap<SignInId, (u64, Option<Caller>)>>,
    changes: broadcast::Sender<Changed>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { cache: Mutex::default(), changes: broadcast::channel(256).0 }
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
        let now = clock.monotonic_ms();
        let known = self.cache().get(&id).filter(|(at, _)| now.saturating_sub(*at) < TTL_MS).cloned();
        let caller = if let Some((_, caller)) = known {
            caller
        } else {
            let sign_in = directory.sign_in(id).await?;
            let owner = directory.user(user).await?;
            let caller = sign_in.zip(owner).and_then(|(sign_in, user)| live(&sign_in, user, clock.now()));
            let mut cache = self.cache();
            if cache.len() >= MOST {
                cache.clear();
            }
            cache.insert(id, (now, caller.clone()));
            caller
        };
        caller.filter(|c| c.user_id == user).ok_or_else(ApiError::unauthenticated)
    }

    /// Makes a change of rights act at once here; other replicas see it within the cache's life.
    pub fn changed(&self, user_id: UserId) {
        self.cache().retain(|_, (_, caller)| caller.as_ref().is_some_and(|c| c.user_id != user_id));
        // Nobody listening is fine.
        let _ = self.changes.send(Changed { user_id });
    }

    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<SignInId, (u64, Option<Caller>)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    })
}
