//! The audit trail's rows.

use async_trait::async_trait;
use psyche_core::audit::{AuditDraft, AuditRow, AuditType, Outcome, Severity};
use psyche_core::ids::{SessionId, TenantId, UserId};
use psyche_core::port::{AuditCheck, AuditFilter, AuditLog, Directory, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use std::sync::Arc;
use uuid::Uuid;

use super::SqliteStore;
use super::fault::Fault;
use super::keys::Keys;
use super::writer::Write;
use crate::checkpoints::{self, Checkpoint};
use crate::trail::{self, CHAIN, Made, Walk, known};

const COLUMNS: &str = "seq, event_id, tenant, event_type, severity, at, user_id, session_id, request_id, outcome, details, \
                       commitment, key_id, sealed, mac";

/// Appends rows within the transaction of `write`.
pub fn insert(write: &mut Write<'_>, drafts: Vec<AuditDraft>) -> Result<(), Fault> {
    if drafts.is_empty() {
        return Ok(());
    }
    let (_, chain) = write.keys.current(write.db, TenantId::DEFAULT, CHAIN)?;
    let (mut seq, mut before) = head(write.db)?;
    for draft in drafts {
        let (key_id, key) = write.keys.current(write.db, draft.tenant, &trail::scope_of(draft.user_id))?;
        let Made { row, salt, sealed, checkpoint } = trail::made(write.keys.ring(), &chain, &key, draft, (seq, before));
        let mut insert = write.db.prepare_cached(
            "INSERT INTO audit (seq, event_id, tenant, event_type, severity, at, user_id, session_id, request_id, outcome,
                                details, commitment, salt, key_id, sealed, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        insert.execute(params![
            row.seq,
            row.event_id,
            row.tenant.0,
            row.event_type.name(),
            row.severity.name(),
            row.at.micros(),
            row.user_id.map(|id| id.0),
            row.session_id.map(|id| id.0),
            row.request_id,
            row.outcome.name(),
            row.details.to_string(),
            row.commitment.0,
            salt,
            key_id,
            sealed,
            row.mac.0,
        ])?;
        (seq, before) = (row.seq, row.mac);
        write.audited(checkpoint);
    }
    Ok(())
}

/// Removes what names the person from the trail.
pub fn erase(write: &Write<'_>, user: UserId) -> Result<(), Fault> {
    let sql = "UPDATE audit SET salt = zeroblob(16), key_id = NULL, sealed = NULL WHERE user_id = ?1";
    write.db.prepare_cached(sql)?.execute([user.0])?;
    Ok(())
}

/// The last row and its mac; where the trail begins when there is none.
fn head(db: &Connection) -> Result<(u64, Hash), Fault> {
    let mut select = db.prepare_cached("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")?;
    let last = select.query_row([], |row| Ok((row.get(0)?, Hash(row.get(1)?)))).optional()?;
    Ok(match last {
        Some(last) => last,
        None => base(db)?.map_or((0, Hash::ZERO), |(seq, mac, _)| (seq, mac)),
    })
}

fn base(db: &Connection) -> Result<Option<(u64, Hash, Hash)>, Fault> {
    let mut select = db.prepare_cached("SELECT seq, mac, signature FROM audit_base")?;
    Ok(select.query_row([], |row| Ok((row.get(0)?, Hash(row.get(1)?), Hash(row.get(2)?)))).optional()?)
}

fn rows(
    db: &Connection,
    keys: &Keys,
    tenant: TenantId,
    filter: &AuditFilter,
    limit: usize,
) -> Result<Vec<AuditRow>, Fault> {
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let from = if filter.newest_first { "<" } else { ">" };
    // Every type when none is named.
    let types = filter.event_types.iter().map(|t| format!("'{}'", t.name())).collect::<Vec<_>>().join(",");
    let types = if types.is_empty() { String::new() } else { format!("AND event_type IN ({types})") };
    let mut select = db.prepare(&format!(
        "SELECT {COLUMNS} FROM audit
         WHERE tenant = :tenant AND (:from IS NULL OR seq {from} :from) {types}
           AND (:severity IS NULL OR severity = :severity) AND (:user IS NULL OR user_id = :user)
           AND (:session IS NULL OR session_id = :session) AND (:start IS NULL OR at >= :start)
           AND (:end IS NULL OR at <= :end)
         ORDER BY seq {order} LIMIT :limit"
    ))?;
    let found = select.query_map(
        named_params! {
            ":tenant": tenant.0,
            ":from": filter.from.map(|seq| seq.min(i64::MAX as u64)),
            ":severity": filter.severity.map(Severity::name),
            ":user": filter.user_id.map(|id| id.0),
            ":session": filter.session_id.map(|id| id.0),
            ":start": filter.start.map(Timestamp::micros),
            ":end": filter.end.map(Timestamp::micros),
            ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
        },
        |row| Ok(row_of(db, keys, row)),
    )?;
    found.map(|row| row?).collect()
}

fn row_of(db: &Connection, keys: &Keys, row: &Row<'_>) -> Result<AuditRow, Fault> {
    let (event_type, severity, outcome): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(9)?);
    let user_id = row.get::<_, Option<Uuid>>(6)?.map(UserId);
    let commitment = Hash(row.get(11)?);
    let sealed = row.get::<_, Option<Uuid>>(12)?.zip(row.get::<_, Option<Vec<u8>>>(13)?);
    let personal = match sealed {
        Some((id, sealed)) => keys.find(db, id)?.and_then(|key| trail::personal(&key, user_id, &commitment, &sealed)),
        None => None,
    };
    let details: String = row.get(10)?;
    Ok(AuditRow {
        seq: row.get(0)?,
        event_id: row.get(1)?,
        tenant: TenantId(row.get(2)?),
        event_type: known(&event_type, "audit type", AuditType::of)?,
        severity: known(&severity, "severity", Severity::of)?,
        at: Timestamp(row.get(5)?),
        user_id,
        session_id: row.get::<_, Option<Uuid>>(7)?.map(SessionId),
        request_id: row.get(8)?,
        outcome: known(&outcome, "outcome", Outcome::of)?,
        personal,
        // A changed row is for the chain to name, not a reason to show nothing.
        details: serde_json::from_str(&details).unwrap_or(serde_json::Value::String(details)),
        commitment,
        mac: Hash(row.get(14)?),
    })
}

fn verify(db: &Connection, keys: &Keys, checkpoints: Vec<Checkpoint>) -> Result<AuditCheck, Fault> {
    let Some(chain) = keys.existing(db, TenantId::DEFAULT, CHAIN)? else {
        let rows = db.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))?;
        return Ok(Walk::without_key(rows, &checkpoints));
    };
    let mut walk = Walk::new(&chain, base(db)?, checkpoints);
    let mut select = db.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    let mut stored = select.query([])?;
    while let Some(row) = stored.next()? {
        walk.next(row.get(0)?, &row.get::<_, [u8; 32]>(14)?, row_of(db, keys, row).ok().as_ref());
    }
    Ok(walk.end())
}

