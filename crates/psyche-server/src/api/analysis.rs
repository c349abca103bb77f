//! What happened in a session, and in many, in numbers.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use psyche_core::measure::{MEASURES_VERSION, SelfTest};
use psyche_lab::analysis::Analysis;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::access::Reader;
use crate::accounts::Caller;
use crate::analyses;
use crate::app::Shared;
use crate::error::{Answer, ApiError};
use crate::histories::{self, HistoryJob, HistoryRequest};
use crate::json::{Json, Query};
use crate::schema;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AnalysisQuery {
    /// The first event to look at; the whole log from its beginning when absent.
    from: Option<u64>,
    /// The last event to look at; up to now when absent.
    to: Option<u64>,
}

/// Measures, trends, turning points, what followed each intervention, who spoke how much and to whom, and how the models
/// did. Each number has an interval or a null where there is one, and a note where it may not be interpreted.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/analysis", tag = "analysis", params(("id" = String, Path), AnalysisQuery),
    responses((status = 200, body = Analysis))
)]
pub async fn session(State(app): State<Shared>, reader: Reader, query: Query<AnalysisQuery>) -> Answer<Response> {
    let document = analyses::document(&app, reader.access().id(), query.0.from, query.0.to).await?;
    Ok(([(CONTENT_TYPE, "application/json")], document).into_response())
}

/// Begins an analysis over many sessions: those the caller owns or belongs to, filtered by cast, tags and date. It is made
/// in the background; only sessions that are new or have changed are analysed.
#[utoipa::path(
    post, path = "/api/v1/analysis/history", tag = "analysis", request_body = HistoryRequest,
    responses((status = 202, body = HistoryJob))
)]
pub async fn begin_history(
    State(app): State<Shared>,
    caller: Caller,
    request: Json<HistoryRequest>,
) -> Answer<(StatusCode, Json<HistoryJob>)> {
    Ok((StatusCode::ACCEPTED, Json(histories::begin(&app, &caller, request.0).await?)))
}

/// How far it is, and what it gives once it is done. n counts runs, never turns.
#[utoipa::path(
    get, path = "/api/v1/analysis/history/{id}", tag = "analysis", params(("id" = String, Path)),
    responses((status = 200, body = HistoryJob))
)]
pub async fn history(State(app): State<Shared>, caller: Caller, id: Path<String>) -> Answer<Json<HistoryJob>> {
    let id = id.0.parse().map_err(|_| ApiError::not_found())?;
    Ok(Json(histories::find(&app, &caller, id).await?))
}

#[derive(Serialize)]
pub struct SelfTests {
    ok: bool,
    measures_version: u16,
    rows: Vec<SelfTest>,
}

/// The canonical transcripts and their families, read again by this program: what the gauges of this installation make of
/// talk whose level is known.
#[utoipa::path(
    get, path = "/api/v1/analysis/self-test", tag = "analysis", responses((status = 200, body = schema::SelfTests))
)]
pub async fn self_test(State(app): State<Shared>) -> Answer<Json<SelfTests>> {
    let rows = analyses::canonical(&app).await?.to_vec();
    Ok(Json(SelfTests { ok: rows.iter().all(|row| row.ok), measures_version: MEASURES_VERSION, rows }))
}
