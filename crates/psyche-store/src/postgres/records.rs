//! Rows of the log: writing records with their sealed texts under compare-and-set, and reading them back.

use std::sync::Arc;

use deadpool_postgres::GenericClient;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Append, AppendError, Charge, Head, StoreError};
use psyche_core::record::{Record, Text};
use psyche_core::time::Timestamp;
use psyche_core::words::{Hash, Subject, commitment};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::{allowances, column, number, small};
use crate::columns::Columns;
use crate::guard;
use crate::keyring::scope;
use crate::seal::{Key, about_masked, about_text};

const HEAD: &str = "SELECT gen, last_seq, head_hash, epoch, owner, tenant FROM session_head WHERE session_id = $1";

pub fn head_of(row: &Row) -> Result<Head, Fault> {
    Ok(Head {
        generation: number(i64::from(row.get::<_, i32>(0)), "generation")?,
        seq: number(row.get(1), "seq")?,
        hash: hash(row.get(2))?,
        epoch: number(row.get(3), "epoch")?,
        owner: row.get::<_, Option<Uuid>>(4).map(OwnerId),
    })
}

pub fn hash(bytes: &[u8]) -> Result<Hash, Fault> {
    let bytes =
        bytes.try_into().map_err(|_| StoreError::Corrupt(format!("a stored hash has {} bytes", bytes.len())))?;
    Ok(Hash(bytes))
}

/// The head and the tenant of a session.
pub async fn head(db: &impl GenericClient, session: SessionId) -> Result<Option<(Head, TenantId)>, Fault> {
    let select = db.prepare_cached(HEAD).await?;
    let row = db.query_opt(&select, &[&session.0]).await?;
    row.map(|row| Ok((head_of(&row)?, TenantId(row.get(5))))).transpose()
}

/// The heads of those of the sessions that there are, in one question.
pub async fn heads(db: &impl GenericClient, sessions: &[SessionId]) -> Result<Vec<(SessionId, Head)>, Fault> {
    let select = db
        .prepare_cached(
            "SELECT gen, last_seq, head_hash, epoch, owner, session_id FROM session_head WHERE session_id = ANY ($1)",
        )
        .await?;
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    let rows = db.query(&select, &[&ids]).await?;
    rows.iter().map(|row| Ok((SessionId(row.get(5)), head_of(row)?))).collect()
}

/// The same, and nobody moves the head until the transaction ends. `lock` is `FOR UPDATE` or `FOR SHARE`.
pub async fn held_head(
    db: &impl GenericClient,
    session: SessionId,
    lock: &'static str,
) -> Result<Option<(Head, TenantId)>, Fault> {
    let select = db.prepare_cached(&format!("{HEAD} {lock}")).await?;
    let row = db.query_opt(&select, &[&session.0]).await?;
    row.map(|row| Ok((head_of(&row)?, TenantId(row.get(5))))).transpose()
}

/// Columns of the records of one append.
#[derive(Default)]
struct Events<'a> {
    seq: Vec<i64>,
    kind: Vec<&'a str>,
    version: Vec<i32>,
    at: Vec<i64>,
    body: Vec<&'a str>,
    hash: Vec<&'a [u8]>,
    turn: Vec<Option<i64>>,
    command: Vec<Option<&'a str>>,
}

impl<'a> Events<'a> {
    fn of(records: &'a [Record]) -> Self {
        let mut events = Self::default();
        for record in records {
            events.seq.push(column(record.seq));
            events.kind.push(&record.kind);
            events.version.push(i32::from(record.version));
            events.at.push(record.at.micros());
            events.body.push(&record.body);
            events.hash.push(&record.hash.0);
            events.turn.push(record.committed_turn.map(column));
            events.command.push(record.command_id.as_deref());
        }
        events
    }
}

/// Columns of their texts.
#[derive(Default)]
pub struct Texts<'a> {
    pub seq: Vec<i64>,
    pub idx: Vec<i32>,
    pub field: Vec<&'a str>,
    pub subject: Vec<String>,
    pub commitment: Vec<Vec<u8>>,
    pub salt: Vec<Vec<u8>>,
    pub key_id: Vec<Option<Uuid>>,
    pub sealed: Vec<Option<Vec<u8>>>,
}

