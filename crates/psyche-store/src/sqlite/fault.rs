//! What can go wrong between here and SQLite, and what it means to a caller of the ports.

use psyche_core::port::{AppendError, StoreError};
use rusqlite::ErrorCode;

/// The outcome of a statement or of a rule. Becomes the port's error at the boundary.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Append(error.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        StoreError::Corrupt(format!("a stored JSON value cannot be read: {error}; run `psyche doctor`")).into()
    }
}

impl From<Fault> for AppendError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Append(error) => error,
            Fault::Sql(error) => store_error(&error).into(),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Append(AppendError::Store(error)) => error,
            Fault::Append(other) => Self::Corrupt(other.to_string()),
            Fault::Sql(error) => store_error(&error),
        }
    }
}

pub fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// What passes by itself or with a free disk is `Unavailable`; the rest will not pass.
fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Unavailable(
            "the disk is full, nothing was written: free space, writes then go on by themselves".to_owned(),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(
            "another program holds the database, nothing was written: close it, writes then go on".to_owned(),
        ),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Corrupt(format!("SQLite: {error}; run `psyche doctor`")),
    }
}

/// Whether the statement ran into a unique index or a primary key.
pub fn is_taken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error(), Some(e) if matches!(e.extended_code,
        rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}
