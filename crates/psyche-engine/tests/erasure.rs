//! Erasing a person: from the files, from every read, and from minds that are running.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use psyche_core::cast::{Cast, Example, StimulusKind, StimulusPreset};
use psyche_core::event::{Event, Payload};
use psyche_core::port::{
    Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelEvent, ModelStream, News, PromptStyle,
    SessionFilter, Usage,
};
use psyche_core::record::Checker;
use psyche_core::session::{
    Action, AgentChange, AnnotateArgs, NoArgs, SessionStatus, SessionType, Settings, SpeakArgs, StimulusArgs, StopArgs,
    TurnOrder, UserCommand,
};
use psyche_core::words::{ERASED, Subject};
use psyche_core::{AgentId, CommandId, SessionId, TenantId, UserId};
use psyche_engine::{Engine, NewRun};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::memory::MemoryStore;
use psyche_store::sqlite::{Options as SqliteOptions, SqliteStore};
use support::{PERSON, RealClock, World, is_status, run, send, until};
use tokio::sync::Semaphore;

/// Somebody else in the session.
const OTHER: UserId = UserId(uuid::Uuid::from_u128(8));
const GUEST: &str = "I came by the night train and nobody was waiting at the station.";

fn canary(field: &str) -> String {
    format!("CANARY {field}: my grandmother kept a lighthouse near Trieste")
}

/// A model that repeats whatever it is told, as often as it is let.
struct Parrot {
    card: ModelCard,
    lets: Arc<Semaphore>,
}

impl Parrot {
    fn new(lets: usize) -> Self {
        let card = ModelCard {
            prompt_style: PromptStyle::Full,
            ..ScriptedModel::new("scripted", Pace::AtOnce).card().clone()
        };
        Self { card, lets: Arc::new(Semaphore::new(lets)) }
    }
}

#[async_trait]
impl LanguageModel for Parrot {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        self.lets.acquire().await.unwrap().forget();
        let lines = request.messages.iter().flat_map(|m| m.content.lines());
        // What is cut short may end in a quotation too short to count as one.
        let said = lines.filter(|line| !line.contains('…')).collect::<Vec<_>>().join(" ").replace(['<', '>'], "|");
        let events = [
            ModelEvent::Reasoning(format!("They told me: {said}")),
            ModelEvent::Text(format!("You told me, and I repeat it: {said}")),
            ModelEvent::Done {
                finish: Finish::Stop,
                usage: Some(Usage { prompt_tokens: 1, completion_tokens: 1 }),
                confidence: None,
            },
        ];
        Ok(futures_util::stream::iter(events.map(Ok)).boxed())
    }
}

/// A shared session in which the owner types a canary into every field there is.
fn canaries() -> NewRun {
    let mut cast = Cast::jungian();
    "own".clone_into(&mut cast.id);
    cast.owner = Some(PERSON.to_string());
    cast.stimuli = vec![StimulusPreset { kind: StimulusKind::Memory, name: canary("preset"), text: canary("preset") }];
    for agent in &mut cast.agents {
        agent.examples = vec![Example { cue: canary("cue"), reply: canary("reply") }];
        (agent.example, agent.manner) = (Some(canary("example")), Some(canary("manner")));
        agent.openers = [("neutral".to_owned(), vec![canary("opener"), canary("second opener")])].into();
        agent.system_prompt = canary("system prompt");
    }
    (cast.name, cast.description, cast.situation) = (canary("cast"), canary("description"), canary("cast situation"));
    NewRun {
        name: canary("session"),
        session_type: SessionType::Shared,
        situation: Some(canary("situation")),
        tags: vec![canary("tag")],
        cast,
        ..run(TurnOrder::Sequential, Some(4))
    }
}

async fn submit(engine: &Engine, id: SessionId, actor: UserId, name: &str, action: Action) {
    engine.submit(id, UserCommand { id: CommandId::new(name), actor, action }).await.unwrap();
}

