//! Sessions: create, list, look, change, command, delete.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::cast::{Cast, Path as CastPath};
use psyche_core::port::{Relation, SessionFilter};
use psyche_core::session::{
    Action, AgentChange, AnnotateArgs, Budget, INTERVIEW, InterviewArgs, PathsArgs, SessionStatus, SessionType,
    Settings, TurnOrder,
};
use psyche_core::{AgentId, SessionId, TenantId};
use psyche_engine::{Answered, NewRun};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Annotator, Configurer, Controller, Deleter, Reader, SessionAccess};
use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query};
use crate::list::{self, List};
use crate::schema;

use super::casts;
use super::views::{self, SessionView, check_limits};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionDraft {
    #[serde(default)]
    name: Option<String>,
    #[schema(value_type = schema::SessionType)]
    session_type: SessionType,
    /// A stored or built-in cast; `jungian` when absent.
    #[serde(default)]
    cast_id: Option<String>,
    /// A cast of its own, instead of `cast_id`.
    #[serde(default)]
    #[schema(value_type = Option<schema::CastDraft>)]
    cast: Option<Box<RawValue>>,
    #[serde(default)]
    situation: Option<String>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<schema::TurnOrder>)]
    turn_order: TurnOrder,
    #[serde(default)]
    pacing_ms: u64,
    #[serde(default)]
    max_rounds: Option<u64>,
    #[serde(default)]
    #[schema(value_type = Option<schema::Budget>)]
    budget: Budget,
    #[serde(default)]
    tags: Vec<String>,
}

/// Creates a session; it waits for `start`.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", request_body = SessionDraft,
    responses((status = 201, body = schema::Session))
)]
pub async fn create(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: Json<SessionDraft>,
) -> Answer<(StatusCode, Json<SessionView>)> {
    let draft = body.0;
    check_tags(&draft.tags)?;
    check_limits(draft.max_rounds, Some(draft.budget))?;
    if draft.pacing_ms > 600_000 {
        return Err(ApiError::invalid("pacing_ms", "must be at most 600000"));
    }
    let cast = cast_of(&app, draft.cast_id.as_deref(), draft.cast.as_deref()).await?;
    casts::check_size(&app, &cast, if draft.cast.is_some() { "cast.agents" } else { "cast_id" })?;
    let run = NewRun {
        name: draft.name.unwrap_or_else(|| cast.name.clone()),
        session_type: draft.session_type,
        owner: caller.user_id,
        cast,
        situation: draft.situation,
        seed: draft.seed,
        model: draft.model,
        turn_order: draft.turn_order,
        pacing_ms: draft.pacing_ms,
        max_rounds: draft.max_rounds,
        budget: draft.budget,
        tags: draft.tags,
    };
    let summary = app.ports.engine.create(run).await?;
    let row = AuditDraft {
        session_id: Some(summary.session_id),
        ..caller.row(&app, &context, AuditType::SessionCreated, Outcome::Success)
    };
    app.record(vec![row]).await?;
    Ok((StatusCode::CREATED, Json(SessionView::new(summary, Relation::Owner))))
}

async fn cast_of(app: &App, id: Option<&str>, own: Option<&RawValue>) -> Answer<Cast> {
    match (id, own) {
        (Some(_), Some(_)) => Err(ApiError::invalid("cast", "cannot be given together with cast_id")),
        (None, Some(text)) => Cast::from_json(text.get()).map_err(|errors| casts::faults(errors, "cast.")),
        (id, None) => match casts::find(app, id.unwrap_or(casts::BUILT_IN)).await {
            Err(error) if error.kind == crate::error::ErrorKind::NotFound => {
                Err(ApiError::invalid("cast_id", "there is no such cast"))
            }
            other => other,
        },
    }
}

fn check_tags(tags: &[String]) -> Answer<()> {
    let fits = |tag: &String| (1..=40).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
    if tags.len() > 20 || !tags.iter().all(fits) {
        return Err(ApiError::invalid("tags", "must be at most 20 tags of 1 to 40 characters"));
    }
    Ok(())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    #[param(value_type = Option<schema::SessionStatus>)]
    status: Option<SessionStatus>,
    /// Part of the name, upper or lower case.
    q: Option<String>,
    tag: Option<String>,
    /// Forks of this session.
    #[param(value_type = Option<String>)]
    parent: Option<SessionId>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The sessions one may see, newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", params(SessionQuery),
    responses((status = 200, body = List<schema::Session>))
)]
pub async fn list(
    State(app): State<Shared>,
    caller: Caller,
    query: Query<SessionQuery>,
) -> Answer<Json<List<SessionView>>> {
    let SessionQuery { status, q, tag, parent, limit, cursor } = query.0;
    let visible_to = views::visible_to(&caller);
    let filter = SessionFilter { visible_to, status, query: q, tag, parent, ..SessionFilter::default() };
    let directory = &app.ports.directory;
    let page = directory.sessions(TenantId::DEFAULT, filter, cursor, list::limit(limit)?).await?;
    let ids: Vec<_> = page.items.iter().map(|row| row.summary.session_id).collect();
    let branches = views::branches(&app, &caller, &ids).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for (row, branches) in page.items.into_iter().zip(branches) {
        let relation = if row.summary.owner == caller.user_id {
            Relation::Owner
        } else {
            directory.relation(row.summary.session_id, caller.user_id).await?
        };
        items.push(SessionView { branches: Some(branches), ..SessionView::new(row.summary, relation) });
    }
    Ok(Json(List { items, next_cursor: page.next_cursor }))
}

/// One session.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, body = schema::Session))
)]
pub async fn get(State(app): State<Shared>, reader: Reader) -> Answer<Json<SessionView>> {
    now(&app, reader.access()).await
}

