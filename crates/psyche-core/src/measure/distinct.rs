//! Distinct-n: the share of word sequences that are not repeats; the second opinion on repetition. Works for any
//! language that separates words.
//!
//! * value = distinct n-grams / n-grams, n-grams lying within an utterance; n = 1 and n = 2. 1 = nothing recurs.
//! * Source: Li et al. (2016), NAACL, arXiv 1510.03055.
//! * Limits: it falls with the length of the text, so only texts of the same number of words may be compared
//!   (see by_speaker).

use super::window::Window;
use std::collections::BTreeSet;

/// Distinct-n of texts; `None` when no text has n words.
pub fn distinct<'a>(texts: impl Iterator<Item = &'a str>, n: usize) -> Option<f64> {
    let window = Window::new(texts);
    let grams: Vec<&[u32]> = (0..window.len()).flat_map(|i| window.text(i).windows(n.max(1))).collect();
    let different: BTreeSet<&[u32]> = grams.iter().copied().collect();
    (!grams.is_empty()).then(|| different.len() as f64 / grams.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        let read = |texts: &[&str], n| distinct(texts.iter().copied(), n);
        assert_eq!(read(&["a b a b"], 1), Some(0.5));
        assert_eq!(read(&["a b a b"], 2), Some(2.0 / 3.0), "a b, b a");
        assert_eq!(read(&["a b", "b c"], 2), Some(1.0), "no pair across utterances");
        assert_eq!(read(&["a", ""], 2), None);
    }
}
