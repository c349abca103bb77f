//! What goes with a person's words, and quotations of them in the words of others (docs/adr/0003).

use std::collections::HashSet;
use std::ops::Range;

use crate::event::texts_of;
use crate::words::{ERASED, Subject};

/// A quotation is longer than this many characters.
pub const LONGEST_KEPT: usize = 40;

const WINDOW: usize = LONGEST_KEPT + 1;

/// Made at the end of a round from the words of a person and those of an agent.
const SITUATION: &str = "situation_changed";

/// Whether a text of an event of this kind goes when `erased` does.
pub fn goes(kind: &str, subject: Subject, erased: Subject) -> bool {
    subject == erased || (erased == Subject::Session && kind == SITUATION)
}

/// Whether a text may quote a person: what agents say and think, and what is made of it.
pub fn may_quote(kind: &str) -> bool {
    matches!(kind, "agent_message" | "turn_committed" | SITUATION)
}

/// What a person wrote, to be looked for in what others say.
///
/// Case and white space do not count: a model that quotes changes both.
#[derive(Debug, Default)]
pub struct Quotes {
    windows: HashSet<[char; WINDOW]>,
}

impl Quotes {
    /// Adds a text of the person.
    pub fn add(&mut self, text: &str) {
        let folded: Vec<char> = folded(text).into_iter().map(|(c, _)| c).collect();
        self.windows.extend(folded.windows(WINDOW).filter_map(|w| <[char; WINDOW]>::try_from(w).ok()));
    }

    /// Adds a person's text by its place. The situation of a round is made of texts that are added elsewhere, and of an
    /// agent's.
    pub fn note(&mut self, kind: &str, field: &str, text: &str) {
        match texts_of(text).filter(|_| (kind, field) == ("session_created", "cast")) {
            Some(texts) => texts.iter().for_each(|text| self.add(text)),
            None if kind == SITUATION => {}
            None => self.add(text),
        }
    }

    /// Whether nothing that was added is long enough to be a quotation.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The text with every quotation replaced by `[erased]`; nothing when there is none.
    pub fn mask(&self, text: &str) -> Option<String> {
        let folded = folded(text);
        let mut quoted: Vec<Range<usize>> = Vec::new();
        for window in folded.windows(WINDOW) {
            let chars: [char; WINDOW] = std::array::from_fn(|i| window[i].0);
            if !self.windows.contains(&chars) {
                continue;
            }
            let (start, end) = (window[0].1.start, window[WINDOW - 1].1.end);
            match quoted.last_mut() {
                Some(last) if start <= last.end => last.end = end,
                _ => quoted.push(start..end),
            }
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for span in &quoted {
            masked.push_str(&text[from..span.start]);
            masked.push_str(ERASED);
            from = span.end;
        }
        masked.push_str(&text[from..]);
        Some(masked).filter(|_| !quoted.is_empty())
    }
}

/// Lower-case characters with white space as single blanks, and the bytes each stands for.
fn folded(text: &str) -> Vec<(char, Range<usize>)> {
    let mut folded: Vec<(char, Range<usize>)> = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let bytes = at..at + c.len_utf8();
        match folded.last_mut() {
            Some((' ', blank)) if c.is_whitespace() => blank.end = bytes.end,
            _ if c.is_whitespace() => folded.push((' ', bytes)),
            // One character for one: what lower case makes longer keeps its first part.
            _ => folded.push((c.to_lowercase().next().unwrap_or(c), bytes)),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &str = "My grandmother kept a lighthouse near Trieste until the winter of 1952.";

    fn masked(text: &str) -> Option<String> {
        let mut quotes = Quotes::default();
        quotes.add(SAID);
        quotes.mask(text)
    }

    #[test]
    fn quotations_of_more_than_forty_characters_are_masked() {
        let exactly = |n: usize| SAID.chars().skip(3).take(n).collect::<String>();
        let cases = [
            (format!("You said: {SAID} Why?"), Some("You said: [erased] Why?".to_owned())),
            (format!("“{}”", exactly(41)), Some("“[erased]”".to_owned())),
            (format!("“{}”", exactly(40)), None),
            (SAID.to_uppercase(), Some(ERASED.to_owned())),
            (SAID.replace(' ', "\n  "), Some(ERASED.to_owned())),
            (format!("{SAID}{SAID}"), Some(ERASED.to_owned())),
            (format!("{SAID} And again: {SAID}"), Some("[erased] And again: [erased]".to_owned())),
            ("A lighthouse stands near Trieste, they say, and it has stood there long.".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(masked(&text), expected, "{text}");
        }
        assert!(Quotes::default().is_empty());
    }

    proptest! {
        #[test]
        fn no_window_of_what_was_said_is_left(said in "[a-cÄß\u{130} \n]{0,120}", before in "[a-cÄß \n]{0,60}", from in 0usize..120) {
            let mut quotes = Quotes::default();
            quotes.add(&said);
            let quoted: String = said.chars().skip(from).collect();
            let text = format!("{before}{quoted}");
            let left = quotes.mask(&text).unwrap_or(text);
            for part in left.split(ERASED) {
                prop_assert!(quotes.mask(part).is_none(), "{part:?} of {left:?}");
            }
        }
    }
}
