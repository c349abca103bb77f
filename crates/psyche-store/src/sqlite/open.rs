//! Opening: lock, look, compare, and only then write.
//!
//! Everything is looked at through a read-only connection first, so that a refused database and its WAL stay as they
//! are. `PRAGMA quick_check` runs when the last close was not orderly or the file is small; it reads every page.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use psyche_core::ids::SessionId;
use psyche_core::words::Subject;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};

use super::erasure;
use super::error::{Lost, OpenError};
use super::fault::Fault;
use super::keys::Keys;
use super::lock::{DirectoryLock, LockError};
use super::readers::{self, Readers};
use super::records::{HEAD, head_of, mark_of};
use super::users;
use super::writer::{Write, Writer};
use super::{Access, Inner, Options, SqliteStore, schema};
use crate::checkpoints::Checkpoints;
use crate::high_water::{self, Contents, HighWater, Mark, Marks};
use crate::journal::{self, Entry};

/// Below this size the whole file is checked at every start.
const SMALL: u64 = 64 << 20;

pub fn open(options: Options) -> Result<SqliteStore, OpenError> {
    let Options { path, master_key, master_key_before, clock, access, accept_loss, busy_timeout } = options;
    let place = Place::of(path, busy_timeout);
    let keys = Arc::new(Keys::new(master_key, master_key_before, Arc::clone(&clock)));

    let lock = match access {
        Access::ReadOnly => None,
        Access::ReadWrite => Some(place.lock()?),
    };
    // The marks first, then the database: a running writer only adds to it.
    let high_water = place.high_water();
    let before = high_water::load(&high_water).map_err(|e| io_error("read", &high_water, e))?;
    let erasures = place.erasures();
    let entries = journal::load(&erasures).map_err(|e| io_error("read", &erasures, e))?;
    let found = place.look(&keys, &before, &entries, access)?;
    let refused = access == Access::ReadWrite && !accept_loss && !found.lost.is_empty();
    if refused {
        return Err(OpenError::Behind { path: place.path, lost: found.lost });
    }
    let writer = match lock {
        None => None,
        Some(lock) => Some(place.start_writer(lock, Arc::clone(&keys), &found, &entries)?),
    };
    let checkpoints = place.checkpoints();
    let readers = Readers::new(place.path, busy_timeout);
    let erased = entries.iter().filter_map(|entry| match (entry.session, entry.subject) {
        (None, Subject::User(id)) => Some((id, entry.at)),
        _ => None,
    });
    let (erased, rights) = (erased.collect(), AtomicU64::new(0));
    let inner = Inner { writer, readers, keys, clock, checkpoints, lost: found.lost, erasures, erased, rights };
    Ok(SqliteStore { inner: Arc::new(inner), audit: Arc::default() })
}

/// The database's path and what lies beside it.
pub struct Place {
    path: PathBuf,
    busy: std::time::Duration,
}

/// What the look at the database found.
struct Found {
    version: u32,
    lost: Vec<Lost>,
}

impl Place {
    pub fn of(path: PathBuf, busy: std::time::Duration) -> Self {
        Self { path, busy }
    }

