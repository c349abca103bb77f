//! Two conditions against each other, run by run.
//!
//! * Paired when every run of one condition has exactly one partner with its seed in the other: the paired t-test and
//!   Wilcoxon on the differences. Otherwise Welch's t-test and Mann–Whitney.
//! * Effect: Hedges' g of b − a with a BCa bootstrap interval over runs.
//! * p-values of all measures are corrected together, by Holm and by Benjamini and Hochberg, on the test on ranks.
//! * For what is known of every utterance (novelty, sentiment, words, latency) also the mixed model value ~ condition
//!   with the run as a random intercept: the difference of turns, with the uncertainty of runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::Run;
use crate::statistics::{
    Group, bca, bca_two, benjamini_hochberg, hedges_g, holm, mann_whitney, mean, paired_t, random_intercept_of_groups,
    resamples, welch, wilcoxon,
};

const RESAMPLES: usize = 1_999;
/// Fewer runs than this in a condition give no test.
const LEAST: usize = 3;

/// Condition b against condition a.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// The tag of each condition, and how many runs have it.
    pub a: String,
    pub n_a: usize,
    pub b: String,
    pub n_b: usize,
    /// Runs with the same seed were compared with each other.
    pub paired: bool,
    pub measures: Vec<Contrast>,
    pub notes: Vec<String>,
}

/// One measure in both conditions. n counts runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Contrast {
    pub measure: String,
    pub n_a: usize,
    pub n_b: usize,
    pub mean_a: Option<f64>,
    pub mean_b: Option<f64>,
    /// Mean of b − mean of a, with its t interval.
    pub difference: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub difference_interval: Option<[f64; 2]>,
    /// Hedges' g of b − a, with its BCa interval.
    pub g: Option<f64>,
    #[schema(value_type = Option<Vec<f64>>)]
    pub g_interval: Option<[f64; 2]>,
    /// Welch's test, or the paired t-test.
    pub p_means: Option<f64>,
    /// Mann–Whitney, or Wilcoxon.
    pub p_ranks: Option<f64>,
    pub p_holm: Option<f64>,
    pub p_benjamini_hochberg: Option<f64>,
    pub turns: Option<TurnLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The mixed model over utterances, with the run as a random intercept.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TurnLevel {
    pub difference: f64,
    pub standard_error: f64,
    #[schema(value_type = Vec<f64>)]
    pub interval: [f64; 2],
    pub p: f64,
    /// Variance between runs, as a share of all.
    pub intraclass_correlation: f64,
    pub utterances: usize,
}

/// Compares the runs with tag `b` with those with tag `a`. A run with both tags is in neither.
pub fn compare(runs: &[Run], a: &str, b: &str, seed: u64) -> Comparison {
    let has = |run: &&Run, tag: &str| run.tags.iter().any(|known| known == tag);
    let of_a: Vec<&Run> = runs.iter().filter(|run| has(run, a) && !has(run, b)).collect();
    let of_b: Vec<&Run> = runs.iter().filter(|run| has(run, b) && !has(run, a)).collect();
    let pairs = pairs(&of_a, &of_b);
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.summary.values.keys()).collect();
    let mut measures: Vec<Contrast> =
        names.into_iter().map(|name| contrast(name, &of_a, &of_b, pairs.as_deref(), seed)).collect();
    let tested: Vec<usize> = (0..measures.len()).filter(|i| measures[*i].p_ranks.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|i| measures[*i].p_ranks).collect();
    for ((i, holm), mild) in tested.into_iter().zip(holm(&p)).zip(benjamini_hochberg(&p)) {
        measures[i].p_holm = Some(holm);
        measures[i].p_benjamini_hochberg = Some(mild);
    }
    let mut notes = Vec::new();
    let both = runs.iter().filter(|run| has(run, a) && has(run, b)).count();
    if both > 0 {
        notes.push(format!("{both} run(s) have both tags and are left out."));
    }
    Comparison {
        a: a.to_owned(),
        n_a: of_a.len(),
        b: b.to_owned(),
        n_b: of_b.len(),
        paired: pairs.is_some(),
        measures,
        notes,
    }
}

