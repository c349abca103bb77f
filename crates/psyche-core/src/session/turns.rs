//! Turns: who speaks next and to whom, and what an utterance causes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cast::PathKind;
use crate::embedding::Embedding;
use crate::event::{
    AgentActivity, AgentMessage, AgentStateUpdate, Connection, Event, HealthUpdate, MessageMetadata, MessageType,
    NetworkMetrics, NetworkUpdate, Payload, PromptAdapted, SealedEmbedding, SentimentScore, StimulusUsed,
    TurnCommitted, TurnFailed, TurnStarted,
};
use crate::ids::AgentId;
use crate::measure::affect::affect;
use crate::measure::strength::{self, Delivery};
use crate::measure::{self, Turn, Vader};
use crate::port::{Finish, ModelErrorKind, PromptStyle, Usage};
use crate::prompt::{self, Prompt, Rule};
use crate::random;
use crate::speech;
use crate::words::{Subject, Words};

use super::commands::{Action, Command, status};
use super::fork::Settled;
use super::{BUDGET_EXCEEDED, Inputs, PathState, Refusal, RefusalKind, Session, SessionStatus, TurnOrder};

/// Turns after which a message weighs half as much in a path's strength.
const HALF_LIFE_TURNS: f64 = 10.0;

/// Attempts at one turn before a person has to ask for another.
pub const MAX_ATTEMPTS: u32 = 3;

/// What a decision needs to know of an agent's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    pub id: String,
    pub style: PromptStyle,
}

/// A finished reply. `text` includes the opener.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub text: String,
    pub reasoning: Option<String>,
    pub finish: Finish,
    pub usage: Option<Usage>,
    pub cost: f64,
    pub confidence: Option<f64>,
    pub latency_ms: u64,
}

/// A model call that gave no usable words.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub kind: ModelErrorKind,
    pub retryable: bool,
    pub message: String,
    pub tokens: u64,
}

/// Sentiment of an utterance as events carry it.
pub(super) fn score(vader: &Vader, text: &str) -> SentimentScore {
    vader.score(text).into()
}

impl Session {
    /// Whether everyone who may speak has spoken in this round.
    pub fn round_is_over(&self) -> bool {
        self.speakers().all(|id| self.spoken.contains(id))
    }

    /// Turns to be tried again; a muted agent's wait until it may speak.
    pub(super) fn due(&self) -> impl Iterator<Item = (&u64, &super::Unfinished)> {
        let may_speak = |id: &AgentId| self.agents.get(id).is_some_and(|a| !a.definition.muted);
        self.unfinished.iter().filter(move |(_, u)| may_speak(&u.agent_id))
    }

    fn speakers(&self) -> impl Iterator<Item = &AgentId> {
        self.order.iter().filter(|id| self.agents.get(*id).is_some_and(|a| !a.definition.muted))
    }

