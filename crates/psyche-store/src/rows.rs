//! The content of a store on its way into another: table by table, row by row, as SQLite types them.
//!
//! The twin schemas name their tables and columns alike; what differs is told in [`TABLES`]. Whoever reads sends batches
//! from a thread or task of its own, of one state of the database; whoever writes takes them in one transaction. What is
//! sealed stays sealed: keys travel as they are wrapped.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::record::Checker;
use psyche_core::words::Hash;
use rusqlite::types::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::journal;

/// Rows of a batch at most, and bytes about.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way.
const QUEUE: usize = 4;
/// Records looked at at a time.
pub const RECORDS: usize = 1_000;

/// What a column is in PostgreSQL. In SQLite ids are 16 bytes, flags are 0 and 1, lists of texts are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    /// Who an allowance is of: all ones, in SQLite nothing, is everybody.
    Holder,
    Big,
    Small,
    Flag,
    Real,
    Text,
    Texts,
    Bytes,
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// How SQLite, which has no such column, tells what PostgreSQL keeps in it.
    pub told_by: Option<&'static str>,
}

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Its primary key.
    pub key: &'static str,
    pub columns: &'static [Column],
    /// Columns that SQLite has from its first version on and that are empty ever since.
    pub emptied: &'static [&'static str],
    /// The view in PostgreSQL that adds up what is kept in several rows there.
    pub in_all: Option<&'static str>,
}

const fn c(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, told_by: None }
}

const fn told(name: &'static str, kind: Kind, by: &'static str) -> Column {
    Column { name, kind, told_by: Some(by) }
}

const fn table(name: &'static str, key: &'static str, columns: &'static [Column]) -> Table {
    Table { name, key, columns, emptied: &[], in_all: None }
}

