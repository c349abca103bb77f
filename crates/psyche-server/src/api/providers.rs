//! Providers of models, defined while the program runs. Those of the configuration file are shown and stay as they are.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::TenantId;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{Price, PromptStyle, ProviderDefinition};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, SmallJson};
use crate::list::List;
use crate::providers::{KIND, Stored, stored};
use crate::schema;

/// As many as anybody chooses among.
const MOST: usize = 100;
const KEY_CHARS: usize = 4_096;

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration file: read-only here.
    Configuration,
    /// Defined here.
    Stored,
}

#[derive(Serialize, ToSchema)]
pub struct ProviderView {
    /// Of the model, as sessions name it.
    id: String,
    source: Source,
    /// `embedded`, `openai` (any chat-completions server) or `scripted`.
    provider: String,
    /// The model's name at its server.
    model: String,
    /// Absent for those of the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// Whether a key is kept. The key itself is never shown.
    has_key: bool,
    #[schema(value_type = schema::PromptStyle)]
    prompt_style: PromptStyle,
    context: u32,
    #[schema(value_type = schema::Price)]
    price: Price,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u32>,
}

/// All models with what is known of their providers.
#[utoipa::path(
    get, path = "/api/v1/providers", tag = "models", responses((status = 200, body = List<ProviderView>))
)]
pub async fn list(State(app): State<Shared>) -> Answer<SmallJson<List<ProviderView>>> {
    let stored = stored(app.ports.directory.as_ref()).await?;
    let views = app.ports.models.models().into_iter().map(|model| {
        let card = model.card();
        let kept = stored.iter().find(|(id, _)| *id == card.id).map(|(_, stored)| stored);
        ProviderView {
            id: card.id.clone(),
            source: if kept.is_some() { Source::Stored } else { Source::Configuration },
            provider: card.provider.clone(),
            model: card.name.clone(),
            base_url: kept.map(|stored| stored.definition.base_url.clone()),
            has_key: kept.is_some_and(|stored| stored.api_key.is_some()),
            prompt_style: card.prompt_style,
            context: card.context,
            price: card.price,
            requests_per_minute: kept.and_then(|stored| stored.definition.requests_per_minute),
        }
    });
    Ok(Json(List::whole(views.collect())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderDraft {
    /// https, or http for hosts that the setting `provider_hosts` lists; mostly ending in `/v1`.
    base_url: String,
    /// The model's name at its server.
    model: String,
    /// Write-only. Absent: the key that is kept stays, unless `base_url` changes, which removes it. `null` removes it.
    #[serde(default, with = "psyche_core::event::double")]
    #[schema(value_type = Option<String>)]
    #[expect(clippy::option_option, reason = "absent, null and a value are three things")]
    api_key: Option<Option<String>>,
    #[serde(default)]
    #[schema(value_type = Option<schema::PromptStyle>)]
    prompt_style: Option<PromptStyle>,
    /// Context length in tokens.
    #[serde(default)]
    context: Option<u32>,
    #[serde(default)]
    #[schema(value_type = Option<schema::Price>)]
    price: Option<Price>,
    #[serde(default)]
    requests_per_minute: Option<u32>,
}

/// Defines a model of this id, or defines it anew. Sessions can use it at once.
#[utoipa::path(
    put, path = "/api/v1/providers/{model_id}", tag = "models", params(("model_id" = String, Path)),
    request_body = ProviderDraft,
    responses((status = 200, body = ProviderView), (status = 409, description = "There are as many as may be."))
)]
pub async fn put(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
    body: SmallJson<ProviderDraft>,
) -> Answer<SmallJson<ProviderView>> {
    let ProviderDraft { base_url, model, api_key, prompt_style, context: length, price, requests_per_minute } = body.0;
    let definition = ProviderDefinition { base_url, model, prompt_style, context: length, price, requests_per_minute };
    // One after the other: what is kept and what is in force are the same.
    let _turn = app.providers.lock().await;
    let all = stored(app.ports.directory.as_ref()).await?;
    let before = all.iter().find(|(known, _)| *known == id).map(|(_, stored)| stored);
    if before.is_none() && all.len() >= MOST {
        return Err(ApiError::conflict(format!("There are {MOST} providers already; remove one first.")));
    }
    let api_key = match api_key {
        Some(given) => given.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()),
        None => before.filter(|b| b.definition.base_url == definition.base_url).and_then(|b| b.api_key.clone()),
    };
    if api_key.as_ref().is_some_and(|key| key.chars().count() > KEY_CHARS) {
        return Err(ApiError::invalid("api_key", format!("must have at most {KEY_CHARS} characters")));
    }
    let models = app.ports.models.as_ref();
    models.check(&id, &definition, api_key.as_deref()).map_err(|problem| refusal(&problem))?;
    let details = json!({"provider": id, "base_url": definition.base_url, "has_key": api_key.is_some()});
    let keep = Stored { definition, api_key };
    let bytes = serde_json::to_vec(&keep).map_err(ApiError::internal)?;
    audited(&app, &context, &caller, details).put_sealed(TenantId::DEFAULT, KIND, &id, Some(bytes)).await?;
    models.define(&id, &keep.definition, keep.api_key.as_deref()).map_err(ApiError::internal)?;
    let card = models.model(&id).map(|model| model.card().clone()).ok_or_else(|| ApiError::internal("no model"))?;
    Ok(Json(ProviderView {
        id,
        source: Source::Stored,
        provider: card.provider,
        model: card.name,
        base_url: Some(keep.definition.base_url),
        has_key: keep.api_key.is_some(),
        prompt_style: card.prompt_style,
        context: card.context,
        price: card.price,
        requests_per_minute,
    }))
}

/// Removes a model that was defined here, with its key. Sessions that use it pause at their next turn.
#[utoipa::path(
    delete, path = "/api/v1/providers/{model_id}", tag = "models", params(("model_id" = String, Path)),
    responses(
        (status = 204, description = "Gone."),
        (status = 409, description = "The configuration file defines this model.")
    )
)]
pub async fn delete(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    let _turn = app.providers.lock().await;
    if !stored(app.ports.directory.as_ref()).await?.iter().any(|(known, _)| *known == id) {
        if app.ports.models.model(&id).is_some() {
            return Err(ApiError::conflict("This model is defined in the configuration file; change it there."));
        }
        return Err(ApiError::not_found());
    }
    let details = json!({"provider": id, "message": "A provider was removed."});
    audited(&app, &context, &caller, details).put_sealed(TenantId::DEFAULT, KIND, &id, None).await?;
    app.ports.models.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

fn audited(
    app: &App,
    context: &Context,
    caller: &Caller,
    details: Value,
) -> std::sync::Arc<dyn psyche_core::port::Directory> {
    let row = AuditDraft { details, ..caller.row(app, context, AuditType::ConfigChanged, Outcome::Success) };
    app.directory_with(vec![row])
}

/// The problem names its field in backticks, as for the configuration file.
fn refusal(problem: &str) -> ApiError {
    let named = problem
        .split('`')
        .nth(1)
        .filter(|name| ["base_url", "model", "api_key", "price", "context", "requests_per_minute"].contains(name));
    ApiError::invalid(named.unwrap_or("id"), problem)
}