/// Seals the texts. `certain`: the keys are asked of the database and held until the transaction ends.
async fn seal<'a>(
    db: &impl GenericClient,
    keys: &Keys,
    (session, tenant): (SessionId, TenantId),
    records: &'a [Record],
    certain: bool,
) -> Result<Texts<'a>, Fault> {
    let mut found: Vec<(Subject, Uuid, Arc<Key>)> = Vec::new();
    let mut texts = Texts::default();
    for record in records {
        for (idx, text) in (0..).zip(&record.texts) {
            let subject = text.subject.to_string();
            let (committed, salt, key_id, sealed) = match &text.text {
                // A fork carries erased texts as they are.
                None => (Hash::ZERO, [0; 16], None, None),
                Some(words) => {
                    let known = found.iter().find(|(known, ..)| *known == text.subject);
                    let (id, key) = if let Some((_, id, key)) = known {
                        (*id, Arc::clone(key))
                    } else {
                        let scope = scope(session, text.subject);
                        let (id, key) = if certain {
                            keys.current(db, tenant, &scope).await?
                        } else {
                            keys.probable(db, tenant, scope).await?
                        };
                        found.push((text.subject, id, Arc::clone(&key)));
                        (id, key)
                    };
                    let committed = commitment(&text.salt, words);
                    let about = if text.masked {
                        about_masked(&subject, &text.field, record.seq, &committed)
                    } else {
                        about_text(&subject, &text.field, &committed)
                    };
                    (committed, text.salt, Some(id), Some(key.seal(keys.entropy(), &about, words.as_bytes())))
                }
            };
            texts.seq.push(column(record.seq));
            texts.idx.push(idx);
            texts.field.push(&text.field);
            texts.subject.push(subject);
            texts.commitment.push(committed.0.to_vec());
            texts.salt.push(salt.to_vec());
            texts.key_id.push(key_id);
            texts.sealed.push(sealed);
        }
    }
    Ok(texts)
}

/// Everything an append writes, as one statement; also what benchmarks hold psyche against. Without a head that moves nothing
/// is written.
pub const APPEND: &str = "
WITH moved AS (
    UPDATE session_head SET last_seq = last_seq + $6, head_hash = $5
    WHERE session_id = $1 AND head_hash = $3 AND ($2::bigint IS NULL OR epoch = $2) AND gen = $4 AND last_seq = $7
    RETURNING gen, last_seq, head_hash, epoch, owner
), events AS (
    INSERT INTO event (session_id, seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id)
    SELECT $1, e.seq, $4, coalesce($2, 0), e.kind, e.v, e.at, e.body, e.hash, e.turn, e.command
    FROM moved, unnest($8::bigint[], $9::text[], $10::integer[], $11::bigint[], $12::text[], $13::bytea[], $14::bigint[],
                       $15::text[]) AS e (seq, kind, v, at, body, hash, turn, command)
), texts AS (
    INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
    SELECT $1, t.seq, t.idx, t.field, t.subject, t.commitment, t.salt, t.key_id, t.sealed
    FROM moved, unnest($16::bigint[], $17::integer[], $18::text[], $19::text[], $20::bytea[], $21::bytea[], $22::uuid[],
                       $23::bytea[]) AS t (seq, idx, field, subject, commitment, salt, key_id, sealed)
), row AS (
    UPDATE session SET status = $24, name_folded = $25, last_activity = $26, summary = $27, tags = $28, waiting = $33
    FROM moved WHERE session_id = $1 AND $27::text IS NOT NULL
), charged AS (
    INSERT INTO spent AS s (tenant, user_id, part, tokens, cost)
    SELECT $29::uuid, payer, pg_backend_pid() % 64, $31::bigint, $32::double precision
    FROM moved, unnest($30::uuid[]) WITH ORDINALITY AS p (payer, n) ORDER BY n
    ON CONFLICT (tenant, user_id, part) DO UPDATE SET tokens = s.tokens + excluded.tokens, cost = s.cost + excluded.cost
)
SELECT gen, last_seq, head_hash, epoch, owner FROM moved";

/// Moves the head by compare-and-set and inserts the records, in one statement.
pub async fn append(db: &impl GenericClient, keys: &Keys, append: &Append) -> Result<Head, Fault> {
    // A key that was destroyed since it was last asked for is refused by the database: ask again, once.
    match try_append(db, keys, append).await {
        Err(fault) if fault.constraint(&SqlState::FOREIGN_KEY_VIOLATION).is_some() => {
            keys.forget();
            try_append(db, keys, append).await
        }
        other => other,
    }
}

