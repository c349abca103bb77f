//! The fold. Total: every event, whatever its content, leads to a state.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::cast::{StimulusKind, StimulusPreset};
use crate::event::{
    AgentActivity, AgentChanged, AgentEdit, AgentMessage, Arg, CommandReceived, Emergency, EmergencyAction, Event,
    Forked, Payload, PresetWords, SealedEmbedding, SettingsChanged, TurnStarted,
};
use crate::ids::AgentId;
use crate::measure::{GaugeName, Kept, WINDOW};
use crate::port::{ModelErrorKind, Spent};
use crate::record::Record;
use crate::time::Timestamp;
use crate::words::{Hash, Subject, Words};

use super::commands::USER;
use super::fork::ANEW;
use super::{Flight, PendingStimulus, Presets, Said, Session, StepGoal, StepUnit, Unfinished, Waiting};

/// How many of its own utterances an agent keeps at hand: prompts show one, models avoid repeating these.
const OWN_KEPT: usize = 4;
/// Turns over which failures weigh on network health.
const FAILURES_KEPT: usize = 20;
/// Points of the list's sparkline.
const SPARKLINE: usize = 20;

impl Session {
    /// Folds a stored event together with its hash.
    pub fn apply_record(&mut self, record: &Record, event: &Event) {
        self.apply(event);
        self.hash = record.hash;
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event) {
        self.seq = event.seq;
        self.generation = event.generation;
        self.last_at = event.at;
        // The hash belongs to the record; whoever folds records sets it.
        self.hash = Hash::ZERO;
        match &event.payload {
            Payload::CommandReceived(received) => {
                self.touched_at = event.at;
                let step = match received.args.get("unit") {
                    Some(Arg::Value(unit)) if unit == "turn" => StepUnit::Turn,
                    _ => StepUnit::Round,
                };
                let CommandReceived { command_id, actor, command, .. } = received;
                let command =
                    Waiting { command_id: command_id.clone(), actor: actor.clone(), command: command.clone(), step };
                if received.waits {
                    self.waiting.insert(event.seq, command);
                } else {
                    self.accepted(command);
                }
            }
            Payload::CommandAccepted(accepted) => {
                if let Some(command) = self.waiting.remove(&accepted.received_seq) {
                    self.accepted(command);
                }
            }
            Payload::CommandRefused(refused) => {
                self.waiting.retain(|_, command| command.command_id != refused.command_id);
            }
            Payload::SessionStatusChanged(changed) => {
                self.status = changed.status;
                self.reason.clone_from(&changed.reason);
                self.actor = Some(changed.actor.clone());
                if changed.status != super::SessionStatus::Running {
                    self.pause_requested = None;
                    self.step = None;
                }
            }
            Payload::TurnStarted(started) => self.turn_started(started),
            Payload::AgentMessage(message) => self.spoke(event.seq, message),
            Payload::AgentStateUpdate(update) => {
                if let Some(agent) = self.agents.get_mut(&update.agent_id) {
                    agent.activity = update.state;
                    agent.confidence = update.confidence;
                    agent.last_action.clone_from(&update.last_action);
                }
            }
            Payload::NetworkUpdate(update) => {
                self.connections.clone_from(&update.connections);
                self.network = Some(update.metrics.clone());
            }
            Payload::HealthUpdate(update) => {
                self.gauges.clone_from(&update.gauges);
                let said = self.window.back().map(|said| said.turn);
                if let Some(flight) = said.and_then(|turn| self.in_flight.get_mut(&turn)) {
                    flight.measured = true;
                }
            }
            Payload::Emergency(emergency) => self.emergency_changed(emergency),
            Payload::PromptAdapted(adapted) => {
                if let Some(agent) = self.agents.get_mut(&adapted.agent_id) {
                    agent.rules.clone_from(&adapted.rules);
                }
            }
            Payload::StimulusInjected(stimulus) => {
                self.queue(event.seq, Some(stimulus.kind), stimulus.text.as_str(), stimulus.target.clone());
            }
            Payload::StimulusUsed(used) => {
                if let Some(stimulus) = self.stimuli.iter_mut().find(|s| s.seq == used.stimulus_seq) {
                    stimulus.used_in.insert(used.turn);
                }
            }
            Payload::SituationChanged(changed) => {
                self.situation = changed.situation.as_str().into();
                self.voiced = self.conscious.clone().filter(|_| self.situation != self.base_situation);
            }
            Payload::InterventionSuggested(suggestion) => {
                self.suggested.insert(suggestion.rule.clone());
            }
            Payload::TurnCommitted(committed) => {
                self.settle(committed.turn, committed.tokens, committed.cost);
                self.turns_committed += 1;
                push(&mut self.recent_failures, false, FAILURES_KEPT);
                if let Some(agent) = self.agents.get_mut(&committed.agent_id) {
                    agent.thought = committed.reasoning.as_ref().map(|r| r.as_str().to_owned());
                }
                if let Some(flight) = self.in_flight.remove(&committed.turn) {
                    self.hear_stimuli(&flight);
                }
                self.unfinished.remove(&committed.turn);
                if committed.round == self.round {
                    self.spoken.insert(committed.agent_id.clone());
                    if self.in_flight.is_empty() && self.round_is_over() {
                        self.round_ended();
                    }
                }
            }
            Payload::TurnFailed(failed) => {
                push(&mut self.recent_failures, true, FAILURES_KEPT);
                self.not_finished(failed.turn, failed.tokens, Some(failed.kind), failed.retryable);
            }
            Payload::TurnAbandoned(abandoned) => {
                self.not_finished(abandoned.turn, abandoned.tokens, None, true);
                if abandoned.reason == ANEW {
                    self.unfinished.remove(&abandoned.turn);
                }
            }
            Payload::Reset(_) => self.to_beginning(),
            Payload::SettingsChanged(changed) => self.settings_changed(changed),
            Payload::AgentChanged(changed) => self.agent_changed(changed),
            Payload::PathsChanged(changed) => {
                self.set_paths(&changed.paths);
                self.connections = self.connections_now();
            }
            Payload::Forked(forked) => {
                self.forked(event.at, forked);
                // Who belongs to the parent does not belong to the fork, nor what was asked of the parent.
                self.people.clear();
                self.waiting.clear();
            }
            Payload::UserSession(change) => self.belonging_changed(change),
            Payload::SessionCreated(_) | Payload::Annotation(_) | Payload::Unknown(_) => {}
        }
    }

