//! What can go wrong between here and PostgreSQL, and what it means to a caller of the ports.

use deadpool_postgres::PoolError;
use psyche_core::port::{AppendError, StoreError};
use tokio_postgres::error::{DbError, SqlState};

/// The outcome of a statement or of a rule. Becomes the port's error at the boundary.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Sql(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
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
            other => StoreError::from(other).into(),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Append(AppendError::Store(error)) => error,
            Fault::Append(other) => Self::Corrupt(other.to_string()),
            Fault::Sql(error) | Fault::Pool(PoolError::Backend(error)) => store_error(&error),
            Fault::Pool(PoolError::Timeout(_)) => {
                Self::Unavailable("no connection to PostgreSQL was free in time".into())
            }
            Fault::Pool(_) => Self::Unavailable("there is no connection to PostgreSQL".into()),
        }
    }
}

impl Fault {
    /// The unique index or foreign key that a statement ran into.
    pub fn constraint(&self, state: &SqlState) -> Option<&str> {
        match self {
            Self::Sql(error) => broken(error.as_db_error()?, state),
            _ => None,
        }
    }

    /// Whether two transactions got in each other's way: done again it may succeed.
    pub fn is_collision(&self) -> bool {
        self.is(&[SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE])
    }

    /// Whether somebody else had what was to be locked, for longer than it was waited for.
    pub fn is_locked(&self) -> bool {
        self.is(&[SqlState::LOCK_NOT_AVAILABLE])
    }

    fn is(&self, states: &[SqlState]) -> bool {
        match self {
            Self::Sql(error) => error.code().is_some_and(|state| states.contains(state)),
            _ => false,
        }
    }

    /// The unique index or primary key that a statement ran into.
    pub fn taken(&self) -> Option<&str> {
        self.constraint(&SqlState::UNIQUE_VIOLATION)
    }
}

fn broken<'a>(error: &'a DbError, state: &SqlState) -> Option<&'a str> {
    (error.code() == state).then(|| error.constraint()).flatten()
}

/// What passes by itself is `Unavailable`; the rest will not pass. Neither tells addresses or what was written.
fn store_error(error: &tokio_postgres::Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return StoreError::Unavailable("the connection to PostgreSQL was lost".to_owned());
    };
    if *db.code() == SqlState::CHARACTER_NOT_IN_REPERTOIRE {
        // PostgreSQL holds no text with a zero in it, so there is none to be found either.
        return StoreError::NotFound("text with a zero byte");
    }
    if *db.code() == SqlState::FOREIGN_KEY_VIOLATION {
        let why = "what this belongs to was removed at the same time; try again";
        return StoreError::Unavailable(why.to_owned());
    }
    let code = db.code().code();
    match &code[..2] {
        // Read-only after a failover.
        "25" => StoreError::Unavailable(format!("PostgreSQL takes no writes now ({code})")),
        "08" | "40" | "53" | "55" | "57" | "58" => {
            StoreError::Unavailable(format!("PostgreSQL could not do it ({code})"))
        }
        _ => StoreError::Corrupt(format!(
            "PostgreSQL refused a statement ({code}: {}); run `psyche doctor`",
            db.message()
        )),
    }
}
