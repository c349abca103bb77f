//! What happened in a session: events, messages, any past state, and what an agent saw before it spoke.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use psyche_core::Timestamp;
use psyche_core::event::{Event, Payload};
use psyche_core::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::IntoParams;

use crate::access::Reader;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query};
use crate::list;
use crate::schema;

use super::views;

/// Records read at once while a filter searches for its own.
const CHUNK: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Events after this one; `cursor` means the same.
    after: Option<u64>,
    cursor: Option<u64>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    /// Event types, comma-separated.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kinds: Option<String>,
    agent_id: Option<String>,
    /// RFC 3339; from this moment on.
    #[param(value_type = Option<String>)]
    start_time: Option<Timestamp>,
    /// RFC 3339; up to this moment.
    #[param(value_type = Option<String>)]
    end_time: Option<Timestamp>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Messages after this event; `cursor` means the same.
    after: Option<u64>,
    cursor: Option<u64>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    agent_id: Option<String>,
    /// RFC 3339; from this moment on.
    #[param(value_type = Option<String>)]
    start_time: Option<Timestamp>,
    /// RFC 3339; up to this moment.
    #[param(value_type = Option<String>)]
    end_time: Option<Timestamp>,
}

/// Frames as clients of the socket get them.
#[derive(Serialize)]
pub struct Frames {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

struct Filter {
    kinds: Option<Vec<String>>,
    agent_id: Option<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
}

impl Filter {
    /// Records to read at once for a page of so many.
    fn chunk(&self, limit: usize) -> usize {
        let Self { kinds, agent_id, start_time, end_time } = self;
        let everything = kinds.is_none() && agent_id.is_none() && start_time.is_none() && end_time.is_none();
        // One more tells whether the log goes on.
        if everything { limit + 1 } else { CHUNK }
    }

    fn admits_record(&self, record: &Record) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&record.kind))
            && self.start_time.is_none_or(|start| record.at >= start)
            && self.end_time.is_none_or(|end| record.at <= end)
    }

    fn admits_event(&self, event: &Event) -> bool {
        let Some(wanted) = &self.agent_id else { return true };
        agent_of(&event.payload).is_some_and(|agent| agent == wanted)
    }
}

/// The agent an event is about.
fn agent_of(payload: &Payload) -> Option<&str> {
    let agent = match payload {
        Payload::AgentMessage(p) => &p.agent_id,
        Payload::AgentStateUpdate(p) => &p.agent_id,
        Payload::PromptAdapted(p) => &p.agent_id,
        Payload::TurnStarted(p) => &p.agent_id,
        Payload::TurnCommitted(p) => &p.agent_id,
        Payload::TurnFailed(p) => &p.agent_id,
        Payload::TurnAbandoned(p) => &p.agent_id,
        Payload::AgentChanged(p) => &p.agent_id,
        _ => return None,
    };
    Some(agent.as_str())
}

/// The log, oldest first. `next_cursor` is the `seq` to go on after.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/events", tag = "sessions", params(("id" = String, Path), EventQuery),
    responses((status = 200, body = schema::EventPage))
)]
pub async fn events(State(app): State<Shared>, reader: Reader, query: Query<EventQuery>) -> Answer<Json<Frames>> {
    let EventQuery { after, cursor, limit, kinds, agent_id, start_time, end_time } = query.0;
    let kinds: Option<Vec<String>> = kinds.map(|k| k.split(',').map(str::to_owned).collect());
    if kinds.iter().flatten().any(|k| !Payload::KINDS.contains(&k.as_str())) {
        return Err(ApiError::invalid("type", format!("must be of {}", Payload::KINDS.join(", "))));
    }
    let filter = Filter { kinds, agent_id, start_time, end_time };
    let after = after.or(cursor).unwrap_or(0);
    Ok(Json(read(&app, &reader, after, list::limit(limit)?, &filter).await?))
}

/// The conversation, oldest first.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/messages", tag = "sessions", params(("id" = String, Path), MessageQuery),
    responses((status = 200, body = schema::MessagePage))
)]
pub async fn messages(State(app): State<Shared>, reader: Reader, query: Query<MessageQuery>) -> Answer<Json<Frames>> {
    let MessageQuery { after, cursor, limit, agent_id, start_time, end_time } = query.0;
    let kinds = Some(vec!["agent_message".to_owned()]);
    let filter = Filter { kinds, agent_id, start_time, end_time };
    let after = after.or(cursor).unwrap_or(0);
    Ok(Json(read(&app, &reader, after, list::limit(limit)?, &filter).await?))
}

/// Reads on until the page is full or the log ends. `prev` is the event before it on this reading.
async fn read(app: &App, reader: &Reader, after: u64, limit: usize, filter: &Filter) -> Answer<Frames> {
    let session = reader.access().id();
    let mut items = Vec::new();
    let (mut seq, mut prev) = (after, after);
    let chunk = filter.chunk(limit);
    loop {
        let records = app.ports.log.read(session, seq, chunk).await?;
        let Some(last) = records.last() else { return Ok(Frames { items, next_cursor: None }) };
        let at_end = records.len() < chunk;
        seq = last.seq;
        for record in records.iter().filter(|r| filter.admits_record(r)) {
            let event = Event::decode(record).map_err(ApiError::internal)?;
            if !filter.admits_event(&event) {
                continue;
            }
            if items.len() == limit {
                return Ok(Frames { items, next_cursor: Some(prev.to_string()) });
            }
            items.push(RawValue::from_string(event.frame(session, prev)).map_err(ApiError::internal)?);
            prev = event.seq;
        }
        if at_end {
            return Ok(Frames { items, next_cursor: None });
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// The state after this event; the present when absent.
    at_seq: Option<u64>,
}

/// The state now, or after any event.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/state", tag = "sessions", params(("id" = String, Path), StateQuery),
    responses((status = 200, body = schema::State))
)]
pub async fn state(State(app): State<Shared>, reader: Reader, query: Query<StateQuery>) -> Answer<Json<views::State>> {
    let (engine, id) = (&app.ports.engine, reader.access().id());
    let (mut summary, state) = match query.0.at_seq {
        None => engine.read(id, |s| (s.summary(), s.view())).await?,
        Some(seq) => {
            let head = app.ports.log.head(id).await?.ok_or_else(ApiError::not_found)?.seq;
            if seq == 0 || seq > head {
                return Err(ApiError::invalid("at_seq", format!("the log has events 1 to {head}")));
            }
            let session = engine.at(id, seq).await?;
            (session.summary(), session.view())
        }
    };
    summary.owner = reader.access().row.summary.owner;
    Ok(Json(views::State::new(&app, &summary, state).await?))
}

/// Exactly what the agent saw that spoke the utterance `seq`.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/utterances/{seq}/context", tag = "sessions",
    params(("id" = String, Path), ("seq" = u64, Path)),
    responses((status = 200, body = schema::UtteranceContext))
)]
pub async fn context(State(app): State<Shared>, reader: Reader, path: Path<(String, String)>) -> Answer<Response> {
    let Path((_, seq)) = path;
    let seq = seq.parse().map_err(|_| ApiError::not_found())?;
    let context = app.ports.engine.context(reader.access().id(), seq).await?;
    Ok(axum::Json(context).into_response())
}
