//! The feed of one live session: one task that follows the bus and fills the rings of all views.
//!
//! The bus is a hint. What it brings without a gap is used as it is; after a gap the log is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use psyche_core::event::{Event, Payload};
use psyche_core::port::{Live, News, NewsStream, Relation, SessionSummary, StoreError};
use psyche_core::record::Record;
use psyche_core::session::StateView;
use psyche_core::{AgentId, SessionId, UserId};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accounts::Caller;
use crate::api::views;
use crate::app::Shared;
use crate::error::{Answer, ApiError};

use super::frame;
use super::lane::{Class, Slot};
use super::link::errand;
use super::pump::{Channel, Pump};
use super::ring::{Capacity, Ring};
use super::view::View;

/// Records read from the log at once.
pub const CHUNK: usize = 500;
const TICK: Duration = Duration::from_secs(1);
/// How often the log is looked at for what other replicas append, whether the bus tells of it or not.
const LOOK: Duration = Duration::from_millis(500);
/// Live frames wait this long for others, so that one write carries them all.
const GATHER: Duration = Duration::from_millis(10);
/// Time for passes before the feed looks at its other work.
const WRITING: Duration = Duration::from_millis(100);
/// News taken before what they bring is written.
const NEWS_AT_ONCE: usize = 256;
/// A state in memory that is behind an erasure is asked for again so often, after such pauses.
const FORGETTING: usize = 500;
const FORGET_PAUSE: Duration = Duration::from_millis(10);
/// How often presence is told again to so many, and to other replicas, in ticks.
const CROWD_TICKS: u64 = 5;
/// For how long somebody is there whom another replica told of.
const PRESENT_FOR: Duration = Duration::from_secs(12);

/// A view, a place in the log with the view's last event up to it, and where the ring is awaited.
type OpenRing = (View, (u64, u64), oneshot::Sender<Result<Arc<Ring>, OpenError>>);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no such session")]
    Missing,
    #[error("the session has too many different subscriptions")]
    TooManyViews,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Feed {
    pub session: SessionId,
    pub channel: Arc<Channel>,
    rings: Mutex<HashMap<View, Arc<Ring>>>,
    open: mpsc::Sender<OpenRing>,
    people: Mutex<BTreeMap<UserId, (usize, Value)>>,
    /// Who has the session open at other replicas, and when those last said so.
    elsewhere: Mutex<BTreeMap<Uuid, (Instant, Vec<Value>)>>,
    people_changed: AtomicBool,
    /// Generation and sequence number up to which the rings are filled.
    head: Mutex<Option<(u32, u64)>>,
    snapshots: Mutex<Snapshots>,
    /// Held while a snapshot is made.
    making: tokio::sync::Mutex<()>,
    /// Cancelled when the last reader left.
    pub token: CancellationToken,
}

/// Snapshot frames of one moment, by the relation of those who see them.
#[derive(Default)]
struct Snapshots {
    /// Generation, sequence number, and the state of people's rights.
    moment: (u32, u64, u64),
    frames: Vec<(Relation, &'static str, Bytes)>,
}

/// A snapshot frame and the place in the log it stands for.
pub struct Snapshot {
    pub generation: u32,
    pub seq: u64,
    pub frame: Bytes,
}

impl Feed {
    /// Starts the feed's task.
    pub fn start(app: &Shared, session: SessionId) -> Arc<Self> {
        let (open, requests) = mpsc::channel(64);
        let feed = Arc::new(Self {
            session,
            channel: Arc::default(),
            rings: Mutex::default(),
            open,
            people: Mutex::default(),
            elsewhere: Mutex::default(),
            people_changed: AtomicBool::new(false),
            head: Mutex::default(),
            snapshots: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            token: CancellationToken::new(),
        });
        // Subscribed before the log's head is read: nothing can fall between.
        let news = app.ports.bus.subscribe(session);
        let follower = Follower {
            app: Arc::clone(app),
            pump: Pump::new(Arc::clone(&feed.channel), app.options.limits.patience()),
            feed: Arc::clone(&feed),
            news,
            pass_at: None,
            processing: BTreeSet::new(),
            log_fails: false,
        };
        app.tracker.spawn(follower.run(requests));
        feed
    }

