//! Measures over the whole range: the six gauges and the sentiment of utterances.

use std::collections::BTreeMap;

use psyche_core::measure::{Gauge, GaugeName, MEASURES_VERSION};

use super::document::MeasureSummary;
use super::reading::Reading;
use super::signals::{Signal, values};
use crate::statistics::{mean, mean_interval};

/// Fewer readings than this give no interval.
const LEAST: usize = 4;

/// By name. A gauge's value is the mean of its readings that share no utterance, with the t interval of that mean; its
/// null is the mean of theirs.
pub(super) fn measures(reading: &Reading, signals: &[Signal]) -> BTreeMap<String, MeasureSummary> {
    let mut measures = BTreeMap::new();
    for name in GaugeName::ALL {
        let Some(signal) = signals.iter().find(|signal| signal.name == name.as_str()) else { continue };
        measures.insert(name.as_str().to_owned(), gauge(reading, signal, name));
    }
    if let Some(signal) = signals.iter().find(|signal| signal.name == "sentiment") {
        let values = values(&signal.points);
        let summary = MeasureSummary {
            value: mean(&values),
            interval: mean_interval(&values),
            n: values.len(),
            unit: "mean compound of utterances, -1..1; n counts utterances".to_owned(),
            version: MEASURES_VERSION,
            note: Some("English only. The interval treats utterances as independent.".to_owned()),
            ..MeasureSummary::default()
        };
        measures.insert("sentiment".to_owned(), summary);
    }
    measures
}

fn gauge(reading: &Reading, signal: &Signal, name: GaugeName) -> MeasureSummary {
    let readings: Vec<&Gauge> =
        signal.apart().iter().filter_map(|point| reading.rows[point.row].gauges.get(&name)).collect();
    let raw: Vec<f64> = readings.iter().filter_map(|gauge| gauge.value).collect();
    let standardised: Vec<f64> = readings.iter().filter_map(|gauge| gauge.standardised).collect();
    let side = |i: usize| mean(&readings.iter().filter_map(|gauge| Some(gauge.null?[i])).collect::<Vec<_>>());
    let enough = raw.len() >= LEAST;
    let mut parts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (part, value) in readings.iter().flat_map(|gauge| &gauge.components) {
        parts.entry(part.as_ref()).or_default().push(*value);
    }
    let components = parts.into_iter().filter_map(|(part, values)| Some((part.to_owned(), mean(&values)?))).collect();
    MeasureSummary {
        value: mean(&raw),
        standardised: mean(&standardised),
        interval: match &readings[..] {
            [only] => only.interval,
            _ if enough => mean_interval(&raw),
            _ => None,
        },
        components,
        null: side(0).zip(side(1)).map(|(low, high)| [low, high]),
        n: raw.len(),
        unit: "raw value (docs/measures.md); n counts readings that share no utterance".to_owned(),
        version: reading.measures_version(),
        note: match raw.len() {
            0 => Some("Too little material for a reading.".to_owned()),
            1 => Some("One reading: the interval is that reading's own.".to_owned()),
            n if !enough => Some(format!("{n} reading(s); an interval needs {LEAST}.")),
            _ => None,
        },
        ..MeasureSummary::default()
    }
}
