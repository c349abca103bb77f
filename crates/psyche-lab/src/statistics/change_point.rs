//! Where a series changes its level, and how often chance alone would show as much.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::resample::shuffle;

/// Fewer blocks than this have too few orders.
pub const BLOCKS: usize = 7;

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Index of the first value after the change.
    pub at: usize,
    pub before: f64,
    pub after: f64,
    /// By chance, from the block permutations; at least 1 / (permutations + 1).
    pub p: f64,
}

/// The most likely change of the mean of a series that may be autocorrelated.
///
/// * The statistic is the largest C_k = √(k(n − k)/n)·|mean of the first k − mean of the rest| with at least `block`
///   values on each side.
/// * Null: the series cut into blocks of `block` values at a random offset (round the end), the blocks in random order;
///   p = (1 + permutations with a statistic at least as large) / (1 + permutations).
/// * Source: Kirch (2007), Statistics & Decisions 25:1 (block permutation for changes of dependent data).
/// * A block must be longer than what the series remembers, or p is too small; with few blocks it is too small too: of
///   means over a sliding window of 20, blocks of 40, 4 to 9 % of series without a change are below 5 %.
///
/// `None` of fewer than [`BLOCKS`] blocks of values, or when the series does not vary.
pub fn change_point(values: &[f64], block: usize, permutations: usize, seed: u64) -> Option<Change> {
    let n = values.len();
    let block = block.max(1);
    if n < BLOCKS * block || values.iter().all(|x| *x == values[0]) {
        return None;
    }
    let (statistic, at) = largest(values.iter().copied(), n, block);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (before, after) = (mean(&values[..at]), mean(&values[at..]));
    let mut series = values.to_vec();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..n.div_ceil(block)).collect();
    let beyond = (0..permutations)
        .filter(|_| {
            shuffle(&mut order, &mut random);
            series.rotate_left(super::resample::below(n, &mut random));
            let permuted = order.iter().flat_map(|b| &series[b * block..n.min((b + 1) * block)]).copied();
            largest(permuted, n, block).0 >= statistic - 1e-12
        })
        .count();
    Some(Change { at, before, after, p: (1 + beyond) as f64 / (1 + permutations) as f64 })
}

/// The largest C_k and its k.
fn largest(values: impl Iterator<Item = f64> + Clone, n: usize, margin: usize) -> (f64, usize) {
    let total: f64 = values.clone().sum();
    let all = n as f64;
    let (mut best, mut at, mut sum) = (-1.0, margin, 0.0);
    for (i, x) in values.enumerate() {
        sum += x;
        let k = i + 1;
        if k < margin || k > n - margin {
            continue;
        }
        let k_share = k as f64;
        let difference = (sum / k_share - (total - sum) / (all - k_share)).abs();
        let statistic = (k_share * (all - k_share) / all).sqrt() * difference;
        if statistic > best {
            (best, at) = (statistic, k);
        }
    }
    (best, at)
}
