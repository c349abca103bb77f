//! Around every request: its id and time, the error envelope, security headers, CORS, panics.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::{Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::Peer;
use crate::app::{App, Shared};
use crate::client;
use crate::context::Context;
use crate::error::{ApiError, Detail, ErrorKind};
use crate::limits::Allowance;
use crate::rates::{self, Class};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESS_TIME: HeaderName = HeaderName::from_static("x-process-time");

/// The strictest policy the web app can live with (WEB-01).
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'";

const PLAIN: &str = "This server is used over HTTPS alone, and this request came over plain HTTP. Use the https address; a proxy must \
                     be named in trusted_proxies and send X-Forwarded-Proto.";

/// Marks an answer whose body the protocol defines although its status is an error's.
#[derive(Clone, Copy, Debug)]
pub struct OwnBody;

#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorEnvelope {
    pub error: ErrorBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The HTTP status.
    #[schema(example = 404)]
    pub code: u16,
    pub kind: ErrorKind,
    pub message: String,
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Without the query.
    pub path: String,
    pub request_id: String,
    /// With 422: which fields, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub details: Vec<Detail>,
}

pub async fn around(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let started = app.ports.clock.monotonic_ms();
    let precise = tokio::time::Instant::now();
    let request_id = accepted_id(request.headers()).unwrap_or_else(|| app.ports.clock.uuid().to_string());
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0);
    let address = client::address(peer, request.headers(), &app.options.trusted_proxies);
    let encrypted =
        app.options.tls.is_some() || client::came_encrypted(peer, request.headers(), &app.options.trusted_proxies);
    let context = Context { request_id: request_id.as_str().into(), address };
    let class = Class::of(&method, &path, request.headers());
    request.extensions_mut().insert(context.clone());
    let template = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    request.extensions_mut().insert(app.clone());

    let allowed_origin = origin.filter(|o| is_listed(&app, o));
    let mut allowance = None;
    let mut response = if app.options.is_https() && !encrypted && class != Class::Health {
        // What such a request carries has been readable on its way: nothing is done with it (TLS-01).
        ApiError::new(ErrorKind::Forbidden, PLAIN).into_response()
    } else if is_preflight(&request) && allowed_origin.is_some() {
        preflight()
    } else if let Some(refusal) = refused(&app, &context, class, &mut allowance).await {
        refusal.into_response()
    } else {
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => ApiError::internal(panic_text(&*panic)).into_response(),
        }
    };

    let allowance = response.extensions_mut().remove::<Allowance>().or(allowance);
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && response.extensions().get::<OwnBody>().is_none() {
        response = with_envelope(response, &path, &request_id, app.ports.clock.now());
    }
    let seconds = precise.elapsed().as_secs_f64();
    let status = response.status();
    app.metrics.observe(&method, template.as_deref().unwrap_or("(none)"), status.as_u16(), seconds);
    tracing::debug!(%method, path, status = status.as_u16(), request_id, started, "request");

    let headers = response.headers_mut();
    if let Some(allowance) = &allowance {
        rates::describe(headers, allowance);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.6}")) {
        headers.insert(PROCESS_TIME, value);
    }
    if let Some(origin) = allowed_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let exposed = HeaderValue::from_static(
            "X-Request-ID, X-Process-Time, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, \
             Content-Disposition, X-Export-Events",
        );
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    harden(headers, app.options.is_https());
    response
}

/// Why a request is not even looked at: its address is blocked, or it comes too often.
async fn refused(app: &App, context: &Context, class: Class, allowance: &mut Option<Allowance>) -> Option<ApiError> {
    if class != Class::Health && app.blocks.until(context.address, app.ports.clock.now()).is_some() {
        let message = "This address failed to sign in too often and is blocked for a while. An admin can lift that.";
        return Some(ApiError::new(ErrorKind::Forbidden, message));
    }
    *allowance = app.rates.arrives(class, context.address, app.ports.clock.monotonic_ms()).await;
    let wait = allowance.as_ref()?.wait?;
    Some(too_often(app, context, None, wait).await)
}

/// The refusal of a request that comes too often; the first in a minute is recorded.
pub async fn too_often(app: &App, context: &Context, user: Option<UserId>, wait: Duration) -> ApiError {
    let row = AuditDraft { user_id: user, ..context.row(app, AuditType::RateLimit, Outcome::Denied) };
    let refusal = ApiError::too_many("Too many requests.", (wait.as_secs_f64().ceil() as u64).max(1));
    app.record_now_and_then("told", context.address, row).await.err().unwrap_or(refusal)
}

/// Client ids are kept when they can do no harm in a log.
fn accepted_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| id.to_owned())
}

fn with_envelope(mut response: Response, path: &str, request_id: &str, now: Timestamp) -> Response {
    let status = response.status();
    let error = response.extensions_mut().remove::<ApiError>().unwrap_or_else(|| {
        let kind = ErrorKind::of(status);
        let message = match kind {
            ErrorKind::MethodNotAllowed => "This path does not take this method.",
            ErrorKind::NotFound => "There is nothing at this path.",
            ErrorKind::Internal => "The server failed. The request id finds the cause in its log.",
            _ => "The request cannot be accepted as it is.",
        };
        ApiError::new(kind, message)
    });
    let body = ErrorEnvelope {
        error: ErrorBody {
            code: status.as_u16(),
            kind: error.kind,
            message: error.message.into_owned(),
            timestamp: now,
            path: path.to_owned(),
            request_id: request_id.to_owned(),
            details: error.details,
        },
    };
    let mut answer = (status, axum::Json(body)).into_response();
    let kept = [
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        header::ALLOW,
        header::UPGRADE,
        header::CONNECTION,
        header::SEC_WEBSOCKET_VERSION,
    ];
    for name in kept {
        if let Some(value) = response.headers_mut().remove(&name) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// Headers that every answer carries; a handler's own win.
fn harden(headers: &mut HeaderMap, https: bool) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if https {
        let hsts = HeaderValue::from_static("max-age=63072000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
}

fn is_listed(app: &Shared, origin: &HeaderValue) -> bool {
    let listed = &app.options.cors_allowed_origins;
    origin.to_str().is_ok_and(|origin| origin != "null" && listed.iter().any(|o| o == origin))
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static("Authorization, Content-Type, Idempotency-Key, X-Request-ID");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
