//! The engine over the real stores, with scripted models.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "engine/budgets.rs"]
mod budgets;
#[path = "engine/embedding.rs"]
mod embedding;
#[path = "engine/expiry.rs"]
mod expiry;
#[path = "engine/people.rs"]
mod people;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use psyche_core::cast::StimulusKind;
use psyche_core::event::Payload;
use psyche_core::port::{Live, ModelError, ModelErrorKind, News};
use psyche_core::session::{Action, AnnotateArgs, NoArgs, SessionStatus, StimulusArgs, StopArgs, TurnOrder};
use psyche_engine::EngineError;
use psyche_llm::scripted::{Pace, Scripted, ScriptedModel};
use psyche_store::memory::MemoryStore;
use psyche_store::sqlite::{Options as SqliteOptions, SqliteStore};
use support::{PERSON, RealClock, World, is_status, run, send, until};

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(RealClock::new())))
}

fn scripted() -> ScriptedModel {
    ScriptedModel::new("scripted", Pace::AtOnce)
}

fn timeout() -> ModelError {
    ModelError {
        kind: ModelErrorKind::Timeout,
        message: "the model did not answer in time".to_owned(),
        detail: None,
        retryable: true,
        sent: true,
        retry_after_ms: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_after_its_rounds_and_its_log_runs_again() {
    for order in [TurnOrder::Sequential, TurnOrder::Simultaneous] {
        let world = World::new(memory(), scripted());
        let engine = world.engine();
        let id = engine.create(run(order, Some(4))).await.unwrap().session_id;
        let mut news = world.follow(id);
        send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
        until(&mut news, is_status(SessionStatus::Stopped)).await;
        let (messages, reason) = engine.read(id, |s| (s.messages, s.reason.clone())).await.unwrap();
        assert_eq!((messages, reason.as_deref()), (20, Some("max_rounds")));
        world.check(id).await;
        engine.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_the_same_at_any_parallelism() {
    let mut logs = Vec::new();
    for pace in [Pace::AtOnce, Pace::InAll(Duration::from_millis(15))] {
        let world = World::new(memory(), ScriptedModel::new("scripted", pace));
        let engine = world.engine();
        let id = engine.create(run(TurnOrder::Simultaneous, Some(3))).await.unwrap().session_id;
        let mut news = world.follow(id);
        send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
        until(&mut news, is_status(SessionStatus::Stopped)).await;
        let spoken: Vec<_> = world
            .events(id)
            .await
            .into_iter()
            .filter_map(|e| match e.payload {
                Payload::AgentMessage(m) => Some((e.seq, m.agent_id, m.metadata.turn, m.content.as_str().to_owned())),
                _ => None,
            })
            .collect();
        logs.push(spoken);
    }
    assert_eq!(logs[0], logs[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_acknowledged_once_it_is_stored_and_the_same_id_is_the_same_command() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let stimulus = |text: &str| {
        Action::InjectStimulus(StimulusArgs { kind: StimulusKind::Custom, text: Some(text.to_owned()), target: None })
    };
    let seq = send(&engine, id, "one", stimulus("A knock.")).await.unwrap();
    assert_eq!(world.records(id).await[seq as usize - 1].kind, "command_received");
    assert_eq!(send(&engine, id, "one", stimulus("A knock.")).await.unwrap(), seq);
    assert_eq!(world.events(id).await.iter().filter(|e| e.payload.kind() == "stimulus_injected").count(), 1);
    let refused = send(&engine, id, "two", Action::Pause(NoArgs {})).await.unwrap_err();
    assert!(matches!(refused, EngineError::Refused(_)), "{refused}");
    assert!(matches!(
        send(&engine, psyche_core::SessionId(PERSON.0), "x", Action::Start(NoArgs {})).await,
        Err(EngineError::NotFound)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_race_for_one_session_and_none_is_lost() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let engine = engine.clone();
        tasks.spawn(async move {
            let text = Some(format!("Stimulus {n}."));
            let action = Action::InjectStimulus(StimulusArgs { kind: StimulusKind::Custom, text, target: None });
            send(&engine, id, &format!("c{n}"), action).await.unwrap()
        });
    }
    let seqs: BTreeSet<u64> = tasks.join_all().await.into_iter().collect();
    assert_eq!(seqs.len(), 40);
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_arrive_live_in_order_and_amount_to_the_stored_ones() {
    let world = World::new(memory(), ScriptedModel::new("scripted", Pace::PerWord(Duration::from_millis(12))));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let (mut live, mut next) = (String::new(), 0);
    let stored = loop {
        match news.next().await.unwrap() {
            News::Live(item) => {
                if let Live::Delta { index, text, turn: 1, .. } = item.as_ref() {
                    assert_eq!(*index, next);
                    next += 1;
                    live.push_str(text);
                }
            }
            News::Appended { events: Some(events), .. } => {
                let message = events.iter().find_map(|e| match &e.payload {
                    Payload::AgentMessage(m) => Some(m.content.as_str().to_owned()),
                    _ => None,
                });
                if let Some(message) = message {
                    break message;
                }
            }
            _ => {}
        }
    };
    assert_eq!(live.trim(), stored);
    assert!(next > 1, "the words came in {next} piece(s)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_model_is_tried_three_times_and_says_nothing() {
    let failing = (0..3).map(|_| Scripted::fails(timeout())).chain([Scripted::reply("At last I speak.")]);
    let world = World::new(memory(), ScriptedModel::with_replies(failing.collect()));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let seen = until(&mut news, is_status(SessionStatus::Paused)).await;
    let failed =
        seen.iter().filter(|e| matches!(&e.payload, Payload::TurnFailed(f) if f.kind == ModelErrorKind::Timeout));
    assert_eq!(failed.count(), 3);
    assert!(!seen.iter().any(|e| e.payload.kind() == "agent_message"));
    send(&engine, id, "again", Action::Retry(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::AgentMessage(_))).await;
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_left_costs_nothing_and_one_that_may_have_what_was_reserved() {
    let unreachable = ModelError { kind: ModelErrorKind::ServerError, sent: false, ..timeout() };
    let refused = ModelError { kind: ModelErrorKind::Refused, ..timeout() };
    let failing = [timeout(), unreachable, refused].map(Scripted::fails);
    let world = World::new(memory(), ScriptedModel::with_replies(failing.into()));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let seen = until(&mut news, is_status(SessionStatus::Paused)).await;
    let costs: Vec<(u64, u64)> = seen
        .iter()
        .filter_map(|e| match &e.payload {
            Payload::TurnStarted(started) => Some((started.reserved, 0)),
            Payload::TurnFailed(failed) => Some((0, failed.tokens)),
            _ => None,
        })
        .collect();
    let reserved = costs[0].0;
    assert!(reserved > 0);
    assert_eq!(costs, [(reserved, 0), (0, reserved), (reserved, 0), (0, 0), (reserved, 0), (0, 0)]);
    let spent = engine.read(id, |s| s.spent.tokens).await.unwrap();
    assert_eq!(spent, reserved);
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_stream_is_a_failure_and_never_an_utterance() {
    let replies = vec![
        Scripted::stops_after("I wanted to say so much", 3),
        Scripted::fails_after("I wanted to say so much", 2, timeout()),
        Scripted::reply("Now whole."),
    ];
    let world = World::new(memory(), ScriptedModel::with_replies(replies));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let seen = until(&mut news, |p| matches!(p, Payload::AgentMessage(_))).await;
    let words: Vec<_> = seen
        .iter()
        .filter_map(|e| match &e.payload {
            Payload::AgentMessage(m) => Some((m.metadata.attempt, m.content.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(words, [(3, "Now whole.")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_cancels_the_utterance_in_flight() {
    let world = World::new(memory(), ScriptedModel::with_replies(vec![Scripted::hangs_after("I will never", 2)]));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(_))).await;
    send(&engine, id, "no", Action::Stop(StopArgs::default())).await.unwrap();
    let (status, reserved) = engine.read(id, |s| (s.status, s.reserved)).await.unwrap();
    assert_eq!((status, reserved), (SessionStatus::Stopped, 0));
    world.check(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_an_utterance_is_what_the_agent_saw() {
    let world = World::new(memory(), ScriptedModel::new("scripted", Pace::InAll(Duration::from_millis(30))));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(2))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(_))).await;
    let stimulus =
        StimulusArgs { kind: StimulusKind::Custom, text: Some("The lamp goes out.".to_owned()), target: None };
    send(&engine, id, "lamp", Action::InjectStimulus(stimulus)).await.unwrap();
    until(&mut news, is_status(SessionStatus::Stopped)).await;
    let events = world.events(id).await;
    let injected = events.iter().find(|e| e.payload.kind() == "stimulus_injected").unwrap().seq;
    let messages: Vec<u64> = events.iter().filter(|e| e.payload.kind() == "agent_message").map(|e| e.seq).collect();
    for seq in &messages[1..6] {
        let context = engine.context(id, *seq).await.unwrap();
        assert!(context.event_seqs.contains(&injected), "event {seq}");
        assert!(context.messages.iter().any(|m| m.content.contains("The lamp goes out.")), "event {seq}");
    }
    assert!(matches!(engine.context(id, 1).await, Err(EngineError::NotFound)));
}

/// An owner that dies in mid-utterance: its lease runs out, another engine abandons the turn and starts attempt 2 with
/// the same seed; the dead owner, coming back, is fenced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_owner_is_followed_by_another_and_fenced() {
    let store = memory();
    let hanging = vec![Scripted::hangs_after("I will never", 2)];
    let dying = World::new(store.clone(), ScriptedModel::with_replies(hanging));
    let options = psyche_engine::Options {
        lease_ms: 50,
        // It never renews: to the database it is dead.
        renew_every: Duration::from_hours(1),
        claim_every: None,
        ..psyche_engine::Options::default()
    };
    let first = psyche_engine::Engine::start(dying.ports.clone(), options);
    let id = first.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut news = dying.follow(id);
    send(&first, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(_))).await;

    let world = World::new(store, scripted());
    let mut news = world.follow(id);
    let second = world.engine();
    let seen = until(&mut news, is_status(SessionStatus::Stopped)).await;
    assert_eq!(seen[0].payload.kind(), "turn_abandoned");
    let Payload::TurnStarted(started) = &seen[1].payload else { panic!("{:?}", seen[1]) };
    assert_eq!((started.turn, started.attempt), (1, 2));
    let late = send(&first, id, "late", Action::Reset(NoArgs {})).await;
    assert!(matches!(late, Err(EngineError::Unavailable(_))), "{late:?}");
    world.check(id).await;
    second.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ran_runs_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let options = SqliteOptions::new(dir.path().join("psyche.db"), [7; 32], Arc::new(RealClock::new()));
        Arc::new(SqliteStore::open(options).unwrap())
    };
    let store = open();
    let world = World::new(store.clone(), ScriptedModel::new("scripted", Pace::InAll(Duration::from_millis(20))));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnCommitted(c) if c.turn == 3)).await;
    engine.shutdown(Duration::from_secs(5)).await;
    store.close().await;
    drop((world, news, engine, store));

    let store = open();
    let world = World::new(store.clone(), scripted());
    let mut news = world.follow(id);
    let engine = world.engine();
    until(&mut news, |p| matches!(p, Payload::TurnCommitted(c) if c.turn >= 6)).await;
    engine.shutdown(Duration::from_secs(5)).await;
    world.check(id).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_moment_can_be_gone_back_to() {
    let world = World::new(memory(), scripted());
    let engine = psyche_engine::Engine::start(
        world.ports.clone(),
        psyche_engine::Options { snapshot_every: 20, ..psyche_engine::Options::default() },
    );
    let id = engine.create(run(TurnOrder::Sequential, Some(6))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, is_status(SessionStatus::Stopped)).await;
    let records = world.records(id).await;
    let mut session = None;
    for record in &records {
        psyche_engine::fold(&mut session, id, record).unwrap();
        let folded = session.as_ref().unwrap();
        assert_eq!(&engine.at(id, record.seq).await.unwrap(), folded, "at {}", record.seq);
    }
    assert!(matches!(engine.at(id, records.len() as u64 + 1).await, Err(EngineError::NotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_id_is_one_command() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    send(&engine, id, "x", Action::Reset(NoArgs {})).await.unwrap();
    let other = send(&engine, id, "x", Action::Start(NoArgs {})).await;
    assert!(matches!(other, Err(EngineError::Refused(_))), "{other:?}");
}

/// The database is an older copy than what was durable: the loss is accepted, and the session goes on under a new
/// generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_loss_goes_on_under_a_new_generation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("psyche.db");
    let open = |accept_loss| {
        let options = SqliteOptions::new(file.clone(), [7; 32], Arc::new(RealClock::new()));
        Arc::new(SqliteStore::open(SqliteOptions { accept_loss, ..options }).unwrap())
    };
    let mut id = None;
    for life in 0..2 {
        let store = open(false);
        let world = World::new(store.clone(), scripted());
        let engine = world.engine();
        let session = match id {
            Some(id) => id,
            None => engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id,
        };
        id = Some(session);
        for n in 0..3 {
            send(&engine, session, &format!("reset {life} {n}"), Action::Reset(NoArgs {})).await.unwrap();
        }
        engine.shutdown(Duration::from_secs(5)).await;
        store.close().await;
        if life == 0 {
            std::fs::copy(&file, dir.path().join("copy")).unwrap();
        }
    }
    std::fs::rename(dir.path().join("copy"), &file).unwrap();
    let store = open(true);
    let world = World::new(store.clone(), scripted());
    let engine = world.engine();
    let id = id.unwrap();
    let seq = send(&engine, id, "after the loss", Action::Reset(NoArgs {})).await.unwrap();
    let records = world.records(id).await;
    assert_eq!(records[seq as usize - 1].generation, 2);
    assert_eq!(records[seq as usize - 2].generation, 1);
    world.check(id).await;
    engine.shutdown(Duration::from_secs(5)).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_wait_together_share_a_commit_and_are_answered_each() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(dir.path().join("psyche.db"), [7; 32], Arc::new(RealClock::new()));
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let world = World::new(store.clone(), scripted());
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
    let note = |seq, n: usize| Action::Annotate(AnnotateArgs { seq, text: format!("note {n}"), tags: Vec::new() });
    // The first takes up the session; the others find its mailbox open.
    send(&engine, id, "first", note(1, 0)).await.unwrap();
    let before = store.commits();
    let names: Vec<String> = (0..40).map(|n| if n == 7 { "note 6".to_owned() } else { format!("note {n}") }).collect();
    // One names an event that does not exist; one uses the id of another.
    let sent = names.iter().enumerate().map(|(n, name)| {
        let text = if n == 7 { 6 } else { n };
        send(&engine, id, name, note(if n == 20 { 999_999 } else { 1 }, text))
    });
    let answers = futures_util::future::join_all(sent).await;
    for (n, answer) in answers.iter().enumerate() {
        match n {
            20 => assert!(matches!(answer, Err(EngineError::Refused(_))), "{answer:?}"),
            _ => assert!(answer.is_ok(), "{n}: {answer:?}"),
        }
    }
    assert_eq!(answers[6].as_ref().unwrap(), answers[7].as_ref().unwrap(), "one command, one event");
    let events = world.events(id).await;
    let noted = events.iter().filter(|e| matches!(e.payload, Payload::Annotation(_))).count();
    assert_eq!(noted, 1 + 38);
    for (name, answer) in names.iter().zip(&answers) {
        let Ok(seq) = answer else { continue };
        let Payload::CommandReceived(received) = &events[*seq as usize - 1].payload else { panic!("{seq}") };
        assert_eq!(received.command_id, *name);
    }
    world.check(id).await;
    let together = store.commits();
    // Without the two, all that wait are one append.
    let sent = (100..140).map(|n| {
        let (engine, name) = (&engine, format!("note {n}"));
        async move { send(engine, id, &name, note(1, n)).await }
    });
    assert!(futures_util::future::join_all(sent).await.iter().all(Result::is_ok));
    assert!(store.commits() - together <= 10, "{} commits for 40 notes", store.commits() - together);
    assert!(together > before);
    world.check(id).await;
    engine.shutdown(Duration::from_secs(5)).await;
    store.close().await;
}
