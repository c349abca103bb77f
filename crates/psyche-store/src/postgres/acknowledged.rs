//! What this replica has told its callers to be durable, held against what the database has.
//!
//! A failover to a standby that lacks the last commits, or a database that was restored, ends logs before events that
//! somebody has seen. So the heads that were acknowledged are remembered, in memory and in a high-water file in the data
//! directory ([`FILE`]; as SQLite's: batched, synced), and every new connection is asked for them before anything is done
//! with it. A session whose log ends before, or reads differently, gets a new generation: its owner reads it anew, clients
//! get a snapshot with the reason. One statement does it, and of several replicas one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::{ClientWrapper, GenericClient};
use psyche_core::ids::SessionId;
use psyche_core::port::{Clock, Head};
use uuid::Uuid;

use super::fault::Fault;
use super::records::hash;
use super::{column, number, sessions, small};
use crate::columns::Columns;
use crate::high_water::{self, HighWater, Mark, Marks};
use crate::sqlite::Lost;

/// The high-water file's name in the data directory. A store in SQLite may lie there too, with one of its own.
pub const FILE: &str = "acknowledged";

/// How long what was acknowledged is held against new connections. No standby that is promoted is further behind.
const RECENT_MS: u64 = 3_600_000;

pub struct Acknowledged {
    clock: Arc<dyn Clock>,
    /// With the time when they were noted. Held for a map operation only.
    recent: Mutex<BTreeMap<SessionId, (Mark, u64)>>,
    /// Of a store that writes.
    file: Mutex<Option<HighWater>>,
}

impl Acknowledged {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, recent: Mutex::default(), file: Mutex::default() }
    }

    fn recent(&self) -> MutexGuard<'_, BTreeMap<SessionId, (Mark, u64)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a head that is about to be acknowledged; `None` when the session was deleted.
    pub fn note(&self, session: SessionId, head: Option<&Head>) {
        let mark = head.map(|head| Mark { generation: head.generation, seq: head.seq, hash: head.hash });
        let mut recent = self.recent();
        match mark {
            // Two acknowledgements may come in the other order.
            Some(mark) => match recent.get(&session) {
                Some((known, _)) if (known.generation, known.seq) > (mark.generation, mark.seq) => return,
                _ => drop(recent.insert(session, (mark, self.clock.monotonic_ms()))),
            },
            None => drop(recent.remove(&session)),
        }
        drop(recent);
        if let Some(file) = &*self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            file.note(session, mark);
        }
    }

    /// Holds the file's marks against the database, and goes on with it.
    pub async fn begin(&self, client: &mut ClientWrapper, path: PathBuf) -> Result<(), BeginError> {
        let mut marks = high_water::load(&path)?.marks;
        let raised = compare(client, &marks).await?;
        marks.extend(raised);
        high_water::rewrite(&path, &marks)?;
        let file = HighWater::start(path, marks)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    /// Holds what was acknowledged lately against a new connection.
    pub async fn check(&self, client: &mut ClientWrapper) -> Result<(), Fault> {
        let marks: Marks = {
            let now = self.clock.monotonic_ms();
            let mut recent = self.recent();
            recent.retain(|_, (_, at)| now.saturating_sub(*at) < RECENT_MS);
            recent.iter().map(|(session, (mark, _))| (*session, *mark)).collect()
        };
        for (session, mark) in compare(client, &marks).await? {
            let Mark { generation, seq, hash } = mark;
            self.note(session, Some(&Head { generation, seq, hash, epoch: 0, owner: None }));
        }
        Ok(())
    }

    /// Writes what is pending.
    pub fn end(&self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Why what was acknowledged could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Raises the generation of each session that is behind its mark, or reads differently there. Returns where those are now.
/// A generation beyond the mark's tells that it was done already, or that the past was changed with intent.
async fn compare(client: &mut ClientWrapper, marks: &Marks) -> Result<Marks, Fault> {
    if marks.is_empty() {
        return Ok(Marks::new());
    }
    let db = client.transaction().await?;
    db.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let raise = "UPDATE session_head AS h SET gen = m.gen + 1
                 FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bytea[]) AS m (session_id, gen, seq, hash)
                 WHERE h.session_id = m.session_id AND h.gen <= m.gen AND m.seq > 0
                   AND NOT EXISTS (SELECT 1 FROM event AS e
                                   WHERE e.session_id = m.session_id AND e.seq = m.seq AND e.hash = m.hash)
                 RETURNING h.session_id, h.gen, h.last_seq, h.head_hash, m.gen, m.seq";
    let sessions: Vec<Uuid> = marks.keys().map(|session| session.0).collect();
    let generations: Vec<i32> = marks.values().map(|mark| small(mark.generation)).collect();
    let seqs: Vec<i64> = marks.values().map(|mark| column(mark.seq)).collect();
    let hashes: Vec<&[u8]> = marks.values().map(|mark| mark.hash.0.as_slice()).collect();
    let mut raised = Marks::new();
    let mut losses = Vec::new();
    for row in db.query(raise, &[&sessions, &generations, &seqs, &hashes]).await? {
        let session = SessionId(row.get(0));
        let found: u64 = number(row.get(2), "seq")?;
        let generation = number(i64::from(row.get::<_, i32>(1)), "generation")?;
        raised.insert(session, Mark { generation, seq: found, hash: hash(row.get(3))? });
        losses.push(Lost {
            session,
            generation: number(i64::from(row.get::<_, i32>(4)), "generation")?,
            durable: number(row.get(5), "seq")?,
            found: Some(found),
        });
        rewrite_row(&db, session, generation).await?;
    }
    db.commit().await?;
    for lost in losses {
        tracing::error!(%lost, "PostgreSQL has lost what it had acknowledged; the session goes on under a new generation");
    }
    Ok(raised)
}

/// The row of lists names the generation too.
async fn rewrite_row(db: &impl GenericClient, session: SessionId, generation: u32) -> Result<(), Fault> {
    let Some(mut row) = sessions::find(db, session).await? else { return Ok(()) };
    row.summary.generation = generation;
    sessions::update(db, session, &Columns::of(&row.summary)?).await
}
