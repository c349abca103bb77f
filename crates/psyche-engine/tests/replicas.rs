//! Several engines on one log, as replicas are: commands reach the owner whoever takes them, and each happens once.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

#[expect(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use psyche_bus::LocalBus;
use psyche_core::event::{Event, Payload};
use psyche_core::port::Relation;
use psyche_core::session::{
    Action, NoArgs, Relate, Session, SessionStatus, Settings, SpeakArgs, StepArgs, StepUnit, TurnOrder,
};
use psyche_core::words::Subject;
use psyche_core::{SessionId, UserId};
use psyche_engine::{Engine, EngineError, NewRun, Options, Ports};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::memory::MemoryStore;
use support::{PERSON, RealClock, World, send};

fn replica(ports: &Ports) -> Engine {
    replica_with(ports, 600)
}

fn replica_with(ports: &Ports, lease_ms: u64) -> Engine {
    let options = Options {
        lease_ms,
        renew_every: Duration::from_millis(150),
        claim_every: Some(Duration::from_millis(50)),
        replicas: true,
        retry_base: Duration::from_millis(1),
        ..Options::default()
    };
    Engine::start(ports.clone(), options)
}

/// Two replicas that do not hear each other: what one does the other finds in the log.
fn two() -> (World, Engine, Engine) {
    two_with(600)
}

fn two_with(lease_ms: u64) -> (World, Engine, Engine) {
    let world = World::new(
        Arc::new(MemoryStore::new(Arc::new(RealClock::new()))),
        ScriptedModel::new("scripted", Pace::AtOnce),
    );
    let deaf = Ports { bus: Arc::new(LocalBus::new()), ..world.ports.clone() };
    let (one, two) = (replica_with(&world.ports, lease_ms), replica_with(&deaf, lease_ms));
    (world, one, two)
}

/// A session that leaves others a moment between its turns.
fn paced() -> NewRun {
    NewRun { pacing_ms: 20, ..support::run(TurnOrder::Sequential, None) }
}

fn speak(text: &str) -> Action {
    Action::Speak(SpeakArgs { text: text.to_owned(), to: None })
}

