//! Many sessions together: distributions over runs, change over the days, and two conditions against each other.
//!
//! The unit is the *run*: a session gives one number per measure, and n counts sessions, never turns. What lies within a
//! run (its utterances) enters only through the mixed model, which knows which run each utterance is of.

mod compare;
mod run;

pub use compare::{Comparison, Contrast, TurnLevel, compare};
pub use run::{Run, Summary};

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::statistics::{holm, mann_kendall, mean, mean_interval, quantile, standard_deviation, theil_sen};

/// Counted up when a formula of this module changes.
pub const HISTORY_VERSION: u16 = 1;

/// Fewer runs than this give no trend.
const LEAST: usize = 8;

/// Many runs together.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct History {
    pub version: u16,
    /// Runs that were looked at.
    pub n: usize,
    /// The oldest first.
    pub runs: Vec<Run>,
    pub distributions: BTreeMap<String, Distribution>,
    /// Over the runs in the order in which they were made.
    pub trends: Vec<RunTrend>,
    pub comparison: Option<Comparison>,
    pub notes: Vec<String>,
}

/// How a measure is spread over runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Distribution {
    /// Runs with a value.
    pub n: usize,
    pub mean: Option<f64>,
    /// Of the mean, 95 %.
    #[schema(value_type = Option<Vec<f64>>)]
    pub interval: Option<[f64; 2]>,
    pub standard_deviation: Option<f64>,
    /// Smallest, lower quartile, median, upper quartile, largest.
    #[schema(value_type = Option<Vec<f64>>)]
    pub quartiles: Option<[f64; 5]>,
}

/// Whether a measure rose or fell from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunTrend {
    pub measure: String,
    pub tau: f64,
    /// Mann–Kendall with the correction of Hamed and Rao.
    pub p: f64,
    /// Over all measures (Holm).
    pub p_corrected: f64,
    /// Per run.
    pub slope: f64,
    #[schema(value_type = Vec<f64>)]
    pub interval: [f64; 2],
    /// Runs with a value.
    pub n: usize,
}

/// Puts runs together. `conditions` names the tags of two conditions to compare.
pub fn history(mut runs: Vec<Run>, conditions: Option<(&str, &str)>, seed: u64) -> History {
    runs.sort_by_key(|run| (run.created_at, run.session_id));
    let mut by_measure: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in &runs {
        for (measure, value) in &run.summary.values {
            by_measure.entry(measure).or_default().push(*value);
        }
    }
    let distributions = by_measure.iter().map(|(name, values)| ((*name).to_owned(), distribution(values))).collect();
    let mut trends: Vec<RunTrend> = by_measure.iter().filter_map(|(name, values)| trend(name, values)).collect();
    let corrected = holm(&trends.iter().map(|trend| trend.p).collect::<Vec<_>>());
    for (trend, p) in trends.iter_mut().zip(corrected) {
        trend.p_corrected = p;
    }
    let mut notes = Vec::new();
    if runs.len() < LEAST {
        notes.push(format!("{} run(s): a trend over runs needs {LEAST}.", runs.len()));
    }
    if runs.iter().any(|run| run.parent.is_some()) {
        notes.push("Some runs are forks and share a past with their parent: they are not independent.".to_owned());
    }
    let versions: std::collections::BTreeSet<u16> = runs.iter().map(|run| run.summary.measures_version).collect();
    if versions.len() > 1 {
        notes.push(format!("The gauges were made by {} versions of the measures: compare within one.", versions.len()));
    }
    History {
        version: HISTORY_VERSION,
        n: runs.len(),
        comparison: conditions.map(|(a, b)| compare(&runs, a, b, seed)),
        runs,
        distributions,
        trends,
        notes,
    }
}

fn distribution(values: &[f64]) -> Distribution {
    let at = |q: f64| quantile(values, q);
    let quartiles = || Some([at(0.0)?, at(0.25)?, at(0.5)?, at(0.75)?, at(1.0)?]);
    Distribution {
        n: values.len(),
        mean: mean(values),
        interval: mean_interval(values),
        standard_deviation: standard_deviation(values),
        quartiles: quartiles(),
    }
}

fn trend(measure: &str, values: &[f64]) -> Option<RunTrend> {
    let trend = (values.len() >= LEAST).then(|| mann_kendall(values, values.len() / 4)).flatten()?;
    let slope = theil_sen(values, trend.inflation)?;
    Some(RunTrend {
        measure: measure.to_owned(),
        tau: trend.tau,
        p: trend.p,
        p_corrected: trend.p,
        slope: slope.slope,
        interval: slope.interval,
        n: values.len(),
    })
}
