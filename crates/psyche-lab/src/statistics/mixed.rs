//! A linear mixed model with a random intercept: values that come in groups, such as the turns of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CONFIDENCE, Interval, normal_p, normal_quantile};

/// A fixed effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fixed {
    pub estimate: f64,
    pub standard_error: f64,
    pub interval: Interval,
    /// Two-sided, from the normal distribution (Wald).
    pub p: f64,
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// One per column of the design.
    pub fixed: Vec<Fixed>,
    /// Variance between groups.
    pub between: f64,
    /// Variance within a group.
    pub within: f64,
}

/// y = Xβ + u_group + ε with u ~ N(0, between) and ε ~ N(0, within), by restricted maximum likelihood (REML).
///
/// With θ = between / within, group g of n_g rows has V_g⁻¹ = I − θ/(1 + n_g·θ)·J; β̂ = (X'V⁻¹X)⁻¹X'V⁻¹y and
/// within = r'V⁻¹r / (n − p). The profile −½·((n − p)·ln within + ln|V| + ln|X'V⁻¹X|) is maximised over θ ≥ 0.
/// Source: Laird & Ware (1982), Biometrics 38:963. A fit with between = 0 is a fit without the random effect.
///
/// `design` holds a row of p numbers per value (give a column of ones for the intercept), `groups` the group of each.
/// `None` when lengths differ, with fewer than two groups, no row to spare, or columns that depend on one another.
pub fn random_intercept(values: &[f64], design: &[Vec<f64>], groups: &[usize]) -> Option<Mixed> {
    let (n, p) = (values.len(), design.first()?.len());
    if design.len() != n || groups.len() != n || n <= p || design.iter().any(|row| row.len() != p) {
        return None;
    }
    Sums::new(values, design, groups, p).fitted()
}

/// All values of one group, by their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub n: f64,
    pub sum: f64,
    /// Of the values' squares.
    pub squares: f64,
}

impl FromIterator<f64> for Group {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().fold(Self::default(), |group, x| Self {
            n: group.n + 1.0,
            sum: group.sum + x,
            squares: group.squares + x * x,
        })
    }
}

/// [`random_intercept`] where all values of a group share one row of the design, such as the condition of a run: the sums
/// are all that is needed. `None` as there.
pub fn random_intercept_of_groups(groups: &[(Vec<f64>, Group)]) -> Option<Mixed> {
    let p = groups.first()?.0.len();
    let mut sums = Sums::empty(p);
    for (row, group) in groups {
        if row.len() != p {
            return None;
        }
        sums.n += group.n;
        sums.yy += group.squares;
        for i in 0..p {
            sums.xy[i] += row[i] * group.sum;
            for j in 0..p {
                sums.xx[i][j] += group.n * row[i] * row[j];
            }
        }
        sums.groups.push((group.n, row.iter().map(|x| group.n * x).collect(), group.sum));
    }
    sums.fitted()
}
/// Sums over all rows and per group, from which every fit is made without looking at the rows again.
struct Sums {
    n: f64,
    p: usize,
    /// X'X, X'y, y'y.
    xx: Vec<Vec<f64>>,
    xy: Vec<f64>,
    yy: f64,
    /// Size, sum of rows, sum of values.
    groups: Vec<(f64, Vec<f64>, f64)>,
}

struct Fit {
    theta: f64,
    beta: Vec<f64>,
    /// (X'V⁻¹X)⁻¹.
    inverse: Vec<Vec<f64>>,
    within: f64,
    likelihood: f64,
}

impl Sums {
    fn empty(p: usize) -> Self {
        Self { n: 0.0, p, xx: vec![vec![0.0; p]; p], xy: vec![0.0; p], yy: 0.0, groups: Vec::new() }
    }

