//! Analyses the log of a store.

use psyche_core::SessionId;
use psyche_core::event::DecodeError;
use psyche_core::port::{EventLog, StoreError};

use super::document::Analysis;
use super::reading::{Range, Reading, TooLarge};

/// Records read at a time.
const BATCH: usize = 500;

/// Why a log could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    #[error("there is no such session, or not any more")]
    NotFound,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Words were erased, or the session was rewound, while it was read: ask again.
    #[error("the log changed while it was read: ask again")]
    Changed,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Analyses a session's log ([`read_log`]). Computes for seconds where the log is long: drive it where that does no harm.
pub async fn of_log(log: &dyn EventLog, session: SessionId, range: Range) -> Result<Analysis, AnalysisError> {
    Ok(read_log(log, session, range).await?.finish())
}

/// Reads a session's log up to the end of the range, or to its head now.
pub async fn read_log(log: &dyn EventLog, session: SessionId, range: Range) -> Result<Reading, AnalysisError> {
    let head = log.head(session).await?.ok_or(AnalysisError::NotFound)?;
    let end = range.to.min(head.seq);
    let mut reading = Reading::new(session, head.generation, range);
    let mut after = 0;
    while after < end {
        let records = log.read(session, after, BATCH).await?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        for record in records.iter().filter(|record| record.seq <= end) {
            reading.take(record)?;
        }
    }
    let now = log.head(session).await?.ok_or(AnalysisError::NotFound)?;
    if now.generation != head.generation {
        return Err(AnalysisError::Changed);
    }
    Ok(reading)
}
