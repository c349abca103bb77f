//! Two independent samples.

use super::describe::{mean, variance};
use super::ranks::tie_sum;
use super::{CONFIDENCE, Interval, Test, mid_ranks, normal_p, student_p, student_quantile};

/// How the p-value of a test on ranks is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// By counting all arrangements: right at any size, but for values without ties only.
    Exact,
    /// By the normal distribution, with the corrections for ties and for continuity.
    Normal,
}

/// Values above which exact counting takes longer than it is worth.
pub(super) const EXACT_UP_TO: usize = 50;

/// Welch's t-test of equal means, and the interval of mean(a) − mean(b).
///
/// t = (ā − b̄) / √(s²_a/n_a + s²_b/n_b), degrees of freedom after Welch–Satterthwaite. Welch (1947).
/// `None` with fewer than two values on a side or without any spread.
pub fn welch(a: &[f64], b: &[f64]) -> Option<(Test, Interval)> {
    let (difference, n_a, n_b) = (mean(a)? - mean(b)?, a.len() as f64, b.len() as f64);
    let (error_a, error_b) = (variance(a)? / n_a, variance(b)? / n_b);
    let error = error_a + error_b;
    if error <= 0.0 {
        return None;
    }
    let freedom = error * error / (error_a * error_a / (n_a - 1.0) + error_b * error_b / (n_b - 1.0));
    let t = difference / error.sqrt();
    let half = student_quantile(f64::midpoint(1.0, CONFIDENCE), freedom)? * error.sqrt();
    Some((Test { statistic: t, p: student_p(t, freedom)? }, [difference - half, difference + half]))
}

/// Mann–Whitney's test that neither sample tends to be larger; the statistic is U of `a`.
///
/// U = R_a − n_a(n_a + 1)/2, R_a being the sum of the mid-ranks of `a`. Exact: the share of arrangements whose U is as
/// far out, twice its tail. Normal: z = (|U − n_a·n_b/2| − ½) / √(n_a·n_b/12 · (N + 1 − Σ(t³ − t)/(N(N − 1)))).
/// Mann & Whitney (1947). `None` with an empty side, or when all values are equal.
pub fn mann_whitney(a: &[f64], b: &[f64], sizes: Option<Sizes>) -> Option<Test> {
    let (n_a, n_b) = (a.len(), b.len());
    if n_a == 0 || n_b == 0 {
        return None;
    }
    let (ranks, ties) = mid_ranks(&[a, b].concat());
    let sum: f64 = ranks[..n_a].iter().sum();
    let u = sum - (n_a * (n_a + 1)) as f64 / 2.0;
    let tied = ties.iter().any(|t| *t > 1);
    let sizes = sizes.unwrap_or(if !tied && n_a + n_b <= EXACT_UP_TO { Sizes::Exact } else { Sizes::Normal });
    let largest = u.max((n_a * n_b) as f64 - u);
    let p = match sizes {
        Sizes::Exact => {
            let counts = arrangements(n_a, n_b);
            let all: f64 = counts.iter().sum();
            let beyond: f64 = counts[largest.ceil() as usize..].iter().sum();
            2.0 * beyond / all
        }
        Sizes::Normal => {
            let (product, n) = ((n_a * n_b) as f64, (n_a + n_b) as f64);
            let variance = product / 12.0 * (n + 1.0 - tie_sum(&ties) / (n * (n - 1.0)));
            if variance <= 0.0 {
                return None;
            }
            // Beyond the middle the correction turns round, and the whole lies within.
            let z = (largest - product / 2.0 - 0.5) / variance.sqrt();
            if z < 0.0 { 1.0 } else { normal_p(z) }
        }
    };
    Some(Test { statistic: u, p: p.min(1.0) })
}

/// In how many arrangements of two samples U is 0, 1, … n_a·n_b: the coefficients of the Gaussian binomial.
fn arrangements(n_a: usize, n_b: usize) -> Vec<f64> {
    let top = n_a * n_b;
    let mut counts = vec![0.0; top + 1];
    counts[0] = 1.0;
    // Times (1 − q^(n_b + k)) / (1 − q^k) for k = 1..=n_a.
    for k in 1..=n_a {
        for u in (n_b + k..=top).rev() {
            counts[u] -= counts[u - n_b - k];
        }
        for u in k..=top {
            counts[u] += counts[u - k];
        }
    }
    counts
}

/// The chance that a value of `a` exceeds one of `b`, ties counting half: U / (n_a·n_b). Hanley & McNeil (1982).
/// `None` with an empty side.
pub fn auc(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (ranks, _) = mid_ranks(&[a, b].concat());
    let sum: f64 = ranks[..a.len()].iter().sum();
    Some((sum - (a.len() * (a.len() + 1)) as f64 / 2.0) / (a.len() * b.len()) as f64)
}
