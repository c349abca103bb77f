//! Rows of the log: writing records with their sealed texts under compare-and-set, and reading them back.

use std::sync::Arc;

use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{AppendError, Head, StoreError};
use psyche_core::record::{Record, Text};
use psyche_core::time::Timestamp;
use psyche_core::words::{Hash, Subject, commitment};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::fault::{Fault, is_taken};
use super::keys::Keys;
use super::writer::Write;
use crate::guard;
use crate::high_water::Mark;
use crate::keyring::scope;
use crate::seal::{Key, about_masked, about_text};

pub const HEAD: &str = "SELECT gen, last_seq, head_hash, epoch, owner, tenant FROM session_head WHERE session_id = ?1";

pub fn head_of(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        generation: row.get(0)?,
        seq: row.get(1)?,
        hash: Hash(row.get(2)?),
        epoch: row.get(3)?,
        owner: row.get::<_, Option<Uuid>>(4)?.map(OwnerId),
    })
}

pub fn mark_of(head: &Head) -> Mark {
    Mark { generation: head.generation, seq: head.seq, hash: head.hash }
}

/// Records to be appended, and where. The chain is checked already.
#[derive(Debug)]
pub struct Batch {
    pub session: SessionId,
    pub epoch: Option<u64>,
    pub expected: Hash,
    pub records: Vec<Record>,
}

/// Moves the head by compare-and-set and inserts the records.
pub fn append(write: &mut Write<'_>, batch: &Batch) -> Result<Head, Fault> {
    let Batch { session, epoch, expected, records } = batch;
    let last = records.last().map_or(*expected, |r| r.hash);
    let mut compare_and_set = write.db.prepare_cached(
        "UPDATE session_head SET last_seq = last_seq + ?4, head_hash = ?5
         WHERE session_id = ?1 AND head_hash = ?3 AND (?2 IS NULL OR epoch = ?2)
         RETURNING gen, last_seq, head_hash, epoch, owner, tenant",
    )?;
    let moved = compare_and_set
        .query_row(params![session.0, epoch, expected.0, records.len(), last.0], |row| {
            Ok((head_of(row)?, TenantId(row.get(5)?)))
        })
        .optional()?;
    let Some((head, tenant)) = moved else {
        let head = write.db.prepare_cached(HEAD)?.query_row([session.0], head_of).optional()?;
        let head = head.ok_or(StoreError::NotFound("session"))?;
        return Err(match epoch {
            Some(epoch) if *epoch != head.epoch => AppendError::Fenced.into(),
            _ => AppendError::Stale(head).into(),
        });
    };
    let before = head.seq - records.len() as u64;
    if records.iter().any(|r| r.generation != head.generation) {
        let stale = Head { seq: before, hash: *expected, ..head };
        return Err(AppendError::Stale(stale).into());
    }
    guard::follows(before, records)?;
    insert(write, *session, tenant, epoch.unwrap_or(0), records)?;
    write.head(*session, Some(mark_of(&head)));
    Ok(head)
}

/// Inserts records and their texts. `epoch` is that of the head, whatever the records say: the store is its source.
pub fn insert(
    write: &Write<'_>,
    session: SessionId,
    tenant: TenantId,
    epoch: u64,
    records: &[Record],
) -> Result<(), Fault> {
    let mut event = write.db.prepare_cached(
        "INSERT INTO event (session_id, seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let mut keys = KeysOfAppend { write, session, tenant, found: Vec::new() };
    for record in records {
        let inserted = event.execute(params![
            session.0,
            record.seq,
            record.generation,
            epoch,
            record.kind,
            record.version,
            record.at.micros(),
            record.body,
            record.hash.0,
            record.committed_turn,
            record.command_id,
        ]);
        match inserted {
            Err(error) if is_taken(&error) => return Err(taken(write.db, session, record, error)?),
            other => other?,
        };
        for (idx, text) in record.texts.iter().enumerate() {
            insert_text(write, &mut keys, record.seq, idx, text)?;
        }
    }
    Ok(())
}

/// Which unique value was taken.
fn taken(db: &Connection, session: SessionId, record: &Record, error: rusqlite::Error) -> Result<Fault, Fault> {
    if let Some(id) = &record.command_id
        && let Some(seq) = find_command(db, session, id)?
    {
        return Ok(AppendError::CommandTaken { seq }.into());
    }
    Ok(match record.committed_turn {
        Some(turn) => AppendError::TurnTaken(turn).into(),
        None => error.into(),
    })
}

pub fn find_command(db: &Connection, session: SessionId, command_id: &str) -> Result<Option<u64>, Fault> {
    let mut select = db.prepare_cached("SELECT seq FROM event WHERE session_id = ?1 AND command_id = ?2")?;
    Ok(select.query_row(params![session.0, command_id], |row| row.get(0)).optional()?)
}

/// The sealing keys of one append, each asked for once.
struct KeysOfAppend<'a> {
    write: &'a Write<'a>,
    session: SessionId,
    tenant: TenantId,
    found: Vec<(Subject, Uuid, Arc<Key>)>,
}

impl KeysOfAppend<'_> {
    fn of(&mut self, subject: Subject) -> Result<(Uuid, Arc<Key>), Fault> {
        if let Some((_, id, key)) = self.found.iter().find(|(s, ..)| *s == subject) {
            return Ok((*id, Arc::clone(key)));
        }
        let (id, key) = self.write.keys.current(self.write.db, self.tenant, &scope(self.session, subject))?;
        self.found.push((subject, id, Arc::clone(&key)));
        Ok((id, key))
    }
}

