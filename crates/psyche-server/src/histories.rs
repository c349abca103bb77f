//! Analysis over many sessions: made in the background, session by session, and again only for those that changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use psyche_core::port::{SessionFilter, SessionSummary, for_each_session};
use psyche_core::{SessionId, TenantId, Timestamp, UserId};
use psyche_lab::analysis::{AnalysisError, Range, of_log};
use psyche_lab::history::{History, Run, Summary, history};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::memory;

/// Sessions one history takes.
const MOST_SESSIONS: usize = 2_000;
/// Histories kept, the oldest go first; those of one person that may be at work at once.
const KEPT: usize = 50;
const AT_WORK: usize = 3;
/// Rows of numbers remembered of sessions: some hundred bytes to two kilobytes each.
const REMEMBERED: usize = 10_000;

/// Which sessions, of those the caller belongs to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    #[serde(default)]
    pub cast_id: Option<String>,
    /// Sessions with all of these.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Made from this moment on, RFC 3339.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_time: Option<Timestamp>,
    /// Made up to this moment.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_time: Option<Timestamp>,
    /// Two tags: runs with the second against runs with the first.
    #[serde(default)]
    pub compare: Option<Conditions>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    pub a: String,
    pub b: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    Running,
    Done,
    Failed,
}

/// A history, as far as it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HistoryJob {
    #[schema(value_type = String)]
    pub history_id: Uuid,
    pub status: JobStatus,
    /// Sessions looked at, of how many.
    pub done: usize,
    pub total: usize,
    /// Sessions that were analysed anew; the others had not changed since they last were.
    pub analysed: usize,
    /// Sessions that could not be analysed, and why.
    pub skipped: Vec<Skipped>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[schema(value_type = Option<History>)]
    pub history: Option<Arc<History>>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Skipped {
    #[schema(value_type = String)]
    pub session_id: SessionId,
    pub message: String,
}

/// What other replicas know of a history: enough to make it themselves when they are asked for it.
#[derive(Serialize, Deserialize)]
struct Noted {
    user: UserId,
    request: HistoryRequest,
}

/// How long they know of it.
const NOTED_MS: u64 = 24 * 3_600_000;

struct Entry {
    user: UserId,
    request: HistoryRequest,
    job: HistoryJob,
    /// The logs it was made from, by generation: it is made anew when one of them is no more.
    made_from: BTreeMap<SessionId, u32>,
}

/// What is remembered of a session: its generation and head, and its numbers.
type Known = (u32, u64, Summary);

#[derive(Default)]
pub struct Histories {
    entries: Mutex<VecDeque<Entry>>,
    known: Mutex<HashMap<SessionId, Known>>,
}

impl Histories {
    fn change<T>(&self, id: Uuid, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter_mut().find(|entry| entry.job.history_id == id).map(change)
    }

    fn recall(&self, session: &SessionSummary) -> Option<Summary> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, seq, summary) = known.get(&session.session_id)?;
        ((*generation, *seq) == (session.generation, session.seq)).then(|| summary.clone())
    }

    fn remember(&self, session: SessionId, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            // Whatever goes is only made again.
            all.clear();
        }
        all.insert(session, known);
    }

    /// Forgets the numbers of a session that is gone.
    pub fn forget(&self, session: SessionId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }
}

/// Starts a history. Answers at once.
pub async fn begin(app: &Shared, caller: &Caller, request: HistoryRequest) -> Answer<HistoryJob> {
    if request.start_time.zip(request.end_time).is_some_and(|(start, end)| end < start) {
        return Err(ApiError::invalid("end_time", "lies before start_time"));
    }
    if request.compare.as_ref().is_some_and(|conditions| conditions.a == conditions.b) {
        return Err(ApiError::invalid("compare", "names the same tag twice"));
    }
    let sessions = matching(app, caller.user_id, &request).await?;
    let id = app.ports.clock.uuid();
    let job = enlist(app, caller, id, &request, sessions)?;
    if app.options.replicas {
        let noted = serde_json::to_vec(&Noted { user: caller.user_id, request }).map_err(ApiError::internal)?;
        app.ports.ephemeral.put(&format!("history:{id}"), noted, NOTED_MS).await?;
    }
    Ok(job)
}

