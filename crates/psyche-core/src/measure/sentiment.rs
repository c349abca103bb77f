//! Sentiment of one utterance by VADER's rules. English only.
//!
//! * compound = s/√(s² + 15), s being the sum of the words' ratings after the rules for negation, degree words,
//!   capitals, "but", idioms, emoji and punctuation, all as in vaderSentiment 3.3.2 (MIT licence, C.J. Hutto), its
//!   quirks included.
//! * standard error = 15/(s² + 15)^1.5 · √Σ(gₖ·sdₖ/3)², sdₖ being the spread of the ten ratings of word k and gₖ the
//!   factor with which it entered s; band = compound ± 1.96 standard errors.
//! * label = mixed when at least 0.15 of the text is positive, at least 0.15 negative and |compound| < 0.25; else
//!   positive from a compound of 0.05, negative from −0.05, neutral between.
//! * Source: Hutto, C.J. & Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
//!   Social Media Text. ICWSM-14.
//! * Limits: made for short informal English; the band holds the raters' spread alone, not the error of the rules.

use super::four_digits;
use super::lexicon::{Lexicon, Word, dampening_pair};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

const CAPITALS: f64 = 0.733;
const NEGATION: f64 = -0.74;
/// Approximates the largest expected sum of valences; the reference's `alpha`.
const ALPHA: f64 = 15.0;
/// Two-sided 95 % of a normal distribution.
const Z95: f64 = 1.96;

/// At or beyond this compound an utterance is positive or negative: the convention of VADER's authors.
const POLAR: f64 = 0.05;
/// Share of the text that must be positive, and share that must be negative, for a mixed label.
const MIXED_MASS: f64 = 0.15;
/// A mixed text's compound lies closer to zero than this: a net valence under one rating point (1/√(1 + 15) = 0.25).
const MIXED_COMPOUND: f64 = 0.25;

/// The sentiment of one text. No field is ever NaN; error and band have four digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// Net sentiment, −1..1: s/√(s² + 15), s being the sum of the words' valences after all rules; four digits.
    pub compound: f64,
    /// Share of the text that is positive, 0..1; three digits. The three shares sum to 1, or are all 0 without words.
    pub positive: f64,
    /// Share of the text that is negative, 0..1.
    pub negative: f64,
    /// Share of the text that is neither, 0..1.
    pub neutral: f64,
    /// Standard error of the compound that follows from the spread of the lexicon's ten raters:
    /// 15/(s² + 15)^1.5 · √Σ(gₖ·sdₖ/3)², gₖ being the factor (negations, "but") with which rated word k entered s.
    /// Degree words, capitals and punctuation have no published spread and count as exact.
    pub standard_error: f64,
    /// `compound` ± 1.96 standard errors, cut to −1..1.
    pub band: [f64; 2],
    pub label: Label,
}

/// The word for a sentiment: positive from a compound of 0.05, negative from −0.05, neutral between.
/// Before that, mixed: at least 0.15 of the text positive, at least 0.15 negative, and |compound| under 0.25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    Positive,
    Negative,
    Neutral,
    Mixed,
}

/// The sentiment rules with their lexicon. Building one reads 7,500 words (under two milliseconds): build it once and share it.
#[derive(Debug)]
pub struct Vader {
    lexicon: Lexicon,
}

impl Default for Vader {
    fn default() -> Self {
        Self::new()
    }
}

impl Vader {
    pub fn new() -> Self {
        Self { lexicon: Lexicon::new() }
    }

    /// Scores a text of any length; an empty one is neutral with all shares 0.
    pub fn score(&self, text: &str) -> Sentiment {
        let text = self.name_emoji(text);
        let mut lower = String::with_capacity(text.len() + 16);
        let tokens = self.tokens(&text, &mut lower);
        let words = valences(&tokens, &lower);
        summarise(&words, emphasis(&text))
    }

