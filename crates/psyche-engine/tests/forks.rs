//! Forks from any event of a log, and interviews that leave none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use psyche_core::cast::{Path, PathKind, StimulusKind};
use psyche_core::event::{AgentEdit, Changes, Payload};
use psyche_core::port::{
    EventLog, Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelErrorKind, ModelEvent, ModelStream,
    PromptStyle, Spent, Usage,
};
use psyche_core::record::Record;
use psyche_core::session::{
    Action, Budget, NoArgs, SessionStatus, SessionType, Settings, SpeakArgs, StepArgs, StepUnit, StimulusArgs,
    TurnOrder, UserCommand,
};
use psyche_core::words::{ERASED, Hash, Subject};
use psyche_core::{AgentId, CommandId, SessionId, UserId};
use psyche_engine::{Difference, Engine, EngineError, ForkDraft, NewRun, Rerun};
use psyche_llm::scripted::{Pace, Scripted, ScriptedModel};
use psyche_store::memory::MemoryStore;
use psyche_store::sqlite::{Options as SqliteOptions, SqliteStore};
use support::{PERSON, RealClock, World, is_status, run, send, until};
use tokio::sync::Semaphore;

/// Somebody who forks what is not theirs.
const OTHER: UserId = UserId(uuid::Uuid::from_u128(8));

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(RealClock::new())))
}

fn scripted() -> ScriptedModel {
    ScriptedModel::new("scripted", Pace::AtOnce)
}

fn draft(at_seq: u64) -> ForkDraft {
    ForkDraft { at_seq, owner: OTHER, name: None, changes: Changes::default() }
}

async fn fork(engine: &Engine, from: SessionId, at_seq: u64) -> SessionId {
    engine.fork(from, draft(at_seq)).await.unwrap().session_id
}

async fn start(world: &World, engine: &Engine, id: SessionId, name: &str, end: SessionStatus) {
    let mut news = world.follow(id);
    send(engine, id, name, Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, is_status(end)).await;
}

/// What was drawn for each turn that was spoken: seed, digest of the prompt, opener; and the words.
async fn drawn(world: &World, id: SessionId) -> BTreeMap<u64, (AgentId, u64, String, String)> {
    let mut started = BTreeMap::new();
    let mut spoken = BTreeMap::new();
    for event in world.events(id).await {
        match event.payload {
            Payload::TurnStarted(s) => _ = started.insert(s.turn, (s.agent_id, s.seed, s.prompt_digest.to_string())),
            Payload::AgentMessage(m) if m.metadata.user_id.is_none() => {
                let (agent, seed, digest) = started[&m.metadata.turn].clone();
                assert_eq!(seed, m.metadata.seed);
                spoken.insert(m.metadata.turn, (agent, seed, digest, m.content.as_str().to_owned()));
            }
            _ => {}
        }
    }
    spoken
}

fn view(session: &psyche_core::session::Session) -> serde_json::Value {
    serde_json::to_value(session.view()).unwrap()
}

/// A run with all that can be in an append: a stimulus, a failed turn, guidance, an emergency, reasoning, a pause, an end.
async fn eventful(world: &World, engine: &Engine, order: TurnOrder) -> SessionId {
    let new = NewRun { session_type: SessionType::Shared, ..run(order, Some(4)) };
    let id = engine.create(new).await.unwrap().session_id;
    let stimulus = StimulusArgs { kind: StimulusKind::Custom, text: Some("The lights go out.".into()), target: None };
    send(engine, id, "stimulus", Action::InjectStimulus(stimulus)).await.unwrap();
    let mut news = world.follow(id);
    send(engine, id, "step", Action::Step(StepArgs { unit: StepUnit::Turn })).await.unwrap();
    until(&mut news, is_status(SessionStatus::Paused)).await;
    send(engine, id, "speak", Action::Speak(SpeakArgs { text: "Who is there?".into(), to: None })).await.unwrap();
    start(world, engine, id, "go", SessionStatus::Stopped).await;
    id
}