    /// The turns that come next: those to be tried again, else the next speaker, else the first of a new round.
    pub(super) fn begin_turns(
        &self,
        facts: &BTreeMap<AgentId, ModelFacts>,
        inputs: &mut Inputs<'_>,
    ) -> Result<Vec<Payload>, Refusal> {
        if self.status != SessionStatus::Running || !self.in_flight.is_empty() {
            let message = "turns begin when the session runs and none is under way".to_owned();
            return Err(Refusal { kind: RefusalKind::Conflict, status: self.status, field: None, message });
        }
        // An end may have become due since the last turn: by a command, a mute, or a restart.
        let end = |to, reason, actor: &str| Ok(vec![status(to, reason, actor)]);
        if let Some(actor) = &self.pause_requested {
            return end(SessionStatus::Paused, None, actor);
        }
        if self.budget.cost.is_some_and(|limit| self.spent.cost >= limit) {
            return end(SessionStatus::Paused, Some(BUDGET_EXCEEDED), "system");
        }
        let mut round = self.round.max(1);
        let mut turns: Vec<(u64, u32, AgentId)> =
            self.due().map(|(turn, u)| (*turn, u.attempt + 1, u.agent_id.clone())).collect();
        if turns.is_empty() {
            let new_round = self.round == 0 || self.round_is_over();
            if new_round {
                round = self.round + 1;
                if self.max_rounds.is_some_and(|max| self.round >= max) {
                    return end(SessionStatus::Stopped, Some("max_rounds"), "system");
                }
                if let Some(step) = self.step.as_ref().filter(|s| self.turns_committed > s.from) {
                    return end(SessionStatus::Paused, None, &step.actor);
                }
            }
            let mut speakers: Vec<&AgentId> =
                self.speakers().filter(|id| new_round || !self.spoken.contains(*id)).collect();
            if speakers.is_empty() {
                return Ok(vec![status(SessionStatus::Paused, Some("error"), "system")]);
            }
            // Emergency messages go first; the sort is stable, so the cast's order decides otherwise.
            speakers.sort_by_key(|id| self.route(id).is_none_or(|p| p.kind == PathKind::Normal));
            if self.initial.turn_order == TurnOrder::Sequential {
                speakers.truncate(1);
            }
            turns = (self.turn + 1..).zip(speakers).map(|(turn, id)| (turn, 1, id.clone())).collect();
        }
        let mut payloads = Vec::new();
        let mut reserved = 0;
        for (turn, attempt, agent) in turns {
            let Some(facts) = facts.get(&agent) else { continue };
            let (started, prompt) = self.start_turn((turn, attempt, round), &agent, facts, inputs, &mut payloads);
            inputs.prompts.insert(turn, prompt);
            reserved += started.reserved;
            let used = started.stimuli.clone();
            payloads.push(started.into());
            let unused = |seq: &u64| self.stimuli.iter().any(|s| s.seq == *seq && !s.used_in.contains(&turn));
            payloads.extend(used.into_iter().filter(unused).map(|seq| StimulusUsed { stimulus_seq: seq, turn }.into()));
        }
        if self.budget.tokens.is_some_and(|limit| self.spent.tokens + self.reserved + reserved > limit) {
            return Ok(vec![status(SessionStatus::Paused, Some(BUDGET_EXCEEDED), "system")]);
        }
        Ok(payloads)
    }

    fn start_turn(
        &self,
        (turn, attempt, round): (u64, u32, u64),
        agent: &AgentId,
        facts: &ModelFacts,
        inputs: &mut Inputs<'_>,
        payloads: &mut Vec<Payload>,
    ) -> (TurnStarted, Prompt) {
        let state = &self.agents[agent];
        let rules = prompt::rules(&self.gauges);
        if rules != state.rules {
            let guidance = prompt::guidance(&rules);
            payloads.push(PromptAdapted { agent_id: agent.clone(), rules: rules.clone(), guidance }.into());
        }
        // The same seed gives the same words, so an answer that was useless needs another one; an attempt that only broke
        // off is made again as it was.
        let again = self.unfinished.get(&turn);
        let (seed, opener) = match again.filter(|u| u.kind != Some(ModelErrorKind::BadAnswer)) {
            Some(u) if facts.style == PromptStyle::Compact => (u.seed, u.opener.clone()),
            Some(u) => (u.seed, None),
            None => {
                let purpose = again.map_or(agent.to_string(), |_| format!("{agent}/{attempt}"));
                (random::seed(self.initial.seed, turn, &purpose), self.opener(turn, agent, facts.style, &rules))
            }
        };
        let route = self.route(agent);
        let built = prompt::build(self, agent, facts.style, &rules, opener.as_deref());
        let sampling = prompt::sampling(self, agent, facts.style);
        let started = TurnStarted {
            turn,
            attempt,
            round,
            agent_id: agent.clone(),
            recipient: route.map_or("all", |p| p.to.as_str()).to_owned(),
            recipients: route.map(|p| p.to.clone()).into_iter().collect(),
            message_type: match route {
                Some(path) if path.kind == PathKind::Emergency => MessageType::Emergency,
                _ => MessageType::Normal,
            },
            seed,
            model: facts.id.clone(),
            style: facts.style,
            opener: opener.map(|opener| Words::new(opener, self.initial.cast_subject, &mut inputs.salts)),
            prompt_digest: built.digest(),
            answers: built.answers,
            event_seqs: built.event_seqs.clone(),
            stimuli: built.stimuli.clone(),
            reserved: prompt::estimate(&built.messages) + u64::from(sampling.max_tokens),
            sampling,
        };
        (started, built)
    }

