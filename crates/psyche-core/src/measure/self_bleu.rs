//! Self-BLEU: how well the other utterances foretell the words of each; the second opinion on repetition. Works for any
//! language that separates words.
//!
//! * value = mean over the utterances of BLEU-4 of each against all the others as references; 0..1, 1 = all the same.
//! * BLEU-4 = BP · exp(¼ Σ ln p_n), n = 1..4; p_n = clipped matches / max(1, n-grams of the utterance), a count being
//!   clipped at the most any one reference has; for p_n without a match 0.1 stands for the number of matches, and
//!   without a single common word BLEU is 0.
//! * BP = 1 when the utterance is longer than the reference nearest to it in length (the shorter of two equally near),
//!   else exp(1 − reference/utterance).
//! * Source: Zhu et al. (2018), SIGIR, arXiv 1802.01886 (self-BLEU); Papineni et al. (2002), ACL; Chen & Cherry (2014),
//!   WMT (smoothing 1).
//! * Limits: it looks at the latest 400 utterances, and grows with their number.

use super::window::Window;
use std::collections::BTreeMap;

/// Utterances it looks at.
pub const MAX_UTTERANCES: usize = 400;
const ORDERS: usize = 4;
const SMOOTH: f64 = 0.1;

/// Self-BLEU of texts; `None` with fewer than two that have words.
pub fn self_bleu(texts: &[&str]) -> Option<f64> {
    let window = Window::new(texts[texts.len().saturating_sub(MAX_UTTERANCES)..].iter().copied());
    let said: Vec<&[u32]> = (0..window.len()).map(|i| window.text(i)).filter(|text| !text.is_empty()).collect();
    if said.len() < 2 {
        return None;
    }
    let counts: Vec<[BTreeMap<&[u32], u32>; ORDERS]> =
        said.iter().map(|text| std::array::from_fn(|n| count(text, n + 1))).collect();
    let most: [BTreeMap<&[u32], Most>; ORDERS] = std::array::from_fn(|n| {
        let mut most: BTreeMap<&[u32], Most> = BTreeMap::new();
        for (i, counts) in counts.iter().enumerate() {
            for (gram, count) in &counts[n] {
                most.entry(gram).or_default().add(i, *count);
            }
        }
        most
    });
    let mut lengths: Vec<usize> = said.iter().map(|text| text.len()).collect();
    lengths.sort_unstable();
    let bleu = |i: usize| {
        let length = said[i].len();
        let mut logs = 0.0;
        for n in 0..ORDERS {
            let matched: u32 = counts[i][n].iter().map(|(gram, count)| most[n][gram].but(i).min(*count)).sum();
            if n == 0 && matched == 0 {
                return 0.0;
            }
            let all = (length + 1).saturating_sub(n + 1).max(1) as f64;
            logs += libm::log(if matched == 0 { SMOOTH } else { f64::from(matched) } / all);
        }
        let nearest = nearest(&lengths, length);
        let brevity = if length > nearest { 1.0 } else { libm::exp(1.0 - nearest as f64 / length as f64) };
        brevity * libm::exp(logs / ORDERS as f64)
    };
    Some((0..said.len()).map(bleu).sum::<f64>() / said.len() as f64)
}

fn count(text: &[u32], n: usize) -> BTreeMap<&[u32], u32> {
    let mut counts = BTreeMap::new();
    for gram in text.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// The largest counts of a sequence in two different utterances.
#[derive(Clone, Copy, Default)]
struct Most {
    first: u32,
    of: usize,
    second: u32,
}

impl Most {
    fn add(&mut self, of: usize, count: u32) {
        if count > self.first {
            *self = Self { first: count, of, second: self.first };
        } else {
            self.second = self.second.max(count);
        }
    }

    /// The largest count in an utterance other than `i`.
    fn but(self, i: usize) -> u32 {
        if self.of == i { self.second } else { self.first }
    }
}

/// The length nearest to `length` among the others; `lengths` is sorted and holds it once too often.
fn nearest(lengths: &[usize], length: usize) -> usize {
    let from = lengths.partition_point(|other| *other < length);
    let to = lengths.partition_point(|other| *other <= length);
    if to - from > 1 {
        return length;
    }
    let shorter = from.checked_sub(1).map(|i| lengths[i]);
    let longer = lengths.get(to).copied();
    match (shorter, longer) {
        (Some(shorter), Some(longer)) if longer - length < length - shorter => longer,
        (Some(nearest), _) | (None, Some(nearest)) => nearest,
        (None, None) => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_read_one_and_strangers_zero() {
        assert_eq!(self_bleu(&["we meet again at noon", "we meet again at noon"]), Some(1.0));
        assert_eq!(self_bleu(&["a b c d", "e f g h"]), Some(0.0));
        assert_eq!(self_bleu(&["a b c", ""]), None);
    }

    /// nltk 3.10.4: `sentence_bleu(others, text, smoothing_function=SmoothingFunction().method1)`, the mean over texts.
    #[test]
    fn it_agrees_with_nltk() {
        for (texts, expected) in NLTK {
            let read = self_bleu(texts).unwrap();
            assert!((read - expected).abs() < 1e-12, "{texts:?}: {read}, nltk {expected}");
        }
    }

    #[rustfmt::skip]
    const NLTK: [(&[&str], f64); 3] = [
        (&["the cat sat on the mat", "the cat sat on a mat", "a dog lay on the mat by the door", "the the the"], 0.3635017751895128),
        (&["we meet at the harbour", "we meet at noon at the harbour", "noon"], 0.1882058995006072),
        (&["I hear the sea tonight and the wind", "I hear the sea and the wind tonight", "the wind and the sea I hear", "the sea the sea the sea"], 0.3124857024182476),
    ];
}
