//! Events: what happened, in one type for the log, the fold, the live view and every export.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cast::{Cast, Path, PathKind, StimulusKind, Thresholds};
use crate::embedding::{Embedded, Embedding};
use crate::ids::{AgentId, SessionId, UserId};
use crate::measure::{Affect, Gauges, Sentiment};
use crate::port::{Determinism, Finish, ModelErrorKind, Parent, Payer, PromptStyle, Relation, Sampling, Usage};
use crate::prompt::Rule;
use crate::record::{Record, Text};
use crate::session::{Budget, SessionStatus, SessionType, TurnOrder};
use crate::time::Timestamp;
use crate::words::{ERASED, Hash, Salts, Subject, Words};

/// One event of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub generation: u32,
    pub seq: u64,
    pub at: Timestamp,
    pub payload: Payload,
}

/// Texts of a payload that are committed to and sealed, by the name of their field.
pub type Fields<'a> = Vec<(Cow<'static, str>, &'a mut Words)>;

pub trait HasWords {
    /// In the order in which their salts are drawn.
    fn words_mut(&mut self) -> Fields<'_> {
        Vec::new()
    }

    /// Takes what is sealed under another field out of the payload, before its body is made.
    fn take_apart(&mut self) {}

    /// Puts it in again once the texts are joined.
    fn put_together(&mut self) {}
}

fn field<'a>(name: &'static str, words: &'a mut Words) -> (Cow<'static, str>, &'a mut Words) {
    (Cow::Borrowed(name), words)
}

/// Texts of a list: `tags.0`, `tags.1` …
fn listed<'a>(name: &str, list: &'a mut [Words]) -> Fields<'a> {
    list.iter_mut().enumerate().map(|(i, words)| (Cow::Owned(format!("{name}.{i}")), words)).collect()
}

macro_rules! payloads {
    ($($variant:ident = $kind:literal v $version:literal),* $(,)?) => {
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
                    $(($kind, 1..=$version) => serde_json::from_str::<$variant>(body).map(Self::$variant),)*
                    _ => Ok(Self::Unknown(Unknown {
                        kind: kind.to_owned(),
                        version,
                        body: RawValue::from_string(body.to_owned())?,
                    })),
                }
            }

            /// The version in which this program writes the event.
            pub fn version(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $version,)*
                    Self::Unknown(unknown) => unknown.version,
                }
            }

            fn body(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$variant(payload) => serde_json::to_string(payload),)*
                    Self::Unknown(unknown) => Ok(unknown.body.get().to_owned()),
                }
            }

            fn words_mut(&mut self) -> Fields<'_> {
                match self {
                    $(Self::$variant(payload) => payload.words_mut(),)*
                    Self::Unknown(_) => Vec::new(),
                }
            }

            fn take_apart(&mut self) {
                match self {
                    $(Self::$variant(payload) => payload.take_apart(),)*
                    Self::Unknown(_) => {}
                }
            }

            fn put_together(&mut self) {
                match self {
                    $(Self::$variant(payload) => payload.put_together(),)*
                    Self::Unknown(_) => {}
                }
            }
        }
    };
}

payloads! {
    SessionCreated = "session_created" v 2,
    CommandReceived = "command_received" v 2,
    CommandAccepted = "command_accepted" v 1,
    CommandRefused = "command_refused" v 1,
    SessionStatusChanged = "session_status" v 1,
    TurnStarted = "turn_started" v 2,
    AgentMessage = "agent_message" v 2,
    AgentStateUpdate = "agent_state_update" v 1,
    NetworkUpdate = "network_update" v 1,
    HealthUpdate = "health_update" v 1,
    Emergency = "emergency" v 1,
    PromptAdapted = "prompt_adapted" v 1,
    StimulusInjected = "stimulus_injected" v 1,
    StimulusUsed = "stimulus_used" v 1,
    SituationChanged = "situation_changed" v 1,
    InterventionSuggested = "intervention_suggested" v 1,
    Annotation = "annotation" v 2,
    TurnCommitted = "turn_committed" v 1,
    TurnFailed = "turn_failed" v 1,
    TurnAbandoned = "turn_abandoned" v 1,
    Reset = "reset" v 1,
    SettingsChanged = "settings_changed" v 3,
    AgentChanged = "agent_changed" v 2,
    PathsChanged = "paths_changed" v 1,
    Forked = "forked" v 2,
    UserSession = "user_session" v 2,
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
    pub name: Words,
    pub session_type: SessionType,
    pub owner: UserId,
    /// In a stored body every text of it is `[erased]`: they lie in `cast_words`.
    pub cast: Box<Cast>,
    /// The texts of the cast, a JSON array of them all. Absent in frames and in version 1.
    #[serde(default, skip_serializing_if = "in_frame")]
    pub cast_words: Option<Words>,
    pub situation: Words,
    pub seed: u64,
    /// Id of the model an agent uses when it names none.
    pub model: String,
    pub determinism: Determinism,
    pub turn_order: TurnOrder,
    pub pacing_ms: u64,
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub tags: Vec<Words>,
    pub measures_version: u16,
    pub prompts_version: u16,
}

