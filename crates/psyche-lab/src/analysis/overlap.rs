//! Who spoke to whom, and how alike two speakers' words are.
//!
//! * overlap(a, b) = 1 − JSD(p_a, p_b), the Jensen–Shannon divergence in bits between their distributions of words, so
//!   0 = no word in common, 1 = the same words as often. Lin (1991), IEEE Trans. Information Theory 37:145.
//! * Compared at equal numbers of words: the utterances are put into a random order (by the session's seed), and of each
//!   speaker the first B words count, B being four fifths of the fewest any of them said, at most [`MOST_WORDS`]. Without that, who
//!   says more would look more like everybody.
//! * Null: the same with the utterances dealt out to the speakers anew, 19 times.
//! * Limits: words, not meanings; speakers with fewer than [`LEAST_WORDS`] words are left out.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::HashMap;

use super::document::TalkMatrix;
use super::reading::Reading;
use crate::statistics::shuffle;

const LEAST_WORDS: usize = 100;
const MOST_WORDS: usize = 5_000;
const SHUFFLES: usize = 19;

/// Runs of letters, digits and inner apostrophes.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’');
    text.split(apart).map(|word| word.trim_matches(['\'', '’'])).filter(|word| !word.is_empty())
}

pub(super) fn matrix(reading: &Reading) -> TalkMatrix {
    let speakers = &reading.speakers;
    let all = speakers.len();
    let mut counts = vec![vec![0; all + 1]; all];
    for row in &reading.rows {
        counts[row.speaker][row.recipient.unwrap_or(all)] += 1;
    }
    let numbered = Numbered::new(reading);
    let mut random = ChaCha8Rng::seed_from_u64(reading.seed);
    let mut order: Vec<usize> = (0..numbered.utterances.len()).collect();
    shuffle(&mut order, &mut random);
    let mut labels: Vec<usize> = numbered.utterances.iter().map(|(speaker, _)| *speaker).collect();
    let budget = numbered.budget(all);
    let observed = numbered.overlaps(&order, &labels, all, budget);
    let mut null: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); all]; all];
    if observed.iter().flatten().any(Option::is_some) {
        for _ in 0..SHUFFLES {
            shuffle(&mut labels, &mut random);
            for (i, row) in numbered.overlaps(&order, &labels, all, budget).into_iter().enumerate() {
                for (j, overlap) in row.into_iter().enumerate() {
                    null[i][j].extend(overlap);
                }
            }
        }
    }
    // Of 19 shuffles the smallest and the largest are the 5th and the 95th percentile.
    let band = |values: Vec<f64>| {
        let ends = [f64::INFINITY, f64::NEG_INFINITY];
        let [low, high] = values.iter().fold(ends, |[low, high], x| [low.min(*x), high.max(*x)]);
        (values.len() == SHUFFLES).then_some([low, high])
    };
    let quiet: Vec<&str> =
        speakers.iter().zip(numbered.counts(all)).filter(|(_, n)| *n < LEAST_WORDS).map(|(s, _)| s.as_str()).collect();
    TalkMatrix {
        speakers: speakers.clone(),
        recipients: speakers.iter().cloned().chain(["all".to_owned()]).collect(),
        counts,
        overlap_null: null
            .into_iter()
            .zip(&observed)
            .map(|(row, observed)| row.into_iter().zip(observed).map(|(v, o)| o.and_then(|_| band(v))).collect())
            .collect(),
        overlap: observed,
        overlap_words: budget,
        note: (!quiet.is_empty())
            .then(|| format!("Fewer than {LEAST_WORDS} words, so not compared: {}.", quiet.join(", "))),
    }
}

/// Utterances as numbers of words.
struct Numbered {
    /// Speaker and words.
    utterances: Vec<(usize, Vec<u32>)>,
    types: usize,
}

impl Numbered {
    fn new(reading: &Reading) -> Self {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut utterances = Vec::new();
        for row in &reading.rows {
            let Some(text) = &row.text else { continue };
            let mut number = |word: &str| {
                let next = numbers.len() as u32;
                *numbers.entry(word.to_lowercase().replace('’', "'")).or_insert(next)
            };
            utterances.push((row.speaker, words(text).map(&mut number).collect()));
        }
        Self { utterances, types: numbers.len() }
    }

    /// Words of each speaker.
    fn counts(&self, speakers: usize) -> Vec<usize> {
        let mut counts = vec![0; speakers];
        for (speaker, words) in &self.utterances {
            counts[*speaker] += words.len();
        }
        counts
    }

    /// Words of each speaker that are compared; 0 with fewer than two speakers to compare.
    fn budget(&self, speakers: usize) -> usize {
        let enough: Vec<usize> = self.counts(speakers).into_iter().filter(|n| *n >= LEAST_WORDS).collect();
        // Dealt out anew, the one with the fewest words may get fewer still.
        let fewest = enough.iter().min().map_or(0, |fewest| fewest * 4 / 5);
        if enough.len() < 2 { 0 } else { fewest.min(MOST_WORDS) }
    }

    fn overlaps(&self, order: &[usize], labels: &[usize], speakers: usize, budget: usize) -> Vec<Vec<Option<f64>>> {
        let mut counts = vec![vec![0_u32; self.types]; speakers];
        let mut taken = vec![0; speakers];
        for i in order {
            let speaker = labels[*i];
            for word in &self.utterances[*i].1 {
                if taken[speaker] < budget {
                    taken[speaker] += 1;
                    counts[speaker][*word as usize] += 1;
                }
            }
        }
        let overlap = |a: usize, b: usize| {
            let there = budget > 0 && a != b && taken[a] == budget && taken[b] == budget;
            there.then(|| 1.0 - divergence(&counts[a], &counts[b], budget as f64))
        };
        (0..speakers).map(|a| (0..speakers).map(|b| overlap(a, b)).collect()).collect()
    }
}

/// Jensen–Shannon divergence in bits of two counts of the same size.
fn divergence(a: &[u32], b: &[u32], size: f64) -> f64 {
    let term = |x: u32, other: u32| {
        if x == 0 { 0.0 } else { f64::from(x) * (2.0 * f64::from(x) / f64::from(x + other)).log2() }
    };
    a.iter().zip(b).map(|(x, y)| term(*x, *y) + term(*y, *x)).sum::<f64>() / (2.0 * size)
}
