//! The state as clients see it: `State` of the protocol.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cast::StimulusKind;
use crate::event::{AgentActivity, Connection, EmergencyLevel};
use crate::ids::AgentId;
use crate::measure::Gauges;
use crate::port::{SessionRow, SessionSummary};
use crate::prompt::{self, Rule};

use super::{Session, SessionStatus};

#[derive(Clone, Debug, Serialize)]
pub struct StateView {
    pub status: SessionStatus,
    pub round: u64,
    pub turn: u64,
    pub situation: String,
    pub agents: BTreeMap<AgentId, AgentView>,
    pub connections: Vec<Connection>,
    pub gauges: Gauges,
    pub emergency: EmergencyView,
    pub pending_stimuli: Vec<StimulusView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AgentView {
    pub name: String,
    pub state: AgentActivity,
    pub last_utterance: Option<String>,
    pub utterances: u64,
    pub sentiment: Option<f64>,
    pub rules: Vec<Rule>,
    pub guidance: Vec<String>,
    pub confidence: Option<f64>,
    pub current_thought: Option<String>,
    pub last_action: String,
    /// Utterances it hears at present, as `seq`.
    pub inbox: Vec<u64>,
    pub temperature: f64,
    pub model: Option<String>,
    pub muted: bool,
    pub system_prompt: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct EmergencyView {
    pub open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<EmergencyLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_round: Option<u64>,
    /// Rounds in a row above the threshold.
    pub rounds_above: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct StimulusView {
    pub seq: u64,
    /// Absent for a person's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<StimulusKind>,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<AgentId>,
    pub heard_by: Vec<AgentId>,
}

impl Session {
    /// The state as clients see it. Who is present is the server's to add.
    pub fn view(&self) -> StateView {
        let agents = self.agents.iter().map(|(id, agent)| {
            let inbox = self.paths.iter().filter(|p| p.to == *id && self.is_open(p)).flat_map(|p| &p.inbox);
            let mut inbox: Vec<u64> = inbox.map(|s| s.seq).collect();
            inbox.sort_unstable();
            let view = AgentView {
                name: agent.definition.name.clone(),
                state: agent.activity,
                last_utterance: agent.own.back().map(|s| s.text.to_string()),
                utterances: agent.utterances,
                sentiment: agent.sentiment,
                rules: agent.rules.clone(),
                guidance: agent.rules.iter().map(|r| prompt::guidance(&[*r])).collect(),
                confidence: agent.confidence,
                current_thought: agent.thought.clone(),
                last_action: agent.last_action.clone(),
                inbox,
                temperature: agent.definition.temperature,
                model: agent.definition.model.clone(),
                muted: agent.definition.muted,
                system_prompt: agent.definition.system_prompt.clone(),
            };
            (id.clone(), view)
        });
        StateView {
            status: self.status,
            round: self.round,
            turn: self.turn,
            situation: self.situation.to_string(),
            agents: agents.collect(),
            connections: self.connections.clone(),
            gauges: self.gauges.clone(),
            emergency: EmergencyView {
                open: self.emergency.level.is_some(),
                level: self.emergency.level,
                since_round: self.emergency.since_round,
                rounds_above: self.emergency.above,
            },
            pending_stimuli: self
                .stimuli
                .iter()
                .map(|s| StimulusView {
                    seq: s.seq,
                    kind: s.kind,
                    text: s.text.to_string(),
                    target: s.target.clone(),
                    heard_by: s.heard_by.iter().cloned().collect(),
                })
                .collect(),
        }
    }

    /// The session as lists show it.
    pub fn summary(&self) -> SessionSummary {
        let initial = &self.initial;
        SessionSummary {
            session_id: self.id,
            name: self.name.clone(),
            session_type: initial.session_type,
            status: self.status,
            reason: self.reason.clone(),
            actor: self.actor.clone(),
            owner: initial.owner,
            cast_id: initial.cast.id.clone(),
            cast_version: initial.cast.version,
            situation: self.situation.to_string(),
            seed: initial.seed,
            model: initial.model.clone(),
            determinism: initial.determinism,
            turn_order: initial.turn_order,
            pacing_ms: self.pacing_ms,
            max_rounds: self.max_rounds,
            budget: self.budget,
            spent: self.spent,
            round: self.round,
            turn: self.turn,
            seq: self.seq,
            generation: self.generation,
            parent: self.parent.clone(),
            tags: self.tags.clone(),
            created_at: self.created_at,
            last_activity: self.last_at,
            stagnation: self.stagnation_by_round.iter().copied().collect(),
            emergencies: self.emergency.count,
            waiting: self.waiting.len() as u64,
        }
    }

    /// The row of a new session.
    pub fn row(&self, tenant: crate::TenantId) -> SessionRow {
        SessionRow { tenant, summary: self.summary() }
    }
}
