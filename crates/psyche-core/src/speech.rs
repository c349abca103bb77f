//! Speech: what a model wrote, made fit to be an utterance. Model output is data; nothing is ever parsed out of it.

use std::borrow::Cow;

use crate::port::PromptStyle;

/// Longest utterance of a full-style model, in characters.
const MAX_CHARS: usize = 4_000;

/// Text without control, bidirectional and zero-width characters, white space collapsed (line breaks kept).
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.chars().filter(|c| !is_hidden(*c) || *c == '\t').collect::<String>();
        let words: Vec<&str> = line.split_whitespace().collect();
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&words.join(" "));
    }
    let kept = out.trim();
    if kept.len() == out.len() { out } else { kept.to_owned() }
}

/// Whether [`plain`] would take a character out or a line break in; what is stored has been through it already.
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(is_hidden)
}

/// Text without hidden characters; white space stays as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    let kept = |c: &char| !is_hidden(*c) || matches!(c, '\n' | '\t');
    if text.chars().all(|c| kept(&c)) { Cow::Borrowed(text) } else { Cow::Owned(text.chars().filter(kept).collect()) }
}

/// Characters that change how text reads without being seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}' | '\u{E0000}'..='\u{E007F}')
}

/// An utterance from a model's reply: hidden characters, role labels and wrapping quotes removed; very small models are
/// cut after their second sentence. Idempotent, so that a recorded utterance can stand in for the reply it came from.
pub fn clean<'a>(reply: &str, style: PromptStyle, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut text = match style {
        PromptStyle::Compact => plain(reply.trim().lines().next().unwrap_or_default()),
        PromptStyle::Full => plain(reply),
    };
    loop {
        let before = text.len();
        for name in names.clone() {
            if let Some(rest) = text.strip_prefix(name).and_then(|r| r.trim_start().strip_prefix(':')) {
                text = rest.trim_start().to_owned();
            }
        }
        for (open, close) in [('"', '"'), ('“', '”')] {
            let inner = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
            if let Some(inner) = inner.filter(|i| !i.contains(open) && !i.contains(close)) {
                text = inner.trim().to_owned();
            }
        }
        if text.len() == before {
            break;
        }
    }
    if style == PromptStyle::Compact {
        text = first_sentences(&text, 2).to_owned();
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.truncate(text.trim_end().len());
    }
    text
}

/// The first `n` sentences; all of it when there are fewer.
pub fn first_sentences(text: &str, n: usize) -> &str {
    let mut found = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = i + c.len_utf8();
        while let Some((j, d)) = chars.peek().copied() {
            if !matches!(d, '.' | '!' | '?' | '…' | '"' | '”' | '’' | '\'' | ')') {
                break;
            }
            end = j + d.len_utf8();
            chars.next();
        }
        if chars.peek().is_none_or(|(_, d)| d.is_whitespace()) {
            found += 1;
            if found == n {
                return &text[..end];
            }
        }
    }
    text
}

/// At most `max` characters, cut at a word with an ellipsis.
pub fn capped(text: &str, max: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(max) else { return text.to_owned() };
    let cut = text[..end].rfind(char::is_whitespace).unwrap_or(end);
    format!("{}…", text[..cut].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 2] = ["Ego", "Shadow"];

    #[test]
    fn replies_become_utterances() {
        let cases = [
            ("Shadow: You lie.", PromptStyle::Full, "You lie."),
            ("\"Shadow: You lie.\"", PromptStyle::Full, "You lie."),
            ("One. Two! Three?", PromptStyle::Compact, "One. Two!"),
            ("It is 3.5 o'clock. Yes. No.", PromptStyle::Compact, "It is 3.5 o'clock. Yes."),
            ("First line\nEgo: stolen words", PromptStyle::Compact, "First line"),
            ("a\u{202E}b\u{200B}c\u{7}", PromptStyle::Full, "abc"),
            ("“Whole.”", PromptStyle::Full, "Whole."),
            ("He said \"no\".", PromptStyle::Full, "He said \"no\"."),
            (" \n ", PromptStyle::Full, ""),
        ];
        for (reply, style, expected) in cases {
            assert_eq!(clean(reply, style, NAMES.into_iter()), expected, "{reply:?}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(reply in "(Ego: ?|\"|“|”|[a-c.!? \n\u{200B}:]|Shadow){0,60}") {
            for style in [PromptStyle::Compact, PromptStyle::Full] {
                let once = clean(&reply, style, NAMES.into_iter());
                prop_assert_eq!(&clean(&once, style, NAMES.into_iter()), &once);
            }
        }
    }
}
