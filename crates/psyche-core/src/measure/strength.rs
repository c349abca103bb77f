//! Strength of a connection and health of the network, from what flowed in the window.
//!
//! * strength(e) = Σ over the messages on edge e of 2^(−age / half-life) / Σ for k = 0, p, 2p … < 20 of 2^(−k /
//!   half-life), at most 1.
//! * The divisor is the busiest possible edge: one message every p turns, p being the number of speakers that take
//!   turns.
//! * health = (open paths in use / open paths) · (1 − Gini of the messages on the paths in use) · (1 − failed /
//!   (turns + failed)).
//! * Source: both are this project's own definitions: conventions for display, not instruments with a literature.
//! * Limits: they count messages, not what is in them.

use super::WINDOW;
use super::balance::gini;
use std::collections::BTreeMap;

/// One delivery: an utterance from `from` heard by `to`, so many turns ago (0 = the latest turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub turns_ago: usize,
}

/// The strength of every edge that carried something in the last [`WINDOW`] turns, 0..1; an absent edge has 0.
/// `half_life` is in turns and `speakers` the number of agents that take turns; both count as at least 1.
pub fn connection_strengths<'a>(
    deliveries: &[Delivery<'a>],
    half_life: f64,
    speakers: usize,
) -> BTreeMap<(&'a str, &'a str), f64> {
    let weight = |age: usize| libm::exp2(-(age as f64) / half_life.max(1.0));
    let busiest: f64 = (0..WINDOW).step_by(speakers.max(1)).map(weight).sum();
    let mut strengths = BTreeMap::new();
    for delivery in deliveries.iter().filter(|delivery| delivery.turns_ago < WINDOW) {
        *strengths.entry((delivery.from, delivery.to)).or_insert(0.0) += weight(delivery.turns_ago) / busiest;
    }
    for strength in strengths.values_mut() {
        *strength = f64::min(*strength, 1.0);
    }
    strengths
}

/// The health of the network, 0..1: 1 when every open path carries the same and no turn failed, 0 when nothing flows.
/// `open` are the paths (from, to) open now; `turns` and `failed` count the finished and the failed turns of the window.
pub fn network_health(deliveries: &[Delivery<'_>], open: &[(&str, &str)], turns: usize, failed: usize) -> f64 {
    let counts: Vec<usize> = open
        .iter()
        .map(|path| deliveries.iter().filter(|d| d.turns_ago < WINDOW && (d.from, d.to) == *path).count())
        .filter(|count| *count > 0)
        .collect();
    if counts.is_empty() {
        return 0.0;
    }
    let in_use = counts.len() as f64 / open.len() as f64;
    let succeeded = 1.0 - failed as f64 / (turns + failed).max(1) as f64;
    in_use * (1.0 - gini(counts).unwrap_or(0.0)) * succeeded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(ages: &[usize]) -> Vec<Delivery<'static>> {
        ages.iter().map(|age| Delivery { from: "shadow", to: "ego", turns_ago: *age }).collect()
    }

    fn strength(ages: &[usize]) -> f64 {
        connection_strengths(&deliveries(ages), 10.0, 5).get(&("shadow", "ego")).copied().unwrap_or(0.0)
    }

    #[test]
    fn strength_is_zero_without_messages_monotone_in_count_and_decays() {
        assert_eq!(strength(&[]), 0.0);
        assert_eq!(strength(&[20, 400]), 0.0, "outside the window");
        assert_eq!(strength(&[0, 5, 10, 15]), 1.0, "the busiest possible edge");
        assert_eq!(strength(&[0, 1, 2, 3, 4, 5]), 1.0, "never above 1");
        assert!(strength(&[3]) < strength(&[3, 8]) && strength(&[3, 8]) < strength(&[3, 8, 13]));
        for age in 0..19 {
            assert!(strength(&[age]) > strength(&[age + 1]));
        }
        assert!((strength(&[10]) - strength(&[0]) / 2.0).abs() < 1e-12, "half after a half-life");
        assert!(
            strength(&[0]).is_finite() && connection_strengths(&deliveries(&[0]), 0.0, 0)[&("shadow", "ego")] <= 1.0
        );
    }

    #[test]
    fn health_is_one_for_an_even_flow_and_zero_for_none() {
        let open = [("shadow", "ego"), ("persona", "shadow"), ("anima", "self"), ("self", "ego")];
        let even: Vec<Delivery<'_>> =
            (0..8).map(|i| Delivery { from: open[i % 4].0, to: open[i % 4].1, turns_ago: i }).collect();
        assert_eq!(network_health(&even, &open, 8, 0), 1.0);
        assert_eq!(network_health(&even, &open, 8, 8), 0.5);
        assert_eq!(network_health(&[], &open, 8, 0), 0.0);
        assert_eq!(network_health(&even, &[], 8, 0), 0.0);
        assert_eq!(network_health(&[], &[], 0, 0), 0.0);
        assert_eq!(network_health(&even[..2], &open, 2, 0), 0.5, "half of the paths in use");
        let mut uneven = even.clone();
        uneven.extend(vec![even[0]; 20]);
        let health = network_health(&uneven, &open, 28, 0);
        assert!(0.0 < health && health < 0.6, "{health}");
    }
}
