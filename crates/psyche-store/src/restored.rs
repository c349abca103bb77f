//! What a restore makes of a backup's rows on their way: nothing that was revoked becomes valid again, and every client
//! learns that the past is another.

use std::collections::{BTreeMap, BTreeSet};

use psyche_core::ids::SessionId;
use psyche_core::port::{SessionSummary, StoreError};
use rusqlite::types::Value;
use uuid::Uuid;

use crate::rows::{Row, Rows, Table, table_of};

/// What the store that is replaced says of what a backup holds too, as far as it can still be read.
#[derive(Debug, Default)]
pub struct Present {
    /// The newest generation of each session that a client can have seen.
    pub generations: BTreeMap<SessionId, u32>,
    /// Its people, by id. `None`: it cannot be asked, and the backup's are taken as they are.
    accounts: Option<BTreeMap<Vec<u8>, Row>>,
    /// Who is let in to which session: whole rows.
    members: BTreeSet<Vec<u8>>,
}

impl Present {
    /// Reads the tables that count from the rows of the present store.
    pub async fn of(mut rows: Rows) -> Result<Self, StoreError> {
        let mut present = Self { accounts: Some(BTreeMap::new()), ..Self::default() };
        while let Some(batch) = rows.next().await? {
            for row in batch.rows {
                present.note(batch.table, row)?;
            }
        }
        Ok(present)
    }

    fn note(&mut self, table: &Table, row: Row) -> Result<(), StoreError> {
        match table.name {
            "session_head" => {
                let (session, generation) = head(table, &row)?;
                self.seen(session, generation);
            }
            "account" => {
                let id = blob(&row[table.at("user_id")])?.to_vec();
                self.accounts.get_or_insert_default().insert(id, row);
            }
            "membership" => {
                self.members.insert(whole(&row));
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes a generation of a session that clients may hold.
    pub fn seen(&mut self, session: SessionId, generation: u32) {
        let newest = self.generations.entry(session).or_default();
        *newest = generation.max(*newest);
    }

    /// The backup's rows as they are restored.
    #[must_use]
    pub fn restored(self, rows: Rows) -> Rows {
        let mut raised = BTreeMap::new();
        rows.edited(Box::new(move |table, row| self.edit(table, row, &mut raised)))
    }

    fn edit(
        &self,
        table: &'static Table,
        row: &mut Row,
        raised: &mut BTreeMap<SessionId, u32>,
    ) -> Result<bool, StoreError> {
        match table.name {
            // The row of lists comes before the head; its summary names the same generation.
            "session" => {
                let at = table.at("summary");
                let Value::Text(summary) = &row[at] else { return Err(damaged("session")) };
                let mut summary: SessionSummary = serde_json::from_str(summary).map_err(|_| damaged("session"))?;
                summary.generation = self.next(summary.session_id, summary.generation)?;
                raised.insert(summary.session_id, summary.generation);
                row[at] = Value::Text(serde_json::to_string(&summary).map_err(|_| damaged("session"))?);
            }
            "session_head" => {
                let (session, generation) = head(table, row)?;
                let next = self.next(session, generation)?.max(raised.remove(&session).unwrap_or(0));
                row[table.at("gen")] = Value::Integer(i64::from(next));
                row[table.at("owner")] = Value::Null;
                row[table.at("expires_at")] = Value::Integer(0);
            }
            "account" => self.account(table, row)?,
            "sign_in" => row[table.at("revoked")] = Value::Integer(1),
            "refresh_token" | "reset_token" => return Ok(false),
            // Who was shut out since the backup stays out.
            "membership" => return Ok(self.accounts.is_none() || self.members.contains(&whole(row))),
            _ => {}
        }
        Ok(true)
    }

    /// The generation after all that clients may hold.
    fn next(&self, session: SessionId, generation: u32) -> Result<u32, StoreError> {
        let newest = generation.max(self.generations.get(&session).copied().unwrap_or(0));
        newest.checked_add(1).ok_or_else(|| damaged("session_head"))
    }

    /// A person who is still there stays as they are now: password, role, second factor, disabled or not. Who was removed
    /// since comes back disabled, with what they own.
    fn account(&self, table: &Table, row: &mut Row) -> Result<(), StoreError> {
        let Some(accounts) = &self.accounts else { return Ok(()) };
        let key = table.at("key_id");
        match accounts.get(blob(&row[table.at("user_id")])?) {
            Some(now) if now[key] == row[key] => row.clone_from(now),
            // Made anew under another key, which the backup does not have.
            _ => row[table.at("status")] = Value::Text("disabled".to_owned()),
        }
        Ok(())
    }
}

/// The tables that [`Present::of`] reads.
pub fn asked() -> [&'static Table; 3] {
    ["session_head", "account", "membership"].map(table_of)
}

fn head(table: &Table, row: &Row) -> Result<(SessionId, u32), StoreError> {
    let id = Uuid::from_slice(blob(&row[table.at("session_id")])?).map_err(|_| damaged("session_head"))?;
    let Value::Integer(generation) = row[table.at("gen")] else { return Err(damaged("session_head")) };
    Ok((SessionId(id), u32::try_from(generation).map_err(|_| damaged("session_head"))?))
}

fn blob(value: &Value) -> Result<&[u8], StoreError> {
    match value {
        Value::Blob(bytes) => Ok(bytes),
        _ => Err(StoreError::Corrupt("an id is not stored as bytes".to_owned())),
    }
}

/// A row of two ids and a word as one value.
fn whole(row: &Row) -> Vec<u8> {
    let mut all = Vec::new();
    for value in row {
        match value {
            Value::Blob(bytes) => all.extend(bytes),
            Value::Text(text) => all.extend(text.bytes()),
            _ => {}
        }
        all.push(0);
    }
    all
}

fn damaged(table: &str) -> StoreError {
    StoreError::Corrupt(format!("a row of the table {table} cannot be read"))
}
