//! The words of a window, numbered once and shared by all gauges.

use super::lexicon::WordHasher;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Numbered words of consecutive texts.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Every word of every text, in order, as an index into `types`.
    pub tokens: Vec<u32>,
    /// Text `i` holds `tokens[starts[i]..starts[i + 1]]`.
    pub starts: Vec<usize>,
    /// The distinct words in lower case.
    pub types: Vec<String>,
}

impl Window {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut window = Self { starts: vec![0], ..Self::default() };
        let mut numbers: HashMap<String, u32, BuildHasherDefault<WordHasher>> = HashMap::default();
        let mut word = String::new();
        for text in texts {
            each_word(text, &mut word, |word| {
                let number = numbers.get(word).copied().unwrap_or_else(|| {
                    let number = window.types.len() as u32;
                    window.types.push(word.to_owned());
                    numbers.insert(word.to_owned(), number);
                    number
                });
                window.tokens.push(number);
            });
            window.starts.push(window.tokens.len());
        }
        window
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn text(&self, i: usize) -> &[u32] {
        &self.tokens[self.starts[i]..self.starts[i + 1]]
    }

    pub(super) fn word(&self, token: u32) -> &str {
        &self.types[token as usize]
    }
}

/// Words are runs of letters, digits and inner apostrophes, in lower case, typographic apostrophes made plain.
fn each_word(text: &str, word: &mut String, mut take: impl FnMut(&str)) {
    word.clear();
    let mut end = |word: &mut String| {
        let trimmed = word.trim_end_matches('\'');
        if !trimmed.is_empty() {
            take(trimmed);
        }
        word.clear();
    };
    for symbol in text.chars() {
        if symbol.is_ascii_alphanumeric() {
            word.push(symbol.to_ascii_lowercase());
        } else if symbol.is_alphanumeric() {
            word.extend(symbol.to_lowercase());
        } else if matches!(symbol, '\'' | '’') && !word.is_empty() {
            word.push('\'');
        } else {
            end(word);
        }
    }
    end(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_over_texts() {
        let window = Window::new(["Don’t you? 'Yes'.", "", "YES — don't Élan"].into_iter());
        assert_eq!(window.types, ["don't", "you", "yes", "élan"]);
        assert_eq!(window.len(), 3);
        assert_eq!((window.text(0), window.text(1), window.text(2)), (&[0, 1, 2][..], &[][..], &[2, 0, 3][..]));
    }
}
