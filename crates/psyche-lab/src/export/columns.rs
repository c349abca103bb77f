//! The columns of an utterance, for every format that has columns (docs/guide/exports.md describes each).

use std::borrow::Cow;

use psyche_core::Timestamp;
use psyche_core::measure::{Gauge, GaugeName};

use super::rows::Utterance;
use super::survey::{Provenance, Survey};

/// What a column holds. Every cell may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number from 0 on.
    Count,
    Number,
    Flag,
    Time,
    Text,
}

/// A cell that is not empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Count(u64),
    Number(f64),
    Flag(bool),
    Time(Timestamp),
    Text(Cow<'a, str>),
}

type Of<T> = fn(&T) -> Option<Cell<'_>>;

/// A column: its name, what it holds, and where its cells come from.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Said(Of<Utterance>),
    Gauge(GaugeName, Of<Gauge>),
    /// The same in every row: where the export comes from.
    Same(Option<Cell<'static>>),
}

impl Column {
    pub fn cell<'a>(&'a self, said: &'a Utterance) -> Option<Cell<'a>> {
        match &self.source {
            Source::Said(read) => read(said),
            Source::Gauge(name, read) => said.gauges.as_ref().and_then(|gauges| gauges.get(name)).and_then(read),
            Source::Same(cell) => cell.clone(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every column reads a cell that may be absent")]
fn text(text: &str) -> Option<Cell<'_>> {
    Some(Cell::Text(text.into()))
}

/// Columns of what was said.
const SAID: [(&str, Kind, Of<Utterance>); 36] = [
    ("seq", Kind::Count, |u| Some(Cell::Count(u.seq))),
    ("timestamp", Kind::Time, |u| Some(Cell::Time(u.at))),
    ("round", Kind::Count, |u| Some(Cell::Count(u.message.metadata.round))),
    ("turn", Kind::Count, |u| Some(Cell::Count(u.message.metadata.turn))),
    ("attempt", Kind::Count, |u| Some(Cell::Count(u.message.metadata.attempt.into()))),
    ("agent_id", Kind::Text, |u| text(u.message.agent_id.as_str())),
    ("speaker", Kind::Text, |u| text(&u.speaker)),
    ("user_id", Kind::Text, |u| u.person.as_deref().and_then(text)),
    ("recipient", Kind::Text, |u| text(&u.message.recipient)),
    ("recipients", Kind::Text, |u| Some(Cell::Text(u.recipients().into()))),
    ("message_type", Kind::Text, |u| text(u.message_type())),
    ("content", Kind::Text, |u| text(u.text())),
    ("wording", Kind::Text, |u| text(u.wording.name())),
    ("sentiment", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.score))),
    ("sentiment_label", Kind::Text, |u| text(u.label())),
    ("sentiment_positive", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.positive))),
    ("sentiment_negative", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.negative))),
    ("sentiment_neutral", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.neutral))),
    ("sentiment_standard_error", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.standard_error))),
    ("sentiment_low", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.band[0]))),
    ("sentiment_high", Kind::Number, |u| Some(Cell::Number(u.message.sentiment.band[1]))),
    ("sentiment_flagged", Kind::Flag, |u| Some(Cell::Flag(u.message.sentiment.flagged))),
    ("affect_valence", Kind::Number, |u| u.message.metadata.affect.map(|affect| Cell::Number(affect.valence))),
    ("affect_agreement", Kind::Number, |u| u.message.metadata.affect.map(|affect| Cell::Number(affect.agreement))),
    ("model", Kind::Text, |u| of_agent(u).and_then(|m| text(&m.model))),
    ("turn_seed", Kind::Count, |u| of_agent(u).map(|m| Cell::Count(m.seed))),
    ("prompt_tokens", Kind::Count, |u| of_agent(u)?.usage.map(|usage| Cell::Count(usage.prompt_tokens))),
    ("completion_tokens", Kind::Count, |u| of_agent(u)?.usage.map(|usage| Cell::Count(usage.completion_tokens))),
    ("tokens_charged", Kind::Count, |u| u.committed.as_ref().map(|turn| Cell::Count(turn.tokens))),
    ("cost", Kind::Number, |u| u.committed.as_ref().map(|turn| Cell::Number(turn.cost))),
    ("latency_ms", Kind::Count, |u| of_agent(u).map(|m| Cell::Count(m.latency_ms))),
    ("confidence", Kind::Number, |u| u.committed.as_ref()?.confidence.map(Cell::Number)),
    ("finish", Kind::Text, |u| u.finish().and_then(text)),
    ("answers", Kind::Count, |u| u.answers.map(Cell::Count)),
    ("stimuli", Kind::Text, |u| {
        let list: Vec<String> = u.stimuli.iter().map(u64::to_string).collect();
        (!list.is_empty()).then(|| Cell::Text(list.join(" ").into()))
    }),
    ("emergency", Kind::Text, |u| u.emergency().and_then(text)),
];