    /// The open path an agent speaks over: the one unused for longest, emergency paths first among equals.
    pub fn route(&self, agent: &AgentId) -> Option<&PathState> {
        let open = self.paths.iter().filter(|p| p.from == *agent && self.is_open(p));
        let listening = open.filter(|p| self.agents.get(&p.to).is_some_and(|a| !a.definition.muted));
        listening.min_by_key(|p| (p.last_turn, p.kind == PathKind::Normal))
    }

    /// A beginning for a very small model's reply: by the first rule in force, never the same twice running.
    pub(super) fn opener(&self, turn: u64, agent: &AgentId, style: PromptStyle, rules: &[Rule]) -> Option<String> {
        if style != PromptStyle::Compact {
            return None;
        }
        let state = &self.agents[agent];
        let named = |name: &str| state.definition.openers.get(name).filter(|list| !list.is_empty());
        // Half of the turns under a rule keep their usual voice, so that guidance does not wash the roles out.
        let mut rng = random::stream(self.initial.seed, turn, agent.as_str(), "opener");
        let ruled = rules.first().filter(|_| random::pick(&mut rng, 2) == 0).and_then(|r| named(r.name()));
        let choices: Vec<&String> = ruled
            .or_else(|| named("neutral"))?
            .iter()
            .filter(|o| Some(&*speech::visible(o)) != state.last_opener.as_deref())
            .collect();
        let index = random::pick(&mut rng, choices.len().max(1));
        choices.get(index).map(|o| speech::visible(o).into_owned())
    }

    /// Everything an utterance causes.
    pub(super) fn commit(
        &self,
        turn: u64,
        attempt: u32,
        reply: &Reply,
        inputs: &mut Inputs<'_>,
    ) -> Result<Vec<Payload>, Refusal> {
        let Some(flight) = self.in_flight.get(&turn).filter(|f| f.attempt == attempt) else {
            return Err(self.not_under_way(turn, attempt));
        };
        let started = &flight.started;
        let tokens = reply.usage.map_or(started.reserved, |u| u.total());
        let cleaned = self.cleaned(reply, started.style);
        if cleaned.is_empty() {
            let message = "the model answered without words; try again, or give this agent another model".to_owned();
            let failure = Failure { kind: ModelErrorKind::BadAnswer, retryable: true, message, tokens };
            return self.fail(turn, attempt, &failure);
        }
        // A number that is none could be written and never read again.
        let confidence = reply.confidence.filter(|c| c.is_finite()).map(|c| c.clamp(0.0, 1.0));
        let cost = Some(reply.cost).filter(|cost| cost.is_finite()).map_or(0.0, |cost| cost.max(0.0));
        let agent_id = &flight.agent_id;
        let is_sentence = cleaned.ends_with(['.', '!', '?', '…', '"', '”']);
        let sentiment = score(inputs.vader, &cleaned);
        let embedded = inputs.embedded.take();
        let message = AgentMessage {
            agent_id: agent_id.clone(),
            recipient: started.recipient.clone(),
            recipients: started.recipients.clone(),
            sentiment,
            content: Words::new(cleaned, Subject::Session, &mut inputs.salts),
            message_type: started.message_type,
            metadata: MessageMetadata {
                round: flight.round,
                turn,
                attempt,
                model: started.model.clone(),
                usage: reply.usage,
                latency_ms: reply.latency_ms,
                seed: started.seed,
                opener: started
                    .opener
                    .as_ref()
                    .map(|opener| Words::new(opener.as_str(), self.initial.cast_subject, &mut inputs.salts)),
                truncated: reply.finish == Finish::Length && !is_sentence,
                user_id: None,
                affect: embedded.as_ref().and_then(|embedded| affect(embedded, sentiment.scores())),
                embedding: embedded
                    .map(|embedded| SealedEmbedding::new(&embedded, Subject::Session, &mut inputs.salts)),
            },
        };
        let mut next = self.clone();
        let mut payloads: Vec<Payload> = vec![message.into()];
        let folded =
            Event { generation: self.generation, seq: self.seq + 1, at: inputs.now, payload: payloads[0].clone() };
        next.apply(&folded);
        let settled = Settled { finish: reply.finish, tokens, cost, confidence, reasoning: reply.reasoning.clone() };
        next.consequences(turn, flight, &settled, inputs, &mut payloads);
        Ok(payloads)
    }