/// Says the same few words again and again, so that the talk stagnates; thinks aloud; fails at the first attempt of every
/// seventh turn.
struct Tiresome {
    card: ModelCard,
    failed: std::sync::Mutex<std::collections::BTreeSet<(u64, u64)>>,
}

impl Tiresome {
    fn new() -> Self {
        Self { card: scripted().card().clone(), failed: std::sync::Mutex::default() }
    }
}

#[async_trait]
impl LanguageModel for Tiresome {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        if request.turn.is_multiple_of(7) && self.failed.lock().unwrap().insert((request.turn, request.seed)) {
            return Err(ModelError {
                kind: ModelErrorKind::Timeout,
                message: "the model did not answer in time".to_owned(),
                detail: None,
                retryable: true,
                sent: true,
                retry_after_ms: None,
            });
        }
        let (digest, agent) = (request.digest.to_string(), &request.agent);
        let events = [
            ModelEvent::Reasoning(format!("{agent} was asked with {digest}")),
            ModelEvent::Text(format!("I will not go there again. I will not, says {agent}. {}", &digest[..4])),
            ModelEvent::Done {
                finish: Finish::Length,
                usage: Some(Usage { prompt_tokens: 20, completion_tokens: 10 }),
                confidence: Some(0.5),
            },
        ];
        Ok(futures_util::stream::iter(events.map(Ok)).boxed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_from_any_event_shares_the_past_and_draws_the_same() {
    for order in [TurnOrder::Sequential, TurnOrder::Simultaneous] {
        let world = World::new(memory(), Tiresome::new());
        let engine = world.engine();
        let id = eventful(&world, &engine, order).await;
        let (records, spoken) = (world.records(id).await, drawn(&world, id).await);
        assert_eq!(spoken.len(), 20);
        for kind in ["emergency", "prompt_adapted", "turn_failed", "stimulus_used"] {
            assert!(records.iter().any(|r| r.kind == kind), "no {kind}: this tests less than it says");
        }
        for at in 1..=records.len() {
            let seq = at as u64;
            let copy = fork(&engine, id, seq).await;
            let own = world.records(copy).await;
            for (copied, original) in own.iter().zip(&records[..at]) {
                assert_eq!((copied.hash, &copied.body, copied.at), (original.hash, &original.body, original.at));
            }
            assert_eq!(own[at].kind, "forked", "at {seq}");
            let (before, after) = (engine.at(id, seq).await.unwrap(), engine.at(copy, seq).await.unwrap());
            assert_eq!(view(&before), view(&after), "at {seq}");
            assert_eq!((after.id, &after.initial.owner), (copy, &PERSON));
            let now = engine.read(copy, psyche_core::session::Session::summary).await.unwrap();
            assert_eq!((now.status, now.owner, now.spent), (SessionStatus::Paused, OTHER, Spent::default()));
            let parent = now.parent.unwrap();
            assert_eq!((parent.session_id, parent.generation, parent.seq), (id, 1, seq));
            // Within an append, the fork comes to what the parent came to with it.
            let end = records.iter().rfind(|r| r.at == records[at - 1].at).unwrap().seq;
            let whole = engine.at(id, end).await.unwrap();
            let measured = |s: &psyche_core::session::Session| (s.gauges.clone(), s.stagnation_by_round.clone());
            let (mine, open) = engine.read(copy, |s| (measured(s), s.in_flight.len())).await.unwrap();
            assert_eq!((mine, open), (measured(&whole), 0), "at {seq}");
            world.check(copy).await;
        }
        assert_eq!(world.records(id).await, records, "the parent is as it was");
        // To the end from each kind of event, wherever in its append it stands.
        let mut seen = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            let times: &mut usize = seen.entry(record.kind.clone()).or_default();
            *times += 1;
            if ![1, 5].contains(times) {
                continue;
            }
            let seq = at as u64 + 1;
            let copy = fork(&engine, id, seq).await;
            let started = send(&engine, copy, "on", Action::Start(NoArgs {})).await;
            if started.is_ok() {
                let mut news = world.follow(copy);
                if engine.read(copy, |s| s.status).await.unwrap() == SessionStatus::Running {
                    until(&mut news, is_status(SessionStatus::Stopped)).await;
                }
            }
            world.check(copy).await;
            let again = drawn(&world, copy).await;
            assert_eq!(again.len(), 20, "from {} {seq}", record.kind);
            // What people said after the place of the fork, the fork never heard.
            let last_said = records.iter().rposition(|r| matches!(&*r.kind, "command_received")).unwrap();
            if at < last_said {
                continue;
            }
            let seeds = |drawn: &BTreeMap<u64, (AgentId, u64, String, String)>| {
                drawn.iter().map(|(turn, (agent, seed, ..))| (*turn, agent.clone(), *seed)).collect::<Vec<_>>()
            };
            assert_eq!(seeds(&again), seeds(&spoken), "from {} {seq}", record.kind);
            // Of agents that speak at once, one that begins again has heard those that did not have to.
            if order == TurnOrder::Sequential {
                assert_eq!(again, spoken, "from {} {seq}", record.kind);
            }
        }
        engine.shutdown(Duration::from_secs(5)).await;
    }
}

fn changes() -> Changes<String> {
    let edit = |temperature, system_prompt: Option<&str>, muted| AgentEdit {
        temperature,
        system_prompt: system_prompt.map(str::to_owned),
        model: None,
        muted,
    };
    let path = |from: &str, to: &str| Path { from: from.into(), to: to.into(), kind: PathKind::Normal, window: 2 };
    Changes {
        situation: Some("A bridge at night.".to_owned()),
        agents: BTreeMap::from([
            (AgentId::new("shadow"), edit(Some(0.1), Some("You are kind."), None)),
            (AgentId::new("anima"), edit(None, None, Some(true))),
        ]),
        paths: Some(vec![path("ego", "shadow"), path("shadow", "ego")]),
        model: Some("scripted".to_owned()),
        seed: Some(77),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_apply_from_the_fork_on_and_are_in_its_event() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = eventful(&world, &engine, TurnOrder::Simultaneous).await;
    // Within a turn: with another seed nothing of it is tried again.
    let records = world.records(id).await;
    let within = records.iter().filter(|r| r.kind == "turn_started").nth(7).unwrap().seq;
    let draft = ForkDraft { name: Some("Otherwise".into()), changes: changes(), ..draft(within) };
    let made = engine.fork(id, draft).await.unwrap();
    assert_eq!((made.name.as_str(), made.seed, made.situation.as_str()), ("Otherwise", 77, "A bridge at night."));
    let copy = made.session_id;
    let state = engine.read(copy, Clone::clone).await.unwrap();
    let shadow = &state.agents["shadow"].definition;
    assert_eq!((shadow.temperature, shadow.system_prompt.as_str()), (0.1, "You are kind."));
    assert!(state.agents["anima"].definition.muted && state.unfinished.is_empty() && state.in_flight.is_empty());
    assert_eq!(state.paths.len(), 2);
    let frame = world.events(copy).await[within as usize].frame(copy, within);
    for words in ["A bridge at night.", "You are kind.", "Otherwise", r#""seed":77"#, &id.to_string()] {
        assert!(frame.contains(words), "{words}: {frame}");
    }
    // In the log they are the forking person's.
    let texts = &world.records(copy).await[within as usize].texts;
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|t| t.subject == Subject::User(OTHER)));

