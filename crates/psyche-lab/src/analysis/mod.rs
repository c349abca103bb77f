//! What happened in a session, in numbers that can be taken apart: a pure function of its events.
//!
//! [`Reading`] takes the events of a log in order and keeps a row of numbers and the words of each utterance in the range
//! asked for; [`Reading::finish`] makes the document. Time and memory grow with the utterances in the range, of which
//! there may be [`MAX_UTTERANCES`]; the parts that would grow faster look at no more than [`MAX_POINTS`] points.
//!
//! Rules of the document: a number that cannot be had is `null` with a `note` that says why. Everything random is drawn
//! from a seed made of the session's own, so the same log gives the same document. Utterances of one run are no
//! independent sample: p-values say whether *this run* did more than its own chance variation, not that another would.

mod agents;
mod document;
mod gauges;
mod interventions;
mod log;
mod opinions;
mod overlap;
mod reading;
mod sample;
mod shares;
mod signals;
mod trends;
mod turning_points;

pub use document::{
    AgentPerformance, Analysis, Balance, Foretold, Influence, InfluenceEdge, Intervention, InterventionEffect, Latency,
    MeasureSummary, Quality, QualityPart, Shares, SpeakerShare, Style, StylePair, StyleStep, TalkMatrix, TrendLine,
    TurningPoint,
};
pub use log::{AnalysisError, of_log, read_log};
pub use reading::{Range, Reading, TooLarge};
pub use sample::Sampled;

/// Counted up when a formula of this module changes.
pub const ANALYSIS_VERSION: u16 = 1;

/// Utterances one analysis takes.
pub const MAX_UTTERANCES: usize = 50_000;

/// Bytes of words one analysis takes.
pub const MAX_BYTES: usize = 64 << 20;

/// Points of a series that trends and turning points look at; longer series are averaged over equal stretches.
pub const MAX_POINTS: usize = 1_000;