    fn accepted(&mut self, Waiting { actor, command, step, .. }: Waiting) {
        match command.as_str() {
            "pause" => self.pause_requested = Some(actor),
            "start" | "resume" | "retry" => self.pause_requested = None,
            "step" => {
                self.pause_requested = None;
                self.step = Some(StepGoal { unit: step, from: self.turns_committed, actor });
            }
            _ => {}
        }
    }

    fn turn_started(&mut self, started: &TurnStarted) {
        if started.round != self.round {
            self.round = started.round;
            self.spoken.clear();
        }
        self.turn = self.turn.max(started.turn);
        self.reserved = self.reserved.saturating_add(started.reserved);
        for agent in self.agents.values_mut() {
            if matches!(agent.activity, AgentActivity::Active | AgentActivity::Integrating) {
                agent.activity = AgentActivity::Waiting;
            }
        }
        if let Some(agent) = self.agents.get_mut(&started.agent_id) {
            agent.activity = AgentActivity::Processing;
            if let Some(opener) = &started.opener {
                agent.last_opener = Some(opener.as_str().to_owned());
            }
        }
        // The state holds words in plain form, as its snapshots do.
        let mut started = started.clone();
        started.opener = started.opener.map(|opener| Words::Open(opener.as_str().to_owned()));
        let flight = Flight {
            agent_id: started.agent_id.clone(),
            attempt: started.attempt,
            round: started.round,
            started,
            measured: false,
        };
        let turn = flight.started.turn;
        self.unfinished.remove(&turn);
        self.in_flight.insert(turn, flight);
    }

