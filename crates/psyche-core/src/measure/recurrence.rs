//! Recurrence quantification: whether what was said comes back, and in the same order; the second opinion on
//! stagnation. Works for any language that separates words.
//!
//! * Utterances i and j recur when the cosine of their counts of words and of pairs of adjacent words is at least 0.5.
//! * recurrence rate = recurring pairs / all pairs i < j.
//! * determinism = recurring pairs that lie on a diagonal (i, j), (i + 1, j + 1) … of at least 2 / recurring pairs.
//! * mean length = mean length of those diagonals, in utterances; a loop makes it long.
//! * Null of determinism: the same utterances in random order, 19 times; the recurrence rate does not change by that.
//! * Source: Marwan et al. (2007), Physics Reports 438:237.
//! * Limits: it looks at the latest 400 utterances; the threshold is this project's choice, and copies lie above it
//!   while utterances that share a topic lie below.

use super::null::{Null, SHUFFLES, shuffle};
use super::window::Window;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Utterances it looks at.
pub const MAX_UTTERANCES: usize = 400;
/// Cosine from which two utterances recur.
pub const THRESHOLD: f64 = 0.5;
/// Fewer utterances than this give no reading.
pub const MIN_UTTERANCES: usize = 6;
const SHORTEST: usize = 2;

/// What recurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recurrence {
    pub utterances: usize,
    /// 0..1.
    pub rate: f64,
    /// 0..1; `None` when nothing recurs.
    pub determinism: Option<f64>,
    /// Mean length of the diagonals of at least two, in utterances; `None` without one.
    pub mean_length: Option<f64>,
    /// The 5th and 95th percentile of `determinism` when the order of the utterances means nothing.
    pub null: Option<[f64; 2]>,
}

/// Recurrence of texts; `None` with fewer than [`MIN_UTTERANCES`]. `seed` feeds the null.
pub fn recurrence(texts: &[&str], seed: u64) -> Option<Recurrence> {
    let window = Window::new(texts[texts.len().saturating_sub(MAX_UTTERANCES)..].iter().copied());
    let n = window.len();
    let counts: Vec<BTreeMap<(u32, u32), f64>> = (0..n).map(|i| features(window.text(i))).collect();
    let norms: Vec<f64> = counts.iter().map(|counts| libm::sqrt(counts.values().map(|c| c * c).sum())).collect();
    // Only utterances that share a feature can recur, so products are summed along the features.
    let mut places: BTreeMap<(u32, u32), Vec<(usize, f64)>> = BTreeMap::new();
    for (i, counts) in counts.iter().enumerate() {
        for (feature, count) in counts {
            places.entry(*feature).or_default().push((i, *count));
        }
    }
    let mut products = vec![0.0; n * n];
    for places in places.values() {
        for (at, (i, a)) in places.iter().enumerate() {
            for (j, b) in &places[at + 1..] {
                products[i * n + j] += a * b;
            }
        }
    }
    quantify(n, seed, |i, j| products[i * n + j] > 0.0 && products[i * n + j] >= THRESHOLD * norms[i] * norms[j])
}

/// The same for any relation between `n` utterances, which is asked for i < j: the cosine of embeddings, say.
pub fn quantify(n: usize, seed: u64, recurs: impl Fn(usize, usize) -> bool) -> Option<Recurrence> {
    if n < MIN_UTTERANCES {
        return None;
    }
    let mut plot = vec![false; n * n];
    for i in 0..n {
        for j in i + 1..n {
            plot[i * n + j] = recurs(i, j);
            plot[j * n + i] = plot[i * n + j];
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    let lines = Lines::of(&plot, &order);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shuffled = |random: &mut ChaCha8Rng, order: &mut Vec<usize>| {
        shuffle(order, random);
        Lines::of(&plot, order).determinism()
    };
    let null: Option<Vec<f64>> = (0..SHUFFLES).map(|_| shuffled(&mut random, &mut order)).collect();
    Some(Recurrence {
        utterances: n,
        rate: lines.points as f64 / (n * (n - 1) / 2) as f64,
        determinism: lines.determinism(),
        mean_length: (lines.lines > 0).then(|| lines.on_lines as f64 / lines.lines as f64),
        null: null.map(|values| Null::of(values).band()),
    })
}

/// Words, and pairs of adjacent words, with their counts.
fn features(text: &[u32]) -> BTreeMap<(u32, u32), f64> {
    let words = text.iter().map(|word| (*word, u32::MAX));
    let mut counts = BTreeMap::new();
    for feature in words.chain(text.windows(2).map(|pair| (pair[0], pair[1]))) {
        *counts.entry(feature).or_insert(0.0) += 1.0;
    }
    counts
}

struct Lines {
    points: usize,
    lines: usize,
    on_lines: usize,
}

impl Lines {
    fn of(plot: &[bool], order: &[usize]) -> Self {
        let n = order.len();
        let mut read = Self { points: 0, lines: 0, on_lines: 0 };
        for lag in 1..n {
            let mut run = 0;
            for i in 0..=n - lag {
                if i < n - lag && plot[order[i] * n + order[i + lag]] {
                    run += 1;
                    read.points += 1;
                } else {
                    if run >= SHORTEST {
                        read.lines += 1;
                        read.on_lines += run;
                    }
                    run = 0;
                }
            }
        }
        read
    }

    fn determinism(&self) -> Option<f64> {
        (self.points > 0).then(|| self.on_lines as f64 / self.points as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        // A loop of three, twice: the one diagonal at lag 3 holds all recurring pairs.
        let looped = recurrence(&["a b", "c d", "e f", "a b", "c d", "e f"], 1).unwrap();
        assert_eq!((looped.rate, looped.determinism, looped.mean_length), (3.0 / 15.0, Some(1.0), Some(3.0)));
        let fresh = recurrence(&["a b", "c d", "e f", "g h", "i j", "k l"], 1).unwrap();
        assert_eq!((fresh.rate, fresh.determinism, fresh.null), (0.0, None, None));
        // One utterance comes back alone.
        let single = recurrence(&["a b", "c d", "e f", "a b", "g h", "i j"], 1).unwrap();
        assert_eq!((single.rate, single.determinism, single.mean_length), (1.0 / 15.0, Some(0.0), None));
        assert_eq!(recurrence(&["a", "b"], 1), None);
        assert_eq!(recurrence(&[""; 6], 1).unwrap().rate, 0.0);
    }
}
