//! Commands for a session that another engine drives: acknowledged here, decided there.
//!
//! One log, no second queue: `command_received` is appended without owning the session, and the owner says with
//! `command_accepted` or `command_refused` what came of it. Nothing else is said between engines that matters.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use psyche_core::SessionId;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{Append, AppendError, EventLog, News};
use psyche_core::session::{Command, Refusal, RefusalKind, Session, SessionStatus, UserCommand};
use tokio::time::Instant;

use crate::step::{Step, step};
use crate::task::{self, same_command};
use crate::{EngineError, Inner, load, quotas};

/// How long a decision is waited for. The command is acknowledged all the same.
const DECIDED_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked for when nobody tells of it.
const LOOK: Duration = Duration::from_millis(250);
/// Times the log may have gone on while something was to be appended beside its owner.
const TRIES: usize = 32;

/// Acknowledges a command and waits a while for its decision. Returns the `seq` of its `command_received`.
pub(crate) async fn forward(inner: &Arc<Inner>, id: SessionId, command: UserCommand) -> Result<u64, EngineError> {
    let mut news = inner.ports.bus.subscribe(id);
    let seq = match beside(inner, id, &Command::Forward(command.clone())).await {
        Ok(events) => events.first().map_or(0, |event| event.seq),
        Err(Beside::Taken(at)) => return same_command(inner.ports.log.as_ref(), id, &command, at).await,
        Err(Beside::Engine(EngineError::Refused(refusal))) => {
            // What was done already may well be impossible now.
            let found = inner.ports.log.find_command(id, command.id.as_str()).await?;
            let Some(seq) = found else { return Err(refusal.into()) };
            return same_command(inner.ports.log.as_ref(), id, &command, (seq, refusal.status)).await;
        }
        Err(Beside::Engine(error)) => return Err(error),
    };
    let until = Instant::now() + DECIDED_WITHIN;
    let mut after = seq;
    while Instant::now() < until {
        if let Some(decision) = decision(inner, id, &command, &mut after).await? {
            return decision.map(|()| seq).map_err(EngineError::Refused);
        }
        tokio::select! {
            biased;
            _ = news.next() => {}
            () = tokio::time::sleep(LOOK) => {
                // The owner may be gone: then it is decided here.
                _ = task::place(inner, id).await;
            }
        }
    }
    // Its row says that something waits: whoever looks for sessions without an owner takes it up.
    Ok(seq)
}

/// What the owner said of a command, in the events after `after`.
async fn decision(
    inner: &Inner,
    id: SessionId,
    command: &UserCommand,
    after: &mut u64,
) -> Result<Option<Result<(), Refusal>>, EngineError> {
    for record in inner.ports.log.read(id, *after, 500).await? {
        *after = record.seq;
        match Event::decode(&record)?.payload {
            Payload::CommandAccepted(accepted) if accepted.command_id == command.id.as_str() => {
                return Ok(Some(Ok(())));
            }
            Payload::CommandRefused(refused) if refused.command_id == command.id.as_str() => {
                let (kind, status, message) = (RefusalKind::Conflict, refused.status, refused.message);
                return Ok(Some(Err(Refusal { kind, status, field: None, message })));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// A state and what was appended since; loaded anew where the past itself changed.
async fn go_on(log: &dyn EventLog, mut session: Session) -> Result<Session, EngineError> {
    let head = log.head(session.id).await?.ok_or(EngineError::NotFound)?;
    if head.generation != session.generation {
        return Ok(load::load(log, session.id, u64::MAX).await?.session);
    }
    for record in log.read(session.id, session.seq, 1_000).await? {
        session.apply_record(&record, &Event::decode(&record)?);
    }
    Ok(session)
}

/// Why something could not be appended beside the owner.
pub(crate) enum Beside {
    /// The command was received before, as this event; the session's status.
    Taken((u64, SessionStatus)),
    Engine(EngineError),
}

impl<E: Into<EngineError>> From<E> for Beside {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// Appends what needs no ownership: what somebody asks, and who belongs to the session. It is decided on the very state it
/// follows: a log that went on meanwhile is read again.
pub(crate) async fn beside(inner: &Inner, id: SessionId, command: &Command) -> Result<Vec<Event>, Beside> {
    let ports = &inner.ports;
    let mut known: Option<Session> = None;
    for _ in 0..TRIES {
        let session = match known.take() {
            Some(session) => go_on(ports.log.as_ref(), session).await?,
            None => load::load(ports.log.as_ref(), id, u64::MAX).await?.session,
        };
        if let Command::Forward(user) = command {
            quotas::room_in(&inner.options, &session, &user.action)?;
        }
        let mut next = session.clone();
        let Step { events, records, .. } = step(ports, &mut next, 0, command, None)?;
        if events.is_empty() {
            return Ok(events);
        }
        let (expected, summary) = (session.hash, Some(next.summary()));
        match ports.log.append(Append { session: id, epoch: None, expected, records, summary, charge: None }).await {
            Ok(head) => {
                let (generation, seq) = (head.generation, head.seq);
                ports.bus.publish(id, News::Appended { generation, seq, events: Some(events.clone().into()) });
                return Ok(events);
            }
            Err(AppendError::Stale(_)) => known = Some(session),
            Err(AppendError::CommandTaken { seq }) => return Err(Beside::Taken((seq, session.status))),
            Err(error) => return Err(error.into()),
        }
    }
    Err(EngineError::Busy.into())
}
