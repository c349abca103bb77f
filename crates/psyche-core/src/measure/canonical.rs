//! Five conversations whose readings are known before they are measured: they fix the scale of the gauges and keep
//! them honest. Written for this project; the random words were drawn once, evenly, from 247 words.

use super::{GaugeName, Turn, Vader};
use std::collections::BTreeMap;

/// A canonical conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    pub name: &'static str,
    pub turns: Vec<Line>,
    /// Where the standardised value of each gauge must lie, in every full window of the transcript.
    pub expected: BTreeMap<GaugeName, [f64; 2]>,
}

/// One utterance; each answers the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub speaker: &'static str,
    pub text: &'static str,
}

impl Canonical {
    /// All turns of the transcript, scored, each answering the one before.
    pub fn scored(&self, vader: &Vader) -> Vec<Turn<'static>> {
        let turn = |(i, line): (usize, &Line)| Turn {
            speaker: line.speaker,
            addressee: i.checked_sub(1).map(|before| self.turns[before].speaker),
            text: line.text,
            compound: vader.score(line.text).compound,
            answers: i.checked_sub(1),
        };
        self.turns.iter().enumerate().map(turn).collect()
    }
}

/// The five: random words, perfect loop, gratitude loop, escalating quarrel, healthy dialogue.
pub fn canonical() -> Vec<Canonical> {
    // In the order of `GaugeName::ALL`: conflict, engagement, diversity, repetition, emotional intensity, stagnation.
    // The perfect loop is diverse: within one round of 123 words nothing recurs, and MTLD reads no further.
    [
        (
            "random_words",
            include_str!("canonical/random_words.txt"),
            [[0.0, 0.1], [0.0, 0.4], [0.9, 1.0], [0.0, 0.1], [0.0, 0.1], [0.0, 0.2]],
        ),
        (
            "perfect_loop",
            include_str!("canonical/perfect_loop.txt"),
            [[0.0, 0.1], [0.0, 0.1], [0.9, 1.0], [0.9, 1.0], [0.0, 0.1], [0.9, 1.0]],
        ),
        (
            "gratitude_loop",
            include_str!("canonical/gratitude_loop.txt"),
            [[0.0, 0.1], [0.0, 0.2], [0.0, 0.1], [0.85, 1.0], [0.9, 1.0], [0.7, 1.0]],
        ),
        (
            "escalating_quarrel",
            include_str!("canonical/escalating_quarrel.txt"),
            [[0.8, 1.0], [0.25, 0.85], [0.2, 0.55], [0.0, 0.15], [0.5, 1.0], [0.0, 0.2]],
        ),
        (
            "healthy_dialogue",
            include_str!("canonical/healthy_dialogue.txt"),
            [[0.0, 0.1], [0.9, 1.0], [0.8, 1.0], [0.0, 0.1], [0.0, 0.15], [0.0, 0.15]],
        ),
    ]
    .into_iter()
    .map(|(name, file, expected)| Canonical {
        name,
        turns: lines(file),
        expected: GaugeName::ALL.into_iter().zip(expected).collect(),
    })
    .collect()
}

/// Reads `speaker> text` lines; others are passed over.
fn lines(file: &'static str) -> Vec<Line> {
    file.lines().filter_map(|line| line.split_once("> ")).map(|(speaker, text)| Line { speaker, text }).collect()
}

/// The levels and baselines written in the measures' files are those of the transcripts.
#[cfg(test)]
mod calibration {
    use super::super::null::{Null, below};
    use super::super::{WINDOW, conflict, diversity, emotional_intensity, engagement, gauges, repetition, stagnation};
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const DRAWS: usize = 999;

    fn scored(vader: &Vader, name: &str) -> Vec<Turn<'static>> {
        canonical().into_iter().find(|transcript| transcript.name == name).unwrap().scored(vader)
    }

    fn last(name: &str, gauge: GaugeName) -> f64 {
        let vader = Vader::new();
        gauges(&vader, &scored(&vader, name), 0)[&gauge].value.unwrap()
    }

    /// The null of a statistic over 20 turns drawn with replacement from healthy dialogue.
    fn bootstrap(turns: usize, statistic: impl Fn(&[usize]) -> f64) -> Null {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let draw = |random: &mut ChaCha8Rng| (0..WINDOW).map(|_| below(turns, random)).collect::<Vec<_>>();
        Null::of((0..DRAWS).map(|_| statistic(&draw(&mut random))).collect())
    }

    fn null_holds(what: &str, written: Null, measured: Null) {
        for (a, b) in [(written.low, measured.low), (written.median, measured.median), (written.high, measured.high)] {
            assert!((a - b).abs() < 0.0006 * b.max(1.0), "{what}: measured {measured:?}");
        }
    }

    #[test]
    fn extremes_are_the_levels_of_the_last_full_window() {
        let levels = [
            ("conflict", conflict::EXTREME, last("escalating_quarrel", GaugeName::Conflict)),
            ("engagement", engagement::EXTREME, last("healthy_dialogue", GaugeName::Engagement)),
            ("diversity", diversity::POOR, last("gratitude_loop", GaugeName::Diversity)),
            ("repetition", repetition::EXTREME, last("perfect_loop", GaugeName::Repetition)),
            (
                "emotional intensity",
                emotional_intensity::EXTREME,
                last("escalating_quarrel", GaugeName::EmotionalIntensity),
            ),
            ("stagnation", stagnation::EXTREME, last("perfect_loop", GaugeName::Stagnation)),
        ];
        for (_, written, measured) in levels {
            assert!((written - measured).abs() < 0.0006 * measured.max(1.0), "(name, written, measured): {levels:?}");
        }
    }

    #[test]
    fn the_healthy_baseline_of_conflict_is_a_bootstrap_of_its_turns() {
        let vader = Vader::new();
        let cues = conflict::conflict(&vader, &scored(&vader, "healthy_dialogue"));
        let mean = |drawn: &[usize]| drawn.iter().map(|i| cues[*i].value()).sum::<f64>() / drawn.len() as f64;
        null_holds("conflict", conflict::HEALTHY, bootstrap(cues.len(), mean));
    }

    #[test]
    fn the_healthy_baseline_of_emotional_intensity_is_a_bootstrap_of_its_turns() {
        let vader = Vader::new();
        let turns = scored(&vader, "healthy_dialogue");
        let level = |drawn: &[usize]| {
            let drawn: Vec<Turn<'_>> = drawn.iter().map(|i| turns[*i].clone()).collect();
            emotional_intensity::emotional_intensity(&vader, &drawn).unwrap()
        };
        null_holds("emotional intensity", emotional_intensity::HEALTHY, bootstrap(turns.len(), level));
    }

    /// Drawing turns out of order would break the thread that makes words recur, so the windows are the 21 consecutive ones.
    #[test]
    fn the_healthy_baseline_of_diversity_is_that_of_its_windows() {
        let vader = Vader::new();
        let turns = scored(&vader, "healthy_dialogue");
        let mtld = |window: &[Turn<'_>]| diversity::mtld(window.iter().map(|turn| turn.text)).unwrap();
        null_holds("diversity", diversity::HEALTHY, Null::of(turns.windows(WINDOW).map(mtld).collect()));
    }
}
