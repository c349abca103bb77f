//! One's own account: profile, password, sign-ins.

use axum::extract::{Path, State};
use psyche_core::Timestamp;
use psyche_core::port::{User, UserPatch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::{Json, SIGN_IN_BODY, SmallJson};
use crate::list::List;
use crate::passwords;
use crate::schema;

use super::auth::announce;
use super::setup::check_person;
use super::users;
use super::views::UserView;

/// Preferences are the web app's own; they only have a size.
const PREFERENCES_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
pub struct Profile {
    #[serde(flatten)]
    user: UserView,
    preferences: Value,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self { preferences: user.preferences.clone(), user: user.into() }
    }
}

/// Who one is.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "identity", responses((status = 200, body = schema::Profile)))]
pub async fn me(State(app): State<Shared>, caller: Caller) -> Answer<SmallJson<Profile>> {
    Ok(Json(own(&app, &caller).await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    /// Free JSON, at most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    preferences: Option<Value>,
}

/// Changes one's profile and preferences.
#[utoipa::path(
    patch, path = "/api/v1/auth/me", tag = "identity", request_body = ProfilePatch,
    responses((status = 200, body = schema::Profile))
)]
pub async fn change_me(
    State(app): State<Shared>,
    caller: Caller,
    body: Json<ProfilePatch, { 2 * SIGN_IN_BODY }>,
) -> Answer<SmallJson<Profile>> {
    let ProfilePatch { display_name, email, preferences } = body.0;
    let display_name = display_name.map(checked_name).transpose()?;
    if let Some(email) = &email {
        check_person(&caller.username, email, None)?;
    }
    if preferences.as_ref().is_some_and(|p| p.to_string().len() > PREFERENCES_BYTES) {
        return Err(ApiError::invalid("preferences", "must have at most 16384 bytes"));
    }
    let patch = UserPatch { display_name, email, preferences, ..UserPatch::default() };
    let user = app.ports.directory.update_user(caller.user_id, patch).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(user.into()))
}

pub fn checked_name(name: String) -> Answer<String> {
    let fits = (1..=80).contains(&name.trim().chars().count()) && !name.chars().any(char::is_control);
    if fits {
        Ok(name.trim().to_owned())
    } else {
        Err(ApiError::invalid("display_name", "must have 1 to 80 characters"))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    current_password: String,
    new_password: String,
}

/// Changes one's password and ends one's other sign-ins.
#[utoipa::path(
    post, path = "/api/v1/auth/password", tag = "identity", request_body = PasswordChange,
    responses((status = 200, body = schema::Done))
)]
pub async fn change_password(
    State(app): State<Shared>,
    caller: Caller,
    body: SmallJson<PasswordChange>,
) -> Answer<SmallJson<Value>> {
    let PasswordChange { current_password, new_password } = body.0;
    let user = own(&app, &caller).await?;
    if !app.hasher.verify(current_password, Some(user.password_hash.clone())).await? {
        return Err(ApiError::invalid("current_password", "is not right"));
    }
    passwords::check(&new_password, &user.username, &user.email).map_err(|e| ApiError::invalid("new_password", e))?;
    let hash = app.hasher.hash(new_password, app.ports.clock.entropy()).await?;
    let patch = UserPatch { password_hash: Some(hash), ..UserPatch::default() };
    app.ports.directory.update_user(user.user_id, patch).await?;
    app.ports.directory.revoke_user(user.user_id, Some(caller.sign_in)).await?;
    app.accounts.changed(user.user_id);
    announce(&app, Some(&user), &user.username, "password_change", true);
    Ok(Json(json!({"status": "success", "message": "Password changed; other sign-ins have ended"})))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordReset {
    token: String,
    new_password: String,
}

/// Sets a password with the one-time token that an admin handed over, and ends all sign-ins.
#[utoipa::path(
    post, path = "/api/v1/auth/password-reset", tag = "identity", request_body = PasswordReset,
    responses((status = 200, body = schema::Done))
)]
pub async fn reset_password(State(app): State<Shared>, body: SmallJson<PasswordReset>) -> Answer<SmallJson<Value>> {
    let PasswordReset { token, new_password } = body.0;
    let spent = || ApiError::invalid("token", "is not known, used already or too old; ask an admin for another one");
    let key = users::reset_key(&token);
    let owner = app.ports.ephemeral.get(&key).await?.ok_or_else(spent)?;
    let id = String::from_utf8_lossy(&owner).parse().map_err(|_| spent())?;
    let user = app.ports.directory.user(id).await?.ok_or_else(spent)?;
    // A password that is refused does not spend the token.
    passwords::check(&new_password, &user.username, &user.email).map_err(|e| ApiError::invalid("new_password", e))?;
    let hash = app.hasher.hash(new_password, app.ports.clock.entropy()).await?;
    // Of two at once only one finds it.
    app.ports.ephemeral.take(&key).await?.ok_or_else(spent)?;
    let patch = UserPatch { password_hash: Some(hash), ..UserPatch::default() };
    app.ports.directory.update_user(id, patch).await?;
    app.ports.directory.revoke_user(id, None).await?;
    app.accounts.changed(id);
    announce(&app, Some(&user), &user.username, "password_change", true);
    Ok(Json(json!({"status": "success", "message": "Password set; sign in with it"})))
}

#[derive(Serialize, ToSchema)]
pub struct Device {
    device_id: String,
    name: String,
    ip: String,
    user_agent: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
    /// The sign-in that asks.
    current: bool,
}

/// One's live sign-ins.
#[utoipa::path(get, path = "/api/v1/auth/devices", tag = "identity", responses((status = 200, body = List<Device>)))]
pub async fn devices(State(app): State<Shared>, caller: Caller) -> Answer<SmallJson<List<Device>>> {
    let now = app.ports.clock.now();
    let sign_ins = app.ports.directory.sign_ins(caller.user_id).await?;
    let live = sign_ins.into_iter().filter(|s| !s.revoked && s.expires_at > now);
    let items = live.map(|s| Device {
        device_id: s.id.to_string(),
        name: s.device,
        ip: s.ip,
        user_agent: s.user_agent,
        created_at: s.created_at,
        last_seen: s.last_seen,
        current: s.id == caller.sign_in,
    });
    Ok(Json(List::whole(items.collect())))
}

/// Ends one sign-in.
#[utoipa::path(
    delete, path = "/api/v1/auth/devices/{device_id}", tag = "identity", params(("device_id" = String, Path)),
    responses((status = 200, body = schema::Done))
)]
pub async fn end_device(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Answer<SmallJson<Value>> {
    let id = id.parse().map_err(|_| ApiError::not_found())?;
    let sign_in = app.ports.directory.sign_in(id).await?;
    // Other people's sign-ins are not to be known of.
    if sign_in.is_none_or(|s| s.user_id != caller.user_id || s.revoked) {
        return Err(ApiError::not_found());
    }
    app.ports.directory.revoke_sign_in(id).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(json!({"status": "success", "message": "The sign-in has ended"})))
}

/// Ends all of one's sign-ins, this one too.
#[utoipa::path(delete, path = "/api/v1/auth/devices", tag = "identity", responses((status = 200, body = schema::Done)))]
pub async fn end_devices(State(app): State<Shared>, caller: Caller) -> Answer<SmallJson<Value>> {
    app.ports.directory.revoke_user(caller.user_id, None).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(json!({"status": "success", "message": "All sign-ins have ended"})))
}

async fn own(app: &App, caller: &Caller) -> Answer<User> {
    app.ports.directory.user(caller.user_id).await?.ok_or_else(ApiError::unauthenticated)
}