/// All content, each table after those it refers to. Left out is what a store keeps about itself: the version of its
/// schema, the probe, the counter of rights, the gate of the trail; what its own high-water file need not miss
/// (`deleted_session`); and `erasure`, which the journals of erasures tell anew.
pub const TABLES: &[Table] = &[
    table(
        "subject_key",
        "key_id",
        &[c("key_id", Kind::Id), c("tenant", Kind::Id), c("scope", Kind::Text), c("wrapped", Kind::Bytes)],
    ),
    table(
        "session",
        "session_id",
        &[
            c("session_id", Kind::Id),
            c("tenant", Kind::Id),
            c("owner", Kind::Id),
            c("status", Kind::Text),
            c("name_folded", Kind::Text),
            c("created_at", Kind::Big),
            c("last_activity", Kind::Big),
            c("summary", Kind::Text),
            c("parent", Kind::Id),
            told("tags", Kind::Texts, "json_extract(summary, '$.tags')"),
            told("waiting", Kind::Flag, "coalesce(json_extract(summary, '$.waiting'), 0) > 0"),
        ],
    ),
    table(
        "session_head",
        "session_id",
        &[
            c("session_id", Kind::Id),
            c("tenant", Kind::Id),
            c("gen", Kind::Small),
            c("owner", Kind::Id),
            c("epoch", Kind::Big),
            c("expires_at", Kind::Big),
            c("last_seq", Kind::Big),
            c("head_hash", Kind::Bytes),
        ],
    ),
    table(
        "event",
        "session_id, seq",
        &[
            c("session_id", Kind::Id),
            c("seq", Kind::Big),
            c("gen", Kind::Small),
            c("epoch", Kind::Big),
            c("kind", Kind::Text),
            c("v", Kind::Small),
            c("at", Kind::Big),
            c("body", Kind::Text),
            c("hash", Kind::Bytes),
            c("committed_turn", Kind::Big),
            c("command_id", Kind::Text),
        ],
    ),
    table(
        "event_text",
        "session_id, seq, idx",
        &[
            c("session_id", Kind::Id),
            c("seq", Kind::Big),
            c("idx", Kind::Small),
            c("field", Kind::Text),
            c("subject", Kind::Text),
            c("commitment", Kind::Bytes),
            c("salt", Kind::Bytes),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
        ],
    ),
    table(
        "snapshot",
        "session_id, seq",
        &[
            c("session_id", Kind::Id),
            c("seq", Kind::Big),
            c("hash", Kind::Bytes),
            c("form", Kind::Small),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
        ],
    ),
    Table {
        name: "account",
        key: "user_id",
        columns: &[
            c("user_id", Kind::Id),
            c("tenant", Kind::Id),
            c("folded", Kind::Text),
            c("role", Kind::Text),
            c("status", Kind::Text),
            c("password_hash", Kind::Text),
            c("last_login", Kind::Big),
            c("created_at", Kind::Big),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
        ],
        emptied: &["username", "display_name", "email", "preferences"],
        in_all: None,
    },
    Table {
        name: "sign_in",
        key: "id",
        columns: &[
            c("id", Kind::Id),
            c("user_id", Kind::Id),
            c("created_at", Kind::Big),
            c("last_seen", Kind::Big),
            c("expires_at", Kind::Big),
            c("revoked", Kind::Flag),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
        ],
        emptied: &["device", "ip", "user_agent"],
        in_all: None,
    },
    table(
        "refresh_token",
        "hash",
        &[c("hash", Kind::Bytes), c("sign_in", Kind::Id), c("spent_at", Kind::Big), c("successor", Kind::Bytes)],
    ),
    table("reset_token", "user_id", &[c("user_id", Kind::Id), c("hash", Kind::Bytes), c("expires_at", Kind::Big)]),
    table(
        "membership",
        "session_id, user_id",
        &[c("session_id", Kind::Id), c("user_id", Kind::Id), c("relation", Kind::Text)],
    ),
    table(
        "stored_cast",
        "tenant, id",
        &[
            c("tenant", Kind::Id),
            c("id", Kind::Text),
            c("version", Kind::Small),
            c("body", Kind::Text),
            told("owner", Kind::Text, "json_extract(body, '$.owner')"),
        ],
    ),
    table("setting", "key", &[c("key", Kind::Text), c("value", Kind::Bytes)]),
    table(
        "address_block",
        "tenant, address",
        &[
            c("tenant", Kind::Id),
            c("address", Kind::Text),
            c("reason", Kind::Text),
            c("blocked_at", Kind::Big),
            c("until", Kind::Big),
            c("times", Kind::Small),
        ],
    ),
    table(
        "audit",
        "seq",
        &[
            c("seq", Kind::Big),
            c("event_id", Kind::Id),
            c("tenant", Kind::Id),
            c("event_type", Kind::Text),
            c("severity", Kind::Text),
            c("at", Kind::Big),
            c("user_id", Kind::Id),
            c("session_id", Kind::Id),
            c("request_id", Kind::Text),
            c("outcome", Kind::Text),
            c("details", Kind::Text),
            c("commitment", Kind::Bytes),
            c("salt", Kind::Bytes),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
            c("mac", Kind::Bytes),
        ],
    ),
    table(
        "audit_base",
        "id",
        &[c("id", Kind::Small), c("seq", Kind::Big), c("mac", Kind::Bytes), c("signature", Kind::Bytes)],
    ),
    Table {
        name: "allowance",
        key: "tenant, user_id",
        columns: &[
            c("tenant", Kind::Id),
            c("user_id", Kind::Holder),
            c("limited", Kind::Flag),
            c("max_tokens", Kind::Big),
            c("max_cost", Kind::Real),
            c("tokens", Kind::Big),
            c("cost", Kind::Real),
        ],
        emptied: &[],
        in_all: Some("allowance_in_all"),
    },
    table(
        "sealed_value",
        "tenant, kind, id",
        &[
            c("tenant", Kind::Id),
            c("kind", Kind::Text),
            c("id", Kind::Text),
            c("key_id", Kind::Id),
            c("sealed", Kind::Bytes),
        ],
    ),
];

/// Which rows of a table make it no longer empty: the row that a new database has at once tells of the master key alone.
pub fn content_of(table: &Table) -> String {
    match table.name {
        "subject_key" => format!("SELECT 1 FROM subject_key WHERE scope <> '{}' LIMIT 1", crate::keyring::CHECK),
        name => format!("SELECT 1 FROM {name} LIMIT 1"),
    }
}

