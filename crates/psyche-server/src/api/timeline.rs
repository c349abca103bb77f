//! A whole session at a glance: one number per turn and measure, in columns, and the marks between them. A client that
//! opens a long session draws from it at once, and reads words and states where somebody looks.

use std::collections::BTreeMap;

use axum::extract::State;
use psyche_core::event::{Event, Payload};
use psyche_core::measure::GaugeName;
use psyche_core::session::USER;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::access::Reader;
use crate::app::Shared;
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query};
use crate::schema;

/// Events that have a place on the timeline.
const KINDS: &[&str] = &[
    "agent_message",
    "health_update",
    "emergency",
    "stimulus_injected",
    "turn_failed",
    "forked",
    "reset",
    "session_status",
];
/// Records of one answer.
const MOST: usize = 50_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// What came after this event.
    after: Option<u64>,
    /// The same.
    cursor: Option<u64>,
}

/// Each list has one entry per utterance.
#[derive(Default, Serialize)]
struct Turns {
    seq: Vec<u64>,
    turn: Vec<u64>,
    round: Vec<u64>,
    agent_id: Vec<String>,
    sentiment: Vec<f64>,
    gauges: BTreeMap<GaugeName, Vec<Option<f64>>>,
}

#[derive(Serialize)]
struct Mark {
    seq: u64,
    /// The last turn with words before it.
    turn: u64,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

#[derive(Serialize)]
pub struct Timeline {
    r#gen: u32,
    turns: Turns,
    marks: Vec<Mark>,
    next_cursor: Option<String>,
}

/// The session's turns as columns of numbers, oldest first, with what happened between them. No words.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/timeline", tag = "sessions", params(("id" = String, Path), TimelineQuery),
    responses((status = 200, body = schema::Timeline))
)]
pub async fn timeline(
    State(app): State<Shared>,
    reader: Reader,
    query: Query<TimelineQuery>,
) -> Answer<Json<Timeline>> {
    let (log, id) = (&app.ports.log, reader.access().id());
    let head = log.head(id).await?.ok_or_else(ApiError::not_found)?;
    let after = query.0.after.or(query.0.cursor).unwrap_or(0);
    let records = log.read_numbers(id, KINDS, after, MOST).await?;
    let next = records.last().filter(|_| records.len() == MOST).map(|record| record.seq.to_string());
    let (mut turns, mut marks) = (Turns::default(), Vec::new());
    for name in GaugeName::ALL {
        turns.gauges.insert(name, Vec::new());
    }
    for record in &records {
        let event = Event::decode(record).map_err(ApiError::internal)?;
        let label = match event.payload {
            Payload::AgentMessage(message) if message.agent_id.as_str() != USER => {
                turns.seq.push(event.seq);
                turns.turn.push(message.metadata.turn);
                turns.round.push(message.metadata.round);
                turns.agent_id.push(message.agent_id.to_string());
                turns.sentiment.push(message.sentiment.score);
                turns.gauges.values_mut().for_each(|column| column.push(None));
                continue;
            }
            // It measures the utterance before it.
            Payload::HealthUpdate(update) => {
                for (name, column) in &mut turns.gauges {
                    if let Some(last) = column.last_mut() {
                        *last = update.gauges.get(name).and_then(|gauge| gauge.standardised);
                    }
                }
                continue;
            }
            Payload::Emergency(emergency) => label(&emergency.action),
            Payload::StimulusInjected(stimulus) => label(&stimulus.kind),
            Payload::TurnFailed(failed) => label(&failed.kind),
            Payload::SessionStatusChanged(changed) => label(&changed.status),
            _ => None,
        };
        let turn = turns.turn.last().copied().unwrap_or(0);
        marks.push(Mark { seq: record.seq, turn, r#type: record.kind.clone(), label });
    }
    Ok(Json(Timeline { r#gen: head.generation, turns, marks, next_cursor: next }))
}

/// A value's own word.
fn label(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}
