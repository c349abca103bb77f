//! Accounts, for admins.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::port::{NewUser, Role, StoreError, User, UserPatch, UserStatus};
use psyche_core::words::Hash;
use psyche_core::{TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query, SmallJson};
use crate::list::{List, PageQuery};
use crate::schema;
use crate::tokens;

use super::account::checked_name;
use super::setup::{check_person, new_user};
use super::views::UserView;

const RESET_LIFE_MS: u64 = 30 * 60 * 1000;

/// All accounts.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", params(PageQuery),
    responses((status = 200, body = List<schema::User>))
)]
pub async fn list(State(app): State<Shared>, query: Query<PageQuery>) -> Answer<SmallJson<List<UserView>>> {
    let limit = query.0.limit()?;
    let page = app.ports.directory.users(TenantId::DEFAULT, query.0.cursor, limit).await?;
    let items = page.items.into_iter().map(UserView::from).collect();
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
    responses((status = 201, body = schema::CreatedUser))
)]
pub async fn create(
    State(app): State<Shared>,
    body: SmallJson<UserDraft>,
) -> Answer<(StatusCode, SmallJson<CreatedUser>)> {
    let UserDraft { username, email, role } = body.0;
    check_person(&username, &email, None)?;
    let clock = &app.ports.clock;
    // A password nobody knows.
    let (unknown, _) = tokens::secret(clock.entropy());
    let user = new_user(&app, username, email, unknown, role).await?;
    app.ports.directory.create_user(NewUser { user: user.clone(), only_first_admin: false }).await?;
    Ok((StatusCode::CREATED, Json(with_reset_token(&app, user).await?)))
}

/// A one-time token with which a person sets a new password. The admin hands it over and never learns the password.
#[utoipa::path(
    post, path = "/api/v1/users/{user_id}/password-reset", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::CreatedUser))
)]
pub async fn reset_password(State(app): State<Shared>, Path(id): Path<String>) -> Answer<SmallJson<CreatedUser>> {
    let user = app.ports.directory.user(parse(&id)?).await?.filter(|u| u.tenant == TenantId::DEFAULT);
    let user = user.ok_or_else(ApiError::not_found)?;
    Ok(Json(with_reset_token(&app, user).await?))
}

async fn with_reset_token(app: &App, user: User) -> Answer<CreatedUser> {
    let clock = &app.ports.clock;
    let (reset_token, _) = tokens::secret(clock.entropy());
    let owner = user.user_id.to_string().into_bytes();
    app.ports.ephemeral.put(&reset_key(&reset_token), owner, RESET_LIFE_MS).await?;
    let expires_at = clock.now().plus_ms(RESET_LIFE_MS as i64);
    Ok(CreatedUser { user: user.into(), reset_token, expires_at })
}

/// Where a reset token's owner is kept; the token itself is kept nowhere.
pub fn reset_key(token: &str) -> String {
    format!("reset:{}", Hash::of(token.as_bytes()))
}

/// One account.
#[utoipa::path(
    get, path = "/api/v1/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = schema::User))
)]
pub async fn get(State(app): State<Shared>, Path(id): Path<String>) -> Answer<SmallJson<UserView>> {
    let user = app.ports.directory.user(parse(&id)?).await?.filter(|u| u.tenant == TenantId::DEFAULT);
    Ok(Json(user.ok_or_else(ApiError::not_found)?.into()))
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
}

/// Changes role, status or name. Acts at once on what the person does. The last active admin stays.
#[utoipa::path(
    patch, path = "/api/v1/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    request_body = UserChange, responses((status = 200, body = schema::User))
)]
pub async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    body: SmallJson<UserChange>,
) -> Answer<SmallJson<UserView>> {
    let id = parse(&id)?;
    let UserChange { role, status, display_name } = body.0;
    let display_name = display_name.map(checked_name).transpose()?;
    let patch = UserPatch { role, status, display_name, ..UserPatch::default() };
    let user = match app.ports.directory.update_user(id, patch).await {
        Err(StoreError::Conflict("last admin")) => {
            return Err(ApiError::conflict("The last active admin cannot be demoted or disabled."));
        }
        other => other?,
    };
    if status == Some(UserStatus::Disabled) {
        app.ports.directory.revoke_user(id, None).await?;
    }
    app.accounts.changed(id);
    Ok(Json(user.into()))
}

fn parse(id: &str) -> Answer<UserId> {
    id.parse().map_err(|_| ApiError::not_found())
}
