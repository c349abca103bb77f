//! The audit trail's rows. All replicas add to one chain, one transaction at a time.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use futures_util::TryStreamExt as _;
use psyche_core::audit::{AuditDraft, AuditRow, AuditType, Outcome, Severity};
use psyche_core::ids::{SessionId, TenantId, UserId};
use psyche_core::port::{AuditCheck, AuditFilter, AuditLog, Directory, StoreError};
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::records::hash;
use super::write::{Write, transact};
use super::{PostgresStore, column, number};
use crate::checkpoints::{self, Checkpoint};
use crate::trail::{self, CHAIN, Made, Walk, known};

const SELECT: &str = "SELECT a.seq, a.event_id, a.tenant, a.event_type, a.severity, a.at, a.user_id, a.session_id,
                             a.request_id, a.outcome, a.details, a.commitment, a.sealed, a.mac,
                             k.key_id, k.tenant, k.scope, k.wrapped
                      FROM audit AS a LEFT JOIN subject_key AS k ON k.key_id = a.key_id";
const MAC: usize = 13;
const KEY: usize = 14;

/// Appends rows within the transaction of `write`.
pub async fn insert(write: &mut Write<'_>, drafts: Vec<AuditDraft>) -> Result<(), Fault> {
    if drafts.is_empty() {
        return Ok(());
    }
    let (_, chain) = write.keys.current(&write.db, TenantId::DEFAULT, CHAIN).await?;
    let mut keys = Vec::new();
    for draft in &drafts {
        keys.push(write.keys.current(&write.db, draft.tenant, &trail::scope_of(draft.user_id)).await?);
    }
    // From here on until the commit the other replicas wait.
    write.db.query_one("SELECT id FROM audit_gate FOR UPDATE", &[]).await?;
    let (mut seq, mut before) = head(&write.db).await?;
    let insert = write
        .db
        .prepare_cached(
            "INSERT INTO audit (seq, event_id, tenant, event_type, severity, at, user_id, session_id, request_id, outcome,
                                details, commitment, salt, key_id, sealed, mac)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .await?;
    for (draft, (key_id, key)) in drafts.into_iter().zip(keys) {
        let Made { row, salt, sealed, checkpoint } = trail::made(write.keys.ring(), &chain, &key, draft, (seq, before));
        write
            .db
            .execute(
                &insert,
                &[
                    &column(row.seq),
                    &row.event_id,
                    &row.tenant.0,
                    &row.event_type.name(),
                    &row.severity.name(),
                    &row.at.micros(),
                    &row.user_id.map(|id| id.0),
                    &row.session_id.map(|id| id.0),
                    &row.request_id,
                    &row.outcome.name(),
                    &row.details.to_string(),
                    &row.commitment.0.as_slice(),
                    &salt.as_slice(),
                    &key_id,
                    &sealed,
                    &row.mac.0.as_slice(),
                ],
            )
            .await?;
        (seq, before) = (row.seq, row.mac);
        write.audited.push(checkpoint);
    }
    Ok(())
}

/// Removes what names the person from the trail.
pub async fn erase(write: &Write<'_>, user: UserId) -> Result<(), Fault> {
    let sql =
        "UPDATE audit SET salt = decode(repeat('00', 16), 'hex'), key_id = NULL, sealed = NULL WHERE user_id = $1";
    write.db.execute(sql, &[&user.0]).await?;
    Ok(())
}

/// The last row and its mac; where the trail begins when there is none.
async fn head(db: &impl GenericClient) -> Result<(u64, Hash), Fault> {
    let select = db.prepare_cached("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1").await?;
    match db.query_opt(&select, &[]).await? {
        Some(row) => Ok((number(row.get(0), "seq")?, hash(row.get(1))?)),
        None => Ok(base(db).await?.map_or((0, Hash::ZERO), |(seq, mac, _)| (seq, mac))),
    }
}

async fn base(db: &impl GenericClient) -> Result<Option<(u64, Hash, Hash)>, Fault> {
    let row = db.query_opt("SELECT seq, mac, signature FROM audit_base", &[]).await?;
    row.map(|row| Ok((number(row.get(0), "seq")?, hash(row.get(1))?, hash(row.get(2))?))).transpose()
}

async fn rows(
    db: &impl GenericClient,
    keys: &Keys,
    tenant: TenantId,
    filter: &AuditFilter,
    limit: usize,
) -> Result<Vec<AuditRow>, Fault> {
    let (order, from) = if filter.newest_first { ("DESC", "<") } else { ("ASC", ">") };
    let select = db
        .prepare_cached(&format!(
            "{SELECT}
             WHERE a.tenant = $1 AND ($2::bigint IS NULL OR a.seq {from} $2)
               AND (cardinality($3::text[]) = 0 OR a.event_type = ANY ($3))
               AND ($4::text IS NULL OR a.severity = $4) AND ($5::uuid IS NULL OR a.user_id = $5)
               AND ($6::uuid IS NULL OR a.session_id = $6) AND ($7::bigint IS NULL OR a.at >= $7)
               AND ($8::bigint IS NULL OR a.at <= $8)
             ORDER BY a.seq {order} LIMIT $9"
        ))
        .await?;
    let types: Vec<&str> = filter.event_types.iter().map(|t| t.name()).collect();
    let found = db
        .query(
            &select,
            &[
                &tenant.0,
                &filter.from.map(column),
                &types,
                &filter.severity.map(Severity::name),
                &filter.user_id.map(|id| id.0),
                &filter.session_id.map(|id| id.0),
                &filter.start.map(Timestamp::micros),
                &filter.end.map(Timestamp::micros),
                &column(limit as u64),
            ],
        )
        .await?;
    found.iter().map(|row| row_of(keys, row)).collect()
}

