//! First start: one code makes one admin.

use axum::extract::State;
use axum::http::StatusCode;
use psyche_core::audit::AuditType;
use psyche_core::port::{NewUser, Role, StoreError, User, UserStatus};
use psyche_core::{TenantId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError, Detail};
use crate::json::SmallJson;
use crate::options::Registration;
use crate::passwords;
use crate::schema;

use super::auth::{about, failed};
use super::configuration;
use super::views::UserView;

#[derive(Debug, Serialize, ToSchema)]
pub struct SetupState {
    /// Whether the first admin is still to be made.
    needed: bool,
    registration: Registration,
    /// What people agree to when they register.
    consent_version: String,
}

/// Whether the installation waits for its first admin.
#[utoipa::path(get, path = "/api/v1/setup", tag = "identity", responses((status = 200, body = SetupState)))]
pub async fn state(State(app): State<Shared>) -> Answer<SmallJson<SetupState>> {
    let needed = !app.ports.directory.has_admin(TenantId::DEFAULT).await?;
    let registration = configuration::registration(&app).await?;
    Ok(axum_json(SetupState { needed, registration, consent_version: app.options.consent_version.clone() }))
}

fn axum_json<T>(value: T) -> SmallJson<T> {
    crate::json::Json(value)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    setup_code: String,
    username: String,
    email: String,
    password: String,
}

/// Makes the first admin with the code that was printed at first start. 404 once there is one.
#[utoipa::path(
    post, path = "/api/v1/setup", tag = "identity", request_body = Setup,
    responses((status = 201, body = schema::User), (status = 404, description = "There is an admin."))
)]
pub async fn set_up(
    State(app): State<Shared>,
    context: Context,
    body: SmallJson<Setup>,
) -> Answer<(StatusCode, SmallJson<UserView>)> {
    let Setup { setup_code, username, email, password } = body.0;
    if app.ports.directory.has_admin(TenantId::DEFAULT).await? {
        return Err(ApiError::not_found());
    }
    let right =
        app.options.setup_code.as_deref().is_some_and(|code| bool::from(code.as_bytes().ct_eq(setup_code.as_bytes())));
    if !right {
        failed(&app, &context, None).await?;
        let message = "is not the code that was printed at first start";
        return Err(ApiError { details: vec![detail("setup_code", message)], ..ApiError::forbidden() });
    }
    check_person(&username, &email, Some(&password))?;
    let user = new_user(&app, username, email, password, Role::Admin).await?;
    let new = NewUser { user: user.clone(), only_first_admin: true };
    let details = json!({"message": "The first admin was made."});
    let row = about(&app, &context, &user, AuditType::PermissionChanged, details);
    match app.directory_with(vec![row]).create_user(new).await {
        // Somebody else was first.
        Err(StoreError::Conflict("admin")) => Err(ApiError::not_found()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok((StatusCode::CREATED, axum_json(UserView::of(&app, user).await?))),
    }
}

fn detail(field: &str, message: impl Into<String>) -> Detail {
    Detail { field: field.to_owned(), message: message.into(), line: None }
}

/// The rules for a person's name, address and password; every fault is named.
pub fn check_person(username: &str, email: &str, password: Option<&str>) -> Answer<()> {
    let mut faults = Vec::new();
    let name_fits = (2..=64).contains(&username.chars().count())
        && username.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@'));
    if !name_fits {
        faults.push(detail("username", "must have 2 to 64 letters, digits or . - _ @"));
    }
    let address_fits = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !address_fits {
        faults.push(detail("email", "must be an e-mail address"));
    }
    if let Some(Err(why)) = password.map(|p| passwords::check(p, username, email)) {
        faults.push(detail("password", why));
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(faults)) }
}

/// A new account with a hashed password, not yet stored.
pub async fn new_user(app: &App, username: String, email: String, password: String, role: Role) -> Answer<User> {
    let clock = &app.ports.clock;
    let password_hash = app.hasher.hash(password, clock.entropy()).await?;
    Ok(User {
        user_id: UserId(clock.uuid()),
        tenant: TenantId::DEFAULT,
        display_name: username.clone(),
        username,
        email,
        role,
        status: UserStatus::Active,
        password_hash,
        preferences: serde_json::json!({}),
        last_login: None,
        created_at: clock.now(),
        second_factor: None,
        consents: Vec::new(),
    })
}
