//! The directory's port over the writer and the readers.

use std::sync::atomic::Ordering;

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

use super::writer::Write;
use super::{SqliteStore, allowances, audit, blocks, casts, members, resets, sealed, sessions, sign_ins, users};
use crate::cursor;

#[async_trait]
impl Directory for SqliteStore {
    async fn create_user(&self, new: NewUser) -> Result<(), StoreError> {
        Ok(self.write(move |write| users::create(write, &new)).await?)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.look(|db| users::find(db, &self.inner.keys, id))?)
    }

    async fn user_by_name(&self, tenant: TenantId, username: &str) -> Result<Option<User>, StoreError> {
        let username = username.to_owned();
        Ok(self.read_with(move |db, keys| users::find_by_name(db, keys, tenant, &username)).await?)
    }

    async fn users(
        &self,
        tenant: TenantId,
        query: Option<String>,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let list =
            move |db: &_, keys: &_| users::list(db, keys, tenant, query.as_deref(), after, limit.saturating_add(1));
        let found = self.read_with(list).await?;
        Ok(cursor::page(found, limit, |user| (user.created_at, user.user_id.0)))
    }

    async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<User, StoreError> {
        if patch.changes_rights() {
            Ok(self.write_rights(move |write| users::update(write, id, patch)).await?)
        } else {
            Ok(self.write(move |write| users::update(write, id, patch)).await?)
        }
    }

    async fn has_admin(&self, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(self.read_with(move |db, _| users::has_admin(db, tenant)).await?)
    }

    async fn set_password(&self, id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| users::set_password(write, id, &phc, except)).await?)
    }

    async fn delete_user(&self, id: UserId) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| users::delete(write, id)).await?)
    }

    async fn put_reset(&self, token: ResetToken) -> Result<(), StoreError> {
        Ok(self.write(move |write| resets::put(write, &token)).await?)
    }

    async fn reset_owner(&self, hash: Hash, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        Ok(self.look(|db| resets::owner(db, hash, now))?)
    }

    async fn use_reset(&self, hash: Hash, now: Timestamp, phc: String) -> Result<Option<UserId>, StoreError> {
        Ok(self.write_rights(move |write| resets::spend(write, hash, now, &phc)).await?)
    }

    async fn put_block(&self, tenant: TenantId, block: AddressBlock) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| blocks::put(write, tenant, &block)).await?)
    }

    async fn blocks(&self, tenant: TenantId) -> Result<Vec<AddressBlock>, StoreError> {
        Ok(self.read_with(move |db, _| blocks::list(db, tenant)).await?)
    }

    async fn lift_block(&self, tenant: TenantId, address: &str) -> Result<(), StoreError> {
        let address = address.to_owned();
        Ok(self.write_rights(move |write| blocks::lift(write, tenant, &address)).await?)
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.write(move |write| blocks::sweep(write, before)).await?)
    }

    async fn create_sign_in(&self, new: NewSignIn, keep: usize) -> Result<Vec<SignInId>, StoreError> {
        let ended = self.write(move |write| sign_ins::create(write, &new, keep)).await?;
        if !ended.is_empty() {
            self.inner.rights.fetch_add(1, Ordering::Relaxed);
        }
        Ok(ended)
    }

    async fn sign_in(&self, id: SignInId) -> Result<Option<SignIn>, StoreError> {
        Ok(self.look(|db| sign_ins::find(db, &self.inner.keys, id))?)
    }

    async fn sign_ins(&self, user: UserId) -> Result<Vec<SignIn>, StoreError> {
        Ok(self.read_with(move |db, keys| sign_ins::list(db, keys, user)).await?)
    }

    async fn rotate(
        &self,
        old: Hash,
        new: Hash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let (reuse, use_): (Vec<_>, Vec<_>) =
            self.take_audit().into_iter().partition(|row| row.event_type == AuditType::TokenReuse);
        let rotate = move |write: &mut Write<'_>| {
            let rotation = sign_ins::rotate(write, old, new, now, expires_at)?;
            let (rows, whose) = match &rotation {
                Rotation::Rotated(sign_in) | Rotation::Reissued(sign_in) => (use_, sign_in.user_id),
                Rotation::Reused(sign_in) => (reuse, sign_in.user_id),
                Rotation::Unknown => return Ok(rotation),
            };
            audit::insert(write, rows.into_iter().map(|row| AuditDraft { user_id: Some(whose), ..row }).collect())?;
            Ok(rotation)
        };
        let rotation = self.write(rotate).await?;
        if matches!(rotation, Rotation::Reused(_)) {
            self.inner.rights.fetch_add(1, Ordering::Relaxed);
        }
        Ok(rotation)
    }

    async fn revoke_sign_in(&self, id: SignInId) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| sign_ins::revoke_one(write, id)).await?)
    }

    async fn revoke_user(&self, user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, StoreError> {
        Ok(self.write_rights(move |write| sign_ins::revoke_user(write, user, except)).await?)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.look(|db| sessions::find(db, id))?)
    }

    async fn sessions(
        &self,
        tenant: TenantId,
        filter: SessionFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<SessionRow>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let list = move |db: &_, _: &_| sessions::list(db, tenant, &filter, after, limit.saturating_add(1));
        let found = self.read_with(list).await?;
        Ok(cursor::page(found, limit, |row| (row.summary.created_at, row.summary.session_id.0)))
    }

    async fn branches(&self, sessions: &[SessionId], visible_to: Option<UserId>) -> Result<Vec<u64>, StoreError> {
        let sessions = sessions.to_vec();
        let count = move |db: &rusqlite::Connection, _: &_| {
            sessions.iter().map(|session| sessions::branches(db, *session, visible_to)).collect()
        };
        Ok(self.read_with(count).await?)
    }

    async fn count_sessions(
        &self,
        tenant: TenantId,
        owner: Option<UserId>,
        parent: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        Ok(self.look(|db| sessions::count(db, tenant, owner, parent))?)
    }

    async fn relation(&self, session: SessionId, user: UserId) -> Result<Relation, StoreError> {
        Ok(self.look(|db| members::relation(db, session, user))?)
    }

    async fn set_relation(&self, session: SessionId, user: UserId, relation: Relation) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| members::set(write, session, user, relation)).await?)
    }

    async fn members(&self, session: SessionId) -> Result<Vec<(UserId, Relation)>, StoreError> {
        Ok(self.read_with(move |db, _| members::list(db, session)).await?)
    }

    async fn rights_version(&self) -> Result<u64, StoreError> {
        Ok(self.inner.rights.load(Ordering::Relaxed))
    }

    async fn put_cast(&self, cast: StoredCast) -> Result<(), StoreError> {
        Ok(self.write(move |write| casts::put(write, &cast)).await?)
    }

    async fn cast(&self, tenant: TenantId, id: &str) -> Result<Option<Cast>, StoreError> {
        let id = id.to_owned();
        Ok(self.read_with(move |db, _| casts::find(db, tenant, &id)).await?)
    }

    async fn casts(&self, tenant: TenantId) -> Result<Vec<Cast>, StoreError> {
        Ok(self.read_with(move |db, _| casts::list(db, tenant)).await?)
    }

    async fn delete_cast(&self, tenant: TenantId, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        Ok(self.write(move |write| casts::delete(write, tenant, &id)).await?)
    }

    async fn allowance(&self, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, StoreError> {
        Ok(self.look(|db| allowances::find(db, tenant, user))?)
    }

    async fn set_budget(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        budget: Option<Budget>,
    ) -> Result<(), StoreError> {
        Ok(self.write(move |write| allowances::set(write, tenant, user, budget)).await?)
    }

    async fn charge(&self, charge: Charge) -> Result<(), StoreError> {
        Ok(self.write(move |write| allowances::charge(write, &charge)).await?)
    }

    async fn put_sealed(
        &self,
        tenant: TenantId,
        kind: &'static str,
        id: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        Ok(self.write(move |write| sealed::put(write, tenant, kind, &id, value.as_deref())).await?)
    }

    async fn sealed(&self, tenant: TenantId, kind: &'static str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(self.read_with(move |db, keys| sealed::list(db, keys, tenant, kind)).await?)
    }

    async fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        Ok(self.read_with(move |db, _| casts::setting(db, &key)).await?)
    }

    async fn put_setting(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let key = key.to_owned();
        Ok(self.write(move |write| casts::put_setting(write, &key, value.as_deref())).await?)
    }
}