    /// The best fit of all.
    fn fitted(&self) -> Option<Mixed> {
        let p = self.p;
        if self.groups.len() < 2 || self.n <= p as f64 {
            return None;
        }
        // The profile has one hump in ln θ in all but degenerate cases: a grid finds it, golden sections narrow it down.
        let profile = |ln: f64| self.fit(ln.exp()).map_or(f64::NEG_INFINITY, |fit| fit.likelihood);
        let grid = (-60..=40).map(|i| f64::from(i) * 0.5);
        let best = grid.max_by(|a, b| profile(*a).total_cmp(&profile(*b)))?;
        let theta = golden(best - 0.5, best + 0.5, profile).exp();
        let none = self.fit(0.0)?;
        let fit = self.fit(theta).filter(|fit| fit.likelihood > none.likelihood).unwrap_or(none);
        let z = normal_quantile(f64::midpoint(1.0, CONFIDENCE));
        let fixed = (0..p)
            .map(|i| {
                let (estimate, standard_error) = (fit.beta[i], (fit.within * fit.inverse[i][i]).sqrt());
                let interval = [estimate - z * standard_error, estimate + z * standard_error];
                Fixed { estimate, standard_error, interval, p: normal_p(estimate / standard_error) }
            })
            .collect();
        Some(Mixed { fixed, between: fit.theta * fit.within, within: fit.within })
    }

    fn new(values: &[f64], design: &[Vec<f64>], groups: &[usize], p: usize) -> Self {
        let mut by_group = BTreeMap::new();
        let mut sums = Self { n: values.len() as f64, ..Self::empty(p) };
        for ((y, row), group) in values.iter().zip(design).zip(groups) {
            let (size, x, total) = by_group.entry(*group).or_insert_with(|| (0.0, vec![0.0; p], 0.0));
            *size += 1.0;
            *total += y;
            sums.yy += y * y;
            for i in 0..p {
                x[i] += row[i];
                sums.xy[i] += row[i] * y;
                for j in 0..p {
                    sums.xx[i][j] += row[i] * row[j];
                }
            }
        }
        sums.groups = by_group.into_values().collect();
        sums
    }

    /// The best fit for one ratio of variances.
    fn fit(&self, theta: f64) -> Option<Fit> {
        let (mut xx, mut xy, mut yy, mut ln_v) = (self.xx.clone(), self.xy.clone(), self.yy, 0.0);
        for (size, x, y) in &self.groups {
            let shrink = theta / (1.0 + size * theta);
            ln_v += (size * theta).ln_1p();
            yy -= shrink * y * y;
            for i in 0..self.p {
                xy[i] -= shrink * x[i] * y;
                for j in 0..self.p {
                    xx[i][j] -= shrink * x[i] * x[j];
                }
            }
        }
        let (inverse, ln_determinant) = invert(&xx)?;
        let times = |row: &Vec<f64>| row.iter().zip(&xy).map(|(a, b)| a * b).sum::<f64>();
        let beta: Vec<f64> = inverse.iter().map(times).collect();
        let explained: f64 = beta.iter().zip(&xy).map(|(b, c)| b * c).sum();
        let freedom = self.n - self.p as f64;
        let within = (yy - explained) / freedom;
        if within <= 0.0 {
            return None;
        }
        let likelihood = -0.5 * (freedom * within.ln() + ln_v + ln_determinant);
        Some(Fit { theta, beta, inverse, within, likelihood })
    }
}

/// Inverse and logarithm of the determinant of a symmetric positive-definite matrix, by Gauss and Jordan.
fn invert(matrix: &[Vec<f64>]) -> Option<(Vec<Vec<f64>>, f64)> {
    let p = matrix.len();
    let mut left = matrix.to_vec();
    let mut right: Vec<Vec<f64>> = (0..p).map(|i| (0..p).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let mut ln_determinant = 0.0;
    for i in 0..p {
        let pivot = left[i][i];
        if pivot <= 1e-12 * matrix[i][i].abs() || !pivot.is_finite() {
            return None;
        }
        ln_determinant += pivot.ln();
        for side in [&mut left, &mut right] {
            side[i].iter_mut().for_each(|x| *x /= pivot);
        }
        for k in (0..p).filter(|k| *k != i) {
            let factor = left[k][i];
            for side in [&mut left, &mut right] {
                let pivot = side[i].clone();
                side[k].iter_mut().zip(pivot).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    Some((right, ln_determinant))
}

/// Where a function with one hump between `low` and `high` is largest.
fn golden(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    while high - low > 1e-10 {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if f(a) >= f(b) { high = b } else { low = a }
    }
    f64::midpoint(low, high)
}
