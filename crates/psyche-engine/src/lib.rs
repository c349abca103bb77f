//! Runs minds. One task owns a running session and decides its events; everything it needs from outside is a port.

mod budgets;
mod error;
mod expiry;
mod fork;
mod forward;
mod generation;
mod interview;
mod judge;
mod leases;
mod load;
mod people;
mod quotas;
mod rerun;
mod retry;
mod step;
mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use psyche_core::cast::Cast;
use psyche_core::event::{Event, Payload, SessionCreated};
use psyche_core::measure::{MEASURES_VERSION, Vader};
use psyche_core::port::{
    Bus, ChatMessage, Clock, Directory, Embedder, EventLog, ModelCatalog, NewSession, News, Sampling, SessionSummary,
    Spent, Usage,
};
use psyche_core::prompt::{self, PROMPTS_VERSION};
use psyche_core::random::MAX_SEED;
use psyche_core::session::{Budget, Relate, Session, SessionType, TurnOrder, UserCommand};
use psyche_core::speech;
use psyche_core::words::{Hash, Salts, Subject, Words};
use psyche_core::{OwnerId, SessionId, TenantId, UserId};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use budgets::Budgets;
use task::Place;

pub use error::EngineError;
pub use expiry::Expired;
pub use fork::ForkDraft;
pub use interview::Answered;
pub use judge::Judged;
pub use load::{Loaded, fold};
pub use rerun::{Difference, Rerun};
pub use retry::delay as retry_delay;

/// What the engine needs from outside.
#[derive(Clone)]
pub struct Ports {
    pub log: Arc<dyn EventLog>,
    pub directory: Arc<dyn Directory>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub models: Arc<dyn ModelCatalog>,
    pub vader: Arc<Vader>,
    /// Measures go by words alone without one.
    pub embedder: Option<Arc<dyn Embedder>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// How the engine works. The defaults are those of a real installation.
#[derive(Clone, Debug)]
pub struct Options {
    pub lease_ms: u64,
    pub renew_every: Duration,
    /// How often to look for sessions that nobody drives; `None`: never, for a program that came for one session.
    pub claim_every: Option<Duration>,
    /// Whether others may append to the log: that is looked for, and commands for sessions of other engines are passed on.
    pub replicas: bool,
    /// A session that is not running leaves memory after this long without a command.
    pub idle: Duration,
    /// Events between snapshots of the state.
    pub snapshot_every: u64,
    /// A running or paused session that nobody asked anything of for this long is paused; `None`: never.
    pub expire_after: Option<Duration>,
    /// How often to look for such sessions.
    pub expire_every: Duration,
    /// First pause before a failed turn is tried again; it doubles with each attempt.
    pub retry_base: Duration,
    /// Whether interviews are charged to people's budgets; a program that only reads cannot.
    pub charge_answers: bool,
    /// What a user may spend on models who has no budget of their own.
    pub user_budget: Budget,
    /// Sessions a user may own.
    pub sessions_per_user: u64,
    /// Forks a session may have.
    pub forks_per_session: u64,
    /// Events of a log at which its session is paused for good.
    pub events_per_session: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_ms: 10_000,
            renew_every: Duration::from_secs(3),
            claim_every: Some(Duration::from_secs(2)),
            replicas: false,
            idle: Duration::from_mins(2),
            snapshot_every: 500,
            expire_after: None,
            expire_every: Duration::from_mins(1),
            retry_base: Duration::from_secs(1),
            charge_answers: true,
            user_budget: Budget::default(),
            sessions_per_user: 1_000,
            forks_per_session: 100,
            events_per_session: 1_000_000,
        }
    }
}

/// A session to be created.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub name: String,
    pub session_type: SessionType,
    pub owner: UserId,
    pub cast: Cast,
    /// The cast's own when absent.
    pub situation: Option<String>,
    /// Drawn when absent; below 2^53.
    pub seed: Option<u64>,
    /// The installation's default when absent.
    pub model: Option<String>,
    pub turn_order: TurnOrder,
    pub pacing_ms: u64,
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub tags: Vec<String>,
}

/// Exactly what an agent saw before it spoke.
#[derive(Clone, Debug, Serialize)]
pub struct Context {
    pub messages: Vec<ChatMessage>,
    pub event_seqs: Vec<u64>,
    pub sampling: Sampling,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub seed: u64,
    pub prompt_digest: Hash,
}

pub(crate) enum Mail {
    Command(UserCommand, oneshot::Sender<Result<u64, EngineError>>),
    Order(Order),
}

