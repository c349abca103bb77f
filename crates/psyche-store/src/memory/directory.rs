//! The directory in memory.

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditType};
use psyche_core::cast::Cast;
use psyche_core::ids::{SessionId, SignInId, TenantId, UserId};
use psyche_core::port::{
    AddressBlock, Allowance, Charge, Directory, NewSignIn, NewUser, Page, Relation, ResetToken, Role, Rotation,
    SessionFilter, SessionRow, SignIn, StoreError, StoredCast, User, UserPatch, UserStatus, folded,
};
use psyche_core::session::Budget;
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use uuid::Uuid;

use super::{Log, MemoryStore, Tables, Token, audit};
use crate::accounts::{Verdict, is_active_admin, is_live, judge, patched};
use crate::cursor;

#[async_trait]
impl Directory for MemoryStore {
    async fn create_user(&self, new: NewUser) -> Result<(), StoreError> {
        self.change(|tables| {
            let user = new.user;
            if new.only_first_admin && tables.admins(user.tenant).next().is_some() {
                return Err(StoreError::Conflict("admin"));
            }
            if tables.users.contains_key(&user.user_id) {
                return Err(StoreError::Conflict("user"));
            }
            let name = folded(&user.username);
            if tables.users.values().any(|u| u.tenant == user.tenant && folded(&u.username) == name) {
                return Err(StoreError::Conflict("username"));
            }
            tables.users.insert(user.user_id, user);
            Ok(())
        })
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.tables().users.get(&id).cloned())
    }

    async fn user_by_name(&self, tenant: TenantId, username: &str) -> Result<Option<User>, StoreError> {
        let name = folded(username);
        let tables = self.tables();
        Ok(tables.users.values().find(|u| u.tenant == tenant && folded(&u.username) == name).cloned())
    }

    async fn users(
        &self,
        tenant: TenantId,
        query: Option<String>,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let place = |user: &User| (user.created_at, user.user_id.0);
        let query = query.as_deref().map(folded);
        let tables = self.tables();
        let fits = |u: &&User| u.tenant == tenant && query.as_ref().is_none_or(|query| u.is_called(query));
        let users = tables.users.values().filter(fits);
        Ok(newest_first(users, after, limit, place))
    }

    async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<User, StoreError> {
        self.change(|tables| {
            let user = tables.users.get(&id).ok_or(StoreError::NotFound("user"))?;
            let rights = u64::from(patch.changes_rights());
            let patched = patched(user.clone(), patch);
            let falls = is_active_admin(user) && !is_active_admin(&patched);
            if falls && tables.admins(patched.tenant).filter(|u| is_active_admin(u)).count() == 1 {
                return Err(StoreError::Conflict("last admin"));
            }
            tables.users.insert(id, patched.clone());
            tables.rights += rights;
            if patched.status == UserStatus::Disabled {
                tables.revoke_all(id, None);
            }
            Ok(patched)
        })
    }

    async fn has_admin(&self, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(self.tables().admins(tenant).next().is_some())
    }

    async fn set_password(&self, id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError> {
        self.change(|tables| tables.set_password(id, phc, except))
    }

    async fn delete_user(&self, id: UserId) -> Result<(), StoreError> {
        self.change(|tables| {
            let user = tables.users.get(&id).ok_or(StoreError::NotFound("user"))?;
            if is_active_admin(user) && tables.admins(user.tenant).filter(|u| is_active_admin(u)).count() == 1 {
                return Err(StoreError::Conflict("last admin"));
            }
            let user_tenant = user.tenant;
            tables.users.remove(&id);
            tables.rights += 1;
            let dead: Vec<_> = tables.sign_ins.values().filter(|s| s.user_id == id).map(|s| s.id).collect();
            tables.sign_ins.retain(|_, s| s.user_id != id);
            tables.tokens.retain(|_, token| !dead.contains(&token.sign_in));
            tables.resets.remove(&id);
            tables.allowances.remove(&(user_tenant, Some(id)));
            for log in tables.sessions.values_mut() {
                log.members.remove(&id);
            }
            for row in tables.audit.iter_mut().filter(|row| row.user_id == Some(id)) {
                row.personal = None;
            }
            Ok(())
        })
    }

    async fn put_reset(&self, token: ResetToken) -> Result<(), StoreError> {
        self.change(|tables| {
            if !tables.users.contains_key(&token.user_id) {
                return Err(StoreError::NotFound("user"));
            }
            tables.resets.insert(token.user_id, token);
            Ok(())
        })
    }

    async fn reset_owner(&self, hash: Hash, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        Ok(self.tables().reset_owner(hash, now))
    }

    async fn use_reset(&self, hash: Hash, now: Timestamp, phc: String) -> Result<Option<UserId>, StoreError> {
        self.change(|tables| {
            let Some(user) = tables.reset_owner(hash, now) else { return Ok(None) };
            tables.resets.remove(&user);
            tables.set_password(user, phc, None)?;
            Ok(Some(user))
        })
    }

    async fn put_block(&self, tenant: TenantId, block: AddressBlock) -> Result<(), StoreError> {
        self.change(|tables| {
            tables.rights += 1;
            tables.blocks.insert((tenant, block.address.clone()), block);
            Ok(())
        })
    }

    async fn blocks(&self, tenant: TenantId) -> Result<Vec<AddressBlock>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> =
            tables.blocks.iter().filter(|((t, _), _)| *t == tenant).map(|(_, b)| b.clone()).collect();
        found.sort_by(|a, b| b.blocked_at.cmp(&a.blocked_at).then_with(|| a.address.cmp(&b.address)));
        Ok(found)
    }

    async fn lift_block(&self, tenant: TenantId, address: &str) -> Result<(), StoreError> {
        self.change(|tables| {
            tables.rights += 1;
            tables.blocks.remove(&(tenant, address.to_owned())).map(drop).ok_or(StoreError::NotFound("address"))
        })
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = |tables: &Tables| tables.sign_ins.len() + tables.resets.len() + tables.blocks.len();
        let all = count(&tables);
        tables.sign_ins.retain(|_, s| s.expires_at >= before && !(s.revoked && s.last_seen < before));
        let Tables { tokens, sign_ins, .. } = &mut *tables;
        tokens.retain(|_, token| sign_ins.contains_key(&token.sign_in));
        tables.resets.retain(|_, token| token.expires_at >= before);
        tables.blocks.retain(|_, block| block.until >= before);
        Ok((all - count(&tables)) as u64)
    }

    async fn create_sign_in(&self, new: NewSignIn, keep: usize) -> Result<Vec<SignInId>, StoreError> {
        self.change(|tables| {
            let NewSignIn { sign_in, refresh_hash } = new;

            if !tables.users.contains_key(&sign_in.user_id) {
                return Err(StoreError::NotFound("user"));
            }
            if tables.tokens.contains_key(&refresh_hash) || tables.sign_ins.contains_key(&sign_in.id) {
                return Err(StoreError::Conflict("sign-in"));
            }
            let now = sign_in.created_at;
            let (id, user) = (sign_in.id, sign_in.user_id);
            let others = tables.sign_ins.values().filter(|s| s.user_id == user && is_live(s, now));
            let mut live: Vec<_> = others.map(|s| (s.last_seen, s.id)).collect();
            live.sort_unstable();
            live.truncate((live.len() + 1).saturating_sub(keep));
            let ended: Vec<_> = live.into_iter().map(|(_, id)| id).collect();
            for id in &ended {
                tables.revoke(*id);
            }
            tables.tokens.insert(refresh_hash, Token { sign_in: id, spent: None });
            tables.sign_ins.insert(id, sign_in);
            Ok(ended)
        })
    }

    async fn sign_in(&self, id: SignInId) -> Result<Option<SignIn>, StoreError> {
        Ok(self.tables().sign_ins.get(&id).cloned())
    }

    async fn sign_ins(&self, user: UserId) -> Result<Vec<SignIn>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> = tables.sign_ins.values().filter(|s| s.user_id == user).cloned().collect();
        found.sort_by_key(|s| std::cmp::Reverse((s.last_seen, s.id)));
        Ok(found)
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
        let mut tables = self.tables();
        let rotation = rotate(&mut tables, old, new, now, expires_at)?;
        let (rows, whose) = match &rotation {
            Rotation::Rotated(sign_in) | Rotation::Reissued(sign_in) => (use_, sign_in.user_id),
            Rotation::Reused(sign_in) => (reuse, sign_in.user_id),
            Rotation::Unknown => return Ok(rotation),
        };
        let rows = rows.into_iter().map(|row| AuditDraft { user_id: Some(whose), ..row }).collect();
        audit::append(&mut tables, rows, &*self.clock);
        Ok(rotation)
    }

    async fn revoke_sign_in(&self, id: SignInId) -> Result<(), StoreError> {
        self.change(|tables| {
            if !tables.sign_ins.contains_key(&id) {
                return Err(StoreError::NotFound("sign-in"));
            }
            tables.revoke(id);
            Ok(())
        })
    }

    async fn revoke_user(&self, user: UserId, except: Option<SignInId>) -> Result<Vec<SignInId>, StoreError> {
        self.change(|tables| Ok(tables.revoke_all(user, except)))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.tables().sessions.get(&id).map(|log| log.row.clone()))
    }

    async fn sessions(
        &self,
        tenant: TenantId,
        filter: SessionFilter,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<Page<SessionRow>, StoreError> {
        let after = cursor::parse(cursor.as_deref())?;
        let place = |row: &SessionRow| (row.summary.created_at, row.summary.session_id.0);
        let query = filter.query.as_ref().map(|q| q.to_lowercase());
        let tables = self.tables();
        let rows = tables.sessions.values().filter(|log| {
            let summary = &log.row.summary;
            log.row.tenant == tenant
                && filter.visible_to.is_none_or(|user| log.relation(user) != Relation::None)
                && filter.owner.is_none_or(|user| summary.owner == user)
                && filter.status.is_none_or(|status| summary.status == status)
                && query.as_ref().is_none_or(|q| summary.name.to_lowercase().contains(q))
                && filter.tag.as_ref().is_none_or(|tag| summary.tags.contains(tag))
                && filter.parent.is_none_or(|parent| log.is_fork_of(parent))
        });
        Ok(newest_first(rows.map(|log| &log.row), after, limit, place))
    }

    async fn branches(&self, sessions: &[SessionId], visible_to: Option<UserId>) -> Result<Vec<u64>, StoreError> {
        let tables = self.tables();
        let visible = |log: &&Log| visible_to.is_none_or(|user| log.relation(user) != Relation::None);
        let count =
            |parent| tables.sessions.values().filter(visible).filter(|log| log.is_fork_of(parent)).count() as u64;
        Ok(sessions.iter().map(|session| count(*session)).collect())
    }

    async fn count_sessions(
        &self,
        tenant: TenantId,
        owner: Option<UserId>,
        parent: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let tables = self.tables();
        let rows = tables.sessions.values().map(|log| &log.row).filter(|row| {
            row.tenant == tenant
                && owner.is_none_or(|owner| row.summary.owner == owner)
                && parent.is_none_or(|id| row.summary.parent.as_ref().is_some_and(|parent| parent.session_id == id))
        });
        Ok(rows.count() as u64)
    }

    async fn relation(&self, session: SessionId, user: UserId) -> Result<Relation, StoreError> {
        Ok(self.tables().sessions.get(&session).map_or(Relation::None, |log| log.relation(user)))
    }

    async fn set_relation(&self, session: SessionId, user: UserId, relation: Relation) -> Result<(), StoreError> {
        self.change(|tables| {
            tables.rights += 1;
            let log = tables.sessions.get_mut(&session).ok_or(StoreError::NotFound("session"))?;
            if relation == Relation::None {
                log.members.remove(&user);
            } else {
                log.members.insert(user, relation);
            }
            Ok(())
        })
    }

    async fn members(&self, session: SessionId) -> Result<Vec<(UserId, Relation)>, StoreError> {
        let tables = self.tables();
        let Some(log) = tables.sessions.get(&session) else { return Ok(Vec::new()) };
        let owner = log.row.summary.owner;
        let others = log.members.iter().filter(|(user, _)| **user != owner).map(|(user, relation)| (*user, *relation));
        Ok(std::iter::once((owner, Relation::Owner)).chain(others).collect())
    }

    async fn rights_version(&self) -> Result<u64, StoreError> {
        Ok(self.tables().rights)
    }

    async fn put_cast(&self, cast: StoredCast) -> Result<(), StoreError> {
        let StoredCast { tenant, cast } = cast;
        let mut tables = self.tables();
        let key = (tenant, cast.id.clone());
        if tables.casts.get(&key).is_some_and(|stored| cast.version != stored.version + 1) {
            return Err(StoreError::Conflict("version"));
        }
        tables.casts.insert(key, cast);
        Ok(())
    }

    async fn cast(&self, tenant: TenantId, id: &str) -> Result<Option<Cast>, StoreError> {
        Ok(self.tables().casts.get(&(tenant, id.to_owned())).cloned())
    }

    async fn casts(&self, tenant: TenantId) -> Result<Vec<Cast>, StoreError> {
        Ok(self.tables().casts.iter().filter(|((t, _), _)| *t == tenant).map(|(_, cast)| cast.clone()).collect())
    }

    async fn delete_cast(&self, tenant: TenantId, id: &str) -> Result<(), StoreError> {
        self.tables().casts.remove(&(tenant, id.to_owned())).map(drop).ok_or(StoreError::NotFound("cast"))
    }

    async fn allowance(&self, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, StoreError> {
        Ok(self.tables().allowances.get(&(tenant, user)).copied().unwrap_or_default())
    }

    async fn set_budget(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        budget: Option<Budget>,
    ) -> Result<(), StoreError> {
        self.change(|tables| {
            tables.allowances.entry((tenant, user)).or_default().budget = budget;
            Ok(())
        })
    }

    async fn charge(&self, charge: Charge) -> Result<(), StoreError> {
        self.change(|tables| {
            tables.charge(&charge);
            Ok(())
        })
    }

    async fn put_sealed(
        &self,
        tenant: TenantId,
        kind: &'static str,
        id: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.change(|tables| {
            let key = (tenant, kind, id.to_owned());
            match value {
                Some(value) => tables.sealed.insert(key, value),
                None => tables.sealed.remove(&key),
            };
            Ok(())
        })
    }

    async fn sealed(&self, tenant: TenantId, kind: &'static str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let tables = self.tables();
        let of_kind = tables.sealed.iter().filter(|((t, k, _), _)| *t == tenant && *k == kind);
        Ok(of_kind.map(|((_, _, id), value)| (id.clone(), value.clone())).collect())
    }

    async fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables().settings.get(key).cloned())
    }

    async fn put_setting(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.change(|tables| {
            match value {
                Some(value) => tables.settings.insert(key.to_owned(), value),
                None => tables.settings.remove(key),
            };
            Ok(())
        })
    }
}

