//! One short way to write each kind of failure.

use psyche_core::port::{ModelError, ModelErrorKind};

/// More of a provider's text than this is not kept.
const DETAIL_CHARS: usize = 2_000;

pub(crate) fn timeout(message: impl Into<String>) -> ModelError {
    failure(ModelErrorKind::Timeout, message, true)
}

/// The request itself is wrong for this server: asking again changes nothing.
pub(crate) fn refused(message: impl Into<String>) -> ModelError {
    failure(ModelErrorKind::Refused, message, false)
}

pub(crate) fn rate_limited(message: impl Into<String>) -> ModelError {
    failure(ModelErrorKind::RateLimited, message, true)
}

pub(crate) fn server_error(message: impl Into<String>) -> ModelError {
    failure(ModelErrorKind::ServerError, message, true)
}

pub(crate) fn bad_answer(message: impl Into<String>) -> ModelError {
    failure(ModelErrorKind::BadAnswer, message, true)
}

pub(crate) fn failure(kind: ModelErrorKind, message: impl Into<String>, retryable: bool) -> ModelError {
    ModelError { kind, message: message.into(), detail: None, retryable, sent: true, retry_after_ms: None }
}

pub(crate) trait Explain {
    /// Adds the provider's own text, cut to a bounded length.
    fn detail(self, text: impl AsRef<str>) -> Self;
    /// Adds how long the provider asked to wait.
    fn after_ms(self, ms: Option<u64>) -> Self;
    /// The request never left.
    fn not_sent(self) -> Self;
}

impl Explain for ModelError {
    fn detail(mut self, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().trim();
        self.detail = (!text.is_empty()).then(|| text.chars().take(DETAIL_CHARS).collect());
        self
    }

    fn after_ms(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    fn not_sent(mut self) -> Self {
        self.sent = false;
        self
    }
}
