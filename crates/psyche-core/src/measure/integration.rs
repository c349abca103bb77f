//! Integration (exploratory): utterances that name another's position and move one's own. English only.
//!
//! * An utterance names another's position when it names another speaker or addresses one ("you", "your" …), or shares
//!   a content word with the utterance it answers; it moves its own when it holds a phrase of moving ("I admit", "you
//!   are right", "I had not thought", "I see now", "perhaps both" …).
//! * value = utterances that do both / utterances that answer; interval = Wilson's, 95 %.
//! * Source: the share follows what Suedfeld & Tetlock's coders call integration (see Suedfeld, Tetlock & Streufert,
//!   1992); the phrases are this project's own, and nobody has calibrated them on coded text.
//! * Limits: exploratory. It counts phrases, not thought; agreeing politely without moving is counted too.
//!   Individuation is never claimed.

use super::Turn;
use super::content_words::ContentWords;
use super::window::Window;
use serde::Serialize;

/// How often positions are named and moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Integration {
    /// Utterances that answer another.
    pub answers: usize,
    pub integrating: usize,
    /// 0..1.
    pub value: f64,
    /// Wilson's interval of it, 95 %.
    pub interval: [f64; 2],
}

/// The share among the utterances that answer; `None` without one.
pub fn integration(turns: &[Turn<'_>]) -> Option<Integration> {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let content = ContentWords::new(&window);
    let (mut answers, mut integrating) = (0, 0);
    for (j, turn) in turns.iter().enumerate() {
        let Some(i) = turn.answers.filter(|i| *i < j && turns[*i].speaker != turn.speaker) else { continue };
        let words: Vec<&str> = window.text(j).iter().map(|word| window.word(*word)).collect();
        let others = || turns.iter().map(|other| other.speaker).filter(|other| *other != turn.speaker);
        let names = words
            .iter()
            .any(|word| SECOND_PERSON.contains(word) || others().any(|other| word.eq_ignore_ascii_case(other)));
        answers += 1;
        integrating += usize::from((names || content.similarity(j, i) > 0.0) && moves(&words));
    }
    let share = integrating as f64 / answers as f64;
    (answers > 0).then(|| Integration { answers, integrating, value: share, interval: wilson(share, answers) })
}

fn moves(words: &[&str]) -> bool {
    (0..words.len()).any(|at| MOVES.iter().any(|phrase| words[at..].starts_with(phrase)))
}

fn wilson(share: f64, n: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let n = n as f64;
    let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let reach = Z / (1.0 + Z * Z / n) * libm::sqrt(share * (1.0 - share) / n + Z * Z / (4.0 * n * n));
    [(centre - reach).max(0.0), (centre + reach).min(1.0)]
}

const SECOND_PERSON: [&str; 9] =
    ["you", "your", "you're", "you've", "you'll", "you'd", "yours", "yourself", "yourselves"];

#[rustfmt::skip]
const MOVES: [&[&str]; 32] = [
    &["i", "admit"], &["i", "was", "wrong"], &["i", "stand", "corrected"], &["i", "hadn't", "thought"],
    &["i", "had", "not", "thought"], &["i", "had", "not", "seen"], &["i", "hadn't", "seen"], &["i", "see", "now"],
    &["now", "i", "see"], &["i", "take", "that", "back"], &["i", "withdraw"], &["i", "change", "my", "mind"],
    &["i", "changed", "my", "mind"], &["you", "are", "right"], &["you're", "right"], &["you", "were", "right"],
    &["that", "changes"], &["that", "persuades", "me"], &["you", "persuaded", "me"], &["i", "concede"],
    &["i", "grant", "you"], &["i", "can", "live", "with"], &["fair", "point"], &["good", "point"],
    &["perhaps", "both"], &["maybe", "both"], &["both", "are", "true"], &["we", "could", "do", "both"],
    &["i", "would", "now"], &["i", "no", "longer"], &["agreed"], &["as", "you", "say"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_needed_and_only_answers_count() {
        let read = |text: &str| {
            let turn = |speaker, text, answers| Turn { speaker, addressee: None, text, compound: 0.0, answers };
            let turns = [turn("ego", "The harbour comes first", None), turn("shadow", text, Some(0))];
            integration(&turns).unwrap().integrating
        };
        for (text, expected) in [
            ("I admit the harbour is nearer than I said", 1),
            ("You are right", 1),
            ("I see now what Ego meant", 1),
            ("I admit nothing has moved", 0),
            ("The harbour is far away", 0),
            ("", 0),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(integration(&[]), None);
    }

    #[test]
    fn wilsons_interval() {
        // Worked with statsmodels: proportion_confint(8, 10, method="wilson").
        let [low, high] = wilson(0.8, 10);
        assert!((low - 0.490_162_475_2).abs() < 1e-6 && (high - 0.943_317_822_4).abs() < 1e-6, "{low} {high}");
        assert_eq!(wilson(0.0, 5)[0], 0.0);
    }
}