/// What the engine itself asks of a session.
pub(crate) enum Order {
    /// The lease is lost: another owner decides now.
    Fenced,
    /// Another engine has appended something.
    Look,
    /// Words were erased: what is remembered of them is forgotten. Answered when it is.
    Forget(oneshot::Sender<()>),
    /// Paused when nobody touched it for so many milliseconds; answered with whether it was.
    Expire(u64, oneshot::Sender<bool>),
    /// Somebody belongs to it otherwise than before; answered when that is in the log.
    Relate(Relate, oneshot::Sender<Result<(), EngineError>>),
}

/// A session that lives in memory.
#[derive(Clone)]
pub(crate) struct Resident {
    pub mailbox: mpsc::Sender<Mail>,
    pub state: Arc<RwLock<Session>>,
    pub token: CancellationToken,
}

pub(crate) struct Inner {
    pub ports: Ports,
    pub options: Options,
    pub owner: OwnerId,
    pub residents: Mutex<HashMap<SessionId, Resident>>,
    pub budgets: Budgets,
    /// Held while a session is counted and created.
    pub creating: tokio::sync::Mutex<()>,
    /// Held while a session is claimed and loaded.
    pub taking_up: tokio::sync::Mutex<()>,
    pub tracker: TaskTracker,
    /// No new turns once this is cancelled.
    pub closing: CancellationToken,
    /// Turns under way are abandoned once this is cancelled.
    pub closed: CancellationToken,
    pub running: AtomicUsize,
    /// Whether no session is to be brought to memory that is not there.
    pub short_of_memory: AtomicBool,
    /// Interviews that may begin now.
    pub interviews: tokio::sync::Semaphore,
    /// What interviews have spent of sessions' budgets.
    pub asked: Mutex<HashMap<SessionId, Spent>>,
    /// Tells of sessions that were paused because nobody touched them.
    pub expired: broadcast::Sender<Expired>,
}

/// The engine's handle: cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("owner", &self.inner.owner).finish_non_exhaustive()
    }
}

