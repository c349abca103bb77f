//! How large a difference is, apart from how sure one is of it.

use super::describe::{mean, variance};
use super::{CONFIDENCE, Interval, normal_quantile};

/// A standardised difference of means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// In standard deviations.
    pub g: f64,
    pub interval: Interval,
}

/// Hedges' g of a − b: (ā − b̄) / s · (1 − 3 / (4N − 9)), s being the pooled standard deviation and N = n_a + n_b.
///
/// Interval: g ± z·√(N/(n_a·n_b) + g²/(2(N − 3.94))). Hedges (1981); the variance after Borenstein et al. (2009).
/// `None` with fewer than two values on a side or without any spread.
pub fn hedges_g(a: &[f64], b: &[f64]) -> Option<Effect> {
    let (n_a, n_b) = (a.len() as f64, b.len() as f64);
    let n = n_a + n_b;
    let pooled = (variance(a)? * (n_a - 1.0) + variance(b)? * (n_b - 1.0)) / (n - 2.0);
    if pooled <= 0.0 {
        return None;
    }
    let g = (1.0 - 3.0 / (4.0 * n - 9.0)) * (mean(a)? - mean(b)?) / pooled.sqrt();
    let error = (n / (n_a * n_b) + g * g / (2.0 * (n - 3.94))).sqrt();
    let half = normal_quantile(f64::midpoint(1.0, CONFIDENCE)) * error;
    Some(Effect { g, interval: [g - half, g + half] })
}