    /// What an utterance causes once it is said. `self` is the state after it, on which everything else is measured.
    pub(super) fn consequences(
        mut self,
        turn: u64,
        flight: &super::Flight,
        settled: &Settled,
        inputs: &mut Inputs<'_>,
        payloads: &mut Vec<Payload>,
    ) {
        let agent_id = &flight.agent_id;
        let Settled { finish, tokens, cost, confidence, reasoning } = settled;
        let rules = self.agents.get(agent_id).map(|a| a.rules.as_slice()).unwrap_or_default();
        let activity = if rules.is_empty() { AgentActivity::Active } else { AgentActivity::Integrating };
        payloads.push(
            AgentStateUpdate {
                agent_id: agent_id.clone(),
                state: activity,
                confidence: *confidence,
                last_action: format!("spoke to {}", flight.started.recipient),
                metadata: BTreeMap::new(),
            }
            .into(),
        );
        // Charts go on from the gauges before: measured twice, an utterance would count twice.
        if !flight.measured {
            self.gauges = self.measure(inputs.vader, turn);
        }
        payloads.push(HealthUpdate { round: flight.round, gauges: self.gauges.clone() }.into());
        payloads.push(self.network_update().into());

        self.spoken.insert(agent_id.clone());
        self.in_flight.remove(&turn);
        let round_over = flight.round == self.round && self.in_flight.is_empty() && self.round_is_over();
        if round_over {
            self.end_round(inputs, payloads);
        }
        self.unfinished.remove(&turn);
        self.spent.tokens += tokens;
        self.spent.cost += cost;
        self.turns_committed += 1;
        payloads.extend(self.boundary(round_over));
        payloads.push(
            TurnCommitted {
                turn,
                attempt: flight.attempt,
                round: flight.round,
                agent_id: agent_id.clone(),
                finish: *finish,
                tokens: *tokens,
                cost: *cost,
                confidence: *confidence,
                reasoning: reasoning
                    .as_ref()
                    .filter(|r| !r.trim().is_empty())
                    .map(|r| Words::new(speech::plain(r), Subject::Session, &mut inputs.salts)),
            }
            .into(),
        );
    }

    /// The words that a reply puts into an agent's mouth.
    fn cleaned(&self, reply: &Reply, style: PromptStyle) -> String {
        speech::clean(&reply.text, style, self.agents.values().map(|a| a.definition.name.as_str()))
    }

