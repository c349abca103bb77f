//! A session: the fold of its events, and the rules that decide the next ones.
//!
//! [`Session::decide`] turns a command into events and changes nothing; [`Session::apply`] folds one event and cannot
//! fail. Live view, replay, time travel and crash recovery are the same fold.

mod apply;
mod commands;
mod fork;
mod interview;
mod people;
mod rounds;
mod turns;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cast::{Agent, Cast, PathKind, StimulusKind, StimulusPreset, Thresholds};
use crate::embedding::Embedded;
use crate::event::{AgentActivity, EmergencyLevel, Event, Payload, SessionCreated};
use crate::ids::{AgentId, SessionId, UserId};
use crate::measure::{Gauges, Kept, Vader};
use crate::port::{Determinism, ModelErrorKind, Parent, Relation, Spent};
use crate::prompt::{Prompt, Rule};
use crate::record::Record;
use crate::time::Timestamp;
use crate::words::{Hash, Salts, Subject, Words};

pub use commands::{
    Action, AgentChange, AnnotateArgs, CLIENT_COMMANDS, Command, Halt, INTERVIEW, InterviewArgs, MAX_TEXT_BYTES,
    NoArgs, PathsArgs, Refusal, RefusalKind, Settings, SpeakArgs, StepArgs, StepUnit, StimulusArgs, StopArgs, USER,
    UserCommand,
};
pub use fork::{Fork, Settled};
pub use interview::Interview;
pub use people::Relate;
pub use turns::{Failure, ModelFacts, Reply};
pub use view::{AgentView, EmergencyView, StateView, StimulusView};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    Created,
    Running,
    Paused,
    Stopped,
    Failed,
}

impl SessionStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionType {
    #[default]
    SingleUser,
    Shared,
    ObserverOnly,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOrder {
    /// Round robin over the cast; each hears what was said before in the round.
    #[default]
    Sequential,
    /// All speak from the same past.
    Simultaneous,
}

/// Limits on what a session may spend; absent means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// What a decision needs from outside.
#[derive(Debug)]
pub struct Inputs<'a> {
    pub now: Timestamp,
    pub salts: Salts,
    pub vader: &'a Vader,
    /// The embedding of the words that the command speaks, if it does: see [`Session::utterance`].
    pub embedded: Option<Embedded>,
    /// Filled by the decision: the prompts of the turns it starts, for whoever calls the models.
    pub prompts: BTreeMap<u64, Prompt>,
}

/// An agent as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentState {
    pub definition: Arc<Agent>,
    pub activity: AgentActivity,
    pub utterances: u64,
    /// Newest last; as many as prompts show.
    pub own: VecDeque<Arc<Said>>,
    pub sentiment: Option<f64>,
    pub rules: Vec<Rule>,
    pub confidence: Option<f64>,
    pub thought: Option<String>,
    pub last_action: String,
    pub last_opener: Option<String>,
}

/// Words that were spoken, as prompts and measures need them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub seq: u64,
    pub turn: u64,
    pub from: AgentId,
    pub to: Option<AgentId>,
    pub text: Arc<str>,
    pub compound: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Embedded>,
    /// `seq` of the utterance it answers.
    pub answers: Option<u64>,
    #[serde(skip)]
    pub reading: Kept,
}

/// A path and what flows on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathState {
    pub from: AgentId,
    pub to: AgentId,
    pub kind: PathKind,
    pub window: u32,
    /// The last `window` utterances on it, newest last.
    pub inbox: VecDeque<Arc<Said>>,
    /// Turn of the last utterance on it; 0 when there was none.
    pub last_turn: u64,
}

/// A turn whose model call is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    pub agent_id: AgentId,
    pub attempt: u32,
    pub round: u64,
    pub started: crate::event::TurnStarted,
    /// Its words are said and measured; only a fork finds a turn so, whose past ends within an append.
    #[serde(default)]
    pub measured: bool,
}

