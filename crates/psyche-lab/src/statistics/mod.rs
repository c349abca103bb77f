//! Statistics, small and pure. Each file states formula and source; `docs/guide/statistics.md` says the same with the
//! limits, and `tests/statistics_reference.rs` holds every function to SciPy and statsmodels.
//!
//! Rules they share: what cannot be computed (too few values, no spread) is `None`, never a number; values that are no
//! numbers are the caller's to leave out; intervals cover 95 % unless the function takes another confidence; p-values
//! are two-sided.

mod bootstrap;
mod change_point;
mod correlation;
mod describe;
mod effect;
mod forecast;
mod mixed;
mod multiplicity;
mod paired;
mod ranks;
mod resample;
mod trend;
mod two_samples;

pub use bootstrap::{Bootstrap, bca, bca_two};
pub use change_point::{Change, change_point};
pub use correlation::{Correlation, autocorrelation, pearson, spearman};
pub use describe::{mean, mean_interval, median, proportion_interval, quantile, standard_deviation, variance};
pub use effect::{Effect, hedges_g};
pub use forecast::{Forecast, forecast};
pub use mixed::{Fixed, Group, Mixed, random_intercept, random_intercept_of_groups};
pub use multiplicity::{benjamini_hochberg, holm};
pub use paired::{paired_t, wilcoxon};
pub use ranks::mid_ranks;
pub use resample::resamples;
pub(crate) use resample::shuffle;
pub use trend::{Slope, Trend, mann_kendall, theil_sen};
pub use two_samples::{Sizes, auc, mann_whitney, welch};

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// Lower and upper end.
pub type Interval = [f64; 2];

/// The share of cases in which an interval covers the true value.
pub const CONFIDENCE: f64 = 0.95;

/// The outcome of a test against "nothing is going on".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The test's own statistic; see its function.
    pub statistic: f64,
    /// Two-sided.
    pub p: f64,
}

/// P(Z ≤ z).
fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The z that a share `p` lies below.
fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// Both tails beyond ±z.
fn normal_p(z: f64) -> f64 {
    2.0 * Normal::standard().sf(z.abs())
}

/// Both tails beyond ±t; `None` without a degree of freedom.
fn student_p(t: f64, freedom: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(2.0 * student.sf(t.abs()))
}

/// The t that a share `p` lies below; `None` without a degree of freedom.
fn student_quantile(p: f64, freedom: f64) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(p))
}