    pub fn directory(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    pub fn high_water(&self) -> PathBuf {
        self.directory().join("high-water")
    }

    fn checkpoints(&self) -> PathBuf {
        self.directory().join("audit-checkpoints")
    }

    fn erasures(&self) -> PathBuf {
        self.directory().join("erasures")
    }

    pub fn lock(&self) -> Result<DirectoryLock, OpenError> {
        let directory = self.directory();
        fs::create_dir_all(directory).map_err(|e| io_error("make the directory", directory, e))?;
        let path = directory.join("lock");
        DirectoryLock::acquire(&path).map_err(|error| match error {
            LockError::Held(pid) => OpenError::InUse { path: directory.to_owned(), pid },
            LockError::Io(source) => io_error("lock", &path, source),
        })
    }

    fn look(&self, keys: &Keys, before: &Contents, entries: &[Entry], access: Access) -> Result<Found, OpenError> {
        let size = match fs::metadata(&self.path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error("look at", &self.path, error)),
        };
        if size == 0 {
            if access == Access::ReadOnly {
                return Err(OpenError::Missing(self.path.clone()));
            }
            let lost = before.marks.iter().map(|(session, mark)| lost(*session, mark, None)).collect();
            return Ok(Found { version: 0, lost });
        }
        self.check_header(size)?;
        let db = readers::open(&self.path, self.busy).map_err(|e| self.sql("open", e))?;
        let version = schema::version(&db)
            .map_err(|e| self.sql("read", e))?
            .ok_or_else(|| OpenError::Foreign(self.path.clone()))?;
        if version > schema::NEWEST {
            return Err(OpenError::Newer { path: self.path.clone(), found: version, known: schema::NEWEST });
        }
        if access == Access::ReadWrite && (!before.clean || size < SMALL) {
            let answer: String =
                db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| self.sql("check", e))?;
            if answer != "ok" {
                return Err(OpenError::Damaged { path: self.path.clone(), what: answer });
            }
        }
        if before.damaged > 0 {
            tracing::warn!(lines = before.damaged, "the high-water file has damaged lines; they are passed over");
        }
        if version == 0 {
            let lost = before.marks.iter().map(|(session, mark)| lost(*session, mark, None)).collect();
            return Ok(Found { version, lost });
        }
        if !keys.fit(&db).map_err(|fault| self.damaged(&fault))? {
            return Err(OpenError::WrongMasterKey(self.path.clone()));
        }
        let lost = losses(&db, &before.marks).map_err(|e| self.sql("compare", e))?;
        if access == Access::ReadOnly {
            let pending = |entry| erasure::is_pending(&db, entry).map_err(|fault| self.damaged(&fault));
            for entry in entries {
                if pending(entry)? {
                    return Err(OpenError::NotErased(self.path.clone()));
                }
            }
        }
        Ok(Found { version, lost })
    }

    pub fn check_header(&self, size: u64) -> Result<(), OpenError> {
        let mut header = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(100).read_to_end(&mut header))
            .map_err(|e| io_error("read", &self.path, e))?;
        if !header.starts_with(b"SQLite format 3\0") {
            return Err(OpenError::NotADatabase(self.path.clone()));
        }
        let Some(header) = header.first_chunk::<100>() else {
            return Err(OpenError::Truncated { path: self.path.clone(), found: size, expected: 512 });
        };
        // https://www.sqlite.org/fileformat.html: the size in pages counts when two change counters agree. While a WAL
        // waits, pages may still be in it.
        let number = |at: usize| header[at..at + 4].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let page = match u64::from(header[16]) << 8 | u64::from(header[17]) {
            1 => 65_536,
            size => size,
        };
        let expected = number(28) * page;
        let wal = fs::metadata(with_suffix(&self.path, "-wal")).map_or(0, |meta| meta.len());
        if number(24) == number(92) && wal == 0 && size < expected {
            return Err(OpenError::Truncated { path: self.path.clone(), found: size, expected });
        }
        Ok(())
    }

    /// Erases again what a restored backup brought back.
    fn erase_again(&self, db: &mut Connection, keys: &Keys, entries: &[Entry]) -> Result<(), Fault> {
        for entry in entries {
            let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let touched = erasure::erase(&mut Write::new(&transaction, keys), entry)?;
            transaction.commit()?;
            if !touched.is_empty() {
                let sessions = touched.len();
                tracing::warn!(path = %self.path.display(), sessions, "the database held words that were erased before; they were erased again");
            }
        }
        if !entries.is_empty() {
            keys.ring().forget();
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    fn start_writer(
        &self,
        lock: DirectoryLock,
        keys: Arc<Keys>,
        found: &Found,
        entries: &[Entry],
    ) -> Result<Writer, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&self.path, flags).map_err(|e| self.sql("open", e))?;
        self.set_up(&db).map_err(|e| self.sql("set up", e))?;
        schema::migrate(&mut db, found.version).map_err(|e| self.sql("migrate", e))?;
        keys.install_check(&db).map_err(|fault| self.damaged(&fault))?;
        users::seal_old(&mut db, &keys).map_err(|fault| self.damaged(&fault))?;
        // Whoever held a lease held this directory's lock, and is gone: running sessions need not wait for a TTL.
        db.execute("UPDATE session_head SET owner = NULL, expires_at = 0 WHERE owner IS NOT NULL", [])
            .map_err(|e| self.sql("write to", e))?;
        self.erase_again(&mut db, &keys, entries).map_err(|fault| self.damaged(&fault))?;
        let marks = accept(&mut db, &found.lost).map_err(|e| self.sql("write to", e))?;
        let path = self.high_water();
        high_water::rewrite(&path, &marks).map_err(|e| io_error("write", &path, e))?;
        let high_water =
            HighWater::start(path.clone(), marks).map_err(|e| io_error("start the thread for", &path, e))?;
        let path = self.checkpoints();
        let checkpoints = Checkpoints::start(path.clone()).map_err(|e| io_error("start the thread for", &path, e))?;
        Ok(Writer::new(db, keys, high_water, checkpoints, lock))
    }

    fn set_up(&self, db: &Connection) -> rusqlite::Result<()> {
        db.busy_timeout(self.busy)?;
        db.set_prepared_statement_cache_capacity(128);
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        // Pages that change again and again (heads, summaries) are copied into the database once in a while only.
        db.pragma_update(None, "wal_autocheckpoint", 8_000)?;
        // What is erased or deleted is overwritten, not merely unlinked.
        db.pragma_update(None, "secure_delete", "ON")?;
        // Savepoints keep the pages they may have to restore; by default they go through a file in /var/tmp.
        db.pragma_update(None, "temp_store", "MEMORY")?;
        // 32 MiB, so that a group of commits does not spill pages before its end.
        db.pragma_update(None, "cache_size", -32_768)?;
        db.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))
    }

    fn damaged(&self, fault: &Fault) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), what: fault.to_string() }
    }

    fn sql(&self, action: &'static str, source: rusqlite::Error) -> OpenError {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path),
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, what: source.to_string() },
            _ => OpenError::Sql { action, path, source },
        }
    }
}

