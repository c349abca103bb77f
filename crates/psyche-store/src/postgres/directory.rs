//! The directory's port.

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditType};
use psyche_core::cast::Cast;
use psyche_core::ids::{SessionId, SignInId, TenantId, UserId};
use psyche_core::port::{
    AddressBlock, Allowance, Charge, Directory, NewSignIn, NewUser, Page, Relation, ResetToken, Rotation,
    SessionFilter, SessionRow, SignIn, StoreError, StoredCast, User, UserPatch,
};
use psyche_core::session::Budget;
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;

use super::fault::Fault;
use super::write::transact;
use super::{PostgresStore, allowances, casts, members, number, sealed, sessions, sign_ins, users};
use crate::cursor;

/// A question, asked on a connection of its own.
macro_rules! ask {
    ($store:expr, |$db:ident| $question:expr) => {
        async {
            let $db = $store.client().await?;
            let answer: Result<_, Fault> = $question.await;
            answer
        }
        .await
    };
}

/// A change, in a transaction of its own.
macro_rules! change {
    ($store:expr, |$write:ident| $work:expr) => {
        async { Ok::<_, Fault>(transact!($store, |$write| $work.await)) }.await
    };
}

impl PostgresStore {
    /// Which rows of the audit trail fit depends on what the token was.
    async fn rotated(&self, old: Hash, new: Hash, now: Timestamp, expires_at: Timestamp) -> Result<Rotation, Fault> {
        let (reuse, use_): (Vec<_>, Vec<_>) =
            self.take_audit().into_iter().partition(|row| row.event_type == AuditType::TokenReuse);
        let mut client = self.client().await?;
        let mut write = self.begin(&mut client).await?;
        let rotation = sign_ins::rotate(&mut write, old, new, now, expires_at).await?;
        let (rows, whose) = match &rotation {
            Rotation::Rotated(sign_in) | Rotation::Reissued(sign_in) => (use_, sign_in.user_id),
            Rotation::Reused(sign_in) => (reuse, sign_in.user_id),
            Rotation::Unknown => return Ok(rotation),
        };
        let rows = rows.into_iter().map(|row| AuditDraft { user_id: Some(whose), ..row }).collect();
        self.commit_with(write, rows).await?;
        Ok(rotation)
    }
}

#[async_trait]
impl Directory for PostgresStore {
    async fn create_user(&self, new: NewUser) -> Result<(), StoreError> {
        Ok(change!(self, |write| users::create(write, &new))?)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(ask!(self, |db| users::find(&db, self.keys(), id))?)
    }

    async fn user_by_name(&self, tenant: TenantId, username: &str) -> Result<Option<User>, StoreError> {
        Ok(ask!(self, |db| users::find_by_name(&db, self.keys(), tenant, username))?)
    }

    async fn users(
        &self,
        tenant: TenantId,
        query: Option<String>,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let (query, more) = (query.as_deref(), limit.saturating_add(1));
        let found = ask!(self, |db| users::list(&db, self.keys(), tenant, query, after, more))?;
        Ok(cursor::page(found, limit, |user| (user.created_at, user.user_id.0)))
    }

    async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<User, StoreError> {
        Ok(change!(self, |write| users::update(write, id, patch))?)
    }

    async fn has_admin(&self, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(ask!(self, |db| users::has_admin(&db, tenant))?)
    }