    /// Sum of the absolute valences of a text's words after all rules, plus the emphasis of its punctuation when any
    /// word is rated, and the number of its words.
    pub(super) fn absolute_valence(&self, text: &str) -> (f64, usize) {
        let text = self.name_emoji(text);
        let mut lower = String::with_capacity(text.len() + 16);
        let tokens = self.tokens(&text, &mut lower);
        let words = valences(&tokens, &lower);
        let sum: f64 = words.iter().map(|word| libm::fabs(word.valence)).sum();
        (if sum > 0.0 { sum + emphasis(&text) } else { 0.0 }, words.len())
    }

    /// Whether a lower-case word negates what follows.
    pub(super) fn negates(&self, lower: &str) -> bool {
        lower.contains("n't") || self.lexicon.word(lower).is_some_and(|word| word.negates)
    }

    /// Replaces emoji by their names. A name is set off from the word before it but not from the one after it, as in the reference.
    fn name_emoji<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut named = String::with_capacity(text.len() + 32);
        let mut after_space = true;
        for symbol in text.chars() {
            if let Some(name) = self.lexicon.emoji(symbol) {
                if !after_space {
                    named.push(' ');
                }
                named.push_str(name);
                after_space = false;
            } else {
                named.push(symbol);
                after_space = symbol == ' ';
            }
        }
        Cow::Owned(named)
    }

    fn tokens(&self, text: &str, lower: &mut String) -> Vec<Token> {
        let mut tokens = Vec::with_capacity(text.len() / 5 + 1);
        for word in text.split(is_space).filter(|word| !word.is_empty()) {
            let word = strip_punctuation(word);
            let start = lower.len();
            push_lower(word, lower);
            let key = &lower[start..];
            let entry = self.lexicon.word(key).copied();
            let negates = entry.is_some_and(|entry| entry.negates) || (key.contains('\'') && key.contains("n't"));
            tokens.push(Token {
                start,
                end: lower.len(),
                entry: entry.unwrap_or_default(),
                negates,
                capitals: is_upper(word),
            });
        }
        tokens
    }
}

fn valences(tokens: &[Token], lower: &str) -> Vec<Scored> {
    let line = Line { tokens, lower, capitals_differ: capitals_differ(tokens) };
    let mut words: Vec<Scored> = (0..tokens.len()).map(|i| line.valence(i)).collect();
    weigh_by_but(&line, &mut words);
    words
}

/// One word of the text; its lower-case form is `lower[start..end]`.
#[derive(Debug)]
struct Token {
    start: usize,
    end: usize,
    entry: Word,
    negates: bool,
    capitals: bool,
}

