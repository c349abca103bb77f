//! An engine over the real adapters, with scripted models and a real clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use psyche_bus::LocalBus;
use psyche_core::cast::Cast;
use psyche_core::event::{Event, Payload};
use psyche_core::measure::Vader;
use psyche_core::port::{Clock, Directory, EventLog, LanguageModel, ModelCatalog, News, NewsStream};
use psyche_core::record::{Checker, Record};
use psyche_core::session::{Action, Budget, SessionStatus, SessionType, TurnOrder, UserCommand};
use psyche_core::{CommandId, SessionId, Timestamp, UserId};
use psyche_engine::{Engine, EngineError, NewRun, Options, Ports, Rerun};

pub const PERSON: UserId = UserId(uuid::Uuid::from_u128(7));

#[derive(Debug)]
pub struct RealClock(Instant);

impl RealClock {
    #[expect(clippy::disallowed_methods, reason = "the tests' own home of the clock")]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "the tests' own home of the clock")]
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64)
    }
    fn monotonic_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        bytes
    }
}

/// Models by id.
pub struct Models(pub BTreeMap<String, Arc<dyn LanguageModel>>);

impl ModelCatalog for Models {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.get(id).cloned()
    }
    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.0.values().cloned().collect()
    }
    fn default_model(&self) -> &'static str {
        "scripted"
    }
}

pub struct World {
    pub ports: Ports,
}

impl World {
    pub fn new<S: EventLog + Directory + 'static>(store: Arc<S>, model: impl LanguageModel + 'static) -> Self {
        let model: Arc<dyn LanguageModel> = Arc::new(model);
        Self {
            ports: Ports {
                log: store.clone(),
                directory: store,
                bus: Arc::new(LocalBus::new()),
                clock: Arc::new(RealClock::new()),
                models: Arc::new(Models(BTreeMap::from([("scripted".to_owned(), model)]))),
                vader: Arc::new(Vader::new()),
                embedder: None,
            },
        }
    }

    pub fn engine(&self) -> Engine {
        self.engine_with(10_000)
    }

    pub fn engine_with(&self, lease_ms: u64) -> Engine {
        let options = Options {
            lease_ms,
            renew_every: Duration::from_millis((lease_ms / 3).max(5)),
            claim_every: Some(Duration::from_millis(20)),
            retry_base: Duration::from_millis(1),
            forks_per_session: 100_000,
            ..Options::default()
        };
        Engine::start(self.ports.clone(), options)
    }

    pub async fn records(&self, id: SessionId) -> Vec<Record> {
        self.ports.log.read(id, 0, 1_000_000).await.unwrap()
    }

    pub async fn events(&self, id: SessionId) -> Vec<Event> {
        self.records(id).await.iter().map(|r| Event::decode(r).unwrap()).collect()
    }

    /// The log is whole: chain, epochs, one commit a turn, and the engine gives it again.
    pub async fn check(&self, id: SessionId) {
        let records = self.records(id).await;
        let mut checker = Checker::default();
        let mut rerun = Rerun::new(id, &self.ports.vader);
        let mut turns = std::collections::BTreeSet::new();
        for record in records {
            checker.check(&record).unwrap();
            if let Some(turn) = record.committed_turn {
                assert!(turns.insert(turn), "turn {turn} was committed twice");
            }
            rerun.feed(record).unwrap();
        }
        rerun.finish().unwrap();
    }

    pub fn follow(&self, id: SessionId) -> NewsStream {
        self.ports.bus.subscribe(id)
    }
}

pub fn run(turn_order: TurnOrder, max_rounds: Option<u64>) -> NewRun {
    NewRun {
        name: "A test".to_owned(),
        session_type: SessionType::SingleUser,
        owner: PERSON,
        cast: Cast::jungian(),
        situation: None,
        seed: Some(11),
        model: None,
        turn_order,
        pacing_ms: 0,
        max_rounds,
        budget: Budget::default(),
        tags: Vec::new(),
    }
}

pub async fn send(engine: &Engine, id: SessionId, name: &str, action: Action) -> Result<u64, EngineError> {
    engine.submit(id, UserCommand { id: CommandId::new(name), actor: PERSON, action }).await
}

/// Waits until an event satisfies `wanted`; gives all events seen.
pub async fn until(news: &mut NewsStream, wanted: impl Fn(&Payload) -> bool) -> Vec<Event> {
    let mut seen: Vec<Event> = Vec::new();
    let search = async {
        while let Some(item) = news.next().await {
            if let News::Appended { events: Some(events), .. } = item {
                seen.extend(events.iter().cloned());
                if events.iter().any(|e| wanted(&e.payload)) {
                    return;
                }
            }
        }
        panic!("the feed ended");
    };
    tokio::time::timeout(Duration::from_secs(20), search).await.expect("it should have happened by now");
    seen
}

pub fn is_status(status: SessionStatus) -> impl Fn(&Payload) -> bool {
    move |p| matches!(p, Payload::SessionStatusChanged(c) if c.status == status)
}
