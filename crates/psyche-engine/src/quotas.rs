//! How much of a thing there may be (LIM-01): sessions of a user, forks of a session, events of a log.

use psyche_core::session::{Action, Refusal, RefusalKind, Session};
use psyche_core::{SessionId, TenantId, UserId};
use tokio::sync::MutexGuard;

use crate::{Engine, EngineError, Options};

/// Events kept free, so that turns under way and the commands that end a run still find room.
const SPARE: u64 = 100;

impl Engine {
    /// Whether there may be one more session of this owner, and one more fork of that parent. Nobody else creates one
    /// while the guard lives.
    pub(crate) async fn room_for(
        &self,
        owner: UserId,
        parent: Option<SessionId>,
    ) -> Result<MutexGuard<'_, ()>, EngineError> {
        let guard = self.inner.creating.lock().await;
        let (options, directory) = (&self.inner.options, &self.inner.ports.directory);
        let most = options.sessions_per_user;
        if directory.count_sessions(TenantId::DEFAULT, Some(owner), None).await? >= most {
            return Err(EngineError::Quota(format!(
                "You own {most} sessions, as many as this installation allows; delete one first."
            )));
        }
        if let Some(parent) = parent {
            let most = options.forks_per_session;
            if directory.count_sessions(TenantId::DEFAULT, None, Some(parent)).await? >= most {
                return Err(EngineError::Quota(format!(
                    "This session has {most} forks, as many as this installation allows; delete one first."
                )));
            }
        }
        Ok(guard)
    }
}

/// Whether a log may still grow by what a command brings. Runs can be ended in a full one.
pub(crate) fn room_in(options: &Options, session: &Session, action: &Action) -> Result<(), EngineError> {
    let most = options.events_per_session;
    let ends = matches!(action, Action::Pause(_) | Action::Stop(_));
    if ends || !is_full(session, most) {
        return Ok(());
    }
    let message = format!(
        "the log of this session has {} events, and {most} are kept of one; go on in a new session",
        session.seq
    );
    let (kind, status) = (RefusalKind::Conflict, session.status);
    Err(EngineError::Refused(Refusal { kind, status, field: None, message }))
}

/// Whether no turn may begin any more.
pub(crate) fn is_full(session: &Session, most: u64) -> bool {
    session.seq.saturating_add(SPARE) > most
}
