//! What tests of models need: a fixed clock, a request, and a model server that misbehaves by plan.

mod server;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use psyche_core::port::{
    ChatMessage, ChatRole, Clock, Determinism, GenerateRequest, ModelCard, ModelEvent, Price, PromptStyle, Sampling,
};
use psyche_core::words::Hash;
use psyche_core::{AgentId, Timestamp};

pub use self::server::{Behaviour, MockServer, refusing_base_url};

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_380_000_000_000).plus_ms(self.0.load(Relaxed) as i64)
    }
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }
    fn entropy(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// A small request by `agent` in `turn`; its prompt has seven words.
pub fn request(agent: &str, turn: u64) -> GenerateRequest {
    let message = |role, content: String| ChatMessage { role, content };
    GenerateRequest {
        messages: vec![
            message(ChatRole::System, format!("You are the {agent}.")),
            message(ChatRole::User, "Who are you?".to_owned()),
        ],
        opener: None,
        sampling: Sampling {
            temperature: 0.7,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.15,
            no_repeat_ngram: 4,
            max_tokens: 48,
            stop: Vec::new(),
        },
        seed: 42,
        avoid: Vec::new(),
        digest: Hash::of(format!("{agent} {turn}").as_bytes()),
        agent: AgentId::new(agent),
        turn,
    }
}

/// A plain card under `id`.
pub fn card(id: &str) -> ModelCard {
    ModelCard {
        id: id.to_owned(),
        provider: "openai".to_owned(),
        name: "test-model".to_owned(),
        context: 8192,
        price: Price::default(),
        determinism: Determinism::Api,
        prompt_style: PromptStyle::Full,
    }
}

/// The speech in a reply's events.
pub fn reply_text(events: &[ModelEvent]) -> String {
    let text = |event: &ModelEvent| if let ModelEvent::Text(text) = event { Some(text.clone()) } else { None };
    events.iter().filter_map(text).collect()
}