async fn try_append(db: &impl GenericClient, keys: &Keys, append: &Append) -> Result<Head, Fault> {
    let Append { session, epoch, expected, records, summary, charge } = append;
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(guard::follows(0, records).err().unwrap_or(StoreError::NotFound("record")).into());
    };
    if records.iter().any(|record| record.generation != first.generation) {
        return Err(refused(db, append).await?);
    }
    let tenant = keys.tenant_of(db, *session).await?;
    let texts = seal(db, keys, (*session, tenant), records, false).await?;
    let events = Events::of(records);
    let row = summary.as_ref().map(Columns::of).transpose()?;
    let row = row.as_ref();
    // In the order in which every charge takes its rows.
    let payers: Vec<Uuid> =
        charge.iter().flat_map(|charge| [Some(charge.user), None]).map(allowances::row_of).collect();
    let spent = charge.as_ref().map(Charge::counted).unwrap_or_default();
    let statement = db.prepare_cached(APPEND).await?;
    let moved = db
        .query_opt(
            &statement,
            &[
                &session.0,
                &epoch.map(column),
                &expected.0.as_slice(),
                &small(first.generation),
                &last.hash.0.as_slice(),
                &column(records.len() as u64),
                // Nothing follows from a number below the first.
                &(column(first.seq) - 1),
                &events.seq,
                &events.kind,
                &events.version,
                &events.at,
                &events.body,
                &events.hash,
                &events.turn,
                &events.command,
                &texts.seq,
                &texts.idx,
                &texts.field,
                &texts.subject,
                &texts.commitment,
                &texts.salt,
                &texts.key_id,
                &texts.sealed,
                &row.map(|row| row.status),
                &row.map(|row| &row.name_folded),
                &row.map(|row| row.last_activity),
                &row.map(|row| &row.summary),
                &row.map(|row| &row.tags),
                &charge.as_ref().map(|charge| charge.tenant.0),
                &payers,
                &column(spent.tokens),
                &spent.cost,
                &row.is_some_and(|row| row.waiting),
            ],
        )
        .await
        .map_err(Fault::from);
    match moved {
        Ok(Some(head)) => head_of(&head),
        Ok(None) => Err(refused(db, append).await?),
        Err(fault) if fault.taken().is_some() => Err(taken(db, *session, records, fault).await?),
        Err(fault) => Err(fault),
    }
}

/// Why the head did not move.
async fn refused(db: &impl GenericClient, append: &Append) -> Result<Fault, Fault> {
    let (head, _) = head(db, append.session).await?.ok_or(StoreError::NotFound("session"))?;
    if append.epoch.is_some_and(|epoch| epoch != head.epoch) {
        return Ok(AppendError::Fenced.into());
    }
    if append.expected == head.hash && append.records.iter().all(|r| r.generation == head.generation) {
        guard::follows(head.seq, &append.records)?;
    }
    Ok(AppendError::Stale(head).into())
}

/// Which unique value was taken.
async fn taken(db: &impl GenericClient, session: SessionId, records: &[Record], fault: Fault) -> Result<Fault, Fault> {
    for record in records {
        if let Some(id) = &record.command_id
            && let Some(seq) = find_command(db, session, id).await?
        {
            return Ok(AppendError::CommandTaken { seq }.into());
        }
    }
    let turn = records.iter().find_map(|record| record.committed_turn);
    Ok(match (fault.taken(), turn) {
        (Some("event_turn"), Some(turn)) => AppendError::TurnTaken(turn).into(),
        _ => fault,
    })
}

/// Inserts the first records of a session, in its transaction.
pub async fn insert(
    db: &impl GenericClient,
    keys: &Keys,
    place: (SessionId, TenantId),
    records: &[Record],
) -> Result<(), Fault> {
    let texts = seal(db, keys, place, records, true).await?;
    let events = Events::of(records);
    let generations: Vec<i32> = records.iter().map(|r| small(r.generation)).collect();
    let insert = db
        .prepare_cached(
            "INSERT INTO event (session_id, seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id)
             SELECT $1, e.seq, e.gen, 0, e.kind, e.v, e.at, e.body, e.hash, e.turn, e.command
             FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::integer[], $6::bigint[], $7::text[], $8::bytea[],
                         $9::bigint[], $10::text[]) AS e (seq, gen, kind, v, at, body, hash, turn, command)",
        )
        .await?;
    let Events { seq, kind, version, at, body, hash, turn, command } = &events;
    db.execute(&insert, &[&place.0.0, seq, &generations, kind, version, at, body, hash, turn, command]).await?;
    insert_texts(db, place.0, &texts).await
}

/// Inserts texts that are sealed already.
pub async fn insert_texts(db: &impl GenericClient, session: SessionId, texts: &Texts<'_>) -> Result<(), Fault> {
    let insert = db
        .prepare_cached(
            "INSERT INTO event_text (session_id, seq, idx, field, subject, commitment, salt, key_id, sealed)
             SELECT $1, t.seq, t.idx, t.field, t.subject, t.commitment, t.salt, t.key_id, t.sealed
             FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::uuid[],
                         $9::bytea[]) AS t (seq, idx, field, subject, commitment, salt, key_id, sealed)",
        )
        .await?;
    let Texts { seq, idx, field, subject, commitment, salt, key_id, sealed } = texts;
    db.execute(&insert, &[&session.0, seq, idx, field, subject, commitment, salt, key_id, sealed]).await?;
    Ok(())
}