fn rotate(
    tables: &mut Tables,
    old: Hash,
    new: Hash,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Rotation, StoreError> {
    let Some(token) = tables.tokens.get(&old) else { return Ok(Rotation::Unknown) };
    let (id, spent) = (token.sign_in, token.spent);
    let Some(sign_in) = tables.sign_ins.get(&id).filter(|s| is_live(s, now)) else {
        return Ok(Rotation::Unknown);
    };
    let mut sign_in = sign_in.clone();
    let successor_spent = spent.and_then(|(_, next)| tables.tokens.get(&next)).is_some_and(|next| next.spent.is_some());
    let verdict = judge(spent.map(|(at, _)| at), successor_spent, now);
    if verdict == Verdict::Revoke {
        sign_in.revoked = true;
        tables.revoke(id);
        return Ok(Rotation::Reused(sign_in));
    }
    if tables.tokens.contains_key(&new) {
        return Err(StoreError::Conflict("refresh token"));
    }
    // A reissue also spends the successor whose answer was lost: should it turn up, the sign-in was shared.
    if let Some((_, lost)) = spent
        && let Some(lost) = tables.tokens.get_mut(&lost)
    {
        lost.spent = Some((now, new));
    }
    if let Some(token) = tables.tokens.get_mut(&old) {
        token.spent = Some((spent.map_or(now, |(at, _)| at), new));
    }
    tables.tokens.insert(new, Token { sign_in: id, spent: None });
    sign_in.last_seen = now;
    sign_in.expires_at = expires_at;
    tables.sign_ins.insert(id, sign_in.clone());
    Ok(if verdict == Verdict::Rotate { Rotation::Rotated(sign_in) } else { Rotation::Reissued(sign_in) })
}

impl Tables {
    fn reset_owner(&self, hash: Hash, now: Timestamp) -> Option<UserId> {
        self.resets.values().find(|token| token.hash == hash && token.expires_at > now).map(|token| token.user_id)
    }

    /// Adds what was spent to the user's allowance and to the tenant's.
    pub fn charge(&mut self, charge: &Charge) {
        let counted = charge.counted();
        for user in [Some(charge.user), None] {
            let spent = &mut self.allowances.entry((charge.tenant, user)).or_default().spent;
            spent.tokens += counted.tokens;
            spent.cost += counted.cost;
        }
    }

    fn admins(&self, tenant: TenantId) -> impl Iterator<Item = &User> {
        self.users.values().filter(move |u| u.tenant == tenant && u.role == Role::Admin)
    }

    fn revoke_all(&mut self, user: UserId, except: Option<SignInId>) -> Vec<SignInId> {
        let live = self.sign_ins.values().filter(|s| s.user_id == user && !s.revoked && Some(s.id) != except);
        let ended: Vec<_> = live.map(|s| s.id).collect();
        for id in &ended {
            self.revoke(*id);
        }
        ended
    }

    fn set_password(&mut self, id: UserId, phc: String, except: Option<SignInId>) -> Result<(), StoreError> {
        self.users.get_mut(&id).ok_or(StoreError::NotFound("user"))?.password_hash = phc;
        self.rights += 1;
        self.revoke_all(id, except);
        Ok(())
    }

    fn revoke(&mut self, id: SignInId) {
        if let Some(sign_in) = self.sign_ins.get_mut(&id) {
            sign_in.revoked = true;
            self.rights += 1;
        }
    }
}

impl Log {
    fn is_fork_of(&self, session: SessionId) -> bool {
        self.row.summary.parent.as_ref().is_some_and(|parent| parent.session_id == session)
    }

    fn relation(&self, user: UserId) -> Relation {
        if self.row.summary.owner == user {
            return Relation::Owner;
        }
        self.members.get(&user).copied().unwrap_or(Relation::None)
    }
}

fn newest_first<'a, T: Clone + 'a>(
    items: impl Iterator<Item = &'a T>,
    after: Option<cursor::Place>,
    limit: usize,
    place: impl Fn(&T) -> (Timestamp, Uuid),
) -> Page<T> {
    let mut items: Vec<_> = items.filter(|item| after.is_none_or(|after| place(item) < after)).collect();
    items.sort_by_key(|item| std::cmp::Reverse(place(item)));
    let shown = items.into_iter().take(limit + 1).cloned().collect();
    cursor::page(shown, limit, place)
}
