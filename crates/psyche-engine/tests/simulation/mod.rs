//! Deterministic simulation (docs/reliability.md): real engines on one runtime whose clock is simulated, sharing one store.
//! Each call of a port is a step, and seeded dice decide what becomes of it. After a storm of faults comes a calm, in which
//! every session must make progress; then the log, the answers people got and the models' memory are held against each
//! other. The same seed gives the same world, byte for byte.

mod check;
mod directory;
mod history;
mod model;
mod people;
mod store;
mod wire;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use psyche_bus::LocalBus;
use psyche_core::cast::Cast;
use psyche_core::event::Payload;
use psyche_core::measure::Vader;
use psyche_core::port::{Directory as _, EventLog as _};
use psyche_core::session::{Budget, SessionStatus, SessionType, TurnOrder};
use psyche_core::words::Hash;
use psyche_core::{SessionId, UserId};
use psyche_engine::{Engine, NewRun, Options, Ports};
use psyche_store::memory::MemoryStore;
use tokio::sync::mpsc;

use directory::{Directory, SharedBus, SimClock};
use history::History;
use model::Models;
use people::Person;
use store::Log;
use wire::{Cry, Dice, Replica, Weather, Wire};

pub use store::Flaw;

/// A session makes progress this long after faults end (I9).
const PROGRESS: Duration = Duration::from_secs(30);
/// A storm that takes longer than this of simulated time has stopped by itself.
const LONGEST: Duration = Duration::from_hours(1);

/// A world to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Calls of ports until faults end.
    pub steps: u64,
    /// Whether faults strike at all.
    pub faults: bool,
    pub flaw: Flaw,
    /// Whether the story is told.
    pub traced: bool,
}

impl Plan {
    pub fn new(seed: u64, steps: u64) -> Self {
        Self { seed, steps, faults: true, flaw: Flaw::None, traced: false }
    }
}

/// What became of a world.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub violations: Vec<String>,
    /// Head of every session's log.
    pub heads: Vec<(u64, Hash)>,
    pub steps: u64,
    /// Simulated milliseconds.
    pub time_ms: u64,
    pub counts: BTreeMap<&'static str, u64>,
    pub trace: Vec<String>,
}

/// Simulates a world, on this thread.
pub fn run(plan: Plan, vader: &Arc<Vader>) -> Outcome {
    WATCH.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            print(panic);
        }));
    });
    let before = PANICS.get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut outcome = runtime.block_on(simulate(plan, Arc::clone(vader)));
    if PANICS.get() > before {
        outcome.violations.push("I8: something panicked".to_owned());
    }
    outcome
}

