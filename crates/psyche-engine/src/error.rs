//! Why the engine could not do what was asked.

use psyche_core::event::DecodeError;
use psyche_core::port::{AppendError, StoreError};
use psyche_core::session::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("there is no such session or event")]
    NotFound,
    /// The session's rules forbid it now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An argument cannot be.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    /// There are as many of these as the installation allows; the message says what to do.
    #[error("{0}")]
    Quota(String),
    /// The session's mailbox is full: try again in a second.
    #[error("the session has more commands waiting than it can take; try again in a second")]
    Busy,
    /// An interview would cost more than the session's budget leaves.
    #[error("the session's budget leaves no room for another answer; raise it")]
    OverBudget,
    /// An interview that ended without an answer; the message is ours.
    #[error("{0}")]
    NoAnswer(String),
    /// Sessions that are in memory go on; no other one is brought there.
    #[error("memory is short here, so nothing new is taken on; try again in a few seconds")]
    ShortOfMemory,
    /// A dependency is away: try again.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::NotFound(_) => Self::NotFound,
            StoreError::Conflict(_) | StoreError::Corrupt(_) => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(store) => store.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<DecodeError> for EngineError {
    fn from(error: DecodeError) -> Self {
        Self::Corrupt(error.to_string())
    }
}
