//! Sentence embeddings as the log keeps them: where an utterance stands among meanings, in 8-bit numbers.
//!
//! Only directions count: the cosine of two embeddings does not depend on their lengths, so none is kept. Everything that
//! is computed from an embedding is computed from these numbers, live and when a log is run again alike.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most numbers an embedding may have.
const MAX_WIDTH: usize = 4_096;

/// A direction: whole numbers from −127 to 127, the largest of which has the size 127.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding(Arc<[i8]>);

impl Embedding {
    /// The embedding nearest to a vector; nothing when it has no direction or is no vector of finite numbers.
    pub fn of(vector: &[f32]) -> Option<Self> {
        let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let is_sound = vector.len() <= MAX_WIDTH && vector.iter().all(|x| x.is_finite()) && largest > 0.0;
        let near = |x: &f32| libm::rint(f64::from(*x) / f64::from(largest) * 127.0) as i8;
        is_sound.then(|| Self(vector.iter().map(near).collect()))
    }

    /// As it stands in a log: its bytes in base64.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0.iter().map(|x| x.to_be_bytes()[0]).collect::<Vec<u8>>())
    }

    /// Reads [`Embedding::to_text`]; nothing from anything else, such as an erased text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let is_sound = bytes.len() <= MAX_WIDTH && bytes.iter().any(|byte| *byte != 0);
        is_sound.then(|| Self(bytes.into_iter().map(|byte| i8::from_be_bytes([byte])).collect()))
    }

    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// Exact: at most 4,096 products of 128 · 128.
    fn dot(&self, other: &Self) -> i32 {
        self.0.iter().zip(other.0.iter()).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
    }

    /// −1 to 1; 0 for embeddings of different widths, which mean nothing to one another.
    pub fn cosine(&self, other: &Self) -> f64 {
        if self.width() != other.width() {
            return 0.0;
        }
        f64::from(self.dot(other)) / libm::sqrt(f64::from(self.dot(self)) * f64::from(other.dot(other)))
    }

    /// The numbers, made so that their squares sum to 1.
    pub fn unit(&self) -> impl Iterator<Item = f64> {
        let length = libm::sqrt(f64::from(self.dot(self)));
        self.0.iter().map(move |x| f64::from(*x) / length)
    }
}

impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an embedding in base64"))
    }
}

/// An embedding and the model that made it. Those of different models cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The beginning of the SHA-256 of the model's file.
    pub model: Arc<str>,
    pub vector: Embedding,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_no_embedding() {
        for vector in [&[][..], &[0.0; 8], &[1.0, f32::NAN], &[f32::INFINITY, 1.0], &vec![1.0; MAX_WIDTH + 1]] {
            assert_eq!(Embedding::of(vector), None, "{} numbers", vector.len());
        }
        for text in ["", "[erased]", "AAAA", "not base64"] {
            assert_eq!(Embedding::parse(text), None, "{text:?}");
        }
        let (a, b) = (Embedding::of(&[1.0, 0.0]).unwrap(), Embedding::of(&[1.0, 0.0, 0.0]).unwrap());
        assert_eq!(a.cosine(&b), 0.0);
    }

    proptest! {
        #[test]
        fn a_direction_is_kept_and_read_back(vector in proptest::collection::vec(-1.0f32..1.0, 384)) {
            let Some(embedding) = Embedding::of(&vector) else { return Ok(()) };
            prop_assert_eq!(Embedding::parse(&embedding.to_text()), Some(embedding.clone()));
            prop_assert_eq!(Embedding::of(&vector.iter().map(|x| x * 0.25).collect::<Vec<_>>()), Some(embedding.clone()));
            let dot: f64 = embedding.unit().zip(&vector).map(|(a, b)| a * f64::from(*b)).sum();
            let length: f64 = vector.iter().map(|x| f64::from(x * x)).sum();
            prop_assert!(dot / length.sqrt() > 0.9999);
            prop_assert!((embedding.cosine(&embedding) - 1.0).abs() < 1e-12);
        }
    }
}
