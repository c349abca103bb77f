//! Forks: a session of one's own that goes on with another's past.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use psyche_core::AgentId;
use psyche_core::cast::Path as CastPath;
use psyche_core::event::{AgentEdit, Changes};
use psyche_core::port::Relation;
use psyche_engine::ForkDraft;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Forker;
use crate::accounts::Caller;
use crate::app::Shared;
use crate::context::Context;
use crate::error::Answer;
use crate::json::Json;
use crate::schema;

use super::sessions::AgentPatch;
use super::views::SessionView;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkBody {
    /// The last event that both share. Any event will do: a turn whose words are said by then is closed, one whose words
    /// are not begins again.
    at_seq: u64,
    /// The name it has there when absent.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<ForkChanges>)]
    changes: ForkChanges,
}

/// What the fork does differently; absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkChanges {
    #[serde(default)]
    situation: Option<String>,
    /// By agent.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, AgentPatch>>)]
    agents: BTreeMap<String, AgentPatch>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<schema::Path>>)]
    paths: Option<Vec<CastPath>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    seed: Option<u64>,
}

impl From<ForkChanges> for Changes<String> {
    fn from(changes: ForkChanges) -> Self {
        let ForkChanges { situation, agents, paths, model, seed } = changes;
        let agents = agents.into_iter().map(|(id, patch)| {
            let AgentPatch { temperature, system_prompt, model, muted } = patch;
            (AgentId::new(&id), AgentEdit { temperature, system_prompt, model, muted })
        });
        Self { situation, agents: agents.collect(), paths, model, seed }
    }
}

/// Makes a session of the caller's that shares events 1 to `at_seq` with this one; `forked` is its next. It waits for
/// `start`, and this one is as it was, running or not.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/fork", tag = "sessions", params(("id" = String, Path)), request_body = ForkBody,
    responses((status = 201, body = schema::Session))
)]
pub async fn fork(
    State(app): State<Shared>,
    context: Context,
    forker: Forker,
    caller: Caller,
    body: Json<ForkBody>,
) -> Answer<(StatusCode, Json<SessionView>)> {
    let ForkBody { at_seq, name, changes } = body.0;
    let draft = ForkDraft { at_seq, owner: caller.user_id, name, changes: changes.into() };
    let summary = forker.fork(&context, draft).await?;
    let view = SessionView::with_branches(&app, &caller, summary, Relation::Owner).await?;
    Ok((StatusCode::CREATED, Json(view)))
}