    start(&world, &engine, copy, "on", SessionStatus::Stopped).await;
    world.check(copy).await;
    let (parents, forks) = (drawn(&world, id).await, drawn(&world, copy).await);
    let shared = forks.keys().filter(|turn| forks[turn] == parents[turn]).max().unwrap();
    assert!(*shared < 10 && forks.range(shared + 1..).all(|(turn, own)| parents[turn].1 != own.1), "{forks:?}");
    // Other agents' temperature does not touch what one draws.
    let last = records.last().unwrap().seq;
    let quiet = Changes { agents: changes().agents, ..Changes::default() };
    let one = engine.fork(id, ForkDraft { changes: quiet, ..self::draft(1) }).await.unwrap().session_id;
    start(&world, &engine, one, "on", SessionStatus::Stopped).await;
    let seeds = |drawn: BTreeMap<u64, (AgentId, u64, String, String)>| {
        drawn.into_values().map(|(agent, seed, ..)| (agent, seed)).collect::<Vec<_>>()
    };
    let (ours, theirs) = (seeds(drawn(&world, one).await), seeds(drawn(&world, id).await));
    assert_eq!(ours[0], theirs[0], "the first turn of an agent that was not changed");
    // Back to the beginning is back to the cast.
    send(&engine, copy, "reset", Action::Reset(NoArgs {})).await.unwrap();
    let (situation, muted, seed) = engine
        .read(copy, |s| (s.situation.to_string(), s.agents["anima"].definition.muted, s.initial.seed))
        .await
        .unwrap();
    assert_eq!((muted, seed), (false, 77));
    assert_ne!(situation, "A bridge at night.");
    world.check(copy).await;

