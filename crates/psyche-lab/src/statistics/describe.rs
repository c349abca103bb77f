//! Mean, spread, quantiles, and the interval of a proportion.

use super::{CONFIDENCE, Interval, normal_quantile, student_quantile};

/// x̄ = Σx / n; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// s² = Σ(x − x̄)² / (n − 1); `None` of fewer than two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    Some(values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (values.len() - 1) as f64)
}

/// The square root of [`variance`].
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    variance(values).map(f64::sqrt)
}

/// x̄ ± t(n − 1)·s / √n; `None` of fewer than two values.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let (mean, deviation) = (mean(values)?, standard_deviation(values)?);
    let n = values.len() as f64;
    let half = student_quantile(f64::midpoint(1.0, CONFIDENCE), n - 1.0)? * deviation / n.sqrt();
    Some([mean - half, mean + half])
}

/// The value that a share `q` (0..=1) lies below, linear between the order statistics around (n − 1)·q.
/// Hyndman & Fan (1996), type 7. `None` of nothing.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, q)
}

pub(super) fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? as f64 * q.clamp(0.0, 1.0);
    let below = sorted[place as usize];
    let above = sorted[(place as usize + 1).min(sorted.len() - 1)];
    Some(below + (above - below) * place.fract())
}

/// The quantile at one half.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Wilson's score interval of a proportion: (p̂ + z²/2n ± z·√(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n). Wilson (1927).
/// `None` without a trial.
pub fn proportion_interval(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let (n, z) = (trials as f64, normal_quantile(f64::midpoint(1.0, CONFIDENCE)));
    let share = successes as f64 / n;
    let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let (centre, scale) = (share + z * z / (2.0 * n), 1.0 + z * z / n);
    Some([((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)])
}
