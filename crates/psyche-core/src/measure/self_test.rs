//! The canonical transcripts and their families read again: what anybody can ask a running program to show.

use super::families::Family;
use super::{GaugeName, Turn, Vader, WINDOW, canonical, gauges};
use serde::Serialize;
use std::collections::BTreeMap;

/// One gauge of one transcript or family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfTest {
    /// Of the canonical transcript.
    pub name: &'static str,
    /// The canonical transcript itself, or members of its family.
    pub family: bool,
    pub gauge: GaugeName,
    /// Where the standardised value must lie.
    pub expected: [f64; 2],
    /// The lowest and the highest standardised value: of every full window of the transcript, of the last window of
    /// every member.
    pub reading: [f64; 2],
    pub ok: bool,
}

/// Reads everything again: 30 rows of transcripts, 30 of families. It takes about a second, so not on an async thread.
pub fn self_test(vader: &Vader) -> Vec<SelfTest> {
    let mut rows = Vec::new();
    for (transcript, family) in canonical().into_iter().zip(Family::ALL) {
        let turns = transcript.scored(vader);
        let ends = (WINDOW..=turns.len()).map(|end| (&turns[..end], end as u64));
        rows.extend(read(vader, transcript.name, false, &transcript.expected, ends));
        let members: Vec<_> = family.members().collect();
        let scored: Vec<_> = members.iter().map(|member| member.scored(vader)).collect();
        let ends = scored.iter().map(Vec::as_slice).zip(0..);
        rows.extend(read(vader, family.as_str(), true, &family.expected(), ends));
    }
    rows
}

fn read<'a>(
    vader: &Vader,
    name: &'static str,
    family: bool,
    expected: &BTreeMap<GaugeName, [f64; 2]>,
    windows: impl Iterator<Item = (&'a [Turn<'a>], u64)>,
) -> Vec<SelfTest> {
    let mut readings: BTreeMap<GaugeName, [f64; 2]> = BTreeMap::new();
    for (window, seed) in windows {
        for (gauge, read) in gauges(vader, window, seed) {
            let value = read.standardised.unwrap_or(f64::NAN);
            let bounds = readings.entry(gauge).or_insert([value, value]);
            // A gap is outside every band, and stays so.
            if !bounds[0].is_nan() {
                *bounds = if value.is_nan() { [value; 2] } else { [bounds[0].min(value), bounds[1].max(value)] };
            }
        }
    }
    let row = |(gauge, reading): (GaugeName, [f64; 2])| {
        let expected = expected[&gauge];
        let ok = expected[0] <= reading[0] && reading[1] <= expected[1];
        SelfTest { name, family, gauge, expected, reading, ok }
    };
    readings.into_iter().map(row).collect()
}
