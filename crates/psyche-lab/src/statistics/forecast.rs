//! Where a straight line would lead, never without its interval.

use super::{CONFIDENCE, Interval, autocorrelation, normal_quantile, student_quantile};

/// A value to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub value: f64,
    /// Covers the value itself, not only the line.
    pub interval: Interval,
}

/// The least-squares line carried on by `steps`, with its prediction interval:
/// ŷ ± t(n − 2)·s·√(1 + 1/n + (x − x̄)²/Σ(x_i − x̄)²).
///
/// `None` of fewer than eight values, and when what is left of the line is autocorrelated at lag 1 beyond 1.96/√n: the
/// interval would then promise too much.
pub fn forecast(values: &[f64], steps: usize) -> Option<Forecast> {
    let n = values.len() as f64;
    if values.len() < 8 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let along = |i: usize| i as f64 - middle;
    let spread: f64 = (0..values.len()).map(|i| along(i) * along(i)).sum();
    let slope = values.iter().enumerate().map(|(i, y)| along(i) * (y - mean)).sum::<f64>() / spread;
    let left: Vec<f64> = values.iter().enumerate().map(|(i, y)| y - mean - slope * along(i)).collect();
    let significant = normal_quantile(f64::midpoint(1.0, CONFIDENCE)) / n.sqrt();
    if autocorrelation(&left, 1).is_none_or(|rho| rho > significant) {
        return None;
    }
    let error = (left.iter().map(|e| e * e).sum::<f64>() / (n - 2.0)).sqrt();
    let x = n - 1.0 + steps as f64 - middle;
    let value = mean + slope * x;
    let half =
        student_quantile(f64::midpoint(1.0, CONFIDENCE), n - 2.0)? * error * (1.0 + 1.0 / n + x * x / spread).sqrt();
    Some(Forecast { value, interval: [value - half, value + half] })
}