fn row_of(keys: &Keys, row: &Row) -> Result<AuditRow, Fault> {
    let user_id = row.get::<_, Option<Uuid>>(6).map(UserId);
    let commitment = hash(row.get(11))?;
    let personal = match (row.get::<_, Option<&[u8]>>(12), keys.joined(row, KEY)?) {
        (Some(sealed), Some(key)) => trail::personal(&key, user_id, &commitment, sealed),
        _ => None,
    };
    let details: &str = row.get(10);
    Ok(AuditRow {
        seq: number(row.get(0), "seq")?,
        event_id: row.get(1),
        tenant: TenantId(row.get(2)),
        event_type: known(row.get(3), "audit type", AuditType::of)?,
        severity: known(row.get(4), "severity", Severity::of)?,
        at: Timestamp(row.get(5)),
        user_id,
        session_id: row.get::<_, Option<Uuid>>(7).map(SessionId),
        request_id: row.get(8),
        outcome: known(row.get(9), "outcome", Outcome::of)?,
        personal,
        // A changed row is for the chain to name, not a reason to show nothing.
        details: serde_json::from_str(details).unwrap_or_else(|_| serde_json::Value::String(details.to_owned())),
        commitment,
        mac: hash(row.get(MAC))?,
    })
}

async fn verify(db: &impl GenericClient, keys: &Keys, checkpoints: Vec<Checkpoint>) -> Result<AuditCheck, Fault> {
    let Some((_, chain)) = keys.existing(db, TenantId::DEFAULT, CHAIN).await? else {
        let rows = number(db.query_one("SELECT count(*) FROM audit", &[]).await?.get(0), "count of rows")?;
        return Ok(Walk::without_key(rows, &checkpoints));
    };
    let mut walk = Walk::new(&chain, base(db).await?, checkpoints);
    let none: [&str; 0] = [];
    let stored = db.query_raw(&format!("{SELECT} ORDER BY a.seq"), none).await?;
    let mut stored = std::pin::pin!(stored);
    while let Some(row) = stored.try_next().await? {
        walk.next(number(row.get(0), "seq")?, row.get(MAC), row_of(keys, &row).ok().as_ref());
    }
    Ok(walk.end())
}

async fn prune(write: &mut Write<'_>, before: Timestamp) -> Result<u64, Fault> {
    write.without_haste().await?;
    let sql = "SELECT seq, mac FROM audit WHERE at < $1 ORDER BY seq DESC LIMIT 1";
    let Some(row) = write.db.query_opt(sql, &[&before.micros()]).await? else { return Ok(0) };
    let (seq, mac): (i64, Hash) = (row.get(0), hash(row.get(1))?);
    let (_, chain) = write.keys.current(&write.db, TenantId::DEFAULT, CHAIN).await?;
    let signature = trail::base_signature(&chain, number(seq, "seq")?, &mac);
    let sql = "INSERT INTO audit_base (id, seq, mac, signature) VALUES (1, $1, $2, $3)
               ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, mac = excluded.mac, signature = excluded.signature
               WHERE excluded.seq > audit_base.seq";
    write.db.execute(sql, &[&seq, &mac.0.as_slice(), &signature.0.as_slice()]).await?;
    Ok(write.db.execute("DELETE FROM audit WHERE seq <= $1", &[&seq]).await?)
}

impl PostgresStore {
    async fn checked(&self) -> Result<AuditCheck, Fault> {
        let path = &self.inner.checkpoints;
        let checkpoints = checkpoints::load(path)
            .map_err(|e| StoreError::Unavailable(format!("the checkpoints {} cannot be read: {e}", path.display())))?;
        let mut client = self.client().await?;
        let write = self.begin(&mut client).await?;
        write.without_haste().await?;
        verify(&write.db, self.keys(), checkpoints).await
    }

    async fn found(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, Fault> {
        rows(&self.client().await?, self.keys(), tenant, &filter, limit).await
    }

    async fn pruned(&self, before: Timestamp) -> Result<u64, Fault> {
        Ok(transact!(self, |write| prune(write, before).await))
    }

    async fn recorded(&self, rows: Vec<AuditDraft>) -> Result<(), Fault> {
        transact!(self, |write| insert(write, rows).await);
        Ok(())
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn record(&self, rows: Vec<AuditDraft>) -> Result<(), StoreError> {
        Ok(self.recorded(rows).await?)
    }

    fn directory_with(&self, rows: Vec<AuditDraft>) -> Arc<dyn Directory> {
        Arc::new(Self { inner: Arc::clone(&self.inner), audit: Arc::new(Mutex::new(rows)) })
    }

    async fn rows(&self, tenant: TenantId, filter: AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self.found(tenant, filter, limit).await?)
    }

    async fn verify(&self) -> Result<AuditCheck, StoreError> {
        Ok(self.checked().await?)
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.pruned(before).await?)
    }
}
