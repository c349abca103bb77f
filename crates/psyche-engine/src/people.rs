//! Who belongs to a session, written into its log.

use psyche_core::SessionId;
use psyche_core::port::Relation;
use psyche_core::record::Record;
use psyche_core::session::{Command, Relate, Session};
use tokio::sync::oneshot;

use crate::forward::{self, Beside};
use crate::step::step;
use crate::task::{self, Place};
use crate::{Engine, EngineError, Mail, Order};

impl Engine {
    /// Writes into the log that somebody belongs to the session otherwise than before. Asked again, it is written once.
    pub async fn relate(&self, session: SessionId, relate: Relate) -> Result<(), EngineError> {
        // A task that is just leaving closes its mailbox: ask its successor once.
        for _ in 0..2 {
            let resident = match task::place(&self.inner, session).await {
                Ok(Place::Here(resident)) => resident,
                // It decides nothing, so its owner need not be asked.
                Ok(Place::Elsewhere(_)) | Err(EngineError::ShortOfMemory) => {
                    match forward::beside(&self.inner, session, &Command::Relate(relate)).await {
                        Ok(_) => return Ok(()),
                        Err(Beside::Engine(error)) => return Err(error),
                        Err(Beside::Taken(_)) => return Err(EngineError::Busy),
                    }
                }
                Err(error) => return Err(error),
            };
            let (answer, result) = oneshot::channel();
            let order = Mail::Order(Order::Relate(relate.clone(), answer));
            if resident.mailbox.send(order).await.is_ok()
                && let Ok(result) = result.await
            {
                return result;
            }
        }
        Err(EngineError::Unavailable("the session is changing hands; try again".to_owned()))
    }

    /// The second event of a session for several people: its owner belongs to it.
    pub(crate) async fn owner_joins(&self, session: &mut Session) -> Result<Option<Record>, EngineError> {
        let ports = &self.inner.ports;
        let owner = session.initial.owner;
        // Without an account, as in tests and on the command line, there is nobody to name.
        let Some(user) = ports.directory.user(owner).await? else { return Ok(None) };
        let relate = Relate { user_id: owner, username: user.username, relation: Relation::Owner, by: owner };
        let records = step(ports, session, 0, &Command::Relate(relate), None)?.records;
        Ok(records.into_iter().next())
    }
}
