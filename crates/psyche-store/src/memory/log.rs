//! The event log in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use psyche_core::event::EMBEDDING;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{
    Append, AppendError, Claim, EventLog, Head, NewFork, NewSession, SessionRow, SessionSummary, Snapshot, StoreError,
};
use psyche_core::quotes::{Quotes, goes, may_quote};
use psyche_core::record::Record;
use psyche_core::session::SessionStatus;
use psyche_core::time::Timestamp;
use psyche_core::words::{Hash, Salt, Subject};

use super::{Lease, Log, MemoryStore};
use crate::erasure::Refold;
use crate::guard;

const NO_SESSION: StoreError = StoreError::NotFound("session");

impl MemoryStore {
    fn salt(&self) -> Salt {
        let entropy = self.clock.entropy();
        std::array::from_fn(|i| entropy[i])
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn create(&self, new: NewSession) -> Result<(), StoreError> {
        guard::chain(Hash::ZERO, &new.records, true)?;
        let head = guard::first_head(&new.records)?;
        let session = new.row.summary.session_id;
        let mut tables = self.tables();
        if tables.sessions.contains_key(&session) {
            return Err(StoreError::Conflict("session"));
        }
        let records = new.records.into_iter().map(|r| stored(r, 0)).collect();
        tables.sessions.insert(session, log_of(new.row, head, records, BTreeMap::new()));
        // A log that was taken along before an erasure brings nothing back.
        let erased = tables.erased.clone();
        let salt = self.salt();
        if let Some(log) = tables.sessions.get_mut(&session) {
            for (person, until) in erased {
                erase_in(session, log, Subject::User(person), until, salt);
            }
        }
        Ok(())
    }

    async fn fork(&self, new: NewFork) -> Result<(), StoreError> {
        let NewFork { row, parent, records } = new;
        let mut tables = self.tables();
        let from = tables.sessions.get(&parent.session_id).filter(|log| log.row.tenant == row.tenant);
        let from = from.ok_or(NO_SESSION)?;
        let until = usize::try_from(parent.seq).unwrap_or(usize::MAX);
        let shared = from.records.get(..until).filter(|shared| !shared.is_empty());
        let shared = shared.ok_or(StoreError::NotFound("event of the fork"))?;
        let hash = shared.last().map_or(Hash::ZERO, |r| r.hash);
        guard::begins_fork(&parent, from.head.generation, hash, &records)?;
        if tables.sessions.contains_key(&row.summary.session_id) {
            return Err(StoreError::Conflict("session"));
        }
        let end = records.last().ok_or(NO_SESSION)?;
        let head = Head { generation: end.generation, seq: end.seq, hash: end.hash, epoch: 0, owner: None };
        let records = shared.iter().cloned().chain(records).map(|r| stored(r, 0)).collect();
        let snapshots = from.snapshots.range(..=parent.seq).map(|(seq, snapshot)| (*seq, snapshot.clone())).collect();
        let session = row.summary.session_id;
        tables.sessions.insert(session, log_of(row, head, records, snapshots));
        Ok(())
    }

    async fn head(&self, session: SessionId) -> Result<Option<Head>, StoreError> {
        Ok(self.tables().sessions.get(&session).map(|log| log.head.clone()))
    }

    async fn claim(&self, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, StoreError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let log = tables.sessions.get_mut(&session).ok_or(NO_SESSION)?;
        match &log.lease {
            Some(lease) if lease.owner != owner && lease.until > now => {
                Ok(Claim::Held { owner: lease.owner, until: lease.until })
            }
            _ => {
                log.lease = Some(Lease { owner, until: now.plus_ms(ttl_ms as i64) });
                log.head.owner = Some(owner);
                log.head.epoch += 1;
                Ok(Claim::Granted(log.head.clone()))
            }
        }
    }

    async fn renew(&self, owner: OwnerId, sessions: &[SessionId], ttl_ms: u64) -> Result<Vec<SessionId>, StoreError> {
        let until = self.clock.now().plus_ms(ttl_ms as i64);
        let mut tables = self.tables();
        let mut renewed = Vec::new();
        for session in sessions {
            if let Some(lease) = tables.sessions.get_mut(session).and_then(|log| log.lease.as_mut())
                && lease.owner == owner
            {
                lease.until = until;
                renewed.push(*session);
            }
        }
        Ok(renewed)
    }

    async fn release(&self, owner: OwnerId, sessions: &[SessionId]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for session in sessions {
            if let Some(log) = tables.sessions.get_mut(session)
                && log.lease.as_ref().is_some_and(|lease| lease.owner == owner)
            {
                log.lease = None;
                log.head.owner = None;
            }
        }
        Ok(())
    }

    async fn append(&self, append: Append) -> Result<Head, AppendError> {
        guard::chain(append.expected, &append.records, append.epoch.is_some())?;
        let mut tables = self.tables();
        let log = tables.sessions.get_mut(&append.session).ok_or(NO_SESSION)?;
        if append.epoch.is_some_and(|epoch| epoch != log.head.epoch) {
            return Err(AppendError::Fenced);
        }
        if append.expected != log.head.hash || append.records.iter().any(|r| r.generation != log.head.generation) {
            return Err(AppendError::Stale(log.head.clone()));
        }
        guard::follows(log.head.seq, &append.records)?;
        let mut turns = BTreeSet::new();
        let mut commands = BTreeMap::new();
        for record in &append.records {
            if let Some(turn) = record.committed_turn
                && (log.turns.contains(&turn) || !turns.insert(turn))
            {
                return Err(AppendError::TurnTaken(turn));
            }
            if let Some(id) = &record.command_id
                && let Some(seq) = log.commands.get(id).copied().or_else(|| commands.insert(id.clone(), record.seq))
            {
                return Err(AppendError::CommandTaken { seq });
            }
        }
        log.turns.append(&mut turns);
        log.commands.append(&mut commands);
        let epoch = append.epoch.unwrap_or(0);
        log.records.extend(append.records.into_iter().map(|r| stored(r, epoch)));
        if let Some(last) = log.records.last() {
            log.head.seq = last.seq;
            log.head.hash = last.hash;
        }
        if let Some(summary) = append.summary {
            log.row.summary = SessionSummary { owner: log.row.summary.owner, ..summary };
        }
        let head = log.head.clone();
        if let Some(charge) = append.charge {
            tables.charge(&charge);
        }
        Ok(head)
    }

    async fn read(&self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let tables = self.tables();
        let Some(log) = tables.sessions.get(&session) else { return Ok(Vec::new()) };
        Ok(log.records.iter().skip(after as usize).take(limit).cloned().collect())
    }

    async fn read_numbers(
        &self,
        session: SessionId,
        kinds: &'static [&'static str],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let tables = self.tables();
        let Some(log) = tables.sessions.get(&session) else { return Ok(Vec::new()) };
        let wanted = log.records.iter().skip(after as usize).filter(|record| kinds.contains(&record.kind.as_str()));
        let bare = |record: &Record| Record { texts: Vec::new(), ..record.clone() };
        Ok(wanted.take(limit).map(bare).collect())
    }

