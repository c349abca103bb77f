//! Runs side by side: what they share, and turn by turn what they do not.

use std::collections::BTreeMap;

use axum::extract::State;
use psyche_core::SessionId;
use psyche_core::event::{Event, Payload};
use psyche_core::measure::{GaugeName, Gauges};
use psyche_core::permission::Permission;
use psyche_core::session::USER;
use psyche_core::words::Hash;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::IntoParams;

use crate::access::{SessionAccess, enter};
use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query};
use crate::list;
use crate::schema;

use super::views::SessionView;

/// Runs of one comparison.
const RUNS: std::ops::RangeInclusive<usize> = 2..=6;
/// Records read at once.
const CHUNK: usize = 500;
/// Events besides utterances that a row shows of one run; of more, the last.
const EVENTS: usize = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// Two to six sessions, comma-separated. Differences are to the first.
    ids: String,
    /// Turns of a page: 1 to 200, 50 when absent.
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
pub struct Comparison {
    common: Common,
    runs: Vec<Run>,
    items: Vec<Row>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Common {
    seq: u64,
    turn: u64,
    round: u64,
}

#[derive(Serialize)]
struct Run {
    session: SessionView,
    common_seq: u64,
}

#[derive(Serialize)]
struct Row {
    turn: u64,
    cells: Vec<Cell>,
}

/// A turn of one run.
#[derive(Default, Serialize)]
struct Cell {
    /// What happened since the utterance before.
    events: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gauges: Option<Gauges>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    deltas: BTreeMap<GaugeName, f64>,
}

/// Where a page begins: the turns before it, and how far each log was read.
struct Place {
    turn: u64,
    read: Vec<u64>,
}

impl Place {
    fn parse(text: &str, runs: usize) -> Answer<Self> {
        let numbers: Result<Vec<u64>, _> = text.split('.').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([turn, read @ ..]) if read.len() == runs => Ok(Self { turn: *turn, read: read.to_vec() }),
            _ => Err(ApiError::invalid("cursor", "is not one of this comparison's")),
        }
    }

    fn text(&self) -> String {
        let read: Vec<_> = self.read.iter().map(u64::to_string).collect();
        format!("{}.{}", self.turn, read.join("."))
    }
}

/// Two to six runs from where their common past ends, aligned by turn. The common past itself is in each of them: read it
/// once, from any. A turn that was tried again later may come on a later page than its neighbours.
#[utoipa::path(
    get, path = "/api/v1/sessions/compare", tag = "sessions", params(CompareQuery),
    responses(
        (status = 200, body = schema::ComparedRuns),
        (status = 404, description = "There is no such session, or none you may see.")
    )
)]
pub async fn compare(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    query: Query<CompareQuery>,
) -> Answer<Json<Comparison>> {
    let CompareQuery { ids, limit, cursor } = query.0;
    let limit = list::limit(limit)? as u64;
    let ids: Result<Vec<SessionId>, _> = ids.split(',').map(str::parse).collect();
    let ids = ids.map_err(|_| ApiError::invalid("ids", "must be ids of sessions, comma-separated"))?;
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    if !RUNS.contains(&ids.len()) || distinct.len() != ids.len() {
        return Err(ApiError::invalid("ids", "must be two to six different sessions"));
    }
    let mut runs = Vec::new();
    for id in &ids {
        runs.push(enter(&app, &context, &caller, *id, Permission::SessionRead).await?);
    }
    let mut shared = Vec::new();
    for id in &ids {
        shared.push(common_seq(&app, ids[0], *id).await?);
    }
    // Whoever shares less with the first shares as little with all others that share more.
    let seq = shared.iter().copied().min().unwrap_or(0);
    let common = common(&app, ids[0], seq).await?;
    let place = match cursor {
        Some(cursor) => Place::parse(&cursor, ids.len())?,
        None => Place { turn: common.turn, read: vec![seq; ids.len()] },
    };
    let (items, next) = page(&app, &ids, place, limit).await?;
    let runs = runs.iter().zip(shared).map(|(run, common_seq)| view(run, common_seq)).collect();
    Ok(Json(Comparison { common, runs, items, next_cursor: next.map(|place| place.text()) }))
}

fn view(run: &SessionAccess, common_seq: u64) -> Run {
    Run { session: SessionView::new(run.row.summary.clone(), run.relation), common_seq }
}

/// How many events two logs share: each hash stands for all before it.
async fn common_seq(app: &App, first: SessionId, other: SessionId) -> Answer<u64> {
    let mut known = 0;
    let mut unknown = u64::MAX;
    for id in [first, other] {
        unknown = unknown.min(app.ports.log.head(id).await?.ok_or_else(ApiError::not_found)?.seq);
    }
    while known < unknown {
        let middle = known + (unknown - known).div_ceil(2);
        if hash_at(app, first, middle).await? == hash_at(app, other, middle).await? {
            known = middle;
        } else {
            unknown = middle - 1;
        }
    }
    Ok(known)
}

