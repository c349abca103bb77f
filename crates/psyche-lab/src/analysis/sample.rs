//! Utterances drawn for a second opinion.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::reading::Reading;
use crate::statistics::shuffle;

/// An utterance with what it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub seq: u64,
    pub text: String,
    /// The words of the utterance it answers.
    pub answered: Option<String>,
    /// What the rules say: VADER's compound, −1..1.
    pub compound: f64,
}

impl Reading {
    /// At most `count` utterances that have words, drawn evenly by the session's seed, in the order in which they were
    /// said. `answering`: only those that answer another.
    pub fn sample(&self, count: usize, answering: bool) -> Vec<Sampled> {
        let answered = |i: usize| self.rows[i].answers.and_then(|answered| self.rows[answered].text.clone());
        let mut places: Vec<usize> = (0..self.rows.len())
            .filter(|i| self.rows[*i].text.is_some() && (!answering || answered(*i).is_some()))
            .collect();
        shuffle(&mut places, &mut ChaCha8Rng::seed_from_u64(self.seed));
        places.truncate(count);
        places.sort_unstable();
        let drawn = |i: usize| {
            let row = &self.rows[i];
            let text = row.text.clone()?;
            Some(Sampled { seq: row.seq, text, answered: answered(i), compound: row.sentiment })
        };
        places.into_iter().filter_map(drawn).collect()
    }
}
