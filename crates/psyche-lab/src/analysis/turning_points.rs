//! Turning points: where the level of a measure changed more than its own variation explains.
//!
//! * [`change_point`] on every series; where its p is at most 0.05, the parts on both sides are searched again, so that
//!   several changes of one series are found (binary segmentation, Vostrikova 1981).
//! * Blocks of the permutations: two windows for a gauge, which remembers the utterances it looks back on; for a
//!   signal of single utterances, as many as its autocorrelation is significant for, at least n^⅓ and 5.
//! * All tests made are corrected together by Holm; what stays at or below 0.05 is listed.
//! * Limits: changes of level only; a slow drift is a trend, and may be listed here as a change in its middle.

use std::collections::VecDeque;

use super::document::TurningPoint;
use super::signals::{Point, Signal, thinned, values};
use crate::statistics::{Change, autocorrelation, change_point, holm};

const LEVEL: f64 = 0.05;
const PERMUTATIONS: usize = 999;
/// Parts of one series that are searched.
const TESTS: usize = 15;

pub(super) fn turning_points(signals: &[Signal], seed: u64) -> Vec<TurningPoint> {
    let mut found: Vec<TurningPoint> = Vec::new();
    let mut tests: Vec<f64> = Vec::new();
    for (number, signal) in signals.iter().enumerate() {
        let (points, every) = thinned(&signal.points);
        let block = if signal.window > 1 { (2 * signal.window).div_ceil(every) } else { memory(&values(&points)) };
        let mut parts = VecDeque::from([(0, points.len())]);
        let mut tested = 0;
        while let Some((start, end)) = parts.pop_front() {
            let part: Vec<f64> = values(&points[start..end]);
            let stream = seed ^ ((number as u64) << 48) ^ ((start as u64) << 16) ^ end as u64;
            let Some(change) = change_point(&part, block, PERMUTATIONS, stream) else { continue };
            tests.push(change.p);
            found.push(listed(signal, &points[start + change.at], every, &change));
            tested += 1;
            if change.p <= LEVEL && tested + parts.len() + 2 <= TESTS {
                parts.extend([(start, start + change.at), (start + change.at, end)]);
            }
        }
    }
    for (point, corrected) in found.iter_mut().zip(holm(&tests)) {
        point.p_corrected = corrected;
    }
    found.retain(|point| point.p_corrected <= LEVEL);
    found.sort_by(|a, b| (a.seq, &a.measure).cmp(&(b.seq, &b.measure)));
    found
}

fn listed(signal: &Signal, point: &Point, every: usize, change: &Change) -> TurningPoint {
    TurningPoint {
        seq: point.seq,
        turn: point.turn,
        measure: signal.name.to_owned(),
        unit: signal.unit.to_owned(),
        change: change.after - change.before,
        before: change.before,
        after: change.after,
        p: change.p,
        p_corrected: 1.0,
        within: every,
    }
}

/// For how many values a series remembers, up to a tenth of it.
fn memory(values: &[f64]) -> usize {
    let n = values.len();
    let significant = 1.96 / (n.max(1) as f64).sqrt();
    let forgotten = (1..n / 10).find(|lag| autocorrelation(values, *lag).is_none_or(|rho| rho.abs() < significant));
    forgotten.unwrap_or(n / 10).max((n as f64).cbrt().ceil() as usize).max(5)
}