    let refused = [
        (ForkDraft { at_seq: 0, ..self::draft(1) }, "at_seq"),
        (ForkDraft { at_seq: last + 1, ..self::draft(1) }, "at_seq"),
        (ForkDraft { name: Some(" ".into()), ..self::draft(1) }, "name"),
        (with(Changes { situation: Some("x".repeat(9_000)), ..Changes::default() }), "changes.situation"),
        (with(Changes { model: Some("nothing".into()), ..Changes::default() }), "changes.model"),
        (with(Changes { seed: Some(u64::MAX), ..Changes::default() }), "changes.seed"),
        (
            with(Changes {
                paths: Some(vec![Path { from: "a".into(), to: "b".into(), kind: PathKind::Normal, window: 1 }]),
                ..Changes::default()
            }),
            "changes.paths",
        ),
        (with(Changes { agents: [(AgentId::new("nobody"), edit())].into(), ..Changes::default() }), "changes.agents"),
    ];
    for (draft, field) in refused {
        let said = match engine.fork(id, draft).await.unwrap_err() {
            EngineError::Invalid { field, .. } => field,
            EngineError::Refused(refusal) => refusal.field.unwrap(),
            other => panic!("{field}: {other}"),
        };
        assert_eq!(said, field);
    }
    assert!(matches!(engine.fork(SessionId(uuid::Uuid::nil()), self::draft(1)).await, Err(EngineError::NotFound)));
    engine.shutdown(Duration::from_secs(5)).await;
}

fn edit() -> AgentEdit<String> {
    AgentEdit { temperature: None, system_prompt: None, model: None, muted: None }
}

fn with(changes: Changes<String>) -> ForkDraft {
    ForkDraft { changes, ..draft(1) }
}

/// Waits before each reply until it is let.
struct Gated {
    inner: ScriptedModel,
    lets: Arc<Semaphore>,
    /// One more for each call that has come.
    came: Arc<Semaphore>,
}

impl Gated {
    fn new(lets: &Arc<Semaphore>) -> Self {
        Self { inner: scripted(), lets: Arc::clone(lets), came: Arc::new(Semaphore::new(0)) }
    }
}

