//! Nulls: what a gauge reads when nothing is going on.

use super::WINDOW;
use super::window::Window;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Shuffles of the window's words. With 19 of them the smallest and the largest value are the 5th and the 95th
/// percentile of the null (19 draws and the observed one are equally likely to be the extreme of 20).
pub(super) const SHUFFLES: usize = 19;

/// The same words shuffled over turns: every turn keeps its length, the window keeps its words.
#[derive(Debug)]
pub(super) struct Shuffles {
    /// `SHUFFLES` permutations of the window's tokens.
    pub tokens: Vec<Vec<u32>>,
}

impl Shuffles {
    pub(super) fn new(window: &Window, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut tokens = window.tokens.clone();
        Self {
            tokens: (0..SHUFFLES)
                .map(|_| {
                    shuffle(&mut tokens, &mut random);
                    tokens.clone()
                })
                .collect(),
        }
    }
}

/// Fisher–Yates. The multiplication maps a draw to 0..=i with a bias below i/2³², far under what 19 shuffles resolve.
pub(super) fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(i + 1, random));
    }
}

/// A draw from 0..n.
pub(super) fn below(n: usize, random: &mut ChaCha8Rng) -> usize {
    ((u64::from(random.next_u32()) * n as u64) >> 32) as usize
}

/// The 5th percentile, the median and the 95th percentile of a null's values: the order statistics
/// (n + 1)·p of the n values, exact for the n = 19 and n = 99 in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Null {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Null {
    /// Of a non-empty list.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values[((values.len() + 1) * percent / 100).clamp(1, values.len()) - 1];
        Self { low: at(5), median: at(50), high: at(95) }
    }

    pub(super) fn band(self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// A null recorded over full windows, for a window of `turns`: a mean over fewer turns spreads by √(20/turns) as much.
    pub(super) fn for_turns(self, turns: usize) -> Self {
        let spread = libm::sqrt(WINDOW as f64 / turns.clamp(1, WINDOW) as f64);
        let widen = |bound: f64| self.median + spread * (bound - self.median);
        Self { low: widen(self.low).max(0.0), median: self.median, high: widen(self.high) }
    }

    /// Where `value` stands between the null's median (0) and `extreme` (1), not cut.
    pub(super) fn standardise(self, value: f64, extreme: f64) -> f64 {
        (value - self.median) / (extreme - self.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_order_statistics() {
        let null = Null::of((1..=19).rev().map(f64::from).collect());
        assert_eq!(null, Null { low: 1.0, median: 10.0, high: 19.0 });
        let null = Null::of((1..=99).map(f64::from).collect());
        assert_eq!(null, Null { low: 5.0, median: 50.0, high: 95.0 });
        assert_eq!(Null::of(vec![7.0]), Null { low: 7.0, median: 7.0, high: 7.0 });
        assert_eq!(null.standardise(75.0, 100.0), 0.5);
    }

    #[test]
    fn a_recorded_null_is_wider_for_fewer_turns() {
        let null = Null { low: 0.1, median: 0.2, high: 0.4 };
        assert_eq!(null.for_turns(WINDOW), null);
        let fewer = null.for_turns(WINDOW / 4);
        assert!(fewer.low == 0.0 && fewer.median == 0.2 && (fewer.high - 0.6).abs() < 1e-12, "{fewer:?}");
    }

    #[test]
    fn a_shuffle_keeps_the_words_and_follows_the_seed() {
        let window = Window::new(["one two three four five", "six seven eight nine ten"].into_iter());
        let (a, b, c) = (Shuffles::new(&window, 1), Shuffles::new(&window, 1), Shuffles::new(&window, 2));
        assert_eq!(a.tokens, b.tokens);
        assert_ne!(a.tokens, c.tokens);
        for mut tokens in a.tokens {
            tokens.sort_unstable();
            assert_eq!(tokens, window.tokens);
        }
    }
}
