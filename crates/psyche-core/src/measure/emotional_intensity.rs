//! Emotional intensity: how strong the feeling is, whatever its sign. English only.
//!
//! * value = (Σ over the window of |valence of each word| + emphasis of punctuation) / number of words, in rating
//!   points per word.
//! * The valence is VADER's after all rules, so degree words, capitals, negation and "but" have already weighted it;
//!   an utterance without a rated word adds nothing for its punctuation.
//! * Source: Hutto & Gilbert (2014), ICWSM; summing absolute values keeps mixed feelings from cancelling.
//! * Null: recorded healthy dialogue (20 turns drawn with replacement from the canonical one, 999 times; for a window of n
//!   turns the band is √(20/n) as wide). 1 = the level of the escalating quarrel.
//! * Limits: it is the strength of valence, not arousal, which a lexicon of valence cannot show.

use super::null::Null;
use super::sentiment::Vader;
use super::{Gauge, Turn};

/// The value in recorded healthy dialogue, over windows of 20 utterances.
pub const HEALTHY: Null = Null { low: 0.062, median: 0.092, high: 0.127 };
/// The level of the canonical escalating quarrel.
pub const EXTREME: f64 = 0.437;
/// Fewer utterances than this give no reading.
pub const MIN_TURNS: usize = 10;

/// The value for a list of turns; `None` without words.
pub fn emotional_intensity(vader: &Vader, turns: &[Turn<'_>]) -> Option<f64> {
    let (mut valence, mut words) = (0.0, 0usize);
    for turn in turns {
        let (sum, count) = vader.absolute_valence(turn.text);
        valence += sum;
        words += count;
    }
    (words > 0).then(|| valence / words as f64)
}

pub(super) fn gauge(vader: &Vader, turns: &[Turn<'_>]) -> Gauge {
    match emotional_intensity(vader, turns) {
        Some(value) if turns.len() >= MIN_TURNS => {
            let null = HEALTHY.for_turns(turns.len());
            Gauge::new(value, null.standardise(value, EXTREME), null.band())
        }
        _ => Gauge::default(),
    }
}
