//! Which stored session is meant, and what there is to choose from.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use psyche_core::port::{SessionFilter, SessionSummary, for_each_session};
use psyche_core::{SessionId, TenantId};

use crate::backends::{self, Parts, Store};

/// Sessions that an error lists.
const LISTED: usize = 10;

/// A store opened for writing. While a server writes to it, the server is to be asked.
pub fn to_write(opened: Result<Parts>, call: &str) -> Result<Parts> {
    opened.map_err(|error| {
        if backends::is_in_use(&error) {
            error.context(format!("a running server does this on its dashboard and by `{call}`"))
        } else {
            error
        }
    })
}

/// All sessions, the newest first.
pub async fn all(store: &Store) -> Result<Vec<SessionSummary>> {
    let (directory, mut all) = (store.directory(), Vec::new());
    let filter = SessionFilter::default();
    for_each_session(directory.as_ref(), TenantId::DEFAULT, filter, |session| all.push(session)).await?;
    Ok(all)
}

/// The session with the id that was typed; otherwise an error that lists those there are.
pub async fn named(store: &Store, typed: &str) -> Result<SessionId> {
    let what = match typed.parse::<SessionId>() {
        Ok(id) if store.log().head(id).await?.is_some() => return Ok(id),
        Ok(id) => format!("there is no session {id}"),
        Err(_) => format!("{typed:?} is not the id of a session"),
    };
    let all = all(store).await?;
    if all.is_empty() {
        bail!("{what}; there is no session at all yet");
    }
    let mut list = String::new();
    for session in all.iter().take(LISTED) {
        let _ = write!(list, "\n  {}  {}, {}", session.session_id, session.name, session.status.name());
    }
    if all.len() > LISTED {
        let _ = write!(list, "\n  and {} older ones", all.len() - LISTED);
    }
    bail!("{what}; there are, the newest first:{list}")
}
