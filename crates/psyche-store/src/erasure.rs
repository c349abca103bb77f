//! What erasing changes in a log, whatever keeps it (docs/adr/0003): which texts go, what quotes them, and how the
//! session's row reads afterwards.

use psyche_core::event::{Event, texts_of};
use psyche_core::ids::SessionId;
use psyche_core::port::SessionSummary;
use psyche_core::quotes::Quotes;
use psyche_core::record::Record;
use psyche_core::session::Session;
use psyche_core::words::{ERASED, Subject};

/// Made at the end of a round from the words of a person and those of an agent.
const SITUATION: &str = "situation_changed";

/// Whether a text goes when `erased` does.
pub fn goes(kind: &str, subject: Subject, erased: Subject) -> bool {
    subject == erased || (erased == Subject::Session && kind == SITUATION)
}

/// Whether a text may quote a person: what agents say and think, and what is made of it.
pub fn may_quote(kind: &str) -> bool {
    matches!(kind, "agent_message" | "turn_committed" | SITUATION)
}

/// Notes a person's text. The situation of a round is made of texts that are noted elsewhere, and of an agent's.
pub fn note(quotes: &mut Quotes, kind: &str, field: &str, text: &str) {
    match texts_of(text).filter(|_| (kind, field) == ("session_created", "cast")) {
        Some(texts) => texts.iter().for_each(|text| quotes.add(text)),
        None if kind == SITUATION => {}
        None => quotes.add(text),
    }
}

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