fn insert_text(write: &Write<'_>, keys: &mut KeysOfAppend<'_>, seq: u64, idx: usize, text: &Text) -> Result<(), Fault> {
    let mut insert = write.db.prepare_cached(
        "INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let subject = text.subject.to_string();
    let (committed, salt, key_id, sealed) = match &text.text {
        // A fork carries erased texts as they are.
        None => (Hash::ZERO, [0; 16], None, None),
        Some(words) => {
            let committed = commitment(&text.salt, words);
            let (id, key) = keys.of(text.subject)?;
            let about = if text.masked {
                about_masked(&subject, &text.field, seq, &committed)
            } else {
                about_text(&subject, &text.field, &committed)
            };
            (committed, text.salt, Some(id), Some(key.seal(write.keys.entropy(), &about, words.as_bytes())))
        }
    };
    insert.execute(params![keys.session.0, seq, idx, text.field, subject, committed.0, salt, key_id, sealed])?;
    Ok(())
}

/// Records with `seq > after`, ascending, at most `limit`, with their texts.
pub fn read(db: &Connection, keys: &Keys, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // A column holds no larger number.
    let after = after.min(i64::MAX as u64);
    let mut events = db.prepare_cached(
        "SELECT seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id
         FROM event WHERE session_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let rows = events.query_map(params![session.0, after, limit], record_of)?;
    let mut records = rows.collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = records.last().map(|r| r.seq) {
        join_texts(db, keys, session, after, last, &mut records)?;
    }
    Ok(records)
}

/// A record whose texts are still to be joined.
fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        seq: row.get(0)?,
        generation: row.get(1)?,
        epoch: row.get(2)?,
        kind: row.get(3)?,
        version: row.get(4)?,
        at: Timestamp(row.get(5)?),
        body: row.get(6)?,
        hash: Hash(row.get(7)?),
        committed_turn: row.get(8)?,
        command_id: row.get(9)?,
        texts: Vec::new(),
    })
}

/// Records of some kinds, without their texts.
pub fn read_numbers(
    db: &Connection,
    session: SessionId,
    kinds: &[&str],
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let mut events = db.prepare_cached(
        "SELECT seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id
         FROM event WHERE session_id = ?1 AND seq > ?2 AND kind IN (SELECT value FROM json_each(?4))
         ORDER BY seq LIMIT ?3",
    )?;
    let (after, limit) = (after.min(i64::MAX as u64), i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = events.query_map(params![session.0, after, limit, serde_json::to_string(kinds)?], record_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn join_texts(
    db: &Connection,
    keys: &Keys,
    session: SessionId,
    after: u64,
    last: u64,
    records: &mut [Record],
) -> Result<(), Fault> {
    let mut texts = db.prepare_cached(
        "SELECT seq, field, subject, commitment, salt, key_id, sealed
         FROM event_text WHERE session_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq, idx",
    )?;
    // Neighbouring texts mostly share a key. The transaction sees one state, so a key found once stays found.
    let mut found: Vec<(Uuid, Option<Arc<Key>>)> = Vec::new();
    let mut rows = texts.query(params![session.0, after, last])?;
    let mut at = 0;
    while let Some(row) = rows.next()? {
        let seq: u64 = row.get(0)?;
        while records.get(at).is_some_and(|r| r.seq < seq) {
            at += 1;
        }
        let Some(record) = records.get_mut(at).filter(|r| r.seq == seq) else { continue };
        let (field, subject): (String, String) = (row.get(1)?, row.get(2)?);
        let damaged = |why: &str| {
            StoreError::Corrupt(format!("the text `{field}` of event {seq} in session {session} cannot be read: {why}"))
        };
        let parsed: Subject = subject.parse().map_err(|e: String| damaged(&e))?;
        let sealed: Option<(Uuid, Vec<u8>)> = row.get::<_, Option<Uuid>>(5)?.zip(row.get::<_, Option<Vec<u8>>>(6)?);
        let key = match &sealed {
            Some((id, _)) => key_of(db, keys, &mut found, *id)?,
            None => None,
        };
        let mut masked = false;
        let text = match (sealed, key) {
            (Some((_, sealed)), Some(key)) => {
                let committed = Hash(row.get(3)?);
                let plain = key.open(&about_text(&subject, &field, &committed), &sealed).or_else(|| {
                    masked = true;
                    key.open(&about_masked(&subject, &field, seq, &committed), &sealed)
                });
                let plain = plain.ok_or_else(|| damaged("its seal is broken"))?;
                Some(String::from_utf8(plain.to_vec()).map_err(|_| damaged("it is not UTF-8"))?)
            }
            _ => None,
        };
        // Where the key is gone the salt goes with it, even if a restored backup still has one.
        let salt = if text.is_some() { row.get(4)? } else { [0; 16] };
        record.texts.push(Text { field, subject: parsed, salt, text, masked });
    }
    Ok(())
}

/// The key with this id, asked of the database once a read.
fn key_of(
    db: &Connection,
    keys: &Keys,
    found: &mut Vec<(Uuid, Option<Arc<Key>>)>,
    id: Uuid,
) -> Result<Option<Arc<Key>>, Fault> {
    if let Some((_, key)) = found.iter().find(|(known, _)| *known == id) {
        return Ok(key.clone());
    }
    let key = keys.find(db, id)?;
    found.push((id, key.clone()));
    Ok(key)
}
