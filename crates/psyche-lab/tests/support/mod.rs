//! A session's events, made up by the rules of a test.

use psyche_core::cast::{Cast, StimulusKind};
use psyche_core::event::{
    AgentMessage, Event, HealthUpdate, MessageMetadata, MessageType, Payload, SessionCreated, StimulusInjected,
    StimulusUsed, TurnCommitted, TurnFailed,
};
use psyche_core::measure::{Gauge, GaugeName, Gauges, MEASURES_VERSION, Vader};
use psyche_core::port::{Determinism, Finish, ModelErrorKind};
use psyche_core::prompt::PROMPTS_VERSION;
use psyche_core::session::{Budget, SessionType, TurnOrder};
use psyche_core::words::{Salts, Subject, Words};
use psyche_core::{AgentId, SessionId, Timestamp, UserId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(1));
const PERSON: UserId = UserId(uuid::Uuid::from_u128(7));

pub struct Talk {
    pub events: Vec<Event>,
    speakers: Vec<AgentId>,
    vader: Vader,
    random: ChaCha8Rng,
    turn: u64,
}

/// What is said, and how.
pub struct Utterance {
    pub speaker: usize,
    pub to: Option<usize>,
    pub text: String,
    pub sentiment: f64,
    pub latency_ms: u64,
    pub attempt: u32,
    pub truncated: bool,
}

impl Default for Utterance {
    fn default() -> Self {
        Self {
            speaker: 0,
            to: None,
            text: String::new(),
            sentiment: 0.0,
            latency_ms: 500,
            attempt: 1,
            truncated: false,
        }
    }
}

fn words(text: &str) -> Words {
    Words::new(text, Subject::Session, &mut Salts::recorded(vec![[3; 16]]))
}

impl Talk {
    pub fn new(speakers: &[&str], seed: u64) -> Self {
        let mut cast = Cast::jungian();
        let agent = cast.agents[0].clone();
        cast.agents =
            speakers.iter().map(|id| psyche_core::cast::Agent { id: AgentId::new(id), ..agent.clone() }).collect();
        cast.paths.clear();
        let created = SessionCreated {
            name: words("made up"),
            session_type: SessionType::SingleUser,
            owner: PERSON,
            cast_words: None,
            cast: Box::new(cast),
            situation: words("A room."),
            seed,
            model: "scripted".to_owned(),
            determinism: Determinism::Tape,
            turn_order: TurnOrder::Sequential,
            pacing_ms: 0,
            max_rounds: None,
            budget: Budget::default(),
            tags: Vec::new(),
            measures_version: MEASURES_VERSION,
            prompts_version: PROMPTS_VERSION,
        };
        let mut talk = Self {
            events: Vec::new(),
            speakers: speakers.iter().map(|id| AgentId::new(id)).collect(),
            vader: Vader::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            turn: 0,
        };
        talk.push(created);
        talk
    }

    pub fn push(&mut self, payload: impl Into<Payload>) -> u64 {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Event { generation: 1, seq, at: Timestamp(seq as i64 * 1_000_000), payload: payload.into() });
        seq
    }

    pub fn say(&mut self, said: Utterance) {
        self.turn += 1;
        let agent_id = self.speakers[said.speaker].clone();
        let mut sentiment = psyche_core::event::SentimentScore::from(self.vader.score(""));
        sentiment.score = said.sentiment;
        let to = said.to.map(|to| self.speakers[to].clone());
        let (turn, attempt, round) = (self.turn, said.attempt, self.turn.div_ceil(self.speakers.len() as u64));
        self.push(AgentMessage {
            agent_id: agent_id.clone(),
            recipient: to.as_ref().map_or("all", AgentId::as_str).to_owned(),
            recipients: to.into_iter().collect(),
            content: words(&said.text),
            message_type: MessageType::Normal,
            sentiment,
            metadata: MessageMetadata {
                round,
                turn,
                attempt,
                model: "scripted".to_owned(),
                usage: None,
                latency_ms: said.latency_ms,
                seed: 1,
                opener: None,
                truncated: said.truncated,
                user_id: None,
                affect: None,
                embedding: None,
            },
        });
        let finish = Finish::Stop;
        let committed = TurnCommitted {
            turn,
            attempt,
            round,
            agent_id,
            finish,
            tokens: 30,
            cost: 0.0,
            confidence: None,
            reasoning: None,
        };
        self.push(committed);
    }

    /// Readings of all gauges around the middle.
    pub fn gauges(&mut self) {
        let mut gauges = Gauges::new();
        for name in GaugeName::ALL {
            let standardised = Some((0.5 + 0.1 * self.noise()).clamp(0.0, 1.0));
            gauges
                .insert(name, Gauge { value: standardised, standardised, null: Some([0.4, 0.6]), ..Gauge::default() });
        }
        self.push(HealthUpdate { round: 1, gauges });
    }

    pub fn failure(&mut self, speaker: usize) {
        let agent_id = self.speakers[speaker].clone();
        let (turn, message) = (self.turn + 1, "took too long".to_owned());
        let kind = ModelErrorKind::Timeout;
        self.push(TurnFailed { agent_id, turn, attempt: 1, kind, retryable: true, message, tokens: 7 });
    }

    pub fn stimulus(&mut self, kind: &str) {
        let kind: StimulusKind = serde_json::from_value(kind.into()).unwrap();
        let injected = StimulusInjected { kind, text: words("Look."), target: None, actor: PERSON.to_string() };
        let stimulus_seq = self.push(injected);
        self.push(StimulusUsed { stimulus_seq, turn: self.turn + 1 });
    }

    /// A draw around 0 with a standard deviation of 1.
    pub fn noise(&mut self) -> f64 {
        (0..12).map(|_| f64::from(self.random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }

    /// So many words out of a vocabulary.
    pub fn chatter(&mut self, count: usize, vocabulary: u32) -> String {
        self.chatter_from(count, 0, vocabulary)
    }

    pub fn chatter_from(&mut self, count: usize, first: u32, vocabulary: u32) -> String {
        let words: Vec<String> =
            (0..count).map(|_| format!("word{}", first + self.random.next_u32() % vocabulary)).collect();
        words.join(" ")
    }
}
