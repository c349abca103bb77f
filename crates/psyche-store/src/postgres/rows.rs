//! The content of the database on its way into another store, and of another store into this one.

use std::error::Error;

use deadpool_postgres::{GenericClient, Object, Transaction};
use futures_util::TryStreamExt as _;
use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::record::Checker;
use psyche_core::words::Hash;
use rusqlite::types::Value;
use tokio_postgres::IsolationLevel;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::connection;
use super::fault::Fault;
use super::records::{self, hash};
use super::write::{Write, transact};
use super::{PostgresStore, number};
use crate::rows::{Batch, Beside, Column, Copied, Counts, Kind, RECORDS, Row, Rows, Sender, Step, TABLES, Table, Told};
use crate::rows::{broken, content_of, ended, not_empty};

/// What is written to is waited for as long as it takes.
const PATIENT: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

impl PostgresStore {
    /// All content, as it is when the reading begins. Works beside whoever writes.
    pub async fn rows(&self) -> Result<Rows, StoreError> {
        self.rows_of(TABLES.iter()).await
    }

    pub(super) async fn rows_of(
        &self,
        tables: impl Iterator<Item = &'static Table> + Send + 'static,
    ) -> Result<Rows, StoreError> {
        let client = self.client().await?;
        Ok(Rows::new(|to, reader| {
            reader.spawn(send(client, to, tables));
        }))
    }

    /// Takes in the content of another store of the same master key and verifies every log, in one transaction. Refused
    /// with `Corrupt`, and nothing is written, when this one is not empty or a log is not whole.
    pub async fn fill(&self, rows: Rows, told: Told) -> Result<Copied, StoreError> {
        let fill = async { Ok::<_, Fault>(transact!(self, |write| fill(write, rows, &told).await)) };
        Ok(fill.await?)
    }

    pub fn beside(&self) -> Beside {
        Beside { erasures: self.inner.erasures.clone(), checkpoints: self.inner.checkpoints.clone() }
    }
}

async fn send(mut client: Object, mut to: Sender, tables: impl Iterator<Item = &'static Table>) {
    let sent = send_all(&mut client, &mut to, tables).await;
    // Where nobody takes it any more there is nobody to tell.
    let _ = to.send(sent.map(|()| None).map_err(StoreError::from)).await;
}

async fn send_all(
    client: &mut Object,
    to: &mut Sender,
    tables: impl Iterator<Item = &'static Table>,
) -> Result<(), Fault> {
    let read = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let db = read.start().await?;
    db.batch_execute(PATIENT).await?;
    for table in tables {
        send_table(&db, to, table).await?;
    }
    Ok(())
}

async fn send_table(db: &impl GenericClient, to: &mut Sender, table: &'static Table) -> Result<(), Fault> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|Column { name, kind, .. }| match kind {
            Kind::Texts => format!("array_to_json({name})::text"),
            _ => (*name).to_owned(),
        })
        .collect();
    let none: [&str; 0] = [];
    let from = table.in_all.unwrap_or(table.name);
    let sql = format!("SELECT {} FROM {from} ORDER BY {}", columns.join(", "), table.key);
    let stored = db.query_raw(&sql, none).await?;
    let mut stored = std::pin::pin!(stored);
    while let Some(row) = stored.try_next().await? {
        let values = table.columns.iter().enumerate().map(|(n, column)| value(&row, n, column.kind));
        if let Some(batch) = to.add(table, values.collect::<Result<Row, _>>()?) {
            to.send(Ok(Some(batch))).await?;
        }
    }
    let rest = to.cut(table);
    Ok(to.send(Ok(Some(rest))).await?)
}

/// A value as SQLite types it.
fn value(row: &tokio_postgres::Row, n: usize, kind: Kind) -> Result<Value, tokio_postgres::Error> {
    Ok(match kind {
        Kind::Id => row.try_get::<_, Option<Uuid>>(n)?.map(|id| id.as_bytes().to_vec()).into(),
        Kind::Holder => match row.try_get::<_, Uuid>(n)? {
            all if all.is_max() => Value::Blob(Vec::new()),
            id => Value::Blob(id.as_bytes().to_vec()),
        },
        Kind::Big => row.try_get::<_, Option<i64>>(n)?.into(),
        Kind::Small => row.try_get::<_, Option<i32>>(n)?.into(),
        Kind::Flag => row.try_get::<_, Option<bool>>(n)?.into(),
        Kind::Real => row.try_get::<_, Option<f64>>(n)?.into(),
        Kind::Text | Kind::Texts => row.try_get::<_, Option<String>>(n)?.into(),
        Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(n)?.into(),
    })
}