/// What a word adds to the sum, and with what factor its raters' error enters it.
#[derive(Clone, Copy, Debug)]
struct Scored {
    valence: f64,
    /// Factor on the word's own rating; 0 for words whose valence does not come from the lexicon.
    gain: f64,
    standard_error: f64,
    word: u32,
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

fn summarise(words: &[Scored], emphasis: f64) -> Sentiment {
    if words.is_empty() {
        return Sentiment {
            compound: 0.0,
            positive: 0.0,
            negative: 0.0,
            neutral: 0.0,
            standard_error: 0.0,
            band: [0.0, 0.0],
            label: Label::Neutral,
        };
    }
    let (mut sum, mut positive, mut negative, mut neutral) = (0.0, 0.0, 0.0, 0.0);
    for Scored { valence, .. } in words {
        sum += valence;
        if *valence > 0.0 {
            positive += valence + 1.0;
        } else if *valence < 0.0 {
            negative += 1.0 - valence;
        } else {
            neutral += 1.0;
        }
    }
    if sum > 0.0 {
        sum += emphasis;
    } else if sum < 0.0 {
        sum -= emphasis;
    }
    if positive > negative {
        positive += emphasis;
    } else if positive < negative {
        negative += emphasis;
    }
    let total = positive + negative + neutral;
    let squared = sum * sum + ALPHA;
    let compound = round(sum / libm::sqrt(squared), 1e4);
    let standard_error = ALPHA / (squared * libm::sqrt(squared)) * libm::sqrt(rater_variance(words));
    let (positive, negative, neutral) =
        (round(positive / total, 1e3), round(negative / total, 1e3), round(neutral / total, 1e3));
    Sentiment {
        compound,
        positive,
        negative,
        neutral,
        standard_error: four_digits(standard_error),
        band: [-1.0, 1.0].map(|side| four_digits((compound + side * Z95 * standard_error).clamp(-1.0, 1.0))),
        label: label(compound, positive, negative),
    }
}

fn label(compound: f64, positive: f64, negative: f64) -> Label {
    if positive >= MIXED_MASS && negative >= MIXED_MASS && libm::fabs(compound) < MIXED_COMPOUND {
        Label::Mixed
    } else if compound >= POLAR {
        Label::Positive
    } else if compound <= -POLAR {
        Label::Negative
    } else {
        Label::Neutral
    }
}

/// Variance of the sum: occurrences of one word share one rating, so their factors add before they are squared.
fn rater_variance(words: &[Scored]) -> f64 {
    let mut rated: Vec<&Scored> = words.iter().filter(|word| word.gain != 0.0).collect();
    rated.sort_by_key(|word| word.word);
    rated
        .chunk_by(|a, b| a.word == b.word)
        .map(|same| {
            let gain: f64 = same.iter().map(|word| word.gain).sum();
            let error = gain * same[0].standard_error;
            error * error
        })
        .sum()
}

/// Up to four exclamation marks, and two or more question marks, strengthen the whole text.
fn emphasis(text: &str) -> f64 {
    let (mut exclamations, mut questions) = (0u32, 0u32);
    for byte in text.bytes() {
        exclamations += u32::from(byte == b'!');
        questions += u32::from(byte == b'?');
    }
    let question_part = match questions {
        0 | 1 => 0.0,
        2 | 3 => f64::from(questions) * 0.18,
        _ => 0.96,
    };
    f64::from(exclamations.min(4)) * 0.292 + question_part
}

fn capitals_differ(tokens: &[Token]) -> bool {
    let capitals = tokens.iter().filter(|token| token.capitals).count();
    0 < capitals && capitals < tokens.len()
}

/// Strips ASCII punctuation unless two or fewer characters remain: then it was likely an emoticon.
fn strip_punctuation(word: &str) -> &str {
    let stripped = word.trim_matches(|symbol: char| symbol.is_ascii_punctuation());
    if stripped.chars().nth(2).is_some() { stripped } else { word }
}

fn push_lower(word: &str, lower: &mut String) {
    if word.is_ascii() {
        let start = lower.len();
        lower.push_str(word);
        lower[start..].make_ascii_lowercase();
    } else {
        lower.push_str(&word.to_lowercase());
    }
}

/// White space as the reference's language splits it: Unicode's, and the four ASCII separators.
fn is_space(symbol: char) -> bool {
    symbol.is_whitespace() || matches!(symbol, '\u{1c}'..='\u{1f}')
}

/// At least one upper-case character and none in lower or title case.
fn is_upper(word: &str) -> bool {
    if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return false;
    }
    let mut upper = false;
    for symbol in word.chars() {
        if symbol.is_lowercase() || is_title(symbol) {
            return false;
        }
        upper |= symbol.is_uppercase();
    }
    upper
}

/// The title-case letters of Unicode; none was added since 1999.
fn is_title(symbol: char) -> bool {
    matches!(symbol, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}'
        | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

/// Rounds to `scale` (a power of ten), ties to even on the exact binary value as the reference's language does.
fn round(value: f64, scale: f64) -> f64 {
    let scaled = value * scale;
    let below = libm::floor(scaled);
    let rest = scaled - below;
    if libm::fabs(rest - 0.5) > 1e-6 {
        return if rest > 0.5 { below + 1.0 } else { below } / scale;
    }
    // The product may have been rounded onto or off the tie: printing decides on the exact value.
    let digits = if scale == 1e3 { 3 } else { 4 };
    format!("{value:.digits$}").parse().unwrap_or(value)
}
