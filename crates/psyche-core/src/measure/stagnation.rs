//! Stagnation: the talk returns to what was said. Works for any language that separates words.
//!
//! * p_j is the distribution of utterance j over its words and its pairs of adjacent words, b that of the whole
//!   window, and q_i = 0.9·p_i + 0.1·b the smoothed distribution of another utterance i.
//! * novelty_j = min over the earlier utterances i of KL(p_j ‖ q_i); transience_j the same over the later ones;
//! * resonance_j = novelty_j − transience_j; in nats.
//! * familiarity_j = 1 − novelty_j / KL(p_j ‖ 0.1·b), the divisor being the novelty of an utterance that shares
//!   nothing with any other: 0 = all new, 1 = a copy.
//! * words = mean familiarity of the last 5 utterances, weighted by their length; value = words.
//! * With sentence embeddings (see meaning) the standardised value is the higher of the two: where words stand, and where
//!   the echo stands. Where the echo stands higher, value is the familiarity that stands as high.
//! * Source: Barron et al. (2018), PNAS 115:4607 (novelty, transience, resonance by Kullback–Leibler divergence).
//!   They average over the past; the minimum is taken here because a loop of k utterances returns to one of k, which
//!   an average dilutes. Pairs of words are added because a small vocabulary makes any two bags of words alike.
//! * Null: the same words shuffled over turns, 19 times; its median counts as at most 0.5, so that a window of a few
//!   words repeated without end, which a shuffle cannot tell from chance, still alarms. 1 = the level of the perfect
//!   loop.
//! * Limits: without embeddings a loop that says the same in wholly new words is not seen.

use super::Gauge;
use super::interval::jackknife;
use super::meaning::Meaning;
use super::null::{Null, Shuffles};
use super::window::Window;
use crate::embedding::Embedding;
use std::ops::Range;

/// The level of the canonical perfect loop.
pub const EXTREME: f64 = 0.98;
/// The null's median counts as at most this.
pub const NULL_CEILING: f64 = 0.5;
/// Utterances the value looks at; each is compared with the whole window before it.
pub const RECENT: usize = 5;
/// Fewer words than this give no reading.
pub const MIN_WORDS: usize = 40;
const SMOOTHING: f64 = 0.1;

/// One utterance in the flow of a conversation, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Divergence from the nearest earlier utterance; `None` for the first and for one without words.
    pub novelty: Option<f64>,
    /// Divergence from the nearest later utterance; `None` for the last and for one without words.
    pub transience: Option<f64>,
    /// Novelty minus transience: what was new and stayed.
    pub resonance: Option<f64>,
}

/// Novelty, transience and resonance of each text among the others.
pub fn flow<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Flow> {
    let window = Window::new(texts);
    let all = 0..window.len();
    let mut reader = Reader::new(window.types());
    let mut flows = Vec::with_capacity(all.len());
    for first in all.clone().step_by(RECENT) {
        let asked = first..all.end.min(first + RECENT);
        reader.count(&window.tokens, &window.starts, asked.clone());
        let shared = reader.without(0..0);
        flows.extend(asked.map(|j| {
            let divergence = |share: Option<f64>| share.map(|share| (1.0 - share) * shared.alone(j));
            let novelty = divergence(shared.familiarity(j, 0..j));
            let transience = divergence(shared.familiarity(j, j + 1..all.end));
            Flow { novelty, transience, resonance: novelty.zip(transience).map(|(new, gone)| new - gone) }
        }));
    }
    flows
}

/// Novelty of the last text against those before it, in nats; `None` when it stands alone or without words.
pub fn novelty<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let window = Window::new(texts);
    let last = window.len().checked_sub(1)?;
    let mut reader = Reader::new(window.types());
    reader.count(&window.tokens, &window.starts, last..last + 1);
    let shared = reader.without(0..0);
    Some((1.0 - shared.familiarity(last, 0..last)?) * shared.alone(last))
}

