//! Style matching: whether speakers use function words alike, and who adapts to whom. English only.
//!
//! * Nine classes of function words (personal and impersonal pronouns, articles, conjunctions, prepositions, auxiliary
//!   verbs, frequent adverbs, negations, quantifiers), by this project's own lists; a class's share is its words among
//!   all words of a text.
//! * LSM of two texts = mean over the classes of 1 − |a − b| / (a + b + 0.0001), a and b being the class's shares. Of a
//!   pair of speakers it is read from all they said, at equal numbers of words, from 50 words each on.
//! * matching = mean LSM of each answer with the utterance it answers. Null: each answer beside a random utterance of
//!   the same answered speaker, 99 times; above the null, answers follow what they answer and not only its speaker.
//! * coordination of b to a = mean over the classes of P(b's answer has the class | a's utterance has it) − P(b's
//!   answer has it); −1..1. Classes that a's utterances all have, or all lack, are left out. From 10 answers of b to a
//!   on.
//! * Source: Ireland & Pennebaker (2010), Journal of Personality and Social Psychology 99:549 (LSM);
//!   Danescu-Niculescu-Mizil et al. (2012), WWW, arXiv 1112.3670 (coordination).
//! * Limits: utterances are short, so one pair says little; agents that share a model share a style.

use super::Turn;
use super::function_words::{CLASSES, classes};
use super::null::{Null, below};
use super::window::Window;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Fewer words of a speaker than this give no LSM of a pair.
pub const MIN_WORDS: usize = 50;
/// Fewer answers than this give no matching and no coordination.
pub const MIN_ANSWERS: usize = 10;
const PERMUTATIONS: usize = 99;
const KINDS: usize = CLASSES.len();