/// Compares the logs with what was durable before. A head of a later generation has had its loss accepted already.
fn losses(db: &Connection, marks: &Marks) -> rusqlite::Result<Vec<Lost>> {
    let mut head = db.prepare(HEAD)?;
    let mut event = db.prepare("SELECT 1 FROM event WHERE session_id = ?1 AND seq = ?2 AND hash = ?3")?;
    let mut deleted = db.prepare("SELECT 1 FROM deleted_session WHERE session_id = ?1")?;
    let mut losses = Vec::new();
    for (session, mark) in marks {
        match head.query_row([session.0], head_of).optional()? {
            None if deleted.exists([session.0])? => {}
            None => losses.push(lost(*session, mark, None)),
            Some(head) if head.generation > mark.generation || mark.seq == 0 => {}
            Some(head) => {
                if !event.exists(params![session.0, mark.seq, mark.hash.0])? {
                    losses.push(lost(*session, mark, Some(head.seq)));
                }
            }
        }
    }
    Ok(losses)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { action, path: path.to_owned(), source }
}

fn lost(session: SessionId, mark: &Mark, found: Option<u64>) -> Lost {
    Lost { session, generation: mark.generation, durable: mark.seq, found }
}

/// Raises the generation of sessions whose loss is accepted, and returns the heads of all sessions.
fn accept(db: &mut Connection, lost: &[Lost]) -> rusqlite::Result<Marks> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for lost in lost {
        transaction.execute(
            "UPDATE session_head SET gen = max(gen, ?2) + 1 WHERE session_id = ?1",
            params![lost.session.0, lost.generation],
        )?;
        transaction.execute(
            "UPDATE session SET summary = json_set(summary, '$.gen',
                 (SELECT gen FROM session_head AS h WHERE h.session_id = session.session_id)) WHERE session_id = ?1",
            [lost.session.0],
        )?;
        tracing::warn!(%lost, "a loss was accepted; the log goes on under a new generation");
    }
    let marks = {
        let mut heads =
            transaction.prepare("SELECT gen, last_seq, head_hash, epoch, owner, session_id FROM session_head")?;
        let rows = heads.query_map([], |row| Ok((SessionId(row.get(5)?), mark_of(&head_of(row)?))))?;
        rows.collect::<Result<Marks, _>>()?
    };
    transaction.commit()?;
    Ok(marks)
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