pub(super) fn gauge(window: &Window, shuffled: &Shuffles, embeddings: &[Option<&Embedding>]) -> Gauge {
    if window.len() <= RECENT || window.tokens.len() < MIN_WORDS {
        return Gauge::default();
    }
    let recent = window.len() - RECENT..window.len();
    let mut reader = Reader::new(window.types());
    let mut measure = |tokens: &[u32]| {
        reader.count(tokens, &window.starts, recent.clone());
        reader.without(0..0).recent_familiarity(recent.clone())
    };
    let null = Null::of(shuffled.tokens.iter().filter_map(|tokens| measure(tokens)).collect());
    let Some(value) = measure(&window.tokens) else { return Gauge::default() };
    let capped = Null { median: null.median.min(NULL_CEILING), ..null };
    let without = |left_out: Range<usize>| reader.without(left_out).recent_familiarity(recent.clone());
    let by_words = capped.standardise(value, EXTREME);
    let words = || {
        let interval = jackknife(value, window.len(), 0.0..=1.0, without);
        Gauge::new(value, by_words, null.band()).within(interval)
    };
    let Some(meaning) = Meaning::of(embeddings) else { return words() };
    let by_meaning = meaning.standing().min(1.0);
    // A level that meanings set has no interval: the one at hand is that of the words.
    let gauge = if by_meaning > by_words {
        let as_familiar = capped.median + by_meaning * (EXTREME - capped.median);
        Gauge::new(as_familiar, by_meaning, null.band())
    } else {
        words()
    };
    gauge.beside([("words", value), ("echo", meaning.echo), ("drift", meaning.drift)])
}

/// What at most [`RECENT`] utterances in question share with every utterance of the window.
struct Shared {
    /// The first utterance in question.
    first: usize,
    /// Utterances that are as good as not spoken.
    left_out: Range<usize>,
    /// KL(p_j ‖ 0.1·b) of each of them.
    alone: [f64; RECENT],
    /// For every utterance i, Σ p_j(f) · ln(q_i(f) / 0.1·b(f)) for each of them: what sharing features with i takes off the
    /// divergence.
    taken_off: Vec<[f64; RECENT]>,
    /// Features of each utterance, repeats included; none of one that is left out.
    sizes: Vec<f64>,
}

impl Shared {
    /// Mean familiarity of the utterances `recent`, weighted by their length; `None` when none of them has words.
    fn recent_familiarity(&self, recent: Range<usize>) -> Option<f64> {
        let (mut sum, mut weight) = (0.0, 0.0);
        for j in recent {
            if let Some(familiarity) = self.familiarity(j, 0..j) {
                sum += familiarity * self.sizes[j];
                weight += self.sizes[j];
            }
        }
        (weight > 0.0).then(|| sum / weight)
    }

    /// KL(p_j ‖ 0.1·b).
    fn alone(&self, j: usize) -> f64 {
        self.alone[j - self.first]
    }

    /// 1 − novelty_j / KL(p_j ‖ 0.1·b), for the nearest of the utterances `others`.
    fn familiarity(&self, j: usize, others: Range<usize>) -> Option<f64> {
        if self.sizes[j] == 0.0 {
            return None;
        }
        let others = others.filter(|i| !self.left_out.contains(i));
        let taken_off = others.map(|i| self.taken_off[i][j - self.first]);
        taken_off.max_by(f64::total_cmp).map(|taken_off| taken_off / self.alone(j))
    }
}

/// A word or a pair of the utterances in question.
#[derive(Clone, Copy, Default)]
struct Feature {
    /// How often it stands in the window.
    background: u32,
    /// Its share of each utterance in question.
    shares: [f64; RECENT],
}

/// Reads windows of the same words, one after the other; what it needs for one serves the next.
struct Reader {
    numbers: Numbers,
    features: Vec<Feature>,
    /// How often each stands in the utterance at hand.
    counts: Vec<u32>,
    /// Features and their counts, those of utterance i from `ends[i]` to `ends[i + 1]`.
    held: Vec<(u32, u32)>,
    ends: Vec<usize>,
    /// The utterances in question.
    asked: Range<usize>,
    /// Features of each utterance, repeats included.
    sizes: Vec<f64>,
    logs: Logs,
    /// Those of the utterance at hand.
    found: Vec<([f64; RECENT], f64)>,
}

impl Reader {
    fn new(types: usize) -> Self {
        Self {
            numbers: Numbers::new(types),
            features: Vec::new(),
            counts: Vec::new(),
            held: Vec::new(),
            ends: Vec::new(),
            asked: 0..0,
            sizes: Vec::new(),
            logs: Logs::default(),
            found: Vec::new(),
        }
    }

