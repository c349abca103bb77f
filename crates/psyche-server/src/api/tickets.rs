//! Tickets: open a socket without putting a token into a URL. One use, thirty seconds.

use axum::extract::State;
use axum::http::HeaderMap;
use psyche_core::words::Hash;
use psyche_core::{SignInId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{bearer, signed_in};
use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::json::{Json, SmallJson};
use crate::tokens;

const LIFE_MS: u64 = 30_000;

#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    ticket: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    user: UserId,
    sign_in: SignInId,
    /// When the access token ends that paid for the ticket.
    expires_at: Timestamp,
}

/// A ticket for `?ticket=` of a socket.
#[utoipa::path(post, path = "/api/v1/ws/ticket", tag = "live", responses((status = 200, body = Ticket)))]
pub async fn issue(State(app): State<Shared>, headers: HeaderMap) -> Answer<SmallJson<Ticket>> {
    let token = bearer(&headers).ok_or_else(ApiError::unauthenticated)?;
    let (claims, _) = signed_in(&app, token).await?;
    let clock = &app.ports.clock;
    let (ticket, hash) = tokens::secret(clock.entropy());
    let kept = Kept { user: claims.sub, sign_in: claims.sid, expires_at: claims.expires_at() };
    let kept = serde_json::to_vec(&kept).map_err(ApiError::internal)?;
    app.ports.ephemeral.put(&key(hash), kept, LIFE_MS).await?;
    Ok(Json(Ticket { ticket, expires_at: clock.now().plus_ms(LIFE_MS as i64) }))
}

/// Spends a ticket: who it is for, and until when their token lives.
pub async fn redeem(app: &App, ticket: &str) -> Answer<(Caller, Timestamp)> {
    let hash = Hash::of(ticket.as_bytes());
    let kept = app.ports.ephemeral.take(&key(hash)).await?.ok_or_else(ApiError::unauthenticated)?;
    let kept: Kept = serde_json::from_slice(&kept).map_err(ApiError::internal)?;
    let ports = &app.ports;
    let caller = app.accounts.caller(ports.directory.as_ref(), ports.clock.as_ref(), kept.sign_in, kept.user).await?;
    if kept.expires_at <= ports.clock.now() {
        return Err(ApiError::unauthenticated());
    }
    Ok((caller, kept.expires_at))
}

fn key(hash: Hash) -> String {
    format!("ticket:{hash}")
}
