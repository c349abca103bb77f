//! Sign-in: register, login, refresh, logout. One answer for every way a sign-in can fail.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use psyche_core::audit::{AuditDraft, AuditType, Outcome, Severity};
use psyche_core::port::{Consent, NewSignIn, NewUser, Role, Rotation, SignIn, User, UserPatch, UserStatus};
use psyche_core::{SignInId, TenantId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError, Detail, ErrorKind};
use crate::json::{Json, SmallJson};
use crate::live::UserAuth;
use crate::lockout;
use crate::options::Registration;
use crate::origin;
use crate::schema;
use crate::tokens;
use crate::{alerts, blocks, totp};

use super::configuration;
use super::setup::{check_person, new_user};
use super::views::{SignedInUser, UserView};

/// Whoever is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    username: String,
    email: String,
    password: String,
    #[serde(default)]
    display_name: Option<String>,
    /// Must be true.
    consent: bool,
}

/// Makes an account with the role `observer`, where the installation lets people register.
#[utoipa::path(
    post, path = "/api/v1/auth/register", tag = "identity", request_body = Register,
    responses((status = 201, body = schema::User), (status = 409, description = "The name is taken."))
)]
pub async fn register(
    State(app): State<Shared>,
    context: Context,
    body: SmallJson<Register>,
) -> Answer<(StatusCode, SmallJson<UserView>)> {
    if configuration::registration(&app).await? == Registration::Closed {
        let message = "Registration is closed here; an admin makes accounts.";
        return Err(ApiError::new(ErrorKind::Forbidden, message));
    }
    let Register { username, email, password, display_name, consent } = body.0;
    if !consent {
        return Err(ApiError::invalid("consent", "must be given"));
    }
    check_person(&username, &email, Some(&password))?;
    let mut user = new_user(&app, username, email, password, Role::Observer).await?;
    if let Some(name) = display_name {
        user.display_name = super::account::checked_name(name)?;
    }
    user.consents = vec![Consent { version: app.options.consent_version.clone(), at: app.ports.clock.now() }];
    let row = about(&app, &context, &user, AuditType::PermissionChanged, json!({"message": "Somebody registered."}));
    let new = NewUser { user: user.clone(), only_first_admin: false };
    app.directory_with(vec![row]).create_user(new).await?;
    announce(&app, Some(&user), &user.username, "registration", true);
    Ok((StatusCode::CREATED, Json(UserView::of(&app, user).await?)))
}

/// Where the refresh token goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefreshBy {
    #[default]
    Body,
    /// An HttpOnly cookie that scripts cannot read.
    Cookie,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    username: String,
    password: String,
    /// Names the device in the list of sign-ins.
    #[serde(default)]
    device_id: Option<String>,
    /// The second factor, where one is set up.
    #[serde(default)]
    otp: Option<String>,
    #[serde(default)]
    refresh: RefreshBy,
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    refresh_token: Option<String>,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// Seconds: renew in the background when fewer are left.
    renew_before: u64,
    /// The role demands a second factor; until there is one, only one's own account is open.
    must_enrol: bool,
    user: SignedInUser,
}

/// Signs in. With a second factor in force, a right password without its code is 401 with a detail for `otp`.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "identity", request_body = Login,
    responses((status = 200, body = schema::TokenAnswer), (status = 401, description = "Not these credentials, or not any more."))
)]
pub async fn login(
    State(app): State<Shared>,
    context: Context,
    headers: HeaderMap,
    body: SmallJson<Login>,
) -> Answer<Response> {
    let Login { username, password, device_id, otp, refresh } = body.0;
    if refresh == RefreshBy::Cookie && !origin::is_ours(&app.options, &headers) {
        return Err(ApiError::forbidden());
    }
    let directory = &app.ports.directory;
    let device = cookie(&headers, names(&app).device);
    let known_device = device.is_some_and(|token| lockout::is_known(&app, &username, &token));
    let attempt = lockout::begin(&app, &username, context.address, known_device).await;
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(error) => return Err(locked_out(&app, &context, error).await),
    };
    let found = directory.user_by_name(TenantId::DEFAULT, &username).await?;
    let fits = app.hasher.verify(password.clone(), found.as_ref().map(|u| u.password_hash.clone())).await?;
    let known = found.as_ref().map(|user| user.user_id);
    let Some(user) = found.filter(|u| fits && u.status == UserStatus::Active) else {
        failed(&app, &context, known).await?;
        return Err(ApiError::new(ErrorKind::Unauthenticated, "Username or password is not right."));
    };
    let mut patch = UserPatch { last_login: Some(app.ports.clock.now()), ..UserPatch::default() };
    if let Some(factor) = user.second_factor.as_ref().filter(|factor| factor.confirmed) {
        let accepted = otp.as_deref().and_then(|otp| totp::accept(factor, otp, app.ports.clock.now()));
        if accepted.is_none() {
            return Err(wants_code(&app, &context, &user, otp.is_some()).await);
        }
        patch.second_factor = Some(accepted);
    }
    if app.hasher.is_outdated(&user.password_hash) {
        patch.password_hash = app.hasher.hash(password, app.ports.clock.entropy()).await.ok();
    }
    attempt.succeeded(&app).await?;
    let (id, refresh_token) = begin(&app, &context, &user, &headers, device_id.as_deref(), known_device).await?;
    let user = directory.update_user(user.user_id, patch).await?;
    announce(&app, Some(&user), &user.username, "login", true);
    let mut response = answer(&app, &user, id, refresh_token, refresh)?;
    if refresh == RefreshBy::Cookie {
        let token = lockout::device_token(&app, &user.username);
        set_cookie(&app, &mut response, names(&app).device, &token, DEVICE_LIFE_S)?;
    }
    Ok(response)
}

