//! Measures that read the words of the whole range: second opinions on the gauges, style, voices and influence.
//!
//! Formula, source and limits of each stand in its file in `psyche_core::measure` and in `docs/measures.md`.

use std::collections::BTreeMap;

use psyche_core::measure::style_matching::StyleMatching;
use psyche_core::measure::{
    MEASURES_VERSION, Turn, balance, distinct, influence, integration, lexical_diversity, recurrence, self_bleu,
    style_matching, voice_collapse,
};

use super::document::{Influence, InfluenceEdge, MeasureSummary, Style, StylePair, StyleStep};
use super::reading::Reading;
use crate::statistics::holm;

/// The turns as the measures want them, without those whose words were erased.
pub(super) struct Opinions<'a> {
    turns: Vec<Turn<'a>>,
    speakers: Vec<&'a str>,
    style: StyleMatching,
    seed: u64,
}

impl<'a> Opinions<'a> {
    pub fn new(reading: &'a Reading) -> Self {
        let mut places = Vec::with_capacity(reading.rows.len());
        let mut turns: Vec<Turn<'a>> = Vec::with_capacity(reading.rows.len());
        for row in &reading.rows {
            places.push(row.text.as_ref().map(|_| turns.len()));
            let Some(text) = &row.text else { continue };
            turns.push(Turn {
                speaker: &reading.speakers[row.speaker],
                addressee: row.recipient.map(|recipient| reading.speakers[recipient].as_str()),
                text,
                compound: row.sentiment,
                answers: row.answers.and_then(|answered| places[answered]),
            });
        }
        let speakers = reading.speakers.iter().map(String::as_str).filter(|id| *id != "user").collect();
        let style = style_matching::style_matching(&turns, reading.seed);
        Self { turns, speakers, style, seed: reading.seed }
    }

    /// By name, as they stand among the measures of the document.
    pub fn measures(&self) -> BTreeMap<String, MeasureSummary> {
        let texts: Vec<&str> = self.turns.iter().map(|turn| turn.text).collect();
        let latest = &texts[texts.len().saturating_sub(self_bleu::MAX_UTTERANCES)..];
        let all = || texts.iter().copied();
        let plain = |value: Option<f64>, n: usize, unit: &str, note: &str| MeasureSummary {
            value,
            n,
            unit: unit.to_owned(),
            version: MEASURES_VERSION,
            note: value.is_none().then(|| note.to_owned()),
            ..MeasureSummary::default()
        };
        let few = "Too few words, or utterances, for a reading.";
        let mut measures = BTreeMap::from([
            (
                "self_bleu",
                plain(
                    self_bleu::self_bleu(&texts),
                    latest.len(),
                    "BLEU-4, 0..1; n counts utterances, the latest 400",
                    few,
                ),
            ),
            (
                "distinct_1",
                plain(
                    distinct::distinct(all(), 1),
                    texts.len(),
                    "share of distinct words, 0..1; falls with length",
                    few,
                ),
            ),
            (
                "distinct_2",
                plain(
                    distinct::distinct(all(), 2),
                    texts.len(),
                    "share of distinct pairs, 0..1; falls with length",
                    few,
                ),
            ),
            ("hd_d", plain(lexical_diversity::hd_d(all()), texts.len(), "type-token ratio of 42 words, 0..1", few)),
            ("mattr", plain(lexical_diversity::mattr(all()), texts.len(), "type-token ratio of 50 words, 0..1", few)),
        ]);
        measures.insert("recurrence", self.recurrence(&texts));
        measures.insert("style_matching", self.style_matching());
        measures.insert("voice_collapse", self.voice_collapse());
        measures.insert("integration", self.integration());
        measures.into_iter().map(|(name, measure)| (name.to_owned(), measure)).collect()
    }

    fn recurrence(&self, texts: &[&str]) -> MeasureSummary {
        let unit = "determinism, 0..1; n counts utterances, the latest 400".to_owned();
        let Some(read) = recurrence::recurrence(texts, self.seed) else {
            let note = format!("Fewer than {} utterances.", recurrence::MIN_UTTERANCES);
            return MeasureSummary { unit, version: MEASURES_VERSION, note: Some(note), ..MeasureSummary::default() };
        };
        let mut components = BTreeMap::from([("recurrence_rate".to_owned(), read.rate)]);
        components.extend(read.mean_length.map(|length| ("mean_length".to_owned(), length)));
        MeasureSummary {
            value: read.determinism,
            null: read.null,
            n: read.utterances,
            unit,
            version: MEASURES_VERSION,
            components,
            note: read.determinism.is_none().then(|| "Nothing recurs.".to_owned()),
            ..MeasureSummary::default()
        }
    }

