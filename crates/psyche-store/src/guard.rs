//! What no adapter writes: records that would break the log. A fault of the caller is caught here, before it is history.

use psyche_core::port::{Head, Parent, StoreError};
use psyche_core::record::Record;
use psyche_core::words::{Hash, commitment};

/// Kinds of records that may be appended without owning the session: what somebody asks, and who belongs to it.
const UNOWNED: [&str; 2] = ["command_received", "user_session"];

/// Checks that the records form a chain from `previous`, and that every text is the one its body commits to.
pub fn chain(previous: Hash, records: &[Record], owned: bool) -> Result<(), StoreError> {
    let mut hash = previous;
    let mut before: Option<&Record> = None;
    for record in records {
        let seq = record.seq;
        if before.is_some_and(|b| seq != b.seq + 1 || record.generation < b.generation) {
            return Err(refused(seq, "its number does not follow from the one before it"));
        }
        if record.chain(&hash) != record.hash {
            return Err(refused(seq, "its hash does not follow from the one before it"));
        }
        if !owned && !UNOWNED.contains(&record.kind.as_str()) {
            return Err(refused(
                seq,
                "only `command_received` and `user_session` may be appended without owning the session",
            ));
        }
        for text in record.texts.iter().filter(|text| !text.masked) {
            let committed = |words| record.body.contains(&commitment(&text.salt, words).to_string());
            if text.text.as_deref().is_some_and(|words| !committed(words)) {
                return Err(refused(seq, &format!("its body does not commit to the text `{}`", text.field)));
            }
        }
        hash = record.hash;
        before = Some(record);
    }
    Ok(())
}

/// Checks that the records go on where the head ends.
pub fn follows(head_seq: u64, records: &[Record]) -> Result<(), StoreError> {
    match records.first() {
        None => Err(refused(head_seq + 1, "there is no record to append")),
        Some(first) if first.seq != head_seq + 1 => {
            Err(refused(first.seq, &format!("the log is at event {head_seq}, so {} comes next", head_seq + 1)))
        }
        Some(_) => Ok(()),
    }
}

/// Checks that the records go on after the parent's event, whose hash is given, and were decided on its present past.
pub fn begins_fork(parent: &Parent, generation: u32, hash: Hash, records: &[Record]) -> Result<(), StoreError> {
    if parent.generation != generation {
        return Err(StoreError::Conflict("generation"));
    }
    follows(parent.seq, records)?;
    chain(hash, records, true)
}

/// The head of a session that begins with these records.
pub fn first_head(records: &[Record]) -> Result<Head, StoreError> {
    if let Some(first) = records.first()
        && first.seq != 1
    {
        return Err(refused(first.seq, "a log begins with event 1"));
    }
    let last = records.last();
    Ok(Head {
        generation: last.map_or(1, |r| r.generation),
        seq: last.map_or(0, |r| r.seq),
        hash: last.map_or(Hash::ZERO, |r| r.hash),
        epoch: 0,
        owner: None,
    })
}

fn refused(seq: u64, why: &str) -> StoreError {
    StoreError::Corrupt(format!("event {seq} would break the log: {why}; nothing was written"))
}
