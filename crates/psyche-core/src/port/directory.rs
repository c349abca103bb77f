//! The directory: people, sign-ins, sessions, memberships, casts.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::cast::Cast;
use crate::ids::{SessionId, SignInId, TenantId, UserId};
use crate::port::Determinism;
use crate::session::{Budget, SessionStatus, SessionType, TurnOrder};
use crate::time::Timestamp;
use crate::words::Hash;

use super::allowance::{Allowance, Charge};
use super::log::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Observer,
    Researcher,
    Admin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Disabled,
}

/// An account. The password hash is a PHC string and never leaves the server.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub user_id: UserId,
    pub tenant: TenantId,
    pub username: String,
    pub display_name: String,
    pub email: String,
    pub role: Role,
    pub status: UserStatus,
    pub password_hash: String,
    /// Free JSON of the web app, at most 16 KiB.
    pub preferences: serde_json::Value,
    pub last_login: Option<Timestamp>,
    pub created_at: Timestamp,
    pub second_factor: Option<SecondFactor>,
    pub consents: Vec<Consent>,
}

/// A time-based one-time password (RFC 6238), and the codes for when its device is lost.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    pub secret: Vec<u8>,
    /// Asked for at sign-in only once a first code was right.
    pub confirmed: bool,
    /// The time step of the last code used: no code works twice.
    pub last_step: u64,
    /// SHA-256 of the codes that are left.
    pub recovery: Vec<Hash>,
}

impl std::fmt::Debug for SecondFactor {
    /// Secrets stay out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecondFactor").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

/// What a person agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub version: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct NewUser {
    pub user: User,
    /// Insert only when the tenant has no admin; otherwise `Conflict("admin")`. Concurrent set-ups make one admin.
    pub only_first_admin: bool,
}

#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub role: Option<Role>,
    pub status: Option<UserStatus>,
    pub password_hash: Option<String>,
    pub preferences: Option<serde_json::Value>,
    pub last_login: Option<Timestamp>,
    /// `Some(None)` removes it.
    pub second_factor: Option<Option<SecondFactor>>,
    /// Added to those given before.
    pub consent: Option<Consent>,
}

/// One-time right to set a password. The token itself is kept nowhere.
#[derive(Clone, Debug)]
pub struct ResetToken {
    pub user_id: UserId,
    pub hash: Hash,
    pub expires_at: Timestamp,
}

/// An address nobody may come from for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    /// An IPv4 address, or an IPv6 /64 by its first address.
    pub address: String,
    pub reason: String,
    pub blocked_at: Timestamp,
    pub until: Timestamp,
    /// How often it has been blocked; each time lasts twice as long.
    pub times: u32,
}

/// A user's sign-in on one device. Refresh tokens are stored as SHA-256 only.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    pub id: SignInId,
    pub user_id: UserId,
    pub device: String,
    pub ip: String,
    pub user_agent: String,
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    pub expires_at: Timestamp,
    pub revoked: bool,
}

#[derive(Clone, Debug)]
pub struct NewSignIn {
    pub sign_in: SignIn,
    pub refresh_hash: Hash,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq)]
pub enum Rotation {
    /// The old token is spent, the new one is current.
    Rotated(SignIn),
    /// The token was spent before and its successor is unused for less than 30 s: the answer was lost, reissued.
    Reissued(SignIn),
    /// A spent token came back: the sign-in has been revoked.
    Reused(SignIn),
    Unknown,
}

impl User {
    /// Whether a part of what names this person is `query`, which is folded already.
    pub fn is_called(&self, query: &str) -> bool {
        [&self.username, &self.display_name, &self.email].into_iter().any(|name| folded(name).contains(query))
    }
}

/// How a person relates to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    None,
    Viewer,
    Participant,
    Owner,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    pub tokens: u64,
    pub cost: f64,
}

/// The parent of a fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub session_id: SessionId,
    #[serde(rename = "gen")]
    pub generation: u32,
    pub seq: u64,
}

