//! Snapshots of the fold, sealed under the session's key because they hold words in plain form.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{Snapshot, StoreError};
use psyche_core::words::Subject;

use super::fault::Fault;
use super::keys::Keys;
use super::records::hash;
use super::write::Write;
use super::{column, number};
use crate::keyring::scope;
use crate::seal::about_snapshot;

/// Keeps a snapshot of a state that the log really reached. The head stays as it is meanwhile.
pub async fn save(write: &Write<'_>, session: SessionId, snapshot: &Snapshot) -> Result<(), Fault> {
    let db = &write.db;
    let Snapshot { generation, seq, hash, form, bytes } = snapshot;
    let reached = db
        .prepare_cached(
            "SELECT h.tenant, h.gen FROM event AS e JOIN session_head AS h ON h.session_id = e.session_id
             WHERE e.session_id = $1 AND e.seq = $2 AND e.hash = $3 FOR SHARE OF h",
        )
        .await?;
    let Some(row) = db.query_opt(&reached, &[&session.0, &column(*seq), &hash.0.as_slice()]).await? else {
        let known = db.prepare_cached("SELECT 1 FROM session WHERE session_id = $1").await?;
        let known = db.query_opt(&known, &[&session.0]).await?.is_some();
        return Err(StoreError::NotFound(if known { "event of the snapshot" } else { "session" }).into());
    };
    if i64::from(row.get::<_, i32>(1)) != i64::from(*generation) {
        return Err(StoreError::Conflict("generation").into());
    }
    let scope = scope(session, Subject::Session);
    let (key_id, key) = write.keys.current(db, TenantId(row.get(0)), &scope).await?;
    let sealed = key.seal(write.keys.entropy(), &about_snapshot(*form, *seq, hash), bytes);
    let insert = db
        .prepare_cached(
            "INSERT INTO snapshot (session_id, seq, hash, form, key_id, sealed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (session_id, seq) DO UPDATE
             SET hash = excluded.hash, form = excluded.form, key_id = excluded.key_id, sealed = excluded.sealed",
        )
        .await?;
    let place: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&session.0, &column(*seq), &hash.0.as_slice(), &i32::from(*form), &key_id, &sealed];
    db.execute(&insert, &place).await?;
    Ok(())
}

/// The newest snapshot at or before `seq`. One that cannot be opened is as good as none: the fold starts earlier.
pub async fn find(
    db: &impl GenericClient,
    keys: &Keys,
    session: SessionId,
    seq: u64,
) -> Result<Option<Snapshot>, Fault> {
    let select = db
        .prepare_cached(
            "SELECT s.seq, s.hash, s.form, h.gen, s.sealed, k.key_id, k.tenant, k.scope, k.wrapped
             FROM snapshot AS s JOIN session_head AS h ON h.session_id = s.session_id
             JOIN subject_key AS k ON k.key_id = s.key_id
             WHERE s.session_id = $1 AND s.seq <= $2 ORDER BY s.seq DESC LIMIT 1",
        )
        .await?;
    let Some(row) = db.query_opt(&select, &[&session.0, &column(seq)]).await? else { return Ok(None) };
    let (seq, hash) = (number(row.get(0), "seq")?, hash(row.get(1))?);
    let form: u16 = number(i64::from(row.get::<_, i32>(2)), "form")?;
    let about = about_snapshot(form, seq, &hash);
    let Some(bytes) = keys.joined(&row, 5)?.and_then(|key| key.open(&about, row.get(4))) else {
        tracing::warn!(%session, seq, "a snapshot cannot be opened and is passed over");
        return Ok(None);
    };
    let generation = number(i64::from(row.get::<_, i32>(3)), "generation")?;
    Ok(Some(Snapshot { generation, seq, hash, form, bytes: bytes.to_vec() }))
}