async fn until(world: &World, id: SessionId, wanted: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    for _ in 0..400 {
        let events = world.events(id).await;
        if wanted(&events) {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let told: Vec<_> = world.events(id).await.iter().map(|e| format!("{} {}", e.seq, e.payload.kind())).collect();
    panic!("it did not happen in ten seconds: {told:?}");
}

fn committed(events: &[Event]) -> usize {
    events.iter().filter(|e| matches!(e.payload, Payload::TurnCommitted(_))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_taken_elsewhere_is_decided_by_the_owner_and_answered() {
    let (world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let epoch = world.ports.log.head(id).await.unwrap().unwrap().epoch;
    let seq = send(&other, id, "hello", speak("Can you hear me?")).await.unwrap();
    let events = world.events(id).await;
    let Payload::CommandReceived(received) = &events[seq as usize - 1].payload else { panic!("{events:?}") };
    assert!(received.waits && received.text.as_ref().unwrap().as_str() == "Can you hear me?");
    let at = events.iter().position(|e| matches!(&e.payload, Payload::CommandAccepted(a) if a.received_seq == seq));
    let at = at.expect("it is decided before it is answered");
    let said = |e: &Event| matches!(&e.payload, Payload::AgentMessage(m) if m.content.as_str() == "Can you hear me?");
    assert!(said(&events[at + 1]), "what follows comes with the decision");
    // The same id once more, at either: the same answer and nothing more.
    assert_eq!(send(&other, id, "hello", speak("Can you hear me?")).await.unwrap(), seq);
    assert_eq!(send(&owner, id, "hello", speak("Can you hear me?")).await.unwrap(), seq);
    assert!(matches!(send(&other, id, "hello", Action::Pause(NoArgs {})).await, Err(EngineError::Refused(_))));
    // What cannot be is refused where it is asked, and leaves no trace.
    let before = world.ports.log.head(id).await.unwrap().unwrap().seq;
    let refused = send(&other, id, "again", Action::Start(NoArgs {})).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    send(&other, id, "stop", Action::Pause(NoArgs {})).await.unwrap();
    let events = until(&world, id, |events| {
        events
            .iter()
            .any(|e| matches!(&e.payload, Payload::SessionStatusChanged(c) if c.status == SessionStatus::Paused))
    })
    .await;
    assert!(events.iter().filter(|e| said(e)).count() == 1 && before < events.len() as u64);
    assert_eq!(world.ports.log.head(id).await.unwrap().unwrap().epoch, epoch, "nobody took it over for that");
    world.check(id).await;
}

/// A step and a pause that wait change nothing before they are decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_changes_nothing_until_it_is_decided() {
    let (world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "name", Action::ChangeSettings(Settings { name: Some("Mine".to_owned()), ..Settings::default() }))
        .await
        .unwrap();
    send(&other, id, "step", Action::Step(StepArgs { unit: StepUnit::Turn })).await.unwrap();
    let events =
        until(&world, id, |events| matches!(events.last().map(|e| &e.payload), Some(Payload::TurnCommitted(_)))).await;
    let paused =
        |e: &Event| matches!(&e.payload, Payload::SessionStatusChanged(c) if c.status == SessionStatus::Paused);
    assert!(committed(&events) == 1 && events.iter().any(paused), "one turn, as the step said");
    let received = events.iter().position(|e| matches!(&e.payload, Payload::CommandReceived(c) if c.waits)).unwrap();
    let state_at = |seq: usize| {
        let records = world.records(id);
        async move {
            let records = records.await;
            let mut session = Session::begin(id, &records[0]).unwrap();
            for record in &records[1..seq] {
                session.apply_record(record, &Event::decode(record).unwrap());
            }
            session
        }
    };
    let waiting = state_at(received + 1).await;
    assert!(waiting.step.is_none() && waiting.waiting.len() == 1);
    let decided = state_at(received + 2).await;
    assert!(decided.step.is_some() && decided.waiting.is_empty());
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commands_at_both_replicas_each_happen_once() {
    let (world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let notes = (0..40).map(|n| {
        let engine = if n % 2 == 0 { owner.clone() } else { other.clone() };
        async move {
            let note = psyche_core::session::AnnotateArgs { seq: 1, text: format!("note {n}"), tags: Vec::new() };
            for _ in 0..20 {
                match send(&engine, id, &format!("c{n}"), Action::Annotate(note.clone())).await {
                    Ok(_) => return,
                    Err(EngineError::Busy | EngineError::Unavailable(_)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            panic!("note {n} was never taken");
        }
    });
    futures_util::future::join_all(notes).await;
    send(&other, id, "stop", Action::Pause(NoArgs {})).await.unwrap();
    let events =
        until(&world, id, |events| events.iter().filter(|e| matches!(e.payload, Payload::Annotation(_))).count() >= 40)
            .await;
    let mut texts: Vec<&str> = events
        .iter()
        .filter_map(|e| match &e.payload {
            Payload::Annotation(a) => Some(a.text.as_str()),
            _ => None,
        })
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 40);
    world.check(id).await;
}

/// The owner is gone without a word: the other takes over when the lease has run out, and decides what waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_an_owner_that_died_is_decided_by_the_next() {
    let (world, _unused, other) = two();
    let id = other.create(paced()).await.unwrap().session_id;
    // An owner that claims and then does nothing, as a killed process.
    let dead = psyche_core::OwnerId(uuid::Uuid::from_u128(99));
    world.ports.log.claim(id, dead, 900).await.unwrap();
    let seq = send(&other, id, "hello", speak("Anybody there?")).await.unwrap();
    let events = world.events(id).await;
    let decided = |e: &Event| matches!(&e.payload, Payload::CommandAccepted(a) if a.received_seq == seq);
    assert!(events.iter().any(decided), "{events:?}");
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_belongs_to_a_session_is_written_by_any_replica() {
    let (world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let guest = UserId(uuid::Uuid::from_u128(8));
    let relate = Relate { user_id: guest, username: "guest".to_owned(), relation: Relation::Participant, by: PERSON };
    other.relate(id, relate).await.unwrap();
    send(&owner, id, "stop", Action::Pause(NoArgs {})).await.unwrap();
    let people = owner.read(id, |s| s.people.clone()).await.unwrap();
    assert_eq!(people.get(&guest), Some(&Relation::Participant), "and the owner has read it");
    world.check(id).await;
}

/// Erased at one replica, forgotten at the one that drives the session, without anybody telling it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_forgets_what_was_erased_elsewhere() {
    let (_world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "hello", speak("My secret name is Rumpelstiltskin")).await.unwrap();
    assert!(owner.read(id, |s| format!("{s:?}").contains("Rumpelstiltskin")).await.unwrap());
    other.erase(None, Subject::User(PERSON)).await.unwrap();
    for _ in 0..100 {
        if !owner.read(id, |s| format!("{s:?}").contains("Rumpelstiltskin")).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the owner still knows it after two seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_deleted_elsewhere_is_dropped() {
    let (world, owner, other) = two();
    let id = owner.create(paced()).await.unwrap().session_id;
    send(&owner, id, "go", Action::Start(NoArgs {})).await.unwrap();
    other.delete(id).await.unwrap();
    for _ in 0..100 {
        if matches!(owner.read(id, |_| ()).await, Err(EngineError::NotFound)) {
            assert_eq!(owner.running(), 0);
            assert!(world.ports.log.head(id).await.unwrap().is_none());
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the owner still drives it after two seconds");
}

/// Rounds of leaving and coming: every turn is committed once, whoever drives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_leaves_hands_its_sessions_over_at_once() {
    let (world, first, second) = two();
    let id = first.create(paced()).await.unwrap().session_id;
    send(&first, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let mut engines = vec![first, second];
    for _ in 0..4 {
        let before = committed(&world.events(id).await);
        until(&world, id, |events| committed(events) > before + 2).await;
        let leaving = engines.remove(0);
        leaving.shutdown(Duration::from_secs(5)).await;
        let left = committed(&world.events(id).await);
        until(&world, id, |events| committed(events) > left).await;
        engines.push(replica(&world.ports));
    }
    send(&engines[0], id, "stop", Action::Pause(NoArgs {})).await.unwrap();
    world.check(id).await;
}

/// What has brought one down is not to bring the next one down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_short_of_memory_goes_on_and_takes_nothing_up() {
    // A lease that no busy machine lets run out.
    let (world, one, other) = two_with(10_000);
    let (mine, left) = (other.create(paced()).await.unwrap().session_id, one.create(paced()).await.unwrap().session_id);
    send(&other, mine, "go", Action::Start(NoArgs {})).await.unwrap();
    send(&one, left, "go", Action::Start(NoArgs {})).await.unwrap();
    other.short_of_memory(true);
    send(&other, left, "tell", speak("Does it hear us?")).await.unwrap();
    one.shutdown(Duration::from_secs(5)).await;
    let stood = committed(&world.events(left).await);

    let spoken = committed(&world.events(mine).await);
    until(&world, mine, |events| committed(events) > spoken + 10).await;
    send(&other, mine, "on", speak("Do you go on?")).await.unwrap();
    let refused = send(&other, left, "you", speak("And you?")).await;
    assert!(matches!(refused, Err(EngineError::ShortOfMemory)), "{refused:?}");
    assert_eq!(committed(&world.events(left).await), stood);
    // Who belongs to it is written all the same: nothing stays in memory for it.
    let guest = UserId(uuid::Uuid::from_u128(8));
    let relate = Relate { user_id: guest, username: "guest".to_owned(), relation: Relation::Participant, by: PERSON };
    other.relate(left, relate).await.unwrap();
    assert_eq!(other.read(left, |s| s.people.get(&guest).copied()).await.unwrap(), Some(Relation::Participant));

    other.short_of_memory(false);
    until(&world, left, |events| committed(events) > stood).await;
    other.shutdown(Duration::from_secs(5)).await;
    world.check(mine).await;
    world.check(left).await;
}

/// A command is acknowledged, the owner of its session is dead, and whoever took it dies as well: it is decided all the same,
/// though nobody asks again and the session does not run.
#[test]
fn a_command_whose_owner_and_taker_die_is_decided_all_the_same() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // Waited for: a moment longer, and it would decide what is asked next.
    let dies = |runtime: tokio::runtime::Runtime| runtime.shutdown_timeout(Duration::from_secs(10));
    let (owns, takes, lives) = (runtime(), runtime(), runtime());
    let world = lives.block_on(async {
        let clock = Arc::new(RealClock::new());
        World::new(Arc::new(MemoryStore::new(clock)), ScriptedModel::new("scripted", Pace::AtOnce))
    });
    let id = owns.block_on(async {
        let one = replica_with(&world.ports, 8_000);
        let id = one.create(paced()).await.unwrap().session_id;
        send(&one, id, "go", Action::Start(NoArgs {})).await.unwrap();
        send(&one, id, "wait", Action::Pause(NoArgs {})).await.unwrap();
        // A turn that was under way is committed with it.
        let paused = support::is_status(SessionStatus::Paused);
        until(&world, id, |events| events.iter().any(|event| paused(&event.payload))).await;
        id
    });
    dies(owns);
    let seq = takes.block_on(async {
        let two = replica(&world.ports);
        send(&two, id, "on", Action::Resume(NoArgs {})).await.unwrap()
    });
    dies(takes);
    lives.block_on(async {
        let before = world.events(id).await;
        assert_eq!(before.len() as u64, seq, "it is decided already, so nothing is shown");
        let third = replica(&world.ports);
        until(&world, id, |events| committed(events) > committed(&before)).await;
        third.shutdown(Duration::from_secs(5)).await;
        world.check(id).await;
    });
}
