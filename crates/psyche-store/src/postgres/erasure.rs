//! Erasing a subject's words and deleting sessions. Chains stay true: bodies hold commitments only.

use std::collections::BTreeSet;
use std::sync::Arc;

use deadpool_postgres::GenericClient;
use psyche_core::event::EMBEDDING;
use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::quotes::{Quotes, goes, may_quote};
use psyche_core::record::Record;
use psyche_core::time::Timestamp;
use psyche_core::words::{Hash, Salt, Subject, commitment};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::fault::Fault;
use super::keys::Keys;
use super::records::{self, hash};
use super::write::{Write, transact};
use super::{PostgresStore, number, sessions};
use crate::columns::Columns;
use crate::erasure::Refold;
use crate::journal::{self, Entry};
use crate::keyring::scope;
use crate::seal::{Key, about_masked, about_text};

/// Records folded at a time.
const BATCH: usize = 1_000;
/// How often an erasure that met another one is begun.
const ATTEMPTS: u32 = 5;

impl PostgresStore {
    pub(super) async fn erase_subject(
        &self,
        session: Option<SessionId>,
        subject: Subject,
    ) -> Result<Vec<SessionId>, Fault> {
        let (_, latest) = reach(&self.client().await?, session, subject).await?;
        let entry = Entry { session, subject, at: self.inner.clock.now().max(latest) };
        let journal = &self.inner.erasures;
        // Written before it is done: what breaks off here is done at the next start.
        journal::append(journal, &entry).map_err(|error| {
            StoreError::Unavailable(format!("{} cannot be written, nothing was erased: {error}", journal.display()))
        })?;
        self.erase_entry(&entry).await
    }

    /// Several erasures at once may want the same sessions in another order: then the database breaks one off.
    pub(super) async fn erase_entry(&self, entry: &Entry) -> Result<Vec<SessionId>, Fault> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_erase(entry).await {
                Err(fault) if attempts < ATTEMPTS && fault.is_collision() => {}
                other => return other,
            }
        }
    }

    async fn try_erase(&self, entry: &Entry) -> Result<Vec<SessionId>, Fault> {
        let touched = transact!(self, |write| erase(write, entry).await);
        for session in &touched {
            self.note_head(*session).await;
        }
        Ok(touched)
    }
}

/// What an erasure is about to destroy: sessions that hold words of the subject, and the time of the last event there.
async fn reach(
    db: &impl GenericClient,
    session: Option<SessionId>,
    subject: Subject,
) -> Result<(Vec<SessionId>, Timestamp), Fault> {
    let sessions = match (session, subject) {
        (None, Subject::Session) => return Err(StoreError::NotFound("session").into()),
        (Some(session), _) => vec![session],
        (None, Subject::User(_)) => {
            let sql = "SELECT DISTINCT session_id FROM event_text
                       WHERE subject = $1 AND subject <> 'session' AND sealed IS NOT NULL ORDER BY session_id";
            let rows = db.query(sql, &[&subject.to_string()]).await?;
            rows.iter().map(|row| SessionId(row.get(0))).collect()
        }
    };
    let mut latest = Timestamp(i64::MIN);
    for session in &sessions {
        let sql = "SELECT at FROM event WHERE session_id = $1 ORDER BY seq DESC LIMIT 1";
        let at = db.query_opt(sql, &[&session.0]).await?.map(|row| Timestamp(row.get(0)));
        latest = latest.max(at.unwrap_or(latest));
    }
    Ok((sessions, latest))
}

/// Destroys the subject's key, and salts and sealed bytes of its texts up to the entry's time; masks what quotes a
/// person; drops snapshots, the person's stored casts and the words in rows of lists. Returns the sessions in which
/// something went. A person may be erased from one session alone: then the key stays, for the words said elsewhere.
pub async fn erase(write: &mut Write<'_>, entry: &Entry) -> Result<Vec<SessionId>, Fault> {
    let Entry { session, subject, at } = *entry;
    write.without_haste().await?;
    let mut touched = BTreeSet::new();
    loop {
        let (sessions, _) = reach(&write.db, session, subject).await?;
        let mut more = false;
        for session in sessions {
            // Nothing is appended to it until the erasure is whole.
            let held = records::held_head(&write.db, session, "FOR UPDATE").await?;
            if held.is_some() && erase_in(write, session, subject, at).await? {
                touched.insert(session);
                more = true;
            }
        }
        // A key that is still used is used for what was said later, or for a copy that was made meanwhile.
        if destroy_key(write, session, subject).await? || !more {
            break;
        }
    }
    if let (None, Subject::User(id)) = (session, subject) {
        write.db.execute("DELETE FROM stored_cast WHERE owner = $1", &[&id.to_string()]).await?;
    }
    for session in &touched {
        rewrite_row(write, *session, subject).await?;
    }
    let done = "INSERT INTO erasure (session_id, subject, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let everywhere = session.map_or_else(Uuid::nil, |session| session.0);
    write.db.execute(done, &[&everywhere, &subject.to_string(), &at.micros()]).await?;
    write.shredded();
    Ok(touched.into_iter().collect())
}