pub async fn find_command(db: &impl GenericClient, session: SessionId, command_id: &str) -> Result<Option<u64>, Fault> {
    let select = db.prepare_cached("SELECT seq FROM event WHERE session_id = $1 AND command_id = $2").await?;
    db.query_opt(&select, &[&session.0, &command_id]).await?.map(|row| number(row.get(0), "seq")).transpose()
}

/// Records with `seq > after`, ascending, at most `limit`, with their texts. Both questions go out at once.
pub async fn read(
    db: &impl GenericClient,
    keys: &Keys,
    session: SessionId,
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let (after, limit) = (column(after), column(limit as u64));
    let events = db
        .prepare_cached(
            "SELECT seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id
             FROM event WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .await?;
    let texts = db
        .prepare_cached(
            "SELECT t.seq, t.field, t.subject, t.commitment, t.salt, t.sealed, k.key_id, k.tenant, k.scope, k.wrapped
             FROM event_text AS t LEFT JOIN subject_key AS k ON k.key_id = t.key_id
             WHERE t.session_id = $1 AND t.seq > $2
               AND t.seq <= (SELECT max(seq) FROM (SELECT seq FROM event WHERE session_id = $1 AND seq > $2
                                                   ORDER BY seq LIMIT $3) AS page)
             ORDER BY t.seq, t.idx",
        )
        .await?;
    let page: [&(dyn ToSql + Sync); 3] = [&session.0, &after, &limit];
    let (events, texts) = tokio::try_join!(db.query(&events, &page), db.query(&texts, &page))?;
    let mut records = events.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
    let mut at = 0;
    for row in &texts {
        let seq: u64 = number(row.get(0), "seq")?;
        while records.get(at).is_some_and(|record| record.seq < seq) {
            at += 1;
        }
        if let Some(record) = records.get_mut(at).filter(|record| record.seq == seq) {
            record.texts.push(text_of(keys, session, seq, row)?);
        }
    }
    Ok(records)
}

/// Records of some kinds, without their texts.
pub async fn read_numbers(
    db: &impl GenericClient,
    session: SessionId,
    kinds: &'static [&'static str],
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let events = db
        .prepare_cached(
            "SELECT seq, gen, epoch, kind, v, at, body, hash, committed_turn, command_id
             FROM event WHERE session_id = $1 AND seq > $2 AND kind = ANY ($4) ORDER BY seq LIMIT $3",
        )
        .await?;
    let rows = db.query(&events, &[&session.0, &column(after), &column(limit as u64), &kinds]).await?;
    rows.iter().map(record_of).collect()
}

fn record_of(row: &Row) -> Result<Record, Fault> {
    Ok(Record {
        seq: number(row.get(0), "seq")?,
        generation: number(i64::from(row.get::<_, i32>(1)), "generation")?,
        epoch: number(row.get(2), "epoch")?,
        kind: row.get(3),
        version: number(i64::from(row.get::<_, i32>(4)), "version")?,
        at: Timestamp(row.get(5)),
        body: row.get(6),
        hash: hash(row.get(7))?,
        committed_turn: row.get::<_, Option<i64>>(8).map(|turn| number(turn, "turn")).transpose()?,
        command_id: row.get(9),
        texts: Vec::new(),
    })
}

fn text_of(keys: &Keys, session: SessionId, seq: u64, row: &Row) -> Result<Text, Fault> {
    let (field, subject): (String, String) = (row.get(1), row.get(2));
    let damaged = |why: &str| {
        StoreError::Corrupt(format!("the text `{field}` of event {seq} in session {session} cannot be read: {why}"))
    };
    let parsed: Subject = subject.parse().map_err(|e: String| damaged(&e))?;
    let mut masked = false;
    let text = match (row.get::<_, Option<&[u8]>>(5), keys.joined(row, 6)?) {
        (Some(sealed), Some(key)) => {
            let committed = hash(row.get(3))?;
            let plain = key.open(&about_text(&subject, &field, &committed), sealed).or_else(|| {
                masked = true;
                key.open(&about_masked(&subject, &field, seq, &committed), sealed)
            });
            let plain = plain.ok_or_else(|| damaged("its seal is broken"))?;
            Some(String::from_utf8(plain.to_vec()).map_err(|_| damaged("it is not UTF-8"))?)
        }
        _ => None,
    };
    // Where the key is gone the salt goes with it, even if a restored backup still has one.
    let salt = match &text {
        Some(_) => row.get::<_, &[u8]>(4).try_into().map_err(|_| damaged("its salt is cut short"))?,
        None => [0; 16],
    };
    Ok(Text { field, subject: parsed, salt, text, masked })
}