#[async_trait]
impl LanguageModel for Gated {
    fn card(&self) -> &ModelCard {
        self.inner.card()
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        self.came.add_permits(1);
        self.lets.acquire().await.unwrap().forget();
        self.inner.generate(request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_session_is_forked_while_an_agent_speaks_and_so_is_its_fork() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteOptions::new(dir.path().join("psyche.db"), [7; 32], Arc::new(RealClock::new()));
    let lets = Arc::new(Semaphore::new(7));
    let model = Gated::new(&lets);
    let store = Arc::new(SqliteStore::open(sqlite).unwrap());
    let world = World::new(Arc::clone(&store), model);
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(3))).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(s) if s.turn == 8)).await;
    let head = store.head(id).await.unwrap().unwrap().seq;
    let first = fork(&engine, id, head).await;
    let second = engine.fork(first, ForkDraft { name: Some("Second".into()), ..draft(head + 2) }).await.unwrap();
    assert_eq!(second.parent.as_ref().unwrap().session_id, first);
    let third = fork(&engine, second.session_id, 3).await;
    assert_eq!(engine.running(), 1, "forks wait");
    lets.add_permits(100);
    until(&mut news, is_status(SessionStatus::Stopped)).await;
    let expected = drawn(&world, id).await;
    for (n, fork) in [first, second.session_id, third].into_iter().enumerate() {
        start(&world, &engine, fork, &format!("on {n}"), SessionStatus::Stopped).await;
        world.check(fork).await;
        assert_eq!(drawn(&world, fork).await, expected, "{n}");
    }
    world.check(id).await;
    engine.shutdown(Duration::from_secs(5)).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_person_reaches_forks_in_memory_too() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = eventful(&world, &engine, TurnOrder::Sequential).await;
    let last = world.records(id).await.len() as u64;
    let named = ForkDraft { name: Some("Mine".into()), changes: changes(), ..draft(last) };
    let copy = engine.fork(id, named).await.unwrap().session_id;
    let later = fork(&engine, copy, last + 1).await;
    // In memory: it has a task of its own.
    send(&engine, copy, "note", Action::ChangeSettings(Settings { pacing_ms: Some(1), ..Settings::default() }))
        .await
        .unwrap();

    let mut reached = engine.erase(None, Subject::User(PERSON)).await.unwrap();
    reached.sort();
    let mut all = [id, copy, later];
    all.sort();
    assert_eq!(reached, all);
    for fork in [copy, later] {
        let said: Vec<_> = world.events(fork).await.iter().map(|e| e.frame(fork, 0)).collect();
        assert!(!said.iter().any(|frame| frame.contains("Who is there?")), "the past is copied, its erasure too");
        assert!(said[last as usize].contains("A bridge at night."), "who forked is not who was erased");
        let name = engine.read(fork, |s| s.name.clone()).await.unwrap();
        assert_eq!(name, "Mine");
    }
    engine.erase(None, Subject::User(OTHER)).await.unwrap();
    let (name, situation) = engine.read(copy, |s| (s.name.clone(), s.base_situation.to_string())).await.unwrap();
    assert_eq!((name.as_str(), situation.as_str()), (ERASED, ERASED));
    // A log with erased words can be forked; the copy is as whole as it.
    let again = fork(&engine, id, last).await;
    let mut checker = psyche_core::record::Checker::default();
    for record in world.records(again).await {
        checker.check(&record).unwrap();
    }
    assert!(!checker.erased.is_empty());
    assert_eq!(engine.read(again, |s| s.parent.clone().unwrap().generation).await.unwrap(), 2);
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_spends_its_own_budget() {
    let world = World::new(memory(), Tiresome::new());
    let engine = world.engine();
    let budget = Budget { tokens: Some(1_500), cost: None };
    let id = engine.create(NewRun { budget, ..run(TurnOrder::Sequential, None) }).await.unwrap().session_id;
    start(&world, &engine, id, "go", SessionStatus::Paused).await;
    let (seq, reason) = engine.read(id, |s| (s.seq, s.reason.clone())).await.unwrap();
    assert_eq!(reason.as_deref(), Some("budget_exceeded"));
    let copy = fork(&engine, id, seq).await;
    start(&world, &engine, copy, "on", SessionStatus::Paused).await;
    let (before, after) = (drawn(&world, id).await.len(), drawn(&world, copy).await.len());
    assert!(after > before, "{after} turns, {before} before");
    let spent = engine.read(copy, |s| s.spent.tokens).await.unwrap();
    assert!(spent > 0 && spent <= 1_500, "{spent}");
    world.check(copy).await;
    engine.shutdown(Duration::from_secs(5)).await;
}

