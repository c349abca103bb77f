//! Events: what happened, in one type for the log, the fold, the live view and every export.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cast::{Cast, Path, PathKind, StimulusKind};
use crate::ids::{AgentId, SessionId, UserId};
use crate::measure::Gauges;
use crate::port::{Determinism, Finish, ModelErrorKind, Parent, PromptStyle, Sampling, Usage};
use crate::prompt::Rule;
use crate::record::{Record, Text};
use crate::session::{Budget, SessionStatus, SessionType, TurnOrder};
use crate::time::Timestamp;
use crate::words::{Hash, Words};

/// One event of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub generation: u32,
    pub seq: u64,
    pub at: Timestamp,
    pub payload: Payload,
}

/// Texts of a payload that are committed to and sealed, by field name.
pub trait HasWords {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        Vec::new()
    }
}

macro_rules! payloads {
    ($($variant:ident = $kind:literal),* $(,)?) => {
        /// What happened. Every variant is one event type of the protocol.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Payload {
            $($variant($variant),)*
            /// An event of a later version: kept, passed on, and not folded.
            Unknown(Unknown),
        }

        $(impl From<$variant> for Payload {
            fn from(payload: $variant) -> Self {
                Self::$variant(payload)
            }
        })*

        impl Payload {
            /// The event type's name in the log and in frames.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            /// All event types this program writes.
            pub const KINDS: &[&str] = &[$($kind),*];

            fn decode_body(kind: &str, version: u16, body: &str) -> Result<Self, serde_json::Error> {
                match (kind, version) {
                    $(($kind, 1) => serde_json::from_str::<$variant>(body).map(Self::$variant),)*
                    _ => Ok(Self::Unknown(Unknown {
                        kind: kind.to_owned(),
                        version,
                        body: RawValue::from_string(body.to_owned())?,
                    })),
                }
            }

            fn body(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$variant(payload) => serde_json::to_string(payload),)*
                    Self::Unknown(unknown) => Ok(unknown.body.get().to_owned()),
                }
            }

            fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
                match self {
                    $(Self::$variant(payload) => payload.words_mut(),)*
                    Self::Unknown(_) => Vec::new(),
                }
            }
        }
    };
}

payloads! {
    SessionCreated = "session_created",
    CommandReceived = "command_received",
    CommandRefused = "command_refused",
    SessionStatusChanged = "session_status",
    TurnStarted = "turn_started",
    AgentMessage = "agent_message",
    AgentStateUpdate = "agent_state_update",
    NetworkUpdate = "network_update",
    HealthUpdate = "health_update",
    Emergency = "emergency",
    PromptAdapted = "prompt_adapted",
    StimulusInjected = "stimulus_injected",
    StimulusUsed = "stimulus_used",
    SituationChanged = "situation_changed",
    InterventionSuggested = "intervention_suggested",
    Annotation = "annotation",
    TurnCommitted = "turn_committed",
    TurnFailed = "turn_failed",
    TurnAbandoned = "turn_abandoned",
    Reset = "reset",
    SettingsChanged = "settings_changed",
    AgentChanged = "agent_changed",
    PathsChanged = "paths_changed",
    Forked = "forked",
    UserSession = "user_session",
}

/// An event this program does not know.
#[derive(Clone, Debug)]
pub struct Unknown {
    pub kind: String,
    pub version: u16,
    pub body: Box<RawValue>,
}

impl PartialEq for Unknown {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.version == other.version && self.body.get() == other.body.get()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionCreated {
    pub name: String,
    pub session_type: SessionType,
    pub owner: UserId,
    pub cast: Cast,
    pub situation: Words,
    pub seed: u64,
    /// Id of the model an agent uses when it names none.
    pub model: String,
    pub determinism: Determinism,
    pub turn_order: TurnOrder,
    pub pacing_ms: u64,
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub tags: Vec<String>,
    pub measures_version: u16,
    pub prompts_version: u16,
}

impl HasWords for SessionCreated {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        vec![("situation", &mut self.situation)]
    }
}

/// A command as it was acknowledged. Its text, if any, is kept apart because it is a person's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandReceived {
    pub command_id: String,
    pub actor: String,
    pub command: String,
    #[serde(default)]
    pub args: BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Words>,
}

