//! The directory, the bus and the clock as one replica reaches them.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use psyche_bus::LocalBus;
use psyche_core::cast::Cast;
use psyche_core::ids::{SessionId, SignInId, TenantId, UserId};
use psyche_core::port::{
    AddressBlock, Allowance, Bus, Charge, Clock, Directory as Port, NewSignIn, NewUser, News, NewsStream, Page,
    Relation, ResetToken, Rotation, SessionFilter, SessionRow, SignIn, StoreError, StoredCast, User, UserPatch,
};
use psyche_core::session::Budget;
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use psyche_store::memory::MemoryStore;

use super::wire::{Dice, Replica, Wire};

/// The directory, behind the wire of one replica. What can fail for the log can fail for it.
pub struct Directory {
    pub store: MemoryStore,
    pub replica: Arc<Replica>,
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl Port for Directory {
            $(
                async fn $name(&self, $($arg: $type),*) -> $result {
                    self.replica.call(stringify!($name), std::future::ready(Ok::<(), StoreError>(()))).await?;
                    Port::$name(&self.store, $($arg),*).await
                }
            )*
        }
    };
}

forward! {
    create_user(new: NewUser) -> Result<(), StoreError>;
    user(id: UserId) -> Result<Option<User>, StoreError>;
    user_by_name(tenant: TenantId, username: &str) -> Result<Option<User>, StoreError>;
    users(tenant: TenantId, query: Option<String>, cursor: Option<String>, limit: usize) -> Result<Page<User>, StoreError>;
    update_user(id: UserId, patch: UserPatch) -> Result<User, StoreError>;
    set_password(id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError>;
    delete_user(id: UserId) -> Result<(), StoreError>;
    put_reset(token: ResetToken) -> Result<(), StoreError>;
    reset_owner(hash: Hash, now: Timestamp) -> Result<Option<UserId>, StoreError>;
    use_reset(hash: Hash, now: Timestamp, phc: String) -> Result<Option<UserId>, StoreError>;
    put_block(tenant: TenantId, block: AddressBlock) -> Result<(), StoreError>;
    blocks(tenant: TenantId) -> Result<Vec<AddressBlock>, StoreError>;
    lift_block(tenant: TenantId, address: &str) -> Result<(), StoreError>;
    sweep(before: Timestamp) -> Result<u64, StoreError>;
    has_admin(tenant: TenantId) -> Result<bool, StoreError>;
    create_sign_in(new: NewSignIn, keep: usize) -> Result<Vec<SignInId>, StoreError>;
    sign_in(id: SignInId) -> Result<Option<SignIn>, StoreError>;
    sign_ins(user: UserId) -> Result<Vec<SignIn>, StoreError>;
    rotate(old: Hash, new: Hash, now: Timestamp, expires_at: Timestamp) -> Result<Rotation, StoreError>;
    revoke_sign_in(id: SignInId) -> Result<(), StoreError>;
    revoke_user(user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, StoreError>;
    session(id: SessionId) -> Result<Option<SessionRow>, StoreError>;
    sessions(tenant: TenantId, filter: SessionFilter, cursor: Option<String>, limit: usize) -> Result<Page<SessionRow>, StoreError>;
    branches(sessions: &[SessionId], visible_to: Option<UserId>) -> Result<Vec<u64>, StoreError>;
    count_sessions(tenant: TenantId, owner: Option<UserId>, parent: Option<SessionId>) -> Result<u64, StoreError>;
    relation(session: SessionId, user: UserId) -> Result<Relation, StoreError>;
    set_relation(session: SessionId, user: UserId, relation: Relation) -> Result<(), StoreError>;
    members(session: SessionId) -> Result<Vec<(UserId, Relation)>, StoreError>;
    rights_version() -> Result<u64, StoreError>;
    put_cast(cast: StoredCast) -> Result<(), StoreError>;
    cast(tenant: TenantId, id: &str) -> Result<Option<Cast>, StoreError>;
    casts(tenant: TenantId) -> Result<Vec<Cast>, StoreError>;
    delete_cast(tenant: TenantId, id: &str) -> Result<(), StoreError>;
    allowance(tenant: TenantId, user: Option<UserId>) -> Result<Allowance, StoreError>;
    set_budget(tenant: TenantId, user: Option<UserId>, budget: Option<Budget>) -> Result<(), StoreError>;
    charge(charge: Charge) -> Result<(), StoreError>;
    put_sealed(tenant: TenantId, kind: &'static str, id: &str, value: Option<Vec<u8>>) -> Result<(), StoreError>;
    sealed(tenant: TenantId, kind: &'static str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    setting(key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    put_setting(key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError>;
}

/// The bus of all replicas: at most once, and at times not at all.
pub struct SharedBus {
    pub bus: LocalBus,
    pub replica: Arc<Replica>,
}

#[async_trait]
impl Bus for SharedBus {
    fn publish(&self, session: SessionId, news: News) {
        let live = matches!(news, News::Live(_));
        if !live && !self.replica.dead.is_cancelled() && !self.replica.wire.loses_news() {
            self.bus.publish(session, news);
        }
    }

    fn subscribe(&self, session: SessionId) -> NewsStream {
        self.bus.subscribe(session)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A clock by simulated time. Each replica has one, as wrong as clocks of machines are; the store has the right one.
pub struct SimClock {
    wire: Arc<Wire>,
    dice: Mutex<Dice>,
    ahead_us: i64,
}

/// 2026-01-01 at noon.
const BEGIN_US: i64 = 1_767_268_800_000_000;

impl SimClock {
    pub fn new(wire: &Arc<Wire>, mut dice: Dice, most_ahead_s: u64) -> Self {
        let ahead_us = dice.within(0, 2 * most_ahead_s * 1_000_000) as i64 - most_ahead_s as i64 * 1_000_000;
        Self { wire: Arc::clone(wire), dice: Mutex::new(dice), ahead_us }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(BEGIN_US + self.wire.elapsed().as_micros() as i64 + self.ahead_us)
    }
    fn monotonic_ms(&self) -> u64 {
        self.wire.elapsed().as_millis() as u64
    }
    fn entropy(&self) -> [u8; 32] {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.next().to_be_bytes());
        }
        bytes
    }
}
