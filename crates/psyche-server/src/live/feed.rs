//! The feed of one live session: one task that follows the bus and fills the rings of all views.
//!
//! The bus is a hint. What it brings without a gap is used as it is; after a gap the log is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{Live, News, NewsStream, Relation, StoreError};
use psyche_core::record::Record;
use psyche_core::{AgentId, SessionId, UserId};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::accounts::Caller;
use crate::app::Shared;

use super::lane::{Class, Lane, Slot};
use super::ring::{Capacity, Ring};
use super::view::View;

/// Records read from the log at once.
pub const CHUNK: usize = 500;
const TICK: Duration = Duration::from_secs(1);

/// What is never stored, and the signal that something new is there.
pub struct Channel {
    pub lane: Lane,
    changed: watch::Sender<u64>,
}

impl Default for Channel {
    fn default() -> Self {
        Self { lane: Lane::default(), changed: watch::channel(0).0 }
    }
}

impl Channel {
    pub fn wake(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

type OpenRing = (View, oneshot::Sender<Result<Arc<Ring>, OpenError>>);

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
    /// Cancelled when the last reader left.
    pub token: CancellationToken,
    /// Cancelled when the session was deleted.
    pub gone: CancellationToken,
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
            token: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        // Subscribed before the log's head is read: nothing can fall between.
        let news = app.ports.bus.subscribe(session);
        let follower = Follower {
            app: Arc::clone(app),
            feed: Arc::clone(&feed),
            news,
            head: None,
            processing: BTreeSet::new(),
            log_fails: false,
        };
        app.tracker.spawn(follower.run(requests));
        feed
    }

    /// The ring of a view; made when nobody has it yet.
    pub async fn ring(&self, view: &View) -> Result<Arc<Ring>, OpenError> {
        if let Some(ring) = self.rings().get(view) {
            return Ok(Arc::clone(ring));
        }
        let (answer, ring) = oneshot::channel();
        let ended = || OpenError::Store(StoreError::Unavailable("the session's feed ended".to_owned()));
        self.open.send((view.clone(), answer)).await.map_err(|_| ended())?;
        ring.await.map_err(|_| ended())?
    }

    pub fn enter(&self, caller: &Caller, relation: Relation) {
        let person = json!({"user_id": caller.user_id, "username": caller.username, "relation": relation});
        self.people().entry(caller.user_id).or_insert((0, person)).0 += 1;
        self.announce();
    }

    pub fn leave(&self, user: UserId) {
        {
            let mut people = self.people();
            if let Some((count, _)) = people.get_mut(&user) {
                *count -= 1;
                if *count == 0 {
                    people.remove(&user);
                }
            }
        }
        self.announce();
    }

