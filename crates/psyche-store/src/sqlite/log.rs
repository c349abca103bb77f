//! The event log's port over the writer and the readers.

use async_trait::async_trait;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Append, AppendError, Claim, EventLog, Head, NewFork, NewSession, Snapshot, StoreError};
use psyche_core::record::Record;
use psyche_core::words::{Hash, Subject};
use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::records::{self, Batch, HEAD, head_of, mark_of};
use super::{SqliteStore, allowances, erasure, forks, leases, sessions, snapshots};
use crate::columns::Columns;
use crate::guard;
use crate::journal::{self, Entry};

impl SqliteStore {
    /// Erasures of people that reach these records: a log that was taken along before them brings nothing back.
    fn erased_among(&self, records: &[Record]) -> Result<Vec<Entry>, StoreError> {
        let first = records.iter().map(|record| record.at).min();
        let speaks = |person| records.iter().flat_map(|record| &record.texts).any(|text| text.subject == person);
        let journal = &self.inner.erasures;
        let entries = journal::load(journal)
            .map_err(|error| StoreError::Unavailable(format!("{} cannot be read: {error}", journal.display())))?;
        let mut reaching: Vec<Entry> = Vec::new();
        for entry in entries {
            let of_person = entry.session.is_none() && matches!(entry.subject, Subject::User(_));
            if of_person && first.is_some_and(|first| first <= entry.at) && speaks(entry.subject) {
                reaching.push(entry);
            }
        }
        Ok(reaching)
    }
}

#[async_trait]
impl EventLog for SqliteStore {
    async fn create(&self, new: NewSession) -> Result<(), StoreError> {
        let NewSession { row, records } = new;
        guard::chain(Hash::ZERO, &records, true)?;
        let head = guard::first_head(&records)?;
        let columns = Columns::of(&row.summary).map_err(Fault::from)?;
        let (session, tenant) = (row.summary.session_id, row.tenant);
        let erased = self.erased_among(&records)?;
        let create = self.write(move |write| {
            sessions::insert(write, tenant, &columns)?;
            let mut insert = write.db.prepare_cached(
                "INSERT INTO session_head (session_id, tenant, gen, owner, epoch, expires_at, last_seq, head_hash)
                 VALUES (?1, ?2, ?3, NULL, 0, 0, ?4, ?5)",
            )?;
            insert.execute(params![session.0, tenant.0, head.generation, head.seq, head.hash.0])?;
            records::insert(write, session, tenant, 0, &records)?;
            write.head(session, Some(mark_of(&head)));
            for entry in &erased {
                erasure::erase(write, &Entry { session: Some(session), ..*entry })?;
            }
            Ok(())
        });
        Ok(create.await?)
    }

    async fn fork(&self, new: NewFork) -> Result<(), StoreError> {
        let columns = Columns::of(&new.row.summary).map_err(Fault::from)?;
        Ok(self.write(move |write| forks::fork(write, &new, &columns)).await?)
    }

    async fn head(&self, session: SessionId) -> Result<Option<Head>, StoreError> {
        Ok(self.look(|db| Ok(db.prepare_cached(HEAD)?.query_row([session.0], head_of).optional()?))?)
    }

    async fn claim(&self, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, StoreError> {
        Ok(self.write(move |write| leases::claim(write, session, owner, ttl_ms)).await?)
    }

    async fn renew(&self, owner: OwnerId, sessions: &[SessionId], ttl_ms: u64) -> Result<Vec<SessionId>, StoreError> {
        let sessions = sessions.to_vec();
        Ok(self.write(move |write| leases::renew(write, owner, sessions, ttl_ms)).await?)
    }

    async fn release(&self, owner: OwnerId, sessions: &[SessionId]) -> Result<(), StoreError> {
        let sessions = sessions.to_vec();
        Ok(self.write(move |write| leases::release(write, owner, &sessions)).await?)
    }

    async fn append(&self, append: Append) -> Result<Head, AppendError> {
        let Append { session, epoch, expected, records, summary, charge } = append;
        guard::chain(expected, &records, epoch.is_some())?;
        let summary = summary.as_ref().map(Columns::of).transpose().map_err(Fault::from)?;
        let batch = Batch { session, epoch, expected, records };
        let append = self.write_among(Some(session), move |write| {
            let head = records::append(write, &batch)?;
            if let Some(summary) = summary {
                sessions::update(write, session, &summary)?;
            }
            if let Some(charge) = charge {
                allowances::charge(write, &charge)?;
            }
            Ok(head)
        });
        Ok(append.await?)
    }

    async fn read(&self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self.read_with(move |db, keys| records::read(db, keys, session, after, limit)).await?)
    }

    async fn read_numbers(
        &self,
        session: SessionId,
        kinds: &'static [&'static str],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self.read_with(move |db, _| records::read_numbers(db, session, kinds, after, limit)).await?)
    }

    async fn find_command(&self, session: SessionId, command_id: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.look(|db| records::find_command(db, session, command_id))?)
    }

    async fn save_snapshot(&self, session: SessionId, snapshot: Snapshot) -> Result<(), StoreError> {
        Ok(self.write(move |write| snapshots::save(write, session, &snapshot)).await?)
    }

    async fn snapshot(&self, session: SessionId, seq: u64) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.read_with(move |db, keys| snapshots::find(db, keys, session, seq)).await?)
    }

    async fn claimable(&self, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        Ok(self.read_with(move |db, _| leases::claimable(db, tenant, limit)).await?)
    }

    async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, StoreError> {
        let (journal, now) = (self.inner.erasures.clone(), self.clock().now());
        let erase = self.write(move |write| {
            let (_, latest) = erasure::reach(write.db, session, subject)?;
            let entry = Entry { session, subject, at: now.max(latest) };
            // Written before it is done: what breaks off here is done at the next start.
            journal::append(&journal, &entry).map_err(|error| {
                StoreError::Unavailable(format!("{} cannot be written, nothing was erased: {error}", journal.display()))
            })?;
            erasure::erase(write, &entry)
        });
        Ok(erase.await?)
    }

    async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        Ok(self.write_rights(move |write| erasure::delete(write, session)).await?)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let stamp = self.clock().now().micros();
        let write = self.write(move |write| {
            let mut upsert = write.db.prepare_cached("INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?1)")?;
            Ok(upsert.execute([stamp]).map(drop)?)
        });
        write.await?;
        let read = self.read_with(|db, _| Ok(db.query_row("SELECT at FROM probe", [], |row| row.get::<_, i64>(0))?));
        read.await?;
        Ok(())
    }
}
