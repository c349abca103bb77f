//! Interviews: one agent answers a person on a state that nothing follows from.

use crate::ids::AgentId;
use crate::port::{GenerateRequest, Sampling};
use crate::{prompt, random, speech};

use super::{ModelFacts, Refusal, RefusalKind, Session};

/// A question that can be asked, and what it may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Interview {
    pub request: GenerateRequest,
    /// Every event whose words are in the prompt.
    pub event_seqs: Vec<u64>,
    /// Tokens it may take, from above.
    pub reserved: u64,
}

impl Session {
    /// Asks an agent what it would answer now, with all it knows: its memory, the situation, what it has heard and the
    /// guidance in force. The same question at the same place is asked with the same seed.
    pub fn interview(&self, agent: &AgentId, question: &str, facts: &ModelFacts) -> Result<Interview, Refusal> {
        self.check_question(agent, question)?;
        let rules = prompt::rules(&self.gauges);
        let turn = self.turn + 1;
        let opener = self.opener(turn, agent, facts.style, &rules);
        let question = speech::plain(question);
        let built = prompt::interview(self, agent, facts.style, &rules, opener.as_deref(), &question);
        let digest = built.digest();
        let sampling = prompt::sampling(self, agent, facts.style);
        Ok(Interview {
            reserved: prompt::estimate(&built.messages) + u64::from(sampling.max_tokens),
            event_seqs: built.event_seqs,
            request: GenerateRequest {
                messages: built.messages,
                opener,
                sampling: Sampling { stop: built.stop, ..sampling },
                seed: random::seed(self.initial.seed, turn, &format!("{agent}/interview")),
                avoid: built.avoid,
                digest,
                agent: agent.clone(),
                turn,
            },
        })
    }

    /// Anybody in the cast can be asked whatever a person could say aloud, at any time.
    fn check_question(&self, agent: &AgentId, question: &str) -> Result<(), Refusal> {
        let invalid = |field, message| {
            Err(Refusal { kind: RefusalKind::Invalid, status: self.status, field: Some(field), message })
        };
        if !self.agents.contains_key(agent) {
            return invalid("args.agent_id", format!("there is no agent {:?}", agent.as_str()));
        }
        if question.trim().is_empty() {
            return invalid("args.question", "must not be empty".to_owned());
        }
        if question.len() > super::MAX_TEXT_BYTES {
            let most = super::MAX_TEXT_BYTES;
            return invalid("args.question", format!("has {} bytes, {most} are possible", question.len()));
        }
        Ok(())
    }
}
