//! Repetition: how much of the window was already said word for word. Works for any language that separates words.
//!
//! value = (r + c) / 2, where
//! r = share of the window's four-word sequences (within an utterance) that stand in an earlier utterance of the window;
//! c = 1 − phrases / words, phrases being the number of pieces when the window is cut greedily, from the start, into
//! the longest sequences that occurred before (else a single word): the saving of a dictionary compressor.
//! Source: Shaib et al. (2024), arXiv 2403.00553 (compression ratio, self-repetition of long n-grams); the cut is that of
//! Ziv & Lempel (1977) over words instead of bytes, so that the size of a window's alphabet does not matter.
//! Null: the same words shuffled over turns, 19 times. 1 = the level of the perfect loop.
//! Limits: blind to paraphrase (see stagnation).

use super::Gauge;
use super::null::{Null, Shuffles};
use super::window::Window;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The level of the canonical perfect loop.
pub const EXTREME: f64 = 0.753;
/// Fewer words than this give no reading.
pub const MIN_WORDS: usize = 40;
const LONG: usize = 4;

/// The two parts of the value, each 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repetition {
    /// Share of four-word sequences that stand in an earlier utterance.
    pub repeated: f64,
    /// Share of words that compression saves.
    pub compressed: f64,
}

impl Repetition {
    pub fn value(self) -> f64 {
        f64::midpoint(self.repeated, self.compressed)
    }
}

/// Both parts for a list of texts.
pub fn repetition<'a>(texts: impl Iterator<Item = &'a str>) -> Repetition {
    let window = Window::new(texts);
    measure(&window.tokens, &window.starts, window.types.len())
}

pub(super) fn gauge(window: &Window, shuffled: &Shuffles) -> Gauge {
    if window.len() < 2 || window.tokens.len() < MIN_WORDS {
        return Gauge::default();
    }
    let types = window.types.len();
    let value = measure(&window.tokens, &window.starts, types).value();
    let null = Null::of(shuffled.tokens.iter().map(|tokens| measure(tokens, &window.starts, types).value()).collect());
    Gauge::new(value, null.standardise(value, EXTREME), null.band())
}

fn measure(tokens: &[u32], starts: &[usize], types: usize) -> Repetition {
    Repetition { repeated: repeated(tokens, starts), compressed: compressed(tokens, types) }
}

fn repeated(tokens: &[u32], starts: &[usize]) -> f64 {
    let mut first_seen: HashMap<[u32; LONG], usize, BuildHasherDefault<super::lexicon::WordHasher>> =
        HashMap::default();
    let (mut all, mut again) = (0usize, 0usize);
    for (utterance, bounds) in starts.windows(2).enumerate() {
        for gram in tokens[bounds[0]..bounds[1]].windows(LONG) {
            let first = *first_seen.entry([gram[0], gram[1], gram[2], gram[3]]).or_insert(utterance);
            all += 1;
            again += usize::from(first < utterance);
        }
    }
    if all == 0 { 0.0 } else { again as f64 / all as f64 }
}

fn compressed(tokens: &[u32], types: usize) -> f64 {
    const NONE: u32 = u32::MAX;
    // For every word its last place so far, and for every place the one before it of the same word.
    let mut last = vec![NONE; types];
    let mut before = vec![NONE; tokens.len()];
    let (mut at, mut phrases) = (0, 0usize);
    while at < tokens.len() {
        let mut longest = 1;
        let mut place = last[tokens[at] as usize];
        while place != NONE {
            let start = place as usize;
            // The source may not run into the phrase itself, else a run of one word would count as one phrase.
            let length = tokens[start..at].iter().zip(&tokens[at..]).take_while(|(a, b)| a == b).count();
            longest = longest.max(length);
            place = before[start];
        }
        for i in at..at + longest {
            let word = tokens[i] as usize;
            before[i] = last[word];
            last[word] = i as u32;
        }
        phrases += 1;
        at += longest;
    }
    if tokens.is_empty() { 0.0 } else { 1.0 - phrases as f64 / tokens.len() as f64 }
}
