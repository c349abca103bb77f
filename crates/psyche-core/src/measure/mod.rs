//! What the numbers mean: sentiment of an utterance, six gauges of a conversation, strength and health of its
//! network.
//!
//! Every gauge is a pure function of a window of utterances, so its cost does not grow with the session. Each has its
//! own file, which states construct, formula, source, null and limits. Rules they share:
//!
//! * A gauge carries its raw `value`, the `null` band of values that mean "nothing going on", and the `standardised`
//!   value. For conflict, repetition, emotional intensity and stagnation, 0 is the median of the null and 1 the level
//!   of the canonical transcript that shows the construct at its extreme; for engagement likewise, its extreme being
//!   healthy dialogue; for diversity, 1 is the median of the null (healthy dialogue) and 0 the impoverished extreme.
//!   Values beyond are cut to 0..1. The canonical transcripts are part of this module and the tests hold the levels
//!   to them.
//! * `level` reads the standardised value: high above 0.7, moderate above 0.4, else low. For engagement and diversity
//!   low is the bad end, for the others high.
//! * The `interval` is the 95 % confidence interval of the value (interval.rs), `components` are the parts beside a
//!   blend, each in its own unit, and `alarm` is a control chart of the standardised value (alarm.rs).
//! * Too little material gives `None`, never a guess.
//! * Shuffles draw from ChaCha8 seeded by the caller, and elementary functions come from `libm`, so the same window
//!   and seed give the same bytes on every processor.

pub mod affect;
pub mod alarm;
pub mod balance;
pub mod by_speaker;
pub mod canonical;
pub mod conflict;
mod content_words;
pub mod distinct;
pub mod diversity;
pub mod emotional_intensity;
pub mod engagement;
pub mod families;
mod function_words;
pub mod influence;
pub mod integration;
mod interval;
pub mod judge;
pub mod lexical_diversity;
mod lexicon;
pub mod meaning;
mod null;
mod reading;
pub mod recurrence;
pub mod repetition;
pub mod responsiveness;
mod rules;
pub mod self_bleu;
mod self_test;
pub mod sentiment;
pub mod stagnation;
pub mod strength;
pub mod style_matching;
pub mod voice_collapse;
mod window;

pub use affect::Affect;
pub use alarm::Alarm;
pub use canonical::{Canonical, canonical};
pub use reading::{Kept, Reading};
pub use self_test::{SelfTest, self_test};
pub use sentiment::{Label, Sentiment, Vader};

use crate::embedding::Embedding;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use window::Window;

/// Stored with every session: a change to any formula or constant of this module changes it.
pub const MEASURES_VERSION: u16 = 3;

/// Utterances a gauge looks back on.
pub const WINDOW: usize = 20;

/// One utterance of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    pub speaker: &'a str,
    /// `None` when spoken to all.
    pub addressee: Option<&'a str>,
    pub text: &'a str,
    /// `Vader::score(text).compound`, −1..1.
    pub compound: f64,
    /// Index in the window of the utterance this one answers; an index that is not before this turn is ignored.
    pub answers: Option<usize>,
}

/// The six gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GaugeName {
    Conflict,
    Engagement,
    Diversity,
    Repetition,
    EmotionalIntensity,
    Stagnation,
}

impl GaugeName {
    pub const ALL: [Self; 6] = [
        Self::Conflict,
        Self::Engagement,
        Self::Diversity,
        Self::Repetition,
        Self::EmotionalIntensity,
        Self::Stagnation,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Engagement => "engagement",
            Self::Diversity => "diversity",
            Self::Repetition => "repetition",
            Self::EmotionalIntensity => "emotional_intensity",
            Self::Stagnation => "stagnation",
        }
    }
}

/// How far up the standardised scale a gauge stands: high above 0.7, moderate above 0.4, else low, also without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Low,
    Moderate,
    High,
}

impl Level {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
        }
    }

    pub fn of(standardised: f64) -> Self {
        if standardised > 0.7 {
            Self::High
        } else if standardised > 0.4 {
            Self::Moderate
        } else {
            Self::Low
        }
    }
}