    fn queue(&mut self, seq: u64, kind: Option<StimulusKind>, text: &str, target: Option<AgentId>) {
        let (heard_by, used_in) = (BTreeSet::new(), BTreeSet::new());
        self.stimuli.push(PendingStimulus { seq, kind, text: text.into(), target, heard_by, used_in });
    }

    fn spoke(&mut self, seq: u64, message: &AgentMessage) {
        self.messages += 1;
        if message.agent_id.as_str() == USER {
            // A person is heard by everyone addressed, whatever the paths, and is not measured with the agents.
            let target = message.recipients.first().filter(|_| message.recipient != "all").cloned();
            self.queue(seq, None, message.content.as_str(), target);
            return;
        }
        let flight = self.in_flight.get(&message.metadata.turn);
        let said = Arc::new(Said {
            seq,
            turn: message.metadata.turn,
            from: message.agent_id.clone(),
            to: message.recipients.first().cloned(),
            text: message.content.as_str().into(),
            compound: message.sentiment.score,
            embedded: message.metadata.embedding.as_ref().and_then(SealedEmbedding::open),
            answers: flight.and_then(|f| f.started.answers),
            reading: Kept::default(),
        });
        self.latency_sum_ms = self.latency_sum_ms.saturating_add(message.metadata.latency_ms);
        for path in &mut self.paths {
            if path.from == said.from && message.recipients.contains(&path.to) {
                path.last_turn = said.turn;
                push(&mut path.inbox, Arc::clone(&said), path.window as usize);
            }
        }
        if let Some(agent) = self.agents.get_mut(&said.from) {
            agent.utterances += 1;
            agent.sentiment = Some(said.compound);
            push(&mut agent.own, Arc::clone(&said), OWN_KEPT);
        }
        if self.initial.cast.conscious_voice.as_ref() == Some(&said.from) {
            self.conscious = Some((seq, Arc::clone(&said.text)));
        }
        push(&mut self.window, said, WINDOW);
    }

    fn emergency_changed(&mut self, emergency: &Emergency) {
        match emergency.action {
            EmergencyAction::Opened => {
                if self.emergency.level.is_none() {
                    self.emergency.since_round = Some(self.round);
                    self.emergency.count += 1;
                }
                self.emergency.level = Some(emergency.level);
            }
            EmergencyAction::Closed => {
                self.emergency.level = None;
                self.emergency.since_round = None;
            }
        }
        self.connections = self.connections_now();
    }

    /// Bookkeeping of a finished round; the decision of the turn that ended it has used the values before.
    fn round_ended(&mut self) {
        let stagnation = self.gauges.get(&GaugeName::Stagnation).and_then(|g| g.standardised);
        push(&mut self.stagnation_by_round, stagnation, SPARKLINE);
        (self.emergency.above, self.emergency.calm) = self.emergency_counts(stagnation);
        let holding = crate::prompt::interventions(&self.gauges);
        self.suggested.retain(|rule| holding.iter().any(|(name, _)| name == rule));
    }

    fn settle(&mut self, turn: u64, tokens: u64, cost: f64) {
        let reserved = self.in_flight.get(&turn).map_or(0, |f| f.started.reserved);
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
        // What is no number could be written and never read again.
        let spent = self.spent.cost + cost;
        if spent.is_finite() {
            self.spent.cost = spent;
        }
    }

    fn not_finished(&mut self, turn: u64, tokens: u64, kind: Option<ModelErrorKind>, retryable: bool) {
        self.settle(turn, tokens, 0.0);
        let Some(flight) = self.in_flight.remove(&turn) else { return };
        if let Some(agent) = self.agents.get_mut(&flight.agent_id) {
            agent.activity = if kind.is_some() { AgentActivity::Failed } else { AgentActivity::Waiting };
        }
        let (seed, opener) = (flight.started.seed, flight.started.opener.map(|opener| opener.as_str().to_owned()));
        let unfinished =
            Unfinished { agent_id: flight.agent_id, attempt: flight.attempt, kind, retryable, seed, opener };
        self.unfinished.insert(turn, unfinished);
    }