impl HasWords for SessionCreated {
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = vec![field("name", &mut self.name)];
        fields.extend(self.cast_words.as_mut().map(|words| field("cast", words)));
        fields.push(field("situation", &mut self.situation));
        fields.extend(listed("tags", &mut self.tags));
        fields
    }

    fn take_apart(&mut self) {
        if self.cast_words.is_some() {
            self.cast.texts_mut().into_iter().for_each(|text| ERASED.clone_into(text));
        }
    }

    fn put_together(&mut self) {
        let Some(texts) = self.cast_words.as_ref().and_then(|words| texts_of(words.as_str())) else { return };
        for (place, text) in self.cast.texts_mut().into_iter().zip(texts) {
            *place = text;
        }
    }
}

impl SessionCreated {
    /// The texts of a cast as they are sealed.
    pub fn cast_words(cast: &Cast, subject: Subject, salts: &mut Salts) -> Words {
        let mut cast = cast.clone();
        let texts = serde_json::json!(cast.texts_mut());
        Words::new(texts.to_string(), subject, salts)
    }
}

/// The texts of a cast from their sealed form; nothing when they were erased.
pub fn texts_of(sealed: &str) -> Option<Vec<String>> {
    serde_json::from_str(sealed).ok()
}

/// A body holds the commitment to the texts of a cast; a frame holds the cast with its texts.
#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn in_frame(words: &Option<Words>) -> bool {
    !matches!(words, Some(Words::Committed(_)))
}

/// A command as it was acknowledged. Its text, if any, is kept apart because it is a person's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandReceived {
    pub command_id: String,
    pub actor: String,
    pub command: String,
    #[serde(default)]
    pub args: BTreeMap<String, Arg>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Words>,
    /// Acknowledged by a replica that does not own the session: the owner decides it later, and says so with
    /// [`CommandAccepted`] or [`CommandRefused`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

impl HasWords for CommandReceived {
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = Fields::new();
        for (name, arg) in &mut self.args {
            match arg {
                Arg::Words(words) => fields.push((Cow::Owned(format!("args.{name}")), words)),
                Arg::List(list) => fields.extend(listed(&format!("args.{name}"), list)),
                Arg::Value(_) => {}
            }
        }
        fields.extend(self.text.as_mut().map(|text| field("text", text)));
        fields
    }
}

/// An argument of a command: structure, or a person's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, from = "serde_json::Value")]
pub enum Arg {
    Words(Words),
    List(Vec<Words>),
    Value(serde_json::Value),
}

impl From<serde_json::Value> for Arg {
    /// In a stored body words are commitments; anything else is structure, or an argument of version 1.
    fn from(value: serde_json::Value) -> Self {
        let committed = |value: &serde_json::Value| {
            let hash = value.as_object().filter(|map| map.len() == 1)?.get("sha256")?;
            hash.as_str()?.parse().ok().map(Words::Committed)
        };
        if let Some(words) = committed(&value) {
            return Self::Words(words);
        }
        let list = value.as_array().filter(|list| !list.is_empty());
        match list.and_then(|list| list.iter().map(committed).collect()) {
            Some(list) => Self::List(list),
            None => Self::Value(value),
        }
    }
}

impl Arg {
    /// The argument as it was sent.
    pub fn value(&self) -> serde_json::Value {
        match self {
            Self::Words(words) => words.as_str().into(),
            Self::List(list) => list.iter().map(Words::as_str).collect(),
            Self::Value(value) => value.clone(),
        }
    }
}

/// A command that waited for the owner is decided; what follows from it comes in the same append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandAccepted {
    pub command_id: String,
    /// Of the `command_received`.
    pub received_seq: u64,
}
impl HasWords for CommandAccepted {}

/// A command that waited for the owner was not possible any more when it was decided.
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
    /// Whose budget is exhausted, where it is not the session's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Payer>,
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
    pub opener: Option<Words>,
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
impl HasWords for TurnStarted {
    fn words_mut(&mut self) -> Fields<'_> {
        self.opener.as_mut().map(|opener| field("opener", opener)).into_iter().collect()
    }
}

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
    /// The scorer gave what is no number: the utterance counts as neutral.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flagged: bool,
}

impl SentimentScore {
    /// VADER's compound, positive, negative and neutral.
    pub fn scores(&self) -> [f64; 4] {
        [self.score, self.positive, self.negative, self.neutral]
    }
}

