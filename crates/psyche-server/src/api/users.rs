//! Accounts, for admins.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{NewUser, ResetToken, Role, StoreError, User, UserPatch, UserStatus};
use psyche_core::session::Budget;
use psyche_core::{TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query, SmallJson};
use crate::list::{self, List};
use crate::lockout;
use crate::schema;
use crate::tokens;

use super::account::checked_name;
use super::privacy;
use super::setup::{check_person, new_user};
use super::views::{UserView, checked_budget};

const RESET_LIFE_MS: i64 = 30 * 60 * 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// Part of the username, the displayed name or the e-mail address, upper or lower case.
    q: Option<String>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    cursor: Option<String>,
}

/// All accounts, newest first.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", params(UserQuery),
    responses((status = 200, body = List<schema::User>))
)]
pub async fn list(State(app): State<Shared>, query: Query<UserQuery>) -> Answer<SmallJson<List<UserView>>> {
    let UserQuery { q, limit, cursor } = query.0;
    let q = q.filter(|q| !q.trim().is_empty());
    let page = app.ports.directory.users(TenantId::DEFAULT, q, cursor, list::limit(limit)?).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for user in page.items {
        items.push(UserView::of(&app, user).await?);
    }
    Ok(Json(List { items, next_cursor: page.next_cursor }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserDraft {
    username: String,
    email: String,
    #[schema(value_type = schema::Role)]
    role: Role,
}

#[derive(Serialize)]
pub struct CreatedUser {
    user: UserView,
    reset_token: String,
    expires_at: Timestamp,
}

/// Makes an account that nobody can sign in to until its one-time token has been used to set a password.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", request_body = UserDraft,
    responses((status = 201, body = schema::CreatedUser), (status = 409, description = "The name is taken."))
)]
pub async fn create(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<UserDraft>,
) -> Answer<(StatusCode, SmallJson<CreatedUser>)> {
    let UserDraft { username, email, role } = body.0;
    check_person(&username, &email, None)?;
    let clock = &app.ports.clock;
    // A password nobody knows.
    let (unknown, _) = tokens::secret(clock.entropy());
    let user = new_user(&app, username, email, unknown, role).await?;
    let details = json!({"created": user.user_id, "role": role});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::PermissionChanged, Outcome::Success) };
    app.directory_with(vec![row]).create_user(NewUser { user: user.clone(), only_first_admin: false }).await?;
    Ok((StatusCode::CREATED, Json(with_reset_token(&app, user).await?)))
}

/// A one-time token with which a person sets a new password. The admin hands it over and never learns the password.
#[utoipa::path(
    post, path = "/api/v1/users/{user_id}/password-reset", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::CreatedUser))
)]
pub async fn reset_password(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<SmallJson<CreatedUser>> {
    let user = somebody(&app, &id).await?;
    let details = json!({"message": "A reset token was made.", "user_id": user.user_id});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::PermissionChanged, Outcome::Success) };
    app.record(vec![row]).await?;
    Ok(Json(with_reset_token(&app, user).await?))
}

async fn with_reset_token(app: &App, user: User) -> Answer<CreatedUser> {
    let clock = &app.ports.clock;
    let (reset_token, hash) = tokens::secret(clock.entropy());
    let expires_at = clock.now().plus_ms(RESET_LIFE_MS);
    app.ports.directory.put_reset(ResetToken { user_id: user.user_id, hash, expires_at }).await?;
    Ok(CreatedUser { user: UserView::of(app, user).await?, reset_token, expires_at })
}

/// One account.
#[utoipa::path(
    get, path = "/api/v1/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::User))
)]
pub async fn get(State(app): State<Shared>, Path(id): Path<String>) -> Answer<SmallJson<UserView>> {
    Ok(Json(UserView::of(&app, somebody(&app, &id).await?).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[serde(default)]
    #[schema(value_type = Option<schema::Role>)]
    role: Option<Role>,
    #[serde(default)]
    #[schema(value_type = Option<schema::UserStatus>)]
    status: Option<UserStatus>,
    #[serde(default)]
    display_name: Option<String>,
    /// What this person may spend on models in all own sessions; `null`: what the installation gives everybody.
    #[serde(default, with = "psyche_core::event::double")]
    #[schema(value_type = Option<schema::Budget>)]
    #[expect(clippy::option_option, reason = "absent, null and a value are three things")]
    budget: Option<Option<Budget>>,
}

/// Changes role, status, name or budget. Acts at once on what the person does. The last active admin stays.
#[utoipa::path(
    patch, path = "/api/v1/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    request_body = UserChange, responses((status = 200, body = schema::User), (status = 409, description = "The last active admin stays."))
)]
pub async fn change(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
    body: SmallJson<UserChange>,
) -> Answer<SmallJson<UserView>> {
    let id = somebody(&app, &id).await?.user_id;
    let UserChange { role, status, display_name, budget } = body.0;
    let display_name = display_name.map(checked_name).transpose()?;
    let budget = budget.map(|budget| budget.map(checked_budget).transpose()).transpose()?;
    if let Some(budget) = budget {
        let details = json!({"user_id": id, "budget": budget});
        let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::PermissionChanged, Outcome::Success) };
        app.directory_with(vec![row]).set_budget(TenantId::DEFAULT, Some(id), budget).await?;
    }
    let details = json!({"user_id": id, "role": role, "status": status});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::PermissionChanged, Outcome::Success) };
    let patch = UserPatch { role, status, display_name, ..UserPatch::default() };
    let user = match app.directory_with(vec![row]).update_user(id, patch).await {
        Err(StoreError::Conflict("last admin")) => {
            return Err(ApiError::conflict("The last active admin cannot be demoted or disabled."));
        }
        other => other?,
    };
    app.accounts.changed(id);
    Ok(Json(UserView::of(&app, user).await?))
}

/// Erases an account and the person's words. What agents said in shared sessions stays.
#[utoipa::path(
    delete, path = "/api/v1/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::Done), (status = 409, description = "The last active admin stays."))
)]
pub async fn erase(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<SmallJson<Value>> {
    let user = somebody(&app, &id).await?;
    privacy::erase_user(&app, &context, caller.user_id, user.user_id).await?;
    Ok(Json(json!({"status": "success", "message": "The account and its words are erased"})))
}

/// Forgives failed sign-ins of somebody, wherever they were tried.
#[utoipa::path(
    post, path = "/api/v1/users/{user_id}/unlock", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::Done))
)]
pub async fn unlock(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<SmallJson<Value>> {
    let user = somebody(&app, &id).await?;
    let details = json!({"message": "Failed sign-ins were forgiven.", "user_id": user.user_id});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::PermissionChanged, Outcome::Success) };
    app.record(vec![row]).await?;
    lockout::unlock(&app, &user.username).await?;
    Ok(Json(json!({"status": "success", "message": "Failed sign-ins are forgiven"})))
}

async fn somebody(app: &App, id: &str) -> Answer<User> {
    let id: UserId = id.parse().map_err(|_| ApiError::not_found())?;
    let user = app.ports.directory.user(id).await?.filter(|user| user.tenant == TenantId::DEFAULT);
    user.ok_or_else(ApiError::not_found)
}