/// Two rounds of talk in which agents repeat all they hear.
async fn talk(world: &World, engine: &Engine) -> SessionId {
    let id = engine.create(canaries()).await.unwrap().session_id;
    let stimulus = |kind, text: Option<String>| Action::InjectStimulus(StimulusArgs { kind, text, target: None });
    let actions = [
        stimulus(StimulusKind::Custom, Some(canary("stimulus"))),
        stimulus(StimulusKind::Random, None),
        Action::Speak(SpeakArgs { text: canary("speech"), to: None }),
        Action::Annotate(AnnotateArgs { seq: 1, text: canary("note"), tags: vec![canary("note tag")] }),
        Action::ChangeSettings(Settings {
            name: Some(canary("new name")),
            situation: Some(canary("new situation")),
            tags: Some(vec![canary("new tag")]),
            ..Settings::default()
        }),
        Action::ChangeAgent(AgentChange {
            agent_id: AgentId::new("ego"),
            temperature: None,
            system_prompt: Some(canary("new prompt")),
            model: None,
            muted: None,
        }),
    ];
    for (n, action) in actions.into_iter().enumerate() {
        submit(engine, id, PERSON, &format!("c{n}"), action).await;
    }
    submit(engine, id, OTHER, "guest", Action::Speak(SpeakArgs { text: GUEST.to_owned(), to: None })).await;
    let mut news = world.follow(id);
    submit(engine, id, PERSON, "go", Action::Step(psyche_core::session::StepArgs::default())).await;
    until(&mut news, is_status(SessionStatus::Paused)).await;
    submit(engine, id, PERSON, "again", Action::Step(psyche_core::session::StepArgs::default())).await;
    until(&mut news, is_status(SessionStatus::Paused)).await;
    submit(engine, id, PERSON, "stop", Action::Stop(StopArgs { reason: Some(canary("reason")) })).await;
    id
}

/// Everything that can be read of a session, as one text.
async fn everything(world: &World, engine: &Engine, id: SessionId) -> String {
    let mut all = String::new();
    let events = world.events(id).await;
    for event in &events {
        all.push_str(&event.frame(id, 0));
        all.push('\n');
        let state = engine.at(id, event.seq).await.unwrap();
        all.push_str(&serde_json::to_string(&state).unwrap());
        if matches!(event.payload, Payload::AgentMessage(_))
            && let Ok(context) = engine.context(id, event.seq).await
        {
            all.push_str(&serde_json::to_string(&context).unwrap());
        }
    }
    let now = engine.read(id, |s| serde_json::to_string(&(s, s.view(), s.summary())).unwrap()).await.unwrap();
    all.push_str(&now);
    if let Some(snapshot) = world.ports.log.snapshot(id, u64::MAX).await.unwrap() {
        all.push_str(&String::from_utf8(snapshot.bytes).unwrap());
    }
    let (directory, filter) = (&world.ports.directory, SessionFilter::default());
    let row = directory.session(id).await.unwrap().unwrap();
    all.push_str(&serde_json::to_string(&row.summary).unwrap());
    let query = Some("canary".to_owned());
    let found = directory.sessions(TenantId::DEFAULT, SessionFilter { query, ..filter }, None, 10).await.unwrap();
    all.push_str(&found.items.iter().map(|row| row.summary.name.clone()).collect::<String>());
    let casts = directory.casts(TenantId::DEFAULT).await.unwrap();
    all.push_str(&serde_json::to_string(&casts).unwrap());
    all
}

