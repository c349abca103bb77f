//! The rules of accounts and sign-ins, and how their personal fields are sealed: the same for every adapter.

use psyche_core::Timestamp;
use psyche_core::audit::sign;
use psyche_core::ids::UserId;
use psyche_core::port::{
    Consent, Relation, Role, SecondFactor, SignIn, StoreError, User, UserPatch, UserStatus, folded,
};
use serde::{Deserialize, Serialize};

use crate::seal::Key;

/// The scope of the key of the digests that names are found by.
pub const NAMES: &str = "names";

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

/// What names a person, as it is sealed.
#[derive(Serialize, Deserialize)]
pub struct Personal {
    pub username: String,
    pub display_name: String,
    pub email: String,
    pub preferences: serde_json::Value,
    #[serde(default)]
    pub second_factor: Option<SecondFactor>,
    #[serde(default)]
    pub consents: Vec<Consent>,
}

impl Personal {
    pub fn of(user: &User) -> Self {
        Self {
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            preferences: user.preferences.clone(),
            second_factor: user.second_factor.clone(),
            consents: user.consents.clone(),
        }
    }
}

/// Where a person signed in from, as it is sealed.
#[derive(Default, Serialize, Deserialize)]
pub struct Whence {
    pub device: String,
    pub ip: String,
    pub user_agent: String,
}

impl Whence {
    pub fn of(sign_in: &SignIn) -> Self {
        let SignIn { device, ip, user_agent, .. } = sign_in.clone();
        Self { device, ip, user_agent }
    }
}

/// The scope of the key of what names a person: apart from that of their words, so that either goes without the other.
pub fn account_scope(user: UserId) -> String {
    format!("account:{user}")
}

/// What a name is found by: nobody without the key can tell which name it stands for.
pub fn digest(names: &Key, username: &str) -> String {
    sign(names.bytes(), &[folded(username).as_bytes()]).to_string()
}

pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Observer => "observer",
        Role::Researcher => "researcher",
        Role::Admin => "admin",
    }
}

pub fn role_of(name: &str) -> Result<Role, StoreError> {
    named(name, "role", [Role::Observer, Role::Researcher, Role::Admin], role_name)
}

pub fn status_name(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Disabled => "disabled",
    }
}

pub fn status_of(name: &str) -> Result<UserStatus, StoreError> {
    named(name, "status", [UserStatus::Active, UserStatus::Disabled], status_name)
}

pub fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::None => "none",
        Relation::Viewer => "viewer",
        Relation::Participant => "participant",
        Relation::Owner => "owner",
    }
}

pub fn relation_of(name: &str) -> Result<Relation, StoreError> {
    named(name, "relation", [Relation::Viewer, Relation::Participant, Relation::Owner], relation_name)
}

/// The value whose name is stored.
fn named<T: Copy, const N: usize>(
    text: &str,
    what: &str,
    values: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, StoreError> {
    let found = values.into_iter().find(|value| name(*value) == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("the stored {what} {text:?} is not known to this program")))
}