impl From<Sentiment> for SentimentScore {
    /// What is no number could be written and never read again.
    fn from(s: Sentiment) -> Self {
        let numbers = [s.compound, s.positive, s.negative, s.neutral, s.standard_error, s.band[0], s.band[1]];
        if !numbers.iter().all(|n| n.is_finite()) {
            return Self {
                score: 0.0,
                label: crate::measure::Label::Neutral,
                positive: 0.0,
                negative: 0.0,
                neutral: 0.0,
                standard_error: 0.0,
                band: [0.0; 2],
                flagged: true,
            };
        }
        let share = |part: f64| part.clamp(0.0, 1.0);
        Self {
            score: s.compound.clamp(-1.0, 1.0),
            label: s.label,
            positive: share(s.positive),
            negative: share(s.negative),
            neutral: share(s.neutral),
            standard_error: s.standard_error.max(0.0),
            band: s.band.map(|side| side.clamp(-1.0, 1.0)),
            flagged: false,
        }
    }
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
    pub opener: Option<Words>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// A second opinion on its sentiment, where there is an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affect: Option<Affect>,
    /// Where the utterance stands among meanings: what was measured. Absent in frames.
    #[serde(default, skip_serializing_if = "SealedEmbedding::is_absent")]
    pub embedding: Option<SealedEmbedding>,
}

/// The embedding of an utterance. It can be turned back into words like those it was made of, so it is sealed and erased
/// as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealedEmbedding {
    /// See [`Embedded::model`].
    pub model: String,
    /// See [`Embedding::to_text`].
    pub vector: Words,
}

impl SealedEmbedding {
    pub fn new(embedded: &Embedded, subject: Subject, salts: &mut Salts) -> Self {
        Self { model: embedded.model.to_string(), vector: Words::new(embedded.vector.to_text(), subject, salts) }
    }

    /// The embedding; nothing when it was erased.
    pub fn open(&self) -> Option<Embedded> {
        Some(Embedded { model: self.model.as_str().into(), vector: Embedding::parse(self.vector.as_str())? })
    }

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    fn is_absent(embedding: &Option<Self>) -> bool {
        embedding.as_ref().is_none_or(|embedding| !matches!(embedding.vector, Words::Committed(_)))
    }
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
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = vec![field("content", &mut self.content)];
        fields.extend(self.metadata.opener.as_mut().map(|opener| field("opener", opener)));
        fields.extend(self.metadata.embedding.as_mut().map(|embedding| field(EMBEDDING, &mut embedding.vector)));
        fields
    }
}

/// The field of an utterance's embedding.
pub const EMBEDDING: &str = "embedding";

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
    fn words_mut(&mut self) -> Fields<'_> {
        vec![field("text", &mut self.text)]
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
    fn words_mut(&mut self) -> Fields<'_> {
        vec![field("situation", &mut self.situation)]
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
    pub tags: Vec<Words>,
    pub user_id: UserId,
}
impl HasWords for Annotation {
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = vec![field("text", &mut self.text)];
        fields.extend(listed("tags", &mut self.tags));
        fields
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
    fn words_mut(&mut self) -> Fields<'_> {
        self.reasoning.as_mut().map(|text| field("reasoning", text)).into_iter().collect()
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
    pub name: Option<Words>,
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
    pub tags: Option<Vec<Words>>,
    /// Since version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// Since version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stimuli: Option<Vec<PresetWords>>,
}

/// A preset that stimuli are drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresetWords {
    pub kind: StimulusKind,
    pub name: Words,
    pub text: Words,
}

impl HasWords for SettingsChanged {
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = Fields::new();
        fields.extend(self.name.as_mut().map(|name| field("name", name)));
        fields.extend(self.situation.as_mut().map(|text| field("situation", text)));
        fields.extend(self.tags.iter_mut().flat_map(|tags| listed("tags", tags)));
        for (i, preset) in self.stimuli.iter_mut().flatten().enumerate() {
            fields.push((Cow::Owned(format!("stimuli.{i}.name")), &mut preset.name));
            fields.push((Cow::Owned(format!("stimuli.{i}.text")), &mut preset.text));
        }
        fields
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
    pub system_prompt: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
}
impl HasWords for AgentChanged {
    fn words_mut(&mut self) -> Fields<'_> {
        self.system_prompt.as_mut().map(|prompt| field("system_prompt", prompt)).into_iter().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathsChanged {
    pub actor: String,
    pub paths: Vec<Path>,
}
impl HasWords for PathsChanged {}

/// Here a session goes on that has its past from another one. No program wrote version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    /// Where the past is from: the parent, its generation at that moment, and the last event they share.
    pub parent: Parent,
    /// Who made the fork and owns it.
    pub owner: UserId,
    /// Absent: it goes by the name it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Words>,
    pub changes: Changes<Words>,
    /// What `changes.model` promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub determinism: Option<Determinism>,
}

