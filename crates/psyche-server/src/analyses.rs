//! Analyses of sessions: made off the threads that serve, few at a time, and kept while their log stands still.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use psyche_core::SessionId;
use psyche_core::measure::{SelfTest, Vader, self_test};
use psyche_lab::analysis::{AnalysisError, Range, Sampled, of_log, read_log};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use crate::app::Shared;
use crate::error::{Answer, ApiError, ErrorKind};

/// At work at once.
const AT_WORK: usize = 2;
/// At work and waiting; more are told to come again.
const PLACES: usize = 16;
/// Documents kept, and their bytes together.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 32 << 20;

/// What a document is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    session: SessionId,
    /// Another one when words were erased: such documents are forgotten.
    generation: u32,
    range: Range,
}

pub struct Analyses {
    places: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
    /// The least recently used first.
    kept: Mutex<VecDeque<(Key, Bytes)>>,
    /// Made when it is first asked for: it is always the same.
    self_test: OnceCell<Arc<Vec<SelfTest>>>,
}

impl Default for Analyses {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            at_work: Arc::new(Semaphore::new(AT_WORK)),
            kept: Mutex::default(),
            self_test: OnceCell::new(),
        }
    }
}

impl Analyses {
    fn find(&self, key: Key) -> Option<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Numbers made from words that are gone go with them.
        kept.retain(|(known, _)| known.session != key.session || known.generation == key.generation);
        let place = kept.iter().position(|(known, _)| *known == key)?;
        let entry = kept.remove(place)?;
        let document = entry.1.clone();
        kept.push_back(entry);
        Some(document)
    }

    fn keep(&self, key: Key, document: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((key, document));
        while kept.len() > KEPT || kept.iter().map(|(_, document)| document.len()).sum::<usize>() > KEPT_BYTES {
            kept.pop_front();
        }
    }

    /// Those at work at once, whatever they work for.
    pub fn workers(&self) -> &Arc<Semaphore> {
        &self.at_work
    }

    /// Forgets everything: it can be made again.
    pub fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets what is known of a session that is gone.
    pub fn forget(&self, session: SessionId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| known.session != session);
    }
}

/// The analysis of a session as JSON. `from` and `to` are the ends of the range, open where absent.
pub async fn document(app: &Shared, session: SessionId, from: Option<u64>, to: Option<u64>) -> Answer<Bytes> {
    let (range, generation) = range(app, session, (from, to)).await?;
    let key = Key { session, generation, range };
    if let Some(document) = app.analyses.find(key) {
        return Ok(document);
    }
    let busy = || ApiError::too_many("Many analyses are being made. Try again.", 2);
    let place = Arc::clone(&app.analyses.places).try_acquire_owned().map_err(|_| busy())?;
    let at_work = Arc::clone(&app.analyses.at_work).acquire_owned().await.map_err(ApiError::internal)?;
    let (app, runtime) = (Arc::clone(app), Handle::current());
    // The work ends also when whoever asked has gone: then it is there for the next.
    let work = Arc::clone(&app).tracker.spawn_blocking(move || {
        let _held = (place, at_work);
        // Somebody may have asked for the same while this one waited.
        if let Some(document) = app.analyses.find(key) {
            return Ok(document);
        }
        let analysis = runtime.block_on(of_log(app.ports.log.as_ref(), session, range))?;
        let document = Bytes::from(serde_json::to_vec(&analysis).map_err(ApiError::internal)?);
        app.analyses.keep(Key { generation: analysis.generation, ..key }, document.clone());
        Ok(document)
    });
    work.await.map_err(ApiError::internal)?
}

/// The range that is meant, within the log as it is, and the log's generation.
async fn range(app: &Shared, session: SessionId, (from, to): (Option<u64>, Option<u64>)) -> Answer<(Range, u32)> {
    let head = app.ports.log.head(session).await?.ok_or_else(ApiError::not_found)?;
    let range = Range { from: from.unwrap_or(1), to: to.unwrap_or(head.seq) };
    if range.from == 0 || range.from > head.seq {
        return Err(ApiError::invalid("from", format!("the log has events 1 to {}", head.seq)));
    }
    if range.to < range.from || range.to > head.seq {
        return Err(ApiError::invalid("to", format!("must be from {} to {}", range.from, head.seq)));
    }
    Ok((range, head.generation))
}

/// Utterances of a range, drawn evenly: at most so many, and only those that answer another where that is asked for.
pub async fn sample(
    app: &Shared,
    session: SessionId,
    ends: (Option<u64>, Option<u64>),
    (count, answering): (usize, bool),
) -> Answer<Vec<Sampled>> {
    let (range, _) = range(app, session, ends).await?;
    let at_work = Arc::clone(&app.analyses.at_work).acquire_owned().await.map_err(ApiError::internal)?;
    let (app, runtime) = (Arc::clone(app), Handle::current());
    let work = Arc::clone(&app).tracker.spawn_blocking(move || {
        let _held = at_work;
        let reading = runtime.block_on(read_log(app.ports.log.as_ref(), session, range))?;
        Ok::<_, AnalysisError>(reading.sample(count, answering))
    });
    Ok(work.await.map_err(ApiError::internal)??)
}

/// The canonical transcripts and their families, read by this program.
pub async fn canonical(app: &Shared) -> Answer<Arc<Vec<SelfTest>>> {
    let made = app.analyses.self_test.get_or_try_init(async || {
        let at_work = Arc::clone(&app.analyses.at_work).acquire_owned().await.map_err(ApiError::internal)?;
        let work = app.tracker.spawn_blocking(move || {
            let _held = at_work;
            self_test(&Vader::new())
        });
        work.await.map(Arc::new).map_err(ApiError::internal)
    });
    made.await.cloned()
}

impl From<AnalysisError> for ApiError {
    fn from(error: AnalysisError) -> Self {
        match error {
            AnalysisError::NotFound => Self::not_found(),
            AnalysisError::TooLarge(too_large) => Self::invalid("to", too_large.to_string()),
            AnalysisError::Changed => Self {
                retry_after_s: Some(1),
                ..Self::new(ErrorKind::Unavailable, "The log changed while it was read. Try again.")
            },
            AnalysisError::Decode(error) => Self::internal(error),
            AnalysisError::Store(error) => error.into(),
        }
    }
}
