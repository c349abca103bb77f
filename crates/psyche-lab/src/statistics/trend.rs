//! Is there a trend, and how steep is it?

use super::correlation::autocorrelation;
use super::describe::quantile_of_sorted;
use super::{CONFIDENCE, Interval, mid_ranks, normal_p, normal_quantile};

/// The outcome of a Mann–Kendall test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// S / (n(n − 1)/2), −1..1.
    pub tau: f64,
    pub z: f64,
    /// Two-sided.
    pub p: f64,
    /// What the variance of S was multiplied by for autocorrelation; 1: no correction.
    pub inflation: f64,
}

/// A slope in units per step, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    pub slope: f64,
    /// median(y) − slope · median(x).
    pub intercept: f64,
    pub interval: Interval,
}

/// Mann–Kendall with the variance correction of Hamed and Rao.
///
/// * S = Σ_{i<j} sign(x_j − x_i); Var(S) = (n(n − 1)(2n + 5) − Σ t(t − 1)(2t + 5)) / 18 over groups of t ties;
/// * Var*(S) = Var(S) · (1 + 2 / (n(n − 1)(n − 2)) · Σ_k (n − k)(n − k − 1)(n − k − 2)·ρ_k), ρ_k being the
///   autocorrelation at lag k ≤ `max_lag` of the ranks of x less its Theil–Sen line, where it is significant at 5 %;
/// * z = (S ∓ 1) / √Var*(S), p from the normal distribution.
/// * Source: Mann (1945), Kendall (1975); Hamed & Rao (1998), J. Hydrology 204:182.
/// * A correction below 1 (negative autocorrelation) counts as 1: it would make the test claim more.
///
/// `None` of fewer than four values, or when all are equal.
pub fn mann_kendall(values: &[f64], max_lag: usize) -> Option<Trend> {
    let count = values.len();
    if count < 4 {
        return None;
    }
    let n = count as f64;
    let score: f64 = pairs(count).map(|(i, j)| sign(values[j] - values[i])).sum();
    let (_, ties) = mid_ranks(values);
    let tied: f64 = ties.iter().map(|t| *t as f64).map(|t| t * (t - 1.0) * (2.0 * t + 5.0)).sum();
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - tied) / 18.0;
    if variance <= 0.0 {
        return None;
    }
    let slope = theil_sen(values, 1.0)?.slope;
    let detrended: Vec<f64> = values.iter().enumerate().map(|(i, x)| x - (i + 1) as f64 * slope).collect();
    let (ranks, _) = mid_ranks(&detrended);
    let significant = normal_quantile(f64::midpoint(1.0, CONFIDENCE)) / n.sqrt();
    let sum: f64 = (1..=max_lag.min(count - 1))
        .map(|lag| {
            let (rho, k) = (autocorrelation(&ranks, lag).unwrap_or(0.0), lag as f64);
            if rho.abs() > significant { (n - k) * (n - k - 1.0) * (n - k - 2.0) * rho } else { 0.0 }
        })
        .sum();
    let inflation = (1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum).max(1.0);
    let z = (score - sign(score)) / (variance * inflation).sqrt();
    Some(Trend { tau: score / (0.5 * n * (n - 1.0)), z, p: normal_p(z), inflation })
}

/// The median of all slopes between two values, one step apart each; Theil (1950), Sen (1968).
///
/// The interval holds the order statistics of the N slopes at (N ∓ z·√(Var(S) · inflation)) / 2 (Sen's formula 2.6);
/// `inflation` is [`Trend::inflation`], 1 for independent values. `None` of fewer than two values.
pub fn theil_sen(values: &[f64], inflation: f64) -> Option<Slope> {
    let mut slopes: Vec<f64> = pairs(values.len()).map(|(i, j)| (values[j] - values[i]) / (j - i) as f64).collect();
    slopes.sort_by(f64::total_cmp);
    let slope = quantile_of_sorted(&slopes, 0.5)?;
    let n = values.len() as f64;
    let (_, ties) = mid_ranks(values);
    let tied: f64 = ties.iter().map(|t| *t as f64).map(|t| t * (t - 1.0) * (2.0 * t + 5.0)).sum();
    let sigma = ((n * (n - 1.0) * (2.0 * n + 5.0) - tied).max(0.0) / 18.0 * inflation).sqrt();
    let reach = normal_quantile(f64::midpoint(1.0, CONFIDENCE)) * sigma;
    let all = slopes.len() as f64;
    let upper = (f64::midpoint(all, reach).round_ties_even() as usize).min(slopes.len() - 1);
    let lower = (f64::midpoint(all, -reach).round_ties_even() - 1.0).max(0.0) as usize;
    let intercept = super::median(values)? - slope * (n - 1.0) / 2.0;
    Some(Slope { slope, intercept, interval: [slopes[lower], slopes[upper]] })
}

fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// −1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
