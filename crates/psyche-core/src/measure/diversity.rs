//! Diversity: how long the talk goes on before words recur. Works for any language that separates words; its
//! reference level is English.
//!
//! * value = MTLD: the mean number of words over which the type-token ratio stays above 0.72. The words are read in
//!   order; whenever the ratio of the current stretch falls to 0.72 a factor is counted and a new stretch begins; the
//!   rest counts as (1 − ratio)/(1 − 0.72) of a factor. MTLD = words / factors, averaged over reading forwards and
//!   backwards, and at most the number of words (a window that never falls to 0.72 reads its own length).
//! * Source: McCarthy & Jarvis (2010), Behavior Research Methods 42:381.
//! * Null: recorded healthy dialogue (the 21 windows of the canonical one). standardised = (value − poor)/(median −
//!   poor): 1 = the median of healthy dialogue and above, 0 = the gratitude loop and below.
//! * Limits: blind to the repetition of long passages (see repetition).

use super::Gauge;
use super::interval::jackknife;
use super::null::Null;
use super::window::Window;

/// MTLD of the windows of healthy dialogue.
pub const HEALTHY: Null = Null { low: 69.5, median: 75.69, high: 86.33 };
/// MTLD of the canonical gratitude loop.
pub const POOR: f64 = 20.69;
/// Fewer words than this give no reading: below it MTLD depends on the length.
pub const MIN_WORDS: usize = 100;
const FACTOR: f64 = 0.72;

/// MTLD of texts read one after the other; `None` without words.
pub fn mtld<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let window = Window::new(texts);
    Reader::new(window.types()).read(&window.tokens)
}

pub(super) fn gauge(window: &Window) -> Gauge {
    let mut reader = Reader::new(window.types());
    match reader.read(&window.tokens) {
        Some(value) if window.tokens.len() >= MIN_WORDS => {
            let without = |left_out| reader.read(&window.without(left_out).tokens);
            Gauge::new(value, (value - POOR) / (HEALTHY.median - POOR), HEALTHY.band()).within(jackknife(
                value,
                window.len(),
                0.0..=f64::MAX,
                without,
            ))
        }
        _ => Gauge::default(),
    }
}

/// Reads lists of words that have the same numbers.
struct Reader {
    /// The number of the stretch in which a word was last seen.
    seen_in: Vec<u32>,
    stretch: u32,
    /// By the words of a stretch, the distinct ones among them at most for the ratio to have fallen.
    fallen: Vec<u32>,
}

impl Reader {
    fn new(types: usize) -> Self {
        Self { seen_in: vec![0; types], stretch: 0, fallen: vec![0] }
    }

    fn read(&mut self, tokens: &[u32]) -> Option<f64> {
        if tokens.is_empty() {
            return None;
        }
        let words = tokens.len() as f64;
        let one_way = |factors: f64| words / factors.max(1.0);
        let forwards = self.factors(tokens.iter().copied());
        let backwards = self.factors(tokens.iter().rev().copied());
        Some(f64::midpoint(one_way(forwards), one_way(backwards)))
    }

    fn factors(&mut self, tokens: impl Iterator<Item = u32>) -> f64 {
        self.stretch += 1;
        let before = self.stretch;
        let (mut distinct, mut words) = (0, 0);
        for token in tokens {
            let seen = &mut self.seen_in[token as usize];
            distinct += u32::from(*seen != self.stretch);
            *seen = self.stretch;
            words += 1;
            if words == self.fallen.len() {
                self.fallen.push(fallen(words));
            }
            if distinct <= self.fallen[words] {
                self.stretch += 1;
                (distinct, words) = (0, 0);
            }
        }
        let rest = if words > 0 { (1.0 - f64::from(distinct) / words as f64) / (1.0 - FACTOR) } else { 0.0 };
        f64::from(self.stretch - before) + rest
    }
}

/// The largest number of distinct words among so many whose ratio is at most [`FACTOR`].
fn fallen(words: usize) -> u32 {
    let ratio = |distinct: u32| f64::from(distinct) / words as f64;
    let near = (FACTOR * words as f64) as u32;
    if ratio(near + 1) <= FACTOR {
        near + 1
    } else if ratio(near) <= FACTOR {
        near
    } else {
        near - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        // a b a b: ratios 1, 1, 2/3 → factor after three words; then one word with ratio 1.
        assert_eq!(mtld(["a b a b"].into_iter()), Some(4.0));
        // a a a a a a: a factor every two words.
        assert_eq!(mtld(["a a a a a a"].into_iter()), Some(2.0));
        assert_eq!(mtld(["one two three four"].into_iter()), Some(4.0));
        assert_eq!(mtld([""].into_iter()), None);
        // a b c d a: 4/5 left, 0.2/0.28 of a factor, less than one: reads its length.
        assert_eq!(mtld(["a b c d a"].into_iter()), Some(5.0));
    }

    #[test]
    fn a_stretch_ends_where_its_ratio_has_fallen() {
        for words in 1..3_000 {
            let most = fallen(words);
            let ratio = |distinct: u32| f64::from(distinct) / words as f64;
            assert!(ratio(most) <= FACTOR && ratio(most + 1) > FACTOR, "{words}");
        }
    }
}