static WATCH: Once = Once::new();
thread_local! {
    /// Panics on this thread, whoever caught them.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// A process and its engine.
#[derive(Clone)]
struct Slot {
    replica: Arc<Replica>,
    engine: Engine,
}

struct World {
    plan: Plan,
    wire: Arc<Wire>,
    store: MemoryStore,
    bus: LocalBus,
    vader: Arc<Vader>,
    history: Arc<History>,
    options: Options,
    sessions: Vec<SessionId>,
    owners: Vec<UserId>,
    slots: Mutex<Vec<Slot>>,
    started: Mutex<usize>,
}

impl World {
    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts another process.
    fn start(&self) -> Slot {
        let id = {
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            *started += 1;
            *started
        };
        let replica = Replica::new(id, Arc::clone(&self.wire));
        let dice = Dice::new(self.plan.seed, 100 + id as u64);
        let ports = Ports {
            log: Arc::new(Log {
                store: self.store.clone(),
                replica: Arc::clone(&replica),
                history: Arc::clone(&self.history),
                flaw: self.plan.flaw,
            }),
            directory: Arc::new(Directory { store: self.store.clone(), replica: Arc::clone(&replica) }),
            bus: Arc::new(SharedBus { bus: self.bus.clone(), replica: Arc::clone(&replica) }),
            clock: Arc::new(SimClock::new(&self.wire, dice, 600)),
            models: Arc::new(Models::new(self.owners.len(), &replica, &self.history, self.plan.faults)),
            vader: Arc::clone(&self.vader),
            embedder: None,
        };
        let engine = Engine::start(ports, self.options.clone());
        self.wire.tell(|| format!("replica {id} starts"));
        let slot = Slot { replica, engine };
        self.slots().push(slot.clone());
        slot
    }

    /// A process that lives, whichever.
    fn any(&self) -> Option<(Arc<Replica>, Engine)> {
        let slots = self.slots();
        let alive: Vec<&Slot> = slots.iter().filter(|slot| !slot.replica.dead.is_cancelled()).collect();
        if alive.is_empty() {
            return None;
        }
        let slot = alive[self.wire.draw(|dice| dice.below(alive.len() as u64)) as usize];
        Some((Arc::clone(&slot.replica), slot.engine.clone()))
    }

    fn alive(&self) -> Vec<Slot> {
        self.slots().iter().filter(|slot| !slot.replica.dead.is_cancelled()).cloned().collect()
    }

    /// Turns of a session that are committed in the log.
    fn commits(&self, session: SessionId) -> u64 {
        self.history.commits(session)
    }

    async fn is_running(&self, session: SessionId) -> bool {
        let row = self.store.session(session).await.unwrap();
        row.is_some_and(|row| row.summary.status == SessionStatus::Running)
    }

    /// Replaces processes that died or were asked to end.
    async fn supervise(self: Arc<Self>, mut cries: mpsc::UnboundedReceiver<Cry>, mut dice: Dice) {
        while let Some(cry) = cries.recv().await {
            let world = Arc::clone(&self);
            let (pause, returns) = (dice.ms(0, 15_000), dice.odds(8_000));
            let grace = dice.ms(0, 20_000);
            self.wire.tracker.spawn(async move {
                match cry {
                    Cry::Died(id) => {
                        world.wire.tell(|| format!("replica {id} dies"));
                        world.slots().retain(|slot| slot.replica.id != id);
                        world.wire.wait(pause).await;
                        if returns || world.alive().is_empty() {
                            world.start();
                        }
                    }
                    Cry::Terminated(id) => {
                        let slot = world.slots().iter().find(|slot| slot.replica.id == id).cloned();
                        let Some(slot) = slot.filter(|_| !world.wire.calm.is_cancelled()) else { return };
                        world.wire.tell(|| format!("replica {id} is asked to end"));
                        tokio::select! {
                            biased;
                            () = slot.replica.dead.cancelled() => return,
                            () = slot.engine.shutdown(grace) => {}
                        }
                        slot.replica.die();
                    }
                }
            });
        }
    }
}

/// Three that speak in a circle.
fn cast() -> Cast {
    Cast::from_toml(
        r#"
id = "three"
name = "Three"
situation = "A room."
agents = [
    { id = "a", name = "A", system_prompt = "Be A." },
    { id = "b", name = "B", system_prompt = "Be B." },
    { id = "c", name = "C", system_prompt = "Be C." },
]
paths = [{ from = "a", to = "b" }, { from = "b", to = "c" }, { from = "c", to = "a" }]
"#,
    )
    .unwrap()
}

fn run_of(session: usize, owner: UserId, seed: u64, dice: &mut Dice) -> NewRun {
    NewRun {
        name: format!("Session {session}"),
        session_type: SessionType::SingleUser,
        owner,
        cast: cast(),
        situation: None,
        seed: Some(seed & 0xffff_ffff),
        model: Some(model::id_of(session)),
        turn_order: dice.pick(&[TurnOrder::Sequential, TurnOrder::Simultaneous]),
        pacing_ms: dice.pick(&[0, 0, 300, 2_000]),
        max_rounds: None,
        budget: Budget::default(),
        tags: Vec::new(),
    }
}

async fn simulate(plan: Plan, vader: Arc<Vader>) -> Outcome {
    let mut dice = Dice::new(plan.seed, 0);
    let weather = if plan.faults { Weather::drawn(&mut dice) } else { Weather::CALM };
    let (cries, heard) = mpsc::unbounded_channel();
    let wire = Arc::new(Wire::new(plan.seed, plan.steps, weather, plan.traced, cries));
    let store = MemoryStore::new(Arc::new(SimClock::new(&wire, Dice::new(plan.seed, 2), 0)));
    let options = Options {
        replicas: true,
        idle: Duration::from_secs(dice.pick(&[3, 120])),
        snapshot_every: dice.pick(&[10, 50]),
        ..Options::default()
    };
    let count = dice.within(1, 2) as usize;
    let mut world = World {
        plan,
        wire: Arc::clone(&wire),
        store,
        bus: LocalBus::new(),
        vader,
        history: Arc::default(),
        options,
        sessions: Vec::new(),
        owners: (0..count).map(|n| UserId(uuid::Uuid::from_u128(7 + n as u128))).collect(),
        slots: Mutex::default(),
        started: Mutex::default(),
    };
    wire.tell(|| format!("{weather:?}"));
    create_sessions(&mut world, &mut dice).await;
    let world = Arc::new(world);
    wire.tracker.spawn(Arc::clone(&world).supervise(heard, Dice::new(plan.seed, 3)));
    for _ in 0..dice.within(2, 3) {
        world.start();
    }
    let mut people = tokio::task::JoinSet::new();
    for (n, (session, user)) in world.sessions.iter().zip(&world.owners).enumerate() {
        for m in 0..dice.within(1, 2) {
            let (world, session, user) = (Arc::clone(&world), *session, *user);
            let dice = Dice::new(plan.seed, 1_000 + 10 * n as u64 + m);
            people.spawn(Person { world, session, user, name: format!("person-{n}-{m}"), dice }.use_it());
        }
    }
    tokio::select! {
        biased;
        () = wire.calm.cancelled() => {}
        () = tokio::time::sleep(LONGEST) => {
            let steps = wire.steps();
            world.history.violated(format!("after an hour only {steps} steps were made: everybody waits"));
            wire.calm.cancel();
        }
    }
    wire.tell(|| "calm".to_owned());
    if world.alive().is_empty() {
        world.start();
    }
    // In some worlds nobody asks for anything any more: what was acknowledged is decided all the same.
    if Dice::new(plan.seed, 5).odds(3_000) {
        people.abort_all();
        decided(&world).await;
    }
    progress(&world).await;
    let answered = async { while people.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_mins(2), answered).await.is_err() {
        world.history.violated("two minutes after faults ended a command has no answer yet".to_owned());
    }
    // A command that was acknowledged may wait for its owner, also for one that gave the session up just now and whose lease
    // has to run out.
    decided(&world).await;
    check::world(&world).await;
    let mut heads = Vec::new();
    for session in &world.sessions {
        heads.extend(world.store.head(*session).await.unwrap().map(|head| (head.seq, head.hash)));
    }
    Outcome {
        violations: std::mem::take(&mut world.history.lock().violations),
        heads,
        steps: wire.steps(),
        time_ms: wire.elapsed().as_millis() as u64,
        counts: wire.counts(),
        trace: wire.trace(),
    }
}

/// Waits until no command waits for an owner, and no longer than that may take.
async fn decided(world: &World) {
    let begun = tokio::time::Instant::now();
    while check::waits(world).await {
        if begun.elapsed() >= PROGRESS {
            world.history.violated(format!("a command that was acknowledged waits, {PROGRESS:?} after faults ended"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Creates the sessions, before anything can go wrong.
async fn create_sessions(world: &mut World, dice: &mut Dice) {
    let (cries, _) = mpsc::unbounded_channel();
    let wire = Arc::new(Wire::new(world.plan.seed, u64::MAX, Weather::CALM, false, cries));
    let replica = Replica::new(0, Arc::clone(&wire));
    let store = Arc::new(world.store.clone());
    let ports = Ports {
        log: store.clone(),
        directory: store,
        bus: Arc::new(world.bus.clone()),
        clock: Arc::new(SimClock::new(&wire, Dice::new(world.plan.seed, 4), 0)),
        models: Arc::new(Models::new(world.owners.len(), &replica, &world.history, false)),
        vader: Arc::clone(&world.vader),
        embedder: None,
    };
    let engine = Engine::start(ports, Options { claim_every: None, ..Options::default() });
    for (n, owner) in world.owners.iter().enumerate() {
        let created = engine.create(run_of(n, *owner, world.plan.seed, dice)).await.unwrap();
        world.sessions.push(created.session_id);
    }
    engine.shutdown(Duration::ZERO).await;
}

/// In a calm every session comes to a new turn, by itself or once somebody starts it (I9).
async fn progress(world: &Arc<World>) {
    let mut insisting = tokio::task::JoinSet::new();
    for (n, (session, user)) in world.sessions.iter().zip(&world.owners).enumerate() {
        let (world, session, user) = (Arc::clone(world), *session, *user);
        let dice = Dice::new(world.plan.seed, 2_000 + n as u64);
        let mut person = Person { world, session, user, name: format!("calm-{n}"), dice };
        insisting.spawn(async move { (session, person.insist(PROGRESS).await) });
    }
    while let Some(Ok((session, took))) = insisting.join_next().await {
        let what = match took {
            // A lease, the look for free sessions, and a turn.
            Some(took) if took < Duration::from_secs(13) => "progress within 13 s",
            Some(_) => "progress within 30 s",
            None => {
                let violation = format!("I9: {session} came to no new turn within {PROGRESS:?} of calm");
                world.history.violated(violation);
                continue;
            }
        };
        world.wire.count(what);
    }
}

/// Whether a payload is something the simulation counts.
fn counted(payload: &Payload) -> Option<&'static str> {
    Some(match payload {
        Payload::TurnCommitted(_) => "turns committed",
        Payload::TurnAbandoned(_) => "turns abandoned",
        Payload::TurnFailed(_) => "turns failed",
        Payload::CommandReceived(_) => "commands received",
        Payload::CommandRefused(_) => "commands refused later",
        _ => return None,
    })
}
