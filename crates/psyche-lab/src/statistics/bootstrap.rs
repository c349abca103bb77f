//! Bootstrap intervals, bias-corrected and accelerated (BCa).

use super::describe::quantile_of_sorted;
use super::{CONFIDENCE, Interval, normal_cdf, normal_quantile};

/// A statistic with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    pub value: f64,
    pub interval: Interval,
}

/// The BCa interval of a statistic of one sample. `resamples` holds the indices each resample draws
/// ([`super::resamples`]).
///
/// * z₀ = Φ⁻¹ of the share of resampled values below the observed one, equal ones counting half;
/// * a = Σ U³ / n³ / (6·(Σ U² / n²)^1.5), U_i = (n − 1)(mean of the jackknife values − jackknife value i);
/// * the ends are the quantiles at Φ(z₀ + (z₀ ± z) / (1 − a(z₀ ± z))).
/// * Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, 14.3.
///
/// `None` when the statistic is not defined on the sample or a jackknife sample, or the resamples do not vary. A resample
/// on which it is not defined is left out.
pub fn bca(sample: &[f64], resamples: &[Vec<usize>], statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Bootstrap> {
    let value = statistic(sample)?;
    let drawn = resamples.iter().filter_map(|indices| statistic(&taken(sample, indices))).collect();
    interval(value, drawn, &[jackknife(sample, &statistic)?])
}

/// The same for a statistic of two independent samples, each with resamples of its own, used in pairs.
pub fn bca_two(
    (a, b): (&[f64], &[f64]),
    (resamples_a, resamples_b): (&[Vec<usize>], &[Vec<usize>]),
    statistic: impl Fn(&[f64], &[f64]) -> Option<f64>,
) -> Option<Bootstrap> {
    let value = statistic(a, b)?;
    let drawn = resamples_a.iter().zip(resamples_b);
    let drawn = drawn.filter_map(|(of_a, of_b)| statistic(&taken(a, of_a), &taken(b, of_b))).collect();
    let (of_a, of_b) = (jackknife(a, |a| statistic(a, b))?, jackknife(b, |b| statistic(a, b))?);
    interval(value, drawn, &[of_a, of_b])
}

fn taken(sample: &[f64], indices: &[usize]) -> Vec<f64> {
    indices.iter().map(|i| sample[*i]).collect()
}

/// The statistic without each value in turn.
fn jackknife(sample: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Vec<f64>> {
    (0..sample.len()).map(|i| statistic(&[&sample[..i], &sample[i + 1..]].concat())).collect()
}

fn interval(value: f64, mut drawn: Vec<f64>, jackknives: &[Vec<f64>]) -> Option<Bootstrap> {
    drawn.retain(|x| x.is_finite());
    drawn.sort_by(f64::total_cmp);
    let below = drawn.iter().filter(|x| **x < value).count() + drawn.iter().filter(|x| **x <= value).count();
    let share = below as f64 / (2 * drawn.len().max(1)) as f64;
    if !value.is_finite() || share <= 0.0 || share >= 1.0 || drawn.first() == drawn.last() {
        return None;
    }
    let bias = normal_quantile(share);
    let (mut cubes, mut squares) = (0.0, 0.0);
    for values in jackknives {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let influence = values.iter().map(|x| (n - 1.0) * (mean - x));
        cubes += influence.clone().map(|u| u.powi(3)).sum::<f64>() / n.powi(3);
        squares += influence.map(|u| u * u).sum::<f64>() / (n * n);
    }
    let acceleration = if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let z = normal_quantile(f64::midpoint(1.0, CONFIDENCE));
    let end = |z: f64| {
        let shifted = bias + z;
        quantile_of_sorted(&drawn, normal_cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    Some(Bootstrap { value, interval: [end(-z)?, end(z)?] })
}
