//! Conflict: speakers turn against each other. English only.
//!
//! * For each utterance four cues, each 0..1: attack = 1 when a second-person word stands within 5 words of a hostile
//!   word that is not negated, or before "always", "never", "only" or "just"; disagreement = 1 when it opens with a
//!   refusal ("no", "wrong", "nonsense" …) or holds a phrase of disagreement; negation = min(1, 10 · negating words /
//!   words); opposition = when its compound is ≤ −0.05 and that of the utterance it answers ≥ 0.05, the mean of the
//!   two absolute values, else 0.
//! * value = mean over the window of (attack + disagreement + negation + opposition) / 4.
//! * Source: the cues follow the prompts and politeness strategies that foretell derailment in Zhang et al. (2018),
//!   arXiv 1805.05345 (second-person starts, direct disagreement, negation, hostile words); the word lists are this
//!   project's own.
//! * Null: recorded healthy dialogue (20 turns drawn with replacement from the canonical one, 999 times; for a window of n
//!   turns the band is √(20/n) as wide). 1 = the level of the escalating quarrel.
//! * Limits: irony and politely worded conflict are not seen; a quoted attack counts as one.

use super::interval::jackknife;
use super::lexicon::WordHasher;
use super::null::Null;
use super::sentiment::Vader;
use super::window::Window;
use super::{Gauge, Turn};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::sync::LazyLock;

/// The value in recorded healthy dialogue, over windows of 20 utterances.
pub const HEALTHY: Null = Null { low: 0.023, median: 0.048, high: 0.08 };
/// The level of the canonical escalating quarrel.
pub const EXTREME: f64 = 0.506;
/// Fewer utterances than this give no reading.
pub const MIN_TURNS: usize = 10;
const REACH: usize = 5;
const POLAR: f64 = 0.05;

/// The four cues of one utterance, or their means, each 0..1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conflict {
    pub attack: f64,
    pub disagreement: f64,
    pub negation: f64,
    pub opposition: f64,
}

impl Conflict {
    pub fn value(self) -> f64 {
        (self.attack + self.disagreement + self.negation + self.opposition) / 4.0
    }

    /// The mean of each cue over some turns.
    pub fn mean(cues: &[Self]) -> Self {
        let mean = |cue: fn(&Self) -> f64| cues.iter().map(cue).sum::<f64>() / cues.len().max(1) as f64;
        Self {
            attack: mean(|cues| cues.attack),
            disagreement: mean(|cues| cues.disagreement),
            negation: mean(|cues| cues.negation),
            opposition: mean(|cues| cues.opposition),
        }
    }
}