    fn hear_stimuli(&mut self, flight: &Flight) {
        for stimulus in &mut self.stimuli {
            if flight.started.stimuli.contains(&stimulus.seq) {
                stimulus.heard_by.insert(flight.agent_id.clone());
            }
        }
        let agents = &self.agents;
        self.stimuli.retain(|stimulus| match &stimulus.target {
            Some(target) => !stimulus.heard_by.contains(target),
            None => agents.values().any(|a| !a.definition.muted && !stimulus.heard_by.contains(&a.definition.id)),
        });
    }

    fn settings_changed(&mut self, changed: &SettingsChanged) {
        if let Some(name) = &changed.name {
            name.as_str().clone_into(&mut self.name);
        }
        if let Some(situation) = &changed.situation {
            self.set_situation(situation);
        }
        if let Some(pacing) = changed.pacing_ms {
            self.pacing_ms = pacing;
        }
        if let Some(max) = changed.max_rounds {
            self.max_rounds = max;
        }
        if let Some(budget) = changed.budget {
            self.budget = budget;
        }
        if let Some(tags) = &changed.tags {
            self.tags = super::texts(tags);
        }
        if let Some(thresholds) = changed.thresholds {
            self.thresholds = thresholds;
        }
        if let Some(stimuli) = &changed.stimuli {
            let plain = |preset: &PresetWords| StimulusPreset {
                kind: preset.kind,
                name: preset.name.as_str().to_owned(),
                text: preset.text.as_str().to_owned(),
            };
            let subject = stimuli.first().and_then(|preset| preset.text.subject()).unwrap_or(Subject::Session);
            self.presets = Some(Presets { list: stimuli.iter().map(plain).collect(), subject });
        }
    }

    /// The past is another session's; from here on it is this one's. What was spent on it, the other has spent.
    fn forked(&mut self, at: Timestamp, forked: &Forked) {
        self.parent = Some(forked.parent.clone());
        self.created_at = at;
        self.touched_at = at;
        self.spent = Spent::default();
        if let Some(name) = &forked.name {
            name.as_str().clone_into(&mut self.name);
        }
        let changes = &forked.changes;
        let initial = Arc::make_mut(&mut self.initial);
        initial.owner = forked.owner;
        initial.determinism = forked.determinism.unwrap_or(initial.determinism);
        if let Some(model) = &changes.model {
            initial.model.clone_from(model);
        }
        if let Some(seed) = changes.seed {
            initial.seed = seed;
            // Turns that are to be tried again would be tried with what the old seed gave them.
            self.unfinished.clear();
        }
        if let Some(situation) = &changes.situation {
            self.set_situation(situation);
            self.voiced = None;
        }
        for (id, agent) in &changes.agents {
            let AgentEdit { temperature, system_prompt, model, muted } = agent.clone();
            let (actor, agent_id) = (forked.owner.to_string(), id.clone());
            self.agent_changed(&AgentChanged { actor, agent_id, temperature, system_prompt, model, muted });
        }
        if let Some(paths) = &changes.paths {
            self.set_paths(paths);
            self.connections = self.connections_now();
        }
    }

    fn set_situation(&mut self, situation: &Words) {
        self.base_situation = situation.as_str().into();
        self.base_subject = situation.subject().unwrap_or(Subject::Session);
        self.situation = Arc::clone(&self.base_situation);
    }

    fn agent_changed(&mut self, changed: &AgentChanged) {
        let Some(agent) = self.agents.get_mut(&changed.agent_id) else { return };
        let definition = Arc::make_mut(&mut agent.definition);
        if let Some(temperature) = changed.temperature {
            definition.temperature = temperature;
        }
        if let Some(prompt) = &changed.system_prompt {
            prompt.as_str().clone_into(&mut definition.system_prompt);
        }
        if let Some(model) = &changed.model {
            definition.model = (!model.is_empty()).then(|| model.clone());
        }
        if let Some(muted) = changed.muted {
            definition.muted = muted;
            agent.activity = if muted { AgentActivity::Muted } else { AgentActivity::Waiting };
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, keep: usize) {
    queue.push_back(item);
    while queue.len() > keep {
        queue.pop_front();
    }
}
