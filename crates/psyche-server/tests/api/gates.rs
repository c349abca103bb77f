//! Dependencies that can be taken away: the real ones behind a gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditRow};
use psyche_core::cast::Cast;
use psyche_core::port::{
    AddressBlock, Allowance, AuditCheck, AuditFilter, AuditLog, Charge, Directory, EphemeralStore, NewSignIn, NewUser,
    Page, Relation, ResetToken, Rotation, SessionFilter, SessionRow, SignIn, StoreError, StoredCast, User, UserPatch,
};
use psyche_core::session::Budget;
use psyche_core::words::Hash;
use psyche_core::{SessionId, SignInId, TenantId, Timestamp, UserId};

/// Closed, whatever is asked behind it fails.
#[derive(Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    pub fn close(&self, closed: bool) {
        self.0.store(closed, Ordering::SeqCst);
    }

    fn pass(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it was taken away".to_owned()));
        }
        Ok(())
    }
}

/// The gates of a server under test.
#[derive(Clone, Default)]
pub struct Gates {
    pub directory: Gate,
    pub audit: Gate,
    pub counters: Gate,
    pub ephemeral: Gate,
}

pub struct GatedDirectory {
    pub inner: Arc<dyn Directory>,
    pub gates: Vec<Gate>,
}

macro_rules! gated {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Directory for GatedDirectory {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$out, StoreError> {
                self.gates.iter().try_for_each(Gate::pass)?;
                self.inner.$name($($arg),*).await
            })*
        }
    };
}

gated! {
    create_user(new: NewUser) -> ();
    user(id: UserId) -> Option<User>;
    user_by_name(tenant: TenantId, username: &str) -> Option<User>;
    users(tenant: TenantId, query: Option<String>, cursor: Option<String>, limit: usize) -> Page<User>;
    update_user(id: UserId, patch: UserPatch) -> User;
    set_password(id: UserId, phc: String, except: Option<SignInId>) -> ();
    delete_user(id: UserId) -> ();
    put_reset(token: ResetToken) -> ();
    reset_owner(hash: Hash, now: Timestamp) -> Option<UserId>;
    use_reset(hash: Hash, now: Timestamp, phc: String) -> Option<UserId>;
    put_block(tenant: TenantId, block: AddressBlock) -> ();
    blocks(tenant: TenantId) -> Vec<AddressBlock>;
    lift_block(tenant: TenantId, address: &str) -> ();
    sweep(before: Timestamp) -> u64;
    has_admin(tenant: TenantId) -> bool;
    create_sign_in(new: NewSignIn, keep: usize) -> Vec<SignInId>;
    sign_in(id: SignInId) -> Option<SignIn>;
    sign_ins(user: UserId) -> Vec<SignIn>;
    rotate(old: Hash, new: Hash, now: Timestamp, expires_at: Timestamp) -> Rotation;
    revoke_sign_in(id: SignInId) -> ();
    revoke_user(user: UserId, except: Option<SignInId>) -> Vec<SignInId>;
    session(id: SessionId) -> Option<SessionRow>;
    sessions(tenant: TenantId, filter: SessionFilter, cursor: Option<String>, limit: usize) -> Page<SessionRow>;
    branches(sessions: &[SessionId], visible_to: Option<UserId>) -> Vec<u64>;
    count_sessions(tenant: TenantId, owner: Option<UserId>, parent: Option<SessionId>) -> u64;
    relation(session: SessionId, user: UserId) -> Relation;
    set_relation(session: SessionId, user: UserId, relation: Relation) -> ();
    members(session: SessionId) -> Vec<(UserId, Relation)>;
    rights_version() -> u64;
    put_cast(cast: StoredCast) -> ();
    cast(tenant: TenantId, id: &str) -> Option<Cast>;
    casts(tenant: TenantId) -> Vec<Cast>;
    delete_cast(tenant: TenantId, id: &str) -> ();
    allowance(tenant: TenantId, user: Option<UserId>) -> Allowance;
    set_budget(tenant: TenantId, user: Option<UserId>, budget: Option<Budget>) -> ();
    charge(charge: Charge) -> ();
    put_sealed(tenant: TenantId, kind: &'static str, id: &str, value: Option<Vec<u8>>) -> ();
    sealed(tenant: TenantId, kind: &'static str) -> Vec<(String, Vec<u8>)>;
    setting(key: &str) -> Option<Vec<u8>>;
    put_setting(key: &str, value: Option<Vec<u8>>) -> ();
}

pub struct GatedAudit {
    pub inner: Arc<dyn AuditLog>,
    pub gates: Gates,
}

#[async_trait]
impl AuditLog for GatedAudit {
    async fn record(&self, rows: Vec<AuditDraft>) -> Result<(), StoreError> {
        self.gates.audit.pass()?;
        self.inner.record(rows).await
    }

    fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory> {
        let gates = vec![self.gates.audit.clone(), self.gates.directory.clone()];
        Arc::new(GatedDirectory { inner: self.inner.directory_with(rows), gates })
    }

    async fn rows(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.gates.audit.pass()?;
        self.inner.rows(tenant, filter, limit).await
    }

    async fn verify(&self) -> Result<AuditCheck, StoreError> {
        self.gates.audit.pass()?;
        self.inner.verify().await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.gates.audit.pass()?;
        self.inner.prune(before).await
    }
}

pub struct GatedEphemeral<E> {
    pub inner: E,
    pub gate: Gate,
}

#[async_trait]
impl<E: EphemeralStore> EphemeralStore for GatedEphemeral<E> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.gate.pass()?;
        self.inner.get(key).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<(), StoreError> {
        self.gate.pass()?;
        self.inner.put(key, value, ttl_ms).await
    }
    async fn put_new(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.gate.pass()?;
        self.inner.put_new(key, value, ttl_ms).await
    }
    async fn increment(&self, key: &str, ttl_ms: u64) -> Result<u64, StoreError> {
        self.gate.pass()?;
        self.inner.increment(key, ttl_ms).await
    }
    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.gate.pass()?;
        self.inner.take(key).await
    }
}