async fn hash_at(app: &App, session: SessionId, seq: u64) -> Answer<Hash> {
    let records = app.ports.log.read(session, seq - 1, 1).await?;
    Ok(records.first().ok_or_else(ApiError::not_found)?.hash)
}

/// The common past ends with the last turn that is over by then.
async fn common(app: &App, session: SessionId, seq: u64) -> Answer<Common> {
    if seq == 0 {
        return Ok(Common { seq, turn: 0, round: 0 });
    }
    let state = app.ports.engine.at(session, seq).await?;
    let open = state.in_flight.iter().filter(|(turn, flight)| !state.has_said(**turn, flight)).map(|(turn, _)| *turn);
    let first = open.chain(state.unfinished.keys().copied()).min();
    Ok(Common { seq, turn: first.map_or(state.turn, |turn| turn - 1), round: state.round })
}

/// The next turns of all runs, and where the page after them begins.
async fn page(app: &App, ids: &[SessionId], place: Place, limit: u64) -> Answer<(Vec<Row>, Option<Place>)> {
    let until = place.turn.saturating_add(limit);
    let mut rows: BTreeMap<u64, Vec<Cell>> = BTreeMap::new();
    let mut next = Place { turn: until, read: Vec::new() };
    let mut more = false;
    for (run, (id, after)) in ids.iter().zip(place.read.iter().copied()).enumerate() {
        let (cells, read, ended) = turns(app, *id, after, (place.turn, until)).await?;
        for (turn, cell) in cells {
            let row = rows.entry(turn).or_insert_with(|| ids.iter().map(|_| Cell::default()).collect());
            row[run] = cell;
        }
        next.read.push(read);
        more |= !ended;
    }
    let rows = rows.into_iter().map(|(turn, mut cells)| {
        let (first, others) = cells.split_at_mut(1);
        for cell in others {
            cell.deltas = deltas(first[0].gauges.as_ref(), cell.gauges.as_ref());
        }
        Row { turn, cells }
    });
    Ok((rows.collect(), more.then_some(next)))
}

/// How much higher each standardised gauge is than in the first run.
fn deltas(first: Option<&Gauges>, other: Option<&Gauges>) -> BTreeMap<GaugeName, f64> {
    let (Some(first), Some(other)) = (first, other) else { return BTreeMap::new() };
    let delta = |(name, gauge): (&GaugeName, &psyche_core::measure::Gauge)| {
        Some((*name, gauge.standardised? - first.get(name)?.standardised?))
    };
    other.iter().filter_map(delta).collect()
}

/// A run's turns after `from` up to `until`, how far its log was read for them, and whether it ends there.
async fn turns(
    app: &App,
    id: SessionId,
    after: u64,
    (from, until): (u64, u64),
) -> Answer<(BTreeMap<u64, Cell>, u64, bool)> {
    let mut cells: BTreeMap<u64, Cell> = BTreeMap::new();
    let mut waiting = Vec::new();
    let (mut read, mut turn, mut last) = (after, None, from);
    // The page ends where a later turn's words do; what came before them belongs to them.
    let mut end = after;
    loop {
        let records = app.ports.log.read(id, read, CHUNK).await?;
        for record in &records {
            let event = Event::decode(record).map_err(ApiError::internal)?;
            let frame = || RawValue::from_string(event.frame(id, event.seq - 1)).map_err(ApiError::internal);
            match &event.payload {
                Payload::AgentMessage(message) if message.agent_id.as_str() != USER => {
                    let spoken = message.metadata.turn;
                    if spoken > until {
                        return Ok((cells, end, false));
                    }
                    let events = std::mem::take(&mut waiting);
                    cells.insert(spoken, Cell { events, message: Some(frame()?), ..Cell::default() });
                    (turn, last, end) = (Some(spoken), last.max(spoken), event.seq);
                }
                Payload::HealthUpdate(update) => {
                    if let Some(cell) = turn.and_then(|turn| cells.get_mut(&turn)) {
                        cell.gauges = Some(update.gauges.clone());
                        end = event.seq;
                    }
                }
                payload if is_shown(payload) => {
                    if waiting.len() == EVENTS {
                        waiting.remove(0);
                    }
                    waiting.push(frame()?);
                }
                _ => {}
            }
        }
        read = records.last().map_or(read, |record| record.seq);
        if records.len() < CHUNK {
            break;
        }
    }
    // What happened after the last words stands in a row of its own.
    if !waiting.is_empty() {
        cells.entry(last + 1).or_default().events = waiting;
    }
    Ok((cells, read, true))
}

/// What a comparison shows besides utterances: what people did, and what the protocol did about it.
fn is_shown(payload: &Payload) -> bool {
    match payload {
        Payload::SituationChanged(changed) => changed.cause != "round",
        Payload::AgentMessage(_)
        | Payload::StimulusInjected(_)
        | Payload::Emergency(_)
        | Payload::TurnFailed(_)
        | Payload::AgentChanged(_)
        | Payload::PathsChanged(_)
        | Payload::SettingsChanged(_)
        | Payload::Reset(_)
        | Payload::Forked(_) => true,
        _ => false,
    }
}
