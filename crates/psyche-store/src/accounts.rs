//! The rules of accounts and sign-ins, the same for every adapter.

use psyche_core::Timestamp;
use psyche_core::port::{Role, SignIn, User, UserPatch, UserStatus};

/// How long a lost answer is forgiven: a spent token whose successor is unused gets a new successor.
const LOST_ANSWER_MS: i64 = 30_000;

/// What presenting a known refresh token of a live sign-in means.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Rotate,
    Reissue,
    Revoke,
}

/// `spent_at`: when the token was first spent. `successor_spent`: whether its successor was used.
pub fn judge(spent_at: Option<Timestamp>, successor_spent: bool, now: Timestamp) -> Verdict {
    match spent_at {
        None => Verdict::Rotate,
        Some(at) if !successor_spent && now < at.plus_ms(LOST_ANSWER_MS) => Verdict::Reissue,
        Some(_) => Verdict::Revoke,
    }
}

pub fn is_live(sign_in: &SignIn, now: Timestamp) -> bool {
    !sign_in.revoked && sign_in.expires_at > now
}

pub fn is_active_admin(user: &User) -> bool {
    user.role == Role::Admin && user.status == UserStatus::Active
}

pub fn patched(mut user: User, patch: UserPatch) -> User {
    let UserPatch { display_name, email, role, status, password_hash, preferences, last_login, second_factor, consent } =
        patch;
    user.display_name = display_name.unwrap_or(user.display_name);
    user.email = email.unwrap_or(user.email);
    user.role = role.unwrap_or(user.role);
    user.status = status.unwrap_or(user.status);
    user.password_hash = password_hash.unwrap_or(user.password_hash);
    user.preferences = preferences.unwrap_or(user.preferences);
    user.last_login = last_login.or(user.last_login);
    user.second_factor = second_factor.unwrap_or(user.second_factor);
    user.consents.extend(consent);
    user
}