/// How alike the speakers' styles are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StyleMatching {
    /// LSM of each pair of speakers with enough words.
    pub pairs: Vec<PairStyle>,
    /// Mean LSM of answers with what they answer, 0..1.
    pub matching: Option<f64>,
    /// The 5th and 95th percentile of `matching` when answers stand beside other utterances of the same speaker.
    pub null: Option<[f64; 2]>,
    /// Who adapts to whom.
    pub coordination: Vec<Coordination>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairStyle {
    pub a: String,
    pub b: String,
    /// Words read of each.
    pub words: usize,
    /// 0..1.
    pub lsm: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coordination {
    /// Who adapts.
    pub from: String,
    /// To whom.
    pub to: String,
    pub answers: usize,
    /// −1..1.
    pub value: f64,
}

/// Style matching of some turns; `seed` feeds the null.
pub fn style_matching(turns: &[Turn<'_>], seed: u64) -> StyleMatching {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let kinds: Vec<Vec<usize>> = window.words().map(|word| classes(word).collect()).collect();
    let said: Vec<Counts> = (0..turns.len()).map(|i| Counts::of(window.text(i), &kinds)).collect();
    let mut by_speaker: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, turn) in turns.iter().enumerate().filter(|(i, _)| said[*i].words > 0) {
        by_speaker.entry(turn.speaker).or_default().push(i);
    }
    let answers: Vec<(usize, usize)> = turns
        .iter()
        .enumerate()
        .filter_map(|(j, turn)| Some((j, turn.answers.filter(|i| *i < j && turns[*i].speaker != turn.speaker)?)))
        .filter(|(j, i)| said[*j].words > 0 && said[*i].words > 0)
        .collect();
    let (matching, null) = matching(turns, &said, &by_speaker, &answers, seed);
    StyleMatching {
        pairs: pairs(&window, &kinds, &by_speaker),
        matching,
        null,
        coordination: coordination(turns, &said, &answers),
    }
}

/// Words of each class in a text.
#[derive(Clone, Copy, Default)]
struct Counts {
    kinds: [usize; KINDS],
    words: usize,
}

impl Counts {
    fn of(text: &[u32], kinds: &[Vec<usize>]) -> Self {
        let mut counts = Self { words: text.len(), ..Self::default() };
        for word in text {
            for kind in &kinds[*word as usize] {
                counts.kinds[*kind] += 1;
            }
        }
        counts
    }

    fn lsm(&self, other: &Self) -> f64 {
        let share = |counts: &Self, kind: usize| counts.kinds[kind] as f64 / counts.words as f64;
        let alike = |kind| {
            let (a, b) = (share(self, kind), share(other, kind));
            1.0 - (a - b).abs() / (a + b + 0.0001)
        };
        (0..KINDS).map(alike).sum::<f64>() / KINDS as f64
    }
}

fn pairs(window: &Window, kinds: &[Vec<usize>], by_speaker: &BTreeMap<&str, Vec<usize>>) -> Vec<PairStyle> {
    let texts: Vec<(&str, Vec<u32>)> = by_speaker
        .iter()
        .map(|(name, turns)| (*name, turns.iter().flat_map(|i| window.text(*i)).copied().collect()))
        .collect();
    let mut pairs = Vec::new();
    for (at, (a, of_a)) in texts.iter().enumerate() {
        for (b, of_b) in &texts[at + 1..] {
            let words = of_a.len().min(of_b.len());
            if words >= MIN_WORDS {
                let lsm = Counts::of(&of_a[..words], kinds).lsm(&Counts::of(&of_b[..words], kinds));
                pairs.push(PairStyle { a: (*a).to_owned(), b: (*b).to_owned(), words, lsm });
            }
        }
    }
    pairs
}

fn matching(
    turns: &[Turn<'_>],
    said: &[Counts],
    by_speaker: &BTreeMap<&str, Vec<usize>>,
    answers: &[(usize, usize)],
    seed: u64,
) -> (Option<f64>, Option<[f64; 2]>) {
    if answers.len() < MIN_ANSWERS {
        return (None, None);
    }
    let mean = |answered: &mut dyn FnMut(usize) -> usize| {
        answers.iter().map(|(j, i)| said[*j].lsm(&said[answered(*i)])).sum::<f64>() / answers.len() as f64
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut another = |i: usize| {
        let others = &by_speaker[turns[i].speaker];
        others[below(others.len(), &mut random)]
    };
    let null = Null::of((0..PERMUTATIONS).map(|_| mean(&mut another)).collect());
    (Some(mean(&mut |i| i)), Some(null.band()))
}

fn coordination(turns: &[Turn<'_>], said: &[Counts], answers: &[(usize, usize)]) -> Vec<Coordination> {
    let mut edges: BTreeMap<(&str, &str), Vec<(usize, usize)>> = BTreeMap::new();
    for (j, i) in answers {
        edges.entry((turns[*j].speaker, turns[*i].speaker)).or_default().push((*j, *i));
    }
    let of = |((from, to), answers): ((&str, &str), Vec<(usize, usize)>)| {
        let has = |i: usize, kind: usize| said[i].kinds[kind] > 0;
        let kinds: Vec<f64> = (0..KINDS)
            .filter_map(|kind| {
                let given = answers.iter().filter(|(_, i)| has(*i, kind)).count();
                let both = answers.iter().filter(|(j, i)| has(*i, kind) && has(*j, kind)).count();
                let anyway = answers.iter().filter(|(j, _)| has(*j, kind)).count();
                (0 < given && given < answers.len())
                    .then(|| both as f64 / given as f64 - anyway as f64 / answers.len() as f64)
            })
            .collect();
        (answers.len() >= MIN_ANSWERS && !kinds.is_empty()).then(|| Coordination {
            from: from.to_owned(),
            to: to.to_owned(),
            answers: answers.len(),
            value: kinds.iter().sum::<f64>() / kinds.len() as f64,
        })
    };
    edges.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns<'t>(texts: &[&'t str]) -> Vec<Turn<'t>> {
        let turn = |(i, text): (usize, &&'t str)| Turn {
            speaker: ["ego", "shadow"][i % 2],
            addressee: None,
            text,
            compound: 0.0,
            answers: i.checked_sub(1),
        };
        texts.iter().enumerate().map(turn).collect()
    }

    #[test]
    fn lsm_is_the_mean_over_the_classes() {
        let of = |text: &str| {
            let window = Window::new([text].into_iter());
            let kinds: Vec<Vec<usize>> = window.words().map(|word| classes(word).collect()).collect();
            Counts::of(window.text(0), &kinds)
        };
        assert_eq!(of("the harbour sleeps").lsm(&of("the harbour sleeps")), 1.0);
        // Articles 1/2 against 1/4; the other eight classes are empty in both.
        let expected = (8.0 + 1.0 - 0.25 / (0.75 + 0.0001)) / 9.0;
        assert!((of("the harbour").lsm(&of("harbour boats sleep the")) - expected).abs() < 1e-12);
    }

    #[test]
    fn who_takes_over_the_class_coordinates_and_who_does_not_does_not() {
        // Shadow says "the" exactly when Ego did; Ego does so in a rhythm of its own.
        let mut texts = Vec::new();
        for i in 0..40 {
            let article = i % 4 < 2;
            texts.push(if article { "the harbour sleeps" } else { "harbours sleep" });
            texts.push(if article { "the boats rest" } else { "boats rest" });
        }
        let read = style_matching(&turns(&texts), 1);
        let value = |from: &str| read.coordination.iter().find(|c| c.from == from).unwrap().value;
        assert_eq!(value("shadow"), 0.5);
        assert!(value("ego").abs() < 0.1, "{:?}", read.coordination);
        // The shuffled-pair null is rejected, since the answers follow what they answer.
        assert!(read.matching.unwrap() > read.null.unwrap()[1], "{read:?}");
        assert_eq!(read.pairs[0].words, 100, "at equal numbers of words");
        let few = style_matching(&turns(&texts[..8]), 1);
        assert_eq!((few.matching, few.pairs.len(), few.coordination.len()), (None, 0, 0));
    }
}
