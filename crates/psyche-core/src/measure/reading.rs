//! What the words of one utterance say by themselves. It stays the same for as long as the utterance is in a window, so it
//! is read once.

use super::conflict::{self, Conflict};
use super::sentiment::Vader;
use std::sync::OnceLock;

/// What gauges need of one text alone.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The cues of conflict, without the one that depends on what is answered.
    pub(super) cues: Conflict,
    /// Absolute rating points, and words.
    pub(super) valence: (f64, usize),
}

impl Reading {
    pub fn of(vader: &Vader, text: &str) -> Self {
        Self { cues: conflict::cues(vader, text), valence: vader.absolute_valence(text) }
    }
}

/// The reading of a text that does not change, taken when it is first asked for. It follows from the text: all are equal.
#[derive(Clone, Debug, Default)]
pub struct Kept(OnceLock<Reading>);

impl Kept {
    pub fn of(&self, vader: &Vader, text: &str) -> Reading {
        *self.0.get_or_init(|| Reading::of(vader, text))
    }
}

impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
