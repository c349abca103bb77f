//! Sign-in: register, login, refresh, logout. One answer for every way a sign-in can fail.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use psyche_core::port::{NewSignIn, NewUser, Role, Rotation, SignIn, User, UserPatch, UserStatus};
use psyche_core::{SignInId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError, ErrorKind};
use crate::json::{Json, SmallJson};
use crate::live::UserAuth;
use crate::options::Registration;
use crate::origin;
use crate::schema;
use crate::tokens;

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
    responses((status = 201, body = schema::User))
)]
pub async fn register(
    State(app): State<Shared>,
    body: SmallJson<Register>,
) -> Answer<(StatusCode, SmallJson<UserView>)> {
    if app.options.registration == Registration::Closed {
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
    app.ports.directory.create_user(NewUser { user: user.clone(), only_first_admin: false }).await?;
    announce(&app, Some(&user), &user.username, "registration", true);
    Ok((StatusCode::CREATED, Json(user.into())))
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
    #[expect(dead_code, reason = "part of the contract; nobody can set up a second factor yet")]
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
    user: SignedInUser,
}

/// Signs in.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "identity", request_body = Login,
    responses((status = 200, body = schema::TokenAnswer), (status = 401, description = "Not these credentials, or not any more."))
)]
pub async fn login(
    State(app): State<Shared>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: SmallJson<Login>,
) -> Answer<Response> {
    let Login { username, password, device_id, refresh, .. } = body.0;
    if refresh == RefreshBy::Cookie && !origin::is_ours(&app.options, &headers) {
        return Err(ApiError::forbidden());
    }
    let directory = &app.ports.directory;
    // A password longer than any that can be set is wrong, at the price of one that is not.
    let password = if password.len() > 1024 { String::new() } else { password };
    let user = directory.user_by_name(TenantId::DEFAULT, &username).await?;
    let fits = app.hasher.verify(password, user.as_ref().map(|u| u.password_hash.clone())).await?;
    let Some(user) = user.filter(|u| fits && u.status == UserStatus::Active) else {
        announce(&app, None, "", "login", false);
        return Err(ApiError::new(ErrorKind::Unauthenticated, "Username or password is not right."));
    };
    let now = app.ports.clock.now();
    let (refresh_token, refresh_hash) = tokens::secret(app.ports.clock.entropy());
    let sign_in = SignIn {
        id: SignInId(app.ports.clock.uuid()),
        user_id: user.user_id,
        device: short(device_id.as_deref().unwrap_or("")),
        ip: peer.map_or_else(String::new, |Extension(Peer(ip))| ip.to_canonical().to_string()),
        user_agent: short(headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("")),
        created_at: now,
        last_seen: now,
        expires_at: now.plus_ms(millis(app.options.refresh_idle.min(app.options.refresh_absolute))),
        revoked: false,
    };
    let id = sign_in.id;
    let keep = app.options.limits.sign_ins_per_user;
    let ended = directory.create_sign_in(NewSignIn { sign_in, refresh_hash }, keep).await?;
    if !ended.is_empty() {
        app.accounts.changed(user.user_id);
    }
    directory.update_user(user.user_id, UserPatch { last_login: Some(now), ..UserPatch::default() }).await?;
    announce(&app, Some(&user), &user.username, "login", true);
    answer(&app, &user, id, refresh_token, refresh)
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
pub async fn refresh(State(app): State<Shared>, headers: HeaderMap, body: SmallJson<Refresh>) -> Answer<Response> {
    let (token, by) = match body.0.refresh_token {
        Some(token) => (token, RefreshBy::Body),
        None if !origin::is_ours(&app.options, &headers) => return Err(ApiError::forbidden()),
        None => (cookie(&headers, cookie_name(&app)).ok_or_else(ApiError::unauthenticated)?, RefreshBy::Cookie),
    };
    let (directory, now) = (&app.ports.directory, app.ports.clock.now());
    let old = psyche_core::words::Hash::of(token.as_bytes());
    let (next, next_hash) = tokens::secret(app.ports.clock.entropy());
    let expires_at = now.plus_ms(millis(app.options.refresh_idle));
    let sign_in = match directory.rotate(old, next_hash, now, expires_at).await? {
        Rotation::Rotated(sign_in) | Rotation::Reissued(sign_in) => sign_in,
        Rotation::Reused(sign_in) => {
            tracing::warn!(target: "audit", user_id = %sign_in.user_id, sign_in = %sign_in.id, "a spent refresh token came back; its sign-in has ended");
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
pub async fn logout(State(app): State<Shared>, caller: Caller) -> Answer<Response> {
    app.ports.directory.revoke_sign_in(caller.sign_in).await?;
    app.accounts.changed(caller.user_id);
    if let Some(user) = app.ports.directory.user(caller.user_id).await? {
        announce(&app, Some(&user), &user.username, "logout", true);
    }
    let body = json!({"status": "success", "message": "Logged out successfully"});
    let mut response = axum::Json(body).into_response();
    set_cookie(&app, &mut response, "", 0)?;
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
        user: SignedInUser::of_user(user),
    };
    let mut response = axum::Json(body).into_response();
    if by == RefreshBy::Cookie {
        set_cookie(app, &mut response, &refresh_token, app.options.refresh_idle.as_secs())?;
    }
    Ok(response)
}

/// Behind TLS the name forbids every weaker cookie. Browsers do not agree on `Secure` over plain http on loopback, so
/// there the name and the flag are left out; the cookie still goes to sign-in calls only and never to scripts.
fn cookie_name(app: &App) -> &'static str {
    if app.options.is_https() { "__Host-psyche_refresh" } else { "psyche_refresh" }
}

fn set_cookie(app: &App, response: &mut Response, value: &str, max_age: u64) -> Answer<()> {
    let place = if app.options.is_https() { "Path=/; Secure" } else { "Path=/api/v1/auth" };
    let cookie = format!("{}={value}; {place}; HttpOnly; SameSite=Strict; Max-Age={max_age}", cookie_name(app));
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
    app.hub.user_auth(&UserAuth {
        user_id: user.map(|u| u.user_id),
        username: username.to_owned(),
        action,
        role: user.map(|u| u.role),
        success,
        metadata: json!({}),
        timestamp: app.ports.clock.now(),
    });
}

pub fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 1000)
}

/// What clients call themselves, without what could harm a log or a page.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
