//! Reads a log: one row of numbers per utterance, counts per agent, and what was done to the conversation.

use std::collections::{BTreeMap, VecDeque};

use psyche_core::SessionId;
use psyche_core::event::{AgentMessage, EmergencyAction, Event, Payload};
use psyche_core::measure::{GaugeName, Gauges, MEASURES_VERSION, WINDOW, stagnation};
use psyche_core::record::Record;
use psyche_core::words::Words;

use super::document::Analysis;
use super::log::AnalysisError;
use super::opinions::Opinions;
use super::{ANALYSIS_VERSION, MAX_BYTES, MAX_UTTERANCES};
use super::{agents, gauges, interventions, overlap, shares, signals, trends, turning_points};

/// The events to look at, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    pub from: u64,
    pub to: u64,
}

impl Range {
    pub const ALL: Self = Self { from: 1, to: u64::MAX };

    fn holds(self, seq: u64) -> bool {
        (self.from..=self.to).contains(&seq)
    }
}

/// The range holds more than one analysis takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the range holds more than {MAX_UTTERANCES} utterances or {} MiB of words; it ends at event {reached} if it is to \
     begin at event {from}: ask for a smaller one",
    MAX_BYTES >> 20
)]
pub struct TooLarge {
    pub from: u64,
    /// The last event that would fit.
    pub reached: u64,
}

/// One utterance.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub seq: u64,
    pub turn: u64,
    /// Index in [`Reading::speakers`].
    pub speaker: usize,
    /// Index in [`Reading::speakers`]; `None`: to all.
    pub recipient: Option<usize>,
    /// Index of the row it answers.
    pub answers: Option<usize>,
    /// `None`: erased.
    pub text: Option<String>,
    pub words: usize,
    pub sentiment: f64,
    /// Against the twenty utterances before it, in nats; absent until there are so many.
    pub novelty: Option<f64>,
    pub latency_ms: Option<f64>,
    pub gauges: Gauges,
}

/// Something done to the conversation. It lies between row `before - 1` and row `before`.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub seq: u64,
    pub before: usize,
    pub kind: &'static str,
    pub detail: Option<String>,
    pub actor: Option<String>,
}

/// What an agent's model did.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    pub models: Vec<String>,
    pub failures: BTreeMap<String, u64>,
    pub retried: u64,
    pub abandoned: u64,
    pub truncated: u64,
    pub committed: u64,
    pub tokens: u64,
    pub cost: f64,
    pub confidence: Vec<f64>,
}

/// A log being read. Give it all events in order, also those before the range: they say who is who.
#[derive(Clone, Debug)]
pub struct Reading {
    session: SessionId,
    range: Range,
    generation: u32,
    pub(super) seed: u64,
    measures_version: u16,
    first: Option<u64>,
    last: u64,
    bytes: usize,
    pub(super) rows: Vec<Row>,
    pub(super) speakers: Vec<String>,
    pub(super) moments: Vec<Moment>,
    pub(super) calls: BTreeMap<usize, Calls>,
    /// Kind and actor of stimuli that wait.
    stimuli: BTreeMap<u64, (String, String)>,
    /// `seq` of the utterance that a turn under way answers.
    answers: BTreeMap<u64, u64>,
    /// The last texts, for what is new against them.
    recent: VecDeque<String>,
}

impl Reading {
    /// Kinds of events that matter; a caller need not decode the others.
    pub const KINDS: [&str; 14] = [
        "session_created",
        "turn_started",
        "agent_message",
        "health_update",
        "emergency",
        "stimulus_injected",
        "stimulus_used",
        "situation_changed",
        "turn_committed",
        "turn_failed",
        "turn_abandoned",
        "reset",
        "agent_changed",
        "paths_changed",
    ];

