//! The session's row: what lists show, replaced with every append in the same transaction.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SessionId, TenantId};
use psyche_core::port::{SessionFilter, SessionRow, SessionSummary, StoreError};
use psyche_core::session::SessionStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::column;
use super::fault::Fault;
use crate::cursor::Place;

/// A summary and the columns that lists search by.
#[derive(Debug)]
pub struct Columns {
    pub owner: Uuid,
    pub status: &'static str,
    pub name_folded: String,
    pub last_activity: i64,
    pub summary: String,
    pub tags: Vec<String>,
}

impl Columns {
    pub fn of(summary: &SessionSummary) -> Result<Self, Fault> {
        Ok(Self {
            owner: summary.owner.0,
            status: summary.status.name(),
            name_folded: summary.name.to_lowercase(),
            last_activity: summary.last_activity.micros(),
            summary: serde_json::to_string(summary)?,
            tags: summary.tags.clone(),
        })
    }
}

pub async fn insert(db: &impl GenericClient, row: &SessionRow) -> Result<(), Fault> {
    let columns = Columns::of(&row.summary)?;
    let insert = "INSERT INTO session (session_id, tenant, owner, status, name_folded, created_at, last_activity, summary, tags)
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let insert = db.prepare_cached(insert).await?;
    let inserted = db
        .execute(
            &insert,
            &[
                &row.summary.session_id.0,
                &row.tenant.0,
                &columns.owner,
                &columns.status,
                &columns.name_folded,
                &row.summary.created_at.micros(),
                &columns.last_activity,
                &columns.summary,
                &columns.tags,
            ],
        )
        .await;
    match inserted.map_err(Fault::from) {
        Err(fault) if fault.taken().is_some() => Err(StoreError::Conflict("session").into()),
        other => other.map(drop),
    }
}

/// Replaces the row. When a session was created and in which tenant does not change.
pub async fn update(db: &impl GenericClient, session: SessionId, summary: &SessionSummary) -> Result<(), Fault> {
    let Columns { owner, status, name_folded, last_activity, summary, tags } = Columns::of(summary)?;
    let update = "UPDATE session SET owner = $2, status = $3, name_folded = $4, last_activity = $5, summary = $6, tags = $7
                  WHERE session_id = $1";
    let update = db.prepare_cached(update).await?;
    db.execute(&update, &[&session.0, &owner, &status, &name_folded, &last_activity, &summary, &tags]).await?;
    Ok(())
}

pub async fn find(db: &impl GenericClient, session: SessionId) -> Result<Option<SessionRow>, Fault> {
    let select = db.prepare_cached("SELECT tenant, summary FROM session WHERE session_id = $1").await?;
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
            "SELECT tenant, summary FROM session AS s
             WHERE tenant = $1
               AND ($2::uuid IS NULL OR owner = $2
                    OR EXISTS (SELECT 1 FROM membership AS m WHERE m.session_id = s.session_id AND m.user_id = $2))
               AND ($3::uuid IS NULL OR owner = $3)
               AND ($4::text IS NULL OR status = $4)
               AND ($5::text IS NULL OR strpos(name_folded, $5) > 0)
               AND ($6::text IS NULL OR $6 = ANY (tags))
               AND ($7::bigint IS NULL OR (created_at, session_id) < ($7, $8::uuid))
             ORDER BY created_at DESC, session_id DESC LIMIT $9",
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
                &at,
                &id,
                &column(limit as u64),
            ],
        )
        .await?;
    rows.iter().map(parsed).collect()
}

fn parsed(row: &Row) -> Result<SessionRow, Fault> {
    Ok(SessionRow { tenant: TenantId(row.get(0)), summary: serde_json::from_str(row.get(1))? })
}