    fn announce(&self) {
        let users: Vec<_> = self.people().values().map(|(_, person)| person.clone()).collect();
        let frame = json!({"type": "presence", "session_id": self.session, "users": users});
        self.channel.lane.set(Slot::Presence, frame.to_string());
        self.channel.wake();
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
    news: NewsStream,
    /// Generation and sequence number up to which the rings are filled.
    head: Option<(u32, u64)>,
    processing: BTreeSet<AgentId>,
    log_fails: bool,
}

impl Follower {
    async fn run(mut self, mut requests: mpsc::Receiver<OpenRing>) {
        let token = self.feed.token.clone();
        let mut ticks = tokio::time::interval(TICK);
        let mut tick = 0_u64;
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                Some((view, answer)) = requests.recv() => {
                    let ring = self.open(view).await;
                    // A reader that left meanwhile does not care.
                    let _ = answer.send(ring);
                }
                news = self.news.next() => if let Some(news) = news {
                    self.take(news).await;
                } else {
                        self.news = self.app.ports.bus.subscribe(self.feed.session);
                        self.catch_up().await;
                },
                _ = ticks.tick() => {
                    self.catch_up().await;
                    if tick.is_multiple_of(2) {
                        self.tell_status();
                    }
                    tick += 1;
                }
            }
        }
    }

    async fn take(&mut self, news: News) {
        match news {
            News::Appended { generation, seq, events } => {
                let Some((ours, head)) = self.head else { return };
                let follows = events.filter(|_| generation == ours).and_then(|events| {
                    let fresh = events.iter().position(|e| e.seq > head)?;
                    (events[fresh].seq == head + 1).then_some((events, fresh))
                });
                match follows {
                    Some((events, fresh)) => {
                        for event in &events[fresh..] {
                            self.push(event);
                        }
                        self.feed.channel.wake();
                    }
                    None if generation == ours && seq <= head => {}
                    None => self.catch_up().await,
                }
            }
            News::Live(live) => self.show(&live),
            News::Deleted => self.feed.gone.cancel(),
            News::Lagged => self.catch_up().await,
        }
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
        let Some((generation, mut seq)) = self.head else { return Ok(()) };
        let Some(head) = log.head(session).await? else {
            self.feed.gone.cancel();
            return Ok(());
        };
        if head.generation != generation {
            self.restart(head.generation, head.seq);
            return Ok(());
        }
        while seq < head.seq {
            let records = log.read(session, seq, CHUNK).await?;
            let Some(last) = records.last() else { break };
            seq = last.seq;
            for record in &records {
                self.push(&decode(record)?);
            }
            self.feed.channel.wake();
        }
        Ok(())
    }

    /// The past itself changed: readers find other rings and ask for a snapshot.
    fn restart(&mut self, generation: u32, head: u64) {
        for ring in self.feed.rings().values() {
            ring.restart(generation, head, head);
        }
        self.head = Some((generation, head));
        self.feed.channel.wake();
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
        self.head = Some((event.generation, event.seq));
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

    fn show(&self, live: &Live) {
        let class = match live {
            Live::Delta { .. } => Class::Delta,
            Live::AgentProcessingStarted { .. } => Class::Kind("agent_processing_started"),
            Live::AgentProcessingComplete { .. } => Class::Kind("agent_processing_complete"),
        };
        let Ok(mut frame) = serde_json::to_value(live) else { return };
        frame["session_id"] = json!(self.feed.session);
        let after = self.head.map_or(0, |(_, seq)| seq);
        self.feed.channel.lane.push(after, class, frame.to_string());
        self.feed.channel.wake();
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
        self.feed.channel.lane.set(Slot::Status, frame.to_string());
        self.feed.channel.wake();
    }

    /// Makes the ring of a view, filled with the last events, at exactly the feed's head.
    async fn open(&mut self, view: View) -> Result<Arc<Ring>, OpenError> {
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
        let (generation, head) = if let Some(head) = self.head {
            head
        } else {
            let head = log.head(session).await?.ok_or(OpenError::Missing)?;
            (head.generation, head.seq)
        };
        let floor = head.saturating_sub(limits.ring_events as u64);
        let last = last_in_view(self.app.ports.log.as_ref(), session, &view, floor).await?;
        let capacity = Capacity { events: limits.ring_events, bytes: limits.ring_bytes };
        let ring = Arc::new(Ring::new(capacity, generation, floor, last));
        let mut seq = floor;
        while seq < head {
            let most = CHUNK.min((head - seq) as usize);
            let records = log.read(session, seq, most).await?;
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
        self.head = Some((generation, head));
        self.feed.rings().insert(view, Arc::clone(&ring));
        Ok(ring)
    }
}

pub fn decode(record: &Record) -> Result<Event, StoreError> {
    Event::decode(record).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// The last event of a view at or before `seq`; 0 when there is none. In the whole log it is `seq` itself.
pub async fn last_in_view(
    log: &dyn psyche_core::port::EventLog,
    session: SessionId,
    view: &View,
    seq: u64,
) -> Result<u64, StoreError> {
    if view.is_everything() {
        return Ok(seq);
    }
    let mut end = seq;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let records = log.read(session, start, (end - start) as usize).await?;
        if let Some(record) = records.iter().rev().find(|r| view.wants(&r.kind)) {
            return Ok(record.seq);
        }
        end = start;
    }
    Ok(0)
}
