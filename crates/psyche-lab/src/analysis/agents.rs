//! How each agent's model did.

use super::document::{AgentPerformance, Latency};
use super::reading::{Calls, Reading, Row};
use crate::statistics::{mean, mean_interval, quantile};

pub(super) fn performance(reading: &Reading) -> Vec<AgentPerformance> {
    let silent = Calls::default();
    let agents = reading.speakers.iter().enumerate().filter(|(_, id)| *id != "user");
    agents
        .map(|(speaker, id)| {
            let calls = reading.calls.get(&speaker).unwrap_or(&silent);
            let rows: Vec<&Row> = reading.rows.iter().filter(|row| row.speaker == speaker).collect();
            let of =
                |value: &dyn Fn(&Row) -> Option<f64>| -> Vec<f64> { rows.iter().copied().filter_map(value).collect() };
            let latency = of(&|row| row.latency_ms);
            let sentiment = of(&|row| row.text.as_ref().map(|_| row.sentiment));
            AgentPerformance {
                agent_id: id.clone(),
                models: calls.models.clone(),
                utterances: rows.len(),
                latency: Latency {
                    p50_ms: quantile(&latency, 0.5),
                    p95_ms: quantile(&latency, 0.95),
                    n: latency.len(),
                },
                failures: calls.failures.clone(),
                retried: calls.retried,
                abandoned: calls.abandoned,
                truncated: calls.truncated,
                tokens: calls.tokens,
                cost: calls.cost,
                mean_words: mean(&of(&|row| row.text.as_ref().map(|_| row.words as f64))),
                mean_sentiment: mean(&sentiment),
                sentiment_interval: mean_interval(&sentiment),
                mean_confidence: mean(&calls.confidence),
            }
        })
        .collect()
}
