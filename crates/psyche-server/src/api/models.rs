//! The models of the installation, and whether they work.

use std::time::Duration;

use axum::extract::{Path, State};
use futures_util::StreamExt;
use psyche_core::port::{
    ChatMessage, ChatRole, CircuitState, Finish, GenerateRequest, LanguageModel, ModelCard, ModelErrorKind, ModelEvent,
    Sampling, SessionFilter, Usage, for_each_session,
};
use psyche_core::session::SessionStatus;
use psyche_core::words::Hash;
use psyche_core::{AgentId, TenantId};
use serde::Serialize;
use tokio::time::Instant;

use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::Json;
use crate::list::List;
use crate::schema;

const TEST_PATIENCE: Duration = Duration::from_mins(1);

#[derive(Serialize)]
pub struct ModelView {
    #[serde(flatten)]
    card: ModelCard,
    status: &'static str,
    /// What is wrong and how to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    circuit: CircuitState,
    /// Whether a running session names it.
    in_use: bool,
    default: bool,
}

/// All models, with the state of their circuit breakers.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, body = List<schema::Model>)))]
pub async fn list(State(app): State<Shared>) -> Answer<Json<List<ModelView>>> {
    let running = SessionFilter { status: Some(SessionStatus::Running), ..SessionFilter::default() };
    let mut used = Vec::new();
    let directory = app.ports.directory.as_ref();
    for_each_session(directory, TenantId::DEFAULT, running, |session| used.push(session.model)).await?;
    let items = app.ports.models.models().iter().map(|model| view(&app, model.as_ref(), &used)).collect();
    Ok(Json(List::whole(items)))
}

fn view(app: &App, model: &dyn LanguageModel, used: &[String]) -> ModelView {
    let card = model.card().clone();
    let reason = model.ready().err();
    ModelView {
        status: if reason.is_none() { "ready" } else { "unavailable" },
        reason,
        circuit: model.circuit(),
        in_use: used.contains(&card.id),
        default: app.ports.models.default_model() == card.id,
        card,
    }
}

#[derive(Serialize)]
pub struct ModelTest {
    ok: bool,
    latency_ms: u64,
    first_token_ms: Option<u64>,
    text: String,
    finish: Option<Finish>,
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TestError>,
}

#[derive(Serialize)]
struct TestError {
    kind: ModelErrorKind,
    message: String,
}

/// Has the model say a few words.
#[utoipa::path(
    post, path = "/api/v1/models/{model_id}/test", tag = "models", params(("model_id" = String, Path)),
    responses((status = 200, body = schema::ModelTest))
)]
pub async fn test(State(app): State<Shared>, Path(id): Path<String>) -> Answer<Json<ModelTest>> {
    let model = app.ports.models.model(&id).ok_or_else(ApiError::not_found)?;
    let began = Instant::now();
    let mut test = ModelTest {
        ok: false,
        latency_ms: 0,
        first_token_ms: None,
        text: String::new(),
        finish: None,
        usage: None,
        error: None,
    };
    let outcome = tokio::time::timeout(TEST_PATIENCE, speak(model.as_ref(), &mut test, began)).await;
    test.latency_ms = since(began);
    test.error = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(TestError { kind: error.kind, message: error.message }),
        Err(_) => {
            let message = "the model did not finish within a minute".to_owned();
            Some(TestError { kind: ModelErrorKind::Timeout, message })
        }
    };
    test.ok = test.error.is_none() && test.finish.is_some();
    Ok(Json(test))
}

async fn speak(
    model: &dyn LanguageModel,
    test: &mut ModelTest,
    began: Instant,
) -> Result<(), psyche_core::port::ModelError> {
    let words = "Say hello in one short sentence.";
    let request = GenerateRequest {
        messages: vec![ChatMessage { role: ChatRole::User, content: words.to_owned() }],
        opener: None,
        sampling: Sampling {
            temperature: 0.5,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            max_tokens: 16,
            stop: Vec::new(),
        },
        seed: 1,
        avoid: Vec::new(),
        digest: Hash::of(words.as_bytes()),
        agent: AgentId::new("test"),
        turn: 1,
    };
    let mut stream = model.generate(request).await?;
    while let Some(event) = stream.next().await {
        match event? {
            ModelEvent::Text(text) => {
                test.first_token_ms.get_or_insert_with(|| since(began));
                test.text.push_str(&text);
            }
            ModelEvent::Reasoning(_) => {}
            ModelEvent::Done { finish, usage, .. } => {
                test.finish = Some(finish);
                test.usage = usage;
            }
        }
    }
    Ok(())
}

fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
