//! What an admin may change while the server runs.

use axum::extract::State;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::Answer;
use crate::json::{Json, SmallJson};
use crate::options::Registration;

const REGISTRATION: &str = "registration";

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Who may make an account: everybody, or admins for them.
    registration: Registration,
}

/// What is in force: what an admin chose here, else the configuration file.
pub async fn registration(app: &App) -> Result<Registration, StoreError> {
    let stored = app.ports.directory.setting(REGISTRATION).await?;
    Ok(stored.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(app.options.registration))
}

/// What may be changed here, as it is.
#[utoipa::path(
    get, path = "/api/v1/system/configuration", tag = "system", responses((status = 200, body = Configuration))
)]
pub async fn get(State(app): State<Shared>) -> Answer<SmallJson<Configuration>> {
    Ok(Json(Configuration { registration: registration(&app).await? }))
}

/// Changes it. It outlives a restart.
#[utoipa::path(
    patch, path = "/api/v1/system/configuration", tag = "system", request_body = Configuration,
    responses((status = 200, body = Configuration))
)]
pub async fn change(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<Configuration>,
) -> Answer<SmallJson<Configuration>> {
    let details = json!({"registration": body.0.registration});
    let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::ConfigChanged, Outcome::Success) };
    let value = serde_json::to_vec(&body.0.registration).map_err(crate::error::ApiError::internal)?;
    app.directory_with(vec![row]).put_setting(REGISTRATION, Some(value)).await?;
    Ok(Json(body.0))
}
