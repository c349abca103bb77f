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
use super::lexicon::Lexicon;
use super::rules::{Scored, Token, valences};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
        (lower.contains('\'') && lower.contains("n't")) || self.lexicon.word(lower).is_some_and(|word| word.negates)
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
