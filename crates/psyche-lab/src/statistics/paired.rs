//! Two samples whose values belong together in pairs: differences b − a, such as of two forks of one run.

use super::describe::{mean, variance};
use super::ranks::tie_sum;
use super::two_samples::{EXACT_UP_TO, Sizes};
use super::{CONFIDENCE, Interval, Test, mid_ranks, normal_p, student_p, student_quantile};

/// The paired t-test on differences, and the interval of their mean. t = d̄ / (s_d / √n), n − 1 degrees of freedom.
/// Student (1908). `None` of fewer than two differences or without spread.
pub fn paired_t(differences: &[f64]) -> Option<(Test, Interval)> {
    let n = differences.len() as f64;
    let (mean, error) = (mean(differences)?, (variance(differences)? / n).sqrt());
    if error <= 0.0 {
        return None;
    }
    let t = mean / error;
    let half = student_quantile(f64::midpoint(1.0, CONFIDENCE), n - 1.0)? * error;
    Some((Test { statistic: t, p: student_p(t, n - 1.0)? }, [mean - half, mean + half]))
}

/// Wilcoxon's signed-rank test on differences; the statistic is the smaller of the two sums of ranks.
///
/// Zeros are left out (Wilcoxon's own way); |d| are ranked with mid-ranks. Exact: the share of the 2ⁿ signs whose sum of
/// ranks is as far out, twice its tail. Normal: z = (|W⁺ − n(n + 1)/4| − ½) / √((n(n + 1)(2n + 1) − Σ(t³ − t)/2) / 24).
/// Wilcoxon (1945). `None` without a difference that is not zero.
pub fn wilcoxon(differences: &[f64], sizes: Option<Sizes>) -> Option<Test> {
    let differences: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = differences.len();
    if n == 0 {
        return None;
    }
    let (ranks, ties) = mid_ranks(&differences.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let tied = ties.iter().any(|t| *t > 1);
    let positive: f64 = ranks.iter().zip(&differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let all = (n * (n + 1)) as f64 / 2.0;
    let largest = positive.max(all - positive);
    let sizes = sizes.unwrap_or(if !tied && n <= EXACT_UP_TO { Sizes::Exact } else { Sizes::Normal });
    let p = match sizes {
        Sizes::Exact => {
            let chances = sums_of_ranks(n);
            2.0 * chances[largest.floor() as usize..].iter().sum::<f64>()
        }
        Sizes::Normal => {
            let cubic = (n * (n + 1) * (2 * n + 1)) as f64;
            let z = (largest - all / 2.0 - 0.5) / ((cubic - tie_sum(&ties) / 2.0) / 24.0).sqrt();
            if z < 0.0 { 1.0 } else { normal_p(z) }
        }
    };
    Some(Test { statistic: all - largest, p: p.min(1.0) })
}

/// The chance of each sum of ranks 0, 1, … n(n + 1)/2 when every rank counts or not with even odds.
fn sums_of_ranks(n: usize) -> Vec<f64> {
    let mut chances = vec![0.0; n * (n + 1) / 2 + 1];
    chances[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..chances.len()).rev() {
            let without = chances[sum];
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = f64::midpoint(without, with);
        }
    }
    chances
}