    /// The words that a command speaks, if it does: whoever decides it may give their embedding.
    pub fn utterance(&self, command: &Command) -> Option<String> {
        let spoken = |action: &Action| match action {
            Action::Speak(args) => Some(speech::plain(&args.text)),
            _ => None,
        };
        let text = match command {
            Command::Commit { turn, reply, .. } => self.cleaned(reply, self.in_flight.get(turn)?.started.style),
            Command::User(user) => spoken(&user.action)?,
            Command::Received { received, .. } => spoken(&Action::recorded(received).ok()?)?,
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// A model call that failed. No words are put into the agent's mouth.
    pub(super) fn fail(&self, turn: u64, attempt: u32, failure: &Failure) -> Result<Vec<Payload>, Refusal> {
        let Some(flight) = self.in_flight.get(&turn).filter(|f| f.attempt == attempt) else {
            return Err(self.not_under_way(turn, attempt));
        };
        let failed = TurnFailed {
            agent_id: flight.agent_id.clone(),
            turn,
            attempt,
            kind: failure.kind,
            retryable: failure.retryable,
            message: failure.message.clone(),
            tokens: failure.tokens,
        };
        let mut payloads: Vec<Payload> = vec![failed.into()];
        let mut next = self.clone();
        next.apply(&Event {
            generation: self.generation,
            seq: self.seq + 1,
            at: self.last_at,
            payload: payloads[0].clone(),
        });
        payloads.extend(next.boundary(false));
        Ok(payloads)
    }

    fn not_under_way(&self, turn: u64, attempt: u32) -> Refusal {
        let message = format!("attempt {attempt} of turn {turn} is not under way");
        Refusal { kind: RefusalKind::Conflict, status: self.status, field: None, message }
    }

    /// The end of a run that this turn boundary brings, if any. `self` is the state after the turn.
    fn boundary(&self, round_over: bool) -> Option<Payload> {
        if self.status != SessionStatus::Running || !self.in_flight.is_empty() {
            return None;
        }
        let status = |to, reason, actor: &str| Some(status(to, reason, actor));
        let exhausted =
            |u: &super::Unfinished| u.kind.is_some() && (!u.retryable || u.attempt.is_multiple_of(MAX_ATTEMPTS));
        if self.due().any(|(_, u)| exhausted(u)) {
            return status(SessionStatus::Paused, Some("model_unavailable"), "system");
        }
        if let Some(actor) = &self.pause_requested {
            return status(SessionStatus::Paused, None, actor);
        }
        if round_over && self.max_rounds.is_some_and(|max| self.round >= max) {
            return status(SessionStatus::Stopped, Some("max_rounds"), "system");
        }
        if let Some(step) = &self.step
            && (round_over || (step.unit == super::StepUnit::Turn && self.turns_committed > step.from))
        {
            return status(SessionStatus::Paused, None, &step.actor);
        }
        let over_tokens = self.budget.tokens.is_some_and(|limit| self.spent.tokens >= limit);
        if over_tokens || self.budget.cost.is_some_and(|limit| self.spent.cost >= limit) {
            return status(SessionStatus::Paused, Some(BUDGET_EXCEEDED), "system");
        }
        None
    }

    /// The six gauges over the window, their charts carried on from those that stand.
    fn measure(&self, vader: &Vader, turn: u64) -> measure::Gauges {
        let index_of = |seq: u64| self.window.iter().position(|s| s.seq == seq);
        let window: Vec<Turn<'_>> = self
            .window
            .iter()
            .map(|said| Turn {
                speaker: said.from.as_str(),
                addressee: said.to.as_ref().map(AgentId::as_str),
                text: &said.text,
                compound: said.compound,
                answers: said.answers.and_then(index_of),
            })
            .collect();
        let seed = random::seed(self.initial.seed, turn, "measure");
        let readings: Vec<_> = self.window.iter().map(|said| said.reading.of(vader, &said.text)).collect();
        let mut gauges = measure::gauges_of(&window, &readings, &self.meanings(), seed);
        measure::alarm::chart(&self.gauges, &mut gauges);
        gauges
    }

    /// Where the utterances of the window stand among meanings; those of an earlier model are passed over.
    fn meanings(&self) -> Vec<Option<&Embedding>> {
        let embedded = || self.window.iter().map(|said| said.embedded.as_ref());
        let model = embedded().flatten().next_back().map(|embedded| &embedded.model);
        embedded().map(|e| e.filter(|e| Some(&e.model) == model).map(|e| &e.vector)).collect()
    }

    /// Who spoke to whom within the window.
    fn deliveries(&self) -> Vec<Delivery<'_>> {
        let now = self.window.back().map_or(0, |s| s.turn);
        let addressed = self.window.iter().filter_map(|s| s.to.as_ref().map(|to| (s, to)));
        addressed
            .map(|(s, to)| Delivery {
                from: s.from.as_str(),
                to: to.as_str(),
                turns_ago: now.saturating_sub(s.turn) as usize,
            })
            .collect()
    }

    /// Strength of every path as it stands.
    pub(super) fn connections_now(&self) -> Vec<Connection> {
        let deliveries = self.deliveries();
        let strengths = strength::connection_strengths(&deliveries, HALF_LIFE_TURNS, self.speakers().count());
        self.paths
            .iter()
            .map(|p| Connection {
                from: p.from.clone(),
                to: p.to.clone(),
                strength: strengths.get(&(p.from.as_str(), p.to.as_str())).copied().unwrap_or(0.0),
                active: self.is_open(p),
                kind: p.kind,
            })
            .collect()
    }

    fn network_update(&self) -> NetworkUpdate {
        let open: Vec<_> =
            self.paths.iter().filter(|p| self.is_open(p)).map(|p| (p.from.as_str(), p.to.as_str())).collect();
        let failed = self.recent_failures.iter().filter(|f| **f).count();
        let health = strength::network_health(&self.deliveries(), &open, self.recent_failures.len() + 1, failed);
        let spoken = self.turns_committed + 1;
        NetworkUpdate {
            connections: self.connections_now(),
            metrics: NetworkMetrics {
                total_messages: self.messages,
                avg_response_time: Some(self.latency_sum_ms as f64 / spoken as f64),
                network_health: health,
            },
            performance: BTreeMap::new(),
        }
    }
}
