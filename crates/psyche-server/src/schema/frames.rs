//! What the server says on a socket: every frame, by its `type`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::monitor::ResourceUsage;

use super::{
    AgentActivity, Alert, Audit, Budget, Cast, Connection, Determinism, EmergencyLevel, Finish, Gauge, Interview,
    ModelErrorKind, Parent, Path, PromptStyle, Sampling, Session, SessionStatus, SessionType, SignedInUser, State,
    StimulusKind, StimulusPreset, Thresholds, TurnOrder, Usage,
};

/// Any frame.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ServerFrame {
    Stored(Box<StoredFrame>),
    Control(Box<ControlFrame>),
}

/// Frames that are not stored and have no `prev`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlFrame {
    AuthOk {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        user: SignedInUser,
        #[schema(format = DateTime)]
        expires_at: String,
    },
    /// The stream begins here, with the whole state.
    Snapshot {
        session_id: String,
        r#gen: u32,
        seq: u64,
        session: Box<Session>,
        state: Box<State>,
        reason: SnapshotReason,
    },
    /// The stream goes on after this event.
    Resume {
        session_id: String,
        r#gen: u32,
        seq: u64,
    },
    /// How far the log has gone, when events passed that the subscription leaves out.
    Position {
        r#gen: u32,
        seq: u64,
    },
    /// A piece of an utterance that is being spoken.
    Delta {
        session_id: String,
        agent_id: String,
        turn: u64,
        attempt: u32,
        index: u32,
        text: String,
    },
    Ack {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        seq: u64,
        /// What the agent answered, of an `interview`.
        #[serde(skip_serializing_if = "Option::is_none")]
        interview: Option<Box<Interview>>,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        code: crate::error::ErrorKind,
        message: String,
    },
    /// Send a fresh token with `auth`.
    AuthRequired {
        #[schema(format = DateTime)]
        expires_at: String,
    },
    Presence {
        session_id: String,
        users: Vec<Present>,
        /// How many there are. Of a crowd, `users` names the first hundred.
        count: u64,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// The server closes: come back after `retry_after_ms` with the cursor.
    Bye {
        code: u16,
        retry_after_ms: u64,
        cursor: Option<Place>,
    },
    SystemStatus {
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        #[schema(format = DateTime)]
        timestamp: String,
        status: SystemHealth,
        active_agents: Vec<String>,
        resource_usage: ResourceUsage,
        /// On `/ws/system` only.
        #[serde(skip_serializing_if = "Option::is_none")]
        sessions_running: Option<u64>,
        /// On `/ws/system` only.
        #[serde(skip_serializing_if = "Option::is_none")]
        websocket_connections: Option<u64>,
    },
    AgentProcessingStarted {
        session_id: String,
        agent_id: String,
        turn: u64,
        attempt: u32,
    },
    AgentProcessingComplete {
        session_id: String,
        agent_id: String,
        turn: u64,
        attempt: u32,
    },
    /// On `/ws/system` only.
    UserAuth {
        user_id: Option<String>,
        username: String,
        /// `login logout registration password_change`
        action: String,
        role: Option<super::Role>,
        success: bool,
        #[schema(value_type = Object)]
        metadata: Value,
        #[schema(format = DateTime)]
        timestamp: String,
    },
    /// A row of the audit trail, on `/ws/system` only.
    Audit(Audit),
    /// What somebody should look at, on `/ws/system` only.
    Alert(Alert),
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotReason {
    Cold,
    TooOld,
    Rewound,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemHealth {
    Healthy,
    Degraded,
    Critical,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Place {
    pub r#gen: u32,
    pub seq: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Present {
    pub user_id: String,
    pub username: String,
    pub relation: super::Relation,
}

/// What a fork does differently; absent fields stay.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForkedChanges {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub situation: Option<String>,
    /// By agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<BTreeMap<String, ForkedAgent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<Path>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ForkedAgent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    /// The owner of the session.
    User,
    Tenant,
}

/// What became of somebody's belonging to a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Belonging {
    Created,
    Joined,
    Updated,
    Left,
    Terminated,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RelationMetadata {
    pub relation: super::Relation,
    /// The id of who did it.
    pub by: String,
}

/// A stored event: where it is in the log, and what happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredFrame {
    pub session_id: String,
    pub r#gen: u32,
    /// 1, 2, 3 … without gaps in the log.
    pub seq: u64,
    /// The `seq` of the event before it in this view.
    pub prev: u64,
    #[schema(format = DateTime)]
    pub timestamp: String,
    #[serde(flatten)]
    pub event: StoredEvent,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    Normal,
    Emergency,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentimentLabel {
    Positive,
    Negative,
    Neutral,
    Mixed,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Sentiment {
    /// −1 to 1.
    pub score: f64,
    pub label: SentimentLabel,
    pub positive: f64,
    pub negative: f64,
    pub neutral: f64,
    pub standard_error: f64,
    pub band: Vec<f64>,
    /// Present when the scorer gave what is no number: the utterance counts as neutral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MessageMetadata {
    pub round: u64,
    pub turn: u64,
    pub attempt: u32,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub latency_ms: u64,
    pub seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// A second opinion on the sentiment, by the sentence embedding; absent without an encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affect: Option<Affect>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Affect {
    /// −1 to 1.
    pub valence: f64,
    /// With the sentiment's score, 0 to 1.
    pub agreement: f64,
    /// Version of the weights.
    pub version: u16,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkMetrics {
    pub total_messages: u64,
    pub avg_response_time: Option<f64>,
    pub network_health: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Edge {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyAction {
    Opened,
    Closed,
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StoredEvent {
    SessionCreated {
        name: String,
        session_type: SessionType,
        owner: String,
        cast: Box<Cast>,
        situation: String,
        seed: u64,
        model: String,
        determinism: Determinism,
        turn_order: TurnOrder,
        pacing_ms: u64,
        max_rounds: Option<u64>,
        budget: Budget,
        tags: Vec<String>,
        measures_version: u16,
        prompts_version: u16,
    },
    CommandReceived {
        command_id: String,
        actor: String,
        command: String,
        #[schema(value_type = Object)]
        args: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// True where another replica than the owner acknowledged it: `command_accepted` or `command_refused` follows.
        #[serde(skip_serializing_if = "Option::is_none")]
        waits: Option<bool>,
    },
    CommandAccepted {
        command_id: String,
        /// Of the `command_received`.
        received_seq: u64,
    },
    CommandRefused {
        command_id: String,
        status: SessionStatus,
        message: String,
    },
    SessionStatus {
        status: SessionStatus,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        actor: String,
        /// Whose budget is exhausted, where it is not the session's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        budget: Option<Payer>,
    },
    TurnStarted {
        turn: u64,
        attempt: u32,
        round: u64,
        agent_id: String,
        recipient: String,
        recipients: Vec<String>,
        message_type: MessageType,
        seed: u64,
        model: String,
        style: PromptStyle,
        #[serde(skip_serializing_if = "Option::is_none")]
        opener: Option<String>,
        event_seqs: Vec<u64>,
        stimuli: Vec<u64>,
        answers: Option<u64>,
        sampling: Sampling,
        prompt_digest: String,
        reserved: u64,
    },
    AgentMessage {
        agent_id: String,
        recipient: String,
        recipients: Vec<String>,
        content: String,
        message_type: MessageType,
        sentiment: Sentiment,
        metadata: MessageMetadata,
    },
    AgentStateUpdate {
        agent_id: String,
        state: AgentActivity,
        confidence: Option<f64>,
        last_action: String,
        #[schema(value_type = Object)]
        metadata: Value,
    },
    NetworkUpdate {
        connections: Vec<Connection>,
        metrics: NetworkMetrics,
        #[schema(value_type = Object)]
        performance: Value,
    },
    HealthUpdate {
        round: u64,
        gauges: BTreeMap<String, Gauge>,
    },
    Emergency {
        action: EmergencyAction,
        level: EmergencyLevel,
        stagnation: f64,
        paths: Vec<Edge>,
    },
    PromptAdapted {
        agent_id: String,
        rules: Vec<String>,
        guidance: String,
    },
    StimulusInjected {
        kind: StimulusKind,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        actor: String,
    },
    StimulusUsed {
        stimulus_seq: u64,
        turn: u64,
    },
    SituationChanged {
        situation: String,
        cause: String,
    },
    InterventionSuggested {
        rule: String,
        text: String,
    },
    Annotation {
        target_seq: u64,
        text: String,
        tags: Vec<String>,
        user_id: String,
    },
    TurnCommitted {
        turn: u64,
        attempt: u32,
        round: u64,
        agent_id: String,
        finish: Finish,
        tokens: u64,
        cost: f64,
        confidence: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning: Option<String>,
    },
    TurnFailed {
        agent_id: String,
        turn: u64,
        attempt: u32,
        kind: ModelErrorKind,
        retryable: bool,
        message: String,
        tokens: u64,
    },
    TurnAbandoned {
        agent_id: String,
        turn: u64,
        attempt: u32,
        reason: String,
        tokens: u64,
    },
    Reset {
        actor: String,
        dropped: Vec<u64>,
    },
    SettingsChanged {
        actor: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        situation: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pacing_ms: Option<u64>,
        /// Null: no limit any more.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_rounds: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        budget: Option<Budget>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thresholds: Option<Thresholds>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stimuli: Option<Vec<StimulusPreset>>,
    },
    AgentChanged {
        actor: String,
        agent_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        system_prompt: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        muted: Option<bool>,
    },
    PathsChanged {
        actor: String,
        paths: Vec<Path>,
    },
    Forked {
        parent: Parent,
        /// Who made the fork.
        owner: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        changes: ForkedChanges,
        #[serde(skip_serializing_if = "Option::is_none")]
        determinism: Option<Determinism>,
    },
    /// Who belongs to the session has changed. Whoever merely looks is in `presence`.
    UserSession {
        user_id: String,
        username: String,
        action: Belonging,
        session_type: SessionType,
        participant_count: u64,
        metadata: RelationMetadata,
    },
}