impl HasWords for Forked {
    fn words_mut(&mut self) -> Fields<'_> {
        let mut fields = Fields::new();
        fields.extend(self.name.as_mut().map(|name| field("name", name)));
        fields.extend(self.changes.situation.as_mut().map(|text| field("changes.situation", text)));
        for (id, agent) in &mut self.changes.agents {
            let name = || Cow::Owned(format!("changes.agents.{id}.system_prompt"));
            fields.extend(agent.system_prompt.as_mut().map(|prompt| (name(), prompt)));
        }
        fields
    }
}

/// What a fork does differently from its first own event on; absent fields stay. Texts are plain in a request, and words
/// of whoever forks in the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changes<Text> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub situation: Option<Text>,
    #[serde(default = "BTreeMap::default", skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<AgentId, AgentEdit<Text>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<Path>>,
    /// Id of the model an agent uses when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What a fork changes of one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentEdit<Text> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<Text>,
    /// Empty: the session's own model again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
}

impl<Text> Default for Changes<Text> {
    fn default() -> Self {
        Self { situation: None, agents: BTreeMap::new(), paths: None, model: None, seed: None }
    }
}

impl<Text> Changes<Text> {
    /// The same changes with each text as `map` gives it.
    pub fn map<Other>(&self, mut map: impl FnMut(&Text) -> Other) -> Changes<Other> {
        Changes {
            situation: self.situation.as_ref().map(&mut map),
            agents: self
                .agents
                .iter()
                .map(|(id, agent)| {
                    let AgentEdit { temperature, system_prompt, model, muted } = agent;
                    let system_prompt = system_prompt.as_ref().map(&mut map);
                    let edit =
                        AgentEdit { temperature: *temperature, system_prompt, model: model.clone(), muted: *muted };
                    (id.clone(), edit)
                })
                .collect(),
            paths: self.paths.clone(),
            model: self.model.clone(),
            seed: self.seed,
        }
    }
}

/// What became of somebody's belonging to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Belonging {
    /// The owner's, with the session.
    Created,
    Joined,
    /// The same person, related otherwise.
    Updated,
    Left,
    /// The owner's: the session is about to be deleted.
    Terminated,
}

/// Who belongs to a session has changed. That somebody is looking just now is presence and stands in no log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserSession {
    pub user_id: UserId,
    /// The person's own words: gone when the person is erased.
    pub username: Words,
    pub action: Belonging,
    pub session_type: SessionType,
    /// People who belong to the session from then on, the owner among them.
    pub participant_count: u64,
    pub metadata: RelationMetadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationMetadata {
    pub relation: Relation,
    /// Who did it.
    pub by: UserId,
}
impl HasWords for UserSession {
    fn words_mut(&mut self) -> Fields<'_> {
        vec![field("username", &mut self.username)]
    }
}

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
        payload.take_apart();
        let mut texts = Vec::new();
        for (field, words) in payload.words_mut() {
            let Some(committed) = words.commitment() else { continue };
            if let Words::Plain { text, salt, subject } = std::mem::replace(words, Words::Committed(committed)) {
                texts.push(Text { field: field.into_owned(), subject, salt, text: Some(text), masked: false });
            }
        }
        // Payloads are plain structs with string keys: serialising them cannot fail.
        let body = payload.body().unwrap_or_else(|e| unreachable!("{}: {e}", payload.kind()));
        let mut record = Record {
            generation: self.generation,
            seq: self.seq,
            epoch,
            kind: payload.kind().to_owned(),
            version: payload.version(),
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
            let Some(committed) = words.commitment() else { continue };
            *words = match record.texts.iter().find(|t| t.field == field) {
                Some(Text { text: Some(text), masked: true, .. }) => Words::Masked { text: text.clone(), committed },
                Some(Text { text: Some(text), salt, subject, .. }) => {
                    Words::Plain { text: text.clone(), salt: *salt, subject: *subject }
                }
                _ => Words::Erased(committed),
            };
        }
        payload.put_together();
        Ok(Self { generation: record.generation, seq: record.seq, at: record.at, payload })
    }

    /// The texts a record's body commits to, by field, in the order in which they are stored. `None` for an event this
    /// program does not know.
    pub fn commitments(record: &Record) -> Result<Option<Vec<(String, Hash)>>, DecodeError> {
        let mut payload = Payload::decode_body(&record.kind, record.version, &record.body).map_err(|source| {
            DecodeError { seq: record.seq, kind: record.kind.clone(), version: record.version, source }
        })?;
        if matches!(payload, Payload::Unknown(_)) {
            return Ok(None);
        }
        let fields = payload.words_mut().into_iter();
        Ok(Some(fields.filter_map(|(field, words)| Some((field.into_owned(), words.commitment()?))).collect()))
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
