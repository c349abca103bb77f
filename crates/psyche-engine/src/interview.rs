//! Interviews: an agent answers a person outside the conversation. The session is read and not touched: no event, no
//! draw, no state of it changes.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::port::{Charge, ChatMessage, Finish, Spent, Usage};
use psyche_core::session::{ModelFacts, Session};
use psyche_core::words::Hash;
use psyche_core::{AgentId, SessionId, TenantId, UserId, speech};
use serde::Serialize;

use crate::generation::Call;
use crate::{Engine, EngineError, budgets};

/// Interviews under way at once; one more is told to come back.
pub(crate) const AT_ONCE: usize = 4;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// What an agent answered, and all that led to it.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    pub agent_id: AgentId,
    /// The event after which it was asked.
    pub seq: u64,
    pub answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Exactly what the agent saw.
    pub messages: Vec<ChatMessage>,
    pub event_seqs: Vec<u64>,
    pub model: String,
    pub seed: u64,
    pub finish: Finish,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    pub cost: f64,
    pub latency_ms: u64,
    pub prompt_digest: Hash,
}

impl Engine {
    /// Asks an agent a question at the present state of a session. What interviews cost is charged to its owner and counts
    /// against the session's own budget for as long as this engine lives; it is not in the log.
    pub async fn interview(&self, id: SessionId, agent: &AgentId, question: &str) -> Result<Answered, EngineError> {
        let inner = &self.inner;
        let _place = inner.interviews.try_acquire().map_err(|_| EngineError::Busy)?;
        let models = &inner.ports.models;
        let (asked, model_id, seq, generation, owner) = self
            .read(id, |session| {
                let model_id = session.model_of(agent.as_str()).to_owned();
                let model = models.model(&model_id);
                let style = model.map_or(psyche_core::port::PromptStyle::Full, |m| m.card().prompt_style);
                let asked = session.interview(agent, question, &ModelFacts { id: model_id.clone(), style })?;
                self.reserve(session, asked.reserved)?;
                Ok::<_, EngineError>((asked, model_id, session.seq, session.generation, session.initial.owner))
            })
            .await??;
        let Some(model) = models.model(&model_id) else {
            self.settle(id, asked.reserved, None);
            let message = format!("there is no model `{model_id}` any more; choose another one in the settings");
            return Err(EngineError::Unavailable(message));
        };
        let wanted = budgets::most(asked.reserved, asked.request.sampling.max_tokens, model.card().price);
        let (directory, default) = (inner.ports.directory.as_ref(), inner.options.user_budget);
        // The owner's budget and that of everybody; given back when this is over, whatever comes of it.
        let _held = match inner.budgets.reserve_call(directory, owner, wanted, default).await {
            Ok(Ok(held)) => held,
            refused => {
                self.settle(id, asked.reserved, None);
                return Err(refused.err().map_or(EngineError::OverBudget, EngineError::from));
            }
        };
        let request = asked.request;
        let (style, messages) = (model.card().prompt_style, request.messages.clone());
        let call = Call {
            session: id,
            agent: agent.clone(),
            turn: request.turn,
            attempt: 1,
            reserved: asked.reserved,
            request: request.clone(),
            model: Ok(model),
            bus: None,
            clock: Arc::clone(&inner.ports.clock),
        };
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout(PATIENCE, call.run()) => outcome.ok(),
            () = inner.closing.cancelled() => None,
        };
        let reply = match outcome.map(|outcome| outcome.result) {
            Some(Ok(reply)) => reply,
            Some(Err((failure, _))) => {
                self.charge(id, owner, asked.reserved, Spent { tokens: failure.tokens, cost: 0.0 }).await?;
                return Err(EngineError::NoAnswer(failure.message));
            }
            None => {
                self.charge(id, owner, asked.reserved, Spent { tokens: asked.reserved, cost: 0.0 }).await?;
                return Err(EngineError::NoAnswer("the model gave no answer in time".to_owned()));
            }
        };
        let tokens = reply.usage.map_or(asked.reserved, |usage| usage.total());
        self.charge(id, owner, asked.reserved, Spent { tokens, cost: reply.cost }).await?;
        let (names, now) = self
            .read(id, |s| (s.agents.values().map(|a| a.definition.name.clone()).collect::<Vec<_>>(), s.generation))
            .await?;
        if now != generation {
            return Err(EngineError::NoAnswer("words it was asked with were erased meanwhile; ask again".to_owned()));
        }
        let answer = speech::clean(&reply.text, style, names.iter().map(String::as_str));
        if answer.is_empty() {
            return Err(EngineError::NoAnswer("the model answered without words; ask otherwise".to_owned()));
        }
        Ok(Answered {
            agent_id: agent.clone(),
            seq,
            answer,
            reasoning: reply.reasoning.filter(|r| !r.trim().is_empty()).map(|r| speech::plain(&r)),
            messages,
            event_seqs: asked.event_seqs,
            model: model_id,
            seed: request.seed,
            finish: reply.finish,
            usage: reply.usage,
            cost: reply.cost,
            latency_ms: reply.latency_ms,
            prompt_digest: request.digest,
        })
    }

    /// Sets tokens aside where the session's budget, and what interviews took of it, leave room.
    pub(crate) fn reserve(&self, session: &Session, tokens: u64) -> Result<(), EngineError> {
        let mut asked = self.inner.asked();
        let spent = asked.entry(session.id).or_default();
        let all = session.spent.tokens + session.reserved + spent.tokens + tokens;
        let over = session.budget.tokens.is_some_and(|limit| all > limit)
            || session.budget.cost.is_some_and(|limit| session.spent.cost + spent.cost >= limit);
        if over {
            return Err(EngineError::OverBudget);
        }
        spent.tokens += tokens;
        Ok(())
    }

    /// Puts what was really spent in the place of what was set aside, and charges the session's owner and everybody with it.
    async fn charge(&self, id: SessionId, user: UserId, reserved: u64, spent: Spent) -> Result<(), EngineError> {
        self.settle(id, reserved, Some(spent));
        if !self.inner.options.charge_answers {
            return Ok(());
        }
        let charge = Charge { tenant: TenantId::DEFAULT, user, spent };
        Ok(self.inner.ports.directory.charge(charge).await?)
    }

    /// Puts what was really spent in the place of what was set aside.
    pub(crate) fn settle(&self, session: SessionId, reserved: u64, spent: Option<Spent>) {
        let Spent { tokens, cost } = spent.unwrap_or_default();
        let mut asked = self.inner.asked();
        let ledger = asked.entry(session).or_default();
        ledger.tokens = ledger.tokens.saturating_sub(reserved) + tokens;
        ledger.cost += cost;
    }
}