/// Makes a history here.
fn enlist(
    app: &Shared,
    caller: &Caller,
    id: Uuid,
    request: &HistoryRequest,
    sessions: Vec<SessionSummary>,
) -> Answer<HistoryJob> {
    memory::is_there(app)?;
    let job = HistoryJob {
        history_id: id,
        status: JobStatus::Running,
        done: 0,
        total: sessions.len(),
        analysed: 0,
        skipped: Vec::new(),
        message: None,
        history: None,
    };
    {
        let mut entries = app.histories.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let running = |entry: &&Entry| entry.user == caller.user_id && entry.job.status == JobStatus::Running;
        if entries.iter().filter(running).count() >= AT_WORK {
            return Err(ApiError::too_many("You have as many histories at work as one may have.", 5));
        }
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        let user = caller.user_id;
        entries.push_back(Entry { user, request: request.clone(), job: job.clone(), made_from: BTreeMap::new() });
    }
    start(app, id, request.clone(), sessions);
    Ok(job)
}

/// A history that was begun at another replica is made here too, from the same question.
async fn begun_elsewhere(app: &Shared, caller: &Caller, id: Uuid) -> Answer<HistoryJob> {
    if !app.options.replicas {
        return Err(ApiError::not_found());
    }
    let noted = app.ports.ephemeral.get(&format!("history:{id}")).await?;
    let noted = noted.and_then(|noted| serde_json::from_slice::<Noted>(&noted).ok());
    let Noted { request, .. } = noted.filter(|noted| noted.user == caller.user_id).ok_or_else(ApiError::not_found)?;
    let sessions = matching(app, caller.user_id, &request).await?;
    enlist(app, caller, id, &request, sessions)
}

/// How far a history is, or what it gives. One whose sessions are no longer all the caller's to read, or whose words
/// were erased, is made again first.
pub async fn find(app: &Shared, caller: &Caller, id: Uuid) -> Answer<HistoryJob> {
    let found = app.histories.change(id, |entry| {
        (entry.user == caller.user_id).then(|| (entry.job.clone(), entry.request.clone(), entry.made_from.clone()))
    });
    let Some((job, request, made_from)) = found.flatten() else {
        return begun_elsewhere(app, caller, id).await;
    };
    if job.status != JobStatus::Done {
        return Ok(job);
    }
    let sessions = matching(app, caller.user_id, &request).await?;
    let now: BTreeMap<SessionId, u32> = sessions.iter().map(|s| (s.session_id, s.generation)).collect();
    if made_from.iter().all(|(session, generation)| now.get(session) == Some(generation)) {
        return Ok(job);
    }
    memory::is_there(app)?;
    let again = HistoryJob {
        status: JobStatus::Running,
        done: 0,
        total: sessions.len(),
        analysed: 0,
        skipped: Vec::new(),
        history: None,
        ..job
    };
    let restarted = app.histories.change(id, |entry| {
        // Of two that ask at once, one starts it.
        let first = entry.job.status == JobStatus::Done;
        entry.job = again.clone();
        first
    });
    if restarted == Some(true) {
        start(app, id, request, sessions);
    }
    Ok(again)
}

/// The caller's own sessions and those they belong to: to look into others' is an act of its own, which is recorded.
async fn matching(app: &App, user: UserId, request: &HistoryRequest) -> Answer<Vec<SessionSummary>> {
    let wanted: BTreeSet<&String> = request.tags.iter().collect();
    let mut sessions = Vec::new();
    let filter =
        SessionFilter { visible_to: Some(user), tag: request.tags.first().cloned(), ..SessionFilter::default() };
    for_each_session(app.ports.directory.as_ref(), TenantId::DEFAULT, filter, |session| {
        let fits = request.cast_id.as_ref().is_none_or(|cast| session.cast_id == *cast)
            && wanted.iter().all(|tag| session.tags.contains(tag))
            && request.start_time.is_none_or(|start| session.created_at >= start)
            && request.end_time.is_none_or(|end| session.created_at <= end);
        // One more than fits is enough to know that there are too many.
        if fits && sessions.len() <= MOST_SESSIONS {
            sessions.push(session);
        }
    })
    .await?;
    if sessions.len() > MOST_SESSIONS {
        let message = format!("more than {MOST_SESSIONS} sessions fit: narrow the tags or the dates");
        return Err(ApiError::invalid("tags", message));
    }
    Ok(sessions)
}