impl Inner {
    pub fn residents(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Resident>> {
        self.residents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Spent>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a shared state; a reader that panicked has changed nothing.
pub(crate) fn peek(state: &RwLock<Session>) -> std::sync::RwLockReadGuard<'_, Session> {
    state.read().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Starts the engine; it takes up sessions that nobody drives and that were running, or in which a command waits. Call
    /// within a tokio runtime.
    pub fn start(ports: Ports, options: Options) -> Self {
        let owner = OwnerId(ports.clock.uuid());
        let inner = Arc::new(Inner {
            ports,
            options,
            owner,
            residents: Mutex::default(),
            budgets: Budgets::default(),
            creating: tokio::sync::Mutex::default(),
            taking_up: tokio::sync::Mutex::default(),
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            running: AtomicUsize::new(0),
            short_of_memory: AtomicBool::new(false),
            interviews: tokio::sync::Semaphore::new(interview::AT_ONCE),
            asked: Mutex::default(),
            expired: broadcast::Sender::new(expiry::REMEMBERED),
        });
        inner.tracker.spawn(leases::renew(Arc::clone(&inner)));
        if let Some(every) = inner.options.claim_every {
            inner.tracker.spawn(leases::take_up(Arc::clone(&inner), every));
        }
        if inner.options.replicas {
            inner.tracker.spawn(leases::follow(Arc::clone(&inner)));
        }
        if let Some(after) = inner.options.expire_after {
            inner.tracker.spawn(expiry::watch(Arc::clone(&inner), after));
        }
        Self { inner }
    }

    /// Sessions that are paused from now on because nobody touched them. A listener that is far behind loses the oldest.
    pub fn expirations(&self) -> broadcast::Receiver<Expired> {
        self.inner.expired.subscribe()
    }

    /// While it is, sessions that are in memory go on, and no other one is brought there: neither for a command, which fails with
    /// [`EngineError::ShortOfMemory`], nor because nobody drives it.
    pub fn short_of_memory(&self, short: bool) {
        self.inner.short_of_memory.store(short, Ordering::Relaxed);
    }

    pub fn is_short_of_memory(&self) -> bool {
        self.inner.short_of_memory.load(Ordering::Relaxed)
    }

    /// Creates a session; it waits for `start`.
    pub async fn create(&self, new: NewRun) -> Result<SessionSummary, EngineError> {
        let Ports { clock, models, log, .. } = &self.inner.ports;
        let invalid = |field: &'static str, message: String| EngineError::Invalid { field, message };
        let name = speech::plain(&new.name);
        if name.is_empty() || name.chars().count() > 200 {
            return Err(invalid("name", "must have 1 to 200 characters".to_owned()));
        }
        if let Some(error) = new.cast.validate().into_iter().next() {
            return Err(invalid("cast", error.to_string()));
        }
        let situation = speech::plain(new.situation.as_deref().unwrap_or(&new.cast.situation));
        if situation.len() > psyche_core::session::MAX_TEXT_BYTES {
            return Err(invalid("situation", "has more than 8192 bytes".to_owned()));
        }
        if new.max_rounds == Some(0) {
            return Err(invalid("max_rounds", "must be at least 1, or absent for no limit".to_owned()));
        }
        let mut entropy = clock.entropy();
        let drawn = u64::from_be_bytes(std::array::from_fn(|i| entropy[i])) & MAX_SEED;
        entropy = clock.entropy();
        let seed = new.seed.unwrap_or(drawn);
        if seed > MAX_SEED {
            return Err(invalid("seed", format!("is {seed}, must be at most {MAX_SEED}")));
        }
        let model = new.model.unwrap_or_else(|| models.default_model().to_owned());
        let Some(card) = models.model(&model).map(|m| m.card().clone()) else {
            let ids: Vec<_> = models.models().iter().map(|m| m.card().id.clone()).collect();
            return Err(invalid("model", format!("there is no model {model:?}; there are {}", ids.join(", "))));
        };
        let mut salts = Salts::fresh(entropy);
        let owner = Subject::User(new.owner);
        let author = self.author(&new.cast, new.owner).await?;
        let situation_of = if new.situation.is_some() { owner } else { author };
        let created = SessionCreated {
            name: Words::new(name, owner, &mut salts),
            session_type: new.session_type,
            owner: new.owner,
            cast_words: Some(SessionCreated::cast_words(&new.cast, author, &mut salts)),
            cast: Box::new(new.cast),
            situation: Words::new(situation, situation_of, &mut salts),
            seed,
            model,
            determinism: card.determinism,
            turn_order: new.turn_order,
            pacing_ms: new.pacing_ms,
            max_rounds: new.max_rounds,
            budget: new.budget,
            tags: new.tags.into_iter().map(|tag| Words::new(tag, owner, &mut salts)).collect(),
            measures_version: MEASURES_VERSION,
            prompts_version: PROMPTS_VERSION,
        };
        let id = SessionId(clock.uuid());
        let event = Event { generation: 1, seq: 1, at: clock.now(), payload: Payload::SessionCreated(created.clone()) };
        let mut session = Session::new(id, &event, &created);
        let record = event.record(&Hash::ZERO, 0);
        session.apply_record(&record, &event);
        let mut records = vec![record];
        if new.session_type != SessionType::SingleUser {
            records.extend(self.owner_joins(&mut session).await?);
        }
        let summary = session.summary();
        let _counted = self.room_for(new.owner, None).await?;
        log.create(NewSession { row: session.row(TenantId::DEFAULT), records }).await?;
        Ok(summary)
    }

    /// Takes up a session whose log was made elsewhere.
    pub async fn take_in(&self, new: NewSession) -> Result<(), EngineError> {
        let _counted = self.room_for(new.row.summary.owner, None).await?;
        Ok(self.inner.ports.log.create(new).await?)
    }

    /// Whose words the texts of a cast are: nobody's for the built-in one, its owner's for one that is stored, else those
    /// of who brings it along.
    async fn author(&self, cast: &Cast, creator: UserId) -> Result<Subject, EngineError> {
        if *cast == Cast::jungian() {
            return Ok(Subject::Session);
        }
        let owner = cast.owner.as_deref().and_then(|owner| owner.parse().ok());
        let Some(owner) = owner.filter(|owner| *owner != creator) else { return Ok(Subject::User(creator)) };
        // Anybody can write a name into a cast: what is stored under it counts.
        let stored = self.inner.ports.directory.cast(TenantId::DEFAULT, &cast.id).await?;
        Ok(Subject::User(if stored.is_some_and(|stored| stored == *cast) { owner } else { creator }))
    }

    /// Stores a command and decides it. Returns the `seq` of its `command_received`; the same id gives the same `seq`.
    pub async fn submit(&self, session: SessionId, command: UserCommand) -> Result<u64, EngineError> {
        // A task that is just leaving closes its mailbox: ask its successor.
        for _ in 0..3 {
            let resident = match task::place(&self.inner, session).await? {
                Place::Here(resident) => resident,
                Place::Elsewhere(_) if self.inner.options.replicas => {
                    return forward::forward(&self.inner, session, command).await;
                }
                Place::Elsewhere(until) => {
                    return Err(EngineError::Unavailable(format!("another replica drives this session until {until}")));
                }
            };
            quotas::room_in(&self.inner.options, &peek(&resident.state), &command.action)?;
            let (answer, result) = oneshot::channel();
            match resident.mailbox.try_send(Mail::Command(command.clone(), answer)) {
                Ok(()) => {
                    if let Ok(result) = result.await {
                        return result;
                    }
                }
                Err(mpsc::error::TrySendError::Full(_)) => return Err(EngineError::Busy),
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
            // Its successor may need a moment to come.
            resident.mailbox.closed().await;
        }
        Err(EngineError::Unavailable("the session is changing hands; try again".to_owned()))
    }

    /// Looks at a session's current state.
    pub async fn read<T>(&self, session: SessionId, look: impl FnOnce(&Session) -> T + Send) -> Result<T, EngineError> {
        let resident = self.inner.residents().get(&session).cloned();
        if let Some(resident) = resident {
            return Ok(look(&peek(&resident.state)));
        }
        let loaded = load::load(self.inner.ports.log.as_ref(), session, u64::MAX).await?;
        Ok(look(&loaded.session))
    }

    /// The state after event `seq`.
    pub async fn at(&self, session: SessionId, seq: u64) -> Result<Session, EngineError> {
        Ok(load::load(self.inner.ports.log.as_ref(), session, seq).await?.session)
    }

    /// Exactly what the agent saw that spoke the utterance `seq`.
    pub async fn context(&self, session: SessionId, seq: u64) -> Result<Context, EngineError> {
        let log = self.inner.ports.log.as_ref();
        let spoken = load::event(log, session, seq).await?.ok_or(EngineError::NotFound)?;
        let Payload::AgentMessage(message) = spoken.payload else { return Err(EngineError::NotFound) };
        let (turn, attempt) = (message.metadata.turn, message.metadata.attempt);
        let started = load::find_turn(log, session, seq, turn, attempt).await?.ok_or(EngineError::NotFound)?;
        let before = self.at(session, started.seq - 1).await?;
        let (prompt, started) = prompt::of_turn(&before, &started).ok_or(EngineError::NotFound)?;
        if prompt.digest() != started.prompt_digest {
            return Err(EngineError::Corrupt(
                "the prompt of this turn cannot be built again: words in it were erased, or another version of the program wrote it".to_owned(),
            ));
        }
        Ok(Context {
            messages: prompt.messages,
            event_seqs: started.event_seqs,
            sampling: Sampling { stop: prompt.stop, ..started.sampling },
            model: started.model,
            opener: started.opener.map(|opener| opener.as_str().to_owned()),
            usage: message.metadata.usage,
            seed: started.seed,
            prompt_digest: started.prompt_digest,
        })
    }

    /// Ends a session's task and removes the session.
    pub async fn delete(&self, session: SessionId) -> Result<(), EngineError> {
        let resident = self.inner.residents().remove(&session);
        if let Some(resident) = resident {
            resident.token.cancel();
            resident.mailbox.closed().await;
        }
        self.inner.ports.log.delete(session).await?;
        self.inner.asked().remove(&session);
        self.inner.ports.bus.publish(session, News::Deleted);
        Ok(())
    }

    /// Erases a subject's words, in one session or everywhere (docs/adr/0003), and has everybody here forget them: states in
    /// memory are read anew, model calls that were asked with them are abandoned, and readers are told. Returns the
    /// sessions in which something was erased.
    pub async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, EngineError> {
        let Ports { log, bus, .. } = &self.inner.ports;
        let touched = log.erase(session, subject).await?;
        // Whoever is being loaded just now ends loading first; what was read before the erasure is read again.
        let turn = self.inner.taking_up.lock().await;
        let residents = self.inner.residents().clone();
        drop(turn);
        for id in &touched {
            if let Some(resident) = residents.get(id) {
                let (forgotten, done) = oneshot::channel();
                // A task that ends meanwhile has nothing left to forget.
                if resident.mailbox.send(Mail::Order(Order::Forget(forgotten))).await.is_ok() {
                    let _ = done.await;
                }
            }
            if let Some(head) = log.head(*id).await? {
                bus.publish(*id, News::Appended { generation: head.generation, seq: head.seq, events: None });
            }
        }
        Ok(touched)
    }

    /// What a user may spend on models who has no budget of their own.
    pub fn user_budget(&self) -> Budget {
        self.inner.options.user_budget
    }

    /// Sessions this engine drives at present.
    pub fn running(&self) -> usize {
        self.inner.running.load(Ordering::Relaxed)
    }

    /// Begins no more turns, lets those under way end within `grace`, abandons the rest, and gives the leases back.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.closing.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(grace, self.inner.tracker.wait()).await.is_err() {
            self.inner.closed.cancel();
            self.inner.tracker.wait().await;
        }
    }
}
