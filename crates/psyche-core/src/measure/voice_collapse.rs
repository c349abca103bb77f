//! Voice collapse: whether the speakers can still be told apart by their words. Works for any language that separates
//! words.
//!
//! * Of every speaker the latest m utterances are read, m being what the one with fewest has, at most 80; names of
//!   speakers do not count as words.
//! * A multinomial naive Bayes classifier over words (add-one smoothing, equal priors) guesses the speaker of each
//!   utterance, trained on the other four of five folds; fold f holds every speaker's f-th fifth, so that an utterance is
//!   guessed from more distant talk.
//! * value = share guessed right − 1/speakers; 0 = chance (collapsed), 1 − 1/speakers = all told apart.
//! * Null: the speakers of the utterances shuffled within each fold, 99 times; a value inside its band shows no voices of their own.
//! * similarity = for each 20 consecutive turns, the mean over pairs of speakers of the cosine of their word counts, at
//!   equal numbers of words (gaps where fewer than two speakers said 20): a rising course is voices coming together.
//! * Source: arXiv 2512.06256 (role distinctiveness in agents' talk); McCallum & Nigam (1998), AAAI workshop (the
//!   classifier).
//! * Limits: a topic that only one speaker has counts as a voice; under 5 utterances of each there is no reading.

use super::null::{Null, shuffle};
use super::window::Window;
use super::{Turn, WINDOW};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Utterances of a speaker that are read at most.
pub const MAX_UTTERANCES: usize = 80;
/// Fewer utterances of each speaker than this give no reading.
pub const MIN_UTTERANCES: usize = 5;
/// Fewer words of a speaker in a stretch than this leave it out of `similarity`.
pub const MIN_WORDS: usize = 20;
const FOLDS: usize = 5;
const PERMUTATIONS: usize = 99;

/// How well the speakers are told apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoiceCollapse {
    pub speakers: usize,
    /// Utterances read of each.
    pub utterances: usize,
    /// Share of utterances whose speaker was guessed, 0..1.
    pub accuracy: f64,
    /// Accuracy minus chance.
    pub value: f64,
    /// The 5th and 95th percentile of `value` when speakers have no voice of their own.
    pub null: [f64; 2],
}

/// Reads the turns of speakers with at least [`MIN_UTTERANCES`]; `None` with fewer than two of those. `seed` feeds the
/// null.
pub fn voice_collapse(turns: &[Turn<'_>], seed: u64) -> Option<VoiceCollapse> {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let names: BTreeSet<String> = turns.iter().map(|turn| turn.speaker.to_lowercase()).collect();
    let named: Vec<bool> = window.words().map(|word| names.contains(word)).collect();
    let mut said: BTreeMap<&str, Vec<Vec<u32>>> = BTreeMap::new();
    for (i, turn) in turns.iter().enumerate() {
        let words: Vec<u32> = window.text(i).iter().copied().filter(|word| !named[*word as usize]).collect();
        if !words.is_empty() {
            said.entry(turn.speaker).or_default().push(words);
        }
    }
    said.retain(|_, texts| texts.len() >= MIN_UTTERANCES);
    let speakers = said.len();
    let each = said.values().map(Vec::len).min().filter(|_| speakers > 1)?.min(MAX_UTTERANCES);
    let texts: Vec<&[u32]> = said.values().flat_map(|texts| &texts[texts.len() - each..]).map(Vec::as_slice).collect();
    let folds: Vec<usize> = (0..texts.len()).map(|i| i % each * FOLDS / each).collect();
    let mut labels: Vec<usize> = (0..texts.len()).map(|i| i / each).collect();
    let task = Task { texts, folds, speakers, types: window.types() };
    let chance = 1.0 / speakers as f64;
    let accuracy = task.accuracy(&labels);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Within folds, so that every fold keeps as many utterances of each: else the commonest in training is the rarest
    // in the fold that is guessed, and the null lies below chance.
    let shuffled = |random: &mut ChaCha8Rng, labels: &mut [usize]| {
        for fold in 0..FOLDS {
            let places: Vec<usize> = (0..labels.len()).filter(|i| task.folds[*i] == fold).collect();
            let mut drawn: Vec<usize> = places.iter().map(|i| labels[*i]).collect();
            shuffle(&mut drawn, random);
            for (place, label) in places.into_iter().zip(drawn) {
                labels[place] = label;
            }
        }
        task.accuracy(labels) - chance
    };
    let null = Null::of((0..PERMUTATIONS).map(|_| shuffled(&mut random, &mut labels)).collect());
    Some(VoiceCollapse { speakers, utterances: each, accuracy, value: accuracy - chance, null: null.band() })
}

struct Task<'a> {
    texts: Vec<&'a [u32]>,
    folds: Vec<usize>,
    speakers: usize,
    types: usize,
}

