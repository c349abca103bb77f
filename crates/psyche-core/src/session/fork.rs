//! Forks: a session that goes on with another's past.
//!
//! The past may end anywhere, even within what one utterance caused. A turn whose words are in it is closed with what
//! follows from them; one whose words are not is abandoned and begins again with the same seed.

use crate::event::{Changes, Forked, Payload, TurnAbandoned};
use crate::ids::UserId;
use crate::port::{Determinism, Finish, Parent};
use crate::random::MAX_SEED;
use crate::words::{Subject, Words};

use super::commands::status;
use super::{
    Action, AgentChange, Event, Flight, Inputs, PathsArgs, Refusal, RefusalKind, Session, SessionStatus, Settings,
};

/// Why a fork abandons a turn that it will not try again: with another seed every turn is drawn anew.
pub const ANEW: &str = "the fork has another seed";
/// Why it abandons one that it will.
const CUT: &str = "the fork begins within this turn";

/// A fork to be decided on the state at which the shared past ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    pub parent: Parent,
    pub owner: UserId,
    /// Absent: the name it has.
    pub name: Option<String>,
    pub changes: Changes<String>,
    /// What the changed model promises.
    pub determinism: Option<Determinism>,
    /// Of turns whose words are in the past and whose end is not: how they ended, where the parent knows.
    pub settled: Vec<(u64, Settled)>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    pub finish: Finish,
    pub tokens: u64,
    pub cost: f64,
    pub confidence: Option<f64>,
    pub reasoning: Option<String>,
}

impl Session {
    /// Whether the words of a turn that is under way are said: it only waits for what follows from them.
    pub fn has_said(&self, turn: u64, flight: &Flight) -> bool {
        self.window.iter().any(|said| said.turn == turn && said.from == flight.agent_id)
    }

    pub(super) fn fork(&self, fork: &Fork, inputs: &mut Inputs<'_>) -> Result<Vec<Payload>, Refusal> {
        self.check_fork(fork)?;
        let by = fork.owner.to_string();
        let mut words = |text: &String| Words::new(text, Subject::User(fork.owner), &mut inputs.salts);
        let forked = Forked {
            parent: fork.parent.clone(),
            owner: fork.owner,
            name: fork.name.as_ref().map(&mut words),
            changes: fork.changes.map(words),
            determinism: fork.determinism,
        };
        let mut payloads = vec![forked.into(), status(SessionStatus::Paused, None, &by)];
        let mut next = self.clone();
        for payload in &payloads {
            next.apply_next(payload, inputs);
        }
        for (turn, flight) in &self.in_flight {
            let before = payloads.len();
            if self.has_said(*turn, flight) {
                let known = fork.settled.iter().find(|(settled, _)| settled == turn);
                // What the parent has paid for costs the fork nothing.
                let unknown = Settled { finish: Finish::Stop, tokens: 0, cost: 0.0, confidence: None, reasoning: None };
                let settled = Settled { tokens: 0, cost: 0.0, ..known.map_or(unknown, |(_, settled)| settled.clone()) };
                next.clone().consequences(*turn, flight, &settled, inputs, &mut payloads);
            } else {
                let reason = if fork.changes.seed.is_some() { ANEW } else { CUT };
                let (agent_id, attempt) = (flight.agent_id.clone(), flight.attempt);
                payloads.push(
                    TurnAbandoned { agent_id, turn: *turn, attempt, reason: reason.to_owned(), tokens: 0 }.into(),
                );
            }
            for payload in &payloads[before..] {
                next.apply_next(payload, inputs);
            }
        }
        Ok(payloads)
    }

    fn apply_next(&mut self, payload: &Payload, inputs: &Inputs<'_>) {
        let (generation, seq) = (self.generation, self.seq + 1);
        self.apply(&Event { generation, seq, at: inputs.now, payload: payload.clone() });
    }

    fn check_fork(&self, fork: &Fork) -> Result<(), Refusal> {
        let Changes { situation, agents, paths, seed, .. } = &fork.changes;
        let at = |field: &'static str| move |refusal: Refusal| Refusal { field: Some(field), ..refusal };
        let settings = |name: &Option<String>, situation: &Option<String>| {
            let (name, situation) = (name.clone(), situation.clone());
            self.check(&Action::ChangeSettings(Settings { name, situation, ..Settings::default() }))
        };
        settings(&fork.name, &None).map_err(at("name"))?;
        settings(&None, situation).map_err(at("changes.situation"))?;
        for (id, agent) in agents {
            self.check(&Action::ChangeAgent(AgentChange {
                agent_id: id.clone(),
                temperature: agent.temperature,
                system_prompt: agent.system_prompt.clone(),
                model: agent.model.clone(),
                muted: agent.muted,
            }))
            .map_err(at("changes.agents"))?;
        }
        if let Some(paths) = paths {
            self.check(&Action::ChangePaths(PathsArgs { paths: paths.clone() })).map_err(at("changes.paths"))?;
        }
        if seed.is_some_and(|seed| seed > MAX_SEED) {
            return Err(Refusal {
                kind: RefusalKind::Invalid,
                status: self.status,
                field: Some("changes.seed"),
                message: format!("must be at most {MAX_SEED}"),
            });
        }
        Ok(())
    }
}
