//! Which values a resample draws. The seed is a parameter: the same seed gives the same interval.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// `count` lists of `n` indices below `n`, drawn with replacement.
pub fn resamples(n: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..n).map(|_| below(n, &mut random)).collect()).collect()
}

/// A draw from 0..n; its bias is below n / 2⁶⁴.
pub(super) fn below(n: usize, random: &mut ChaCha8Rng) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

/// Fisher–Yates.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(i + 1, random));
    }
}