    async fn find_command(&self, session: SessionId, command_id: &str) -> Result<Option<u64>, StoreError> {
        let tables = self.tables();
        let Some(log) = tables.sessions.get(&session) else { return Ok(None) };
        Ok(log.commands.get(command_id).copied())
    }

    async fn save_snapshot(&self, session: SessionId, snapshot: Snapshot) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let log = tables.sessions.get_mut(&session).ok_or(NO_SESSION)?;
        let index = (snapshot.seq as usize).wrapping_sub(1);
        if log.records.get(index).is_none_or(|r| r.hash != snapshot.hash) {
            return Err(StoreError::NotFound("event of the snapshot"));
        }
        if snapshot.generation != log.head.generation {
            return Err(StoreError::Conflict("generation"));
        }
        log.snapshots.insert(snapshot.seq, snapshot);
        Ok(())
    }

    async fn snapshot(&self, session: SessionId, seq: u64) -> Result<Option<Snapshot>, StoreError> {
        let tables = self.tables();
        let Some(log) = tables.sessions.get(&session) else { return Ok(None) };
        Ok(log.snapshots.range(..=seq).next_back().map(|(_, snapshot)| snapshot.clone()))
    }

    async fn claimable(&self, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let now = self.clock.now();
        let tables = self.tables();
        let runs = |log: &Log| log.row.summary.status == SessionStatus::Running;
        let free = tables.sessions.iter().filter(|(_, log)| {
            log.row.tenant == tenant
                && (runs(log) || log.row.summary.waiting > 0)
                && log.lease.as_ref().is_none_or(|lease| lease.until <= now)
        });
        let mut free: Vec<_> = free.map(|(id, log)| (runs(log), *id)).collect();
        free.sort_unstable();
        Ok(free.into_iter().map(|(_, id)| id).take(limit).collect())
    }

    async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, StoreError> {
        if session.is_none() && subject == Subject::Session {
            return Err(NO_SESSION);
        }
        let salt = self.salt();
        let mut tables = self.tables();
        if let (None, Subject::User(id)) = (session, subject) {
            tables.erased.push((id, self.clock.now()));
            let owner = id.to_string();
            tables.casts.retain(|_, cast| cast.owner.as_ref() != Some(&owner));
        }
        let mut touched = Vec::new();
        for (id, log) in &mut tables.sessions {
            if session.is_none_or(|s| s == *id) && erase_in(*id, log, subject, Timestamp(i64::MAX), salt) {
                touched.push(*id);
            }
        }
        Ok(touched)
    }

    async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.rights += 1;
        tables.sessions.remove(&session).map(drop).ok_or(NO_SESSION)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A log with its indexes, that nobody owns or belongs to yet.
