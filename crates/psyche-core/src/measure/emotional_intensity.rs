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

use super::interval::jackknife;
use super::null::Null;
use super::sentiment::Vader;
use super::{Gauge, Turn};
use std::ops::Range;

/// The value in recorded healthy dialogue, over windows of 20 utterances.
pub const HEALTHY: Null = Null { low: 0.062, median: 0.092, high: 0.127 };
/// The level of the canonical escalating quarrel.
pub const EXTREME: f64 = 0.437;
/// Fewer utterances than this give no reading.
pub const MIN_TURNS: usize = 10;

/// The value for a list of turns; `None` without words.
pub fn emotional_intensity(vader: &Vader, turns: &[Turn<'_>]) -> Option<f64> {
    ratio(turns.iter().map(|turn| vader.absolute_valence(turn.text)))
}

/// Rating points per word, of texts with their rating points and words.
fn ratio(texts: impl Iterator<Item = (f64, usize)>) -> Option<f64> {
    let (valence, words) = texts.fold((0.0, 0), |sum, text| (sum.0 + text.0, sum.1 + text.1));
    (words > 0).then(|| valence / words as f64)
}

/// `texts`: rating points and words of each.
pub(super) fn gauge(texts: &[(f64, usize)]) -> Gauge {
    let without = |left_out: Range<usize>| {
        ratio(texts.iter().enumerate().filter(|(i, _)| !left_out.contains(i)).map(|(_, text)| *text))
    };
    match ratio(texts.iter().copied()) {
        Some(value) if texts.len() >= MIN_TURNS => {
            let null = HEALTHY.for_turns(texts.len());
            Gauge::new(value, null.standardise(value, EXTREME), null.band()).within(jackknife(
                value,
                texts.len(),
                0.0..=f64::MAX,
                without,
            ))
        }
        _ => Gauge::default(),
    }
}
