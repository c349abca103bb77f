//! The event log's port.

use async_trait::async_trait;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Append, AppendError, Claim, EventLog, Head, NewFork, NewSession, Snapshot, StoreError};
use psyche_core::record::Record;
use psyche_core::words::{Hash, Subject};

use super::fault::Fault;
use super::write::{Write, transact};
use super::{PostgresStore, erasure, forks, leases, records, sessions, snapshots};
use crate::columns::Columns;
use crate::guard;

async fn create(write: &mut Write<'_>, new: &NewSession, head: &Head) -> Result<(), Fault> {
    let place = (new.row.summary.session_id, new.row.tenant);
    sessions::insert(&write.db, place.1, &Columns::of(&new.row.summary)?).await?;
    sessions::insert_head(&write.db, place, (head.generation, head.seq, head.hash)).await?;
    records::insert(&write.db, write.keys, place, &new.records).await?;
    erasure::erase_again(write, place.0, &new.records).await
}

/// What the port asks for, with the adapter's own faults.
impl PostgresStore {
    async fn created(&self, new: NewSession) -> Result<(), Fault> {
        guard::chain(Hash::ZERO, &new.records, true)?;
        let head = guard::first_head(&new.records)?;
        transact!(self, |write| create(write, &new, &head).await);
        self.note_head(new.row.summary.session_id).await;
        Ok(())
    }

    async fn forked(&self, new: &NewFork) -> Result<(), Fault> {
        let columns = Columns::of(&new.row.summary)?;
        transact!(self, |write| forks::fork(write, new, &columns).await);
        self.note_head(new.row.summary.session_id).await;
        Ok(())
    }

    async fn appended(&self, append: &Append) -> Result<Head, Fault> {
        guard::chain(append.expected, &append.records, append.epoch.is_some())?;
        let head = records::append(&self.client().await?, self.keys(), append).await?;
        self.inner.acknowledged.note(append.session, Some(&head));
        Ok(head)
    }

    /// Notes a head that a committed transaction has changed. Where it cannot be asked for, the next append notes it.
    pub(super) async fn note_head(&self, session: SessionId) {
        let head = async { records::head(&self.client().await?, session).await };
        if let Ok(Some((head, _))) = head.await {
            self.inner.acknowledged.note(session, Some(&head));
        }
    }

    async fn saved(&self, session: SessionId, snapshot: &Snapshot) -> Result<(), Fault> {
        transact!(self, |write| snapshots::save(write, session, snapshot).await);
        Ok(())
    }

    async fn deleted(&self, session: SessionId) -> Result<(), Fault> {
        transact!(self, |write| erasure::delete(write, session).await);
        self.inner.acknowledged.note(session, None);
        Ok(())
    }

    async fn probed(&self) -> Result<(), Fault> {
        let sql = "INSERT INTO probe (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        let db = self.client().await?;
        let put = db.prepare_cached(sql).await?;
        db.execute(&put, &[&self.inner.clock.now().micros()]).await?;
        Ok(())
    }
}

#[async_trait]
impl EventLog for PostgresStore {
    async fn create(&self, new: NewSession) -> Result<(), StoreError> {
        Ok(self.created(new).await?)
    }

    async fn fork(&self, new: NewFork) -> Result<(), StoreError> {
        Ok(self.forked(&new).await?)
    }

    async fn head(&self, session: SessionId) -> Result<Option<Head>, StoreError> {
        let head = async { records::head(&self.client().await?, session).await };
        Ok(head.await?.map(|(head, _)| head))
    }

    async fn heads(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, Head)>, StoreError> {
        let heads = async { records::heads(&self.client().await?, sessions).await };
        Ok(heads.await?)
    }

    async fn claim(&self, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, StoreError> {
        let claim = async { leases::claim(&self.client().await?, session, owner, ttl_ms).await };
        Ok(claim.await?)
    }

    async fn renew(&self, owner: OwnerId, sessions: &[SessionId], ttl_ms: u64) -> Result<Vec<SessionId>, StoreError> {
        let renew = async { leases::renew(&self.client().await?, owner, sessions, ttl_ms).await };
        Ok(renew.await?)
    }

    async fn release(&self, owner: OwnerId, sessions: &[SessionId]) -> Result<(), StoreError> {
        let release = async { leases::release(&self.client().await?, owner, sessions).await };
        Ok(release.await?)
    }

    async fn append(&self, append: Append) -> Result<Head, AppendError> {
        Ok(self.appended(&append).await?)
    }

    async fn read(&self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let read = async { records::read(&self.client().await?, self.keys(), session, after, limit).await };
        Ok(read.await?)
    }

    async fn read_numbers(
        &self,
        session: SessionId,
        kinds: &'static [&'static str],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let read = async { records::read_numbers(&self.client().await?, session, kinds, after, limit).await };
        Ok(read.await?)
    }

    async fn find_command(&self, session: SessionId, command_id: &str) -> Result<Option<u64>, StoreError> {
        let find = async { records::find_command(&self.client().await?, session, command_id).await };
        Ok(find.await?)
    }

    async fn save_snapshot(&self, session: SessionId, snapshot: Snapshot) -> Result<(), StoreError> {
        Ok(self.saved(session, &snapshot).await?)
    }

    async fn snapshot(&self, session: SessionId, seq: u64) -> Result<Option<Snapshot>, StoreError> {
        let find = async { snapshots::find(&self.client().await?, self.keys(), session, seq).await };
        Ok(find.await?)
    }

    async fn claimable(&self, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let find = async { leases::claimable(&self.client().await?, tenant, limit).await };
        Ok(find.await?)
    }

    async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, StoreError> {
        Ok(self.erase_subject(session, subject).await?)
    }

    async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        Ok(self.deleted(session).await?)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(self.probed().await?)
    }
}
