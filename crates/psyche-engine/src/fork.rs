//! Forks: another session goes on with the past of one, from any of its events (docs/adr/0005-forks.md).

use psyche_core::event::{Changes, Event, Payload};
use psyche_core::port::{NewFork, Parent, SessionSummary, StoreError};
use psyche_core::session::{Command, Fork, Session, Settled};
use psyche_core::speech;
use psyche_core::{SessionId, TenantId, UserId};

use crate::step::step;
use crate::{Engine, EngineError, Ports, load};

/// Records that one append may hold beyond the place of a fork.
const REST_OF_APPEND: usize = 256;
/// How often a fork is decided when words of its past are erased meanwhile.
const TRIES: usize = 3;

/// A fork to be made.
#[derive(Clone, Debug)]
pub struct ForkDraft {
    /// The last event that is shared.
    pub at_seq: u64,
    pub owner: UserId,
    /// The name it has there when absent.
    pub name: Option<String>,
    pub changes: Changes<String>,
}

impl Engine {
    /// Creates a session that shares events 1 to `at_seq` with this one and goes on by itself; it waits for `start`. The
    /// session it forks from may run meanwhile.
    pub async fn fork(&self, from: SessionId, draft: ForkDraft) -> Result<SessionSummary, EngineError> {
        let _counted = self.room_for(draft.owner, Some(from)).await?;
        for _ in 0..TRIES {
            let (new, session) = self.decide_fork(from, &draft).await?;
            let Ports { log, .. } = &self.inner.ports;
            match log.fork(new).await {
                Ok(()) => {
                    // A missing snapshot only costs time.
                    if let Ok(snapshot) = load::snapshot(&session)
                        && let Err(error) = log.save_snapshot(session.id, snapshot).await
                    {
                        tracing::warn!(session = %session.id, %error, "a snapshot could not be saved");
                    }
                    return Ok(session.summary());
                }
                // What it was decided on is no longer what happened.
                Err(StoreError::Conflict("generation")) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::Unavailable("words of this session are being erased; try again".to_owned()))
    }

    async fn decide_fork(&self, from: SessionId, draft: &ForkDraft) -> Result<(NewFork, Session), EngineError> {
        let Ports { log, clock, .. } = &self.inner.ports;
        let head = log.head(from).await?.ok_or(EngineError::NotFound)?;
        if draft.at_seq == 0 || draft.at_seq > head.seq {
            let message = format!("the log has events 1 to {}", head.seq);
            return Err(EngineError::Invalid { field: "at_seq", message });
        }
        let mut session = load::load(log.as_ref(), from, draft.at_seq).await?.session;
        let settled = self.settled(&session, from).await?;
        session.id = SessionId(clock.uuid());
        let mut changes = draft.changes.clone();
        changes.situation = changes.situation.as_deref().map(speech::plain);
        let fork = Fork {
            parent: Parent { session_id: from, generation: head.generation, seq: draft.at_seq },
            owner: draft.owner,
            name: draft.name.as_deref().map(speech::plain),
            determinism: self.promised(&changes)?,
            changes,
            settled,
        };
        let parent = fork.parent.clone();
        let records = step(&self.inner.ports, &mut session, 0, &Command::Fork(Box::new(fork)), None)?.records;
        Ok((NewFork { row: session.row(TenantId::DEFAULT), parent, records }, session))
    }

    /// How turns ended whose words are in the past and whose end is not: the rest of their append says it.
    async fn settled(&self, session: &Session, from: SessionId) -> Result<Vec<(u64, Settled)>, EngineError> {
        if !session.in_flight.iter().any(|(turn, flight)| session.has_said(*turn, flight)) {
            return Ok(Vec::new());
        }
        let rest = self.inner.ports.log.read(from, session.seq, REST_OF_APPEND).await?;
        let mut settled = Vec::new();
        for record in rest.iter().take_while(|record| record.at == session.last_at) {
            let Payload::TurnCommitted(c) = Event::decode(record)?.payload else { continue };
            let reasoning = c.reasoning.filter(|r| !r.is_erased()).map(|r| r.as_str().to_owned());
            let (finish, tokens, cost, confidence) = (c.finish, c.tokens, c.cost, c.confidence);
            settled.push((c.turn, Settled { finish, tokens, cost, confidence, reasoning }));
        }
        Ok(settled)
    }

    /// What the changed model promises. All models that are named must be there.
    fn promised(&self, changes: &Changes<String>) -> Result<Option<psyche_core::port::Determinism>, EngineError> {
        let models = &self.inner.ports.models;
        let missing = |field, id: &str| {
            let ids: Vec<_> = models.models().iter().map(|m| m.card().id.clone()).collect();
            let message = format!("there is no model {id:?}; there are {}", ids.join(", "));
            EngineError::Invalid { field, message }
        };
        for id in changes.agents.values().filter_map(|agent| agent.model.as_ref()).filter(|id| !id.is_empty()) {
            models.model(id).ok_or_else(|| missing("changes.agents", id))?;
        }
        let named = changes.model.as_ref();
        named.map(|id| Ok(models.model(id).ok_or_else(|| missing("changes.model", id))?.card().determinism)).transpose()
    }
}