/// Erases from a session what was erased everywhere after these records were written: a log that was taken along before
/// brings nothing back. The records are in the session by now, so that an erasure under way either sees them or is seen.
pub async fn erase_again(write: &mut Write<'_>, session: SessionId, records: &[Record]) -> Result<(), Fault> {
    let Some(first) = records.iter().map(|record| record.at).min() else { return Ok(()) };
    let people: BTreeSet<String> = records
        .iter()
        .flat_map(|record| &record.texts)
        .filter(|text| matches!(text.subject, Subject::User(_)))
        .map(|text| text.subject.to_string())
        .collect();
    let people: Vec<String> = people.into_iter().collect();
    let sql = "SELECT subject, at FROM erasure WHERE session_id = $1 AND subject = ANY ($2) AND at >= $3 ORDER BY at";
    for row in write.db.query(sql, &[&Uuid::nil(), &people, &first.micros()]).await? {
        let subject = row.get::<_, &str>(0).parse().map_err(StoreError::Corrupt)?;
        erase(write, &Entry { session: Some(session), subject, at: Timestamp(row.get(1)) }).await?;
    }
    Ok(())
}

/// Deletes the key unless something needs it; false then.
async fn destroy_key(write: &mut Write<'_>, session: Option<SessionId>, subject: Subject) -> Result<bool, Fault> {
    let scope = match (session, subject) {
        (Some(_), Subject::User(_)) | (None, Subject::Session) => return Ok(true),
        (Some(session), Subject::Session) => scope(session, subject),
        (None, Subject::User(id)) => format!("user:{id}"),
    };
    let attempt = write.db.savepoint("key").await?;
    match attempt.execute("DELETE FROM subject_key WHERE scope = $1", &[&scope]).await.map_err(Fault::from) {
        Ok(_) => {
            attempt.commit().await?;
            Ok(true)
        }
        Err(fault) if fault.constraint(&SqlState::FOREIGN_KEY_VIOLATION).is_some() => {
            attempt.rollback().await?;
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}

/// A text that still has its words.
struct Sealed {
    seq: i64,
    idx: i32,
    kind: String,
    field: String,
    subject: Subject,
    commitment: Hash,
    bytes: Vec<u8>,
    key: Option<Arc<Key>>,
}

impl Sealed {
    fn of(keys: &Keys, row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            seq: row.get(0),
            idx: row.get(1),
            kind: row.get(2),
            field: row.get(3),
            subject: row.get::<_, &str>(4).parse().map_err(StoreError::Corrupt)?,
            commitment: hash(row.get(5))?,
            bytes: row.get(6),
            // One that cannot be unwrapped does not keep its texts from being destroyed.
            key: keys.joined(row, 7).ok().flatten(),
        })
    }

    /// The words; nothing when they cannot be read. That does not keep them from being destroyed.
    fn open(&self) -> Option<String> {
        let (key, subject) = (self.key.as_ref()?, self.subject.to_string());
        let seq = u64::try_from(self.seq).ok()?;
        let plain = key
            .open(&about_text(&subject, &self.field, &self.commitment), &self.bytes)
            .or_else(|| key.open(&about_masked(&subject, &self.field, seq, &self.commitment), &self.bytes))?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

async fn texts(write: &Write<'_>, session: SessionId, until: Timestamp) -> Result<Vec<Sealed>, Fault> {
    let sql = "SELECT t.seq, t.idx, e.kind, t.field, t.subject, t.commitment, t.sealed, k.key_id, k.tenant, k.scope, k.wrapped
               FROM event_text AS t JOIN event AS e ON e.session_id = t.session_id AND e.seq = t.seq
               LEFT JOIN subject_key AS k ON k.key_id = t.key_id
               WHERE t.session_id = $1 AND t.sealed IS NOT NULL AND e.at <= $2 ORDER BY t.seq, t.idx";
    let rows = write.db.query(sql, &[&session.0, &until.micros()]).await?;
    rows.iter().map(|row| Sealed::of(write.keys, row)).collect()
}

async fn erase_in(
    write: &mut Write<'_>,
    session: SessionId,
    subject: Subject,
    until: Timestamp,
) -> Result<bool, Fault> {
    let texts = texts(write, session, until).await?;
    let (gone, kept): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| goes(&text.kind, text.subject, subject));
    if gone.is_empty() {
        return Ok(false);
    }
    let mut quotes = Quotes::default();
    for text in &gone {
        if let (Subject::User(_), Some(words)) = (subject, text.open()) {
            quotes.note(&text.kind, &text.field, &words);
        }
    }
    blank(write, session, gone.iter()).await?;
    if !quotes.is_empty() {
        let mut quote_them = BTreeSet::new();
        for text in kept.iter().filter(|text| may_quote(&text.kind)) {
            let masked = text.open().and_then(|words| quotes.mask(&words));
            if let Some(masked) = masked {
                replace(write, session, text, &masked).await?;
                quote_them.insert(text.seq);
            }
        }
        let embeddings = kept.iter().filter(|text| text.field == EMBEDDING && quote_them.contains(&text.seq));
        blank(write, session, embeddings).await?;
    }
    write.db.execute("DELETE FROM snapshot WHERE session_id = $1", &[&session.0]).await?;
    Ok(true)
}

/// Overwrites salts and sealed bytes.
async fn blank<'a>(
    write: &Write<'_>,
    session: SessionId,
    texts: impl Iterator<Item = &'a Sealed> + Send,
) -> Result<(), Fault> {
    let (seqs, idxs): (Vec<i64>, Vec<i32>) = texts.map(|text| (text.seq, text.idx)).unzip();
    let sql = "UPDATE event_text AS t SET salt = decode(repeat('00', 16), 'hex'), key_id = NULL, sealed = NULL
               FROM unnest($2::bigint[], $3::integer[]) AS gone (seq, idx)
               WHERE t.session_id = $1 AND t.seq = gone.seq AND t.idx = gone.idx";
    write.db.execute(sql, &[&session.0, &seqs, &idxs]).await?;
    Ok(())
}

