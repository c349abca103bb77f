//! The session's row: what lists show, replaced with every append in the same transaction.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SessionId, TenantId, UserId};
use psyche_core::port::{SessionFilter, SessionRow, SessionSummary, StoreError};
use psyche_core::session::SessionStatus;
use psyche_core::words::Hash;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use super::{column, number, small};
use crate::columns::Columns;
use crate::cursor::Place;

pub async fn insert(db: &impl GenericClient, tenant: TenantId, columns: &Columns) -> Result<(), Fault> {
    let insert =
        "INSERT INTO session (session_id, tenant, owner, status, name_folded, created_at, last_activity, summary,
                                       tags, parent, waiting)
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let insert = db.prepare_cached(insert).await?;
    let Columns { session, owner, status, name_folded, created_at, last_activity, summary, tags, parent, waiting } =
        columns;
    let (session, owner, parent) = (session.0, owner.0, parent.map(|parent| parent.0));
    let inserted = db
        .execute(
            &insert,
            &[
                &session,
                &tenant.0,
                &owner,
                status,
                name_folded,
                created_at,
                last_activity,
                summary,
                tags,
                &parent,
                waiting,
            ],
        )
        .await;
    match inserted.map_err(Fault::from) {
        Err(fault) if fault.taken().is_some() => Err(StoreError::Conflict("session").into()),
        other => other.map(drop),
    }
}

/// The head of a session that nobody owns yet: generation, seq and hash of its last event.
pub async fn insert_head(
    db: &impl GenericClient,
    (session, tenant): (SessionId, TenantId),
    (generation, seq, hash): (u32, u64, Hash),
) -> Result<(), Fault> {
    let insert = "INSERT INTO session_head (session_id, tenant, gen, owner, epoch, expires_at, last_seq, head_hash)
                  VALUES ($1, $2, $3, NULL, 0, 0, $4, $5)";
    let insert = db.prepare_cached(insert).await?;
    let (generation, seq, hash) = (small(generation), column(seq), hash.0.as_slice());
    db.execute(&insert, &[&session.0, &tenant.0, &generation, &seq, &hash]).await?;
    Ok(())
}

/// Replaces the row of `session`. Whose it is (a log that was imported names another owner), when it was created, in which
/// tenant and from which other does not change.
pub async fn update(db: &impl GenericClient, session: SessionId, columns: &Columns) -> Result<(), Fault> {
    let update = "UPDATE session SET status = $2, name_folded = $3, last_activity = $4, summary = $5, tags = $6,
                         waiting = $7
                  WHERE session_id = $1";
    let update = db.prepare_cached(update).await?;
    let Columns { status, name_folded, last_activity, summary, tags, waiting, .. } = columns;
    db.execute(&update, &[&session.0, status, name_folded, last_activity, summary, tags, waiting]).await?;
    Ok(())
}

pub async fn find(db: &impl GenericClient, session: SessionId) -> Result<Option<SessionRow>, Fault> {
    let select = db.prepare_cached("SELECT tenant, owner, summary FROM session WHERE session_id = $1").await?;
    db.query_opt(&select, &[&session.0]).await?.map(|row| parsed(&row)).transpose()
}

/// Sessions newest first, from after `after`, at most `limit`.
pub async fn list(
    db: &impl GenericClient,
    tenant: TenantId,
    filter: &SessionFilter,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<SessionRow>, Fault> {
    let select = db
        .prepare_cached(
            "SELECT tenant, owner, summary FROM session AS s
             WHERE tenant = $1
               AND ($2::uuid IS NULL OR owner = $2
                    OR EXISTS (SELECT 1 FROM membership AS m WHERE m.session_id = s.session_id AND m.user_id = $2))
               AND ($3::uuid IS NULL OR owner = $3)
               AND ($4::text IS NULL OR status = $4)
               AND ($5::text IS NULL OR strpos(name_folded, $5) > 0)
               AND ($6::text IS NULL OR $6 = ANY (tags))
               AND ($7::uuid IS NULL OR parent = $7)
               AND ($8::bigint IS NULL OR (created_at, session_id) < ($8, $9::uuid))
             ORDER BY created_at DESC, session_id DESC LIMIT $10",
        )
        .await?;
    let (at, id) = (after.map(|(at, _)| at.micros()), after.map(|(_, id)| id));
    let rows = db
        .query(
            &select,
            &[
                &tenant.0,
                &filter.visible_to.map(|user| user.0),
                &filter.owner.map(|user| user.0),
                &filter.status.map(SessionStatus::name),
                &filter.query.as_ref().map(|query| query.to_lowercase()),
                &filter.tag,
                &filter.parent.map(|parent| parent.0),
                &at,
                &id,
                &column(limit as u64),
            ],
        )
        .await?;
    rows.iter().map(parsed).collect()
}

/// How many sessions there are of an owner, or forks of a parent.
pub async fn count(
    db: &impl GenericClient,
    tenant: TenantId,
    owner: Option<UserId>,
    parent: Option<SessionId>,
) -> Result<u64, Fault> {
    let count = db
        .prepare_cached(
            "SELECT count(*) FROM session
             WHERE tenant = $1 AND ($2::uuid IS NULL OR owner = $2) AND ($3::uuid IS NULL OR parent = $3)",
        )
        .await?;
    let (owner, parent) = (owner.map(|owner| owner.0), parent.map(|parent| parent.0));
    number(db.query_one(&count, &[&tenant.0, &owner, &parent]).await?.get(0), "count of sessions")
}

/// How many forks each of these sessions has that `visible_to` may see.
pub async fn branches(
    db: &impl GenericClient,
    parents: &[SessionId],
    visible_to: Option<UserId>,
) -> Result<Vec<u64>, Fault> {
    let count = db
        .prepare_cached(
            "SELECT parent, count(*) FROM session AS s
             WHERE parent = ANY ($1)
               AND ($2::uuid IS NULL OR owner = $2
                    OR EXISTS (SELECT 1 FROM membership AS m WHERE m.session_id = s.session_id AND m.user_id = $2))
             GROUP BY parent",
        )
        .await?;
    let ids: Vec<Uuid> = parents.iter().map(|parent| parent.0).collect();
    let mut counts = HashMap::new();
    for row in db.query(&count, &[&ids, &visible_to.map(|user| user.0)]).await? {
        counts.insert(row.get::<_, Uuid>(0), number(row.get(1), "count of forks")?);
    }
    Ok(ids.iter().map(|id| counts.get(id).copied().unwrap_or(0)).collect())
}

fn parsed(row: &Row) -> Result<SessionRow, Fault> {
    let summary = SessionSummary { owner: UserId(row.get(1)), ..serde_json::from_str(row.get(2))? };
    Ok(SessionRow { tenant: TenantId(row.get(0)), summary })
}