/// The session as it stands, after whatever was just decided.
async fn now(app: &App, access: &SessionAccess) -> Answer<Json<SessionView>> {
    let mut summary = app.ports.engine.read(access.id(), psyche_core::session::Session::summary).await?;
    // An imported log still names who made it where it comes from.
    summary.owner = access.row.summary.owner;
    Ok(Json(SessionView::with_branches(app, &access.caller, summary, access.relation).await?))
}

/// Changes settings. Absent fields stay; `max_rounds: null` lifts the limit. Applies from the next turn.
#[utoipa::path(
    patch, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    request_body = schema::SessionPatch, responses((status = 200, body = schema::Session))
)]
pub async fn change(
    State(app): State<Shared>,
    configurer: Configurer,
    body: Json<Settings>,
) -> Answer<Json<SessionView>> {
    if let Some(tags) = &body.0.tags {
        check_tags(tags)?;
    }
    check_limits(body.0.max_rounds.flatten(), body.0.budget)?;
    configurer.settings(body.0).await?;
    now(&app, configurer.access()).await
}

/// Removes a session and its log.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 204, description = "Gone."))
)]
pub async fn delete(context: Context, deleter: Deleter) -> Answer<StatusCode> {
    deleter.delete(&context).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentPatch {
    /// 0 to 2.
    #[serde(default)]
    pub temperature: Option<f64>,
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// Empty: the session's own model again.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub muted: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Stored {
    /// The event that holds the command.
    seq: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Commanded {
    /// The event that holds the command; of an interview, the event after which the agent was asked.
    seq: u64,
    /// What the agent answered, of an interview.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Interview>)]
    interview: Option<Answered>,
}

/// Changes an agent of this session. Applies from its next turn.
#[utoipa::path(
    patch, path = "/api/v1/sessions/{id}/agents/{agent_id}", tag = "sessions",
    params(("id" = String, Path), ("agent_id" = String, Path)),
    request_body = AgentPatch, responses((status = 200, body = Stored))
)]
pub async fn change_agent(
    State(app): State<Shared>,
    configurer: Configurer,
    path: Path<(String, String)>,
    body: Json<AgentPatch>,
) -> Answer<Json<Stored>> {
    let Path((_, agent)) = path;
    let agent_id = AgentId::new(&agent);
    let known = app.ports.engine.read(configurer.access().id(), |s| s.agents.contains_key(&agent_id)).await?;
    if !known {
        return Err(ApiError::not_found());
    }
    let AgentPatch { temperature, system_prompt, model, muted } = body.0;
    if let Some(model) = model.as_deref().filter(|m| !m.is_empty())
        && app.ports.models.model(model).is_none()
    {
        return Err(ApiError::invalid("model", "there is no such model"));
    }
    let seq = configurer.agent(AgentChange { agent_id, temperature, system_prompt, model, muted }).await?;
    Ok(Json(Stored { seq }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    #[schema(value_type = Vec<schema::Path>)]
    paths: Vec<CastPath>,
}

/// Replaces the paths of this session. Applies from the next turn.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/paths", tag = "sessions", params(("id" = String, Path)),
    request_body = Paths, responses((status = 200, body = Stored))
)]
pub async fn change_paths(configurer: Configurer, body: Json<Paths>) -> Answer<Json<Stored>> {
    let seq = configurer.paths(PathsArgs { paths: body.0.paths }).await?;
    Ok(Json(Stored { seq }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandBody {
    /// The client's own name for the command: the same one is carried out once.
    #[serde(default)]
    command_id: Option<String>,
    /// `start pause resume step stop reset inject_stimulus speak retry interview`
    command: String,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    args: Option<Value>,
}

/// Commands the session. The answer means: stored, and decided in order. An `interview` is answered when the agent has
/// answered, and leaves the session as it is.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/commands", tag = "sessions", params(("id" = String, Path)),
    request_body = CommandBody, responses((status = 200, body = Commanded))
)]
pub async fn command(controller: Controller, body: Json<CommandBody>) -> Answer<Json<Commanded>> {
    let CommandBody { command_id, command, args } = body.0;
    check_command_id(command_id.as_deref())?;
    let known = psyche_core::session::CLIENT_COMMANDS;
    // The parser quotes what it met, so its words stay here.
    let unfit = || ApiError::invalid("args", format!("are not what `{command}` takes"));
    if command == INTERVIEW {
        let args: InterviewArgs = serde_json::from_value(args.unwrap_or_default()).map_err(|_| unfit())?;
        let answered = controller.interview(&args).await?;
        return Ok(Json(Commanded { seq: answered.seq, interview: Some(answered) }));
    }
    if !known.contains(&command.as_str()) {
        return Err(ApiError::invalid("command", format!("must be one of {}, {INTERVIEW}", known.join(", "))));
    }
    let action = Action::parse(&command, args).map_err(|_| unfit())?;
    let seq = controller.control(command_id, action).await?;
    Ok(Json(Commanded { seq, interview: None }))
}

fn check_command_id(id: Option<&str>) -> Answer<()> {
    match id {
        Some(id) if !(1..=64).contains(&id.chars().count()) => {
            Err(ApiError::invalid("command_id", "must have 1 to 64 characters"))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotate {
    /// The event it is about.
    seq: u64,
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// Puts a note on an event.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/annotations", tag = "sessions", params(("id" = String, Path)),
    request_body = Annotate, responses((status = 201, body = Stored))
)]
pub async fn annotate(annotator: Annotator, body: Json<Annotate>) -> Answer<(StatusCode, Json<Stored>)> {
    let Annotate { seq, text, tags } = body.0;
    check_tags(&tags)?;
    let seq = annotator.annotate(None, AnnotateArgs { seq, text, tags }).await?;
    Ok((StatusCode::CREATED, Json(Stored { seq })))
}