async fn ask(
    engine: &Engine,
    id: SessionId,
    agent: &str,
    question: &str,
) -> Result<psyche_engine::Answered, EngineError> {
    engine.interview(id, &AgentId::new(agent), question).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interview_touches_nothing() {
    let mut outcomes = Vec::new();
    for interviewed in [false, true] {
        let world = World::new(memory(), scripted());
        let engine = world.engine();
        let id = engine.create(run(TurnOrder::Sequential, Some(3))).await.unwrap().session_id;
        let mut news = world.follow(id);
        let stimulus =
            StimulusArgs { kind: StimulusKind::Custom, text: Some("The lights go out.".into()), target: None };
        send(&engine, id, "stimulus", Action::InjectStimulus(stimulus)).await.unwrap();
        send(&engine, id, "step", Action::Step(StepArgs::default())).await.unwrap();
        until(&mut news, is_status(SessionStatus::Paused)).await;
        if interviewed {
            let before = world.records(id).await;
            let head = world.ports.log.head(id).await.unwrap();
            let question = "What do you fear?";
            for agent in ["ego", "shadow", "self"] {
                let answered = ask(&engine, id, agent, question).await.unwrap();
                assert!(!answered.answer.is_empty());
                assert_eq!((answered.seq, answered.model.as_str()), (before.len() as u64, "scripted"));
                let prompt = &answered.messages.last().unwrap().content;
                assert!(prompt.contains(question) && prompt.ends_with("Answer the person who asks you."), "{prompt}");
                // Its own last words, and what it has heard and is still to hear.
                let own = engine.read(id, |s| s.agents[agent].own.back().unwrap().text.to_string()).await.unwrap();
                assert!(prompt.contains(&own), "{prompt}");
                assert!(answered.event_seqs.iter().all(|seq| *seq <= answered.seq), "{:?}", answered.event_seqs);
                let again = ask(&engine, id, agent, question).await.unwrap();
                assert_eq!((again.seed, again.prompt_digest), (answered.seed, answered.prompt_digest));
            }
            assert_eq!(world.records(id).await, before);
            assert_eq!(world.ports.log.head(id).await.unwrap(), head);
        }
        start(&world, &engine, id, "on", SessionStatus::Stopped).await;
        world.check(id).await;
        outcomes.push(drawn(&world, id).await);
        if interviewed {
            assert!(ask(&engine, id, "ego", "And now?").await.is_ok(), "whatever the status");
        }
        engine.shutdown(Duration::from_secs(5)).await;
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interviews_are_few_at_once_and_within_the_budget() {
    let lets = Arc::new(Semaphore::new(0));
    let model = Gated::new(&lets);
    let came = Arc::clone(&model.came);
    let world = World::new(memory(), model);
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let engine = engine.clone();
        asking.spawn(async move { ask(&engine, id, "ego", "Who are you?").await });
    }
    came.acquire_many(4).await.unwrap().forget();
    let fifth = ask(&engine, id, "ego", "Me too?").await;
    assert!(matches!(fifth, Err(EngineError::Busy)), "{fifth:?}");
    lets.add_permits(100);
    while let Some(answer) = asking.join_next().await {
        assert!(answer.unwrap().is_ok());
    }

    let budget = Budget { tokens: Some(700), cost: None };
    let poor = engine.create(NewRun { budget, ..run(TurnOrder::Sequential, Some(1)) }).await.unwrap().session_id;
    let mut answers = 0;
    let refused = loop {
        match ask(&engine, poor, "ego", "What else?").await {
            Ok(_) => answers += 1,
            Err(error) => break error,
        }
        assert!(answers < 100, "the budget holds nobody back");
    };
    assert!(answers > 0 && matches!(refused, EngineError::OverBudget), "{answers}: {refused}");
    assert_eq!(engine.read(poor, |s| s.spent).await.unwrap(), Spent::default());

    for (agent, question, field) in [
        ("nobody", "Who?", "args.agent_id"),
        ("ego", "  ", "args.question"),
        ("ego", &"x".repeat(9_000), "args.question"),
    ] {
        match ask(&engine, id, agent, question).await {
            Err(EngineError::Refused(refusal)) => assert_eq!(refusal.field, Some(field)),
            other => panic!("{other:?}"),
        }
    }
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interview_that_fails_says_why_and_has_cost_what_it_may_have() {
    let error = ModelError {
        kind: ModelErrorKind::ServerError,
        message: "the model failed".to_owned(),
        detail: Some("SECRET of the provider".to_owned()),
        retryable: true,
        sent: true,
        retry_after_ms: None,
    };
    let world = World::new(memory(), ScriptedModel::with_replies(vec![Scripted::fails(error), Scripted::reply("…")]));
    let engine = world.engine();
    let budget = Budget { tokens: Some(800), cost: None };
    let id = engine.create(NewRun { budget, ..run(TurnOrder::Sequential, Some(1)) }).await.unwrap().session_id;
    let failed = ask(&engine, id, "ego", "Why?").await.unwrap_err();
    assert!(matches!(&failed, EngineError::NoAnswer(message) if message == "the model failed"), "{failed}");
    let over = ask(&engine, id, "ego", "Why?").await.unwrap_err();
    assert!(matches!(over, EngineError::OverBudget), "what may have been spent counts: {over}");
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_very_small_model_is_asked_in_its_own_form() {
    let card = ModelCard { prompt_style: PromptStyle::Compact, ..scripted().card().clone() };
    let world = World::new(memory(), scripted().with_card(card));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    let answered = ask(&engine, id, "shadow", "What do you want?").await.unwrap();
    let prompt = &answered.messages.last().unwrap().content;
    assert!(prompt.contains("A person asks you: “What do you want?”"), "{prompt}");
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_a_command_in_a_forked_session_are_its_own() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = eventful(&world, &engine, TurnOrder::Sequential).await;
    let copy = fork(&engine, id, 1).await;
    let command = UserCommand {
        id: CommandId::new("speak"),
        actor: OTHER,
        action: Action::Speak(SpeakArgs { text: "Only here.".into(), to: Some(AgentId::new("ego")) }),
    };
    engine.submit(copy, command).await.unwrap();
    let there = world.events(id).await.iter().any(|e| e.frame(id, 0).contains("Only here."));
    let here = world.events(copy).await.iter().any(|e| e.frame(copy, 0).contains("Only here."));
    assert!(here && !there);
    world.check(copy).await;
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_may_lack_its_end_only_where_a_fork_begins() {
    let world = World::new(memory(), scripted());
    let engine = world.engine();
    let id = eventful(&world, &engine, TurnOrder::Sequential).await;
    let records = world.records(id).await;
    let said = records
        .iter()
        .position(|r| r.kind == "agent_message" && r.seq > 20 && !r.body.contains(r#""agent_id":"user""#))
        .unwrap()
        + 1;
    let again = |records: &[Record]| {
        let mut rerun = Rerun::new(id, &world.ports.vader);
        records.iter().try_for_each(|record| rerun.feed(record.clone()))?;
        rerun.finish().map(drop)
    };
    assert!(matches!(again(&records[..said]), Err(Difference::Other { .. })), "its end is missing, and no fork begins");
    let copy = fork(&engine, id, said as u64).await;
    let mut forked = world.records(copy).await;
    again(&forked).unwrap();
    // What the fork says followed from the words must be what follows from them.
    forked.iter_mut().rfind(|r| r.kind == "health_update").unwrap().hash = Hash::ZERO;
    assert!(again(&forked).is_err());
    engine.shutdown(Duration::from_secs(5)).await;
}
