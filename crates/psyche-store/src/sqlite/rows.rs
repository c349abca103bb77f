//! The content of the database on its way into another store, and of another store into this one.

use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::record::Checker;
use psyche_core::words::Hash;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::SqliteStore;
use super::fault::Fault;
use super::keys::Keys;
use super::records::{self, head_of, mark_of};
use crate::high_water::Marks;
use crate::rows::{Beside, Copied, Counts, RECORDS, Rows, Sender, Step, TABLES, Table, Told, broken, content_of};
use crate::rows::{ended, not_empty};

impl SqliteStore {
    /// All content, as it is when the reading begins. Works beside whoever writes.
    pub fn rows(&self) -> Rows {
        let store = self.clone();
        Rows::new(|to, reader| {
            reader.spawn(async move {
                // Whoever takes the rows is told by `send`; a store that is closed sends none, which is told too.
                let sending = store.read_with(move |db, _| {
                    send(db, to, TABLES.iter());
                    Ok(())
                });
                let _ = sending.await;
            });
        })
    }

    /// Takes in the content of another store of the same master key and verifies every log, in one transaction. Refused
    /// with `Corrupt`, and nothing is written, when this one is not empty or a log is not whole.
    pub async fn fill(&self, mut rows: Rows, told: Told) -> Result<Copied, StoreError> {
        let fill = self.write(move |write| {
            let copied = fill(write.db, write.keys, &mut rows, &told)?;
            for (session, mark) in marks(write.db)? {
                write.head(session, Some(mark));
            }
            Ok(copied)
        });
        Ok(fill.await?)
    }

    pub fn beside(&self) -> Beside {
        Beside { erasures: self.inner.erasures.clone(), checkpoints: self.inner.checkpoints.clone() }
    }
}

/// Sends what is in these tables within the transaction of `db`.
pub fn send(db: &Connection, mut to: Sender, mut tables: impl Iterator<Item = &'static Table>) {
    let sent = tables.try_for_each(|table| send_table(db, &mut to, table));
    // Where nobody takes it any more there is nobody to tell.
    let _ = to.send_blocking(sent.map(|()| None).map_err(StoreError::from));
}

fn send_table(db: &Connection, to: &mut Sender, table: &'static Table) -> Result<(), Fault> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.told_by.unwrap_or(column.name)).collect();
    let mut select =
        db.prepare(&format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, table.key))?;
    let mut stored = select.query([])?;
    while let Some(row) = stored.next()? {
        let row = (0..table.columns.len()).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>()?;
        if let Some(batch) = to.add(table, row) {
            to.send_blocking(Ok(Some(batch)))?;
        }
    }
    let rest = to.cut(table);
    Ok(to.send_blocking(Ok(Some(rest)))?)
}

/// Writes all rows and verifies them within the transaction of `db`.
fn fill(db: &Connection, keys: &Keys, rows: &mut Rows, told: &Told) -> Result<Copied, Fault> {
    if let Some(table) = filled(db)? {
        return Err(not_empty(table).into());
    }
    let counts = take_in(db, rows, told)?;
    verify(db, keys, &counts, told)
}

/// The first table that has content.
pub fn filled(db: &Connection) -> rusqlite::Result<Option<&'static Table>> {
    for table in TABLES {
        if db.prepare(&content_of(table))?.exists([])? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Writes all rows into an empty database.
pub fn take_in(db: &Connection, rows: &mut Rows, told: &Told) -> Result<Counts, Fault> {
    // The row that tells of the master key: the source's takes its place.
    db.execute("DELETE FROM subject_key", [])?;
    let mut counts = Counts::default();
    while let Some(batch) = rows.next_blocking()? {
        let mut insert = db.prepare_cached(&insert(batch.table))?;
        for row in &batch.rows {
            let own = batch.table.columns.iter().zip(row).filter(|(column, _)| column.told_by.is_none());
            insert.execute(params_from_iter(own.map(|(_, value)| value)))?;
        }
        counts.add(&batch, told);
    }
    Ok(counts)
}

fn insert(table: &Table) -> String {
    let own = table.columns.iter().filter(|column| column.told_by.is_none());
    let mut columns: Vec<&str> = own.map(|column| column.name).collect();
    let mut values: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    for emptied in table.emptied {
        columns.push(emptied);
        values.push("''".to_owned());
    }
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, columns.join(", "), values.join(", "))
}

/// Checks that what was taken in is there: as many rows, and every log whole up to its head.
pub fn verify(db: &Connection, keys: &Keys, counts: &Counts, told: &Told) -> Result<Copied, Fault> {
    let mut copied = Copied::default();
    for table in TABLES {
        let found = db.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0))?;
        counts.check(table, found)?;
        copied.rows += found;
    }
    for (session, mark) in marks(db)? {
        let erased = verify_log(db, keys, session, (mark.seq, mark.hash))?;
        copied.sessions += 1;
        copied.events += mark.seq;
        copied.erased += erased;
        told(Step::Verified { sessions: copied.sessions, events: copied.events });
    }
    counts.whole_logs(&copied)?;
    Ok(copied)
}

/// Walks a log to its head. Returns how many of its events have erased words.
fn verify_log(db: &Connection, keys: &Keys, session: SessionId, head: (u64, Hash)) -> Result<u64, Fault> {
    let mut checker = Checker::default();
    loop {
        let records = records::read(db, keys, session, checker.head().0, RECORDS)?;
        for record in &records {
            checker.check(record).map_err(|what| broken(session, &what.to_string()))?;
        }
        if records.len() < RECORDS {
            break;
        }
    }
    ended(session, &checker, head)?;
    Ok((checker.erased.len() + checker.masked.len()) as u64)
}

/// The heads of all sessions.
fn marks(db: &Connection) -> rusqlite::Result<Marks> {
    let mut heads = db.prepare("SELECT gen, last_seq, head_hash, epoch, owner, session_id FROM session_head")?;
    let rows = heads.query_map([], |row| Ok((SessionId(row.get(5)?), mark_of(&head_of(row)?))))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sqlite::schema;

    /// What is forgotten here would be in no backup.
    #[test]
    fn every_column_of_the_schema_moves_but_those_a_store_keeps_about_itself() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, 0).unwrap();
        let sql = "SELECT t.name || '.' || c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
                   WHERE t.type = 'table' AND t.name NOT IN ('schema_version', 'probe', 'deleted_session')";
        let stored: BTreeSet<String> =
            db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let moved = TABLES.iter().flat_map(|table| {
            let own = table.columns.iter().filter(|column| column.told_by.is_none()).map(|column| column.name);
            own.chain(table.emptied.iter().copied()).map(move |column| format!("{}.{column}", table.name))
        });
        assert_eq!(stored, moved.collect());
    }
}