/// A session as lists show it: a projection of its log, replaced with every append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSummary {
    pub session_id: SessionId,
    pub name: String,
    pub session_type: SessionType,
    pub status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub owner: UserId,
    pub cast_id: String,
    pub cast_version: u32,
    pub situation: String,
    pub seed: u64,
    pub model: String,
    pub determinism: Determinism,
    pub turn_order: TurnOrder,
    pub pacing_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub spent: Spent,
    pub round: u64,
    pub turn: u64,
    pub seq: u64,
    #[serde(rename = "gen")]
    pub generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    pub tags: Vec<String>,
    pub created_at: Timestamp,
    pub last_activity: Timestamp,
    /// Standardised stagnation of the last 20 rounds, for the list's sparkline.
    #[serde(default)]
    pub stagnation: Vec<Option<f64>>,
    #[serde(default)]
    pub emergencies: u64,
    /// Commands that were acknowledged and are not decided yet: such a session is taken up though it does not run.
    #[serde(default, skip_serializing_if = "is_none_left")]
    pub waiting: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_left(count: &u64) -> bool {
    *count == 0
}

/// The row of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    pub tenant: TenantId,
    pub summary: SessionSummary,
}

#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// `None`: every session of the tenant (admins). Otherwise those the user owns or is a member of.
    pub visible_to: Option<UserId>,
    pub owner: Option<UserId>,
    pub status: Option<SessionStatus>,
    /// Case-insensitive part of the name.
    pub query: Option<String>,
    pub tag: Option<String>,
    /// Forks of this session.
    pub parent: Option<SessionId>,
}

/// One page of a list, newest first. `next_cursor` is opaque.
#[derive(Clone, Debug, Default)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredCast {
    pub tenant: TenantId,
    pub cast: Cast,
}

impl UserPatch {
    /// Whether the user may do other things afterwards.
    pub fn changes_rights(&self) -> bool {
        self.role.is_some() || self.status.is_some()
    }
}

