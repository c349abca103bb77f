//! Meaning: how near utterances stand to one another, whatever their words. For languages the embedding model knows:
//! English with MiniLM-L6-v2.
//!
//! * e_j is the sentence embedding of utterance j, made as long as 1; ē is the mean over the window; d_j = e_j − ē is
//!   where the utterance stands seen from the middle of the talk.
//! * closeness_j = mean of the 4 largest cosines of d_j with the d_i of earlier utterances i (of all, where there are
//!   fewer);
//! * echo = mean closeness of the last 8 utterances: what is said was said before, in these words or others.
//! * drift = mean over the last 8 utterances of 1 − cos(e_j, ē).
//! * novelty_j = 1 − the largest cosine of e_j with the e_i of earlier utterances i.
//! * Source: sentence embeddings of Reimers & Gurevych (2019), EMNLP; novelty as distance to the past after Barron et
//!   al. (2018), PNAS 115:4607. Taking off the middle keeps talk about one subject from counting as a loop, and four
//!   neighbours instead of one keep a single return from it: both are this project's own.
//! * Null: recorded healthy dialogue (the 21 windows of the canonical one). 1 = the level that a quarter of the
//!   paraphrased loops pass.
//! * Limits: an utterance is read to its 254th word piece; negation moves an embedding little, so that a claim and its
//!   denial stand close together.

use super::null::Null;
use crate::embedding::Embedding;

/// The windows of the canonical healthy dialogue.
pub const HEALTHY: Null = Null { low: 0.0788, median: 0.1006, high: 0.1278 };
/// What a quarter of the paraphrased loops pass.
pub const EXTREME: f64 = 0.234;
/// Fewer embedded utterances than this give no reading.
pub const MIN_EMBEDDED: usize = 12;
/// Utterances the readings look at.
pub const RECENT: usize = 8;
const NEIGHBOURS: usize = 4;

/// Readings of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Meaning {
    /// −1..1.
    pub echo: f64,
    /// 0..2.
    pub drift: f64,
}

impl Meaning {
    /// Reads the utterances that have an embedding; all must be of one model.
    pub fn of(window: &[Option<&Embedding>]) -> Option<Self> {
        let said: Vec<&Embedding> = window.iter().copied().flatten().collect();
        let count = said.len();
        if count < MIN_EMBEDDED {
            return None;
        }
        let cosines: Vec<Vec<f64>> = said.iter().map(|a| said.iter().map(|b| a.cosine(b)).collect()).collect();
        // Products with the middle, and of the middle with itself.
        let middle: Vec<f64> = cosines.iter().map(|row| row.iter().sum::<f64>() / count as f64).collect();
        let square = middle.iter().sum::<f64>() / count as f64;
        let centred = |i: usize, j: usize| cosines[i][j] - middle[i] - middle[j] + square;
        let cosine = |i: usize, j: usize| {
            let lengths = centred(i, i) * centred(j, j);
            // Utterances that are all alike have no distance from their middle: they are copies.
            if lengths < 1e-12 { 1.0 } else { centred(i, j) / libm::sqrt(lengths) }
        };
        let closeness = |j: usize| {
            let mut near: Vec<f64> = (0..j).map(|i| cosine(i, j)).collect();
            near.sort_by(|a, b| b.total_cmp(a));
            near.truncate(NEIGHBOURS);
            near.iter().sum::<f64>() / near.len() as f64
        };
        let recent = count - RECENT..count;
        let mean = |of: &dyn Fn(usize) -> f64| recent.clone().map(of).sum::<f64>() / RECENT as f64;
        let drift = |j: usize| 1.0 - middle[j] / libm::sqrt(square.max(f64::MIN_POSITIVE));
        Some(Self { echo: mean(&closeness), drift: mean(&drift) })
    }

    /// Where the echo stands between healthy dialogue (0) and a paraphrased loop (1), not cut.
    pub fn standing(&self) -> f64 {
        HEALTHY.standardise(self.echo, EXTREME)
    }
}

/// 1 − the largest cosine with an earlier utterance; nothing for the first and for those without an embedding.
pub fn novelty(said: &[Option<&Embedding>]) -> Vec<Option<f64>> {
    let one = |j: usize| {
        let own = said[j]?;
        let nearest = said[..j].iter().flatten().map(|earlier| earlier.cosine(own)).max_by(f64::total_cmp)?;
        Some(1.0 - nearest)
    };
    (0..said.len()).map(one).collect()
}
