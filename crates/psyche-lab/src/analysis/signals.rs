//! The series that trends, turning points and interventions look at.

use std::collections::BTreeMap;

use psyche_core::measure::{GaugeName, WINDOW};

use super::MAX_POINTS;
use super::reading::{Reading, Row};
use crate::statistics::Group;

/// A number per utterance.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub name: &'static str,
    pub unit: &'static str,
    /// A reading looks back on so many utterances; 1: on its own alone.
    pub window: usize,
    /// Index of the row, its `seq` and turn, and the value: rows without a value are absent.
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub row: usize,
    pub seq: u64,
    pub turn: u64,
    pub value: f64,
}

/// All of them: those of single utterances first, then the gauges.
pub(super) fn all(rows: &[Row]) -> Vec<Signal> {
    let signal = |name, unit, window, value: &dyn Fn(&Row) -> Option<f64>| Signal {
        name,
        unit,
        window,
        points: rows
            .iter()
            .enumerate()
            .filter_map(|(i, row)| Some(Point { row: i, seq: row.seq, turn: row.turn, value: value(row)? }))
            .collect(),
    };
    let mut signals = vec![
        signal("novelty", "nats", 1, &|row| row.novelty),
        signal("sentiment", "compound, -1..1", 1, &|row| row.text.as_ref().map(|_| row.sentiment)),
        signal("words", "words an utterance", 1, &|row| row.text.as_ref().map(|_| row.words as f64)),
        signal("latency", "ms", 1, &|row| row.latency_ms),
    ];
    signals.extend(
        GaugeName::ALL
            .map(|name| signal(name.as_str(), "standardised, 0..1", WINDOW, &move |row| Reading::gauge(row, name))),
    );
    signals
}

impl Signal {
    /// Readings that share no utterance: every `window`-th, counted back from the last.
    pub fn apart(&self) -> Vec<Point> {
        let mut apart: Vec<Point> = self.points.iter().rev().step_by(self.window).copied().collect();
        apart.reverse();
        apart
    }
}

/// Sums of the signals of single utterances.
pub(super) fn by_utterance(signals: &[Signal]) -> BTreeMap<String, Group> {
    let single = signals.iter().filter(|signal| signal.window == 1);
    single.map(|signal| (signal.name.to_owned(), values(&signal.points).into_iter().collect())).collect()
}

/// At most [`MAX_POINTS`] points, each the mean of as many of the given ones, with how many that is.
pub(super) fn thinned(points: &[Point]) -> (Vec<Point>, usize) {
    let every = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |stretch: &[Point]| Point {
        value: stretch.iter().map(|point| point.value).sum::<f64>() / stretch.len() as f64,
        ..stretch[0]
    };
    // A stretch that is not full would count as much as the others.
    (points.chunks_exact(every).map(mean).collect(), every)
}

pub(super) fn values(points: &[Point]) -> Vec<f64> {
    points.iter().map(|point| point.value).collect()
}
