//! The second factor of one's account: six digits that change every half minute, and codes for when the device is lost.

use axum::extract::State;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{SecondFactor, User, UserPatch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, SmallJson};
use crate::schema;
use crate::totp;

use super::account::{known, own, proved};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    password: String,
}

#[derive(Serialize, ToSchema)]
pub struct Enrolment {
    /// To be typed into an authenticator app.
    secret: String,
    /// The same as a link; a QR code shows it.
    otpauth_url: String,
}

/// Begins to set up a second factor. It counts once a first code was right.
#[utoipa::path(
    post, path = "/api/v1/auth/mfa/enrol", tag = "identity", request_body = Password,
    responses((status = 200, body = Enrolment), (status = 409, description = "Not in this state of the second factor."))
)]
pub async fn enrol(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<Password>,
) -> Answer<SmallJson<Enrolment>> {
    let user = known(&app, &context, &caller, body.0.password, "password").await?;
    if user.second_factor.as_ref().is_some_and(|factor| factor.confirmed) {
        return Err(ApiError::conflict("There is a second factor; remove it before setting up another."));
    }
    let secret = app.ports.clock.entropy()[..20].to_vec();
    let text = totp::base32(&secret);
    let factor = SecondFactor { secret, confirmed: false, last_step: 0, recovery: Vec::new() };
    let patch = UserPatch { second_factor: Some(Some(factor)), ..UserPatch::default() };
    app.ports.directory.update_user(user.user_id, patch).await?;
    let label: String = user.username.bytes().map(escaped).collect();
    let otpauth_url = format!("otpauth://totp/psyche:{label}?secret={text}&issuer=psyche");
    Ok(Json(Enrolment { secret: text, otpauth_url }))
}

/// A byte as a URL's path may hold it.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Code {
    otp: String,
}

#[derive(Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each replaces a code of the device once. Shown this once.
    recovery_codes: Vec<String>,
}

/// Puts the second factor in force with a first right code.
#[utoipa::path(
    post, path = "/api/v1/auth/mfa/confirm", tag = "identity", request_body = Code,
    responses((status = 200, body = RecoveryCodes), (status = 409, description = "Not in this state of the second factor."))
)]
pub async fn confirm(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<Code>,
) -> Answer<SmallJson<RecoveryCodes>> {
    let user = own(&app, &caller).await?;
    let pending = user.second_factor.filter(|factor| !factor.confirmed);
    let pending = pending.ok_or_else(|| ApiError::conflict("Nothing waits to be confirmed; begin with `enrol`."))?;
    let accepted = totp::accept(&pending, &body.0.otp, app.ports.clock.now());
    let accepted = accepted.ok_or_else(|| ApiError::invalid("otp", "is not right; is the device's clock right?"))?;
    let codes: Vec<_> = (0..totp::RECOVERY_CODES).map(|_| totp::recovery_code(app.ports.clock.entropy())).collect();
    let recovery = codes.iter().map(|code| totp::recovery_hash(code)).collect();
    let factor = SecondFactor { confirmed: true, recovery, ..accepted };
    change(&app, &context, &caller, Some(factor), "The second factor is in force.").await?;
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BothFactors {
    password: String,
    /// A code of the device, or a recovery code.
    otp: String,
}

/// Removes the second factor.
#[utoipa::path(
    post, path = "/api/v1/auth/mfa/disable", tag = "identity", request_body = BothFactors,
    responses((status = 200, body = schema::Done), (status = 409, description = "Not in this state of the second factor."))
)]
pub async fn disable(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<BothFactors>,
) -> Answer<SmallJson<Value>> {
    let BothFactors { password, otp } = body.0;
    let user = proved(&app, &context, &caller, password, Some(otp), "password").await?;
    if user.second_factor.is_none() {
        return Err(ApiError::conflict("There is no second factor to remove."));
    }
    change(&app, &context, &caller, None, "The second factor was removed.").await?;
    Ok(Json(json!({"status": "success", "message": "The second factor is removed"})))
}

async fn change(
    app: &App,
    context: &Context,
    caller: &Caller,
    factor: Option<SecondFactor>,
    message: &str,
) -> Answer<User> {
    let details = json!({"message": message});
    let row = AuditDraft { details, ..caller.row(app, context, AuditType::PermissionChanged, Outcome::Success) };
    let patch = UserPatch { second_factor: Some(factor), ..UserPatch::default() };
    let user = app.directory_with(vec![row]).update_user(caller.user_id, patch).await?;
    app.accounts.changed(caller.user_id);
    Ok(user)
}
