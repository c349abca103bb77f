//! Who belongs to a session.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::audit::AuditType;
use psyche_core::port::{AuditFilter, Relation};
use psyche_core::{TenantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Configurer, Reader, Sharer};
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::Json;
use crate::list::List;
use crate::schema;

use super::audit::AuditView;
use super::views::{Participant, participants};

/// Rows shown to an owner.
const SHOWN: usize = 200;

/// One participant.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/participants/{user_id}", tag = "sessions",
    params(("id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, body = schema::Participant))
)]
pub async fn get(State(app): State<Shared>, reader: Reader, path: Path<(String, String)>) -> Answer<Json<Participant>> {
    let Path((_, user)) = path;
    let user = parse(&user)?;
    let (people, _) = participants(&app, &reader.access().row.summary, usize::MAX).await?;
    people.into_iter().find(|p| p.user_id == user).map(Json).ok_or_else(ApiError::not_found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Participant,
    Viewer,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareBody {
    relation: Share,
}

/// Lets somebody in, or changes how.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/participants/{user_id}", tag = "sessions",
    params(("id" = String, Path), ("user_id" = String, Path)), request_body = ShareBody,
    responses((status = 200, body = schema::Participant))
)]
pub async fn put(
    State(app): State<Shared>,
    context: Context,
    sharer: Sharer,
    path: Path<(String, String)>,
    body: Json<ShareBody>,
) -> Answer<Json<Participant>> {
    let Path((_, user)) = path;
    let (user_id, username) = somebody(&app, &sharer, &user).await?;
    let relation = match body.0.relation {
        Share::Participant => Relation::Participant,
        Share::Viewer => Relation::Viewer,
    };
    sharer.relate(&context, user_id, relation).await?;
    Ok(Json(Participant { user_id, username, relation }))
}

/// Which admins were let in to this session without belonging to it, newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/accesses", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, body = List<schema::Audit>))
)]
pub async fn accesses(State(app): State<Shared>, configurer: Configurer) -> Answer<Json<List<AuditView>>> {
    let filter = AuditFilter {
        session_id: Some(configurer.access().id()),
        event_types: vec![AuditType::AccessGranted],
        newest_first: true,
        ..AuditFilter::default()
    };
    let rows = app.ports.audit.rows(TenantId::DEFAULT, filter, SHOWN).await?;
    // Where an admin sat is for admins to know.
    let views = rows.into_iter().map(|row| AuditView::from(row).without_address());
    Ok(Json(List::whole(views.collect())))
}

/// Takes somebody out. Their sockets close.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/participants/{user_id}", tag = "sessions",
    params(("id" = String, Path), ("user_id" = String, Path)),
    responses((status = 204, description = "No longer a participant."))
)]
pub async fn delete(
    State(app): State<Shared>,
    context: Context,
    sharer: Sharer,
    path: Path<(String, String)>,
) -> Answer<StatusCode> {
    let Path((_, user)) = path;
    let (user, _) = somebody(&app, &sharer, &user).await?;
    sharer.relate(&context, user, Relation::None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn somebody(app: &App, sharer: &Sharer, user: &str) -> Answer<(UserId, String)> {
    let user = app.ports.directory.user(parse(user)?).await?.filter(|u| u.tenant == TenantId::DEFAULT);
    let user = user.ok_or_else(ApiError::not_found)?;
    if user.user_id == sharer.owner() {
        return Err(ApiError::conflict("The owner of a session stays its owner."));
    }
    Ok((user.user_id, user.username))
}

fn parse(user: &str) -> Answer<UserId> {
    user.parse().map_err(|_| ApiError::not_found())
}
