//! Directed influence: whether what one says foretells what another says next, beyond what the other foretells itself.
//!
//! * Each speaker's course is turned into symbols: a feature of its utterances (sentiment, length …) cut at its own
//!   terciles into low, middle, high.
//! * T(X→Y) = H(Y⁺, Y) + H(Y, X) − H(Y) − H(Y⁺, Y, X) in bits, H being entropies of the counted symbols, Y⁺ the next
//!   symbol of Y and X the latest of X before it; each H has the Miller–Madow term (K − 1)/(2N ln 2) added, K being the
//!   cells that occur and N the transitions.
//! * value = T − the mean of its surrogates: the courses of X shifted in time, by turns drawn for each replicate, 99
//!   times; p = (1 + surrogates at or above T) / 100.
//! * Replicates (runs of the same condition) are pooled: their transitions are counted together, never joined end to
//!   end. Under 200 transitions in all there is no reading.
//! * Source: Schreiber (2000), Physical Review Letters 85:461 (transfer entropy); Marschinski & Kantz (2002), European
//!   Physical Journal B 30:275 (surrogates); Miller (1955) (correction of bias).
//! * Limits: a third that drives both looks like influence, as does anything that moves all speakers at once; three
//!   symbols see no finer shape.

use super::Turn;
use super::null::{Null, below};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

/// Fewer transitions than this give no reading.
pub const MIN_TRANSITIONS: usize = 200;
/// Low, middle, high.
pub const SYMBOLS: usize = 3;
const SURROGATES: usize = 99;

/// One run of a pair: `to[t]` is followed by `to[t + 1]`, and `from[t]` is the latest of the other before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Symbols below [`SYMBOLS`], as many as `to`; a larger one counts as high.
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// Transfer entropy along one edge, in bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Influence {
    pub transitions: usize,
    pub replicates: usize,
    /// With Miller–Madow terms.
    pub transfer_entropy: f64,
    /// Transfer entropy minus the mean of the surrogates.
    pub value: f64,
    /// The 5th and 95th percentile of the surrogates.
    pub null: [f64; 2],
    /// The share of surrogates at or above it, never below 0.01.
    pub p: f64,
}

/// Too little to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "influence needs {MIN_TRANSITIONS} transitions, and there are {transitions}; record longer runs or pool replicates"
)]
pub struct TooShort {
    pub transitions: usize,
}

/// Influence of one speaker on another over some replicates; `seed` feeds the surrogates.
///
/// # Errors
/// [`TooShort`] under [`MIN_TRANSITIONS`].
pub fn influence(replicates: &[Course], seed: u64) -> Result<Influence, TooShort> {
    let pairs: Vec<(&[u8], &[u8])> = replicates
        .iter()
        .map(|course| {
            let n = course.from.len().min(course.to.len());
            (&course.from[..n], &course.to[..n])
        })
        .filter(|(_, to)| to.len() > 1)
        .collect();
    let transitions = pairs.iter().map(|(_, to)| to.len() - 1).sum();
    if transitions < MIN_TRANSITIONS {
        return Err(TooShort { transitions });
    }
    let value = transfer_entropy(&pairs, |_| 0);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let surrogates: Vec<f64> = (0..SURROGATES)
        // A shift of zero would be the course itself.
        .map(|_| transfer_entropy(&pairs, |n| 1 + below(n - 1, &mut random)))
        .collect();
    let above = surrogates.iter().filter(|surrogate| **surrogate >= value).count();
    Ok(Influence {
        transitions,
        replicates: pairs.len(),
        transfer_entropy: value,
        value: value - surrogates.iter().sum::<f64>() / SURROGATES as f64,
        p: (1 + above) as f64 / (1 + SURROGATES) as f64,
        null: Null::of(surrogates).band(),
    })
}

/// `shift` gives for a course of n how far that of the source is turned.
fn transfer_entropy(pairs: &[(&[u8], &[u8])], mut shift: impl FnMut(usize) -> usize) -> f64 {
    let mut counts = [0u32; SYMBOLS * SYMBOLS * SYMBOLS];
    for (from, to) in pairs {
        let n = to.len();
        let shift = shift(n);
        let symbol = |series: &[u8], at: usize| usize::from(series[at]).min(SYMBOLS - 1);
        for t in 0..n - 1 {
            let cell = (symbol(to, t + 1) * SYMBOLS + symbol(to, t)) * SYMBOLS + symbol(from, (t + shift) % n);
            counts[cell] += 1;
        }
    }
    let marginal = |of: fn(usize, usize, usize) -> usize| {
        let mut sums = [0u32; SYMBOLS * SYMBOLS];
        for (cell, count) in counts.iter().enumerate() {
            sums[of(cell / (SYMBOLS * SYMBOLS), cell / SYMBOLS % SYMBOLS, cell % SYMBOLS)] += count;
        }
        entropy(&sums)
    };
    marginal(|next, own, _| next * SYMBOLS + own) + marginal(|_, own, other| own * SYMBOLS + other)
        - marginal(|_, own, _| own)
        - entropy(&counts)
}

