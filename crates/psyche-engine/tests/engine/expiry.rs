//! TOK-06b: sessions that nobody touches are paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::support::{PERSON, RealClock, World, is_status, run, send, until};
use psyche_core::event::Payload;
use psyche_core::port::Clock;
use psyche_core::session::{Action, AnnotateArgs, NoArgs, SessionStatus, StepArgs, StepUnit, TurnOrder};
use psyche_core::{SessionId, Timestamp};
use psyche_engine::{Engine, Expired, Options};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::memory::MemoryStore;

const HOUR_MS: i64 = 3_600_000;

/// A clock that jumps.
struct Jumping {
    real: RealClock,
    ahead_ms: AtomicI64,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.real.now().plus_ms(self.ahead_ms.load(Ordering::SeqCst))
    }
    fn monotonic_ms(&self) -> u64 {
        self.real.monotonic_ms()
    }
    fn entropy(&self) -> [u8; 32] {
        self.real.entropy()
    }
}

/// A world whose clock jumps, and an engine that pauses after `hours`.
fn world(hours: u64, pace: Pace, idle: Duration) -> (World, Engine, Arc<Jumping>) {
    // Leases go by another clock: a jump must not end them.
    let store = Arc::new(MemoryStore::new(Arc::new(RealClock::new())));
    let mut world = World::new(store, ScriptedModel::new("scripted", pace));
    let clock = Arc::new(Jumping { real: RealClock::new(), ahead_ms: AtomicI64::new(0) });
    world.ports.clock = clock.clone();
    let options = Options {
        expire_after: Some(Duration::from_hours(hours)),
        expire_every: Duration::from_millis(5),
        idle,
        ..Options::default()
    };
    let engine = Engine::start(world.ports.clone(), options);
    (world, engine, clock)
}

async fn expired(engine: &Engine, world: &World, clock: &Jumping, id: SessionId, hours: i64) {
    let mut told = engine.expirations();
    let mut news = world.follow(id);
    clock.ahead_ms.fetch_add(hours * HOUR_MS, Ordering::SeqCst);
    until(&mut news, |p| matches!(p, Payload::SessionStatusChanged(c) if c.reason.as_deref() == Some("expired"))).await;
    assert_eq!(told.recv().await.unwrap(), Expired { session: id, owner: PERSON });
    let (status, actor) = engine.read(id, |s| (s.status, s.actor.clone())).await.unwrap();
    assert_eq!((status, actor.as_deref()), (SessionStatus::Paused, Some("system")));
}

/// A session whose first turn is under way, and stays so.
async fn running(world: &World, engine: &Engine) -> SessionId {
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(_))).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_session_that_nobody_touches_is_paused_and_can_go_on() {
    let (world, engine, clock) = world(24, Pace::InAll(Duration::from_mins(10)), Duration::from_mins(2));
    let [id, other] = [running(&world, &engine).await, running(&world, &engine).await];
    clock.ahead_ms.fetch_add(23 * HOUR_MS, Ordering::SeqCst);
    // A note is a touch as well.
    let note = AnnotateArgs { seq: 1, text: "I am here.".to_owned(), tags: Vec::new() };
    send(&engine, id, "note", Action::Annotate(note)).await.unwrap();
    expired(&engine, &world, &clock, other, 2).await;
    assert_eq!(engine.read(id, |s| s.status).await.unwrap(), SessionStatus::Running, "touched two hours ago");

    expired(&engine, &world, &clock, id, 23).await;
    let abandoned = world.events(id).await.into_iter().filter(|e| matches!(e.payload, Payload::TurnAbandoned(_)));
    assert_eq!(abandoned.count(), 1, "the turn under way is closed");
    send(&engine, id, "on", Action::Resume(NoArgs {})).await.unwrap();
    assert_eq!(engine.read(id, |s| s.status).await.unwrap(), SessionStatus::Running);
    world.check(id).await;
    engine.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_session_expires_once_even_when_it_is_in_nobodys_memory() {
    let (world, engine, clock) = world(24, Pace::AtOnce, Duration::ZERO);
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "step", Action::Step(StepArgs { unit: StepUnit::Turn })).await.unwrap();
    until(&mut news, is_status(SessionStatus::Paused)).await;
    expired(&engine, &world, &clock, id, 25).await;
    let length = world.events(id).await.len();
    // Sessions that were never started, or are stopped, have nothing to pause.
    let created = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let second = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut news = world.follow(second);
    send(&engine, second, "step", Action::Step(StepArgs { unit: StepUnit::Turn })).await.unwrap();
    until(&mut news, is_status(SessionStatus::Paused)).await;
    expired(&engine, &world, &clock, second, 48).await;
    assert_eq!(world.events(id).await.len(), length, "it is paused for that already");
    assert_eq!(world.events(created).await.len(), 1);
    world.check(id).await;
    engine.shutdown(Duration::ZERO).await;
}