/// Stores a new sign-in with what the audit trail says of it.
async fn begin(
    app: &App,
    context: &Context,
    user: &User,
    headers: &HeaderMap,
    name: Option<&str>,
    known_device: bool,
) -> Answer<(SignInId, String)> {
    let now = app.ports.clock.now();
    let (refresh_token, refresh_hash) = tokens::secret(app.ports.clock.entropy());
    let sign_in = SignIn {
        id: SignInId(app.ports.clock.uuid()),
        user_id: user.user_id,
        device: short(name.unwrap_or("")),
        ip: context.address.to_string(),
        user_agent: short(headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("")),
        created_at: now,
        last_seen: now,
        expires_at: now.plus_ms(millis(app.options.refresh_idle.min(app.options.refresh_absolute))),
        revoked: false,
    };
    let before = app.ports.directory.sign_ins(user.user_id).await?;
    let elsewhere = !before.is_empty() && !known_device;
    let is_new = elsewhere && before.iter().all(|s| s.ip != sign_in.ip || s.user_agent != sign_in.user_agent);
    let mut rows = vec![about(app, context, user, AuditType::LoginSuccess, json!({"sign_in": sign_in.id}))];
    if is_new {
        let rule = ("new_device", "Somebody signed in from a device that was not seen before.");
        rows.push(alerts::suspicion(app, context, (user.user_id, &user.username), Severity::Medium, rule));
    }
    let rule = ("many_sign_ins", "Somebody signed in more often within a minute than a person does.");
    rows.extend(alerts::burst(app, context, (user.user_id, &user.username), rule, (10, Duration::from_mins(1))).await?);
    let (id, keep) = (sign_in.id, app.options.limits.sign_ins_per_user);
    let ended = app.directory_with(rows).create_sign_in(NewSignIn { sign_in, refresh_hash }, keep).await?;
    if !ended.is_empty() {
        app.accounts.changed(user.user_id);
    }
    Ok((id, refresh_token))
}

/// What a failed sign-in leaves behind. The name that was typed is not kept: it may be a password.
pub async fn failed(app: &App, context: &Context, user: Option<UserId>) -> Answer<()> {
    let row = AuditDraft { user_id: user, ..context.row(app, AuditType::LoginFailure, Outcome::Failure) };
    app.record(vec![row]).await?;
    announce(app, None, "", "login", false);
    blocks::failed(app, context).await
}

/// A try that was refused without a look at the password.
async fn locked_out(app: &App, context: &Context, error: ApiError) -> ApiError {
    let row = context.row(app, AuditType::LoginFailure, Outcome::Denied);
    app.record(vec![row]).await.err().unwrap_or(error)
}

/// The password was right, the code is missing or wrong. A wrong one is a failed sign-in.
async fn wants_code(app: &App, context: &Context, user: &User, given: bool) -> ApiError {
    let recorded = if given { failed(app, context, Some(user.user_id)).await } else { Ok(()) };
    let message = if given { "is not right, or was used already" } else { "is needed" };
    let detail = Detail { field: "otp".to_owned(), message: message.to_owned(), line: None };
    let error = ApiError::new(ErrorKind::Unauthenticated, "Enter the code of your second factor.");
    recorded.err().unwrap_or(ApiError { details: vec![detail], ..error })
}

/// A row of the audit trail about somebody who is not signed in yet.
pub fn about(app: &App, context: &Context, user: &User, event_type: AuditType, details: Value) -> AuditDraft {
    AuditDraft { details, ..context.row_about(app, user.user_id, &user.username, event_type, Outcome::Success) }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Taken from the cookie when absent.
    #[serde(default)]
    refresh_token: Option<String>,
}

