//! Trends: did a measure rise or fall over the range?
//!
//! * Readings of a gauge share utterances with their neighbours, so only every 20th counts; a signal of single
//!   utterances counts whole. Longer series are averaged over equal stretches.
//! * Mann–Kendall with the correction of Hamed and Rao up to lag 10·log₁₀ n, at most n/4; the slope is Theil and Sen's,
//!   its interval widened by the same correction; p-values are corrected over all trends by Holm.
//! * Limits: fewer than [`LEAST`] readings say nothing. A trend is a description of this run.

use super::document::{Foretold, TrendLine};
use super::signals::{Signal, thinned, values};
use crate::statistics::{forecast, holm, mann_kendall, theil_sen};

/// Fewer readings than this give no trend.
const LEAST: usize = 10;

pub(super) fn trends(signals: &[Signal]) -> Vec<TrendLine> {
    let mut lines: Vec<TrendLine> = signals.iter().map(line).collect();
    let tested: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].p.is_some()).collect();
    let corrected = holm(&tested.iter().filter_map(|i| lines[*i].p).collect::<Vec<_>>());
    for (i, p) in tested.into_iter().zip(corrected) {
        lines[i].p_corrected = Some(p);
    }
    lines
}

fn line(signal: &Signal) -> TrendLine {
    let (points, every) = thinned(&signal.apart());
    let values = values(&points);
    let (n, stride) = (values.len(), every * signal.window);
    let lags = ((10.0 * (n.max(1) as f64).log10()) as usize).min(n / 4);
    let trend = (n >= LEAST).then(|| mann_kendall(&values, lags)).flatten();
    let slope = trend.and_then(|trend| theil_sen(&values, trend.inflation));
    let per_hundred = 100.0 / stride as f64;
    let steps = 20_usize.div_ceil(stride);
    // A line is carried on only where there is one.
    let ahead = trend.filter(|trend| trend.p <= 0.05).and_then(|_| forecast(&values, steps));
    let note = match trend {
        Some(_) => None,
        None if n < LEAST && signal.window > 1 => Some(format!(
            "{n} readings that share no utterance; a trend needs {LEAST}, which is {} utterances.",
            LEAST * signal.window
        )),
        None if n < LEAST => Some(format!("{n} utterances with a value; a trend needs {LEAST}.")),
        None => Some("All readings are equal.".to_owned()),
    };
    TrendLine {
        measure: signal.name.to_owned(),
        unit: signal.unit.to_owned(),
        tau: trend.map(|trend| trend.tau),
        p: trend.map(|trend| trend.p),
        p_corrected: None,
        slope: slope.map(|slope| slope.slope * per_hundred),
        interval: slope.map(|slope| slope.interval.map(|end| end * per_hundred)),
        inflation: trend.map(|trend| trend.inflation),
        n,
        stride,
        points: points.iter().map(|point| (point.seq, point.value)).collect(),
        forecast: ahead.map(|ahead| Foretold {
            utterances_ahead: steps * stride,
            value: ahead.value,
            interval: ahead.interval,
        }),
        note,
    }
}