fn prune(write: &mut Write<'_>, before: Timestamp) -> Result<u64, Fault> {
    let db = write.db;
    let last = db
        .query_row("SELECT seq, mac FROM audit WHERE at < ?1 ORDER BY seq DESC LIMIT 1", [before.micros()], |row| {
            Ok((row.get::<_, u64>(0)?, Hash(row.get(1)?)))
        })
        .optional()?;
    let Some((seq, mac)) = last else { return Ok(0) };
    let (_, chain) = write.keys.current(db, TenantId::DEFAULT, CHAIN)?;
    db.execute(
        "INSERT OR REPLACE INTO audit_base (id, seq, mac, signature) VALUES (1, ?1, ?2, ?3)",
        params![seq, mac.0, trail::base_signature(&chain, seq, &mac).0],
    )?;
    Ok(db.execute("DELETE FROM audit WHERE seq <= ?1", [seq])? as u64)
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn record(&self, rows: Vec<AuditDraft>) -> Result<(), StoreError> {
        Ok(self.write(move |write| insert(write, rows)).await?)
    }

    fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory> {
        Arc::new(Self { inner: Arc::clone(&self.inner), audit: Arc::new(std::sync::Mutex::new(rows)) })
    }

    async fn rows(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self.read_with(move |db, keys| rows(db, keys, tenant, &filter, limit)).await?)
    }

    async fn verify(&self) -> Result<AuditCheck, StoreError> {
        let path = self.inner.checkpoints.clone();
        let read = move |db: &Connection, keys: &Keys| {
            let checkpoints = checkpoints::load(&path).map_err(|e| {
                StoreError::Unavailable(format!("the checkpoints {} cannot be read: {e}", path.display()))
            })?;
            verify(db, keys, checkpoints)
        };
        Ok(self.read_with(read).await?)
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.write(move |write| prune(write, before)).await?)
    }
}