    fn style_matching(&self) -> MeasureSummary {
        let read = &self.style;
        let answers = self.turns.iter().filter(|turn| turn.answers.is_some()).count();
        let least = style_matching::MIN_ANSWERS;
        MeasureSummary {
            value: read.matching,
            null: read.null,
            n: answers,
            unit: "LSM of answers with what they answer, 0..1; n counts answers".to_owned(),
            version: MEASURES_VERSION,
            note: read.matching.is_none().then(|| format!("Fewer than {least} answers.")),
            ..MeasureSummary::default()
        }
    }

    fn voice_collapse(&self) -> MeasureSummary {
        let unit = "accuracy of guessing the speaker less chance; n counts utterances of each".to_owned();
        let Some(read) = voice_collapse::voice_collapse(&self.turns, self.seed) else {
            let note = format!("Fewer than two speakers with {} utterances.", voice_collapse::MIN_UTTERANCES);
            return MeasureSummary { unit, version: MEASURES_VERSION, note: Some(note), ..MeasureSummary::default() };
        };
        MeasureSummary {
            value: Some(read.value),
            null: Some(read.null),
            n: read.utterances,
            unit,
            version: MEASURES_VERSION,
            components: BTreeMap::from([
                ("accuracy".to_owned(), read.accuracy),
                ("speakers".to_owned(), read.speakers as f64),
            ]),
            ..MeasureSummary::default()
        }
    }

    fn integration(&self) -> MeasureSummary {
        let read = integration::integration(&self.turns);
        MeasureSummary {
            value: read.map(|read| read.value),
            interval: read.map(|read| read.interval),
            n: read.map_or(0, |read| read.answers),
            unit: "share of answers that name another's position and move their own; n counts answers".to_owned(),
            version: MEASURES_VERSION,
            exploratory: true,
            note: read.is_none().then(|| "Nobody answers anybody.".to_owned()),
            ..MeasureSummary::default()
        }
    }

    /// Whose style is like whose.
    pub fn style(&self) -> Style {
        let read = self.style.clone();
        let pair =
            |pair: style_matching::PairStyle| StylePair { a: pair.a, b: pair.b, words: pair.words, lsm: pair.lsm };
        let step = |step: style_matching::Coordination| StyleStep {
            from: step.from,
            to: step.to,
            answers: step.answers,
            value: step.value,
        };
        Style {
            note: read
                .pairs
                .is_empty()
                .then(|| format!("No two speakers said {} words each.", style_matching::MIN_WORDS)),
            pairs: read.pairs.into_iter().map(pair).collect(),
            coordination: read.coordination.into_iter().map(step).collect(),
            similarity: voice_collapse::similarity(&self.turns),
        }
    }

    /// Whose sentiment foretells whose; refused under 200 transitions.
    pub fn influence(&self) -> Influence {
        let mut edges = Vec::new();
        let mut refused = None;
        for from in &self.speakers {
            for to in self.speakers.iter().filter(|to| *to != from) {
                let course = influence::course(&self.turns, from, to, |turn| turn.compound);
                match influence::influence(&[course], self.seed) {
                    Ok(read) => edges.push(InfluenceEdge {
                        from: (*from).to_owned(),
                        to: (*to).to_owned(),
                        value: read.value,
                        null: read.null.map(|end| end - (read.transfer_entropy - read.value)),
                        p: read.p,
                        p_corrected: read.p,
                        transitions: read.transitions,
                    }),
                    Err(too_short) => refused = Some(too_short.to_string()),
                }
            }
        }
        let corrected = holm(&edges.iter().map(|edge| edge.p).collect::<Vec<_>>());
        for (edge, p) in edges.iter_mut().zip(corrected) {
            edge.p_corrected = p;
        }
        Influence { feature: "sentiment".to_owned(), edges, note: refused }
    }

    /// How evenly the agents shared words, and how often the lead changed hands. A schedule decides who speaks.
    pub fn balance(&self) -> balance::Balance {
        let agents = self.turns.iter().filter(|turn| self.speakers.contains(&turn.speaker));
        let said: Vec<(&str, usize)> =
            agents.map(|turn| (turn.speaker, super::overlap::words(turn.text).count())).collect();
        balance::balance(&said, &self.speakers, false)
    }
}
