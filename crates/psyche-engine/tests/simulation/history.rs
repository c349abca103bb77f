//! What happened in a world, seen from outside: what people were answered, what models were asked, what the store took.

use std::sync::{Mutex, MutexGuard, PoisonError};

use psyche_core::SessionId;
use psyche_core::words::Hash;

/// A command that was answered, or given up.
#[derive(Clone, Debug)]
pub struct Answered {
    pub session: SessionId,
    pub command: String,
    /// Its own words, where its effect can be told by them.
    pub words: Option<String>,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored as this event.
    Stored(u64),
    Refused,
    /// Nobody asked again after an error: stored or not.
    Unknown,
}

/// A call that reached a model.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub session: usize,
    pub turn: u64,
    pub prompt: Hash,
    pub tokens: u64,
}

/// An append that the store took, with its writer and the epoch that one believed in.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub session: SessionId,
    pub replica: usize,
    pub epoch: u64,
    pub seq: u64,
    /// Turns it commits.
    pub commits: u64,
}

#[derive(Debug, Default)]
pub struct Facts {
    pub answered: Vec<Answered>,
    pub asked: Vec<Asked>,
    pub taken: Vec<Taken>,
    /// What must not happen and was seen at once.
    pub violations: Vec<String>,
}

#[derive(Debug, Default)]
pub struct History(Mutex<Facts>);

impl History {
    pub fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn answered(&self, answered: Answered) {
        self.lock().answered.push(answered);
    }

    pub fn asked(&self, asked: Asked) {
        self.lock().asked.push(asked);
    }

    pub fn taken(&self, taken: Taken) {
        self.lock().taken.push(taken);
    }

    /// Turns of a session that the store has taken.
    pub fn commits(&self, session: SessionId) -> u64 {
        self.lock().taken.iter().filter(|taken| taken.session == session).map(|taken| taken.commits).sum()
    }

    pub fn violated(&self, what: String) {
        self.lock().violations.push(what);
    }
}
