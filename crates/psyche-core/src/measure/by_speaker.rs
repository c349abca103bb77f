//! Agents compared by their words, at equal token budgets.
//!
//! * budget = the number of words of the speaker who said least; of every speaker the first so many words are read,
//!   cut in the middle of an utterance where the budget ends.
//! * For each: MTLD, MATTR(50), HD-D, distinct-1, distinct-2 (see there), and the words and utterances in all.
//! * Source: the budget follows from what each measure's authors say of length; see McCarthy & Jarvis (2010).
//! * Limits: a speaker with little to say makes the budget small for all; under 50 words most values are gaps.

use super::{Turn, distinct, diversity, lexical_diversity};
use serde::Serialize;
use std::collections::BTreeMap;

/// The speakers side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BySpeaker {
    /// Words read of each.
    pub budget: usize,
    pub speakers: BTreeMap<String, Speaker>,
}

/// One speaker, in the first `budget` words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speaker {
    pub utterances: usize,
    /// In all, not cut at the budget.
    pub words: usize,
    pub mtld: Option<f64>,
    pub mattr: Option<f64>,
    pub hd_d: Option<f64>,
    pub distinct_1: Option<f64>,
    pub distinct_2: Option<f64>,
}

/// Compares the speakers of some turns; those without a word are left out, and fewer than two are no comparison.
pub fn by_speaker(turns: &[Turn<'_>]) -> Option<BySpeaker> {
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for turn in turns {
        texts.entry(turn.speaker).or_default().push(turn.text);
    }
    let words = |texts: &[&str]| texts.iter().map(|text| text.split_whitespace().count()).sum::<usize>();
    texts.retain(|_, texts| words(texts) > 0);
    let budget = texts.values().map(|texts| words(texts)).min().filter(|_| texts.len() > 1)?;
    let read = |texts: &[&str]| {
        let cut = first_words(texts, budget);
        let cut = || cut.iter().map(String::as_str);
        Speaker {
            utterances: texts.len(),
            words: words(texts),
            mtld: diversity::mtld(cut()).filter(|_| budget >= diversity::MIN_WORDS),
            mattr: lexical_diversity::mattr(cut()),
            hd_d: lexical_diversity::hd_d(cut()),
            distinct_1: distinct::distinct(cut(), 1),
            distinct_2: distinct::distinct(cut(), 2),
        }
    };
    let speakers = texts.iter().map(|(name, texts)| ((*name).to_owned(), read(texts))).collect();
    Some(BySpeaker { budget, speakers })
}

/// The first `budget` words of some texts.
fn first_words(texts: &[&str], budget: usize) -> Vec<String> {
    let mut left = budget;
    let cut = |text: &&str| {
        let words: Vec<&str> = text.split_whitespace().take(left).collect();
        left -= words.len();
        words.join(" ")
    };
    texts.iter().map(cut).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_read_up_to_the_same_number_of_words() {
        let turn = |speaker, text| Turn { speaker, addressee: None, text, compound: 0.0, answers: None };
        let turns = [turn("a", "one two three"), turn("b", "one one"), turn("a", "four one one one"), turn("c", "  ")];
        let read = by_speaker(&turns).unwrap();
        assert_eq!((read.budget, read.speakers.len()), (2, 2));
        assert_eq!(read.speakers["a"].words, 7);
        // Unbounded, a would read 4/7.
        assert_eq!((read.speakers["a"].distinct_1, read.speakers["b"].distinct_1), (Some(1.0), Some(0.5)));
        assert_eq!(by_speaker(&turns[..1]), None);
    }
}
