//! A model as a judge of what was said: stateless calls beside the conversation, on its budget. The session is read and not
//! touched, and what the model answers is stored nowhere.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::measure::judge::Ask;
use psyche_core::port::{ChatMessage, ChatRole, GenerateRequest, Sampling, Spent};
use psyche_core::words::Hash;
use psyche_core::{AgentId, SessionId, prompt};

use crate::generation::Call;
use crate::{Engine, EngineError};

/// Longest wait for one answer, and for all of them.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_FOR_ALL: Duration = Duration::from_mins(2);
/// Calls that may fail one after the other before the judge is given up.
const FAILURES: usize = 3;
/// A digit, and where it ends.
const MAX_TOKENS: u32 = 2;

/// What a judge answered.
#[derive(Clone, Debug)]
pub struct Judged {
    pub model: String,
    /// In the order of the questions: the answer as it came, `None` where the call failed or there was none any more.
    pub answers: Vec<Option<String>>,
    /// Questions that were asked, before the time, the budget or the patience with failures ran out.
    pub asked: usize,
    pub spent: Spent,
}

impl Engine {
    /// Asks a model each of some questions, one call each, at temperature 0. What it costs counts against the session's
    /// budget as interviews do. `model` is the session's own when absent.
    pub async fn judge(&self, id: SessionId, model: Option<&str>, asks: &[Ask]) -> Result<Judged, EngineError> {
        let inner = &self.inner;
        let _place = inner.interviews.try_acquire().map_err(|_| EngineError::Busy)?;
        let own = self.read(id, |session| session.initial.model.clone()).await?;
        let model_id = model.unwrap_or(&own).to_owned();
        let models = &inner.ports.models;
        let Some(model) = models.model(&model_id) else {
            let ids: Vec<_> = models.models().iter().map(|m| m.card().id.clone()).collect();
            let message = format!("there is no model {model_id:?}; there are {}", ids.join(", "));
            return Err(EngineError::Invalid { field: "model", message });
        };
        let mut judged = Judged { model: model_id, answers: vec![None; asks.len()], asked: 0, spent: Spent::default() };
        let began = tokio::time::Instant::now();
        let mut failures = 0;
        for (number, ask) in asks.iter().enumerate() {
            if began.elapsed() > PATIENCE_FOR_ALL || failures == FAILURES {
                break;
            }
            let request = request(ask, number as u64);
            let reserved = prompt::estimate(&request.messages) + u64::from(MAX_TOKENS);
            match self.read(id, |session| self.reserve(session, reserved)).await? {
                Err(EngineError::OverBudget) if judged.asked > 0 => break,
                outcome => outcome?,
            }
            judged.asked += 1;
            let call = Call {
                session: id,
                agent: request.agent.clone(),
                turn: request.turn,
                attempt: 1,
                reserved,
                request,
                model: Ok(Arc::clone(&model)),
                bus: None,
                clock: Arc::clone(&inner.ports.clock),
            };
            let outcome = tokio::select! {
                biased;
                outcome = tokio::time::timeout(PATIENCE, call.run()) => outcome.ok(),
                () = inner.closing.cancelled() => None,
            };
            let (answer, spent) = match outcome.map(|outcome| outcome.result) {
                Some(Ok(reply)) => {
                    let tokens = reply.usage.map_or(reserved, |usage| usage.total());
                    (Some(reply.text), Spent { tokens, cost: reply.cost })
                }
                Some(Err((failure, _))) => (None, Spent { tokens: failure.tokens, cost: 0.0 }),
                None => (None, Spent { tokens: reserved, cost: 0.0 }),
            };
            self.settle(id, reserved, Some(spent));
            failures = if answer.is_some() { 0 } else { failures + 1 };
            judged.spent.tokens += spent.tokens;
            judged.spent.cost += spent.cost;
            judged.answers[number] = answer;
        }
        if judged.answers.iter().all(Option::is_none) && !asks.is_empty() {
            return Err(EngineError::NoAnswer("the model gave no answer to any question; try another one".to_owned()));
        }
        Ok(judged)
    }
}

fn request(ask: &Ask, number: u64) -> GenerateRequest {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let messages = vec![message(ChatRole::System, ask.system), message(ChatRole::User, &ask.user)];
    let digest = Hash::of(format!("{}\n{}", ask.system, ask.user).as_bytes());
    GenerateRequest {
        messages,
        opener: None,
        sampling: Sampling {
            temperature: 0.0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            max_tokens: MAX_TOKENS,
            stop: vec!["\n".to_owned()],
        },
        seed: 1,
        avoid: Vec::new(),
        digest,
        agent: AgentId::new("judge"),
        turn: number + 1,
    }
}
