//! The document of an analysis, as the API, the command line and files give it.

use std::collections::BTreeMap;

use psyche_core::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::statistics::Group;

/// What happened in a session between two events.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Analysis {
    #[schema(value_type = String)]
    pub session_id: SessionId,
    #[serde(rename = "gen")]
    pub generation: u32,
    /// The first and the last event that were looked at.
    pub from: u64,
    pub to: u64,
    pub utterances: usize,
    /// Utterances whose words were erased: they count as turns and have no words.
    pub erased: usize,
    pub version: u16,
    /// By name.
    pub measures: BTreeMap<String, MeasureSummary>,
    pub trends: Vec<TrendLine>,
    pub turning_points: Vec<TurningPoint>,
    pub interventions: Vec<Intervention>,
    pub shares: Shares,
    pub matrix: TalkMatrix,
    pub style: Style,
    pub influence: Influence,
    pub quality: Quality,
    pub agents: Vec<AgentPerformance>,
    /// Sums over utterances, for a history of many sessions.
    #[serde(skip)]
    #[schema(ignore)]
    pub turns: BTreeMap<String, Group>,
    /// What a reader must know of the whole.
    pub notes: Vec<String>,
}

/// One measure over the whole range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct MeasureSummary {
    pub value: Option<f64>,
    /// 0..1, for the six gauges.
    pub standardised: Option<f64>,
    /// 95 %: lower and upper end.
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    /// What the value would be if nothing were going on: 5th and 95th percentile.
    #[schema(value_type = Option<Vec<f64>>)]
    pub null: Option<[f64; 2]>,
    /// Of what `unit` counts.
    pub n: usize,
    pub unit: String,
    /// Of the formula.
    pub version: u16,
    /// Not established: to look for ideas, not to conclude from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exploratory: bool,
    /// Parts of the value, or second opinions beside it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether a measure rose or fell.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TrendLine {
    pub measure: String,
    pub unit: String,
    /// Kendall's τ with time, −1..1.
    pub tau: Option<f64>,
    /// Mann–Kendall with the correction of Hamed and Rao for autocorrelation.
    pub p: Option<f64>,
    /// Corrected for the number of trends looked at (Holm).
    pub p_corrected: Option<f64>,
    /// Theil and Sen, in `unit` per 100 utterances.
    pub slope: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    /// What autocorrelation multiplied the variance by; 1 is none.
    pub inflation: Option<f64>,
    /// Points the test looked at.
    pub n: usize,
    /// Utterances from one point to the next.
    pub stride: usize,
    /// The points: `seq` and value.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub points: Vec<(u64, f64)>,
    pub forecast: Option<Foretold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a straight line leads, with the interval that a single value will lie in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Foretold {
    /// Utterances after the last point.
    pub utterances_ahead: usize,
    pub value: f64,
    #[schema(value_type = Vec<f64>)]
    pub interval: [f64; 2],
}

/// The level of a measure changed here.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TurningPoint {
    /// The first utterance of the new level.
    pub seq: u64,
    pub turn: u64,
    pub measure: String,
    pub unit: String,
    /// `after` − `before`.
    pub change: f64,
    pub before: f64,
    pub after: f64,
    /// By block permutations.
    pub p: f64,
    /// Corrected for the number of tests made (Holm); at most 0.05, or it would not be listed.
    pub p_corrected: f64,
    /// Utterances within which the place is known: series longer than 1,000 points are averaged.
    pub within: usize,
}

