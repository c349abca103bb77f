//! Affect: the valence of an utterance by its meaning, beside VADER's by its words. English only.
//!
//! * x = the numbers of the utterance's sentence embedding, made as long as 1, then VADER's compound, positive, negative
//!   and neutral, then 1.
//! * valence = w · x, cut to −1..1: −1 the most unpleasant that raters could say, 1 the most pleasant.
//! * agreement = 1 − |valence − compound| / 2.
//! * w is a ridge regression on mean ratings divided by 4: of 11,773 texts by 20 people each (posts, reviews of products,
//!   reviews of films, editorials), every corpus of equal weight, and of 7,217 words of VADER's lexicon by 10 people each,
//!   which together weigh half a corpus and stand there without VADER's scores (Hutto & Gilbert 2014).
//! * Source: Reimers & Gurevych (2019), EMNLP, for the embeddings; Hutto & Gilbert (2014), ICWSM, for scores and
//!   ratings; Hoerl & Kennard (1970), Technometrics 12:55, for the regression.
//! * Limits: made from rated prose and posts, not from dialogue; arousal and single emotions are not read, since no set
//!   of texts rated for them may be used freely.

mod weights;

use serde::{Deserialize, Serialize};

use super::four_digits;
use crate::embedding::Embedded;

/// Changes with the weights.
pub const AFFECT_VERSION: u16 = 2;

/// A second opinion on how pleasant an utterance is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affect {
    /// −1..1.
    pub valence: f64,
    /// With VADER's compound, 0..1.
    pub agreement: f64,
    /// Version of the weights.
    pub version: u16,
}

/// What the weights are multiplied with; nothing for embeddings of another model than theirs.
/// `scores` are VADER's compound, positive, negative and neutral.
pub fn features(embedded: &Embedded, scores: [f64; 4]) -> Option<Vec<f64>> {
    let is_known = *embedded.model == *weights::MODEL && embedded.vector.width() + 5 == weights::WEIGHTS.len();
    is_known.then(|| embedded.vector.unit().chain(scores).chain([1.0]).collect())
}

/// The affect of an utterance with this embedding and these scores of VADER (see [`features`]).
pub fn affect(embedded: &Embedded, scores: [f64; 4]) -> Option<Affect> {
    let features = features(embedded, scores)?;
    let sum: f64 = features.iter().zip(weights::WEIGHTS).map(|(x, w)| x * f64::from(w)).sum();
    let valence = four_digits(sum.clamp(-1.0, 1.0));
    let agreement = four_digits(1.0 - (valence - scores[0]).abs() / 2.0);
    Some(Affect { valence, agreement, version: AFFECT_VERSION })
}
