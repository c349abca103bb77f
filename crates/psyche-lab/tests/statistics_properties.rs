//! What must hold of every statistic, whatever the numbers.

use proptest::collection::vec;
use proptest::prelude::*;
use psyche_lab::statistics::{
    Group, auc, bca, benjamini_hochberg, change_point, hedges_g, holm, mann_kendall, mann_whitney, mean, mid_ranks,
    paired_t, pearson, quantile, random_intercept, random_intercept_of_groups, resamples, theil_sen, welch, wilcoxon,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn values(least: usize) -> impl Strategy<Value = Vec<f64>> {
    vec((-50_i32..50).prop_map(f64::from), least..60)
}

fn share(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

proptest! {
    #[test]
    fn sides_can_be_swapped(a in values(2), b in values(2)) {
        if let (Some(there), Some(back)) = (mann_whitney(&a, &b, None), mann_whitney(&b, &a, None)) {
            prop_assert!((there.p - back.p).abs() < 1e-12 && share(there.p));
            prop_assert_eq!(there.statistic + back.statistic, (a.len() * b.len()) as f64);
        }
        prop_assert!((auc(&a, &b).unwrap() + auc(&b, &a).unwrap() - 1.0).abs() < 1e-12);
        if let (Some((there, [low, high])), Some((back, _))) = (welch(&a, &b), welch(&b, &a)) {
            prop_assert!((there.statistic + back.statistic).abs() < 1e-9 && share(there.p));
            prop_assert_eq!(there.p < 0.05, low > 0.0 || high < 0.0);
        }
        if let (Some(there), Some(back)) = (hedges_g(&a, &b), hedges_g(&b, &a)) {
            prop_assert!((there.g + back.g).abs() < 1e-9 && there.interval[0] < there.g && there.g < there.interval[1]);
        }
    }

    #[test]
    fn signs_can_be_swapped(d in values(2)) {
        let turned: Vec<f64> = d.iter().map(|d| -d).collect();
        prop_assert_eq!(wilcoxon(&d, None), wilcoxon(&turned, None));
        if let (Some((there, _)), Some((back, _))) = (paired_t(&d), paired_t(&turned)) {
            prop_assert!((there.p - back.p).abs() < 1e-12);
        }
    }

    #[test]
    fn a_trend_turns_with_time(x in values(4)) {
        let backwards: Vec<f64> = x.iter().rev().copied().collect();
        if let (Some(there), Some(back)) = (mann_kendall(&x, 3), mann_kendall(&backwards, 3)) {
            prop_assert!((there.tau + back.tau).abs() < 1e-12 && share(there.p) && there.inflation >= 1.0);
        }
        let (there, back) = (theil_sen(&x, 1.0).unwrap(), theil_sen(&backwards, 1.0).unwrap());
        prop_assert!((there.slope + back.slope).abs() < 1e-9);
        prop_assert!(there.interval[0] <= there.slope && there.slope <= there.interval[1]);
        let wider = theil_sen(&x, 4.0).unwrap();
        prop_assert!(wider.interval[0] <= there.interval[0] && there.interval[1] <= wider.interval[1]);
    }

    #[test]
    fn corrections_keep_the_order_and_never_claim_more(p in vec(0.0..1.0_f64, 0..40)) {
        let (strict, mild) = (holm(&p), benjamini_hochberg(&p));
        for i in 0..p.len() {
            prop_assert!(p[i] <= mild[i] + 1e-15 && mild[i] <= strict[i] + 1e-15 && share(strict[i]));
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || (strict[i] <= strict[j] && mild[i] <= mild[j]));
            }
        }
    }

    #[test]
    fn ranks_are_shared_out_whole(x in values(1)) {
        let (ranks, ties) = mid_ranks(&x);
        let n = x.len();
        prop_assert_eq!(ranks.iter().sum::<f64>(), (n * (n + 1)) as f64 / 2.0);
        prop_assert_eq!(ties.iter().sum::<usize>(), n);
        let quartiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&x, q).unwrap());
        prop_assert!(quartiles.is_sorted());
    }

    #[test]
    fn a_bootstrap_moves_with_its_values(x in values(5), shift in -10_i32..10) {
        let drawn = resamples(x.len(), 200, 7);
        prop_assert!(drawn.iter().flatten().all(|i| *i < x.len()));
        let moved: Vec<f64> = x.iter().map(|x| x + f64::from(shift)).collect();
        if let (Some(there), Some(back)) = (bca(&x, &drawn, mean), bca(&moved, &drawn, mean)) {
            prop_assert!((back.interval[0] - there.interval[0] - f64::from(shift)).abs() < 1e-6);
            prop_assert!(there.interval[0] <= there.interval[1]);
        }
    }

    #[test]
    fn no_numbers_make_a_statistic_fail(x in vec(-1e6..1e6_f64, 0..30), y in vec(prop::sample::select(vec![0.0, 1.0]), 0..30)) {
        for p in [pearson(&x, &y).map(|r| r.p), welch(&x, &y).map(|t| t.0.p), change_point(&y, 3, 19, 1).map(|c| c.p)] {
            prop_assert!(p.is_none_or(share));
        }
        prop_assert!(mann_kendall(&y, 5).is_none_or(|t| share(t.p)));
    }
}