/// What somebody, or the emergency protocol, did to the conversation, and what followed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Intervention {
    pub seq: u64,
    /// The turn before it.
    pub turn: u64,
    /// `stimulus speech emergency_opened emergency_closed agent_changed paths_changed situation_changed reset`
    pub kind: String,
    /// Of a stimulus: its kind; of a change: the agent.
    pub detail: Option<String>,
    /// A user's id, or `system`.
    pub actor: Option<String>,
    /// The effect on novelty, which was chosen beforehand: Hedges' g.
    pub effect: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    /// On everything that was looked at.
    pub effects: Vec<InterventionEffect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Before against after.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct InterventionEffect {
    pub measure: String,
    pub unit: String,
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// Hedges' g of after − before; of a gauge the difference of its readings, in `unit`.
    pub effect: Option<f64>,
    /// BCa bootstrap of g; a gauge's difference has none.
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    /// The same effect at all other moments of the range: 5th and 95th percentile.
    #[schema(value_type = Option<Vec<f64>>)]
    pub null: Option<[f64; 2]>,
    /// The share of all moments with at least such an effect.
    pub p: Option<f64>,
    /// Corrected for all effects of all interventions (Benjamini and Hochberg).
    pub p_corrected: Option<f64>,
    pub n_before: usize,
    pub n_after: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who spoke how much.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Shares {
    pub speakers: Vec<SpeakerShare>,
    pub balance: Balance,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SpeakerShare {
    /// `user` for people.
    pub agent_id: String,
    pub utterances: usize,
    /// Of the utterances, 0..1.
    pub share: f64,
    /// Wilson.
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    pub words: usize,
    /// Of the words, 0..1.
    pub word_share: Option<f64>,
}

/// How evenly: Gini over the agents, 0 = evenly, (n − 1)/n = one of n speaks alone.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Balance {
    /// Absent where the schedule decides who speaks.
    pub gini_utterances: Option<f64>,
    pub gini_words: Option<f64>,
    /// How often another agent took the lead in words.
    pub dominance_switches: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who spoke to whom, and whose words were alike.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TalkMatrix {
    /// Rows of all that follow.
    pub speakers: Vec<String>,
    /// Columns of `counts`; the last is `all`.
    pub recipients: Vec<String>,
    pub counts: Vec<Vec<usize>>,
    /// Of two speakers' words, 0..1: 1 − Jensen–Shannon divergence, at equal numbers of words.
    pub overlap: Vec<Vec<Option<f64>>>,
    /// The same with the utterances dealt out to speakers anew: 5th and 95th percentile. Below it, voices differ.
    #[schema(value_type = Vec<Vec<Option<Vec<f64>>>>)]
    pub overlap_null: Vec<Vec<Option<[f64; 2]>>>,
    /// Words of each speaker that were compared.
    pub overlap_words: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whose style is like whose, and who adapts to whom.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Style {
    pub pairs: Vec<StylePair>,
    pub coordination: Vec<StyleStep>,
    /// Mean cosine of the speakers' words in each stretch of 20 consecutive utterances: a rising course is voices coming
    /// together. A gap where too little was said.
    pub similarity: Vec<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Language style matching of two speakers, at equal numbers of words.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StylePair {
    pub a: String,
    pub b: String,
    /// Words read of each.
    pub words: usize,
    /// 0..1.
    pub lsm: f64,
}

/// How much `from` adapts to `to`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StyleStep {
    pub from: String,
    pub to: String,
    pub answers: usize,
    /// −1..1.
    pub value: f64,
}

/// Whose utterances foretell whose, beyond what each foretells itself. Refused under 200 transitions.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Influence {
    /// What of the utterances was followed.
    pub feature: String,
    pub edges: Vec<InfluenceEdge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct InfluenceEdge {
    pub from: String,
    pub to: String,
    /// Transfer entropy in bits, less the mean of its surrogates.
    pub value: f64,
    /// The surrogates on the same scale: 5th and 95th percentile.
    #[schema(value_type = Vec<f64>)]
    pub null: [f64; 2],
    pub p: f64,
    /// Over all edges (Holm).
    pub p_corrected: f64,
    pub transitions: usize,
}

/// How well the conversation went, by its parts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Quality {
    /// The mean of the parts there are; exploratory.
    pub value: Option<f64>,
    pub parts: Vec<QualityPart>,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct QualityPart {
    pub name: String,
    /// 0 = bad, 1 = good.
    pub value: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    pub means: String,
}

/// How an agent's model did.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AgentPerformance {
    pub agent_id: String,
    /// The models that spoke for it.
    pub models: Vec<String>,
    pub utterances: usize,
    pub latency: Latency,
    /// Failed model calls by kind.
    pub failures: BTreeMap<String, u64>,
    /// Turns that needed more than one attempt.
    pub retried: u64,
    pub abandoned: u64,
    /// Utterances that were cut off.
    pub truncated: u64,
    /// Charged, failed calls included.
    pub tokens: u64,
    pub cost: f64,
    pub mean_words: Option<f64>,
    pub mean_sentiment: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub sentiment_interval: Option<[f64; 2]>,
    /// Geometric mean probability of a token, where the model tells it.
    pub mean_confidence: Option<f64>,
}

/// From the model call to its end.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Latency {
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub n: usize,
}