/// Partners by seed; `None` when a run has none, or several.
fn pairs<'a>(a: &[&'a Run], b: &[&'a Run]) -> Option<Vec<(&'a Run, &'a Run)>> {
    let by_seed = |runs: &[&'a Run]| -> Option<BTreeMap<u64, &'a Run>> {
        let seeds: BTreeMap<u64, &Run> = runs.iter().map(|run| (run.seed, *run)).collect();
        (seeds.len() == runs.len()).then_some(seeds)
    };
    let (of_a, of_b) = (by_seed(a)?, by_seed(b)?);
    (!of_a.is_empty() && of_a.keys().eq(of_b.keys())).then(|| of_a.into_values().zip(of_b.into_values()).collect())
}

fn contrast(name: &str, a: &[&Run], b: &[&Run], pairs: Option<&[(&Run, &Run)]>, seed: u64) -> Contrast {
    let value = |run: &Run| run.summary.values.get(name).copied();
    let of = |runs: &[&Run]| -> Vec<f64> { runs.iter().filter_map(|run| value(run)).collect() };
    let (of_a, of_b) = (of(a), of(b));
    let enough = of_a.len() >= LEAST && of_b.len() >= LEAST;
    let differences: Option<Vec<f64>> =
        pairs.map(|pairs| pairs.iter().filter_map(|(a, b)| Some(value(b)? - value(a)?)).collect());
    let means = || match &differences {
        Some(differences) => paired_t(differences),
        None => welch(&of_b, &of_a),
    };
    let ranks = || match &differences {
        Some(differences) => wilcoxon(differences, None),
        None => mann_whitney(&of_b, &of_a, None),
    };
    let effect = || {
        let g = |b: &[f64], a: &[f64]| hedges_g(b, a).map(|effect| effect.g);
        let interval = if let Some(pairs) = pairs {
            // Pairs stay together: a resample draws runs of both conditions at once.
            let both: Vec<(f64, f64)> = pairs.iter().filter_map(|(a, b)| Some((value(b)?, value(a)?))).collect();
            let places: Vec<f64> = (0..both.len()).map(|i| i as f64).collect();
            bca(&places, &resamples(both.len(), RESAMPLES, seed), |places| {
                let (b, a): (Vec<f64>, Vec<f64>) = places.iter().map(|place| both[*place as usize]).unzip();
                g(&b, &a)
            })
        } else {
            let drawn = [(of_b.len(), seed), (of_a.len(), seed ^ 1)].map(|(n, seed)| resamples(n, RESAMPLES, seed));
            bca_two((&of_b, &of_a), (&drawn[0], &drawn[1]), g)
        };
        (g(&of_b, &of_a), interval.map(|bootstrap| bootstrap.interval))
    };
    let means = if enough { means() } else { None };
    let ranks = if enough { ranks() } else { None };
    let (g, g_interval) = if enough { effect() } else { (None, None) };
    let (mean_a, mean_b) = (mean(&of_a), mean(&of_b));
    Contrast {
        measure: name.to_owned(),
        n_a: of_a.len(),
        n_b: of_b.len(),
        mean_a,
        mean_b,
        difference: mean_a.zip(mean_b).map(|(a, b)| b - a),
        difference_interval: means.map(|(_, interval)| interval),
        g,
        g_interval,
        p_means: means.map(|(test, _)| test.p),
        p_ranks: ranks.map(|test| test.p),
        p_holm: None,
        p_benjamini_hochberg: None,
        turns: if enough { turn_level(name, a, b) } else { None },
        note: match (enough, ranks) {
            (false, _) => Some(format!("Fewer than {LEAST} runs with a value in a condition.")),
            (true, None) => Some("All values are equal.".to_owned()),
            _ => None,
        },
    }
}

fn turn_level(name: &str, a: &[&Run], b: &[&Run]) -> Option<TurnLevel> {
    let of = |runs: &[&Run], condition: f64| -> Vec<(Vec<f64>, Group)> {
        let groups = runs.iter().filter_map(|run| run.summary.turns.get(name)).filter(|group| group.n > 0.0);
        groups.map(|group| (vec![1.0, condition], *group)).collect()
    };
    let groups = [of(a, 0.0), of(b, 1.0)].concat();
    let fit = random_intercept_of_groups(&groups)?;
    let condition = fit.fixed.get(1)?;
    Some(TurnLevel {
        difference: condition.estimate,
        standard_error: condition.standard_error,
        interval: condition.interval,
        p: condition.p,
        intraclass_correlation: fit.between / (fit.between + fit.within),
        utterances: groups.iter().map(|(_, group)| group.n).sum::<f64>() as usize,
    })
}
