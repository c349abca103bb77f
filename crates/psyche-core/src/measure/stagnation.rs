//! Stagnation: the talk returns to what was said. Works for any language that separates words.
//!
//! p_j is the distribution of utterance j over its words and its pairs of adjacent words, b that of the whole window, and
//! q_i = 0.9·p_i + 0.1·b the smoothed distribution of another utterance i.
//! novelty_j = min over the earlier utterances i of KL(p_j ‖ q_i); transience_j the same over the later ones;
//! resonance_j = novelty_j − transience_j; in nats.
//! familiarity_j = 1 − novelty_j / KL(p_j ‖ 0.1·b), the divisor being the novelty of an utterance that shares nothing
//! with any other: 0 = all new, 1 = a copy.
//! value = mean familiarity of the last 5 utterances, weighted by their length.
//! Source: Barron et al. (2018), PNAS 115:4607 (novelty, transience, resonance by Kullback–Leibler divergence). They
//! average over the past; the minimum is taken here because a loop of k utterances returns to one of k, which an
//! average dilutes. Pairs of words are added because a small vocabulary makes any two bags of words alike.
//! Null: the same words shuffled over turns, 19 times; its median counts as at most 0.5, so that a window of a few words
//! repeated without end, which a shuffle cannot tell from chance, still alarms. 1 = the level of the perfect loop.
//! Limits: a loop that says the same in wholly new words is not seen; drift of sentence embeddings is not part of it.

use super::Gauge;
use super::lexicon::WordHasher;
use super::null::{Null, Shuffles};
use super::window::Window;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

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
    let features = Features::new(&window.tokens, &window.starts, window.types.len());
    let novel = |j: usize, share: Option<f64>| share.map(|share| (1.0 - share) * features.alone(j));
    (0..window.len())
        .map(|j| {
            let novelty = novel(j, features.familiarity(j, 0..j));
            let transience = novel(j, features.familiarity(j, j + 1..window.len()));
            Flow { novelty, transience, resonance: novelty.zip(transience).map(|(new, gone)| new - gone) }
        })
        .collect()
}

pub(super) fn gauge(window: &Window, shuffled: &Shuffles) -> Gauge {
    if window.len() <= RECENT || window.tokens.len() < MIN_WORDS {
        return Gauge::default();
    }
    let measure = |tokens: &[u32]| Features::new(tokens, &window.starts, window.types.len()).recent_familiarity();
    let Some(value) = measure(&window.tokens) else { return Gauge::default() };
    let null = Null::of(shuffled.tokens.iter().filter_map(|tokens| measure(tokens)).collect());
    let capped = Null { median: null.median.min(NULL_CEILING), ..null };
    Gauge::new(value, capped.standardise(value, EXTREME), null.band())
}

/// Words and pairs of each utterance, counted.
struct Features {
    /// Distinct features of each utterance; utterance `j` holds `list[starts[j]..starts[j + 1]]`.
    list: Vec<u32>,
    starts: Vec<usize>,
    /// `counts[j * width + feature]`.
    counts: Vec<u16>,
    width: usize,
    /// Features of each utterance, repeats included.
    sizes: Vec<f64>,
    /// Share of each feature in the window.
    background: Vec<f64>,
}

impl Features {
    fn new(tokens: &[u32], starts: &[usize], types: usize) -> Self {
        let mut pairs: HashMap<(u32, u32), u32, BuildHasherDefault<WordHasher>> = HashMap::default();
        let mut all = Vec::with_capacity(2 * tokens.len());
        let mut ends = vec![0];
        for bounds in starts.windows(2) {
            let words = &tokens[bounds[0]..bounds[1]];
            all.extend_from_slice(words);
            for pair in words.windows(2) {
                let next = (types + pairs.len()) as u32;
                all.push(*pairs.entry((pair[0], pair[1])).or_insert(next));
            }
            ends.push(all.len());
        }
        let (width, utterances) = (types + pairs.len(), starts.len() - 1);
        let mut features = Self {
            list: Vec::with_capacity(all.len()),
            starts: vec![0],
            counts: vec![0; width * utterances],
            width,
            sizes: Vec::with_capacity(utterances),
            background: vec![0.0; width],
        };
        for (j, bounds) in ends.windows(2).enumerate() {
            for feature in &all[bounds[0]..bounds[1]] {
                let count = &mut features.counts[j * width + *feature as usize];
                if *count == 0 {
                    features.list.push(*feature);
                }
                *count = count.saturating_add(1);
                features.background[*feature as usize] += 1.0;
            }
            features.sizes.push((bounds[1] - bounds[0]) as f64);
            features.starts.push(features.list.len());
        }
        for share in &mut features.background {
            *share /= all.len() as f64;
        }
        features
    }

    fn of(&self, j: usize) -> &[u32] {
        &self.list[self.starts[j]..self.starts[j + 1]]
    }

    fn share(&self, j: usize, feature: u32) -> f64 {
        f64::from(self.counts[j * self.width + feature as usize]) / self.sizes[j]
    }

    /// KL(p_j ‖ 0.1·b).
    fn alone(&self, j: usize) -> f64 {
        let term = |feature: &u32| {
            let share = self.share(j, *feature);
            share * libm::log(share / (SMOOTHING * self.background[*feature as usize]))
        };
        self.of(j).iter().map(term).sum()
    }

    /// 1 − novelty/alone for the nearest of the utterances `others`.
    fn familiarity(&self, j: usize, others: std::ops::Range<usize>) -> Option<f64> {
        if self.of(j).is_empty() {
            return None;
        }
        let shared = |i: usize| -> f64 {
            let row = &self.counts[i * self.width..][..self.width];
            let scale = (1.0 - SMOOTHING) / (SMOOTHING * self.sizes[i].max(1.0));
            let mut sum = 0.0;
            for feature in self.of(j) {
                let count = row[*feature as usize];
                if count > 0 {
                    sum += self.share(j, *feature)
                        * libm::log1p(scale * f64::from(count) / self.background[*feature as usize]);
                }
            }
            sum
        };
        others.map(shared).max_by(f64::total_cmp).map(|shared| shared / self.alone(j))
    }

    fn recent_familiarity(&self) -> Option<f64> {
        let utterances = self.sizes.len();
        let (mut sum, mut words) = (0.0, 0.0);
        for j in utterances.saturating_sub(RECENT)..utterances {
            if let Some(familiarity) = self.familiarity(j, 0..j) {
                sum += familiarity * self.sizes[j];
                words += self.sizes[j];
            }
        }
        (words > 0.0).then(|| sum / words)
    }
}
