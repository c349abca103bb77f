//! One's own account: profile, password, sign-ins.

use axum::extract::{Path, State};
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{Consent, SignIn, User, UserPatch};
use psyche_core::session::Budget;
use psyche_core::words::Hash;
use psyche_core::{SignInId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, SIGN_IN_BODY, SmallJson};
use crate::list::List;
use crate::schema;
use crate::{lockout, passwords, totp};

use super::auth::{about, announce, failed};
use super::setup::check_person;
use super::views::UserView;

/// Preferences are the web app's own; they only have a size.
const PREFERENCES_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
pub struct Profile {
    #[serde(flatten)]
    user: UserView,
    preferences: Value,
    consents: Vec<Consent>,
    mfa: Mfa,
    /// What one may spend: one's own budget, or what everybody has. A limit that is absent is none.
    budget_in_force: Budget,
}

/// The second factor, as its owner sees it.
#[derive(Serialize)]
struct Mfa {
    enabled: bool,
    required: bool,
    recovery_codes_left: usize,
}

impl Profile {
    pub async fn of(app: &App, user: User) -> Answer<Self> {
        let factor = user.second_factor.as_ref().filter(|factor| factor.confirmed);
        let mfa = Mfa {
            enabled: factor.is_some(),
            required: app.options.second_factor_roles.contains(&user.role),
            recovery_codes_left: factor.map_or(0, |factor| factor.recovery.len()),
        };
        let (preferences, consents) = (user.preferences.clone(), user.consents.clone());
        let user = UserView::of(app, user).await?;
        let budget_in_force = user.budget.unwrap_or_else(|| app.ports.engine.user_budget());
        Ok(Self { user, preferences, consents, mfa, budget_in_force })
    }
}

/// Who one is.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "identity", responses((status = 200, body = schema::Profile)))]
pub async fn me(State(app): State<Shared>, caller: Caller) -> Answer<SmallJson<Profile>> {
    Ok(Json(Profile::of(&app, own(&app, &caller).await?).await?))
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
    /// The version of the terms one agrees to.
    #[serde(default)]
    consent: Option<String>,
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
    let ProfilePatch { display_name, email, preferences, consent } = body.0;
    if consent.as_ref().is_some_and(|version| *version != app.options.consent_version) {
        return Err(ApiError::invalid("consent", "is not the version in force"));
    }
    let display_name = display_name.map(checked_name).transpose()?;
    if let Some(email) = &email {
        check_person(&caller.username, email, None)?;
    }
    if preferences.as_ref().is_some_and(|p| !p.is_object()) {
        return Err(ApiError::invalid("preferences", "must be an object"));
    }
    if preferences.as_ref().is_some_and(|p| p.to_string().len() > PREFERENCES_BYTES) {
        return Err(ApiError::invalid("preferences", "must have at most 16384 bytes"));
    }
    let consent = consent.map(|version| Consent { version, at: app.ports.clock.now() });
    let patch = UserPatch { display_name, email, preferences, consent, ..UserPatch::default() };
    let user = app.ports.directory.update_user(caller.user_id, patch).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(Profile::of(&app, user).await?))
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
    context: Context,
    caller: Caller,
    body: SmallJson<PasswordChange>,
) -> Answer<SmallJson<Value>> {
    let PasswordChange { current_password, new_password } = body.0;
    let user = known(&app, &context, &caller, current_password, "current_password").await?;
    passwords::check(&new_password, &user.username, &user.email).map_err(|e| ApiError::invalid("new_password", e))?;
    let hash = app.hasher.hash(new_password, app.ports.clock.entropy()).await?;
    let details = json!({"message": "A password was changed."});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::TokenRevoked, Outcome::Success) };
    app.directory_with(vec![row]).set_password(user.user_id, hash, Some(caller.sign_in)).await?;
    app.accounts.changed(user.user_id);
    announce(&app, Some(&user), &user.username, "password_change", true);
    Ok(Json(json!({"status": "success", "message": "Password changed; other sign-ins have ended"})))
}

/// The caller's account, when the password is right. A wrong one counts like a failed sign-in.
pub async fn known(
    app: &App,
    context: &Context,
    caller: &Caller,
    password: String,
    field: &'static str,
) -> Answer<User> {
    let user = own(app, caller).await?;
    let attempt = lockout::begin(app, &user.username, context.address, false).await?;
    if !app.hasher.verify(password, Some(user.password_hash.clone())).await? {
        failed(app, context, Some(user.user_id)).await?;
        return Err(ApiError::invalid(field, "is not right"));
    }
    attempt.succeeded(app).await?;
    Ok(user)
}