/// In bits, with the Miller–Madow term.
fn entropy(counts: &[u32]) -> f64 {
    let all = f64::from(counts.iter().sum::<u32>());
    let cells = counts.iter().filter(|count| **count > 0).count() as f64;
    let sum: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / all;
            -share * libm::log2(share)
        })
        .sum();
    sum + (cells - 1.0) / (2.0 * all * std::f64::consts::LN_2)
}

/// Symbols of a course: 0, 1, 2 for the lower, middle and upper third of its own values; equal values are one symbol.
pub fn terciles(values: &[f64]) -> Vec<u8> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = |third: usize| sorted.get((third * sorted.len()).div_ceil(3).saturating_sub(1)).copied().unwrap_or(0.0);
    let (low, high) = (cut(1), cut(2));
    values.iter().map(|value| u8::from(*value > low) + u8::from(*value > high)).collect()
}

/// The course of an edge in one session: for each utterance of `to` after the first, its feature and that of the
/// latest utterance of `from` before it.
pub fn course(turns: &[Turn<'_>], from: &str, to: &str, feature: impl Fn(&Turn<'_>) -> f64) -> Course {
    // own[k] is the k-th utterance of `to`; heard[k] the latest of `from` before the one after it.
    let (mut own, mut heard, mut latest) = (Vec::new(), Vec::new(), None);
    for turn in turns {
        if turn.speaker == to {
            match latest {
                // Nothing was heard yet: the course begins here.
                None => own.clear(),
                Some(latest) if !own.is_empty() => heard.push(latest),
                Some(_) => {}
            }
            own.push(feature(turn));
        } else if turn.speaker == from {
            latest = Some(feature(turn));
        }
    }
    let Some(latest) = latest.filter(|_| !own.is_empty()) else { return Course::default() };
    heard.push(latest);
    Course { from: terciles(&heard), to: terciles(&own) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terciles_cut_at_their_own_values() {
        assert_eq!(terciles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), [0, 0, 1, 1, 2, 2]);
        assert_eq!(terciles(&[5.0, 5.0, 5.0]), [0, 0, 0], "a constant has one symbol");
        assert!(terciles(&[]).is_empty());
    }

    #[test]
    fn a_course_pairs_what_was_heard_with_what_was_said_next() {
        let turn = |speaker, compound| Turn { speaker, addressee: None, text: "", compound, answers: None };
        let turns = [turn("y", 0.1), turn("x", 0.9), turn("z", 0.0), turn("y", 0.2), turn("x", 0.5), turn("y", 0.3)];
        let course = course(&turns, "x", "y", |turn| turn.compound);
        // Before the second of y: 0.9; before the third: 0.5; the last pair is never counted as a transition.
        assert_eq!(course.to, [0, 1, 2]);
        assert_eq!(course.from, terciles(&[0.9, 0.5, 0.5]));
        assert_eq!(super::course(&turns, "nobody", "y", |turn| turn.compound), Course::default());
    }

    #[test]
    fn transfer_entropy_of_a_copy_is_the_entropy_of_the_source() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let from: Vec<u8> = (0..30_001).map(|_| below(3, &mut random) as u8).collect();
        let to: Vec<u8> = std::iter::once(0).chain(from.iter().copied()).take(30_001).collect();
        let read = influence(&[Course { from, to }], 1).unwrap();
        assert!((read.transfer_entropy - 3f64.log2()).abs() < 0.01, "{read:?}");
        assert_eq!(read.p, 0.01);
    }

    #[test]
    fn too_little_is_refused_and_says_what_to_do() {
        let course = Course { from: vec![0; 150], to: vec![1; 150] };
        let refused = influence(std::slice::from_ref(&course), 1).unwrap_err();
        assert_eq!(refused, TooShort { transitions: 149 });
        assert!(refused.to_string().contains("pool replicates"));
        assert_eq!(influence(&[course.clone(), course], 1).unwrap().transitions, 298, "replicates are pooled");
        assert!(influence(&[], 1).is_err());
    }
}
