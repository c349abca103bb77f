//! Engagement: utterances take up what they answer. English only (it needs to know content words).
//!
//! * s(j, i) = |C_j ∩ C_i| / √(|C_j|·|C_i|), C being the set of content words (words that are not in the list of
//!   function words, plural endings dropped); m(j, i) = 1 when j names the speaker of i or shares a content word with
//!   i, else 0.
//! * For an utterance j that answers i, and K the other earlier utterances of other speakers:
//! * uptake_j = s(j, i) − mean over K of s(j, k); reference_j = m(j, i) − mean over K of m(j, k).
//! * value = (mean uptake + mean reference) / 2 over the answering utterances of the window; −1..1.
//! * Source: uptake as similarity above chance, after Demszky et al. (2021), ACL, who estimate it with a model; the
//!   comparison with other utterances after the coordination measure of Danescu-Niculescu-Mizil et al. (2012), WWW.
//! * Null: each utterance answers a random earlier one of another speaker, 99 times. 1 = the level of healthy
//!   dialogue.
//! * Limits: an answer in wholly other words is not seen; nor does the measure know who was heard but not answered.

use super::content_words::ContentWords;
use super::interval::jackknife;
use super::null::{Null, below};
use super::window::Window;
use super::{Gauge, Turn};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::ops::Range;

/// The level of canonical healthy dialogue.
pub const EXTREME: f64 = 0.329;
/// Fewer answering utterances than this give no reading.
pub const MIN_ANSWERS: usize = 10;
const PERMUTATIONS: usize = 99;

/// The parts of the value; means over the answering utterances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engagement {
    /// Similarity to the utterance answered minus similarity to others, −1..1.
    pub uptake: f64,
    /// References to the utterance answered minus references to others, −1..1.
    pub reference: f64,
    /// Share of answers that refer to the utterance they answer, 0..1.
    pub reference_rate: f64,
}

impl Engagement {
    pub fn value(self) -> f64 {
        f64::midpoint(self.uptake, self.reference)
    }
}

/// The parts for a list of turns; `None` with fewer than [`MIN_ANSWERS`] answers.
pub fn engagement(turns: &[Turn<'_>]) -> Option<Engagement> {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let links = Links::new(turns, &window);
    (links.answers.len() >= MIN_ANSWERS).then(|| mean(links.answers.iter(), |answer| answer.answered))
}

pub(super) fn gauge(turns: &[Turn<'_>], window: &Window, seed: u64) -> Gauge {
    let links = Links::new(turns, window);
    if links.answers.len() < MIN_ANSWERS {
        return Gauge::default();
    }
    let parts = mean(links.answers.iter(), |answer| answer.answered);
    let value = parts.value();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let permuted =
        |random: &mut ChaCha8Rng| mean(links.answers.iter(), |answer| below(answer.earlier.len(), random)).value();
    let null = Null::of((0..PERMUTATIONS).map(|_| permuted(&mut random)).collect());
    let without = |left_out: Range<usize>| {
        let rest = links.answers[..left_out.start].iter().chain(&links.answers[left_out.end..]);
        Some(mean(rest, |answer| answer.answered).value())
    };
    Gauge::new(value, null.standardise(value, EXTREME), null.band())
        .within(jackknife(value, links.answers.len(), -1.0..=1.0, without))
        .beside([("uptake", parts.uptake), ("reference", parts.reference), ("reference_rate", parts.reference_rate)])
}

/// An answering utterance and its links to the earlier utterances of others.
struct Answer {
    /// What it would be to answer each of them.
    earlier: Vec<Engagement>,
    /// Which of them it answers.
    answered: usize,
}

struct Links {
    answers: Vec<Answer>,
}

impl Links {
    fn new(turns: &[Turn<'_>], window: &Window) -> Self {
        let content = ContentWords::new(window);
        let number =
            |name: &str| window.words().position(|word| word.eq_ignore_ascii_case(name)).map(|number| number as u32);
        let mut known: BTreeMap<&str, Option<u32>> = BTreeMap::new();
        let names: Vec<Option<u32>> =
            turns.iter().map(|turn| *known.entry(turn.speaker).or_insert_with(|| number(turn.speaker))).collect();
        let mut answers = Vec::new();
        for (j, turn) in turns.iter().enumerate() {
            let others: Vec<usize> = (0..j).filter(|i| turns[*i].speaker != turn.speaker).collect();
            let Some(answered) = turn.answers.and_then(|i| others.iter().position(|other| *other == i)) else {
                continue;
            };
            if others.len() < 2 {
                continue;
            }
            let earlier: Vec<(f64, f64)> = others
                .iter()
                .map(|i| {
                    let similarity = content.similarity(j, *i);
                    let named = names[*i].is_some_and(|name| window.text(j).contains(&name));
                    (similarity, f64::from(u8::from(named || similarity > 0.0)))
                })
                .collect();
            let similarities: f64 = earlier.iter().map(|link| link.0).sum();
            let references: f64 = earlier.iter().map(|link| link.1).sum();
            let rest = earlier.len() as f64 - 1.0;
            let answering = |(similarity, refers): (f64, f64)| Engagement {
                uptake: similarity - (similarities - similarity) / rest,
                reference: refers - (references - refers) / rest,
                reference_rate: refers,
            };
            answers.push(Answer { earlier: earlier.into_iter().map(answering).collect(), answered });
        }
        Self { answers }
    }
}

/// Means when each answer answers the earlier utterance `pick` names.
fn mean<'a>(answers: impl Iterator<Item = &'a Answer>, mut pick: impl FnMut(&Answer) -> usize) -> Engagement {
    let (mut uptake, mut reference, mut rate, mut n) = (0.0, 0.0, 0.0, 0.0);
    for answer in answers {
        let link = answer.earlier[pick(answer)];
        uptake += link.uptake;
        reference += link.reference;
        rate += link.reference_rate;
        n += 1.0;
    }
    Engagement { uptake: uptake / n, reference: reference / n, reference_rate: rate / n }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_reference_and_the_difference_to_others_is_what_counts() {
        let speakers = ["ego", "shadow", "persona"];
        let texts: Vec<String> = (0..15).map(|i| format!("{} said alpha{i}", speakers[(i + 2) % 3])).collect();
        let turn = |(i, text): (usize, &'static str)| Turn {
            speaker: speakers[i % 3],
            addressee: None,
            text,
            compound: 0.0,
            answers: i.checked_sub(1),
        };
        let texts: Vec<&'static str> = texts.into_iter().map(|text| &*text.leak()).collect();
        let read = engagement(&texts.into_iter().enumerate().map(turn).collect::<Vec<_>>()).unwrap();
        assert_eq!((read.uptake, read.reference_rate), (0.0, 1.0));
        assert!(0.0 < read.reference && read.reference < 1.0, "others by the same speaker are named too: {read:?}");
    }
}
