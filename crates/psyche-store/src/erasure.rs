//! How a session's row reads after an erasure, whatever keeps the log (docs/adr/0003).

use psyche_core::event::Event;
use psyche_core::ids::SessionId;
use psyche_core::port::SessionSummary;
use psyche_core::record::Record;
use psyche_core::session::Session;
use psyche_core::words::{ERASED, Subject};

/// The words of a session's row, folded anew from the log as it reads now.
pub struct Refold {
    id: SessionId,
    session: Option<Session>,
    readable: bool,
}

impl Refold {
    pub fn new(id: SessionId) -> Self {
        Self { id, session: None, readable: true }
    }

    pub fn feed(&mut self, record: &Record) {
        match (&mut self.session, Event::decode(record)) {
            (Some(session), Ok(event)) => session.apply_record(record, &event),
            (session @ None, Ok(_)) => {
                *session = Session::begin(self.id, record);
                self.readable &= session.is_some();
            }
            (_, Err(_)) => self.readable = false,
        }
    }

    /// The row after the erasure. What cannot be folded loses its words when they may have been the subject's.
    pub fn row(self, before: SessionSummary, generation: u32, erased: Subject) -> SessionSummary {
        let mut row = SessionSummary { generation, ..before };
        match self.session.filter(|_| self.readable) {
            Some(session) => {
                let folded = session.summary();
                (row.name, row.tags, row.situation) = (folded.name, folded.tags, folded.situation);
            }
            None if erased == Subject::Session || erased == Subject::User(row.owner) => {
                row.tags.clear();
                ERASED.clone_into(&mut row.name);
                ERASED.clone_into(&mut row.situation);
            }
            None => {}
        }
        row
    }
}
