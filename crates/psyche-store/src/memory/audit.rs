//! The audit trail in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditRow, Checker, Place};
use psyche_core::ids::TenantId;
use psyche_core::port::{AuditCheck, AuditFilter, AuditLog, Clock, Directory, StoreError};
use psyche_core::time::Timestamp;

use super::{MemoryStore, Tables};

/// What is in memory needs no secret: who could change it could read the key as well.
const KEY: [u8; 32] = [0; 32];

pub fn append(tables: &mut Tables, drafts: Vec<AuditDraft>, clock: &dyn Clock) {
    for draft in drafts {
        let (seq, before) = tables.audit.last().map_or(tables.audit_base, |row| (row.seq, row.mac));
        let mut salt = [0; 16];
        salt.copy_from_slice(&clock.entropy()[..16]);
        let place = Place { seq: seq + 1, event_id: clock.uuid(), before };
        tables.audit.push(AuditRow::new(draft, place, &salt, &KEY));
    }
}

fn fits(filter: &AuditFilter, row: &AuditRow) -> bool {
    filter.from.is_none_or(|from| if filter.newest_first { row.seq < from } else { row.seq > from })
        && (filter.event_types.is_empty() || filter.event_types.contains(&row.event_type))
        && filter.severity.is_none_or(|severity| row.severity == severity)
        && filter.user_id.is_none_or(|user| row.user_id == Some(user))
        && filter.session_id.is_none_or(|session| row.session_id == Some(session))
        && filter.start.is_none_or(|start| row.at >= start)
        && filter.end.is_none_or(|end| row.at <= end)
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn record(&self, rows: Vec<AuditDraft>) -> Result<(), StoreError> {
        append(&mut self.tables(), rows, &*self.clock);
        Ok(())
    }

    fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory> {
        let (clock, tables) = (Arc::clone(&self.clock), Arc::clone(&self.tables));
        Arc::new(Self { clock, tables, audit: Arc::new(Mutex::new(rows)) })
    }

    async fn rows(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let tables = self.tables();
        let found = tables.audit.iter().filter(|row| row.tenant == tenant && fits(&filter, row)).cloned();
        let mut found: Vec<_> = found.collect();
        if filter.newest_first {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn verify(&self) -> Result<AuditCheck, StoreError> {
        let tables = self.tables();
        let (seq, mac) = tables.audit_base;
        let mut checker = Checker::new(KEY, seq, mac);
        for row in &tables.audit {
            checker.next(row);
        }
        Ok(AuditCheck {
            rows: tables.audit.len() as u64,
            first_seq: tables.audit.first().map_or(0, |row| row.seq),
            last_seq: checker.head().0,
            checkpoint: None,
            problems: checker.problems,
        })
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let Some(last) = tables.audit.iter().rposition(|row| row.at < before) else { return Ok(0) };
        let row = &tables.audit[last];
        tables.audit_base = (row.seq, row.mac);
        tables.audit.drain(..=last);
        Ok(last as u64 + 1)
    }
}
