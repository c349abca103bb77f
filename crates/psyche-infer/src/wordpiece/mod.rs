//! Cuts text into the word pieces of uncased BERT, exactly as the reference tokenizer does.
//!
//! Text is cleaned (control characters go, white space becomes a space), Chinese characters are set apart, accents are
//! taken off, letters lowered; words are what white space and punctuation leave, and each word is cut greedily into the
//! longest pieces of the vocabulary, all but its first marked `##`.
//!
//! `vocabulary.txt` is the vocabulary of BERT base, uncased (Google, Apache-2.0), one piece a line.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

const VOCABULARY: &str = include_str!("vocabulary.txt");

/// A word of more characters is unknown as a whole.
const LONGEST_WORD: usize = 100;

/// The vocabulary, ready to be looked up.
#[derive(Debug)]
pub(crate) struct WordPiece {
    beginnings: HashMap<&'static str, u32>,
    /// Pieces that go on a word, without their `##`.
    continuations: HashMap<&'static str, u32>,
    unknown: u32,
    start: u32,
    end: u32,
}

impl WordPiece {
    pub(crate) fn new() -> Self {
        let mut beginnings = HashMap::new();
        let mut continuations = HashMap::new();
        for (piece, id) in VOCABULARY.lines().zip(0..) {
            match piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                Some(rest) => continuations.insert(rest, id),
                None => beginnings.insert(piece, id),
            };
        }
        let special = |name: &str| beginnings.get(name).copied().unwrap_or_default();
        let (unknown, start, end) = (special("[UNK]"), special("[CLS]"), special("[SEP]"));
        Self { beginnings, continuations, unknown, start, end }
    }

    /// Pieces in the vocabulary.
    pub(crate) fn vocabulary(&self) -> usize {
        self.beginnings.len() + self.continuations.len()
    }

    /// The pieces of `text` between the marks of its start and end, at most `most` of them in all.
    pub(crate) fn encode(&self, text: &str, most: usize) -> Vec<u32> {
        let mut pieces = vec![self.start];
        let room = most.saturating_sub(1);
        let mut word = String::new();
        for c in normalised(text) {
            let apart = is_punctuation(c);
            if c.is_whitespace() || apart {
                self.word(&word, &mut pieces);
                word.clear();
            }
            if apart {
                self.word(c.encode_utf8(&mut [0; 4]), &mut pieces);
            } else if !c.is_whitespace() {
                word.push(c);
            }
            if pieces.len() >= room {
                break;
            }
        }
        self.word(&word, &mut pieces);
        pieces.truncate(room);
        pieces.push(self.end);
        pieces
    }

    fn word(&self, word: &str, pieces: &mut Vec<u32>) {
        if word.chars().nth(LONGEST_WORD).is_some() {
            pieces.push(self.unknown);
            return;
        }
        let before = pieces.len();
        let mut rest = word;
        while !rest.is_empty() {
            let known = if rest.len() == word.len() { &self.beginnings } else { &self.continuations };
            let ends = rest.char_indices().rev().map(|(at, c)| at + c.len_utf8());
            let longest = ends.map(|end| rest.split_at(end)).find_map(|(piece, left)| Some((*known.get(piece)?, left)));
            let Some((piece, left)) = longest else {
                pieces.truncate(before);
                pieces.push(self.unknown);
                return;
            };
            pieces.push(piece);
            rest = left;
        }
    }
}

fn normalised(text: &str) -> impl Iterator<Item = char> {
    let clean = text.chars().filter(|c| !is_removed(*c)).map(|c| if c.is_whitespace() { ' ' } else { c });
    let apart = clean.flat_map(|c| {
        let around = is_chinese(c).then_some(' ');
        around.into_iter().chain([c]).chain(around)
    });
    let bare = apart.nfd().filter(|c| c.general_category() != GeneralCategory::NonspacingMark);
    bare.flat_map(char::to_lowercase)
}

fn is_removed(c: char) -> bool {
    let kept = matches!(c, '\t' | '\n' | '\r');
    let other = matches!(
        c.general_category(),
        GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Surrogate
    );
    !kept && (other || c == '\u{fffd}')
}

fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2b73f}'
        | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// `tests/fixtures/make_embeddings.py` made the cases.
    #[test]
    fn pieces_are_those_of_the_reference_tokenizer() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/fixtures/pieces.json")).unwrap();
        assert!(cases.len() >= 30);
        let pieces = WordPiece::new();
        assert_eq!(pieces.vocabulary(), 30_522);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["pieces"].clone()).unwrap();
            assert_eq!(pieces.encode(text, 256), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_marked_pieces_of_the_vocabulary(text: String, most in 2usize..20) {
            let wordpiece = WordPiece::new();
            let pieces = wordpiece.encode(&text, most);
            prop_assert!(pieces.len() >= 2 && pieces.len() <= most);
            prop_assert!(pieces[0] == 101 && pieces[pieces.len() - 1] == 102 && pieces.iter().all(|id| *id < 30_522));
        }
    }
}