    /// The ring of a view; made when nobody has it yet.
    pub async fn ring(&self, app: &Shared, view: &View) -> Result<Arc<Ring>, OpenError> {
        if let Some(ring) = self.rings().get(view) {
            return Ok(Arc::clone(ring));
        }
        // The view's last event before the ring may be far back. Whoever wants the view looks for it, not the feed.
        let head = match self.head() {
            Some((_, head)) => head,
            None => app.ports.log.head(self.session).await?.ok_or(OpenError::Missing)?.seq,
        };
        let at = head.saturating_sub(app.options.limits.ring_events as u64);
        let before = (at, last_in_view(app, self.session, view, at).await?);
        let (answer, ring) = oneshot::channel();
        let ended = || OpenError::Store(StoreError::Unavailable("the session's feed ended".to_owned()));
        self.open.send((view.clone(), before, answer)).await.map_err(|_| ended())?;
        ring.await.map_err(|_| ended())?
    }

    /// Where the feed stands; `None` before its first ring.
    pub fn head(&self) -> Option<(u32, u64)> {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_head(&self, head: (u32, u64)) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    /// The session as it stands, made once for all who come while it stands there.
    pub async fn snapshot(&self, app: &Shared, relation: Relation, reason: &'static str) -> Answer<Snapshot> {
        let rights = app.accounts.epoch();
        let made = || {
            let (generation, seq) = self.head()?;
            let snapshots = self.snapshots();
            let frames = Some(&snapshots.frames).filter(|_| snapshots.moment == (generation, seq, rights));
            let (_, _, frame) = frames?.iter().find(|(r, why, _)| (*r, *why) == (relation, reason))?;
            Some(Snapshot { generation, seq, frame: frame.clone() })
        };
        if let Some(snapshot) = made() {
            return Ok(snapshot);
        }
        // One at a time: whoever waited finds it made.
        let _turn = self.making.lock().await;
        if let Some(snapshot) = made() {
            return Ok(snapshot);
        }
        let (summary, state) = self.state_now(app).await?;
        let (generation, seq) = (summary.generation, summary.seq);
        let state = views::State::new(app, &summary, state).await?;
        let frame = json!({
            "type": "snapshot",
            "session_id": self.session,
            "gen": generation,
            "seq": seq,
            "session": views::SessionView::new(summary, relation),
            "state": state,
            "reason": reason,
        });
        let frame = frame::text(&frame.to_string());
        let mut snapshots = self.snapshots();
        let moment = (generation, seq, rights);
        if snapshots.moment != moment {
            *snapshots = Snapshots { moment, frames: Vec::new() };
        }
        snapshots.frames.push((relation, reason, frame.clone()));
        Ok(Snapshot { generation, seq, frame })
    }

    /// The state in memory. After an erasure the log may be ahead of it for a moment: its words are not shown any more.
    async fn state_now(&self, app: &Shared) -> Answer<(SessionSummary, StateView)> {
        for _ in 0..FORGETTING {
            let read = app.ports.engine.read(self.session, |s| (s.summary(), s.view())).await;
            let (mut summary, state) = read.map_err(ApiError::from)?;
            if let Some(row) = app.ports.directory.session(self.session).await? {
                summary.owner = row.summary.owner;
            }
            if self.head().is_none_or(|(generation, _)| summary.generation >= generation) {
                return Ok((summary, state));
            }
            tokio::time::sleep(FORGET_PAUSE).await;
        }
        Err(ApiError::unavailable("a session's state in memory is still that of a past that was erased"))
    }

    pub fn enter(&self, caller: &Caller, relation: Relation) {
        let person = json!({"user_id": caller.user_id, "username": caller.username, "relation": relation});
        let mut people = self.people();
        let first = people.is_empty();
        people.entry(caller.user_id).or_insert((0, person)).0 += 1;
        drop(people);
        self.people_changed.store(true, Ordering::Relaxed);
        if first {
            // Who comes first sees at once that they are there; the others are told with the next tick.
            self.tell_presence();
        }
    }

    pub fn leave(&self, user: UserId) {
        let mut people = self.people();
        if let Some((count, _)) = people.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                people.remove(&user);
            }
        }
        drop(people);
        self.people_changed.store(true, Ordering::Relaxed);
    }