    async fn set_password(&self, id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError> {
        Ok(change!(self, |write| users::set_password(write, id, &phc, except))?)
    }

    async fn delete_user(&self, id: UserId) -> Result<(), StoreError> {
        Ok(change!(self, |write| users::delete(write, id))?)
    }

    async fn put_reset(&self, token: ResetToken) -> Result<(), StoreError> {
        Ok(change!(self, |write| users::put_reset(&write.db, &token))?)
    }

    async fn reset_owner(&self, hash: Hash, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        Ok(ask!(self, |db| users::reset_owner(&db, hash, now))?)
    }

    async fn use_reset(&self, hash: Hash, now: Timestamp, phc: String) -> Result<Option<UserId>, StoreError> {
        Ok(change!(self, |write| users::spend_reset(write, hash, now, &phc))?)
    }

    async fn put_block(&self, tenant: TenantId, block: AddressBlock) -> Result<(), StoreError> {
        Ok(change!(self, |write| {
            write.rights_changed();
            sign_ins::put_block(&write.db, tenant, &block)
        })?)
    }

    async fn blocks(&self, tenant: TenantId) -> Result<Vec<AddressBlock>, StoreError> {
        Ok(ask!(self, |db| sign_ins::blocks(&db, tenant))?)
    }

    async fn lift_block(&self, tenant: TenantId, address: &str) -> Result<(), StoreError> {
        Ok(change!(self, |write| sign_ins::lift_block(write, tenant, address))?)
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(change!(self, |write| sign_ins::sweep(write, before))?)
    }

    async fn create_sign_in(&self, new: NewSignIn, keep: usize) -> Result<Vec<SignInId>, StoreError> {
        Ok(change!(self, |write| sign_ins::create(write, &new, keep))?)
    }

    async fn sign_in(&self, id: SignInId) -> Result<Option<SignIn>, StoreError> {
        Ok(ask!(self, |db| sign_ins::find(&db, self.keys(), id))?)
    }

    async fn sign_ins(&self, user: UserId) -> Result<Vec<SignIn>, StoreError> {
        Ok(ask!(self, |db| sign_ins::list(&db, self.keys(), user))?)
    }

    async fn rotate(
        &self,
        old: Hash,
        new: Hash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        Ok(self.rotated(old, new, now, expires_at).await?)
    }

    async fn revoke_sign_in(&self, id: SignInId) -> Result<(), StoreError> {
        Ok(change!(self, |write| sign_ins::revoke_one(write, id))?)
    }

    async fn revoke_user(&self, user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, StoreError> {
        Ok(change!(self, |write| sign_ins::revoke_user(write, user, except))?)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(ask!(self, |db| sessions::find(&db, id))?)
    }

    async fn sessions(
        &self,
        tenant: TenantId,
        filter: SessionFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<SessionRow>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let found = ask!(self, |db| sessions::list(&db, tenant, &filter, after, limit.saturating_add(1)))?;
        Ok(cursor::page(found, limit, |row| (row.summary.created_at, row.summary.session_id.0)))
    }

    async fn branches(&self, sessions: &[SessionId], visible_to: Option<UserId>) -> Result<Vec<u64>, StoreError> {
        Ok(ask!(self, |db| sessions::branches(&db, sessions, visible_to))?)
    }

    async fn count_sessions(
        &self,
        tenant: TenantId,
        owner: Option<UserId>,
        parent: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        Ok(ask!(self, |db| sessions::count(&db, tenant, owner, parent))?)
    }

    async fn relation(&self, session: SessionId, user: UserId) -> Result<Relation, StoreError> {
        Ok(ask!(self, |db| members::relation(&db, session, user))?)
    }

    async fn set_relation(&self, session: SessionId, user: UserId, relation: Relation) -> Result<(), StoreError> {
        Ok(change!(self, |write| {
            write.rights_changed();
            members::set(&write.db, session, user, relation)
        })?)
    }

    async fn members(&self, session: SessionId) -> Result<Vec<(UserId, Relation)>, StoreError> {
        Ok(ask!(self, |db| members::list(&db, session))?)
    }

    async fn rights_version(&self) -> Result<u64, StoreError> {
        let version = async {
            let db = self.client().await?;
            let select = db.prepare_cached("SELECT version FROM rights").await?;
            number(db.query_one(&select, &[]).await?.get(0), "version of rights")
        };
        let version: Result<u64, Fault> = version.await;
        Ok(version?)
    }

    async fn put_cast(&self, cast: StoredCast) -> Result<(), StoreError> {
        Ok(change!(self, |write| casts::put(&write.db, &cast))?)
    }

    async fn cast(&self, tenant: TenantId, id: &str) -> Result<Option<Cast>, StoreError> {
        Ok(ask!(self, |db| casts::find(&db, tenant, id))?)
    }

    async fn casts(&self, tenant: TenantId) -> Result<Vec<Cast>, StoreError> {
        Ok(ask!(self, |db| casts::list(&db, tenant))?)
    }

    async fn delete_cast(&self, tenant: TenantId, id: &str) -> Result<(), StoreError> {
        Ok(change!(self, |write| casts::delete(&write.db, tenant, id))?)
    }

    async fn allowance(&self, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, StoreError> {
        Ok(ask!(self, |db| allowances::find(&db, tenant, user))?)
    }

    async fn set_budget(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        budget: Option<Budget>,
    ) -> Result<(), StoreError> {
        Ok(change!(self, |write| allowances::set(&write.db, tenant, user, budget))?)
    }

    async fn charge(&self, charge: Charge) -> Result<(), StoreError> {
        Ok(change!(self, |write| allowances::charge(&write.db, &charge))?)
    }

    async fn put_sealed(
        &self,
        tenant: TenantId,
        kind: &'static str,
        id: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        Ok(change!(self, |write| sealed::put(write, tenant, kind, id, value.as_deref()))?)
    }

    async fn sealed(&self, tenant: TenantId, kind: &'static str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(ask!(self, |db| sealed::list(&db, self.keys(), tenant, kind))?)
    }

    async fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(ask!(self, |db| casts::setting(&db, key))?)
    }

    async fn put_setting(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        Ok(change!(self, |write| casts::put_setting(&write.db, key, value.as_deref()))?)
    }
}