/// A turn that ended without words and may be tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    pub agent_id: AgentId,
    pub attempt: u32,
    /// `None` when its owner died or the run was stopped.
    pub kind: Option<ModelErrorKind>,
    pub retryable: bool,
    /// What the last attempt was started with.
    pub seed: u64,
    pub opener: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingStimulus {
    pub seq: u64,
    /// `None`: not a stimulus but a person's own words.
    pub kind: Option<StimulusKind>,
    pub text: Arc<str>,
    pub target: Option<AgentId>,
    /// Agents in whose committed prompts it was.
    pub heard_by: BTreeSet<AgentId>,
    /// Turns whose `stimulus_used` is in the log.
    pub used_in: BTreeSet<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmergencyState {
    pub level: Option<EmergencyLevel>,
    pub since_round: Option<u64>,
    /// Rounds in a row above the threshold, and below it.
    pub above: u32,
    pub calm: u32,
    pub count: u64,
}

/// What ends a run that was asked to make one step only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepGoal {
    pub unit: StepUnit,
    /// Turn or round that was last when the step began.
    pub from: u64,
    pub actor: String,
}

/// The state of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    // What the session was created with: `reset` goes back to it.
    pub initial: Arc<Initial>,
    pub name: String,
    pub tags: Vec<String>,
    pub pacing_ms: u64,
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub spent: Spent,
    /// Tokens reserved by turns under way.
    pub reserved: u64,

    pub status: SessionStatus,
    pub reason: Option<String>,
    pub actor: Option<String>,
    pub pause_requested: Option<String>,
    pub step: Option<StepGoal>,

    pub agents: BTreeMap<AgentId, AgentState>,
    /// Order of speaking.
    pub order: Vec<AgentId>,
    pub paths: Vec<PathState>,
    pub base_situation: Arc<str>,
    /// Whose words the base situation is.
    pub base_subject: Subject,
    pub situation: Arc<str>,
    /// The conscious voice's last words, and their `seq`.
    pub conscious: Option<(u64, Arc<str>)>,
    /// Those of them that are in the situation: what others know of them in this round.
    pub voiced: Option<(u64, Arc<str>)>,

    pub round: u64,
    /// Number of the last turn that was started.
    pub turn: u64,
    /// Who has spoken, or failed for good, in this round.
    pub spoken: BTreeSet<AgentId>,
    pub in_flight: BTreeMap<u64, Flight>,
    pub unfinished: BTreeMap<u64, Unfinished>,

    /// The last utterances, newest last: what measures see.
    pub window: VecDeque<Arc<Said>>,
    pub gauges: Gauges,
    pub stagnation_by_round: VecDeque<Option<f64>>,
    pub connections: Vec<crate::event::Connection>,
    pub network: Option<crate::event::NetworkMetrics>,
    pub emergency: EmergencyState,
    pub stimuli: Vec<PendingStimulus>,
    pub suggested: BTreeSet<String>,

    pub messages: u64,
    pub latency_sum_ms: u64,
    pub turns_committed: u64,
    /// Whether each of the last turns failed, newest last.
    pub recent_failures: VecDeque<bool>,

    pub generation: u32,
    pub seq: u64,
    pub hash: Hash,
    pub created_at: Timestamp,
    pub last_at: Timestamp,
    /// When somebody last asked something of it.
    pub touched_at: Timestamp,
    thresholds: Thresholds,
    presets: Option<Presets>,
    pub parent: Option<Parent>,
    /// Who belongs to it, by its log. Rights are the directory's to give.
    #[serde(default)]
    pub people: BTreeMap<UserId, Relation>,
    /// Commands that replicas which do not own the session have acknowledged and that are not decided yet, by `seq`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<u64, Waiting>,
}

/// What of a command that waits matters to the state once it is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub command_id: String,
    actor: String,
    command: String,
    step: StepUnit,
}

/// Presets that somebody put in the place of the cast's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Presets {
    list: Vec<StimulusPreset>,
    /// Whose words they are.
    subject: Subject,
}

