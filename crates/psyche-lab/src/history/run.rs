//! One run as a row of numbers. It holds no words, and is what is remembered between two histories.

use std::collections::BTreeMap;

use psyche_core::port::Parent;
use psyche_core::{SessionId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::analysis::Analysis;
use crate::statistics::Group;

/// A run with what its session's row says of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Run {
    #[schema(value_type = String)]
    pub session_id: SessionId,
    pub name: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub cast_id: String,
    pub model: String,
    pub seed: u64,
    pub tags: Vec<String>,
    #[schema(value_type = Option<Object>)]
    pub parent: Option<Parent>,
    #[serde(flatten)]
    pub summary: Summary,
}

/// What one analysis comes down to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    pub utterances: usize,
    pub measures_version: u16,
    /// One number per measure; those that cannot be had are absent.
    pub values: BTreeMap<String, f64>,
    /// Sums over utterances, for the model that looks at turns.
    #[serde(skip)]
    pub turns: BTreeMap<String, Group>,
}

impl Summary {
    /// Gauges by their standardised value; sentiment; the parts of quality; how evenly words are shared; median latency;
    /// how often the emergency protocol opened, per 100 utterances.
    pub fn of(analysis: &Analysis) -> Self {
        let mut values = BTreeMap::new();
        for (name, measure) in &analysis.measures {
            let value = measure.standardised.or(measure.value);
            values.extend(value.map(|value| (name.clone(), value)));
        }
        for part in &analysis.quality.parts {
            if ["balance", "reliability", "completeness"].contains(&part.name.as_str()) {
                values.extend(part.value.map(|value| (part.name.clone(), value)));
            }
        }
        let turns = analysis.turns.clone();
        for (name, group) in &turns {
            if group.n > 0.0 {
                values.entry(name.clone()).or_insert(group.sum / group.n);
            }
        }
        if analysis.utterances > 0 {
            let opened = analysis.interventions.iter().filter(|i| i.kind == "emergency_opened").count();
            values.insert("emergencies".to_owned(), 100.0 * opened as f64 / analysis.utterances as f64);
        }
        let measures_version = analysis.measures.get("stagnation").map_or(0, |measure| measure.version);
        Self { utterances: analysis.utterances, measures_version, values, turns }
    }
}
