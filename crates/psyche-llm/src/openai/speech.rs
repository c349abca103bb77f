//! What of a reply's text is speech: inline reasoning goes apart, and a repeated opener is taken off.

const OPENING: [&str; 2] = ["<think>", "<thinking>"];
const CLOSING: [&str; 2] = ["</think>", "</thinking>"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Speech(String),
    Reasoning(String),
}

/// Reasoning ended that never began, after words were already taken for speech: nothing of the reply can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasoningLeaked;

/// Splits streamed text at `<think>` and `</think>`, holding back only what may be the beginning of a tag.
#[derive(Debug, Default)]
pub struct Think {
    inside: bool,
    spoke: bool,
    held: String,
}

impl Think {
    pub fn push(&mut self, text: &str) -> Result<Vec<Part>, ReasoningLeaked> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while let Some((at, tag)) = self.next_tag() {
            let before = self.held[..at].to_owned();
            self.held.drain(..at + tag.len());
            self.keep(before, &mut parts);
            let closes = tag.starts_with("</");
            if closes && !self.inside && self.spoke {
                return Err(ReasoningLeaked);
            }
            self.inside = !closes;
        }
        let sure = self.held.len() - self.possible_tag();
        let before = self.held.drain(..sure).collect();
        self.keep(before, &mut parts);
        Ok(parts)
    }

    /// What was held back, when no more text comes.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let rest = std::mem::take(&mut self.held);
        self.keep(rest, &mut parts);
        parts
    }

    pub fn is_inside(&self) -> bool {
        self.inside
    }

    fn keep(&mut self, text: String, parts: &mut Vec<Part>) {
        if text.is_empty() {
            return;
        }
        if self.inside {
            parts.push(Part::Reasoning(text));
        } else {
            self.spoke |= !text.trim().is_empty();
            parts.push(Part::Speech(text));
        }
    }

    fn tags(&self) -> impl Iterator<Item = &'static str> {
        let opening: &[&str] = if self.inside { &[] } else { &OPENING };
        CLOSING.iter().chain(opening).copied()
    }

    fn next_tag(&self) -> Option<(usize, &'static str)> {
        self.tags().filter_map(|tag| self.held.find(tag).map(|at| (at, tag))).min()
    }

    /// Length of the longest end of the held text that may yet become a tag.
    fn possible_tag(&self) -> usize {
        let longest = |tag: &str| (1..tag.len()).rev().find(|&n| self.held.ends_with(&tag[..n])).unwrap_or(0);
        self.tags().map(longest).max().unwrap_or(0)
    }
}

/// Takes a repeated opener off the front of the speech. Chat servers cannot continue a given beginning, so they are
/// asked to begin with it, and most do; either way what is passed on follows the opener.
#[derive(Debug)]
pub struct Opener {
    expected: Vec<char>,
    held: String,
    decided: bool,
    asked: bool,
}

impl Opener {
    pub fn new(opener: Option<&str>) -> Self {
        let expected: Vec<char> = opener.unwrap_or_default().trim().chars().map(folded).collect();
        let asked = !expected.is_empty();
        Self { expected, held: String::new(), decided: false, asked }
    }

    pub fn push(&mut self, text: &str) -> String {
        if self.decided {
            return text.to_owned();
        }
        self.held.push_str(text);
        self.decide(false)
    }

    /// What was held back, when no more text comes.
    pub fn finish(&mut self) -> String {
        if self.decided { String::new() } else { self.decide(true) }
    }

    /// Empty while it cannot be told yet whether the reply repeats the opener.
    fn decide(&mut self, is_end: bool) -> String {
        let quotes: &[char] = if self.asked { &['"', '“', '*'] } else { &[] };
        let begun = self.held.trim_start_matches(|c: char| c.is_whitespace() || quotes.contains(&c));
        if begun.is_empty() && !is_end {
            return String::new();
        }
        let same = begun.chars().zip(&self.expected).take_while(|(c, e)| folded(*c) == **e).count();
        let mut after = begun.chars().skip(same);
        let repeats = same == self.expected.len();
        let next = after.next();
        // One character past the opener is needed: "I" does not open "It is".
        if next.is_none() && !is_end && self.asked {
            return String::new();
        }
        self.decided = true;
        if !self.asked {
            return begun.to_owned();
        }
        let whole_word = !next.is_some_and(char::is_alphanumeric);
        if repeats && whole_word {
            return next.into_iter().chain(after).collect();
        }
        // The opener will stand before these words: keep them apart.
        let unquoted = self.held.trim_start();
        if unquoted.is_empty() { String::new() } else { format!(" {unquoted}") }
    }
}

/// Case and the shape of an apostrophe do not make another opener.
fn folded(c: char) -> char {
    match c {
        '’' | '‘' => '\'',
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> Result<(String, String), ReasoningLeaked> {
        let mut think = Think::default();
        let (mut speech, mut reasoning) = (String::new(), String::new());
        let mut take = |parts: Vec<Part>| {
            for part in parts {
                match part {
                    Part::Speech(text) => speech.push_str(&text),
                    Part::Reasoning(text) => reasoning.push_str(&text),
                }
            }
        };
        for piece in pieces {
            take(think.push(piece)?);
        }
        take(think.finish());
        Ok((speech, reasoning))
    }

    #[test]
    fn inline_reasoning_goes_apart_wherever_the_pieces_are_cut() {
        let cases = [
            ("plain words", "plain words", ""),
            ("<think>hm</think>so", "so", "hm"),
            ("<thinking>hm</thinking>so", "so", "hm"),
            ("a<think>b</think>c<think>d</think>e", "ace", "bd"),
            ("<think>never closed", "", "never closed"),
            ("</think>so", "so", ""),
            ("1 < 2 and <thin air>", "1 < 2 and <thin air>", ""),
            ("ends in <thi", "ends in <thi", ""),
            ("<think>a < b</thinker</think>Größe", "Größe", "a < b</thinker"),
        ];
        for (text, speech, reasoning) in cases {
            for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                let got = split(&[&text[..cut], &text[cut..]]);
                assert_eq!(got, Ok((speech.into(), reasoning.into())), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn reasoning_that_was_taken_for_speech_is_found_out() {
        assert_eq!(split(&["First I weigh the tone.", "</think>I am here."]), Err(ReasoningLeaked));
    }

    #[test]
    fn a_repeated_opener_is_taken_off_wherever_the_pieces_are_cut() {
        let opener = "The truth you don't say is";
        let cases = [
            (Some(opener), "The truth you don't say is loneliness.", " loneliness."),
            (Some(opener), " the truth you don’t say IS loneliness.", " loneliness."),
            (Some(opener), "\"The truth you don't say is loneliness.", " loneliness."),
            (Some(opener), "The truth you don't say is… loneliness.", "… loneliness."),
            (Some(opener), "The truth you don't say isolates you.", " The truth you don't say isolates you."),
            (Some(opener), "You are alone.", " You are alone."),
            (Some(opener), "The truth", " The truth"),
            (Some(opener), "The truth you don't say is", ""),
            (Some("I"), "It is late.", " It is late."),
            (Some("I"), "I wait.", " wait."),
            (None, "\n\n \"Plain\" words.", "\"Plain\" words."),
            (Some(" "), " words", "words"),
            (None, "", ""),
            (Some(opener), " ", ""),
        ];
        for (opener, text, expected) in cases {
            for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                let mut stage = Opener::new(opener);
                let got = [stage.push(&text[..cut]), stage.push(&text[cut..]), stage.finish()].concat();
                assert_eq!(got, expected, "{text:?} cut at {cut}");
            }
        }
    }
}