/// What a session was created with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Initial {
    pub name: String,
    pub session_type: SessionType,
    pub owner: UserId,
    pub cast: Cast,
    /// Whose words the texts of the cast are.
    pub cast_subject: Subject,
    pub situation: Arc<str>,
    pub situation_subject: Subject,
    pub situation_seq: u64,
    pub seed: u64,
    pub model: String,
    pub determinism: Determinism,
    pub turn_order: TurnOrder,
    pub measures_version: u16,
    pub prompts_version: u16,
}

/// Why a session was paused that nobody touched.
pub const EXPIRED: &str = "expired";

/// Why a session was paused whose budget, or whose owner's, is spent.
pub const BUDGET_EXCEEDED: &str = "budget_exceeded";

/// Why a session was paused whose log is as long as logs may be.
pub const LOG_FULL: &str = "storage";

/// Version of [`Session`]'s serialised form; snapshots of another form are ignored.
pub const STATE_FORM: u16 = 5;

impl Session {
    /// The session after its first event.
    pub fn new(id: SessionId, event: &Event, created: &SessionCreated) -> Self {
        let subject = |words: &Words| words.subject().unwrap_or(Subject::Session);
        let initial = Initial {
            name: created.name.as_str().to_owned(),
            session_type: created.session_type,
            owner: created.owner,
            cast: Cast::clone(&created.cast),
            cast_subject: created.cast_words.as_ref().map_or(Subject::Session, subject),
            situation: created.situation.as_str().into(),
            situation_subject: subject(&created.situation),
            situation_seq: event.seq,
            seed: created.seed,
            model: created.model.clone(),
            determinism: created.determinism,
            turn_order: created.turn_order,
            measures_version: created.measures_version,
            prompts_version: created.prompts_version,
        };
        let mut session = Self {
            id,
            name: created.name.as_str().to_owned(),
            tags: texts(&created.tags),
            pacing_ms: created.pacing_ms,
            max_rounds: created.max_rounds,
            budget: created.budget,
            spent: Spent::default(),
            reserved: 0,
            status: SessionStatus::Created,
            reason: None,
            actor: None,
            pause_requested: None,
            step: None,
            agents: BTreeMap::new(),
            order: Vec::new(),
            paths: Vec::new(),
            base_situation: Arc::default(),
            base_subject: Subject::Session,
            situation: Arc::default(),
            conscious: None,
            voiced: None,
            round: 0,
            turn: 0,
            spoken: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            window: VecDeque::new(),
            gauges: Gauges::new(),
            stagnation_by_round: VecDeque::new(),
            connections: Vec::new(),
            network: None,
            emergency: EmergencyState::default(),
            stimuli: Vec::new(),
            suggested: BTreeSet::new(),
            messages: 0,
            latency_sum_ms: 0,
            turns_committed: 0,
            recent_failures: VecDeque::new(),
            generation: event.generation,
            seq: event.seq,
            hash: Hash::ZERO,
            created_at: event.at,
            last_at: event.at,
            touched_at: event.at,
            thresholds: created.cast.thresholds,
            presets: None,
            parent: None,
            people: BTreeMap::new(),
            waiting: BTreeMap::new(),
            initial: Arc::new(initial),
        };
        session.to_beginning();
        session
    }

    /// The fold of a log's first records. `None` when they do not begin with `session_created`.
    pub fn begin(id: SessionId, record: &Record) -> Option<Self> {
        let event = Event::decode(record).ok()?;
        let Payload::SessionCreated(created) = &event.payload else { return None };
        let mut session = Self::new(id, &event, created);
        session.hash = record.hash;
        Some(session)
    }

    /// Agents, paths, gauges, situation and prompts as at the beginning.
    #[expect(clippy::wrong_self_convention, reason = "it goes to the beginning; it converts nothing")]
    fn to_beginning(&mut self) {
        let initial = Arc::clone(&self.initial);
        let cast = &initial.cast;
        self.order = cast.agents.iter().map(|a| a.id.clone()).collect();
        self.agents = cast.agents.iter().map(|a| (a.id.clone(), AgentState::new(Arc::new(a.clone())))).collect();
        self.paths.clear();
        self.set_paths(&cast.paths);
        self.base_situation = Arc::clone(&initial.situation);
        self.base_subject = initial.situation_subject;
        self.situation = Arc::clone(&initial.situation);
        self.conscious = None;
        self.voiced = None;
        self.round = 0;
        self.spoken.clear();
        self.unfinished.clear();
        self.window.clear();
        self.gauges = Gauges::new();
        self.stagnation_by_round.clear();
        self.connections = self.connections_now();
        self.network = None;
        self.emergency = EmergencyState { count: self.emergency.count, ..EmergencyState::default() };
        self.stimuli.clear();
        self.suggested.clear();
        self.recent_failures.clear();
        self.pause_requested = None;
        self.step = None;
    }

