//! Leases: who owns a session, by the database's clock. A replica's clock plays no part.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Claim, StoreError};
use psyche_core::time::Timestamp;
use uuid::Uuid;

use super::column;
use super::fault::Fault;
use super::records::head_of;

pub async fn claim(db: &impl GenericClient, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, Fault> {
    let claim = db
        .prepare_cached(
            "UPDATE session_head
             SET owner = $2, epoch = epoch + 1, expires_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3
             WHERE session_id = $1
               AND (owner IS NULL OR owner = $2 OR expires_at <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
             RETURNING gen, last_seq, head_hash, epoch, owner",
        )
        .await?;
    if let Some(row) = db.query_opt(&claim, &[&session.0, &owner.0, &column(ttl_ms)]).await? {
        return Ok(Claim::Granted(head_of(&row)?));
    }
    let holder = db.prepare_cached("SELECT owner, expires_at FROM session_head WHERE session_id = $1").await?;
    let row = db.query_opt(&holder, &[&session.0]).await?.ok_or(StoreError::NotFound("session"))?;
    // Given back between the two questions: who asks again gets it.
    let owner = row.get::<_, Option<Uuid>>(0).map_or(owner, OwnerId);
    Ok(Claim::Held { owner, until: Timestamp(row.get::<_, i64>(1).saturating_mul(1000)) })
}

pub async fn renew(
    db: &impl GenericClient,
    owner: OwnerId,
    sessions: &[SessionId],
    ttl_ms: u64,
) -> Result<Vec<SessionId>, Fault> {
    // Locked in one order: two replicas never wait for each other.
    let renew = db
        .prepare_cached(
            "WITH ours AS (SELECT session_id FROM session_head WHERE session_id = ANY ($1) AND owner = $2
                           ORDER BY session_id FOR UPDATE)
             UPDATE session_head AS h SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3
             FROM ours WHERE h.session_id = ours.session_id RETURNING h.session_id",
        )
        .await?;
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    let rows = db.query(&renew, &[&ids, &owner.0, &column(ttl_ms)]).await?;
    let renewed: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    Ok(sessions.iter().copied().filter(|session| renewed.contains(&session.0)).collect())
}

pub async fn release(db: &impl GenericClient, owner: OwnerId, sessions: &[SessionId]) -> Result<(), Fault> {
    let release = db
        .prepare_cached(
            "WITH ours AS (SELECT session_id FROM session_head WHERE session_id = ANY ($1) AND owner = $2
                           ORDER BY session_id FOR UPDATE)
             UPDATE session_head AS h SET owner = NULL, expires_at = 0 FROM ours WHERE h.session_id = ours.session_id",
        )
        .await?;
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    db.execute(&release, &[&ids, &owner.0]).await?;
    Ok(())
}

pub async fn claimable(db: &impl GenericClient, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, Fault> {
    // A program of the schema before writes the summary and leaves the column as it was.
    let select = db
        .prepare_cached(
            "SELECT s.session_id FROM session AS s JOIN session_head AS h ON h.session_id = s.session_id
             WHERE s.tenant = $1
               AND (s.status = 'running' OR (s.waiting AND s.summary::json ->> 'waiting' IS NOT NULL))
               AND (h.owner IS NULL OR h.expires_at <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
             ORDER BY s.status = 'running', s.session_id LIMIT $2",
        )
        .await?;
    let rows = db.query(&select, &[&tenant.0, &column(limit as u64)]).await?;
    Ok(rows.iter().map(|row| SessionId(row.get(0))).collect())
}