/// The cues of each turn.
pub fn conflict(vader: &Vader, turns: &[Turn<'_>]) -> Vec<Conflict> {
    answering(turns, turns.iter().map(|turn| cues(vader, turn.text)))
}

pub(super) fn gauge(turns: &[Turn<'_>], cues: impl Iterator<Item = Conflict>) -> Gauge {
    if turns.len() < MIN_TURNS {
        return Gauge::default();
    }
    let cues = answering(turns, cues);
    let parts = Conflict::mean(&cues);
    let value = parts.value();
    let null = HEALTHY.for_turns(turns.len());
    let sum: f64 = cues.iter().map(|cues| cues.value()).sum();
    let without = |left_out: Range<usize>| {
        let rest = (cues.len() - left_out.len()) as f64;
        Some((sum - cues[left_out].iter().map(|cues| cues.value()).sum::<f64>()) / rest)
    };
    Gauge::new(value, null.standardise(value, EXTREME), null.band())
        .within(jackknife(value, cues.len(), 0.0..=1.0, without))
        .beside([
            ("attack", parts.attack),
            ("disagreement", parts.disagreement),
            ("negation", parts.negation),
            ("opposition", parts.opposition),
        ])
}

/// Those cues that lie in the words of one text.
pub(super) fn cues(vader: &Vader, text: &str) -> Conflict {
    let window = Window::new(std::iter::once(text));
    let signs: Vec<Sign> = window.words().map(|word| Sign::of(vader, word)).collect();
    let words: Vec<(&str, Sign)> =
        window.tokens.iter().map(|word| (window.word(*word), signs[*word as usize])).collect();
    let negations = words.iter().filter(|(_, sign)| sign.negates).count();
    Conflict {
        attack: f64::from(u8::from(attacks(&words))),
        disagreement: f64::from(u8::from(disagrees(&words))),
        negation: if words.is_empty() { 0.0 } else { (10.0 * negations as f64 / words.len() as f64).min(1.0) },
        opposition: 0.0,
    }
}

/// The cues with the one that lies between an utterance and the one it answers.
fn answering(turns: &[Turn<'_>], cues: impl Iterator<Item = Conflict>) -> Vec<Conflict> {
    let answered = |(j, turn): (usize, &Turn<'_>)| {
        let answered = turn.answers.filter(|i| *i < j).map(|i| turns[i].compound);
        answered.map_or(0.0, |answered| opposition(turn.compound, answered))
    };
    let opposition = turns.iter().enumerate().map(answered);
    cues.zip(opposition).map(|(cues, opposition)| Conflict { opposition, ..cues }).collect()
}

/// What the lists say about a word, looked up once per distinct word.
#[derive(Clone, Copy, Default)]
struct Sign {
    negates: bool,
    second_person: bool,
    hostile: bool,
    /// Opens a phrase of disagreement.
    opens: bool,
}

/// The words of the lists.
static SIGNS: LazyLock<HashMap<&'static str, Sign, BuildHasherDefault<WordHasher>>> = LazyLock::new(|| {
    let mut signs = HashMap::<&str, Sign, _>::default();
    for word in SECOND_PERSON {
        signs.entry(word).or_default().second_person = true;
    }
    for word in HOSTILE {
        signs.entry(word).or_default().hostile = true;
    }
    for phrase in DISAGREEMENTS {
        signs.entry(phrase[0]).or_default().opens = true;
    }
    signs
});

impl Sign {
    fn of(vader: &Vader, word: &str) -> Self {
        Self { negates: vader.negates(word), ..SIGNS.get(word).copied().unwrap_or_default() }
    }
}

fn attacks(words: &[(&str, Sign)]) -> bool {
    let hostile =
        |i: usize| words[i].1.hostile && !words[i.saturating_sub(2)..i].iter().any(|(_, before)| before.negates);
    words.iter().enumerate().filter(|(_, (_, sign))| sign.second_person).any(|(i, _)| {
        words.get(i + 1).is_some_and(|(next, _)| matches!(*next, "always" | "never" | "only" | "just"))
            || (i.saturating_sub(REACH)..words.len().min(i + REACH + 1)).any(hostile)
    })
}

fn disagrees(words: &[(&str, Sign)]) -> bool {
    let stands = |at: usize, phrase: &[&str]| {
        phrase.len() <= words.len() - at && phrase.iter().zip(&words[at..]).all(|(a, (b, _))| a == b)
    };
    words.first().is_some_and(|(first, _)| REFUSALS.contains(first))
        || (0..words.len()).any(|at| words[at].1.opens && DISAGREEMENTS.iter().any(|phrase| stands(at, phrase)))
}

fn opposition(compound: f64, answered: f64) -> f64 {
    if compound <= -POLAR && answered >= POLAR { f64::midpoint(-compound, answered) } else { 0.0 }
}

const SECOND_PERSON: [&str; 10] =
    ["you", "your", "you're", "you've", "you'll", "you'd", "yours", "yourself", "yourselves", "u"];

/// Words that open a reply by refusing it.
const REFUSALS: [&str; 9] = ["no", "wrong", "nonsense", "rubbish", "never", "nope", "false", "enough", "liar"];

#[rustfmt::skip]
const DISAGREEMENTS: [&[&str]; 44] = [
    &["i", "disagree"], &["i", "don't", "agree"], &["i", "do", "not", "agree"], &["can't", "agree"], &["cannot", "agree"],
    &["i", "refuse"], &["i", "won't"], &["i", "will", "not"], &["i", "object"], &["i", "doubt", "that"], &["i", "doubt", "it"],
    &["not", "true"], &["isn't", "true"], &["untrue"], &["that's", "false"], &["is", "false"], &["a", "lie"],
    &["that's", "wrong"], &["that", "is", "wrong"], &["you're", "wrong"], &["you", "are", "wrong"], &["simply", "wrong"],
    &["you're", "mistaken"], &["you", "are", "mistaken"], &["not", "so"], &["absolutely", "not"], &["certainly", "not"],
    &["of", "course", "not"], &["don't", "believe", "you"], &["do", "not", "believe", "you"], &["how", "dare"],
    &["shut", "up"], &["stop", "it"], &["nonsense"], &["rubbish"], &["ridiculous"], &["on", "the", "contrary"],
    &["don't", "you", "dare"], &["who", "are", "you", "to"], &["what", "gives", "you"], &["not", "my", "fault"],
    &["makes", "no", "sense"], &["leave", "me", "alone"], &["get", "out"],
];

/// Words that turn hostile beside a second person.
#[rustfmt::skip]
const HOSTILE: [&str; 105] = [
    "absurd", "arrogant", "ashamed", "awful", "betray", "betrayed", "betrayer", "blame", "bully", "cheat",
    "cheated", "childish", "clown", "contempt", "contemptible", "coward", "cowardice", "cowardly", "crazy",
    "cruel", "delusional", "despicable", "despise", "destroy", "destroyed", "detest", "disgrace", "disgraceful",
    "disgust", "disgusting", "dishonest", "dumb", "excuse", "excuses", "fake", "fault", "fool", "foolish",
    "fraud", "hate", "hated", "hypocrisy", "hypocrite", "hypocritical", "idiot", "idiotic", "ignorant",
    "incompetent", "insane", "insult", "insulting", "irresponsible", "lazy", "liar", "liars", "lie", "lied",
    "lies", "loathe", "lying", "manipulate", "manipulative", "miserable", "monster", "monstrous", "nasty",
    "nonsense", "parasite", "pathetic", "petty", "poison", "poisonous", "pretend", "pretending", "regret",
    "ridiculous", "rotten", "rubbish", "ruin", "ruined", "ruining", "sabotage", "scum", "selfish", "shallow",
    "shameful", "shameless", "shut", "sick", "sickening", "sneer", "spineless", "stupid", "stupidity", "thief",
    "tyrant", "ugly", "unbearable", "useless", "vicious", "vile", "weakling", "wicked", "worthless", "wrong",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn cues_of(text: &str, answered: f64) -> Conflict {
        let vader = Vader::new();
        let turn = |text, compound, answers| Turn { speaker: "ego", addressee: None, text, compound, answers };
        conflict(&vader, &[turn("", answered, None), turn(text, vader.score(text).compound, Some(0))])[1]
    }

    #[test]
    fn each_cue_is_read_from_what_shows_it() {
        for (text, attack, disagreement) in [
            ("You are a liar and everybody knows it", 1.0, 0.0),
            ("A liar, that is what I call you", 0.0, 0.0),
            ("You are not a liar", 0.0, 0.0),
            ("He is a liar", 0.0, 0.0),
            ("You never listen", 1.0, 0.0),
            ("I never listen", 0.0, 0.0),
            ("I don't agree with the plan", 0.0, 1.0),
            ("No. We stay here", 0.0, 1.0),
            ("There is no milk", 0.0, 0.0),
            ("What you said is simply wrong", 1.0, 1.0),
            ("", 0.0, 0.0),
        ] {
            let cues = cues_of(text, 0.0);
            assert_eq!((cues.attack, cues.disagreement), (attack, disagreement), "{text}");
        }
        assert_eq!(cues_of("one two three four five six seven eight nine not", 0.0).negation, 1.0);
        assert_eq!(cues_of("a b c d e f g h i j k l m n o p q r s not", 0.0).negation, 0.5);
    }

    #[test]
    fn only_a_negative_answer_to_something_positive_is_opposition() {
        assert!((cues_of("This is horrible", 0.6).opposition - f64::midpoint(0.6, 0.5423)).abs() < 1e-9);
        assert_eq!(cues_of("This is horrible", -0.6).opposition, 0.0);
        assert_eq!(cues_of("This is wonderful", -0.6).opposition, 0.0);
        assert_eq!(cues_of("This is horrible", 0.0).opposition, 0.0);
    }
}