    fn set_paths(&mut self, paths: &[crate::cast::Path]) {
        let before = std::mem::take(&mut self.paths);
        self.paths = paths
            .iter()
            .map(|p| {
                let known = before.iter().find(|b| b.from == p.from && b.to == p.to);
                let mut inbox = known.map(|b| b.inbox.clone()).unwrap_or_default();
                while inbox.len() > p.window as usize {
                    inbox.pop_front();
                }
                PathState {
                    from: p.from.clone(),
                    to: p.to.clone(),
                    kind: p.kind,
                    window: p.window,
                    inbox,
                    last_turn: known.map_or(0, |b| b.last_turn),
                }
            })
            .collect();
    }

    /// Whether words may flow on a path now.
    pub fn is_open(&self, path: &PathState) -> bool {
        path.kind == PathKind::Normal || self.emergency.level.is_some()
    }

    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// What stimuli are drawn from: the cast's presets, or those somebody put in their place.
    pub fn presets(&self) -> &[StimulusPreset] {
        self.presets.as_ref().map_or(&self.initial.cast.stimuli, |own| &own.list)
    }

    /// Whose words the presets are.
    fn presets_subject(&self) -> Subject {
        self.presets.as_ref().map_or(self.initial.cast_subject, |own| own.subject)
    }

    /// Whether nobody has asked anything of the session for so long that it is to be paused, and was not paused for that.
    pub fn has_expired(&self, untouched_ms: u64, now: Timestamp) -> bool {
        let untouched = (now.micros() - self.touched_at.micros()) / 1_000;
        matches!(self.status, SessionStatus::Running | SessionStatus::Paused)
            && self.reason.as_deref() != Some(EXPIRED)
            && u64::try_from(untouched).is_ok_and(|untouched| untouched >= untouched_ms)
    }

    /// The id of the model an agent speaks with.
    pub fn model_of(&self, agent: &str) -> &str {
        let own = self.agents.get(agent).and_then(|a| a.definition.model.as_deref());
        own.unwrap_or(&self.initial.model)
    }

    /// Gives payloads their place in the log. All of one append share a time that is later than any before it, so that
    /// appends can be told apart when the log is run again.
    pub fn stamp(&self, payloads: Vec<Payload>, now: Timestamp) -> Vec<Event> {
        let at = now.max(Timestamp(self.last_at.micros() + 1));
        let seqs = self.seq + 1..;
        let generation = self.generation;
        payloads.into_iter().zip(seqs).map(|(payload, seq)| Event { generation, seq, at, payload }).collect()
    }

    /// Chains events to this session's head.
    pub fn records(&self, events: &[Event], epoch: u64) -> Vec<Record> {
        let mut previous = self.hash;
        let chain = |event: &Event| {
            let record = event.record(&previous, epoch);
            previous = record.hash;
            record
        };
        events.iter().map(chain).collect()
    }
}

/// The texts of a list.
fn texts(list: &[Words]) -> Vec<String> {
    list.iter().map(|words| words.as_str().to_owned()).collect()
}

impl AgentState {
    fn new(definition: Arc<Agent>) -> Self {
        let muted = definition.muted;
        Self {
            definition,
            activity: if muted { AgentActivity::Muted } else { AgentActivity::Waiting },
            utterances: 0,
            own: VecDeque::new(),
            sentiment: None,
            rules: Vec::new(),
            confidence: None,
            thought: None,
            last_action: String::new(),
            last_opener: None,
        }
    }
}
