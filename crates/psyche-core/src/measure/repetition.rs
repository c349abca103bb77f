//! Repetition: how much of the window was already said word for word. Works for any language that separates words.
//!
//! * value = (r + c) / 2, where
//! * r = share of the window's four-word sequences (within an utterance) that stand in an earlier utterance of the
//!   window;
//! * c = 1 − phrases / words, phrases being the number of pieces when the window is cut greedily, from the start,
//!   into the longest sequences that occurred before (else a single word): the saving of a dictionary compressor.
//! * Both look at the latest 256 earlier places of two words.
//! * Source: Shaib et al. (2024), arXiv 2403.00553 (compression ratio, self-repetition of long n-grams); the cut is
//!   that of Ziv & Lempel (1977) over words instead of bytes, so that the size of a window's alphabet does not
//!   matter.
//! * Null: the same words shuffled over turns, 19 times. 1 = the level of the perfect loop.
//! * Limits: blind to paraphrase (see stagnation).

use super::Gauge;
use super::interval::jackknife;
use super::null::{Null, Shuffles};
use super::window::Window;

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
    Places::default().measure(&window.tokens, &window.starts)
}

pub(super) fn gauge(window: &Window, shuffled: &Shuffles) -> Gauge {
    if window.len() < 2 || window.tokens.len() < MIN_WORDS {
        return Gauge::default();
    }
    let mut places = Places::default();
    let parts = places.measure(&window.tokens, &window.starts);
    let value = parts.value();
    let shuffles = shuffled.tokens.iter().map(|tokens| places.measure(tokens, &window.starts).value());
    let null = Null::of(shuffles.collect());
    let without = |left_out| {
        let rest = window.without(left_out);
        Some(places.measure(&rest.tokens, &rest.starts).value())
    };
    Gauge::new(value, null.standardise(value, EXTREME), null.band())
        .within(jackknife(value, window.len(), 0.0..=1.0, without))
        .beside([("repeated", parts.repeated), ("compressed", parts.compressed)])
}

/// For every place in a sequence, the place before it where the same two words stand.
#[derive(Default)]
struct Places {
    before: Vec<u32>,
    /// The latest places of pairs of words: an open table, at most a quarter full.
    latest: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// Earlier places that are looked at, the latest first: bounds the cost of a window of one word.
const LOOK_BACK: usize = 256;

impl Places {
    fn measure(&mut self, tokens: &[u32], starts: &[usize]) -> Repetition {
        self.find(tokens);
        Repetition { repeated: repeated(tokens, starts, self), compressed: compressed(tokens, self) }
    }

    fn find(&mut self, tokens: &[u32]) {
        let bits = (4 * tokens.len()).next_power_of_two().trailing_zeros().max(1);
        let latest = &mut self.latest;
        latest.clear();
        latest.resize(1 << bits, NONE);
        let place = |(at, pair): (usize, &[u32])| {
            let key = u64::from(pair[0]) << 32 | u64::from(pair[1]);
            let mut slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize;
            while latest[slot] != NONE && tokens[latest[slot] as usize..][..2] != *pair {
                slot = (slot + 1) & (latest.len() - 1);
            }
            std::mem::replace(&mut latest[slot], at as u32)
        };
        self.before.clear();
        self.before.extend(tokens.windows(2).enumerate().map(place));
        // No pair begins at the last word.
        self.before.resize(tokens.len(), NONE);
    }

    /// Earlier places of the two words at `at`.
    fn earlier(&self, at: usize) -> impl Iterator<Item = usize> {
        let step = |place: &usize| Some(self.before[*place]).filter(|place| *place != NONE).map(|place| place as usize);
        std::iter::successors(step(&at), move |place| step(place)).take(LOOK_BACK)
    }
}

fn repeated(tokens: &[u32], starts: &[usize], places: &Places) -> f64 {
    let (mut all, mut again) = (0usize, 0usize);
    for bounds in starts.windows(2) {
        for at in bounds[0]..(bounds[1] + 1).saturating_sub(LONG) {
            let sequence = &tokens[at..at + LONG];
            // A sequence that runs over the end of an utterance is none.
            let inside = |place: usize| starts[starts.partition_point(|start| *start <= place)] >= place + LONG;
            let stands =
                |place: usize| place + LONG <= bounds[0] && tokens[place..place + LONG] == *sequence && inside(place);
            all += 1;
            again += usize::from(places.earlier(at).any(stands));
        }
    }
    if all == 0 { 0.0 } else { again as f64 / all as f64 }
}

fn compressed(tokens: &[u32], places: &Places) -> f64 {
    let (mut at, mut phrases) = (0, 0usize);
    while at < tokens.len() {
        // The source may not run into the phrase itself, else a run of one word would count as one phrase.
        let shared = |place: usize| tokens[place..at].iter().zip(&tokens[at..]).take_while(|(a, b)| a == b).count();
        at += places.earlier(at).map(shared).max().unwrap_or(1);
        phrases += 1;
    }
    if tokens.is_empty() { 0.0 } else { 1.0 - phrases as f64 / tokens.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        // Two of the four sequences stand in the first text; cut: a b c d e | a b c d e... the copy is one piece.
        let read = repetition(["a b c d e", "a b c d e"].into_iter());
        assert_eq!(read, Repetition { repeated: 0.5, compressed: 1.0 - 6.0 / 10.0 });
        // A sequence across two texts is none, and one repeated within a text was not said in an earlier one.
        assert_eq!(repetition(["a b", "c d", "a b c d"].into_iter()).repeated, 0.0);
        assert_eq!(repetition(["a b c d a b c d"].into_iter()).repeated, 0.0);
        // a | a | a a | a a a: the source of a piece ends before it.
        assert_eq!(repetition(["a a a a a a a"].into_iter()).compressed, 1.0 - 4.0 / 7.0);
        assert_eq!(repetition([""].into_iter()), Repetition { repeated: 0.0, compressed: 0.0 });
    }
}
