//! Who spoke how much, and how the conversation went by its parts.

use std::collections::BTreeMap;

use psyche_core::measure::GaugeName;

use super::document::{Balance, MeasureSummary, Quality, QualityPart, Shares, SpeakerShare};
use super::reading::Reading;
use crate::statistics::proportion_interval;

/// Speaking shares with Wilson's interval; Gini over the agents.
pub(super) fn shares(reading: &Reading) -> Shares {
    let mut spoken = vec![(0, 0); reading.speakers.len()];
    for row in &reading.rows {
        spoken[row.speaker].0 += 1;
        spoken[row.speaker].1 += row.words;
    }
    let all = reading.rows.len();
    let all_words: usize = spoken.iter().map(|(_, words)| words).sum();
    let speaker = |(id, (utterances, words)): (&String, &(usize, usize))| SpeakerShare {
        agent_id: id.clone(),
        utterances: *utterances,
        share: *utterances as f64 / all.max(1) as f64,
        interval: proportion_interval(*utterances as u64, all as u64),
        words: *words,
        word_share: (all_words > 0).then(|| *words as f64 / all_words as f64),
    };
    let agents: Vec<(usize, usize)> =
        reading.speakers.iter().zip(&spoken).filter(|(id, _)| *id != "user").map(|(_, counts)| *counts).collect();
    Shares {
        speakers: reading.speakers.iter().zip(&spoken).map(speaker).collect(),
        balance: Balance {
            gini_utterances: gini(agents.iter().map(|(utterances, _)| *utterances)),
            gini_words: gini(agents.iter().map(|(_, words)| *words)),
            note: Some(
                "Every agent that may speak does so once a round: how evenly turns are shared is fixed by the schedule, \
                 and only the words are free."
                    .to_owned(),
            ),
        },
    }
}

/// Σ_i Σ_j |x_i − x_j| / (2·n²·x̄), times n/(n − 1) so that one who speaks alone is 1. `None` for fewer than two or for
/// nothing at all.
fn gini(counts: impl Iterator<Item = usize>) -> Option<f64> {
    let counts: Vec<f64> = counts.map(|count| count as f64).collect();
    let (n, total) = (counts.len() as f64, counts.iter().sum::<f64>());
    let differences: f64 = counts.iter().flat_map(|a| counts.iter().map(move |b| (a - b).abs())).sum();
    (counts.len() >= 2 && total > 0.0).then(|| differences / (2.0 * (n - 1.0) * total))
}

/// The parts of quality. Each is a measure that is reported for itself too; the blend is their plain mean.
pub(super) fn quality(reading: &Reading, measures: &BTreeMap<String, MeasureSummary>, shares: &Shares) -> Quality {
    let gauge = |name: &str, of: GaugeName, turned: bool, means: &str| {
        let part = measures.get(of.as_str());
        let turn = |x: f64| if turned { 1.0 - x } else { x };
        QualityPart {
            name: name.to_owned(),
            value: part.and_then(|part| part.standardised).map(turn),
            interval: None,
            means: means.to_owned(),
        }
    };
    let (mut committed, mut failed, mut truncated) = (0, 0, 0);
    for calls in reading.calls.values() {
        committed += calls.committed;
        failed += calls.failures.values().sum::<u64>() + calls.abandoned;
        truncated += calls.truncated;
    }
    let share = |name: &str, good: u64, of: u64, means: &str| QualityPart {
        name: name.to_owned(),
        value: (of > 0).then(|| good as f64 / of as f64),
        interval: proportion_interval(good, of),
        means: means.to_owned(),
    };
    let parts = vec![
        gauge("uptake", GaugeName::Engagement, false, "utterances take up what they answer"),
        gauge("progress", GaugeName::Stagnation, true, "the talk does not return to what was said"),
        gauge("variety", GaugeName::Diversity, false, "the vocabulary is rich"),
        gauge("freshness", GaugeName::Repetition, true, "no phrase is repeated"),
        QualityPart {
            name: "balance".to_owned(),
            value: shares.balance.gini_words.map(|gini| 1.0 - gini),
            interval: None,
            means: "all agents say as much".to_owned(),
        },
        share("reliability", committed, committed + failed, "model calls that gave an utterance"),
        share("completeness", committed - truncated.min(committed), committed, "utterances that were not cut off"),
    ];
    let there: Vec<f64> = parts.iter().filter_map(|part| part.value).collect();
    Quality {
        value: (!there.is_empty()).then(|| there.iter().sum::<f64>() / there.len() as f64),
        parts,
        note: "Exploratory: the value is the plain mean of the parts there are. Look at the parts.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_of_toy_sequences() {
        let cases: [(&[usize], Option<f64>); 6] = [
            (&[5, 5, 5], Some(0.0)),
            (&[9, 0, 0], Some(1.0)),
            (&[3, 1], Some(0.5)),
            (&[1, 2, 3, 4], Some(1.0 / 3.0)),
            (&[7], None),
            (&[0, 0], None),
        ];
        for (counts, expected) in cases {
            let gini = gini(counts.iter().copied());
            assert!(gini.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-12), "{counts:?}: {gini:?}");
            assert_eq!(gini.is_some(), expected.is_some(), "{counts:?}");
        }
    }
}
