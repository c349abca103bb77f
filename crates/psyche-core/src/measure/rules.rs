//! VADER's rules over the words of one text: what each word adds to the sum.
//! See `sentiment` for the source; the quirks of the reference are kept and named.

use super::lexicon::{Word, dampening_pair};

/// Strength that capitals add to a word when others are not in capitals.
const CAPITALS: f64 = 0.733;
/// Factor of a negation.
const NEGATION: f64 = -0.74;

/// The valence of every word, in order.
pub(super) fn valences(tokens: &[Token], lower: &str) -> Vec<Scored> {
    let line = Line { tokens, lower, capitals_differ: capitals_differ(tokens) };
    let mut words: Vec<Scored> = (0..tokens.len()).map(|i| line.valence(i)).collect();
    weigh_by_but(&line, &mut words);
    words
}

/// One word of the text; its lower-case form is `lower[start..end]`.
#[derive(Debug)]
pub(super) struct Token {
    pub start: usize,
    pub end: usize,
    pub entry: Word,
    pub negates: bool,
    pub capitals: bool,
}

/// What a word adds to the sum, and with what factor its raters' error enters it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub valence: f64,
    /// Factor on the word's own rating; 0 for words whose valence does not come from the lexicon.
    pub gain: f64,
    pub standard_error: f64,
    pub word: u32,
}

struct Line<'a> {
    tokens: &'a [Token],
    lower: &'a str,
    capitals_differ: bool,
}

impl Line<'_> {
    fn word(&self, i: usize) -> &str {
        &self.lower[self.tokens[i].start..self.tokens[i].end]
    }

    fn rated(&self, i: usize) -> bool {
        self.tokens[i].entry.valence.is_some()
    }

    fn valence(&self, i: usize) -> Scored {
        let token = &self.tokens[i];
        let mut out =
            Scored { valence: 0.0, gain: 0.0, standard_error: token.entry.standard_error, word: token.entry.id };
        let Some(rating) = token.entry.valence else { return out };
        let next = |k: usize| (i + k < self.tokens.len()).then_some(i + k);
        if token.entry.boost != 0.0 || (self.word(i) == "kind" && next(1).is_some_and(|n| self.word(n) == "of")) {
            return out;
        }
        (out.valence, out.gain) = (rating, 1.0);
        if self.word(i) == "no" && next(1).is_some_and(|n| self.rated(n)) {
            (out.valence, out.gain) = (0.0, 0.0);
        }
        let no_before = |k: usize| i >= k && self.word(i - k) == "no";
        if no_before(1) || no_before(2) || (no_before(3) && matches!(self.word(i - 1), "or" | "nor")) {
            (out.valence, out.gain) = (rating * NEGATION, NEGATION);
        }
        if token.capitals && self.capitals_differ {
            out.valence += if out.valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for distance in 1..=3 {
            if i >= distance && !self.rated(i - distance) {
                out.valence += self.boost(i - distance, out.valence) * [1.0, 0.95, 0.9][distance - 1];
                let factor = self.negation(i, distance);
                out.valence *= factor;
                out.gain *= factor;
                if distance == 3 {
                    self.idioms(i, &mut out);
                }
            }
        }
        if i > 0
            && self.word(i - 1) == "least"
            && !self.rated(i - 1)
            && !(i > 1 && matches!(self.word(i - 2), "at" | "very"))
        {
            out.valence *= NEGATION;
            out.gain *= NEGATION;
        }
        out
    }

    fn boost(&self, i: usize, valence: f64) -> f64 {
        let token = &self.tokens[i];
        if token.entry.boost == 0.0 {
            return 0.0;
        }
        let mut boost = if valence < 0.0 { -token.entry.boost } else { token.entry.boost };
        if token.capitals && self.capitals_differ {
            boost += if valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        boost
    }

    /// The factor that a negation `distance` words before word `i` puts on it.
    fn negation(&self, i: usize, distance: usize) -> f64 {
        let so = |k: usize| matches!(self.word(i - k), "so" | "this");
        let doubt = |k: usize| self.word(i - k) == "doubt";
        let word = self.word(i - distance);
        let (strengthened, undoubted) = match distance {
            2 => (word == "never" && so(1), word == "without" && doubt(1)),
            // The reference's precedence: "so" or "this" right before the word strengthens it, with or without "never".
            3 => (word == "never" && so(2) || so(1), word == "without" && (doubt(2) || doubt(1))),
            _ => (false, false),
        };
        match (strengthened, undoubted) {
            (true, _) => 1.25,
            (_, false) if self.tokens[i - distance].negates => NEGATION,
            _ => 1.0,
        }
    }

    /// Idioms that hold a rated word replace its valence; then two-word degree words weaken it.
    fn idioms(&self, i: usize, out: &mut Scored) {
        let word = |k: isize| self.lower_at(i, k);
        let mut replace = |valence: Option<f64>| {
            if let Some(valence) = valence {
                (out.valence, out.gain) = (valence, 0.0);
            }
            valence.is_some()
        };
        let _ = replace(pair(word(-1), word(0)))
            || replace(triple(word(-2), word(-1), word(0)))
            || replace(pair(word(-2), word(-1)))
            || replace(triple(word(-3), word(-2), word(-1)))
            || replace(pair(word(-3), word(-2)));
        replace(pair(word(0), word(1)));
        replace(triple(word(0), word(1), word(2)));
        out.valence += dampening_pair(word(-3), word(-2));
        out.valence += dampening_pair(word(-2), word(-1));
    }

    /// The word `offset` places from word `i`; empty (equal to no word) past the end.
    fn lower_at(&self, i: usize, offset: isize) -> &str {
        i.checked_add_signed(offset).filter(|at| *at < self.tokens.len()).map_or("", |at| self.word(at))
    }
}

fn pair(first: &str, second: &str) -> Option<f64> {
    match (first, second) {
        ("the", "shit" | "bomb") => Some(3.0),
        ("bad", "ass") => Some(1.5),
        ("bus", "stop") => Some(0.0),
        ("yeah", "right") => Some(-2.0),
        ("beating", "heart") => Some(3.5),
        _ => None,
    }
}

fn triple(first: &str, second: &str, third: &str) -> Option<f64> {
    match (first, second, third) {
        ("kiss", "of", "death") => Some(-1.5),
        ("to", "die", "for") => Some(3.0),
        _ => None,
    }
}

/// Halves what stands before the first "but" and strengthens what follows. The reference finds each word by its
/// value, so of equal values the first unweighted one is changed; the port keeps that.
fn weigh_by_but(line: &Line<'_>, words: &mut [Scored]) {
    let Some(but) = (0..words.len()).find(|i| line.word(*i) == "but") else { return };
    for i in 0..words.len() {
        let value = words[i].valence;
        let Some(first) = words.iter().position(|word| word.valence == value) else { continue };
        let factor = match first.cmp(&but) {
            std::cmp::Ordering::Less => 0.5,
            std::cmp::Ordering::Equal => 1.0,
            std::cmp::Ordering::Greater => 1.5,
        };
        words[first].valence *= factor;
        words[first].gain *= factor;
    }
}

fn capitals_differ(tokens: &[Token]) -> bool {
    let capitals = tokens.iter().filter(|token| token.capitals).count();
    0 < capitals && capitals < tokens.len()
}
