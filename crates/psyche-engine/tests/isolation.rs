//! ISO-01: sessions side by side never meet: not in prompts, events, states, snapshots, rows, or random streams.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use psyche_core::SessionId;
use psyche_core::cast::Cast;
use psyche_core::event::Payload;
use psyche_core::port::{
    Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelEvent, ModelStream, PromptStyle,
};
use psyche_core::session::{Action, NoArgs, SessionStatus, SpeakArgs, TurnOrder};
use psyche_core::words::Words;
use psyche_engine::{Engine, NewRun};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::memory::MemoryStore;
use support::{RealClock, World, is_status, run, send, until};

const CANARIES: [&str; 2] = ["ALPHACANARY", "BETACANARY"];

/// Repeats the canary it finds in its prompt, and keeps every request.
struct Witness {
    card: ModelCard,
    asked: Arc<Mutex<Vec<GenerateRequest>>>,
}

impl Witness {
    fn new(style: PromptStyle) -> Self {
        let card = ModelCard { prompt_style: style, ..ScriptedModel::new("scripted", Pace::AtOnce).card().clone() };
        Self { card, asked: Arc::default() }
    }
}

#[async_trait]
impl LanguageModel for Witness {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let prompt = format!("{request:?}");
        let found = CANARIES.into_iter().filter(|c| prompt.contains(c)).collect::<Vec<_>>().join(" ");
        let text = format!("I keep {found} in turn {}.", request.turn);
        self.asked.lock().unwrap().push(request);
        tokio::task::yield_now().await;
        let done = ModelEvent::Done { finish: Finish::Stop, usage: None, confidence: None };
        Ok(futures_util::stream::iter([Ok(ModelEvent::Text(text)), Ok(done)]).boxed())
    }
}

/// A session that speaks of its canary everywhere.
async fn begin(engine: &Engine, canary: &str) -> SessionId {
    let mut cast = Cast::jungian();
    for agent in &mut cast.agents {
        agent.system_prompt = format!("{} You know of {canary}.", agent.system_prompt);
        agent.manner = Some(format!("Speak of {canary}."));
    }
    let new = NewRun {
        name: canary.to_owned(),
        situation: Some(format!("We are in the house of {canary}.")),
        tags: vec![canary.to_owned()],
        cast,
        ..run(TurnOrder::Sequential, Some(4))
    };
    let id = engine.create(new).await.unwrap().session_id;
    let speak = SpeakArgs { text: format!("Tell me of {canary}."), to: None };
    send(engine, id, "speak", Action::Speak(speak)).await.unwrap();
    id
}

/// What the sessions of these canaries left behind, run at once, and all that was asked.
async fn together(style: PromptStyle, canaries: &[&str]) -> (Vec<String>, Vec<Vec<String>>, Vec<GenerateRequest>) {
    let witness = Witness::new(style);
    let asked = Arc::clone(&witness.asked);
    let world = World::new(Arc::new(MemoryStore::new(Arc::new(RealClock::new()))), witness);
    let engine = world.engine();
    let mut ids = Vec::new();
    for canary in canaries {
        ids.push(begin(&engine, canary).await);
    }
    let mut news: Vec<_> = ids.iter().map(|id| world.follow(*id)).collect();
    for id in &ids {
        send(&engine, *id, "go", Action::Start(NoArgs {})).await.unwrap();
    }
    for news in &mut news {
        until(news, is_status(SessionStatus::Stopped)).await;
    }
    // Whoever leaves saves a snapshot.
    engine.shutdown(Duration::from_secs(5)).await;
    let (mut left, mut drawn) = (Vec::new(), Vec::new());
    for id in &ids {
        world.check(*id).await;
        let events = world.events(*id).await;
        let mut all: String = events.iter().map(|e| e.frame(*id, 0)).collect();
        let snapshot = world.ports.log.snapshot(*id, u64::MAX).await.unwrap().unwrap();
        all.push_str(&String::from_utf8(snapshot.bytes).unwrap());
        all.push_str(&engine.read(*id, |s| serde_json::to_string(&(s, s.view())).unwrap()).await.unwrap());
        let row = world.ports.directory.session(*id).await.unwrap().unwrap();
        all.push_str(&serde_json::to_string(&row.summary).unwrap());
        left.push(all);
        // Everything that is drawn: seeds, openers, and the shuffles behind the gauges.
        let of = |payload: &Payload| match payload {
            Payload::TurnStarted(s) => {
                Some(format!("{} {} {:?}", s.turn, s.seed, s.opener.as_ref().map(Words::as_str)))
            }
            Payload::HealthUpdate(h) => Some(format!("{:?}", h.gauges)),
            _ => None,
        };
        drawn.push(events.iter().filter_map(|e| of(&e.payload)).collect());
    }
    let asked = asked.lock().unwrap().clone();
    (left, drawn, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_side_by_side_never_meet() {
    for style in [PromptStyle::Full, PromptStyle::Compact] {
        let (left, drawn, asked) = together(style, &CANARIES).await;
        for (mine, other) in [(0, 1), (1, 0)] {
            assert!(left[mine].contains(CANARIES[mine]), "the search works");
            assert!(!left[mine].contains(CANARIES[other]), "{style:?}: session {mine} holds the other's canary");
        }
        assert_eq!(asked.len(), 40);
        for request in &asked {
            let request = format!("{request:?}");
            let found = CANARIES.iter().filter(|c| request.contains(**c)).count();
            assert_eq!(found, 1, "{style:?}: {request}");
        }
        // Whether another session runs beside it changes nothing of what a session draws.
        for (n, canary) in CANARIES.into_iter().enumerate() {
            let (_, alone, _) = together(style, &[canary]).await;
            assert_eq!(alone[0], drawn[n], "{style:?}");
        }
    }
}
