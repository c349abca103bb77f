//! Records: events as the store keeps them, and the hash chain that binds them (docs/adr/0001).

use sha2::{Digest, Sha256};

use crate::time::Timestamp;
use crate::words::{Hash, Salt, Subject, commitment};

/// One stored event. `body` is exactly the bytes that were hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub generation: u32,
    pub seq: u64,
    /// The owner's fencing number at the time of writing; 0 for a record appended without ownership. Not hashed.
    pub epoch: u64,
    /// The event's type, such as `agent_message`.
    pub kind: String,
    pub version: u16,
    pub at: Timestamp,
    pub body: String,
    pub hash: Hash,
    /// Set on `turn_committed` only: the store's unique index forbids a second one.
    pub committed_turn: Option<u64>,
    /// Set on `command_received` only: unique within the session.
    pub command_id: Option<String>,
    pub texts: Vec<Text>,
}

/// A text of a record, kept beside the body. `None` once its subject was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub field: String,
    pub subject: Subject,
    pub salt: Salt,
    pub text: Option<String>,
    /// The text is not the one the body commits to: what quoted an erased person was taken out of it.
    pub masked: bool,
}

impl Record {
    /// The hash this record must have after `previous`.
    pub fn chain(&self, previous: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(b"psyche.event\0");
        hasher.update(previous.0);
        hasher.update(self.version.to_be_bytes());
        hasher.update(self.generation.to_be_bytes());
        hasher.update(self.seq.to_be_bytes());
        hasher.update(self.at.micros().to_be_bytes());
        hasher.update((self.kind.len() as u16).to_be_bytes());
        hasher.update(self.kind.as_bytes());
        hasher.update(self.body.as_bytes());
        Hash(hasher.finalize().into())
    }
}

/// Why a log is not whole. `seq` is the first record at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("event {seq} is missing: the log goes on with {found}")]
    Gap { seq: u64, found: u64 },
    #[error("event {seq} does not follow from the one before it: its hash is {found}, {expected} was expected")]
    Hash { seq: u64, expected: Hash, found: Hash },
    #[error("the text `{field}` of event {seq} is not the one that was committed to")]
    Text { seq: u64, field: String },
    #[error("the generation falls from {before} to {after} at event {seq}")]
    Generation { seq: u64, before: u32, after: u32 },
    #[error("event {seq} was written by an owner of epoch {after}, after one of epoch {before}")]
    Epoch { seq: u64, before: u64, after: u64 },
}

/// Adds an event once.
fn note(events: &mut Vec<u64>, seq: u64) {
    if events.last() != Some(&seq) {
        events.push(seq);
    }
}

/// Checks records in order, without running anything.
#[derive(Debug, Default)]
pub struct Checker {
    head: Hash,
    seq: u64,
    generation: u32,
    epoch: u64,
    /// Events with at least one erased text.
    pub erased: Vec<u64>,
    /// Events with at least one masked text.
    pub masked: Vec<u64>,
}

impl Checker {
    pub fn check(&mut self, record: &Record) -> Result<(), Broken> {
        let seq = self.seq + 1;
        if record.seq != seq {
            return Err(Broken::Gap { seq, found: record.seq });
        }
        if record.generation < self.generation {
            return Err(Broken::Generation { seq, before: self.generation, after: record.generation });
        }
        if record.epoch != 0 && record.epoch < self.epoch {
            return Err(Broken::Epoch { seq, before: self.epoch, after: record.epoch });
        }
        let expected = record.chain(&self.head);
        if expected != record.hash {
            return Err(Broken::Hash { seq, expected, found: record.hash });
        }
        for text in &record.texts {
            match &text.text {
                None => note(&mut self.erased, seq),
                Some(_) if text.masked => note(&mut self.masked, seq),
                Some(words) => {
                    let digest = commitment(&text.salt, words).to_string();
                    if !record.body.contains(&digest) {
                        return Err(Broken::Text { seq, field: text.field.clone() });
                    }
                }
            }
        }
        self.head = record.hash;
        self.seq = seq;
        self.generation = record.generation;
        self.epoch = self.epoch.max(record.epoch);
        Ok(())
    }

    /// The sequence number and hash reached so far.
    pub fn head(&self) -> (u64, Hash) {
        (self.seq, self.head)
    }
}