fn log_of(row: SessionRow, head: Head, records: Vec<Record>, snapshots: BTreeMap<u64, Snapshot>) -> Log {
    let turns = records.iter().filter_map(|r| r.committed_turn).collect();
    let commands = records.iter().filter_map(|r| Some((r.command_id.clone()?, r.seq))).collect();
    Log { row, head, lease: None, records, turns, commands, snapshots, members: BTreeMap::new() }
}

/// Erases what a subject said in one log until then; masked copies get another salt than the texts had. False when it
/// said nothing there.
fn erase_in(id: SessionId, log: &mut Log, subject: Subject, until: Timestamp, salt: Salt) -> bool {
    let mut quotes = Quotes::default();
    let mut spoke = false;
    for record in log.records.iter_mut().filter(|record| record.at <= until) {
        let kind = record.kind.as_str();
        for text in record.texts.iter_mut().filter(|t| t.text.is_some() && goes(kind, t.subject, subject)) {
            if let (Subject::User(_), Some(words)) = (subject, &text.text) {
                quotes.note(kind, &text.field, words);
            }
            (text.text, text.salt, text.masked) = (None, [0; 16], false);
            spoke = true;
        }
    }
    if !spoke {
        return false;
    }
    for record in log.records.iter_mut().filter(|r| may_quote(&r.kind)) {
        let mut quotes_them = false;
        for text in &mut record.texts {
            if let Some(masked) = text.text.as_deref().and_then(|words| quotes.mask(words)) {
                (text.text, text.salt, text.masked) = (Some(masked), salt, true);
                quotes_them = true;
            }
        }
        for text in record.texts.iter_mut().filter(|text| quotes_them && text.field == EMBEDDING) {
            (text.text, text.salt, text.masked) = (None, [0; 16], false);
        }
    }
    log.snapshots.clear();
    log.head.generation += 1;
    let mut refold = Refold::new(id);
    for record in &log.records {
        refold.feed(record);
    }
    log.row.summary = refold.row(log.row.summary.clone(), log.head.generation, subject);
    true
}

/// The record as it is kept: the store knows the epoch, and an erased text has no salt.
fn stored(mut record: Record, epoch: u64) -> Record {
    record.epoch = epoch;
    for text in record.texts.iter_mut().filter(|t| t.text.is_none()) {
        text.salt = [0; 16];
    }
    record
}