/// The form of a username in which no two people may have the same: compatibility forms and case do not count.
pub fn folded(username: &str) -> String {
    username.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

#[async_trait]
pub trait Directory: Send + Sync {
    async fn create_user(&self, new: NewUser) -> Result<(), StoreError>;
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;
    /// By username, folded to lower case.
    async fn user_by_name(&self, tenant: TenantId, username: &str) -> Result<Option<User>, StoreError>;
    /// Newest first. `query`: a part of the username, the displayed name or the e-mail address, however it is cased.
    async fn users(
        &self,
        tenant: TenantId,
        query: Option<String>,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<User>, StoreError>;
    /// Refuses with `Conflict("last admin")` to demote or disable the last active admin. Disabling ends all sign-ins.
    async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<User, StoreError>;
    /// Sets a password and ends all sign-ins but one, in one transaction.
    async fn set_password(&self, id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError>;
    /// Removes the account with its sign-ins, memberships and key. Refuses with `Conflict("last admin")`.
    async fn delete_user(&self, id: UserId) -> Result<(), StoreError>;

    /// Keeps a reset token in place of the person's one before.
    async fn put_reset(&self, token: ResetToken) -> Result<(), StoreError>;
    /// Whose live token this is.
    async fn reset_owner(&self, hash: Hash, now: Timestamp) -> Result<Option<UserId>, StoreError>;
    /// Spends the token, sets the password and ends all sign-ins, in one transaction; `None` when it is not live.
    async fn use_reset(&self, hash: Hash, now: Timestamp, phc: String) -> Result<Option<UserId>, StoreError>;

    /// Blocks an address, or changes its block.
    async fn put_block(&self, tenant: TenantId, block: AddressBlock) -> Result<(), StoreError>;
    /// All blocks, old ones too: they tell how often an address was blocked.
    async fn blocks(&self, tenant: TenantId) -> Result<Vec<AddressBlock>, StoreError>;
    async fn lift_block(&self, tenant: TenantId, address: &str) -> Result<(), StoreError>;
    /// Removes sign-ins that ended before `before`, reset tokens and blocks that ran out by then. Returns how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError>;
    async fn has_admin(&self, tenant: TenantId) -> Result<bool, StoreError>;

    /// Stores the sign-in; the user keeps at most `keep` live ones, the least recently used end. Returns those ended.
    async fn create_sign_in(&self, new: NewSignIn, keep: usize) -> Result<Vec<SignInId>, StoreError>;
    async fn sign_in(&self, id: SignInId) -> Result<Option<SignIn>, StoreError>;
    async fn sign_ins(&self, user: UserId) -> Result<Vec<SignIn>, StoreError>;
    /// Spends `old` for `new` in one transaction.
    async fn rotate(&self, old: Hash, new: Hash, now: Timestamp, expires_at: Timestamp)
    -> Result<Rotation, StoreError>;
    async fn revoke_sign_in(&self, id: SignInId) -> Result<(), StoreError>;
    /// Ends all sign-ins of a user but one.
    async fn revoke_user(&self, user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, StoreError>;

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError>;
    async fn sessions(
        &self,
        tenant: TenantId,
        filter: SessionFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<SessionRow>, StoreError>;
    /// How many forks each of these sessions has that `visible_to` may see; `None` sees all.
    async fn branches(&self, sessions: &[SessionId], visible_to: Option<UserId>) -> Result<Vec<u64>, StoreError>;
    /// How many sessions there are of this owner, or forks of this parent. What is not given does not matter.
    async fn count_sessions(
        &self,
        tenant: TenantId,
        owner: Option<UserId>,
        parent: Option<SessionId>,
    ) -> Result<u64, StoreError>;
    /// The relation of a user to a session; `Owner` for its owner.
    async fn relation(&self, session: SessionId, user: UserId) -> Result<Relation, StoreError>;
    /// `Relation::None` removes the membership.
    async fn set_relation(&self, session: SessionId, user: UserId, relation: Relation) -> Result<(), StoreError>;
    async fn members(&self, session: SessionId) -> Result<Vec<(UserId, Relation)>, StoreError>;

    /// Changes whenever somebody may do less than before, or otherwise: a user changed, a sign-in ended, a relation
    /// changed, a session is gone. Whoever remembers rights asks for it every second.
    async fn rights_version(&self) -> Result<u64, StoreError>;

    /// Inserts or replaces; the version must be one more than the stored one (`Conflict("version")` otherwise).
    async fn put_cast(&self, cast: StoredCast) -> Result<(), StoreError>;
    async fn cast(&self, tenant: TenantId, id: &str) -> Result<Option<Cast>, StoreError>;
    async fn casts(&self, tenant: TenantId) -> Result<Vec<Cast>, StoreError>;
    async fn delete_cast(&self, tenant: TenantId, id: &str) -> Result<(), StoreError>;

    /// What a user, or the whole tenant, may spend on models and has spent.
    async fn allowance(&self, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, StoreError>;
    /// `None`: as much as the installation gives everybody. What was spent stays.
    async fn set_budget(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        budget: Option<Budget>,
    ) -> Result<(), StoreError>;

    /// Adds what was spent outside of any log, as appends do with what they have cost.
    async fn charge(&self, charge: Charge) -> Result<(), StoreError>;

    /// Keeps a value that is a secret as a whole, under a key of its own; `None` removes it with its key.
    async fn put_sealed(
        &self,
        tenant: TenantId,
        kind: &'static str,
        id: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError>;
    /// All values of a kind, by id.
    async fn sealed(&self, tenant: TenantId, kind: &'static str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Small values of the installation, such as the hash of the setup code.
    async fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    async fn put_setting(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError>;
}

/// Sessions asked for at once by [`for_each_session`].
const PAGE: usize = 200;

/// Hands on every session that fits, newest first. Only a page of them is held at a time.
pub async fn for_each_session(
    directory: &dyn Directory,
    tenant: TenantId,
    filter: SessionFilter,
    mut take: impl FnMut(SessionSummary) + Send,
) -> Result<(), StoreError> {
    let mut cursor = None;
    loop {
        let page = directory.sessions(tenant, filter.clone(), cursor, PAGE).await?;
        for row in page.items {
            take(row.summary);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