    /// `generation` is that of the log now: events keep the one they were written in.
    pub fn new(session: SessionId, generation: u32, range: Range) -> Self {
        Self {
            session,
            range,
            generation,
            seed: 0,
            measures_version: MEASURES_VERSION,
            first: None,
            last: 0,
            bytes: 0,
            rows: Vec::new(),
            speakers: Vec::new(),
            moments: Vec::new(),
            calls: BTreeMap::new(),
            stimuli: BTreeMap::new(),
            answers: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Takes the next record, decoding it when it matters.
    pub fn take(&mut self, record: &Record) -> Result<(), AnalysisError> {
        if Self::KINDS.contains(&record.kind.as_str()) {
            self.push(&Event::decode(record)?)?;
        } else {
            self.reach(record.seq);
        }
        Ok(())
    }

    /// Takes the next event.
    pub fn push(&mut self, event: &Event) -> Result<(), TooLarge> {
        if let Payload::SessionCreated(created) = &event.payload {
            self.seed = created.seed;
            self.measures_version = created.measures_version;
            self.speakers = created.cast.agents.iter().map(|agent| agent.id.to_string()).collect();
        }
        if let Payload::StimulusInjected(stimulus) = &event.payload {
            self.stimuli.insert(event.seq, (stimulus.kind.name().to_owned(), stimulus.actor.clone()));
        }
        if let Payload::TurnStarted(started) = &event.payload {
            self.answers.extend(started.answers.map(|seq| (started.turn, seq)));
        }
        if !self.reach(event.seq) {
            // What was said before the range is what its first utterances are new against.
            if let Payload::AgentMessage(message) = &event.payload
                && let Some(text) = text_of(message)
            {
                self.remember(text);
            }
            return Ok(());
        }
        match &event.payload {
            Payload::AgentMessage(message) => self.utterance(event.seq, message)?,
            Payload::HealthUpdate(update) => {
                if let Some(row) = self.rows.last_mut() {
                    row.gauges = update.gauges.clone();
                }
            }
            Payload::TurnCommitted(turn) => {
                let calls = self.calls(turn.agent_id.as_str());
                calls.committed += 1;
                calls.tokens += turn.tokens;
                calls.cost += turn.cost;
                calls.retried += u64::from(turn.attempt > 1);
                calls.confidence.extend(turn.confidence);
            }
            Payload::TurnFailed(failed) => {
                let kind = serde_name(failed.kind);
                let calls = self.calls(failed.agent_id.as_str());
                *calls.failures.entry(kind).or_default() += 1;
                calls.tokens += failed.tokens;
            }
            Payload::TurnAbandoned(abandoned) => {
                let calls = self.calls(abandoned.agent_id.as_str());
                calls.abandoned += 1;
                calls.tokens += abandoned.tokens;
            }
            _ => self.moment(event),
        }
        Ok(())
    }

    /// Whether an event lies in the range; how far the range was seen follows from it.
    fn reach(&mut self, seq: u64) -> bool {
        let within = self.range.holds(seq);
        if within {
            self.first.get_or_insert(seq);
            self.last = seq;
        }
        within
    }

    fn utterance(&mut self, seq: u64, message: &AgentMessage) -> Result<(), TooLarge> {
        let text = text_of(message);
        let bytes = self.bytes + text.as_ref().map_or(0, String::len);
        if self.rows.len() == MAX_UTTERANCES || bytes > MAX_BYTES {
            let reached = self.rows.last().map_or(seq, |row| row.seq);
            return Err(TooLarge { from: self.first.unwrap_or(seq), reached });
        }
        self.bytes = bytes;
        let person = message.metadata.user_id.is_some();
        // A person speaks between turns, and has no turn of their own.
        let answered = if person { None } else { self.answers.remove(&message.metadata.turn) };
        let answers = answered.and_then(|seq| self.rows.binary_search_by_key(&seq, |row| row.seq).ok());
        let speaker = self.speaker(message.agent_id.as_str());
        let recipient = (message.recipient != "all").then(|| self.speaker(&message.recipient));
        if person {
            let actor = message.metadata.user_id.map(|id| id.to_string());
            self.moments.push(Moment { seq, before: self.rows.len(), kind: "speech", detail: None, actor });
        } else {
            let calls = self.calls.entry(speaker).or_default();
            calls.truncated += u64::from(message.metadata.truncated);
            if !calls.models.contains(&message.metadata.model) {
                calls.models.push(message.metadata.model.clone());
            }
        }
        // Against fewer utterances everything is newer: that would look like a change.
        let full = self.recent.len() == WINDOW;
        let novelty = text.as_ref().filter(|_| full).and_then(|text| {
            let before = self.recent.iter().map(String::as_str);
            stagnation::novelty(before.chain([text.as_str()]))
        });
        if let Some(text) = &text {
            self.remember(text.clone());
        }
        self.rows.push(Row {
            seq,
            turn: message.metadata.turn,
            speaker,
            recipient,
            answers,
            words: text.as_ref().map_or(0, |text| overlap::words(text).count()),
            text,
            sentiment: message.sentiment.score,
            novelty,
            latency_ms: (!person).then_some(message.metadata.latency_ms as f64),
            gauges: Gauges::new(),
        });
        Ok(())
    }

    fn remember(&mut self, text: String) {
        self.recent.push_back(text);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    /// What was done to the conversation.
    fn moment(&mut self, event: &Event) {
        let (kind, detail, actor) = match &event.payload {
            Payload::StimulusUsed(used) => {
                // A stimulus heard by several turns counts once.
                let Some((kind, actor)) = self.stimuli.remove(&used.stimulus_seq) else { return };
                ("stimulus", Some(kind), Some(actor))
            }
            Payload::Emergency(emergency) => {
                let opened = emergency.action == EmergencyAction::Opened;
                let kind = if opened { "emergency_opened" } else { "emergency_closed" };
                (kind, None, Some("system".to_owned()))
            }
            Payload::AgentChanged(change) => {
                ("agent_changed", Some(change.agent_id.to_string()), Some(change.actor.clone()))
            }
            Payload::PathsChanged(change) => ("paths_changed", None, Some(change.actor.clone())),
            Payload::SituationChanged(change) if change.cause == "user" => ("situation_changed", None, None),
            Payload::Reset(reset) => ("reset", None, Some(reset.actor.clone())),
            _ => return,
        };
        self.moments.push(Moment { seq: event.seq, before: self.rows.len(), kind, detail, actor });
    }

    fn speaker(&mut self, id: &str) -> usize {
        self.speakers.iter().position(|known| known == id).unwrap_or_else(|| {
            self.speakers.push(id.to_owned());
            self.speakers.len() - 1
        })
    }

    fn calls(&mut self, agent: &str) -> &mut Calls {
        let speaker = self.speaker(agent);
        self.calls.entry(speaker).or_default()
    }

    /// The document. Takes some seconds for the largest range: off the threads that serve.
    pub fn finish(self) -> Analysis {
        let series = signals::all(&self.rows);
        let opinions = Opinions::new(&self);
        let shares = shares::shares(&self, &opinions);
        let mut measures = gauges::measures(&self, &series);
        measures.extend(opinions.measures());
        let mut notes = Vec::new();
        let erased = self.rows.iter().filter(|row| row.text.is_none()).count();
        if erased > 0 {
            notes.push(format!("The words of {erased} utterance(s) were erased; they count as turns without words."));
        }
        if self.moments.iter().any(|moment| moment.kind == "reset") {
            notes.push("The session was reset within this range: ask for a range on one side of it.".to_owned());
        }
        Analysis {
            session_id: self.session,
            generation: self.generation,
            from: self.first.unwrap_or(0),
            to: self.last,
            utterances: self.rows.len(),
            erased,
            version: ANALYSIS_VERSION,
            trends: trends::trends(&series),
            turning_points: turning_points::turning_points(&series, self.seed),
            interventions: interventions::interventions(&self, &series),
            matrix: overlap::matrix(&self),
            style: opinions.style(),
            influence: opinions.influence(),
            quality: shares::quality(&self, &measures, &shares),
            agents: agents::performance(&self),
            turns: signals::by_utterance(&series),
            measures,
            shares,
            notes,
        }
    }

    /// The version of the measures the log's gauges were made with.
    pub(super) fn measures_version(&self) -> u16 {
        self.measures_version
    }

    /// A gauge's readings, where there is one.
    pub(super) fn gauge(row: &Row, name: GaugeName) -> Option<f64> {
        row.gauges.get(&name)?.standardised
    }
}

/// The words of an utterance, unless they are erased.
fn text_of(message: &AgentMessage) -> Option<String> {
    match &message.content {
        Words::Erased(_) | Words::Committed(_) => None,
        words => Some(words.as_str().to_owned()),
    }
}

/// The name of a plain variant on the wire.
fn serde_name(kind: psyche_core::port::ModelErrorKind) -> String {
    use psyche_core::port::ModelErrorKind as K;
    match kind {
        K::Timeout => "timeout",
        K::Refused => "refused",
        K::RateLimited => "rate_limited",
        K::ServerError => "server_error",
        K::BadAnswer => "bad_answer",
        K::CircuitOpen => "circuit_open",
        K::Budget => "budget",
        K::Cancelled => "cancelled",
    }
    .to_owned()
}