/// The table of this name.
pub(crate) fn table_of(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap_or_else(|| unreachable!("{name} is a table"))
}

impl Table {
    /// Where a column stands in a row.
    pub(crate) fn at(&self, column: &str) -> usize {
        let at = self.columns.iter().position(|c| c.name == column);
        at.unwrap_or_else(|| unreachable!("{column} is a column of {}", self.name))
    }
}

/// A row, its values in the order of its table's columns.
pub type Row = Vec<Value>;

/// Rows of one table.
#[derive(Debug)]
pub struct Batch {
    pub table: &'static Table,
    pub rows: Vec<Row>,
}

/// What is under way: the end is told, so that a reader that broke off is not taken for one that is through.
type Piece = Result<Option<Batch>, StoreError>;

/// The content of a store, batch by batch.
pub struct Rows {
    from: mpsc::Receiver<Piece>,
    /// What reads. Dropped with this.
    _reader: JoinSet<()>,
    edit: Option<Box<Edit>>,
    ended: bool,
}

/// Changes a row on its way; false leaves it out.
pub type Edit = dyn FnMut(&'static Table, &mut Row) -> Result<bool, StoreError> + Send;

impl Rows {
    /// `start` begins what reads, as a task of the set that it is given.
    pub(crate) fn new(start: impl FnOnce(Sender, &mut JoinSet<()>)) -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        let mut reader = JoinSet::new();
        start(Sender { to, batch: Vec::new(), bytes: 0 }, &mut reader);
        Self { from, _reader: reader, edit: None, ended: false }
    }

    /// The same rows, each as `edit` leaves it.
    #[must_use]
    pub fn edited(self, edit: Box<Edit>) -> Self {
        Self { edit: Some(edit), ..self }
    }

    /// The next batch; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.from.recv().await;
        self.taken(piece)
    }

    /// The same for a thread that may wait.
    pub fn next_blocking(&mut self) -> Result<Option<Batch>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.from.blocking_recv();
        self.taken(piece)
    }

    fn taken(&mut self, piece: Option<Piece>) -> Result<Option<Batch>, StoreError> {
        let broke_off = || Err(StoreError::Unavailable("reading the other store broke off".to_owned()));
        let Some(mut batch) = piece.unwrap_or_else(broke_off)? else {
            self.ended = true;
            return Ok(None);
        };
        if let Some(edit) = &mut self.edit {
            let mut kept = Vec::with_capacity(batch.rows.len());
            for mut row in batch.rows {
                if edit(batch.table, &mut row)? {
                    kept.push(row);
                }
            }
            batch.rows = kept;
        }
        Ok(Some(batch))
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

/// Where a reader sends rows. Nobody listening any more ends the reading.
pub(crate) struct Sender {
    to: mpsc::Sender<Piece>,
    batch: Vec<Row>,
    bytes: usize,
}

impl Sender {
    /// Adds a row, and gives the batch when it is full.
    pub fn add(&mut self, table: &'static Table, row: Row) -> Option<Batch> {
        self.bytes += row.iter().map(size).sum::<usize>();
        self.batch.push(row);
        (self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES).then(|| self.cut(table))
    }

    /// What has gathered.
    pub fn cut(&mut self, table: &'static Table) -> Batch {
        self.bytes = 0;
        Batch { table, rows: std::mem::take(&mut self.batch) }
    }

    pub async fn send(&self, piece: Piece) -> Result<(), StoreError> {
        self.to.send(piece).await.map_err(|_| nobody())
    }

    pub fn send_blocking(&self, piece: Piece) -> Result<(), StoreError> {
        self.to.blocking_send(piece).map_err(|_| nobody())
    }
}

fn nobody() -> StoreError {
    StoreError::Unavailable("nobody takes the rows any more".to_owned())
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many events are copied.
    Copied(u64),
    /// So many sessions and events are verified.
    Verified { sessions: u64, events: u64 },
}

/// Told of every step.
pub type Told = Arc<dyn Fn(Step) + Send + Sync>;

/// What was copied and verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Of all tables.
    pub rows: u64,
    pub sessions: u64,
    pub events: u64,
    /// Events with erased or masked words; their chains hold.
    pub erased: u64,
}