/// Draws that are normal enough: sums of twelve uniform ones.
struct Noise(ChaCha8Rng);

impl Noise {
    fn next(&mut self) -> f64 {
        (0..12).map(|_| f64::from(self.0.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }

    /// Means over a sliding window, as gauges are.
    fn windowed(&mut self, n: usize, window: usize) -> Vec<f64> {
        let raw: Vec<f64> = (0..n + window).map(|_| self.next()).collect();
        (0..n).map(|i| raw[i..i + window].iter().sum::<f64>() / window as f64).collect()
    }
}

/// How often, in `runs` series without a change, a test finds one at 5 %.
fn false_alarms(runs: u64, mut series: impl FnMut(&mut Noise) -> Vec<f64>, test: impl Fn(&[f64]) -> f64) -> f64 {
    let mut noise = Noise(ChaCha8Rng::seed_from_u64(11));
    let found = (0..runs).filter(|_| test(&series(&mut noise)) <= 0.05).count();
    found as f64 / runs as f64
}

#[test]
fn change_points_are_found_where_they_are_and_seldom_where_none_is() {
    let mut noise = Noise(ChaCha8Rng::seed_from_u64(5));
    let series: Vec<f64> = (0..120).map(|i| noise.next() + if i < 70 { 0.0 } else { 1.5 }).collect();
    let change = change_point(&series, 8, 999, 1).unwrap();
    assert!(change.at.abs_diff(70) <= 4 && change.p <= 0.005 && change.after - change.before > 1.0, "{change:?}");

    let plain = false_alarms(200, |noise| noise.windowed(120, 1), |x| change_point(x, 8, 199, 3).unwrap().p);
    assert!(plain <= 0.09, "{plain} of independent series");
    let windowed = false_alarms(200, |noise| noise.windowed(400, 20), |x| change_point(x, 40, 199, 3).unwrap().p);
    assert!(windowed <= 0.09, "{windowed} of windowed series");
    // The guard: blocks no longer than a value treat the series as if it had no memory.
    let without = false_alarms(200, |noise| noise.windowed(400, 20), |x| change_point(x, 1, 199, 3).unwrap().p);
    assert!(without > 0.5, "{without}");
}

#[test]
fn the_correction_of_trends_holds_its_level_where_the_plain_test_does_not() {
    let series = |noise: &mut Noise| noise.windowed(100, 4);
    let plain = false_alarms(300, series, |x| mann_kendall(x, 0).unwrap().p);
    let corrected = false_alarms(300, series, |x| mann_kendall(x, 10).unwrap().p);
    assert!(plain > 0.2 && corrected < 0.12, "{plain} plain, {corrected} corrected");
}

#[test]
fn a_mixed_model_without_groups_that_differ_is_least_squares() {
    // Three groups that hold the same values: nothing lies between them.
    let values: Vec<f64> = [1.0, 2.0, 4.0, 7.0].repeat(3);
    let groups: Vec<usize> = (0..12).map(|i| i / 4).collect();
    let fit = random_intercept(&values, &vec![vec![1.0]; 12], &groups).unwrap();
    assert!(fit.between < 1e-9 && (fit.fixed[0].estimate - 3.5).abs() < 1e-12, "{fit:?}");
    assert!((fit.within - psyche_lab::statistics::variance(&values).unwrap()).abs() < 1e-12);
    // From sums it is the same fit.
    let of_group = |group: usize| (vec![1.0], values[4 * group..4 * group + 4].iter().copied().collect::<Group>());
    let of_sums = random_intercept_of_groups(&[0, 1, 2].map(of_group)).unwrap();
    assert!((of_sums.within - fit.within).abs() < 1e-9 && (of_sums.fixed[0].p - fit.fixed[0].p).abs() < 1e-9);
    for (design, groups) in [(vec![vec![1.0, 1.0]; 12], groups.clone()), (vec![vec![1.0]; 12], vec![0; 12])] {
        assert_eq!(random_intercept(&values, &design, &groups), None);
    }
}
