//! The words of a window, numbered once and shared by all gauges.

use super::lexicon::WordHasher;
use std::hash::Hasher;
use std::ops::Range;

/// Numbered words of consecutive texts.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Every word of every text, in order, by its number.
    pub tokens: Vec<u32>,
    /// Text `i` holds `tokens[starts[i]..starts[i + 1]]`.
    pub starts: Vec<usize>,
    /// The distinct words in lower case, one after the other; word `n` ends at `ends[n]`.
    letters: String,
    ends: Vec<usize>,
}

/// What is left of a window: its words keep their numbers.
pub(super) struct Rest {
    pub tokens: Vec<u32>,
    pub starts: Vec<usize>,
}

impl Window {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut window = Self { starts: vec![0], ..Self::default() };
        let mut numbers = Numbers { slots: vec![FREE; 1024] };
        let mut word = String::new();
        for text in texts {
            each_word(text, &mut word, |word| {
                let number = numbers.number(word, &mut window);
                window.tokens.push(number);
            });
            window.starts.push(window.tokens.len());
        }
        window
    }

    /// The words and starts of the texts but those of a range.
    pub(super) fn without(&self, left_out: Range<usize>) -> Rest {
        let cut = self.starts[left_out.start]..self.starts[left_out.end];
        let tokens = [&self.tokens[..cut.start], &self.tokens[cut.end..]].concat();
        let before = self.starts[..left_out.start].iter().copied();
        let after = self.starts[left_out.end..].iter().map(|start| start - cut.len());
        Rest { tokens, starts: before.chain(after).collect() }
    }

    /// Number of distinct words.
    pub(super) fn types(&self) -> usize {
        self.ends.len()
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn text(&self, i: usize) -> &[u32] {
        &self.tokens[self.starts[i]..self.starts[i + 1]]
    }

    pub(super) fn word(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.letters[start..self.ends[number]]
    }

    /// The distinct words, in the order of their numbers.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| self.word(number))
    }
}

const FREE: u32 = u32::MAX;

/// Numbers of the words met so far: an open table of numbers, so that no word is stored twice.
struct Numbers {
    slots: Vec<u32>,
}

impl Numbers {
    fn number(&mut self, word: &str, window: &mut Window) -> u32 {
        let slot = self.slot(word, window);
        if self.slots[slot] == FREE {
            let number = window.ends.len() as u32;
            window.letters.push_str(word);
            window.ends.push(window.letters.len());
            self.slots[slot] = number;
            if 2 * window.ends.len() > self.slots.len() {
                self.grow(window);
            }
            return number;
        }
        self.slots[slot]
    }

    /// The slot that holds the word, or the free one where it belongs.
    fn slot(&self, word: &str, window: &Window) -> usize {
        let mut hasher = WordHasher::default();
        hasher.write(word.as_bytes());
        let mask = self.slots.len() - 1;
        let mut slot = hasher.finish() as usize & mask;
        while self.slots[slot] != FREE && window.word(self.slots[slot]) != word {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self, window: &Window) {
        self.slots = vec![FREE; 2 * self.slots.len()];
        for number in 0..window.ends.len() as u32 {
            let slot = self.slot(window.word(number), window);
            self.slots[slot] = number;
        }
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
        assert_eq!(window.words().collect::<Vec<_>>(), ["don't", "you", "yes", "élan"]);
        assert_eq!(window.len(), 3);
        assert_eq!((window.text(0), window.text(1), window.text(2)), (&[0, 1, 2][..], &[][..], &[2, 0, 3][..]));
    }

    #[test]
    fn a_range_of_texts_is_left_out() {
        let window = Window::new(["a b", "c", "", "d a"].into_iter());
        let rest = window.without(1..3);
        assert_eq!((rest.tokens, rest.starts), (vec![0, 1, 3, 0], vec![0, 2, 4]));
        let rest = window.without(3..4);
        assert_eq!((rest.tokens, rest.starts), (vec![0, 1, 2], vec![0, 2, 3, 3]));
    }

    #[test]
    fn numbers_stay_true_when_the_table_grows() {
        let text: Vec<String> = (0..5000).map(|i| format!("w{}", i % 2500)).collect();
        let window = Window::new([text.join(" ").as_str()].into_iter());
        assert_eq!(window.types(), 2500);
        assert!(window.tokens.iter().zip(&text).all(|(number, word)| window.word(*number) == word));
    }
}
