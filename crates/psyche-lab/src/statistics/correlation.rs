//! Correlation, also of a series with its own past.

use super::describe::mean;
use super::{CONFIDENCE, Interval, mid_ranks, normal_quantile, student_p};

/// A correlation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// −1..1.
    pub r: f64,
    /// Two-sided, from t = r·√((n − 2)/(1 − r²)).
    pub p: f64,
    /// By Fisher's transformation: tanh(artanh r ± z / √(n − 3)); absent of fewer than four pairs.
    pub interval: Option<Interval>,
}

/// Pearson's r of pairs. `None` when the lists differ in length, of fewer than three pairs, or without spread.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<Correlation> {
    let n = x.len();
    if n != y.len() || n < 3 {
        return None;
    }
    let (mean_x, mean_y) = (mean(x)?, mean(y)?);
    let sum =
        |term: &dyn Fn(f64, f64) -> f64| -> f64 { x.iter().zip(y).map(|(x, y)| term(x - mean_x, y - mean_y)).sum() };
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if spread <= 0.0 {
        return None;
    }
    let r = (sum(&|x, y| x * y) / spread).clamp(-1.0, 1.0);
    let n = n as f64;
    let t = r * ((n - 2.0) / (1.0 - r * r)).sqrt();
    let p = if t.is_finite() { student_p(t, n - 2.0)? } else { 0.0 };
    let half = normal_quantile(f64::midpoint(1.0, CONFIDENCE)) / (n - 3.0).sqrt();
    let interval = (n > 3.0).then(|| [(r.atanh() - half).tanh(), (r.atanh() + half).tanh()]);
    Some(Correlation { r, p, interval })
}

/// Spearman's ρ: Pearson's r of the mid-ranks. Spearman (1904). `None` as [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Option<Correlation> {
    pearson(&mid_ranks(x).0, &mid_ranks(y).0)
}

/// ρ_k = Σ (x_i − x̄)(x_{i+k} − x̄) / Σ (x_i − x̄)². `None` without spread or when the lag is not below the length.
pub fn autocorrelation(values: &[f64], lag: usize) -> Option<f64> {
    let mean = mean(values)?;
    let spread: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    if spread <= 0.0 || lag >= values.len() {
        return None;
    }
    let shared: f64 = values.iter().zip(&values[lag..]).map(|(x, y)| (x - mean) * (y - mean)).sum();
    Some(shared / spread)
}