    /// Numbers the features of the utterances in question and counts them in every utterance.
    fn count(&mut self, tokens: &[u32], starts: &[usize], asked: Range<usize>) {
        let Self { numbers, features, counts, held, ends, .. } = self;
        let texts = || starts.windows(2).map(|bounds| &tokens[bounds[0]..bounds[1]]);
        numbers.begin(starts[asked.end] - starts[asked.start]);
        for text in texts().take(asked.end).skip(asked.start) {
            numbers.add(text);
        }
        features.clear();
        features.resize(numbers.count as usize, Feature::default());
        counts.clear();
        counts.resize(features.len(), 0);
        held.resize(2 * tokens.len() + 1, (0, 0));
        ends.clear();
        ends.push(0);
        let mut end = 0;
        let mut places = Vec::new();
        for text in texts() {
            // Which words are among them is random: nothing is decided here, so that no processor can guess wrong.
            let room = &mut held[end..=end + 2 * text.len()];
            places.resize(text.len() + 1, 0);
            let mut known = 0;
            for (at, word) in text.iter().enumerate() {
                places[known] = at;
                known += usize::from(numbers.word(*word) != 0);
            }
            let mut found = 0;
            for at in &places[..known] {
                room[found].0 = numbers.word(text[*at]);
                let number = text.get(at + 1).map_or(0, |second| numbers.pair(text[*at], *second));
                room[found + 1].0 = number;
                found += 1 + usize::from(number != 0);
            }
            let mut different = 0;
            for at in 0..found {
                let feature = room[at].0;
                let count = &mut counts[feature as usize];
                room[different].0 = feature;
                different += usize::from(*count == 0);
                *count += 1;
            }
            for (feature, count) in &mut room[..different] {
                *count = std::mem::take(&mut counts[*feature as usize]);
                features[*feature as usize].background += *count;
            }
            end += different;
            ends.push(end);
        }
        self.sizes.clear();
        self.sizes.extend(texts().map(|text| (2 * text.len()).saturating_sub(1) as f64));
        self.asked = asked;
    }

    /// What those in question share with all, as if some utterances had not been spoken.
    fn without(&mut self, left_out: Range<usize>) -> Shared {
        let Self { features, held, ends, asked, logs, found, .. } = self;
        let held_by = |i: usize| &held[ends[i]..ends[i + 1]];
        let mut sizes = self.sizes.clone();
        sizes[left_out.clone()].fill(0.0);
        logs.are_of(&sizes);
        for (feature, count) in left_out.clone().flat_map(held_by) {
            features[*feature as usize].background -= count;
        }
        let all: f64 = sizes.iter().sum();
        let smooth = |background: u32| SMOOTHING * f64::from(background) / all;
        let mut alone = [0.0; RECENT];
        for (k, j) in asked.clone().enumerate() {
            if left_out.contains(&j) {
                for (feature, _) in held_by(j) {
                    features[*feature as usize].shares[k] = 0.0;
                }
                continue;
            }
            let mut sum = 0.0;
            for (feature, count) in held_by(j) {
                let feature = &mut features[*feature as usize];
                let share = f64::from(*count) / sizes[j];
                feature.shares[k] = share;
                let log = || libm::log(share / smooth(feature.background));
                sum += share * logs.alone.get(j, *count, feature.background, log);
            }
            alone[k] = sum;
        }
        let taken_off = |i: usize| {
            if left_out.contains(&i) {
                return [0.0; RECENT];
            }
            found.clear();
            found.extend(held_by(i).iter().map(|(feature, count)| {
                let Feature { background, shares } = features[*feature as usize];
                let share = || f64::from(*count) / sizes[i];
                let log = || libm::log(1.0 + (1.0 - SMOOTHING) * share() / smooth(background));
                (shares, logs.taken_off.get(i, *count, background, log))
            }));
            let add = |sums: [f64; RECENT], (shares, log): &([f64; RECENT], f64)| {
                std::array::from_fn(|k| sums[k] + shares[k] * log)
            };
            found.iter().fold([0.0; RECENT], add)
        };
        let taken_off = (0..sizes.len()).map(taken_off).collect();
        for (feature, count) in left_out.clone().flat_map(held_by) {
            features[*feature as usize].background += count;
        }
        Shared { first: asked.start, left_out, alone, taken_off, sizes }
    }
}

/// Logarithms are what a reading costs most, and few of them differ: each follows from an utterance's length and from how
/// often a feature stands in it and in the window. A shuffle keeps the lengths, and with them the logarithms.
#[derive(Default)]
struct Logs {
    /// Of utterances of these lengths.
    sizes: Vec<f64>,
    alone: Known,
    taken_off: Known,
}

