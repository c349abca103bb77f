//! Holds every statistic to SciPy, statsmodels and pymannkendall on shared cases (`data/statistics/reference.py`).

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use psyche_lab::statistics::{
    Interval, Sizes, auc, bca, bca_two, benjamini_hochberg, forecast, hedges_g, holm, mann_kendall, mann_whitney, mean,
    mean_interval, paired_t, pearson, proportion_interval, quantile, random_intercept, spearman, theil_sen, variance,
    welch, wilcoxon,
};
use serde_json::Value;

/// Agreement that is promised, absolutely and relatively.
const CLOSE: f64 = 1e-6;

macro_rules! cases {
    ($name:literal) => {
        serde_json::from_str::<Vec<Value>>(include_str!(concat!("data/statistics/", $name, ".json"))).unwrap()
    };
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<Vec<usize>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

#[track_caller]
fn same(case: &Value, key: &str, ours: f64, within: f64) {
    let theirs = case[key].as_f64().unwrap_or_else(|| panic!("{}: no {key}", case["name"]));
    let off = (ours - theirs).abs() / theirs.abs().max(1.0);
    assert!(off <= within, "{} {key}: {ours} here, {theirs} there", case["name"]);
    // Small p-values must agree in their digits too, not only in being small.
    if key.ends_with('p') && theirs > 1e-300 {
        assert!((ours / theirs - 1.0).abs() <= within.max(1e-6), "{} {key}: {ours} here, {theirs} there", case["name"]);
    }
}

#[track_caller]
fn same_interval(case: &Value, key: &str, ours: Interval) {
    let theirs = numbers(&case[key]);
    for side in 0..2 {
        let off = (ours[side] - theirs[side]).abs() / theirs[side].abs().max(1.0);
        assert!(off <= CLOSE, "{} {key}: {ours:?} here, {theirs:?} there", case["name"]);
    }
}

#[test]
fn descriptions() {
    for case in cases!("describe") {
        let values = numbers(&case["values"]);
        same(&case, "mean", mean(&values).unwrap(), CLOSE);
        same(&case, "variance", variance(&values).unwrap(), CLOSE);
        same_interval(&case, "mean_interval", mean_interval(&values).unwrap());
        for (q, theirs) in case["quantiles"].as_object().unwrap() {
            let ours = quantile(&values, q.parse().unwrap()).unwrap();
            assert!((ours - theirs.as_f64().unwrap()).abs() <= CLOSE, "{} {q}", case["name"]);
        }
    }
    for case in cases!("proportion") {
        let (k, n) = (case["successes"].as_u64().unwrap(), case["trials"].as_u64().unwrap());
        same_interval(&case, "interval", proportion_interval(k, n).unwrap());
    }
}

#[test]
fn trends() {
    let (mut corrected, mut foretold) = (0, 0);
    for case in cases!("trend") {
        let values = numbers(&case["values"]);
        let plain = mann_kendall(&values, 0).unwrap();
        same(&case, "tau", plain.tau, CLOSE);
        same(&case, "z", plain.z, CLOSE);
        same(&case, "p", plain.p, CLOSE);
        for lag in [1, 3, 10] {
            let theirs = &case[format!("lag_{lag}")];
            if theirs.is_object() {
                let ours = mann_kendall(&values, lag).unwrap();
                same(theirs, "inflation", ours.inflation, CLOSE);
                same(theirs, "z", ours.z, CLOSE);
                same(theirs, "p", ours.p, CLOSE);
                corrected += u32::from(ours.inflation > 1.0);
            }
        }
        let slope = theil_sen(&values, 1.0).unwrap();
        same(&case, "slope", slope.slope, CLOSE);
        same(&case, "intercept", slope.intercept, CLOSE);
        same_interval(&case, "slope_interval", slope.interval);
        if let Some(ours) = forecast(&values, 3) {
            same(&case["forecast_3"], "value", ours.value, CLOSE);
            same_interval(&case["forecast_3"], "interval", ours.interval);
            foretold += 1;
        }
        let autocorrelated = case["name"].as_str().unwrap().starts_with("autocorrelated");
        assert!(!autocorrelated || forecast(&values, 3).is_none(), "{}", case["name"]);
    }
    assert!(corrected >= 3 && foretold >= 3, "{corrected} corrected, {foretold} foretold");
}

#[test]
fn two_samples() {
    let mut exact = 0;
    for case in cases!("two_samples") {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let (t, interval) = welch(&a, &b).unwrap();
        same(&case, "t", t.statistic, CLOSE);
        same(&case, "welch_p", t.p, CLOSE);
        same_interval(&case, "welch_interval", interval);
        let g = hedges_g(&a, &b).unwrap();
        same(&case, "g", g.g, CLOSE);
        same_interval(&case, "g_interval", g.interval);
        let u = mann_whitney(&a, &b, Some(Sizes::Normal)).unwrap();
        same(&case, "u", u.statistic, CLOSE);
        same(&case, "u_normal_p", u.p, CLOSE);
        same(&case, "auc", auc(&a, &b).unwrap(), CLOSE);
        let chosen = mann_whitney(&a, &b, None).unwrap();
        if case["u_exact_p"].is_number() {
            same(&case, "u_exact_p", chosen.p, CLOSE);
            exact += 1;
        } else {
            assert_eq!(chosen, u);
        }
    }
    assert!(exact >= 4);
}

#[test]
fn pairs() {
    let mut exact = 0;
    for case in cases!("paired") {
        let differences = numbers(&case["differences"]);
        let (t, interval) = paired_t(&differences).unwrap();
        same(&case, "t", t.statistic, CLOSE);
        same(&case, "t_p", t.p, CLOSE);
        same_interval(&case, "t_interval", interval);
        let w = wilcoxon(&differences, Some(Sizes::Normal)).unwrap();
        same(&case, "w", w.statistic, CLOSE);
        same(&case, "w_normal_p", w.p, CLOSE);
        let chosen = wilcoxon(&differences, None).unwrap();
        if case["w_exact_p"].is_number() {
            same(&case, "w_exact_p", chosen.p, CLOSE);
            exact += 1;
        } else {
            assert_eq!(chosen, w);
        }
    }
    assert!(exact >= 2);
}

#[test]
fn correlations() {
    for case in cases!("correlation") {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        let r = pearson(&x, &y).unwrap();
        same(&case, "r", r.r, CLOSE);
        same(&case, "r_p", r.p, CLOSE);
        same_interval(&case, "r_interval", r.interval.unwrap());
        let rho = spearman(&x, &y).unwrap();
        same(&case, "rho", rho.r, CLOSE);
        same(&case, "rho_p", rho.p, CLOSE);
    }
}

#[test]
fn families_of_tests() {
    for case in cases!("multiplicity") {
        let p = numbers(&case["p"]);
        for (key, ours) in [("holm", holm(&p)), ("benjamini_hochberg", benjamini_hochberg(&p))] {
            for (ours, theirs) in ours.iter().zip(numbers(&case[key])) {
                assert!((ours - theirs).abs() <= 1e-12, "{} {key}", case["name"]);
            }
        }
    }
}

#[test]
fn bootstraps() {
    for case in cases!("bootstrap") {
        let ours = if case["values"].is_array() {
            let statistic = if case["statistic"] == "mean" { mean } else { variance };
            bca(&numbers(&case["values"]), &indices(&case["resamples"]), statistic)
        } else {
            let resamples = (&indices(&case["resamples_a"])[..], &indices(&case["resamples_b"])[..]);
            bca_two((&numbers(&case["a"]), &numbers(&case["b"])), resamples, |a, b| hedges_g(a, b).map(|e| e.g))
        };
        same_interval(&case, "interval", ours.unwrap().interval);
    }
}

#[test]
fn mixed_models() {
    const LESS_CLOSE: f64 = 1e-3;
    for case in cases!("mixed") {
        let design: Vec<Vec<f64>> = numbers(&case["x"]).iter().map(|x| vec![1.0, *x]).collect();
        let groups: Vec<usize> = numbers(&case["groups"]).iter().map(|g| *g as usize).collect();
        let fit = random_intercept(&numbers(&case["values"]), &design, &groups).unwrap();
        let columns = ["estimates", "standard_errors", "p"].map(|key| numbers(&case[key]));
        for (i, fixed) in fit.fixed.iter().enumerate() {
            for (ours, theirs) in [fixed.estimate, fixed.standard_error, fixed.p].into_iter().zip(&columns) {
                assert!((ours - theirs[i]).abs() <= LESS_CLOSE, "{}: {fixed:?}", case["name"]);
            }
        }
        same(&case, "between", fit.between, LESS_CLOSE);
        same(&case, "within", fit.within, LESS_CLOSE);
    }
}