/// Puts the masked copy in the place of a text; salt and bytes of the text itself are overwritten.
async fn replace(write: &Write<'_>, session: SessionId, text: &Sealed, masked: &str) -> Result<(), Fault> {
    let Some(key) = &text.key else { return Ok(()) };
    let mut salt: Salt = [0; 16];
    salt.copy_from_slice(&write.keys.entropy()[..16]);
    let committed = commitment(&salt, masked);
    let about = about_masked(&text.subject.to_string(), &text.field, number(text.seq, "seq")?, &committed);
    let sealed = key.seal(write.keys.entropy(), &about, masked.as_bytes());
    let sql = "UPDATE event_text SET commitment = $4, salt = $5, sealed = $6
               WHERE session_id = $1 AND seq = $2 AND idx = $3";
    let commitment = committed.0.as_slice();
    write.db.execute(sql, &[&session.0, &text.seq, &text.idx, &commitment, &salt.as_slice(), &sealed]).await?;
    Ok(())
}

/// Begins a new generation, and folds the row of lists anew from what is left.
async fn rewrite_row(write: &mut Write<'_>, session: SessionId, subject: Subject) -> Result<(), Fault> {
    write.db.execute("UPDATE session_head SET gen = gen + 1 WHERE session_id = $1", &[&session.0]).await?;
    let Some((head, _)) = records::head(&write.db, session).await? else { return Ok(()) };
    let mut refold = Refold::new(session);
    let mut after = 0;
    while after < head.seq {
        let records = records::read(&write.db, write.keys, session, after, BATCH).await?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        for record in &records {
            refold.feed(record);
        }
    }
    let Some(row) = sessions::find(&write.db, session).await? else { return Ok(()) };
    let columns = Columns::of(&refold.row(row.summary, head.generation, subject))?;
    sessions::update(&write.db, session, &columns).await
}

/// Removes a session and all that hangs on it, with its key.
pub async fn delete(write: &mut Write<'_>, session: SessionId) -> Result<(), Fault> {
    write.without_haste().await?;
    if write.db.execute("DELETE FROM session WHERE session_id = $1", &[&session.0]).await? == 0 {
        return Err(StoreError::NotFound("session").into());
    }
    let scope = scope(session, Subject::Session);
    write.db.execute("DELETE FROM subject_key WHERE scope = $1", &[&scope]).await?;
    write.rights_changed();
    write.shredded();
    Ok(())
}