impl Logs {
    /// Forgets those of other lengths.
    fn are_of(&mut self, sizes: &[f64]) {
        if self.sizes != sizes {
            sizes.clone_into(&mut self.sizes);
            self.alone.forget(sizes.len());
            self.taken_off.forget(sizes.len());
        }
    }
}

/// Logarithms by utterance, count in it, and count in the window; NaN where none was asked for yet.
#[derive(Default)]
struct Known(Vec<f64>);

impl Known {
    const COUNTS: usize = 2;
    const BACKGROUNDS: usize = 32;

    fn forget(&mut self, texts: usize) {
        self.0.clear();
        self.0.resize(texts * Self::COUNTS * Self::BACKGROUNDS, f64::NAN);
    }

    /// What `log` gives, which is the same whenever the others are.
    fn get(&mut self, text: usize, count: u32, background: u32, log: impl Fn() -> f64) -> f64 {
        let (count, background) = (count as usize - 1, background as usize);
        if count >= Self::COUNTS || background >= Self::BACKGROUNDS {
            return log();
        }
        let known = &mut self.0[(text * Self::COUNTS + count) * Self::BACKGROUNDS + background];
        if known.is_nan() {
            *known = log();
        }
        *known
    }
}

/// Numbers words and pairs of adjacent words from 1; 0 stands for all others.
struct Numbers {
    words: Vec<u32>,
    /// Pairs and their numbers: an open table, at most a quarter full.
    pairs: Vec<(u64, u32)>,
    /// How far a hash is moved to give a place in it.
    shift: u32,
    /// The next number.
    count: u32,
}

impl Numbers {
    fn new(types: usize) -> Self {
        Self { words: vec![0; types], pairs: Vec::new(), shift: 0, count: 1 }
    }

    /// Forgets all, and makes room for so many words in a row.
    fn begin(&mut self, words: usize) {
        let slots = (4 * words).next_power_of_two().max(2);
        self.words.fill(0);
        self.pairs.clear();
        self.pairs.resize(slots, (0, 0));
        self.shift = 64 - slots.trailing_zeros();
        self.count = 1;
    }

    fn add(&mut self, text: &[u32]) {
        for (at, word) in text.iter().enumerate() {
            let number = &mut self.words[*word as usize];
            if *number == 0 {
                *number = self.count;
                self.count += 1;
            }
            if let Some(second) = text.get(at + 1) {
                let slot = self.slot(*word, *second);
                if self.pairs[slot].1 == 0 {
                    self.pairs[slot] = (key(*word, *second), self.count);
                    self.count += 1;
                }
            }
        }
    }

    fn word(&self, word: u32) -> u32 {
        self.words[word as usize]
    }

    fn pair(&self, first: u32, second: u32) -> u32 {
        self.pairs[self.slot(first, second)].1
    }

    /// Where the pair stands, or the free place where it belongs.
    #[expect(clippy::needless_bitwise_bool, reason = "one question is guessed right, the first of two would not be")]
    fn slot(&self, first: u32, second: u32) -> usize {
        let key = key(first, second);
        let mut slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        // Whether another one stands here: nearly always no.
        while (self.pairs[slot].0 != key) & (self.pairs[slot].1 != 0) {
            slot = (slot + 1) & (self.pairs.len() - 1);
        }
        slot
    }
}

fn key(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::canonical;

    /// What is counted once and taken off again, and logarithms that are kept, give to the last bit what the rest gives alone.
    #[test]
    fn leaving_out_is_the_same_as_never_having_been_said() {
        for transcript in canonical() {
            let texts: Vec<&str> = transcript.turns.iter().map(|turn| turn.text).take(20).collect();
            let window = Window::new(texts.iter().copied());
            let recent = window.len() - RECENT..window.len();
            let mut reader = Reader::new(window.types());
            reader.count(&window.tokens, &window.starts, recent.clone());
            for first in 0..window.len() - 1 {
                let left_out = first..first + 2;
                let rest = window.without(left_out.clone());
                let kept = recent.clone().filter(|j| !left_out.contains(j)).count();
                let still = rest.starts.len() - 1 - kept..rest.starts.len() - 1;
                let mut alone = Reader::new(window.types());
                alone.count(&rest.tokens, &rest.starts, still.clone());
                let expected = alone.without(0..0).recent_familiarity(still);
                let read = reader.without(left_out).recent_familiarity(recent.clone());
                assert_eq!(read.map(f64::to_bits), expected.map(f64::to_bits), "{} without {first}", transcript.name);
                assert!(read.is_some());
            }
        }
    }
}
