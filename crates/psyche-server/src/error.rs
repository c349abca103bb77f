//! Every failure of a call: a dozen kinds, one table to HTTP. The envelope is written in `envelope.rs`.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use psyche_core::port::StoreError;
use psyche_core::session::{Refusal, RefusalKind};
use psyche_engine::EngineError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::memory;

/// The words for what went wrong, the same in answers and on sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    BadRequest,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PayloadTooLarge,
    UnsupportedMediaType,
    Invalid,
    RateLimited,
    Internal,
    Unavailable,
}

impl ErrorKind {
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The kind of an answer that a library gave in our name.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            409 => Self::Conflict,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            422 => Self::Invalid,
            429 => Self::RateLimited,
            503 => Self::Unavailable,
            code if code >= 500 => Self::Internal,
            _ => Self::BadRequest,
        }
    }
}

/// What is wrong with one field. Never holds what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Detail {
    pub field: String,
    pub message: String,
    /// 1-based line in a text that was sent, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// A failure on its way out.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub kind: ErrorKind,
    pub message: Cow<'static, str>,
    pub details: Vec<Detail>,
    pub retry_after_s: Option<u64>,
}

pub type Answer<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), retry_after_s: None }
    }

    pub fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, "There is nothing here, or nothing you may see.")
    }

    pub fn forbidden() -> Self {
        Self::new(ErrorKind::Forbidden, "Your role, or your relation to this session, does not allow this.")
    }

    pub fn unauthenticated() -> Self {
        Self::new(ErrorKind::Unauthenticated, "Sign in: the access token is missing, expired or revoked.")
    }

    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// One field is at fault.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![Detail { field: field.into(), message: message.into(), line: None }])
    }

    pub fn invalid_fields(details: Vec<Detail>) -> Self {
        let message = "Some values cannot be accepted; `details` names them.";
        Self { details, ..Self::new(ErrorKind::Invalid, message) }
    }

    /// Our fault. The cause goes to the log; the client reads constant text.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(ErrorKind::Internal, "The server failed. The request id finds the cause in its log.")
    }

    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a dependency is not available");
        let message = "Something the server depends on is not available. Try again.";
        Self { retry_after_s: Some(1), ..Self::new(ErrorKind::Unavailable, message) }
    }

    pub fn short_of_memory() -> Self {
        let message = "The server is short of memory: it goes on with what it has, and takes on nothing new. Try again in a few seconds.";
        Self { retry_after_s: Some(memory::AT_LEAST.as_secs()), ..Self::new(ErrorKind::Unavailable, message) }
    }

    pub fn too_many(message: &'static str, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(ErrorKind::RateLimited, message) }
    }
}

impl IntoResponse for ApiError {
    /// Status and headers; the body is written where request id and path are known.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == ErrorKind::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::NotFound("cursor") => Self::invalid("cursor", "is not one of this list's"),
            StoreError::NotFound(_) => Self::not_found(),
            StoreError::Conflict(what) => Self::conflict(format!("{what}: this is taken, or in the way")),
            StoreError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            RefusalKind::Conflict => Self::conflict(refusal.message),
            RefusalKind::Invalid => Self::invalid(refusal.field.unwrap_or("args"), refusal.message),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound => Self::not_found(),
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Invalid { field, message } => Self::invalid(field, message),
            EngineError::Quota(message) => Self::conflict(message),
            EngineError::Busy => Self::too_many("The session has more commands waiting than it can take.", 1),
            EngineError::OverBudget => Self::conflict(error.to_string()),
            EngineError::NoAnswer(message) => {
                Self { retry_after_s: Some(1), ..Self::new(ErrorKind::Unavailable, message) }
            }
            EngineError::ShortOfMemory => Self::short_of_memory(),
            EngineError::Unavailable(cause) => Self::unavailable(cause),
            EngineError::Corrupt(cause) => Self::internal(cause),
        }
    }
}
