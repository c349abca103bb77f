//! Utterances as rows: what CSV, Parquet and the transcripts are made of.

use std::collections::BTreeMap;

use psyche_core::Timestamp;
use psyche_core::event::{
    AgentMessage, Emergency, EmergencyAction, EmergencyLevel, Event, MessageType, Payload, TurnCommitted,
};
use psyche_core::measure::Gauges;
use psyche_core::port::Finish;
use psyche_core::record::Record;
use psyche_core::session::USER;

use super::survey::{People, Survey};

/// Whether words are as they were said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    Spoken,
    /// What quoted somebody whose words are gone was taken out.
    Masked,
    /// Gone: erased, or left out of this export.
    Erased,
}

impl Wording {
    pub fn name(self) -> &'static str {
        match self {
            Self::Spoken => "spoken",
            Self::Masked => "masked",
            Self::Erased => "erased",
        }
    }
}

/// An utterance and what is known of it.
#[derive(Clone, Debug)]
pub struct Utterance {
    pub seq: u64,
    pub at: Timestamp,
    pub message: AgentMessage,
    pub wording: Wording,
    /// The agent's name, or the person's.
    pub speaker: String,
    /// The person's id or alias.
    pub person: Option<String>,
    /// Absent for a person's words.
    pub committed: Option<TurnCommitted>,
    /// The gauges after it.
    pub gauges: Option<Gauges>,
    /// `seq` of the utterance it answers.
    pub answers: Option<u64>,
    /// `seq` of the stimuli in its prompt.
    pub stimuli: Vec<u64>,
    /// The emergency that was open when it was spoken.
    pub emergency: Option<EmergencyLevel>,
}

impl Utterance {
    pub fn is_of_person(&self) -> bool {
        self.message.agent_id.as_str() == USER
    }

    pub fn text(&self) -> &str {
        self.message.content.as_str()
    }

    pub fn recipients(&self) -> String {
        self.message.recipients.iter().map(psyche_core::AgentId::as_str).collect::<Vec<_>>().join(" ")
    }

    pub fn message_type(&self) -> &'static str {
        match self.message.message_type {
            MessageType::Normal => "normal",
            MessageType::Emergency => "emergency",
        }
    }

    pub fn finish(&self) -> Option<&'static str> {
        Some(match self.committed.as_ref()?.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Filtered => "filtered",
        })
    }

    pub fn emergency(&self) -> Option<&'static str> {
        Some(match self.emergency? {
            EmergencyLevel::Emergency => "emergency",
            EmergencyLevel::Critical => "critical",
        })
    }

    pub fn label(&self) -> &'static str {
        use psyche_core::measure::Label;
        match self.message.sentiment.label {
            Label::Positive => "positive",
            Label::Negative => "negative",
            Label::Neutral => "neutral",
            Label::Mixed => "mixed",
        }
    }
}

/// Puts rows together from the events of a log, in order.
#[derive(Debug, Default)]
pub struct Rows {
    names: BTreeMap<String, String>,
    people: People,
    hide_names: bool,
    /// Turns under way: what each answers, and the stimuli in its prompt.
    started: BTreeMap<u64, (Option<u64>, Vec<u64>)>,
    emergency: Option<EmergencyLevel>,
    pending: Option<Utterance>,
}

impl Rows {
    pub fn new(survey: &Survey) -> Self {
        let agents = survey.created.cast.agents.iter();
        Self {
            names: agents.map(|agent| (agent.id.as_str().to_owned(), agent.name.clone())).collect(),
            people: survey.people.clone(),
            hide_names: survey.provenance.redacted.contains(&"names"),
            ..Self::default()
        }
    }

    /// The name of an agent as its cast gives it.
    pub fn name<'a>(&'a self, agent: &'a str) -> &'a str {
        self.names.get(agent).map_or(agent, String::as_str)
    }

    /// Whom an utterance is for: an agent by its name, or all.
    pub fn recipient<'a>(&'a self, said: &'a Utterance) -> &'a str {
        let to = said.message.recipient.as_str();
        if to == "all" { to } else { self.name(to) }
    }

    /// Takes an event, and gives the row it completes.
    pub fn take(&mut self, record: &Record, event: &Event) -> Option<Utterance> {
        match &event.payload {
            Payload::TurnStarted(started) => {
                self.started.insert(started.turn, (started.answers, started.stimuli.clone()));
                None
            }
            Payload::TurnFailed(failed) => self.drop_turn(failed.turn),
            Payload::TurnAbandoned(abandoned) => self.drop_turn(abandoned.turn),
            Payload::AgentMessage(message) => {
                let next = self.begin(record, event, message);
                self.pending.replace(next)
            }
            Payload::HealthUpdate(update) => {
                if let Some(row) = self.pending.as_mut().filter(|row| !row.is_of_person()) {
                    row.gauges = Some(update.gauges.clone());
                }
                None
            }
            Payload::Emergency(Emergency { action, level, .. }) => {
                self.emergency = (*action == EmergencyAction::Opened).then_some(*level);
                None
            }
            Payload::TurnCommitted(committed) => {
                self.started.remove(&committed.turn);
                let mut row = self.pending.take()?;
                row.committed = Some(committed.clone());
                Some(row)
            }
            _ => None,
        }
    }

    /// The last row, where nothing completed it.
    pub fn end(&mut self) -> Option<Utterance> {
        self.pending.take()
    }

    fn drop_turn(&mut self, turn: u64) -> Option<Utterance> {
        self.started.remove(&turn);
        None
    }

    fn begin(&self, record: &Record, event: &Event, message: &AgentMessage) -> Utterance {
        let content = record.texts.iter().find(|text| text.field == "content");
        let wording = match content {
            Some(text) if text.text.is_none() => Wording::Erased,
            Some(text) if text.masked => Wording::Masked,
            _ => Wording::Spoken,
        };
        let person = message.metadata.user_id.map(|id| {
            let alias = || self.people.alias(id);
            if self.hide_names {
                (alias(), alias())
            } else {
                let name = self.people.name(id).map_or_else(alias, str::to_owned);
                (id.to_string(), name)
            }
        });
        let agent = message.agent_id.as_str();
        let started = self.started.get(&message.metadata.turn).filter(|_| agent != USER);
        Utterance {
            seq: event.seq,
            at: event.at,
            wording,
            speaker: person.as_ref().map_or_else(|| self.name(agent).to_owned(), |(_, name)| name.clone()),
            person: person.map(|(id, _)| id),
            committed: None,
            gauges: None,
            answers: started.and_then(|(answers, _)| *answers),
            stimuli: started.map(|(_, stimuli)| stimuli.clone()).unwrap_or_default(),
            emergency: self.emergency,
            message: message.clone(),
        }
    }
}