    fn tell_presence(&self) {
        self.people_changed.store(false, Ordering::Relaxed);
        let (elsewhere, here) = (self.elsewhere(), self.people());
        let there = elsewhere.values().flat_map(|(_, people)| people);
        // Who is in both counts once, as they are here.
        let all = there.chain(here.values().map(|(_, person)| person));
        let people: BTreeMap<Option<&str>, &Value> = all.map(|person| (person["user_id"].as_str(), person)).collect();
        let users: Vec<_> = people.values().take(views::NAMED).collect();
        let frame = json!({"type": "presence", "session_id": self.session, "users": users, "count": people.len()});
        self.channel.lane.set(Slot::Presence, &frame.to_string());
    }

    /// Tells other replicas who has the session open here.
    pub fn tell_replicas(&self, app: &Shared) {
        if app.options.replicas {
            let people = self.people().values().map(|(_, person)| person.clone()).collect();
            let present = Live::Present { replica: app.me, people };
            app.ports.bus.publish(self.session, News::Live(Arc::new(present)));
        }
    }

    fn elsewhere(&self) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, (Instant, Vec<Value>)>> {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        // A replica that died says nothing any more.
        elsewhere.retain(|_, (told, _)| told.elapsed() < PRESENT_FOR);
        elsewhere
    }

    fn snapshots(&self) -> std::sync::MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rings(&self) -> std::sync::MutexGuard<'_, HashMap<View, Arc<Ring>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> std::sync::MutexGuard<'_, BTreeMap<UserId, (usize, Value)>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Follower {
    app: Shared,
    feed: Arc<Feed>,
    pump: Pump,
    news: NewsStream,
    /// When live frames that wait are written.
    pass_at: Option<Instant>,
    processing: BTreeSet<AgentId>,
    log_fails: bool,
}

impl Follower {
    async fn run(mut self, mut requests: mpsc::Receiver<OpenRing>) {
        let token = self.feed.token.clone();
        let channel = Arc::clone(&self.feed.channel);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tick = 0_u64;
        let replicas = self.app.options.replicas;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let stored = tokio::select! {
                () = token.cancelled() => return,
                _ = looks.tick(), if replicas => {
                    self.catch_up().await;
                    true
                }
                Some((view, before, answer)) = requests.recv() => {
                    let ring = self.open(view, before).await;
                    // A reader that left meanwhile does not care.
                    let _ = answer.send(ring);
                    false
                }
                news = self.news.next() => self.take_first(news).await | self.take_waiting().await,
                () = tokio::time::sleep_until(self.pass_at.unwrap_or_else(Instant::now)), if self.pass_at.is_some() => true,
                () = channel.changed() => true,
                _ = ticks.tick() => {
                    self.catch_up().await;
                    self.tell(tick);
                    self.pump.sweep();
                    tick += 1;
                    true
                }
            };
            if stored {
                self.write().await;
            }
        }
    }

    /// Writes what is new to every reader. News that come meanwhile go out with the readers still to come, and to the
    /// others in another pass: many events, few writes.
    async fn write(&mut self) {
        let begun = Instant::now();
        loop {
            self.pass_at = None;
            let mut more = false;
            self.pump.begin();
            while !self.pump.step(&self.app.metrics) {
                tokio::task::yield_now().await;
                more |= self.take_waiting().await;
            }
            if !more || self.feed.token.is_cancelled() {
                return;
            }
            if begun.elapsed() > WRITING {
                // Others wait for the feed too: ticks, and readers that want a ring.
                self.pass_at = Some(Instant::now());
                return;
            }
        }
    }