/// The first table that has content.
pub async fn filled(db: &impl GenericClient) -> Result<Option<&'static Table>, Fault> {
    for table in TABLES {
        if db.query_opt(&content_of(table), &[]).await?.is_some() {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Writes all rows and verifies them.
pub async fn fill(write: &mut Write<'_>, mut rows: Rows, told: &Told) -> Result<Copied, Fault> {
    write.db.batch_execute(PATIENT).await?;
    if let Some(table) = filled(&write.db).await? {
        return Err(not_empty(table).into());
    }
    // The row that tells of the master key: the source's takes its place.
    write.db.execute("DELETE FROM subject_key", &[]).await?;
    let mut counts = Counts::default();
    while let Some(batch) = rows.next().await? {
        copy_in(&write.db, &batch).await.map_err(|error| {
            let (table, why) = (batch.table.name, connection::told(&error));
            StoreError::Corrupt(format!("the table {table} cannot be copied: {why}"))
        })?;
        counts.add(&batch, told);
    }
    write.rights_changed();
    write.shredded();
    verify(write, &counts, told).await
}

async fn copy_in(db: &Transaction<'_>, batch: &Batch) -> Result<(), tokio_postgres::Error> {
    let columns = batch.table.columns;
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let types: Vec<Type> = columns.iter().map(|column| type_of(column.kind)).collect();
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", batch.table.name, names.join(", "));
    let writer = BinaryCopyInWriter::new(db.copy_in(&sql).await?, &types);
    let mut writer = std::pin::pin!(writer);
    for row in &batch.rows {
        let cells: Vec<Cell<'_>> = columns.iter().zip(row).map(|(c, value)| Cell { kind: c.kind, value }).collect();
        writer.as_mut().write_raw(cells).await?;
    }
    writer.finish().await.map(drop)
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Id | Kind::Holder => Type::UUID,
        Kind::Big => Type::INT8,
        Kind::Small => Type::INT4,
        Kind::Flag => Type::BOOL,
        Kind::Real => Type::FLOAT8,
        Kind::Text => Type::TEXT,
        Kind::Texts => Type::TEXT_ARRAY,
        Kind::Bytes => Type::BYTEA,
    }
}

/// A value as PostgreSQL takes it.
#[derive(Debug)]
struct Cell<'a> {
    kind: Kind,
    value: &'a Value,
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.kind, self.value) {
            (_, Value::Null) => Ok(IsNull::Yes),
            (Kind::Holder, Value::Blob(id)) if id.is_empty() => Uuid::max().to_sql(ty, out),
            (Kind::Id | Kind::Holder, Value::Blob(id)) => Uuid::from_slice(id)?.to_sql(ty, out),
            (Kind::Big, Value::Integer(n)) => n.to_sql(ty, out),
            (Kind::Small, Value::Integer(n)) => i32::try_from(*n)?.to_sql(ty, out),
            (Kind::Flag, Value::Integer(n)) => (*n != 0).to_sql(ty, out),
            (Kind::Real, Value::Real(x)) => x.to_sql(ty, out),
            (Kind::Text, Value::Text(text)) => text.to_sql(ty, out),
            (Kind::Texts, Value::Text(json)) => serde_json::from_str::<Vec<String>>(json)?.to_sql(ty, out),
            (Kind::Bytes, Value::Blob(bytes)) => bytes.to_sql(ty, out),
            (kind, value) => Err(format!("{kind:?} cannot hold a value of type {}", value.data_type()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Checks that what was taken in is there: as many rows, and every log whole up to its head.
async fn verify(write: &Write<'_>, counts: &Counts, told: &Told) -> Result<Copied, Fault> {
    let mut copied = Copied::default();
    for table in TABLES {
        let found = write.db.query_one(&format!("SELECT count(*) FROM {}", table.name), &[]).await?;
        let found = number(found.get(0), "count of rows")?;
        counts.check(table, found)?;
        copied.rows += found;
    }
    // Statements were planned for empty tables; analysing them first makes the walk one over indexes.
    write.db.batch_execute("ANALYZE session_head, event, event_text, subject_key").await?;
    let heads = "SELECT session_id, last_seq, head_hash FROM session_head ORDER BY session_id";
    for row in write.db.query(heads, &[]).await? {
        let session = SessionId(row.get(0));
        let head = (number(row.get(1), "seq")?, hash(row.get(2))?);
        copied.erased += verify_log(write, session, head).await?;
        copied.sessions += 1;
        copied.events += head.0;
        told(Step::Verified { sessions: copied.sessions, events: copied.events });
    }
    counts.whole_logs(&copied)?;
    Ok(copied)
}

/// Walks a log to its head. Returns how many of its events have erased words.
async fn verify_log(write: &Write<'_>, session: SessionId, head: (u64, Hash)) -> Result<u64, Fault> {
    let mut checker = Checker::default();
    loop {
        let records = records::read(&write.db, write.keys, session, checker.head().0, RECORDS).await?;
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