/// New tokens for a refresh token, which is spent.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "identity", request_body = Refresh,
    responses((status = 200, body = schema::TokenAnswer), (status = 401, description = "The refresh token is unknown, spent or expired."))
)]
pub async fn refresh(
    State(app): State<Shared>,
    context: Context,
    headers: HeaderMap,
    body: SmallJson<Refresh>,
) -> Answer<Response> {
    let (token, by) = match body.0.refresh_token {
        Some(token) => (token, RefreshBy::Body),
        None if !origin::is_ours(&app.options, &headers) => return Err(ApiError::forbidden()),
        None => (cookie(&headers, names(&app).refresh).ok_or_else(ApiError::unauthenticated)?, RefreshBy::Cookie),
    };
    let (directory, now) = (&app.ports.directory, app.ports.clock.now());
    let old = psyche_core::words::Hash::of(token.as_bytes());
    let (next, next_hash) = tokens::secret(app.ports.clock.entropy());
    let expires_at = now.plus_ms(millis(app.options.refresh_idle));
    let reuse = AuditDraft {
        details: json!({"rule": "token_reuse", "message": "A spent refresh token came back; its sign-in has ended."}),
        ..context.row(&app, AuditType::TokenReuse, Outcome::Denied)
    };
    let rows = vec![context.row(&app, AuditType::TokenRefresh, Outcome::Success), reuse];
    let sign_in = match app.directory_with(rows).rotate(old, next_hash, now, expires_at).await? {
        Rotation::Rotated(sign_in) | Rotation::Reissued(sign_in) => sign_in,
        Rotation::Reused(sign_in) => {
            app.accounts.changed(sign_in.user_id);
            return Err(ApiError::unauthenticated());
        }
        Rotation::Unknown => return Err(ApiError::unauthenticated()),
    };
    let user = directory.user(sign_in.user_id).await?.filter(|u| u.status == UserStatus::Active);
    let too_old = sign_in.created_at.plus_ms(millis(app.options.refresh_absolute)) <= now;
    let (Some(user), false) = (user, too_old) else {
        directory.revoke_sign_in(sign_in.id).await?;
        app.accounts.changed(sign_in.user_id);
        return Err(ApiError::unauthenticated());
    };
    answer(&app, &user, sign_in.id, next, by)
}

/// Ends this sign-in: its access and refresh tokens are dead.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "identity",
    responses((status = 200, body = schema::Done))
)]
pub async fn logout(State(app): State<Shared>, context: Context, caller: Caller) -> Answer<Response> {
    let row = caller.row(&app, &context, AuditType::Logout, Outcome::Success);
    app.directory_with(vec![row]).revoke_sign_in(caller.sign_in).await?;
    app.accounts.changed(caller.user_id);
    if let Some(user) = app.ports.directory.user(caller.user_id).await? {
        announce(&app, Some(&user), &user.username, "logout", true);
    }
    let body = json!({"status": "success", "message": "Logged out successfully"});
    let mut response = axum::Json(body).into_response();
    set_cookie(&app, &mut response, names(&app).refresh, "", 0)?;
    Ok(response)
}

fn answer(app: &App, user: &User, sign_in: SignInId, refresh_token: String, by: RefreshBy) -> Answer<Response> {
    let life = i64::try_from(app.options.access_token_life.as_secs()).unwrap_or(i64::MAX / 4);
    let jti = app.ports.clock.uuid().to_string();
    let access_token = app.keys.issue(user.user_id, sign_in, jti, app.ports.clock.now(), life);
    let body = TokenAnswer {
        access_token: access_token.ok_or_else(|| ApiError::internal("no access token could be made"))?,
        refresh_token: (by == RefreshBy::Body).then(|| refresh_token.clone()),
        token_type: "bearer",
        expires_in: life,
        renew_before: app.options.renew_before.as_secs(),
        must_enrol: app.options.second_factor_roles.contains(&user.role)
            && !user.second_factor.as_ref().is_some_and(|factor| factor.confirmed),
        user: SignedInUser::of_user(user),
    };
    let mut response = axum::Json(body).into_response();
    if by == RefreshBy::Cookie {
        set_cookie(app, &mut response, names(app).refresh, &refresh_token, app.options.refresh_idle.as_secs())?;
    }
    Ok(response)
}

/// Names of our cookies.
struct Names {
    refresh: &'static str,
    /// Shows that this person signed in here before; see `lockout.rs`.
    device: &'static str,
}

/// A year.
const DEVICE_LIFE_S: u64 = 365 * 24 * 3600;

/// Behind TLS the name forbids every weaker cookie. Browsers do not agree on `Secure` over plain http on loopback, so
/// there the name and the flag are left out; the cookie still goes to sign-in calls only and never to scripts.
fn names(app: &App) -> Names {
    if app.options.is_https() {
        Names { refresh: "__Host-psyche_refresh", device: "__Host-psyche_device" }
    } else {
        Names { refresh: "psyche_refresh", device: "psyche_device" }
    }
}

fn set_cookie(app: &App, response: &mut Response, name: &str, value: &str, max_age: u64) -> Answer<()> {
    let place = if app.options.is_https() { "Path=/; Secure" } else { "Path=/api/v1/auth" };
    let cookie = format!("{name}={value}; {place}; HttpOnly; SameSite=Strict; Max-Age={max_age}");
    let cookie = HeaderValue::from_str(&cookie).map_err(ApiError::internal)?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let found = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

pub fn announce(app: &App, user: Option<&User>, username: &str, action: &'static str, success: bool) {
    let news = UserAuth {
        user_id: user.map(|u| u.user_id),
        username: username.to_owned(),
        action,
        role: user.map(|u| u.role),
        success,
        metadata: json!({}),
        timestamp: app.ports.clock.now(),
    };
    app.hub.tell_admins("user_auth", &news);
}

pub fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 1000)
}

/// What clients call themselves, without what could harm a log or a page.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
