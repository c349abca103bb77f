//! States from the log: the newest snapshot that can be read, then the records after it.

use psyche_core::SessionId;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{EventLog, Snapshot, StoreError};
use psyche_core::record::Record;
use psyche_core::session::{STATE_FORM, Session};

use crate::EngineError;

/// Records read at a time.
const BATCH: usize = 1_000;

/// A folded state, and where its last snapshot lies.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub session: Session,
    pub snapshot_seq: u64,
}

/// The state after event `until`, or after the last one.
///
/// Words that are erased while it is read are read again: a state must not outlive them.
pub async fn load(log: &dyn EventLog, id: SessionId, until: u64) -> Result<Loaded, EngineError> {
    loop {
        let before = log.head(id).await?.ok_or(EngineError::NotFound)?;
        let loaded = read(log, id, until).await?;
        let after = log.head(id).await?.ok_or(EngineError::NotFound)?;
        if before.generation == after.generation {
            return Ok(loaded);
        }
    }
}

async fn read(log: &dyn EventLog, id: SessionId, until: u64) -> Result<Loaded, EngineError> {
    // A snapshot of another form or with an unreadable body only costs time.
    let snapshot = log.snapshot(id, until).await?.filter(|s| s.form == STATE_FORM);
    let restored = snapshot.and_then(|s| Some((s.seq, restore(id, &s)?)));
    let (snapshot_seq, mut session) = match restored {
        Some((seq, session)) => (seq, Some(session)),
        None => (0, None),
    };
    let mut after = snapshot_seq;
    loop {
        let limit = BATCH.min(usize::try_from(until - after).unwrap_or(BATCH));
        let records = if limit == 0 { Vec::new() } else { log.read(id, after, limit).await? };
        for record in &records {
            fold(&mut session, id, record)?;
        }
        match records.last() {
            Some(last) if records.len() == limit => after = last.seq,
            _ => break,
        }
    }
    let mut session = session.ok_or(EngineError::NotFound)?;
    if until == u64::MAX {
        take_generation(log, &mut session).await?;
    }
    if until != u64::MAX && session.seq != until {
        return Err(EngineError::NotFound);
    }
    Ok(Loaded { session, snapshot_seq })
}

/// A restore or an accepted loss raises the generation in the head row; the next events are written under it.
pub async fn take_generation(log: &dyn EventLog, session: &mut Session) -> Result<(), StoreError> {
    if let Some(head) = log.head(session.id).await?.filter(|head| head.hash == session.hash) {
        session.generation = head.generation;
    }
    Ok(())
}

/// Folds one record into a state that may not have begun yet.
pub fn fold(session: &mut Option<Session>, id: SessionId, record: &Record) -> Result<(), EngineError> {
    if let Some(session) = session {
        let event = Event::decode(record)?;
        session.apply_record(record, &event);
    } else {
        let begun = Session::begin(id, record);
        let what = "the log of this session does not begin with `session_created`; run `psyche verify`";
        *session = Some(begun.ok_or_else(|| EngineError::Corrupt(what.to_owned()))?);
    }
    Ok(())
}

/// One event of a log, when it is there.
pub async fn event(log: &dyn EventLog, id: SessionId, seq: u64) -> Result<Option<Event>, StoreError> {
    let record = log.read(id, seq.saturating_sub(1), 1).await?.into_iter().next();
    record.map(|record| Event::decode(&record).map_err(|e| StoreError::Corrupt(e.to_string()))).transpose()
}

/// A snapshot of a state.
pub fn snapshot(session: &Session) -> Result<Snapshot, serde_json::Error> {
    let Session { generation, seq, hash, .. } = *session;
    Ok(Snapshot { generation, seq, hash, form: STATE_FORM, bytes: serde_json::to_vec(session)? })
}

fn restore(id: SessionId, snapshot: &Snapshot) -> Option<Session> {
    let mut session: Session = serde_json::from_slice(&snapshot.bytes).ok()?;
    // A fork has its parent's snapshots of their common past.
    session.id = id;
    (session.hash == snapshot.hash && session.seq == snapshot.seq).then_some(session)
}

/// The `turn_started` of an attempt, searched backwards from `seq`.
pub async fn find_turn(
    log: &dyn EventLog,
    id: SessionId,
    seq: u64,
    turn: u64,
    attempt: u32,
) -> Result<Option<Event>, EngineError> {
    let mut end = seq;
    while end > 1 {
        let from = end.saturating_sub(100).max(1);
        let records = log.read(id, from - 1, (end - from) as usize).await?;
        for record in records.iter().rev().filter(|r| r.kind == "turn_started") {
            let event = Event::decode(record)?;
            if matches!(&event.payload, Payload::TurnStarted(s) if s.turn == turn && s.attempt == attempt) {
                return Ok(Some(event));
            }
        }
        end = from;
    }
    Ok(None)
}