/// What only agents' words have.
fn of_agent(said: &Utterance) -> Option<&psyche_core::event::MessageMetadata> {
    Some(&said.message.metadata).filter(|_| !said.is_of_person())
}

/// Columns of each gauge, after its name.
const GAUGE: [(&str, Kind, Of<Gauge>); 5] = [
    ("", Kind::Number, |g| g.value.map(Cell::Number)),
    ("_standardised", Kind::Number, |g| g.standardised.map(Cell::Number)),
    ("_null_low", Kind::Number, |g| g.null.map(|null| Cell::Number(null[0]))),
    ("_null_high", Kind::Number, |g| g.null.map(|null| Cell::Number(null[1]))),
    ("_level", Kind::Text, |g| g.value.and_then(|_| text(g.level.name()))),
];

/// All columns of an export, in order. Where it comes from stands in every row, so that rows of many sessions can be put
/// together.
pub fn columns(survey: &Survey) -> Vec<Column> {
    let said = SAID.into_iter().map(|(name, kind, read)| (name.to_owned(), kind, Source::Said(read)));
    let gauges = GaugeName::ALL.into_iter().flat_map(|gauge| {
        GAUGE
            .into_iter()
            .map(move |(suffix, kind, read)| (format!("{}{suffix}", gauge.as_str()), kind, Source::Gauge(gauge, read)))
    });
    let Provenance { session_id, seed, cast, models, program_version, log_hash, forked_from, .. } = &survey.provenance;
    let same = |name: &str, text: String| (name.to_owned(), Kind::Text, Source::Same(Some(Cell::Text(text.into()))));
    let origin = [
        same("session_id", session_id.to_string()),
        same("session_name", survey.title().0),
        (
            "forked_from".to_owned(),
            Kind::Text,
            Source::Same(forked_from.as_ref().map(|from| Cell::Text(from.session_id.to_string().into()))),
        ),
        ("seed".to_owned(), Kind::Count, Source::Same(Some(Cell::Count(*seed)))),
        same("cast_id", cast.id.clone()),
        ("cast_version".to_owned(), Kind::Count, Source::Same(Some(Cell::Count(cast.version.into())))),
        (
            "cast_digest".to_owned(),
            Kind::Text,
            Source::Same(cast.digest.map(|digest| Cell::Text(digest.to_string().into()))),
        ),
        same("models", models.join(" ")),
        same("program_version", program_version.clone()),
        same("log_hash", log_hash.to_string()),
    ];
    said.chain(gauges).chain(origin).map(|(name, kind, source)| Column { name, kind, source }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_describes_every_column() {
        let guide = include_str!("../../../../docs/guide/exports.md");
        let gauges = GAUGE.map(|(suffix, ..)| format!("<gauge>{suffix}"));
        let origin = [
            "session_id",
            "session_name",
            "forked_from",
            "seed",
            "cast_id",
            "cast_version",
            "cast_digest",
            "models",
            "program_version",
            "log_hash",
        ];
        let names = SAID.map(|(name, ..)| name.to_owned()).into_iter().chain(gauges).chain(origin.map(str::to_owned));
        for name in names {
            assert!(guide.contains(&format!("| `{name}` |")), "docs/guide/exports.md has no row for {name}");
        }
    }
}
