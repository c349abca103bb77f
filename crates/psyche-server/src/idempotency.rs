//! `Idempotency-Key`: the same key and body give the same answer for a day, whatever is lost on the way.
//! Not for public routes and one's own account: their answers hold secrets.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use psyche_core::UserId;
use psyche_core::words::Hash;
use serde::{Deserialize, Serialize};

use crate::api::exports;
use crate::app::Shared;
use crate::error::{Answer, ApiError};
use crate::json::{API_BODY, read_body};

pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const DAY_MS: u64 = 24 * 3600 * 1000;
/// How long a call that never ended blocks its key.
const PENDING_MS: u64 = 60_000;

#[derive(Serialize, Deserialize)]
struct Kept {
    body: Hash,
    /// `None` while the first call is under way.
    answer: Option<KeptAnswer>,
}

#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    status: u16,
    content_type: Option<String>,
    body: String,
}

pub async fn once(app: &Shared, caller: UserId, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(&KEY).cloned() else { return next.run(request).await };
    match keyed(app, caller, &key, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keyed(app: &Shared, caller: UserId, key: &HeaderValue, request: Request, next: Next) -> Answer<Response> {
    let key = key.to_str().ok().filter(|k| (1..=128).contains(&k.len()));
    let key = key.ok_or_else(|| ApiError::invalid("Idempotency-Key", "must have 1 to 128 visible ASCII characters"))?;
    let (mut parts, body) = request.into_parts();
    let name = format!("idempotency:{}", Hash::of(format!("{caller} {} {key}", parts.uri.path()).as_bytes()));
    // An import is larger than all others: it needs its place before it is held.
    let limits = &app.options.limits;
    let (most, within) = if parts.uri.path() == exports::IMPORT {
        parts.extensions.insert(exports::place(app)?);
        (limits.import_bytes, exports::ARRIVAL)
    } else {
        (API_BODY, limits.body_timeout)
    };
    let bytes = read_body(body, most, within).await?;
    let body = Hash::of(&bytes);

    let store = &app.ports.ephemeral;
    let pending = serde_json::to_vec(&Kept { body, answer: None }).map_err(ApiError::internal)?;
    if let Some(kept) = store.put_new(&name, pending, PENDING_MS).await? {
        let kept: Kept = serde_json::from_slice(&kept).map_err(ApiError::internal)?;
        return match kept.answer {
            _ if kept.body != body => Err(ApiError::conflict("This Idempotency-Key came with another body before.")),
            Some(answer) => replay(answer),
            None => Err(ApiError::conflict("The first call with this Idempotency-Key is still under way.")),
        };
    }

    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // A failure of ours, and every refusal, may be tried again.
    if !response.status().is_success() {
        store.take(&name).await?;
        return Ok(response);
    }
    let (parts, answer) = response.into_parts();
    let bytes = axum::body::to_bytes(answer, usize::MAX).await.map_err(ApiError::internal)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let answer = Some(KeptAnswer { status: parts.status.as_u16(), content_type, body: text });
    let kept = serde_json::to_vec(&Kept { body, answer }).map_err(ApiError::internal)?;
    store.put(&name, kept, DAY_MS).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(answer: KeptAnswer) -> Answer<Response> {
    let status = StatusCode::from_u16(answer.status).map_err(ApiError::internal)?;
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(value) = answer.content_type.and_then(|t| HeaderValue::from_str(&t).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    Ok(response)
}