fn start(app: &Shared, id: Uuid, request: HistoryRequest, sessions: Vec<SessionSummary>) {
    let app = Arc::clone(app);
    Arc::clone(&app).tracker.spawn(async move {
        let outcome = run(&app, id, &request, sessions).await;
        app.histories.change(id, |entry| match outcome {
            Ok((history, made_from)) => {
                entry.job.status = JobStatus::Done;
                entry.job.history = Some(Arc::new(history));
                entry.made_from = made_from;
            }
            Err(error) => {
                entry.job.status = JobStatus::Failed;
                entry.job.message = Some(error.message.into_owned());
            }
        });
    });
}

async fn run(
    app: &Shared,
    id: Uuid,
    request: &HistoryRequest,
    sessions: Vec<SessionSummary>,
) -> Answer<(History, BTreeMap<SessionId, u32>)> {
    let (mut runs, mut made_from) = (Vec::new(), BTreeMap::new());
    for session in sessions {
        if app.leaving.is_cancelled() {
            return Err(ApiError::unavailable("the server is leaving"));
        }
        let known = app.histories.recall(&session);
        let analysed = known.is_none();
        let summary = match known {
            Some(summary) => Ok((session.generation, summary)),
            None => summarise(app, session.session_id).await,
        };
        let there = app.histories.change(id, |entry| {
            entry.job.done += 1;
            entry.job.analysed += usize::from(analysed);
            if let Err(message) = &summary {
                let message = message.clone();
                entry.job.skipped.push(Skipped { session_id: session.session_id, message });
            }
        });
        if there.is_none() {
            return Err(ApiError::not_found());
        }
        let Ok((generation, summary)) = summary else { continue };
        made_from.insert(session.session_id, generation);
        runs.push(Run {
            session_id: session.session_id,
            name: session.name,
            created_at: session.created_at,
            cast_id: session.cast_id,
            model: session.model,
            seed: session.seed,
            tags: session.tags,
            parent: session.parent,
            summary,
        });
    }
    let conditions = request.compare.clone();
    let work = app.tracker.spawn_blocking(move || {
        let conditions = conditions.as_ref().map(|conditions| (conditions.a.as_str(), conditions.b.as_str()));
        history(runs, conditions, SEED)
    });
    Ok((work.await.map_err(ApiError::internal)?, made_from))
}

/// Of the resamples: the same runs give the same intervals.
const SEED: u64 = 1;

/// A session's numbers, made where seconds do no harm and one at a time per history.
async fn summarise(app: &Shared, session: SessionId) -> Result<(u32, Summary), String> {
    let at_work = Arc::clone(app.analyses.workers()).acquire_owned().await.map_err(|error| error.to_string())?;
    let (again, runtime) = (Arc::clone(app), Handle::current());
    let work = app.tracker.spawn_blocking(move || {
        let _held = at_work;
        let analysis = runtime.block_on(of_log(again.ports.log.as_ref(), session, Range::ALL))?;
        let (generation, seq) = (analysis.generation, analysis.to);
        let summary = Summary::of(&analysis);
        again.histories.remember(session, (generation, seq, summary.clone()));
        Ok((generation, summary))
    });
    let done: Result<_, AnalysisError> = work.await.map_err(|error| error.to_string())?;
    done.map_err(|error| match error {
        // What the store says of itself is not for clients.
        AnalysisError::Store(_) | AnalysisError::Decode(_) => "its log could not be read".to_owned(),
        error => error.to_string(),
    })
}