    /// What is told again and again, at a tick.
    fn tell(&self, tick: u64) {
        let crowd = self.feed.people().len() > views::NAMED;
        let again = tick.is_multiple_of(CROWD_TICKS);
        if self.feed.people_changed.load(Ordering::Relaxed) || again {
            self.feed.tell_replicas(&self.app);
        }
        if again && !self.feed.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            // Somebody there may have gone without a word.
            self.feed.people_changed.store(true, Ordering::Relaxed);
        }
        if self.feed.people_changed.load(Ordering::Relaxed) && (!crowd || tick.is_multiple_of(CROWD_TICKS)) {
            self.feed.tell_presence();
        }
        if tick.is_multiple_of(2) {
            self.tell_status();
        }
    }

    /// Takes the news that was waited for. True when something is to be written at once.
    async fn take_first(&mut self, news: Option<News>) -> bool {
        if let Some(news) = news {
            return self.take(news).await;
        }
        self.news = self.app.ports.bus.subscribe(self.feed.session);
        self.catch_up().await;
        true
    }

    /// Takes all news that are there already.
    async fn take_waiting(&mut self) -> bool {
        let mut stored = false;
        for _ in 0..NEWS_AT_ONCE {
            let Some(news) = self.news.next().now_or_never() else { break };
            stored |= self.take_first(news).await;
        }
        stored
    }

    async fn take(&mut self, news: News) -> bool {
        match news {
            News::Appended { generation, seq, events } => {
                let Some((ours, head)) = self.feed.head() else { return false };
                let follows = events.filter(|_| generation == ours).and_then(|events| {
                    let fresh = events.iter().position(|e| e.seq > head)?;
                    (events[fresh].seq == head + 1).then_some((events, fresh))
                });
                match follows {
                    Some((events, fresh)) => events[fresh..].iter().for_each(|event| self.push(event)),
                    None if generation == ours && seq <= head => return false,
                    None => self.catch_up().await,
                }
            }
            News::Live(live) => {
                if let Live::Present { replica, people } = &*live {
                    if *replica != self.app.me {
                        self.feed.elsewhere().insert(*replica, (Instant::now(), people.clone()));
                        self.feed.people_changed.store(true, Ordering::Relaxed);
                    }
                } else {
                    self.show(&live);
                }
                return false;
            }
            News::Deleted => self.gone(),
            News::Lagged => self.catch_up().await,
        }
        true
    }

    /// Fills the rings from the log, when it is ahead of them.
    async fn catch_up(&mut self) {
        let outcome = self.read_log().await;
        if let Err(error) = &outcome
            && !self.log_fails
        {
            tracing::warn!(session_id = %self.feed.session, %error, "the live feed cannot read the log; it tries again every second");
        }
        self.log_fails = outcome.is_err();
    }

    async fn read_log(&mut self) -> Result<(), StoreError> {
        let (log, session) = (Arc::clone(&self.app.ports.log), self.feed.session);
        let Some((generation, mut seq)) = self.feed.head() else { return Ok(()) };
        let Some(head) = log.head(session).await? else {
            self.gone();
            return Ok(());
        };
        if head.generation != generation {
            self.restart(head.generation, head.seq);
            return Ok(());
        }
        while seq < head.seq {
            let records = read(&self.app, session, seq, CHUNK).await?;
            let Some(last) = records.last() else { break };
            seq = last.seq;
            for record in &records {
                self.push(&decode(record)?);
            }
        }
        Ok(())
    }

    /// The session was deleted: its readers are told.
    fn gone(&mut self) {
        self.feed.channel.gone.cancel();
        self.pump.ring(errand::CATCH_UP);
    }

    /// The past itself changed: readers find other rings and ask for a snapshot. Words may have been erased, so nothing made
    /// before is kept.
    fn restart(&mut self, generation: u32, head: u64) {
        *self.feed.snapshots() = Snapshots::default();
        for ring in self.feed.rings().values() {
            ring.restart(generation, head, head);
        }
        self.feed.set_head((generation, head));
    }

    /// Encodes an event once per view.
    fn push(&mut self, event: &Event) {
        let session = self.feed.session;
        let kind = event.payload.kind();
        let mut rings = self.feed.rings();
        // A view that nobody reads any more costs nothing from here on.
        rings.retain(|_, ring| Arc::strong_count(ring) > 1);
        for (view, ring) in rings.iter() {
            if view.wants(kind) {
                ring.push(event.seq, |prev| event.frame(session, prev));
            } else {
                ring.pass(event.seq);
            }
        }
        drop(rings);
        self.feed.set_head((event.generation, event.seq));
        match &event.payload {
            Payload::TurnStarted(turn) => {
                self.processing.insert(turn.agent_id.clone());
            }
            Payload::TurnCommitted(turn) => {
                self.processing.remove(&turn.agent_id);
            }
            Payload::TurnFailed(turn) => {
                self.processing.remove(&turn.agent_id);
            }
            Payload::TurnAbandoned(turn) => {
                self.processing.remove(&turn.agent_id);
            }
            _ => {}
        }
    }

    fn show(&mut self, live: &Live) {
        let class = match live {
            Live::Delta { .. } => Class::Delta,
            Live::AgentProcessingStarted { .. } => Class::Kind("agent_processing_started"),
            Live::AgentProcessingComplete { .. } => Class::Kind("agent_processing_complete"),
            Live::Present { .. } => return,
        };
        let Ok(mut frame) = serde_json::to_value(live) else { return };
        frame["session_id"] = json!(self.feed.session);
        let after = self.feed.head().map_or(0, |(_, seq)| seq);
        self.feed.channel.lane.push(after, class, &frame.to_string());
        self.pass_at.get_or_insert_with(|| Instant::now() + GATHER);
    }

    fn tell_status(&self) {
        let ports = &self.app.ports;
        let model_works = ports.models.model(ports.models.default_model()).is_some_and(|m| m.ready().is_ok());
        let status = match (self.log_fails, model_works) {
            (true, _) => "critical",
            (false, false) => "degraded",
            (false, true) => "healthy",
        };
        let frame = json!({
            "type": "system_status",
            "session_id": self.feed.session,
            "timestamp": ports.clock.now(),
            "status": status,
            "active_agents": self.processing,
            "resource_usage": self.app.monitor.usage(ports.clock.monotonic_ms()),
        });
        self.feed.channel.lane.set(Slot::Status, &frame.to_string());
    }

    /// Makes the ring of a view, filled with the last events, at exactly the feed's head.
    async fn open(&mut self, view: View, (at, mut last): (u64, u64)) -> Result<Arc<Ring>, OpenError> {
        if let Some(ring) = self.feed.rings().get(&view) {
            return Ok(Arc::clone(ring));
        }
        let (log, session) = (Arc::clone(&self.app.ports.log), self.feed.session);
        let limits = &self.app.options.limits;
        {
            let mut rings = self.feed.rings();
            rings.retain(|_, ring| Arc::strong_count(ring) > 1);
            if rings.len() >= limits.views_per_session {
                return Err(OpenError::TooManyViews);
            }
        }
        let (generation, head) = if let Some(head) = self.feed.head() {
            head
        } else {
            let head = log.head(session).await?.ok_or(OpenError::Missing)?;
            (head.generation, head.seq)
        };
        // The log went on meanwhile, or it was rewound.
        let floor = head.saturating_sub(limits.ring_events as u64).max(at.min(head));
        if at > head {
            last = last_in_view(&self.app, session, &view, floor).await?;
        } else if floor > at {
            let passed = read(&self.app, session, at, (floor - at) as usize).await?;
            last = passed.iter().rev().find(|r| view.wants(&r.kind)).map_or(last, |r| r.seq);
        }
        let capacity = Capacity { events: limits.ring_events, bytes: limits.ring_bytes };
        let ring = Arc::new(Ring::new(capacity, generation, floor, last));
        let mut seq = floor;
        while seq < head {
            let records = read(&self.app, session, seq, (head - seq) as usize).await?;
            let Some(end) = records.last() else { break };
            seq = end.seq;
            for record in &records {
                if view.wants(&record.kind) {
                    let event = decode(record)?;
                    ring.push(record.seq, |prev| event.frame(session, prev));
                } else {
                    ring.pass(record.seq);
                }
            }
        }
        self.feed.set_head((generation, head));
        self.feed.rings().insert(view, Arc::clone(&ring));
        Ok(ring)
    }
}

pub fn decode(record: &Record) -> Result<Event, StoreError> {
    Event::decode(record).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Records of the log, counted: delivery should hardly ever need them.
pub async fn read(app: &Shared, session: SessionId, after: u64, most: usize) -> Result<Vec<Record>, StoreError> {
    app.metrics.log_reads.fetch_add(1, Ordering::Relaxed);
    app.ports.log.read(session, after, most).await
}

/// The last event of a view at or before `seq`; 0 when there is none. In the whole log it is `seq` itself.
pub async fn last_in_view(app: &Shared, session: SessionId, view: &View, seq: u64) -> Result<u64, StoreError> {
    if view.is_everything() {
        return Ok(seq);
    }
    let mut end = seq;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let records = read(app, session, start, (end - start) as usize).await?;
        if let Some(record) = records.iter().rev().find(|r| view.wants(&r.kind)) {
            return Ok(record.seq);
        }
        end = start;
    }
    Ok(0)
}