/// What was taken in, table by table: it must be what is there afterwards.
#[derive(Debug, Default)]
pub struct Counts {
    of: Vec<(&'static str, u64)>,
}

impl Counts {
    pub fn add(&mut self, batch: &Batch, told: &Told) {
        let name = batch.table.name;
        let rows = batch.rows.len() as u64;
        match self.of.iter_mut().find(|(table, _)| *table == name) {
            Some((_, count)) => *count += rows,
            None => self.of.push((name, rows)),
        }
        if name == "event" {
            told(Step::Copied(self.of(name)));
        }
    }

    pub fn of(&self, table: &str) -> u64 {
        self.of.iter().find(|(name, _)| *name == table).map_or(0, |(_, count)| *count)
    }

    pub fn check(&self, table: &Table, found: u64) -> Result<(), StoreError> {
        let sent = self.of(table.name);
        if sent == found {
            return Ok(());
        }
        Err(StoreError::Corrupt(format!("the table {} holds {found} rows of {sent} that were copied", table.name)))
    }

    /// Every event belongs to a log that was walked.
    pub fn whole_logs(&self, copied: &Copied) -> Result<(), StoreError> {
        let events = self.of("event");
        if events == copied.events {
            return Ok(());
        }
        Err(StoreError::Corrupt(format!("of {events} events {} belong to a log with a head", copied.events)))
    }
}

/// A log that was walked to its end: the chain must reach the head that the copy names.
pub fn ended(session: SessionId, checker: &Checker, head: (u64, Hash)) -> Result<(), StoreError> {
    let reached = checker.head();
    if reached == head {
        return Ok(());
    }
    Err(broken(session, &format!("its log reaches event {}, its head says {} with another hash", reached.0, head.0)))
}

pub fn broken(session: SessionId, what: &str) -> StoreError {
    StoreError::Corrupt(format!("session {session} is not whole: {what}; `psyche verify` says the same of the source"))
}

/// Refused: a table of the target has rows.
pub fn not_empty(table: &Table) -> StoreError {
    StoreError::Corrupt(format!("it is not empty: its table {} has rows. Name a store that holds nothing", table.name))
}

/// What lies beside a database and belongs to it.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The journal of erasures.
    pub erasures: PathBuf,
    /// The audit trail's checkpoints.
    pub checkpoints: PathBuf,
}

impl Beside {
    pub fn of(directory: &Path) -> Self {
        Self { erasures: directory.join("erasures"), checkpoints: directory.join("audit-checkpoints") }
    }

    /// Adds the erasures of another journal that this one lacks: an erasure stands for ever, wherever the words go.
    pub fn take_erasures(&self, from: &Path) -> io::Result<()> {
        let known = journal::load(&self.erasures)?;
        for entry in journal::load(from)?.iter().filter(|entry| !known.contains(entry)) {
            journal::append(&self.erasures, entry)?;
        }
        Ok(())
    }

    /// Adds the checkpoints that this file lacks.
    pub fn take_checkpoints(&self, from: &Path) -> io::Result<()> {
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        };
        let ours = read(&self.checkpoints)?;
        let known: BTreeSet<&str> = ours.lines().collect();
        let theirs = read(from)?;
        let lacking: String =
            theirs.lines().filter(|line| !known.contains(line)).flat_map(|line| [line, "\n"]).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.checkpoints)?;
        file.write_all(lacking.as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_lost_or_gained_rows_on_the_way_is_named() {
        let (setting, told): (_, Told) = (table_of("setting"), Arc::new(|_| {}));
        let row = || vec![Value::Text("key".to_owned()), Value::Blob(vec![1])];
        let mut counts = Counts::default();
        counts.add(&Batch { table: setting, rows: vec![row(), row()] }, &told);
        counts.add(&Batch { table: setting, rows: vec![row()] }, &told);
        counts.check(setting, 3).unwrap();
        for found in [2, 4] {
            assert!(counts.check(setting, found).unwrap_err().to_string().contains("setting"), "{found}");
        }
        assert!(counts.check(table_of("event"), 1).is_err());
    }
}
