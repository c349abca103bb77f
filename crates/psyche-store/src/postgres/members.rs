//! How people relate to sessions.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{SessionId, UserId};
use psyche_core::port::{Relation, StoreError};

use super::fault::Fault;
use crate::accounts::{relation_name, relation_of};

pub async fn relation(db: &impl GenericClient, session: SessionId, user: UserId) -> Result<Relation, Fault> {
    let select = db
        .prepare_cached(
            "SELECT s.owner = $2, m.relation FROM session AS s
             LEFT JOIN membership AS m ON m.session_id = s.session_id AND m.user_id = $2 WHERE s.session_id = $1",
        )
        .await?;
    match db.query_opt(&select, &[&session.0, &user.0]).await? {
        Some(row) if row.get(0) => Ok(Relation::Owner),
        Some(row) => row.get::<_, Option<&str>>(1).map_or(Ok(Relation::None), |name| Ok(relation_of(name)?)),
        None => Ok(Relation::None),
    }
}

pub async fn set(db: &impl GenericClient, session: SessionId, user: UserId, relation: Relation) -> Result<(), Fault> {
    if owner(db, session).await?.is_none() {
        return Err(StoreError::NotFound("session").into());
    }
    if relation == Relation::None {
        let delete = db.prepare_cached("DELETE FROM membership WHERE session_id = $1 AND user_id = $2").await?;
        db.execute(&delete, &[&session.0, &user.0]).await?;
    } else {
        let upsert = db
            .prepare_cached(
                "INSERT INTO membership (session_id, user_id, relation) VALUES ($1, $2, $3)
                 ON CONFLICT (session_id, user_id) DO UPDATE SET relation = excluded.relation",
            )
            .await?;
        db.execute(&upsert, &[&session.0, &user.0, &relation_name(relation)]).await?;
    }
    Ok(())
}

/// The owner first, then the others by their id.
pub async fn list(db: &impl GenericClient, session: SessionId) -> Result<Vec<(UserId, Relation)>, Fault> {
    let Some(owner) = owner(db, session).await? else { return Ok(Vec::new()) };
    let select = db
        .prepare_cached(
            "SELECT user_id, relation FROM membership WHERE session_id = $1 AND user_id <> $2 ORDER BY user_id",
        )
        .await?;
    let mut members = vec![(owner, Relation::Owner)];
    for row in db.query(&select, &[&session.0, &owner.0]).await? {
        members.push((UserId(row.get(0)), relation_of(row.get(1))?));
    }
    Ok(members)
}

async fn owner(db: &impl GenericClient, session: SessionId) -> Result<Option<UserId>, Fault> {
    let select = db.prepare_cached("SELECT owner FROM session WHERE session_id = $1").await?;
    Ok(db.query_opt(&select, &[&session.0]).await?.map(|row| UserId(row.get(0))))
}
