//! Alarm of a gauge: it has been at its bad end for longer than chance explains.
//!
//! * b = how bad the reading is: the standardised value, or 1 − it for engagement and diversity.
//! * S = max(0, S before + b − k), a one-sided CUSUM; the alarm is raised while S ≥ h. S is cut at 2·h, so that an
//!   alarm ends soon after its cause.
//! * `sum` is S/h: 0 = calm, 1 = the alarm. A reading that cannot be taken ends the chart; the next begins at 0.
//! * h = 1 and k = 0.4; for engagement and diversity, whose healthy level spreads more, k = 0.6. Counted on generated
//!   healthy dialogues, such an alarm is raised at most once in 100 of their turns.
//! * Source: Page (1954), Biometrika 41:100.
//! * Limits: the rate holds for talk like the generated dialogues; consecutive windows share 19 of 20 utterances, so
//!   textbook tables of run lengths do not apply, and it was counted instead.

use super::{GaugeName, Gauges, four_digits};
use serde::{Deserialize, Serialize};

/// False alarms in 100 turns of healthy talk, of one gauge, at most.
pub const FALSE_ALARMS_PER_100: f64 = 1.0;

/// The chart of one gauge. It is part of the state that is folded: the next chart is computed from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub raised: bool,
    /// S/h, 0..2.
    pub sum: f64,
    /// The false alarms in 100 turns of healthy talk this alarm is set for.
    pub false_alarms_per_100: f64,
}

/// Carries the charts on from the gauges before to these.
pub fn chart(before: &Gauges, gauges: &mut Gauges) {
    for (name, gauge) in gauges {
        let sum = before.get(name).and_then(|gauge| gauge.alarm.as_ref()).map_or(0.0, |alarm| alarm.sum);
        gauge.alarm = gauge.standardised.map(|standardised| next(*name, sum, standardised));
    }
}

fn next(name: GaugeName, sum: f64, standardised: f64) -> Alarm {
    let [k, h] = limits(name);
    let sum = four_digits((sum + (badness(name, standardised) - k) / h).clamp(0.0, 2.0));
    Alarm { raised: sum >= 1.0, sum, false_alarms_per_100: FALSE_ALARMS_PER_100 }
}

/// b.
pub fn badness(name: GaugeName, standardised: f64) -> f64 {
    if matches!(name, GaugeName::Engagement | GaugeName::Diversity) { 1.0 - standardised } else { standardised }
}

/// k and h.
pub fn limits(name: GaugeName) -> [f64; 2] {
    match name {
        GaugeName::Engagement | GaugeName::Diversity => [0.6, 1.0],
        _ => [0.4, 1.0],
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gauge;
    use super::*;

    fn after(name: GaugeName, readings: &[Option<f64>]) -> Vec<Option<Alarm>> {
        let mut before = Gauges::new();
        let read = |standardised: &Option<f64>| {
            let mut gauges = Gauges::from([(name, Gauge { standardised: *standardised, ..Gauge::default() })]);
            chart(&before, &mut gauges);
            before = gauges;
            before[&name].alarm.clone()
        };
        readings.iter().map(read).collect()
    }

    fn sums(name: GaugeName, readings: &[Option<f64>]) -> Vec<f64> {
        after(name, readings).into_iter().map(|alarm| alarm.map_or(-1.0, |alarm| alarm.sum)).collect()
    }

    #[test]
    fn the_sum_grows_with_what_is_bad_and_never_leaves_its_range() {
        let [k, h] = limits(GaugeName::Conflict);
        let step = four_digits((1.0 - k) / h);
        assert_eq!(sums(GaugeName::Conflict, &[Some(0.0), Some(1.0), Some(0.0)])[..2], [0.0, step]);
        let long = after(GaugeName::Conflict, &[Some(1.0); 50]);
        assert_eq!(long.last().unwrap().as_ref().unwrap().sum, 2.0);
        for alarm in long.into_iter().flatten() {
            assert_eq!(alarm.raised, alarm.sum >= 1.0);
        }
        assert!(sums(GaugeName::Engagement, &[Some(0.0)])[0] > 0.0, "for engagement low is bad");
        assert_eq!(sums(GaugeName::Engagement, &[Some(1.0)])[0], 0.0);
    }

    #[test]
    fn a_gap_ends_the_chart() {
        let read = sums(GaugeName::Stagnation, &[Some(1.0), None, Some(1.0)]);
        assert_eq!((read[1], read[0]), (-1.0, read[2]));
    }
}