/// Whether a file of the directory holds the text.
fn in_files(dir: &Path, text: &str) -> Vec<String> {
    let holds = |path: &Path| std::fs::read(path).unwrap().windows(text.len()).any(|w| w == text.as_bytes());
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_in_no_file_and_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let options = || SqliteOptions::new(dir.path().join("psyche.db"), [1; 32], Arc::new(RealClock::new()));
    let world = World::new(Arc::new(SqliteStore::open(options()).unwrap()), Parrot::new(1_000));
    let engine = world.engine();
    let cast = canaries().cast;
    world.ports.directory.put_cast(psyche_core::port::StoredCast { tenant: TenantId::DEFAULT, cast }).await.unwrap();
    let id = talk(&world, &engine).await;
    world.check(id).await;
    let spoken = |events: &[Event]| {
        let said = events.iter().filter_map(|e| match &e.payload {
            Payload::AgentMessage(m) if m.metadata.user_id.is_none() => Some(m.content.as_str().to_owned()),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    let before = spoken(&world.events(id).await);
    assert!(before.iter().all(|text| text.contains("CANARY")), "the parrot repeats");
    assert!(everything(&world, &engine, id).await.contains("CANARY note tag"));
    let generation = world.ports.log.head(id).await.unwrap().unwrap().generation;
    let mut news = world.follow(id);

    assert_eq!(engine.erase(None, Subject::User(PERSON)).await.unwrap(), [id]);

    let left = everything(&world, &engine, id).await;
    let left = left.match_indices("CANARY").map(|(at, _)| left[at..].chars().take(100).collect::<String>());
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(in_files(dir.path(), "CANARY"), [""; 0], "while the store is open");
    let News::Appended { generation: told, events: None, .. } = news.next().await.unwrap() else { panic!() };
    assert_eq!(told, generation + 1, "readers begin anew");

    // The chain verifies, and names what was erased and what was masked.
    let records = world.records(id).await;
    let mut checker = Checker::default();
    for record in &records {
        checker.check(record).unwrap();
    }
    let kinds = |seqs: &[u64]| {
        let kinds = seqs.iter().map(|seq| records[*seq as usize - 1].kind.as_str());
        kinds.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let erased = [
        "agent_changed",
        "agent_message",
        "annotation",
        "command_received",
        "session_created",
        "settings_changed",
        "situation_changed",
        "stimulus_injected",
    ];
    assert_eq!(kinds(&checker.erased), erased);
    assert_eq!(kinds(&checker.masked), ["agent_message", "turn_committed"]);

    // Replay shows it; what agents and others said besides stays.
    let after = spoken(&world.events(id).await);
    assert_eq!(after.len(), before.len());
    for text in &after {
        assert!(text.starts_with("You told me, and I repeat it: ") && text.contains(ERASED), "{text}");
    }
    assert!(after.iter().any(|text| text.contains(GUEST)), "the guest was not erased");
    let state = engine.read(id, |s| (s.name.clone(), s.tags.clone(), s.situation.to_string())).await.unwrap();
    assert_eq!(state, (ERASED.to_owned(), vec![ERASED.to_owned()], ERASED.to_owned()));
    assert!(world.ports.directory.casts(TenantId::DEFAULT).await.unwrap().is_empty());

    // The session goes on, and erasing again finds nothing.
    submit(&engine, id, OTHER, "on", Action::Speak(SpeakArgs { text: "Still here.".to_owned(), to: None })).await;
    assert_eq!(engine.erase(None, Subject::User(PERSON)).await.unwrap(), []);
    engine.shutdown(Duration::from_secs(5)).await;
    assert_eq!(in_files(dir.path(), "CANARY"), [""; 0]);
}

/// A session that runs, with a call under way whose prompt holds the canary.
async fn running(world: &World, engine: &Engine) -> SessionId {
    let id = engine.create(NewRun { max_rounds: Some(2), ..canaries() }).await.unwrap().session_id;
    let mut news = world.follow(id);
    send(engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, |p| matches!(p, Payload::TurnStarted(_))).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_does_not_bring_erased_words_back() {
    // Told by its own engine, or by nobody: as when another replica erases.
    for told in [true, false] {
        let parrot = Parrot::new(0);
        let lets = Arc::clone(&parrot.lets);
        let store = Arc::new(MemoryStore::new(Arc::new(RealClock::new())));
        let world = World::new(store, parrot);
        let engine = world.engine();
        let id = running(&world, &engine).await;
        let mut news = world.follow(id);
        if told {
            engine.erase(None, Subject::User(PERSON)).await.unwrap();
            let state = engine.read(id, |s| serde_json::to_string(s).unwrap()).await.unwrap();
            assert!(!state.contains("CANARY"), "forgotten at once");
        } else {
            world.ports.log.erase(None, Subject::User(PERSON)).await.unwrap();
        }
        lets.add_permits(1_000);
        until(&mut news, is_status(SessionStatus::Stopped)).await;
        let all = everything(&world, &engine, id).await;
        assert!(!all.contains("CANARY"), "told: {told}");
        let events = world.events(id).await;
        let abandoned = events.iter().filter(|e| matches!(e.payload, Payload::TurnAbandoned(_))).count();
        assert_eq!(abandoned, 1, "the answer to erased words was thrown away");
        let messages = events.iter().filter(|e| matches!(e.payload, Payload::AgentMessage(_))).count();
        assert_eq!(messages, 10, "and the session went on");
        engine.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_casts_words_are_its_owners_whoever_uses_it() {
    let world = World::new(Arc::new(MemoryStore::new(Arc::new(RealClock::new()))), Parrot::new(0));
    let engine = world.engine();
    let cast = canaries().cast;
    let author = async |cast: Cast| {
        let id = engine.create(NewRun { owner: OTHER, cast, ..run(TurnOrder::Sequential, None) }).await.unwrap();
        let records = world.records(id.session_id).await;
        let text = |field: &str| records[0].texts.iter().find(|t| t.field == field).unwrap().subject;
        assert_eq!(text("name"), Subject::User(OTHER));
        assert_eq!(text("cast"), text("situation"), "the cast's own situation");
        text("cast")
    };
    assert_eq!(author(cast.clone()).await, Subject::User(OTHER), "a name written into a cast proves nothing");
    let stored = psyche_core::port::StoredCast { tenant: TenantId::DEFAULT, cast: cast.clone() };
    world.ports.directory.put_cast(stored).await.unwrap();
    assert_eq!(author(cast).await, Subject::User(PERSON));
    assert_eq!(author(Cast::jungian()).await, Subject::Session);
    engine.shutdown(Duration::from_secs(5)).await;
}
