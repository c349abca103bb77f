//! What an admin may change while the server runs.

use axum::extract::State;
use psyche_core::TenantId;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{Spent, StoreError};
use psyche_core::session::Budget;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::Answer;
use crate::json::{Json, SmallJson};
use crate::options::Registration;
use crate::schema;

use super::views::checked_budget;

const REGISTRATION: &str = "registration";

#[derive(Serialize, ToSchema)]
pub struct Configuration {
    /// Who may make an account: everybody, or admins for them.
    registration: Registration,
    /// What all users together may spend on models. A limit that is absent is none.
    #[schema(value_type = schema::Budget)]
    budget: Budget,
    /// What they have spent.
    #[schema(value_type = schema::Spent)]
    spent: Spent,
    /// What a user may spend who has no budget of their own; the configuration file says it.
    #[schema(value_type = schema::Budget)]
    user_budget: Budget,
}

/// What is given is changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationPatch {
    #[serde(default)]
    registration: Option<Registration>,
    /// In place of the one before, as a whole.
    #[serde(default)]
    #[schema(value_type = Option<schema::Budget>)]
    budget: Option<Budget>,
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
    Ok(Json(in_force(&app).await?))
}

async fn in_force(app: &App) -> Answer<Configuration> {
    let allowance = app.ports.directory.allowance(TenantId::DEFAULT, None).await?;
    Ok(Configuration {
        registration: registration(app).await?,
        budget: allowance.budget.unwrap_or_default(),
        spent: allowance.spent,
        user_budget: app.ports.engine.user_budget(),
    })
}

/// Changes it. It outlives a restart.
#[utoipa::path(
    patch, path = "/api/v1/system/configuration", tag = "system", request_body = ConfigurationPatch,
    responses((status = 200, body = Configuration))
)]
pub async fn change(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<ConfigurationPatch>,
) -> Answer<SmallJson<Configuration>> {
    let ConfigurationPatch { registration, budget } = body.0;
    let budget = budget.map(checked_budget).transpose()?;
    let audited = |details| {
        let row = AuditDraft { details, ..caller.row(&app, &context, AuditType::ConfigChanged, Outcome::Success) };
        app.directory_with(vec![row])
    };
    if let Some(registration) = registration {
        let value = serde_json::to_vec(&registration).map_err(crate::error::ApiError::internal)?;
        audited(json!({"registration": registration})).put_setting(REGISTRATION, Some(value)).await?;
    }
    if let Some(budget) = budget {
        audited(json!({"budget": budget})).set_budget(TenantId::DEFAULT, None, Some(budget)).await?;
    }
    Ok(Json(in_force(&app).await?))
}