impl HasWords for CommandReceived {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        self.text.as_mut().map(|text| ("text", text)).into_iter().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRefused {
    pub command_id: String,
    pub status: SessionStatus,
    pub message: String,
}
impl HasWords for CommandRefused {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatusChanged {
    pub status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A user's id, or `system`.
    pub actor: String,
}
impl HasWords for SessionStatusChanged {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    Normal,
    Emergency,
}

/// A turn's model call is about to begin. All that is needed to build its prompt again is here or earlier in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnStarted {
    pub turn: u64,
    pub attempt: u32,
    pub round: u64,
    pub agent_id: AgentId,
    pub recipient: String,
    pub recipients: Vec<AgentId>,
    pub message_type: MessageType,
    pub seed: u64,
    pub model: String,
    pub style: PromptStyle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    /// `seq` of every event whose words are in the prompt.
    pub event_seqs: Vec<u64>,
    /// Those of them that are stimuli.
    pub stimuli: Vec<u64>,
    /// `seq` of the utterance this turn answers, if any.
    pub answers: Option<u64>,
    pub sampling: Sampling,
    pub prompt_digest: Hash,
    /// Tokens reserved from the budget until the turn is settled.
    pub reserved: u64,
}
impl HasWords for TurnStarted {}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentimentScore {
    /// VADER compound, −1..1.
    pub score: f64,
    pub label: crate::measure::Label,
    pub positive: f64,
    pub negative: f64,
    pub neutral: f64,
    /// Standard error of the score, from the disagreement of the lexicon's raters.
    pub standard_error: f64,
    /// `score` ± 1.96 standard errors.
    pub band: [f64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageMetadata {
    pub round: u64,
    pub turn: u64,
    pub attempt: u32,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub latency_ms: u64,
    pub seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

/// An utterance. A person's has `agent_id` `user`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentMessage {
    pub agent_id: AgentId,
    /// One agent's id, or `all`.
    pub recipient: String,
    pub recipients: Vec<AgentId>,
    pub content: Words,
    pub message_type: MessageType,
    pub sentiment: SentimentScore,
    pub metadata: MessageMetadata,
}

impl HasWords for AgentMessage {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        vec![("content", &mut self.content)]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentActivity {
    Waiting,
    Processing,
    Active,
    /// Spoke under adaptation guidance.
    Integrating,
    Muted,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStateUpdate {
    pub agent_id: AgentId,
    pub state: AgentActivity,
    /// Geometric mean token probability where the model gives it.
    pub confidence: Option<f64>,
    pub last_action: String,
    pub metadata: BTreeMap<String, serde_json::Value>,
}
impl HasWords for AgentStateUpdate {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub from: AgentId,
    pub to: AgentId,
    /// 0..=1, see [`crate::measure`].
    pub strength: f64,
    /// Whether words may flow on it now.
    pub active: bool,
    pub kind: PathKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkMetrics {
    pub total_messages: u64,
    /// Mean milliseconds from the model call to its end, over the session.
    pub avg_response_time: Option<f64>,
    pub network_health: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkUpdate {
    pub connections: Vec<Connection>,
    pub metrics: NetworkMetrics,
    pub performance: BTreeMap<String, serde_json::Value>,
}
impl HasWords for NetworkUpdate {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthUpdate {
    pub round: u64,
    pub gauges: Gauges,
}
impl HasWords for HealthUpdate {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyAction {
    Opened,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyLevel {
    Emergency,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    pub from: AgentId,
    pub to: AgentId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Emergency {
    pub action: EmergencyAction,
    pub level: EmergencyLevel,
    /// Standardised stagnation at this moment.
    pub stagnation: f64,
    pub paths: Vec<Edge>,
}
impl HasWords for Emergency {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptAdapted {
    pub agent_id: AgentId,
    pub rules: Vec<Rule>,
    /// The words that enter the prompt; empty when no rule holds any more.
    pub guidance: String,
}
impl HasWords for PromptAdapted {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StimulusInjected {
    pub kind: StimulusKind,
    pub text: Words,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AgentId>,
    pub actor: String,
}
impl HasWords for StimulusInjected {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        vec![("text", &mut self.text)]
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StimulusUsed {
    pub stimulus_seq: u64,
    pub turn: u64,
}
impl HasWords for StimulusUsed {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SituationChanged {
    pub situation: Words,
    /// `round`, `user` or `reset`.
    pub cause: String,
}
impl HasWords for SituationChanged {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        vec![("situation", &mut self.situation)]
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterventionSuggested {
    pub rule: String,
    pub text: String,
}
impl HasWords for InterventionSuggested {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    pub target_seq: u64,
    pub text: Words,
    pub tags: Vec<String>,
    pub user_id: UserId,
}
impl HasWords for Annotation {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        vec![("text", &mut self.text)]
    }
}

/// Closes a turn: the settlement of its reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnCommitted {
    pub turn: u64,
    pub attempt: u32,
    pub round: u64,
    pub agent_id: AgentId,
    pub finish: Finish,
    /// Tokens charged: what the model reported, else an estimate.
    pub tokens: u64,
    pub cost: f64,
    pub confidence: Option<f64>,
    /// A model's separate reasoning; never scored, never heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Words>,
}
impl HasWords for TurnCommitted {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        self.reasoning.as_mut().map(|text| ("reasoning", text)).into_iter().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnFailed {
    pub agent_id: AgentId,
    pub turn: u64,
    pub attempt: u32,
    pub kind: ModelErrorKind,
    pub retryable: bool,
    /// Ours, never the provider's text.
    pub message: String,
    /// Tokens charged for the failed call.
    pub tokens: u64,
}
impl HasWords for TurnFailed {}

/// A turn that began and will not end: its owner died or the run was stopped. Its reservation counts as spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnAbandoned {
    pub agent_id: AgentId,
    pub turn: u64,
    pub attempt: u32,
    pub reason: String,
    pub tokens: u64,
}
impl HasWords for TurnAbandoned {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reset {
    pub actor: String,
    /// Stimuli that waited and were dropped.
    pub dropped: Vec<u64>,
}
impl HasWords for Reset {}

/// Changed settings of a session; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsChanged {
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing_ms: Option<u64>,
    /// `Some(None)`: no limit any more.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "double")]
    pub max_rounds: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}
impl HasWords for SettingsChanged {
    fn words_mut(&mut self) -> Vec<(&'static str, &mut Words)> {
        self.situation.as_mut().map(|text| ("situation", text)).into_iter().collect()
    }
}

/// A present `null` means `Some(None)`.
pub mod double {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer, T: Serialize>(value: &Option<Option<T>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Some)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentChanged {
    pub actor: String,
    pub agent_id: AgentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
}
impl HasWords for AgentChanged {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathsChanged {
    pub actor: String,
    pub paths: Vec<Path>,
}
impl HasWords for PathsChanged {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    pub parent: Parent,
    pub changes: BTreeMap<String, serde_json::Value>,
}
impl HasWords for Forked {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserSession {
    pub user_id: UserId,
    pub username: String,
    pub action: String,
    pub session_type: SessionType,
    pub participant_count: u64,
    pub metadata: BTreeMap<String, serde_json::Value>,
}
impl HasWords for UserSession {}

/// A record whose body is not what its kind and version promise.
#[derive(Debug, thiserror::Error)]
#[error(
    "event {seq} ({kind} v{version}) cannot be read: {source}. The log was written by another program or damaged; run `psyche verify`"
)]
pub struct DecodeError {
    pub seq: u64,
    pub kind: String,
    pub version: u16,
    pub source: serde_json::Error,
}

impl Event {
    /// The record of this event after the record with hash `previous`.
    pub fn record(&self, previous: &Hash, epoch: u64) -> Record {
        let mut payload = self.payload.clone();
        let mut texts = Vec::new();
        for (field, words) in payload.words_mut() {
            let committed = Words::Committed(words.commitment());
            if let Words::Plain { text, salt, subject } = std::mem::replace(words, committed) {
                texts.push(Text { field: field.to_owned(), subject, salt, text: Some(text) });
            }
        }
        // Payloads are plain structs with string keys: serialising them cannot fail.
        let body = payload.body().unwrap_or_else(|e| unreachable!("{}: {e}", payload.kind()));
        let mut record = Record {
            generation: self.generation,
            seq: self.seq,
            epoch,
            kind: payload.kind().to_owned(),
            version: if let Payload::Unknown(unknown) = &payload { unknown.version } else { 1 },
            at: self.at,
            body,
            hash: Hash::ZERO,
            committed_turn: if let Payload::TurnCommitted(c) = &payload { Some(c.turn) } else { None },
            command_id: if let Payload::CommandReceived(c) = &payload { Some(c.command_id.clone()) } else { None },
            texts,
        };
        record.hash = record.chain(previous);
        record
    }

    /// Reads a record back, joining its texts.
    pub fn decode(record: &Record) -> Result<Self, DecodeError> {
        let mut payload = Payload::decode_body(&record.kind, record.version, &record.body).map_err(|source| {
            DecodeError { seq: record.seq, kind: record.kind.clone(), version: record.version, source }
        })?;
        for (field, words) in payload.words_mut() {
            let hash = words.commitment();
            *words = match record.texts.iter().find(|t| t.field == field) {
                Some(Text { text: Some(text), salt, subject, .. }) => {
                    Words::Plain { text: text.clone(), salt: *salt, subject: *subject }
                }
                _ => Words::Erased(hash),
            };
        }
        Ok(Self { generation: record.generation, seq: record.seq, at: record.at, payload })
    }

    /// The event as clients see it. `prev` is the `seq` of the event before it in the client's view.
    pub fn frame(&self, session: SessionId, prev: u64) -> String {
        let body = self.payload.body().unwrap_or_else(|e| unreachable!("{}: {e}", self.payload.kind()));
        let mut frame = String::with_capacity(body.len() + 200);
        let Self { generation, seq, at, payload } = self;
        // Writing to a String cannot fail.
        let _ = write!(
            frame,
            r#"{{"type":"{}","session_id":"{session}","gen":{generation},"seq":{seq},"prev":{prev},"timestamp":"{at}""#,
            payload.kind()
        );
        if body.len() > 2 {
            frame.push(',');
            frame.push_str(&body[1..]);
        } else {
            frame.push('}');
        }
        frame
    }
}
