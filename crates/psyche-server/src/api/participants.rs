//! Who belongs to a session.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::audit::AuditType;
use psyche_core::port::{AuditFilter, Relation, User, UserStatus};
use psyche_core::{TenantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Configurer, Reader, Sharer};
use crate::accounts::Caller;
use crate::alerts;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError, ErrorKind};
use crate::json::{Json, Query};
use crate::list::{List, PageQuery};
use crate::schema;

use super::audit::AuditView;
use super::views::{Participant, participants_after};

/// Rows shown to an owner.
const SHOWN: usize = 200;
/// Names that nobody has, before somebody has to wait.
const WRONG_NAMES: u64 = 20;
const NAMES_FOR_MS: u64 = 3_600_000;

/// Who belongs to the session, the owner first.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/participants", tag = "sessions", params(("id" = String, Path), PageQuery),
    responses((status = 200, body = List<schema::Participant>))
)]
pub async fn list(
    State(app): State<Shared>,
    reader: Reader,
    query: Query<PageQuery>,
) -> Answer<Json<List<Participant>>> {
    let limit = query.0.limit()?;
    let after = query.0.cursor.as_deref().map(str::parse::<UserId>).transpose();
    let after = after.map_err(|_| ApiError::invalid("cursor", "is not one of this list's"))?;
    let (items, more) = participants_after(&app, &reader.access().row.summary, after, limit).await?;
    let next_cursor = items.last().filter(|_| more).map(|last| last.user_id.to_string());
    Ok(Json(List { items, next_cursor }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The whole name; upper and lower case do not matter.
    username: String,
    relation: Share,
}

/// Lets somebody in by name. Names that nobody has are counted: this finds people, and does not list them.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/participants", tag = "sessions", params(("id" = String, Path)),
    request_body = Invitation,
    responses((status = 200, body = schema::Participant), (status = 404, description = "Nobody has this name."))
)]
pub async fn invite(
    State(app): State<Shared>,
    context: Context,
    sharer: Sharer,
    body: Json<Invitation>,
) -> Answer<Json<Participant>> {
    let Invitation { username, relation } = body.0;
    let user = named(&app, &context, &sharer.access().caller, &username).await?;
    not_the_owner(&sharer, &user)?;
    Ok(Json(share(&context, &sharer, user, relation).await?))
}

/// The active person with this name. Each try is counted before it is looked up, and one that hits is given back.
async fn named(app: &App, context: &Context, caller: &Caller, username: &str) -> Answer<User> {
    let counters = &app.ports.counters;
    let (tries, hits) = (format!("names:{}", caller.user_id), format!("names-hit:{}", caller.user_id));
    let tried = counters.increment(&tries, NAMES_FOR_MS).await?;
    let hit = counters.get(&hits).await?.and_then(|count| String::from_utf8(count).ok()?.parse().ok()).unwrap_or(0);
    if tried.saturating_sub(hit) > WRONG_NAMES {
        let message = "Too many names that nobody has. Ask the person for their name, or wait an hour.";
        return Err(ApiError::too_many(message, NAMES_FOR_MS / 1_000));
    }
    let found = app.ports.directory.user_by_name(TenantId::DEFAULT, username).await?;
    let Some(user) = found.filter(|user| user.status == UserStatus::Active) else {
        let rule = ("name_guessing", "Somebody tried many names that nobody has, to share a session with.");
        let within = (WRONG_NAMES, Duration::from_millis(NAMES_FOR_MS));
        let alert = alerts::burst(app, context, (caller.user_id, &caller.username), rule, within).await?;
        app.record(alert.into_iter().collect()).await?;
        return Err(ApiError::new(ErrorKind::NotFound, "Nobody has this name. It must be given in full."));
    };
    counters.increment(&hits, NAMES_FOR_MS).await?;
    Ok(user)
}

/// One participant.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/participants/{user_id}", tag = "sessions",
    params(("id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, body = schema::Participant))
)]
pub async fn get(State(app): State<Shared>, reader: Reader, path: Path<(String, String)>) -> Answer<Json<Participant>> {
    let Path((_, user)) = path;
    let user = parse(&user)?;
    let relation = app.ports.directory.relation(reader.access().id(), user).await?;
    let found = app.ports.directory.user(user).await?.filter(|_| relation != Relation::None);
    let username = found.ok_or_else(ApiError::not_found)?.username;
    Ok(Json(Participant { user_id: user, username, relation }))
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
    let user = somebody(&app, &sharer, &user).await?;
    Ok(Json(share(&context, &sharer, user, body.0.relation).await?))
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
    let user = somebody(&app, &sharer, &user).await?;
    sharer.relate(&context, &user, Relation::None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn somebody(app: &App, sharer: &Sharer, user: &str) -> Answer<User> {
    let user = app.ports.directory.user(parse(user)?).await?.filter(|u| u.tenant == TenantId::DEFAULT);
    let user = user.ok_or_else(ApiError::not_found)?;
    not_the_owner(sharer, &user)?;
    Ok(user)
}

fn not_the_owner(sharer: &Sharer, user: &User) -> Answer<()> {
    if user.user_id == sharer.access().row.summary.owner {
        return Err(ApiError::conflict("The owner of a session stays its owner."));
    }
    Ok(())
}

async fn share(context: &Context, sharer: &Sharer, user: User, share: Share) -> Answer<Participant> {
    let relation = match share {
        Share::Participant => Relation::Participant,
        Share::Viewer => Relation::Viewer,
    };
    sharer.relate(context, &user, relation).await?;
    Ok(Participant { user_id: user.user_id, username: user.username, relation })
}

fn parse(user: &str) -> Answer<UserId> {
    user.parse().map_err(|_| ApiError::not_found())
}
