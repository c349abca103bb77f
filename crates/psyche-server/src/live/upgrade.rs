//! The door to the sockets: origin, sub-protocol, credentials of the request. Everything else is said on the socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::Query;
use crate::origin;

use super::connection::{Entry, Target, serve};
use super::handshake::{self, Handshake};
use super::messages::{Cursor, Subscription};

const PROTOCOL: &str = "psyche.v1";
const BEARER: &str = "psyche.bearer.";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SocketQuery {
    /// From `POST /api/v1/ws/ticket`.
    ticket: Option<String>,
    /// An access token; only where the setting `url_tokens` allows it.
    token: Option<String>,
    /// With `after`: where to go on.
    #[serde(rename = "gen")]
    #[param(rename = "gen")]
    generation: Option<u32>,
    after: Option<u64>,
    /// Event types, comma-separated.
    events: Option<String>,
    deltas: Option<bool>,
}

/// Follow a session live. The frames are described by the schemas `ClientMessage` and `ServerFrame`.
#[utoipa::path(
    get, path = "/ws/{session_id}", tag = "live", params(("session_id" = String, Path), SocketQuery),
    responses((status = 101, description = "The socket is open; authenticate with the first message."), (status = 426, description = "This is no WebSocket handshake."))
)]
pub async fn session_socket(
    State(app): State<Shared>,
    Path(session): Path<String>,
    query: Query<SocketQuery>,
    request: Request,
) -> Answer<Response> {
    // An id that cannot be is answered on the socket too, so that browsers learn the reason.
    let target = Target::Session(session.parse().unwrap_or_else(|_| no_session()));
    open(&app, target, query.0, request)
}

/// Follow the whole system live.
#[utoipa::path(
    get, path = "/ws/system", tag = "live", params(SocketQuery),
    responses((status = 101, description = "The socket is open; authenticate with the first message."), (status = 426, description = "This is no WebSocket handshake."))
)]
pub async fn system_socket(State(app): State<Shared>, query: Query<SocketQuery>, request: Request) -> Answer<Response> {
    open(&app, Target::System, query.0, request)
}

/// No session has the nil id.
fn no_session() -> psyche_core::SessionId {
    psyche_core::SessionId(psyche_core::TenantId::DEFAULT.0)
}

fn open(app: &Shared, target: Target, query: SocketQuery, mut request: Request) -> Answer<Response> {
    if !origin::is_ours(&app.options, request.headers()) {
        return Err(ApiError::forbidden());
    }
    let handshake = match Handshake::of(&mut request) {
        Ok(handshake) => handshake,
        Err(unfit) => return Ok(unfit.into_response()),
    };
    let Some(seat) = Open::count(app) else {
        return Err(ApiError::unavailable("as many sockets are open as are possible"));
    };
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Err(ApiError::internal("a socket outside the envelope"));
    };
    let headers = request.headers();
    let entry = entry(app, query, headers);
    let spoken = handshake::names(headers, &header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    let (response, upgrade) = handshake.answer(spoken.then_some(PROTOCOL));
    let shared = Arc::clone(app);
    app.tracker.spawn(async move {
        let _seat = seat;
        if let Some(taken) = handshake::take(upgrade, &shared.tracker).await {
            serve(shared, context, taken, target, entry).await;
        }
    });
    Ok(response)
}

fn entry(app: &App, query: SocketQuery, headers: &HeaderMap) -> Entry {
    let cursor = query.generation.zip(query.after).map(|(generation, seq)| Cursor { generation, seq });
    let list = |names: String| names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
    let subscription = Subscription { events: query.events.map(list), cursor, deltas: query.deltas };
    let token = bearer(headers).or(query.token.filter(|_| app.options.url_tokens));
    Entry { token, ticket: query.ticket, subscription }
}

/// The token among the offered sub-protocols.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    let encoded = offered.flat_map(|v| v.split(',')).find_map(|p| p.trim().strip_prefix(BEARER))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// One open socket, counted while it lives.
struct Open(Shared);

impl Open {
    fn count(app: &Shared) -> Option<Self> {
        if app.sockets.fetch_add(1, Ordering::Relaxed) >= app.options.limits.sockets {
            app.sockets.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(Arc::clone(app)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