impl Task<'_> {
    /// Share of texts whose label is guessed from the other folds.
    fn accuracy(&self, labels: &[usize]) -> f64 {
        let mut counts = vec![0u32; self.speakers * self.types];
        let mut right = 0usize;
        for fold in 0..FOLDS {
            counts.fill(0);
            let mut words = vec![0u32; self.speakers];
            let training = (0..self.texts.len()).filter(|i| self.folds[*i] != fold);
            for i in training {
                for word in self.texts[i] {
                    counts[labels[i] * self.types + *word as usize] += 1;
                }
                words[labels[i]] += self.texts[i].len() as u32;
            }
            let norms: Vec<f64> = words.iter().map(|n| libm::log(f64::from(*n) + self.types as f64)).collect();
            for i in (0..self.texts.len()).filter(|i| self.folds[*i] == fold) {
                let fit = |speaker: usize| -> f64 {
                    let count = |word: &u32| counts[speaker * self.types + *word as usize];
                    let logs: f64 =
                        self.texts[i].iter().map(count).filter(|n| *n > 0).map(|n| libm::log(f64::from(n) + 1.0)).sum();
                    logs - norms[speaker] * self.texts[i].len() as f64
                };
                let fits: Vec<f64> = (0..self.speakers).map(fit).collect();
                // Of equals the first: a constant guess is right as often as chance.
                let best = (0..self.speakers).fold(0, |best, at| if fits[at] > fits[best] { at } else { best });
                right += usize::from(best == labels[i]);
            }
        }
        right as f64 / self.texts.len() as f64
    }
}

/// The course of similarity: one value for each full stretch of 20 turns.
pub fn similarity(turns: &[Turn<'_>]) -> Vec<Option<f64>> {
    turns.chunks_exact(WINDOW).map(stretch).collect()
}

fn stretch(turns: &[Turn<'_>]) -> Option<f64> {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let mut said: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (i, turn) in turns.iter().enumerate() {
        said.entry(turn.speaker).or_default().extend(window.text(i));
    }
    said.retain(|_, words| words.len() >= MIN_WORDS);
    let budget = said.values().map(Vec::len).min().filter(|_| said.len() > 1)?;
    let counts: Vec<Vec<f64>> = said
        .values()
        .map(|words| {
            let mut counts = vec![0.0; window.types()];
            for word in &words[..budget] {
                counts[*word as usize] += 1.0;
            }
            counts
        })
        .collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms: Vec<f64> = counts.iter().map(|counts| libm::sqrt(product(counts, counts))).collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for a in 0..counts.len() {
        for b in a + 1..counts.len() {
            sum += product(&counts[a], &counts[b]) / (norms[a] * norms[b]);
            pairs += 1.0;
        }
    }
    Some(sum / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(texts: &[String]) -> Vec<Turn<'_>> {
        texts
            .iter()
            .enumerate()
            .map(|(i, text)| Turn {
                speaker: ["ego", "shadow", "persona"][i % 3],
                addressee: None,
                text,
                compound: 0.0,
                answers: None,
            })
            .collect()
    }

    #[test]
    fn own_words_are_told_apart_and_common_words_are_not() {
        let own: Vec<String> = (0..60).map(|i| format!("word{} own{} word{}", i % 7, i % 3, i % 5)).collect();
        let read = voice_collapse(&turns(&own), 1).unwrap();
        assert_eq!((read.speakers, read.utterances, read.accuracy), (3, 20, 1.0));
        assert!(read.value > read.null[1], "{read:?}");
        let common = vec!["we all say the same thing".to_owned(); 60];
        let read = voice_collapse(&turns(&common), 1).unwrap();
        assert!(read.value.abs() < 1e-12 && read.null[0] <= 0.0 && read.null[1] >= 0.0, "{read:?}");
        // Only their names differ: that is no voice.
        let names: Vec<String> = (0..60).map(|i| format!("{} speaks", ["ego", "shadow", "persona"][i % 3])).collect();
        assert!(voice_collapse(&turns(&names), 1).unwrap().value.abs() < 1e-12);
        assert_eq!(voice_collapse(&turns(&own[..12]), 1), None);
    }

    #[test]
    fn similarity_has_a_value_for_each_stretch() {
        let same = vec!["one two three four five six seven eight".to_owned(); 45];
        let read = similarity(&turns(&same));
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|value| (value.unwrap() - 1.0).abs() < 1e-9), "{read:?}");
        assert_eq!(similarity(&turns(&vec!["short".to_owned(); 20])), [None]);
    }
}
