//! Who spoke how much, and how the conversation went by its parts.

use std::collections::BTreeMap;

use psyche_core::measure::GaugeName;

use super::document::{Balance, MeasureSummary, Quality, QualityPart, Shares, SpeakerShare};
use super::opinions::Opinions;
use super::reading::Reading;
use crate::statistics::proportion_interval;

/// Speaking shares with Wilson's interval; Gini over the agents.
pub(super) fn shares(reading: &Reading, opinions: &Opinions<'_>) -> Shares {
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
    let balance = opinions.balance();
    Shares {
        speakers: reading.speakers.iter().zip(&spoken).map(speaker).collect(),
        balance: Balance {
            gini_utterances: balance.turns,
            gini_words: balance.words,
            dominance_switches: balance.dominance_switches,
            note: Some(
                "Every agent that may speak does so once a round: how evenly turns are shared is fixed by the schedule, \
                 and only the words are free."
                    .to_owned(),
            ),
        },
    }
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
    // The Gini of one of n agents who speaks alone.
    let agents = reading.speakers.iter().filter(|id| *id != "user").count().max(2) as f64;
    let most = (agents - 1.0) / agents;
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
            value: shares.balance.gini_words.map(|gini| 1.0 - gini / most),
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
