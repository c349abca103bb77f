//! The word table of the sentiment rules: one lookup answers everything a rule asks about a word.
//!
//! The ratings in `vader/lexicon.tsv` (word, mean of ten raters, their standard deviation) and the emoji names in
//! `vader/emoji.tsv` are those of vaderSentiment 3.3.2, MIT licence, copyright C.J. Hutto; see `vader/LICENSE.txt`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Mean change of a rating by a degree word such as "very".
const BOOST: f64 = 0.293;

/// Raters per word: the standard error of a mean rating is `sd / sqrt(RATERS - 1)`, `sd` being the population form.
const RATERS: f64 = 10.0;

/// What the rules know about one lower-case word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    /// Mean rating, −4..4; `None` when the word is not rated.
    pub valence: Option<f64>,
    /// Standard error of that rating; 0 when the word is not rated.
    pub standard_error: f64,
    /// Change of the next rated word's strength; 0 when the word is no degree word.
    pub boost: f64,
    pub negates: bool,
    /// Tells rated words apart.
    pub id: u32,
}

type Words = HashMap<&'static str, Word, BuildHasherDefault<WordHasher>>;

/// Words, emoji names: built once, read-only.
#[derive(Debug)]
pub(super) struct Lexicon {
    words: Words,
    emoji: HashMap<char, &'static str, BuildHasherDefault<WordHasher>>,
}

impl Lexicon {
    pub(super) fn new() -> Self {
        let mut words = Words::with_capacity_and_hasher(8_192, BuildHasherDefault::default());
        for (id, line) in (0..).zip(include_str!("vader/lexicon.tsv").lines()) {
            let mut columns = line.trim().split('\t');
            if let (Some(word), Some(mean), Some(deviation)) =
                (columns.next(), number(columns.next()), number(columns.next()))
            {
                let entry = words.entry(word).or_default();
                entry.valence = Some(mean);
                entry.id = id;
                entry.standard_error = deviation / libm::sqrt(RATERS - 1.0);
            }
        }
        for word in BOOSTERS {
            words.entry(word).or_default().boost = BOOST;
        }
        for word in DAMPENERS {
            words.entry(word).or_default().boost = -BOOST;
        }
        for word in NEGATIONS {
            words.entry(word).or_default().negates = true;
        }
        let emoji = include_str!("vader/emoji.tsv")
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(emoji, name)| Some((emoji.chars().next()?, name)))
            .collect();
        Self { words, emoji }
    }

    /// The entry of a lower-case word.
    pub(super) fn word(&self, lower: &str) -> Option<&Word> {
        self.words.get(lower)
    }

    /// The textual description of a one-character emoji.
    pub(super) fn emoji(&self, symbol: char) -> Option<&'static str> {
        self.emoji.get(&symbol).copied()
    }
}

fn number(column: Option<&str>) -> Option<f64> {
    column?.parse().ok()
}

/// Multiply-and-rotate over eight bytes at a time: the table is fixed, so nobody can flood it with collisions.
#[derive(Default)]
pub(super) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<8>();
        for block in blocks {
            self.write_u64(u64::from_le_bytes(*block));
        }
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(0, |block, byte| block << 8 | u64::from(*byte)));
        }
    }

    fn write_u64(&mut self, block: u64) {
        self.0 = (self.0.rotate_left(23) ^ block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u32(&mut self, block: u32) {
        self.write_u64(u64::from(block));
    }

    /// The end mark that follows a string; the lengths differ only where the words do.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

/// Degree words of two words ("kind of") weaken what follows; looked up as adjacent words.
pub(super) fn dampening_pair(first: &str, second: &str) -> f64 {
    match (first, second) {
        ("just", "enough") | ("kind" | "sort", "of") => -BOOST,
        _ => 0.0,
    }
}

#[rustfmt::skip]
const BOOSTERS: [&str; 60] = [
    "absolutely", "amazingly", "awfully", "completely", "considerable", "considerably", "decidedly", "deeply",
    "effing", "enormous", "enormously", "entirely", "especially", "exceptional", "exceptionally", "extreme",
    "extremely", "fabulously", "flippin", "flipping", "frackin", "fracking", "frickin", "fricking", "friggin",
    "frigging", "fuckin", "fucking", "fuggin", "fugging", "fully", "greatly", "hella", "highly", "hugely",
    "incredible", "incredibly", "intensely", "major", "majorly", "more", "most", "particularly", "purely",
    "quite", "really", "remarkably", "so", "substantially", "thoroughly", "total", "totally", "tremendous",
    "tremendously", "uber", "unbelievably", "unusually", "utter", "utterly", "very",
];

#[rustfmt::skip]
const DAMPENERS: [&str; 21] = [
    "almost", "barely", "hardly", "kind-of", "kinda", "kindof", "less", "little", "marginal", "marginally",
    "occasional", "occasionally", "partly", "scarce", "scarcely", "slight", "slightly", "somewhat", "sort-of",
    "sorta", "sortof",
];

#[rustfmt::skip]
const NEGATIONS: [&str; 59] = [
    "ain't", "aint", "aren't", "arent", "can't", "cannot", "cant", "couldn't", "couldnt", "daren't", "darent",
    "despite", "didn't", "didnt", "doesn't", "doesnt", "don't", "dont", "hadn't", "hadnt", "hasn't", "hasnt",
    "haven't", "havent", "isn't", "isnt", "mightn't", "mightnt", "mustn't", "mustnt", "needn't", "neednt",
    "neither", "never", "none", "nope", "nor", "not", "nothing", "nowhere", "oughtn't", "oughtnt", "rarely",
    "seldom", "shan't", "shant", "shouldn't", "shouldnt", "uh-uh", "uhuh", "wasn't", "wasnt", "weren't",
    "werent", "without", "won't", "wont", "wouldn't", "wouldnt",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_lexicon_is_read() {
        let lexicon = Lexicon::new();
        assert_eq!(lexicon.words.values().filter(|word| word.valence.is_some()).count(), 7506);
        assert_eq!(lexicon.words.values().filter(|word| word.boost > 0.0).count(), 60);
        assert_eq!(lexicon.words.values().filter(|word| word.negates).count(), 59);
        assert_eq!(lexicon.emoji.len(), 1212);
        let good = lexicon.word("good").unwrap();
        assert_eq!((good.valence, good.standard_error), (Some(1.9), 0.9434 / 3.0));
    }
}
