//! Length, latency and question rate: second opinions on engagement.
//!
//! * words = mean words of an utterance; question rate = utterances with a question mark / utterances; latency = median
//!   milliseconds from the model call to its end (the mean of the middle two when their number is even).
//! * Source: questions and length as signs of uptake, see Demszky et al. (2021), ACL; the three are counts, not scales.
//! * Limits: an agent's latency is its server's, and its length its model's; compare within one model.

use serde::Serialize;

/// Counts of some utterances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Responsiveness {
    pub utterances: usize,
    /// Mean words of an utterance.
    pub words: f64,
    /// 0..1.
    pub question_rate: f64,
    /// Median, in milliseconds; `None` when no latency is known.
    pub latency_ms: Option<f64>,
}

/// Counts of utterances (text, milliseconds its model call took); `None` without one.
pub fn responsiveness(utterances: &[(&str, Option<u64>)]) -> Option<Responsiveness> {
    let n = utterances.len() as f64;
    let words: usize = utterances.iter().map(|(text, _)| text.split_whitespace().count()).sum();
    let questions = utterances.iter().filter(|(text, _)| text.contains(['?', '？', '؟'])).count();
    let mut latencies: Vec<u64> = utterances.iter().filter_map(|(_, latency)| *latency).collect();
    latencies.sort_unstable();
    let middle = latencies.len() / 2;
    let latency_ms = (!latencies.is_empty())
        .then(|| f64::midpoint(latencies[(latencies.len() - 1) / 2] as f64, latencies[middle] as f64));
    (!utterances.is_empty()).then(|| Responsiveness {
        utterances: utterances.len(),
        words: words as f64 / n,
        question_rate: questions as f64 / n,
        latency_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        let read = responsiveness(&[("Is it late?", Some(30)), ("Yes", None), ("It is", Some(10))]).unwrap();
        assert_eq!((read.utterances, read.words, read.latency_ms), (3, 2.0, Some(20.0)));
        assert_eq!(read.question_rate, 1.0 / 3.0);
        assert_eq!(responsiveness(&[("a", None)]).unwrap().latency_ms, None);
        assert_eq!(responsiveness(&[]), None);
    }
}
