//! Cuts text into the pieces that byte-pair encoding works within, as the GPT-2 family does.
//!
//! For the `smollm` family every digit first stands alone; within what is left the GPT-2 pattern
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` applies.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Number,
    Other,
}

fn class(c: char) -> Class {
    if c.is_whitespace() {
        return Class::Space;
    }
    match c.general_category_group() {
        GeneralCategoryGroup::Letter => Class::Letter,
        GeneralCategoryGroup::Number => Class::Number,
        _ => Class::Other,
    }
}

/// Calls `each` with the pieces of `text`, in order; together they are the whole text.
pub(crate) fn split<'t>(text: &'t str, digits_alone: bool, mut each: impl FnMut(&'t str)) {
    if !digits_alone {
        return split_words(text, &mut each);
    }
    let mut start = 0;
    for (at, c) in text.char_indices().filter(|&(_, c)| class(c) == Class::Number) {
        split_words(&text[start..at], &mut each);
        start = at + c.len_utf8();
        each(&text[at..start]);
    }
    split_words(&text[start..], &mut each);
}

fn split_words<'t>(mut text: &'t str, each: &mut impl FnMut(&'t str)) {
    while !text.is_empty() {
        let (piece, rest) = text.split_at(first_piece(text));
        each(piece);
        text = rest;
    }
}

/// Bytes of the first match in `text`, which is not empty.
fn first_piece(text: &str) -> usize {
    if let Some(contraction) = CONTRACTIONS.iter().find(|c| text.starts_with(**c)) {
        return contraction.len();
    }
    let body = text.strip_prefix(' ').unwrap_or(text);
    if let Some(kind) = body.chars().next().map(class)
        && kind != Class::Space
    {
        return text.len() - body.len() + run(body, kind);
    }
    // A run of white space. Its last character belongs to the word that follows, unless nothing else would be left.
    let spaces = run(text, Class::Space);
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    if spaces == text.len() || spaces == last { spaces } else { spaces - last }
}

fn run(text: &str, kind: Class) -> usize {
    text.char_indices().find(|&(_, c)| class(c) != kind).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, digits_alone: bool) -> Vec<&str> {
        let mut pieces = Vec::new();
        split(text, digits_alone, |piece| pieces.push(piece));
        pieces
    }

    #[test]
    fn words_keep_the_space_before_them() {
        for (text, expected) in [
            ("I don't  know.", vec!["I", " don", "'t", " ", " know", "."]),
            ("a \n\nb", vec!["a", " \n", "\n", "b"]),
            ("end  ", vec!["end", "  "]),
            (" 12 x", vec![" ", "1", "2", " x"]),
            ("you'll'xx", vec!["you", "'ll", "'", "xx"]),
            ("née?!", vec!["née", "?!"]),
        ] {
            assert_eq!(pieces(text, true), expected, "{text:?}");
        }
        assert_eq!(pieces(" 12 x", false), [" 12", " x"]);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "\\PC*|[ \\n\\ta'1é]{0,40}", digits_alone: bool) {
            let pieces = pieces(&text, digits_alone);
            prop_assert_eq!(pieces.concat(), text.as_str());
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
        }
    }
}
