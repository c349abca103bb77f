//! The shapes of the wire, for the OpenAPI document. They mirror types of the core, which knows nothing of documents;
//! a test holds real answers against them.

pub mod frames;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Observer,
    Researcher,
    Admin,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Disabled,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    pub user_id: String,
    pub username: String,
    pub display_name: String,
    pub email: String,
    pub role: Role,
    pub status: UserStatus,
    pub permissions: Vec<String>,
    #[schema(format = DateTime)]
    pub last_login: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Null: what the installation gives everybody.
    pub budget: Option<Budget>,
    /// On models, in all own sessions ever.
    pub spent: Spent,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Profile {
    #[serde(flatten)]
    pub user: User,
    #[schema(value_type = Object)]
    pub preferences: serde_json::Value,
    pub consents: Vec<Consent>,
    pub mfa: Mfa,
    /// What one may spend: one's own budget, or what everybody has. A limit that is absent is none.
    pub budget_in_force: Budget,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Consent {
    pub version: String,
    #[schema(format = DateTime)]
    pub at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Mfa {
    pub enabled: bool,
    /// The role demands it.
    pub required: bool,
    pub recovery_codes_left: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOrder {
    Oldest,
    Newest,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Success,
    Failure,
    Denied,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Audit {
    pub seq: u64,
    pub event_id: String,
    pub event_type: String,
    pub severity: Severity,
    #[schema(format = DateTime)]
    pub timestamp: String,
    pub user_id: Option<String>,
    /// `[erased]` once the person is.
    pub username: Option<String>,
    pub session_id: Option<String>,
    pub ip_address: Option<String>,
    pub request_id: String,
    pub outcome: AuditOutcome,
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AuditProblem {
    pub seq: u64,
    pub what: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheckpoint {
    pub seq: u64,
    #[schema(format = DateTime)]
    pub timestamp: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheck {
    pub whole: bool,
    pub rows: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// The newest one outside the database.
    pub checkpoint: Option<AuditCheckpoint>,
    pub problems: Vec<AuditProblem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Alert {
    pub alert_id: String,
    pub rule: String,
    pub severity: Severity,
    pub message: String,
    pub user_id: Option<String>,
    pub username: Option<String>,
    pub ip_address: Option<String>,
    #[schema(format = DateTime)]
    pub timestamp: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedUser {
    pub user: User,
    /// Shown once: to be handed over.
    pub reset_token: String,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SignedInUser {
    pub user_id: String,
    pub username: String,
    pub display_name: String,
    pub role: Role,
    pub permissions: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    pub access_token: String,
    /// Null when it went into the cookie.
    pub refresh_token: Option<String>,
    #[schema(example = "bearer")]
    pub token_type: String,
    /// Seconds.
    pub expires_in: i64,
    /// Seconds: renew in the background when fewer are left.
    pub renew_before: u64,
    /// The role demands a second factor; until there is one, only one's own account is open.
    pub must_enrol: bool,
    pub user: SignedInUser,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    #[schema(example = "success")]
    pub status: String,
    pub message: String,
}

/// What this program makes of talk whose level is known.
#[derive(Debug, Serialize, ToSchema)]
pub struct SelfTests {
    /// Whether every row is.
    pub ok: bool,
    pub measures_version: u16,
    pub rows: Vec<SelfTest>,
}

/// One gauge of a canonical transcript, or of the family generated like it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SelfTest {
    pub name: String,
    /// Members of its family, not the transcript itself.
    pub family: bool,
    pub gauge: String,
    /// Where the standardised value must lie.
    pub expected: Vec<f64>,
    /// The lowest and the highest there was; null where there was no reading.
    pub reading: Vec<Option<f64>>,
    pub ok: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgeQuestion {
    /// −2 very negative … 2 very positive.
    Sentiment,
    /// To what it answers: −2 rejects it … 2 supports it.
    Stance,
    /// 1 one view … 7 views joined by a principle.
    IntegrativeComplexity,
}

/// What a model made of a sample of utterances. Stored nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct Judgement {
    pub question: JudgeQuestion,
    pub model: String,
    pub range: Vec<i8>,
    pub ratings: Vec<JudgeRating>,
    pub asked: u64,
    /// Answers that were no rating, and calls that failed.
    pub refused: u64,
    pub mean: Option<f64>,
    pub interval: Option<Vec<f64>>,
    /// With the rules; of sentiment alone.
    pub agreement: Option<JudgeAgreement>,
    pub spent: Spent,
    pub note: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JudgeRating {
    pub seq: u64,
    pub judge: Option<i8>,
    pub rules: Option<i8>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JudgeAgreement {
    pub pairs: u64,
    pub refused: u64,
    /// Quadratic-weighted kappa; absent under ten pairs.
    pub kappa: Option<f64>,
    /// Share of equal ratings.
    pub equal: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Colour {
    #[schema(example = "#99b7ee")]
    pub dark: String,
    #[schema(example = "#2d5aa8")]
    pub light: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Example {
    pub cue: String,
    pub reply: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Agent {
    /// A slug such as `shadow`.
    pub id: String,
    pub name: String,
    #[schema(required = false)]
    pub colour: Colour,
    /// `circle inverted_triangle square diamond star hexagon`
    #[schema(required = false)]
    pub shape: String,
    pub system_prompt: String,
    /// One reply in role, shown to very small models when there are no `examples`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Exchanges in role, shown to very small models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<Vec<Example>>,
    /// The last line of a very small model's prompt: how to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manner: Option<String>,
    /// Beginnings of a reply, by adaptation rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openers: Option<BTreeMap<String, Vec<String>>>,
    /// 0 to 2.
    #[schema(required = false)]
    pub temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[schema(required = false)]
    pub muted: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    Normal,
    Emergency,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Path {
    pub from: String,
    pub to: String,
    #[schema(required = false)]
    pub kind: PathKind,
    /// How many of the last utterances on this path its listener hears; 1 to 50.
    #[schema(required = false)]
    pub window: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Thresholds {
    #[schema(required = false)]
    pub emergency: f64,
    #[schema(required = false)]
    pub critical: f64,
    #[schema(required = false, value_type = i64, minimum = 0)]
    pub path_switch_delay: u32,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StimulusKind {
    Memory,
    Conflict,
    Revelation,
    Challenge,
    Integration,
    Shadow,
    Creative,
    Custom,
    Random,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StimulusPreset {
    pub kind: StimulusKind,
    #[schema(required = false)]
    pub name: String,
    pub text: String,
}

/// A cast as it is sent. Owner, version and date are the server's.
#[derive(Debug, Serialize, ToSchema)]
pub struct CastDraft {
    pub id: String,
    /// Wider than what is taken: unsigned numbers have no format of their own.
    #[schema(required = false, value_type = i64, minimum = 0)]
    pub version: u32,
    pub name: String,
    #[schema(required = false)]
    pub description: String,
    #[schema(required = false)]
    pub situation: String,
    /// The agent whose words enter the next round's situation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conscious_voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    pub agents: Vec<Agent>,
    #[schema(required = false)]
    pub paths: Vec<Path>,
    #[schema(required = false)]
    pub stimuli: Vec<StimulusPreset>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Cast {
    pub id: String,
    pub version: u32,
    pub name: String,
    pub description: String,
    pub situation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conscious_voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    pub thresholds: Thresholds,
    pub agents: Vec<Agent>,
    pub paths: Vec<Path>,
    pub stimuli: Vec<StimulusPreset>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Price {
    /// Per million tokens.
    pub input: f64,
    pub output: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Determinism {
    Tape,
    Local,
    Api,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    Compact,
    Full,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelStatus {
    Ready,
    Unavailable,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    pub id: String,
    pub provider: String,
    pub name: String,
    /// Tokens.
    pub context: u32,
    pub price: Price,
    pub determinism: Determinism,
    pub prompt_style: PromptStyle,
    pub status: ModelStatus,
    /// What is wrong and how to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub circuit: CircuitState,
    pub in_use: bool,
    pub default: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Stop,
    Length,
    Filtered,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelErrorKind {
    Timeout,
    Refused,
    RateLimited,
    ServerError,
    BadAnswer,
    CircuitOpen,
    Budget,
    Cancelled,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelFailure {
    pub kind: ModelErrorKind,
    pub message: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelTest {
    pub ok: bool,
    pub latency_ms: u64,
    pub first_token_ms: Option<u64>,
    pub text: String,
    pub finish: Option<Finish>,
    pub usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ModelFailure>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    Json,
    Jsonl,
    Csv,
    Markdown,
    Html,
    Parquet,
    Pdf,
}

impl ExportFormat {
    #[cfg(test)]
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Jsonl, Self::Csv, Self::Markdown, Self::Html, Self::Parquet, Self::Pdf];
}

/// A session exported as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportDocument {
    pub provenance: Provenance,
    /// Frames as clients of the socket get them.
    #[schema(value_type = Vec<frames::StoredFrame>)]
    pub events: Vec<serde_json::Value>,
}

/// Where an export comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Provenance {
    pub program_version: String,
    pub session_id: String,
    /// Hash of the event `to`: it proves all before it.
    pub log_hash: String,
    pub from: u64,
    pub to: u64,
    pub redacted: Vec<String>,
    pub seed: u64,
    pub cast: CastDigest,
    pub models: Vec<String>,
    pub measures_version: u16,
    pub prompts_version: u16,
    #[schema(format = DateTime)]
    pub created_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CastDigest {
    pub id: String,
    pub version: u32,
    /// SHA-256 of the cast as its session keeps it; null once texts of it were erased.
    pub digest: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionType {
    SingleUser,
    Shared,
    ObserverOnly,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    Created,
    Running,
    Paused,
    Stopped,
    Failed,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnOrder {
    Sequential,
    Simultaneous,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    None,
    Viewer,
    Participant,
    Owner,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Budget {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Spent {
    pub tokens: u64,
    pub cost: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Parent {
    pub session_id: String,
    pub r#gen: u32,
    pub seq: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    pub session_id: String,
    pub name: String,
    pub session_type: SessionType,
    pub status: SessionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A user's id, or `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub owner: String,
    /// How the caller relates to it.
    pub relation: Relation,
    pub cast_id: String,
    pub cast_version: u32,
    pub situation: String,
    pub seed: u64,
    pub model: String,
    pub determinism: Determinism,
    pub turn_order: TurnOrder,
    pub pacing_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub spent: Spent,
    pub round: u64,
    pub turn: u64,
    pub seq: u64,
    pub r#gen: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    pub tags: Vec<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub last_activity: String,
    /// Standardised stagnation of the last rounds.
    pub stagnation: Vec<Option<f64>>,
    pub emergencies: u64,
    /// Commands that were acknowledged and are not decided yet, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Forks that the caller may see; absent on sockets and in comparisons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub situation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pacing_ms: Option<u64>,
    /// Null lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rounds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// The presets that stimuli are drawn from, instead of those there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stimuli: Option<Vec<StimulusPreset>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Participant {
    pub user_id: String,
    pub username: String,
    pub relation: Relation,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentActivity {
    Waiting,
    Processing,
    Active,
    Integrating,
    Muted,
    Failed,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AgentState {
    pub name: String,
    pub state: AgentActivity,
    pub last_utterance: Option<String>,
    pub utterances: u64,
    pub sentiment: Option<f64>,
    /// Adaptation rules in force.
    pub rules: Vec<String>,
    pub guidance: Vec<String>,
    pub confidence: Option<f64>,
    pub current_thought: Option<String>,
    pub last_action: String,
    /// Utterances it hears at present, as `seq`.
    pub inbox: Vec<u64>,
    pub temperature: f64,
    pub model: Option<String>,
    pub muted: bool,
    pub system_prompt: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Connection {
    pub from: String,
    pub to: String,
    /// 0 to 1.
    pub strength: f64,
    pub active: bool,
    pub kind: PathKind,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Gauge {
    pub value: Option<f64>,
    pub standardised: Option<f64>,
    /// The null's interval.
    pub null: Option<Vec<f64>>,
    /// `low moderate high`
    pub level: Option<String>,
    /// The 95 % confidence interval of `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Vec<f64>>,
    /// The parts of `value`, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<GaugeAlarm>,
}

/// Whether a gauge has been at its bad end for longer than chance explains.
#[derive(Debug, Serialize, ToSchema)]
pub struct GaugeAlarm {
    pub raised: bool,
    /// 0 to 2; the alarm is raised from 1 on.
    pub sum: f64,
    /// The false alarms in 100 turns of healthy talk this alarm is set for.
    pub false_alarms_per_100: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyLevel {
    Emergency,
    Critical,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EmergencyState {
    pub open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<EmergencyLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_round: Option<u64>,
    /// Rounds in a row above the threshold.
    pub rounds_above: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PendingStimulus {
    pub seq: u64,
    /// Absent for a person's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<StimulusKind>,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub heard_by: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct State {
    pub status: SessionStatus,
    pub round: u64,
    pub turn: u64,
    pub situation: String,
    pub agents: BTreeMap<String, AgentState>,
    pub connections: Vec<Connection>,
    pub gauges: BTreeMap<String, Gauge>,
    pub emergency: EmergencyState,
    pub pending_stimuli: Vec<PendingStimulus>,
    /// Of a crowd, the first hundred.
    pub participants: Vec<Participant>,
    pub participant_count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub content: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Sampling {
    pub temperature: f64,
    pub top_p: f64,
    pub min_p: f64,
    pub repetition_penalty: f64,
    pub no_repeat_ngram: u32,
    pub max_tokens: u32,
    pub stop: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UtteranceContext {
    pub messages: Vec<ChatMessage>,
    /// Every event whose words are in the prompt.
    pub event_seqs: Vec<u64>,
    pub sampling: Sampling,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub seed: u64,
    pub prompt_digest: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    pub items: Vec<frames::StoredFrame>,
    /// The last `seq`, to go on after.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// `agent_message` events only.
    pub items: Vec<frames::StoredFrame>,
    pub next_cursor: Option<String>,
}

/// What an agent answered outside the conversation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Interview {
    pub agent_id: String,
    /// The event after which it was asked.
    pub seq: u64,
    pub answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Exactly what the agent saw.
    pub messages: Vec<ChatMessage>,
    /// Every event whose words are in the prompt.
    pub event_seqs: Vec<u64>,
    pub model: String,
    pub seed: u64,
    pub finish: Finish,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub cost: f64,
    pub latency_ms: u64,
    pub prompt_digest: String,
}

/// Two to six runs side by side.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComparedRuns {
    pub common: CommonPast,
    /// In the order in which they were asked for.
    pub runs: Vec<ComparedRun>,
    /// From the first turn on that is not common.
    pub items: Vec<ComparedTurn>,
    pub next_cursor: Option<String>,
}

/// The past of all runs: events 1 to `seq` of any of them. All are 0 where they share nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommonPast {
    pub seq: u64,
    /// The last turn that was over by then.
    pub turn: u64,
    pub round: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ComparedRun {
    pub session: Session,
    /// How many events it shares with the first.
    pub common_seq: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ComparedTurn {
    pub turn: u64,
    /// One per run, in their order.
    pub cells: Vec<ComparedCell>,
}

/// A turn of one run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComparedCell {
    /// What happened in it since the utterance before: stimuli, people's words, changes, emergencies, failures. Of many,
    /// the last fifty.
    pub events: Vec<frames::StoredFrame>,
    /// The turn's `agent_message`; absent where this run has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<frames::StoredFrame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gauges: Option<BTreeMap<String, Gauge>>,
    /// How much higher each standardised gauge is than in the first run at the same turn, where both have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deltas: Option<BTreeMap<String, f64>>,
}

/// A whole session as numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    pub r#gen: u32,
    pub turns: TimelineTurns,
    pub marks: Vec<TimelineMark>,
    /// The last `seq` read, to go on after.
    pub next_cursor: Option<String>,
}

/// Columns: each list has one entry per utterance of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineTurns {
    pub seq: Vec<u64>,
    pub turn: Vec<u64>,
    pub round: Vec<u64>,
    pub agent_id: Vec<String>,
    /// VADER compound, −1 to 1.
    pub sentiment: Vec<f64>,
    /// Standardised gauges after the utterance, by name.
    pub gauges: BTreeMap<String, Vec<Option<f64>>>,
}

/// What happened between utterances.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineMark {
    pub seq: u64,
    /// The last turn with words before it.
    pub turn: u64,
    /// `agent_message` (a person's words) `emergency stimulus_injected turn_failed forked reset session_status`
    pub r#type: String,
    /// Its action, kind or status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}