/// A reading. `value`, `standardised` and `null` are all present or, while there is too little material, all absent;
/// without them there is no interval, component or alarm either.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    /// In the unit of the construct; see its file.
    pub value: Option<f64>,
    /// 0..1.
    pub standardised: Option<f64>,
    /// The 5th and 95th percentile of `value` under the construct's null.
    pub null: Option<[f64; 2]>,
    pub level: Level,
    /// The 95 % confidence interval of `value`, by a jackknife over the window's utterances; absent in logs of the
    /// first measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The parts of `value`, by name; see the construct's file for their units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: Components,
    /// The control chart of `standardised`; absent where nobody carries charts on, and in logs of the first measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}

/// Parts of a reading by name.
pub type Components = BTreeMap<Cow<'static, str>, f64>;

impl Gauge {
    /// A reading that is no number is no reading.
    fn new(value: f64, standardised: f64, null: [f64; 2]) -> Self {
        if ![value, standardised, null[0], null[1]].iter().all(|n| n.is_finite()) {
            return Self::default();
        }
        let standardised = four_digits(standardised.clamp(0.0, 1.0));
        let null = null.map(four_digits);
        Self {
            value: Some(four_digits(value)),
            standardised: Some(standardised),
            null: Some(null),
            level: Level::of(standardised),
            ..Self::default()
        }
    }

    /// With the interval of its value, where there is one.
    fn within(mut self, interval: Option<[f64; 2]>) -> Self {
        let interval = interval.filter(|bounds| bounds.iter().all(|bound| bound.is_finite()));
        self.interval = interval.filter(|_| self.value.is_some()).map(|bounds| bounds.map(four_digits));
        self
    }

    /// With the parts of its value beside it.
    fn beside<const N: usize>(mut self, parts: [(&'static str, f64); N]) -> Self {
        if self.value.is_some() {
            let finite = parts.into_iter().filter(|(_, part)| part.is_finite());
            self.components = finite.map(|(name, part)| (Cow::Borrowed(name), four_digits(part))).collect();
        }
        self
    }
}

/// Readings are stored and compared as JSON: short decimals survive every parser exactly, the last bit of a double does not.
fn four_digits(value: f64) -> f64 {
    // Adding zero turns a negative zero into zero.
    libm::round(value * 1e4) / 1e4 + 0.0
}

/// All six, always all present.
pub type Gauges = BTreeMap<GaugeName, Gauge>;

/// Reads all six gauges from a window, without alarms ([`alarm::chart`] carries those on); of more than [`WINDOW`] turns
/// the last [`WINDOW`] count.
/// `seed` feeds the shuffles of the nulls: the same window and seed give the same gauges.
pub fn gauges(vader: &Vader, window: &[Turn<'_>], seed: u64) -> Gauges {
    gauges_with_meaning(vader, window, &[], seed)
}

/// As [`gauges`], knowing where utterances stand among meanings: `embeddings` holds one place for each turn of the window,
/// or nothing. All are of one model.
pub fn gauges_with_meaning(vader: &Vader, window: &[Turn<'_>], embeddings: &[Option<&Embedding>], seed: u64) -> Gauges {
    let readings: Vec<Reading> = window.iter().map(|turn| Reading::of(vader, turn.text)).collect();
    gauges_of(window, &readings, embeddings, seed)
}

/// As [`gauges_with_meaning`], with the reading of each turn at hand.
pub fn gauges_of(window: &[Turn<'_>], readings: &[Reading], embeddings: &[Option<&Embedding>], seed: u64) -> Gauges {
    let skipped = window.len().saturating_sub(WINDOW);
    let turns: Vec<Turn<'_>> = window[skipped..]
        .iter()
        .map(|turn| Turn { answers: turn.answers.and_then(|i| i.checked_sub(skipped)), ..turn.clone() })
        .collect();
    let cues = readings[skipped..].iter().map(|reading| reading.cues);
    let valences: Vec<(f64, usize)> = readings[skipped..].iter().map(|reading| reading.valence).collect();
    let words = Window::new(turns.iter().map(|turn| turn.text));
    let shuffled = null::Shuffles::new(&words, seed);
    BTreeMap::from([
        (GaugeName::Conflict, conflict::gauge(&turns, cues)),
        (GaugeName::Engagement, engagement::gauge(&turns, &words, seed)),
        (GaugeName::Diversity, diversity::gauge(&words)),
        (GaugeName::Repetition, repetition::gauge(&words, &shuffled)),
        (GaugeName::EmotionalIntensity, emotional_intensity::gauge(&valences)),
        (GaugeName::Stagnation, stagnation::gauge(&words, &shuffled, embeddings.get(skipped..).unwrap_or_default())),
    ])
}
