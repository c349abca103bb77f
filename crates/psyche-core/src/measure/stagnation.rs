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
    let features = Features::new(&window.tokens, &window.starts, window.types(), all.clone());
    let divergence = |j: usize, share: Option<f64>| share.map(|share| (1.0 - share) * features.alone(j));
    all.clone()
        .map(|j| {
            let novelty = divergence(j, features.familiarity(j, 0..j));
            let transience = divergence(j, features.familiarity(j, j + 1..all.end));
            Flow { novelty, transience, resonance: novelty.zip(transience).map(|(new, gone)| new - gone) }
        })
        .collect()
}

/// Novelty of the last text against those before it, in nats; `None` when it stands alone or without words.
pub fn novelty<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let window = Window::new(texts);
    let last = window.len().checked_sub(1)?;
    let features = Features::new(&window.tokens, &window.starts, window.types(), last..last + 1);
    Some((1.0 - features.familiarity(last, 0..last)?) * features.alone(last))
}

pub(super) fn gauge(window: &Window, shuffled: &Shuffles, embeddings: &[Option<&Embedding>]) -> Gauge {
    if window.len() <= RECENT || window.tokens.len() < MIN_WORDS {
        return Gauge::default();
    }
    let recent = window.len() - RECENT..window.len();
    let measure = |tokens: &[u32]| recent_familiarity(tokens, &window.starts, window.types(), recent.clone());
    let Some(value) = measure(&window.tokens) else { return Gauge::default() };
    let null = Null::of(shuffled.tokens.iter().filter_map(|tokens| measure(tokens)).collect());
    let capped = Null { median: null.median.min(NULL_CEILING), ..null };
    let without = |left_out: Range<usize>| {
        let rest = window.without(left_out.clone());
        let kept = recent.clone().filter(|j| !left_out.contains(j)).count();
        let texts = rest.starts.len() - 1;
        recent_familiarity(&rest.tokens, &rest.starts, window.types(), texts - kept..texts)
    };
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

/// Mean familiarity of the utterances `recent`, weighted by their length; `None` when none of them has words.
fn recent_familiarity(tokens: &[u32], starts: &[usize], types: usize, recent: Range<usize>) -> Option<f64> {
    let features = Features::new(tokens, starts, types, recent.clone());
    let (mut sum, mut weight) = (0.0, 0.0);
    for j in recent {
        if let Some(familiarity) = features.familiarity(j, 0..j) {
            sum += familiarity * features.sizes[j];
            weight += features.sizes[j];
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

/// The words and pairs of the utterances in question, and how every utterance of the window shares them.
struct Features {
    /// The first utterance in question.
    first: usize,
    /// `shares[(j - first) * width + f]` = p_j(f).
    shares: Vec<f64>,
    width: usize,
    /// KL(p_j ‖ 0.1·b) of the utterances in question.
    alone: Vec<f64>,
    /// For utterance i, `taken_off[starts[i]..starts[i + 1]]` holds each of its features f with
    /// ln(q_i(f) / 0.1·b(f)): what sharing f takes off the divergence from i.
    taken_off: Vec<(u32, f64)>,
    starts: Vec<usize>,
    /// Features of each utterance, repeats included.
    sizes: Vec<f64>,
}

impl Features {
    fn new(tokens: &[u32], starts: &[usize], types: usize, asked: Range<usize>) -> Self {
        let texts = || starts.windows(2).map(|bounds| &tokens[bounds[0]..bounds[1]]);
        let mut numbers = Numbers::new(types);
        for text in texts().take(asked.end).skip(asked.start) {
            numbers.add(text);
        }
        let width = numbers.count as usize;
        let mut background = vec![0.0; width];
        let mut counts = vec![0.0; width];
        let mut features = Self {
            first: asked.start,
            shares: vec![0.0; asked.len() * width],
            width,
            alone: Vec::with_capacity(asked.len()),
            taken_off: Vec::with_capacity(tokens.len()),
            starts: vec![0],
            sizes: texts().map(|text| (2 * text.len()).saturating_sub(1) as f64).collect(),
        };
        for text in texts() {
            let before = features.taken_off.len();
            numbers.each(text, |feature| {
                let count: &mut f64 = &mut counts[feature as usize];
                if *count == 0.0 {
                    features.taken_off.push((feature, 0.0));
                }
                *count += 1.0;
                background[feature as usize] += 1.0;
            });
            for (feature, count) in &mut features.taken_off[before..] {
                *count = std::mem::take(&mut counts[*feature as usize]);
            }
            features.starts.push(features.taken_off.len());
        }
        let all: f64 = features.sizes.iter().sum();
        let smooth: Vec<f64> = background.iter().map(|count| SMOOTHING * count / all).collect();
        for i in 0..features.sizes.len() {
            let size = features.sizes[i];
            let mut alone = 0.0;
            for (feature, value) in &mut features.taken_off[features.starts[i]..features.starts[i + 1]] {
                let (share, smooth) = (*value / size, smooth[*feature as usize]);
                if asked.contains(&i) {
                    features.shares[(i - asked.start) * width + *feature as usize] = share;
                    alone += share * libm::log(share / smooth);
                }
                *value = libm::log(1.0 + (1.0 - SMOOTHING) * share / smooth);
            }
            if asked.contains(&i) {
                features.alone.push(alone);
            }
        }
        features
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
        let shares = &self.shares[(j - self.first) * self.width..][..self.width];
        let taken_off = |i: usize| -> f64 {
            let shared = &self.taken_off[self.starts[i]..self.starts[i + 1]];
            shared.iter().map(|(feature, taken_off)| shares[*feature as usize] * taken_off).sum()
        };
        others.map(taken_off).max_by(f64::total_cmp).map(|taken_off| taken_off / self.alone(j))
    }
}

/// Numbers words and pairs of adjacent words; a pair hangs in a chain from its first word.
struct Numbers {
    words: Vec<u32>,
    chains: Vec<u32>,
    /// Second word, number, next in the chain.
    pairs: Vec<(u32, u32, u32)>,
    count: u32,
}

const NONE: u32 = u32::MAX;

impl Numbers {
    fn new(types: usize) -> Self {
        Self { words: vec![NONE; types], chains: vec![NONE; types], pairs: Vec::with_capacity(256), count: 0 }
    }

    fn add(&mut self, text: &[u32]) {
        for (at, word) in text.iter().enumerate() {
            if self.words[*word as usize] == NONE {
                self.words[*word as usize] = self.count;
                self.count += 1;
            }
            if let Some(second) = text.get(at + 1)
                && self.pair(*word, *second).is_none()
            {
                let next = std::mem::replace(&mut self.chains[*word as usize], self.pairs.len() as u32);
                self.pairs.push((*second, self.count, next));
                self.count += 1;
            }
        }
    }

    fn pair(&self, first: u32, second: u32) -> Option<u32> {
        let mut link = self.chains[first as usize];
        while link != NONE {
            let (word, number, next) = self.pairs[link as usize];
            if word == second {
                return Some(number);
            }
            link = next;
        }
        None
    }

    /// Calls `take` with the number of every word and pair of the text that has one.
    fn each(&self, text: &[u32], mut take: impl FnMut(u32)) {
        for (at, word) in text.iter().enumerate() {
            let number = self.words[*word as usize];
            if number == NONE {
                continue;
            }
            take(number);
            if let Some(number) = text.get(at + 1).and_then(|second| self.pair(*word, *second)) {
                take(number);
            }
        }
    }
}