/// The same, and the second factor where there is one: for what cannot be taken back.
pub async fn proved(
    app: &App,
    context: &Context,
    caller: &Caller,
    password: String,
    otp: Option<String>,
    field: &'static str,
) -> Answer<User> {
    let user = known(app, context, caller, password, field).await?;
    let Some(factor) = user.second_factor.as_ref().filter(|factor| factor.confirmed) else { return Ok(user) };
    let otp = otp.ok_or_else(|| ApiError::invalid("otp", "is needed: the code of your second factor"))?;
    // Counted as a try of its own: codes are short.
    let attempt = lockout::begin(app, &user.username, context.address, false).await?;
    let Some(accepted) = totp::accept(factor, &otp, app.ports.clock.now()) else {
        failed(app, context, Some(user.user_id)).await?;
        return Err(ApiError::invalid("otp", "is not right, or was used already"));
    };
    attempt.succeeded(app).await?;
    let patch = UserPatch { second_factor: Some(Some(accepted)), ..UserPatch::default() };
    Ok(app.ports.directory.update_user(user.user_id, patch).await?)
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
pub async fn reset_password(
    State(app): State<Shared>,
    context: Context,
    body: SmallJson<PasswordReset>,
) -> Answer<SmallJson<Value>> {
    let PasswordReset { token, new_password } = body.0;
    let spent = || ApiError::invalid("token", "is not known, used already or too old; ask an admin for another one");
    let (hash, now) = (Hash::of(token.as_bytes()), app.ports.clock.now());
    let id = app.ports.directory.reset_owner(hash, now).await?.ok_or_else(spent)?;
    let user = app.ports.directory.user(id).await?.ok_or_else(spent)?;
    // A password that is refused does not spend the token.
    passwords::check(&new_password, &user.username, &user.email).map_err(|e| ApiError::invalid("new_password", e))?;
    let phc = app.hasher.hash(new_password, app.ports.clock.entropy()).await?;
    let details = json!({"message": "A password was set with a reset token."});
    let row = about(&app, &context, &user, AuditType::TokenRevoked, details);
    // Of two at once only one finds it.
    app.directory_with(vec![row]).use_reset(hash, now, phc).await?.ok_or_else(spent)?;
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
    Ok(Json(List::whole(device_views(&app, caller.user_id, Some(caller.sign_in)).await?)))
}

pub async fn device_views(app: &App, user: UserId, current: Option<SignInId>) -> Answer<Vec<Device>> {
    let now = app.ports.clock.now();
    let sign_ins = app.ports.directory.sign_ins(user).await?;
    let live = sign_ins.into_iter().filter(|s| !s.revoked && s.expires_at > now);
    let view = |s: SignIn| Device {
        device_id: s.id.to_string(),
        name: s.device,
        ip: s.ip,
        user_agent: s.user_agent,
        created_at: s.created_at,
        last_seen: s.last_seen,
        current: Some(s.id) == current,
    };
    Ok(live.map(view).collect())
}

/// Ends one sign-in.
#[utoipa::path(
    delete, path = "/api/v1/auth/devices/{device_id}", tag = "identity", params(("device_id" = String, Path)),
    responses((status = 200, body = schema::Done))
)]
pub async fn end_device(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<SmallJson<Value>> {
    let id = id.parse().map_err(|_| ApiError::not_found())?;
    let sign_in = app.ports.directory.sign_in(id).await?;
    // Other people's sign-ins are not to be known of.
    if sign_in.is_none_or(|s| s.user_id != caller.user_id || s.revoked) {
        return Err(ApiError::not_found());
    }
    let row = caller.row(&app, &context, AuditType::TokenRevoked, Outcome::Success);
    app.directory_with(vec![row]).revoke_sign_in(id).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(json!({"status": "success", "message": "The sign-in has ended"})))
}

/// Ends all of one's sign-ins, this one too.
#[utoipa::path(delete, path = "/api/v1/auth/devices", tag = "identity", responses((status = 200, body = schema::Done)))]
pub async fn end_devices(State(app): State<Shared>, context: Context, caller: Caller) -> Answer<SmallJson<Value>> {
    let row = caller.row(&app, &context, AuditType::TokenRevoked, Outcome::Success);
    app.directory_with(vec![row]).revoke_user(caller.user_id, None).await?;
    app.accounts.changed(caller.user_id);
    Ok(Json(json!({"status": "success", "message": "All sign-ins have ended"})))
}

pub async fn own(app: &App, caller: &Caller) -> Answer<User> {
    app.ports.directory.user(caller.user_id).await?.ok_or_else(ApiError::unauthenticated)
}
