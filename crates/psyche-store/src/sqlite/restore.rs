//! Restoring a backup into a data directory.
//!
//! The new database is made, changed, verified and erased again in a directory of its own; one `rename` then puts it in the
//! place of the present one. Whatever breaks off before leaves the present one as it was. What changes beside the database
//! before that is true in either case: a longer journal of erasures, and fewer checkpoints (the others are kept aside).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use psyche_core::audit::AuditDraft;
use psyche_core::ids::SessionId;
use psyche_core::port::{AuditLog as _, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::backup::{Backup, BackupError, aside, at, replace, sync_directory_of};
use super::open::{Place, with_suffix};
use super::{Options, SqliteStore, rows, schema};
use crate::high_water;
use crate::restored::{Present, asked};
use crate::rows::{Beside, Copied, Rows, Told};

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    pub copied: Copied,
    /// Whether the store that was replaced could still say who was disabled, removed or shut out since.
    pub asked: bool,
    /// Where what was replaced is kept.
    pub kept: Vec<PathBuf>,
}

/// What is in the place of the database.
enum Found {
    Nothing,
    Content(Present),
    /// It cannot be read, or only by an older program.
    Unreadable,
}

/// Restores into `options.path`, with a row of the audit trail that tells of it. Refused when there is content and `over`
/// does not say that it goes, while somebody else has the database open, and when a log of the backup is not whole.
pub async fn restore(
    options: Options,
    backup: &Backup,
    over: bool,
    row: AuditDraft,
    told: Told,
) -> Result<Restored, BackupError> {
    let place = Place::of(options.path.clone(), options.busy_timeout);
    let lock = place.lock()?;
    let now = options.clock.now();
    let high_water = place.high_water();
    let marks = high_water::load(&high_water).map_err(at(&high_water))?.marks;
    let found = look(&place, &options).await?;
    if !over && !matches!(found, Found::Nothing) {
        return Err(BackupError::NotEmpty);
    }
    let (mut present, is_content, is_asked) = match found {
        Found::Content(present) => (present, true, true),
        Found::Nothing | Found::Unreadable => (Present::default(), false, false),
    };
    for (session, mark) in &marks {
        present.seen(*session, mark.generation);
    }
    let known: Vec<_> = present.generations.keys().copied().collect();

    let staging = place.directory().join("restoring");
    clear(&staging)?;
    DirBuilder::new().mode(0o700).create(&staging).map_err(at(&staging))?;
    let (here, beside) = (Beside::of(place.directory()), Beside::of(&staging));
    beside.take_erasures(&here.erasures).map_err(at(&beside.erasures))?;
    backup.unpack(&beside, now)?;
    let staged = staging.join("psyche.db");
    let inside = Options { path: staged.clone(), ..options.clone() };
    let made = make(inside, present.restored(backup.rows()), known, row, told).await;
    if made.is_err() {
        clear(&staging)?;
    }
    let copied = made?;

    here.take_erasures(&beside.erasures).map_err(at(&here.erasures))?;
    let mut kept: Vec<PathBuf> = replace(&beside.checkpoints, &here.checkpoints, now)?.into_iter().collect();
    let path = &options.path;
    if is_content {
        let name = aside(path, now);
        fs::hard_link(path, &name).map_err(at(&name))?;
        kept.push(name);
    } else {
        // Nothing that works is in the way; a log of writes without its database would be taken for the new one's.
        for suffix in ["-wal", "-shm", ""] {
            kept.extend(move_away(&with_suffix(path, suffix), now)?);
        }
    }
    fs::rename(&staged, path).map_err(at(path))?;
    sync_directory_of(path)?;
    clear(&staging)?;
    drop(lock);
    Ok(Restored { copied, asked: is_asked, kept })
}

/// Makes the new database and closes it.
async fn make(
    options: Options,
    content: Rows,
    known: Vec<SessionId>,
    row: AuditDraft,
    told: Told,
) -> Result<Copied, BackupError> {
    let path = options.path.clone();
    let store = SqliteStore::open(options.clone())?;
    let copied = store.fill(content, told).await?;
    let gone = store.write(move |write| {
        // The high-water file here knows of sessions that the backup does not have: their loss is meant.
        let sql = "INSERT OR IGNORE INTO deleted_session SELECT ?1 WHERE NOT EXISTS
                   (SELECT 1 FROM session_head WHERE session_id = ?1)";
        for session in known {
            write.db.execute(sql, params![session.0])?;
        }
        Ok(())
    });
    gone.await?;
    store.record(vec![row]).await?;
    store.close().await;
    drop(store);
    // Opened as at a start: what was erased since the backup is erased again.
    let store = SqliteStore::open(options)?;
    store.close().await;
    drop(store);
    if fs::metadata(with_suffix(&path, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Err(BackupError::Damaged { path, what: "its write-ahead log could not be folded in".to_owned() });
    }
    Ok(copied)
}

/// Looks at the database in the place, and folds its log of writes into it.
async fn look(place: &Place, options: &Options) -> Result<Found, BackupError> {
    let path = &options.path;
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    if size == 0 {
        return Ok(Found::Nothing);
    }
    // SQLite takes what is shorter than a page for empty, and removes the log of writes beside it.
    if place.check_header(size).is_err() {
        return Ok(Found::Unreadable);
    }
    let read = || -> rusqlite::Result<(String, Connection)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(options.busy_timeout)?;
        // Only who has the database alone can end the log of writes; the next start begins a new one.
        let mode = db.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
        Ok((mode, db))
    };
    let db = match read() {
        Ok((mode, _)) if mode != "delete" => return Err(BackupError::InUse),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Err(BackupError::InUse),
        Ok((_, db)) if schema::version(&db).is_ok_and(|version| version.is_some_and(schema::is_readable)) => db,
        Ok(_) | Err(_) => return Ok(Found::Unreadable),
    };
    match rows::filled(&db) {
        Ok(None) => return Ok(Found::Nothing),
        Ok(Some(_)) => {}
        Err(_) => return Ok(Found::Unreadable),
    }
    let content = Rows::new(|to, reader| {
        reader.spawn_blocking(move || rows::send(&db, to, asked().into_iter()));
    });
    Ok(match Present::of(content).await {
        Ok(present) => Found::Content(present),
        Err(StoreError::Unavailable(why)) => return Err(StoreError::Unavailable(why).into()),
        Err(_) => Found::Unreadable,
    })
}

fn move_away(path: &Path, now: psyche_core::Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let name = aside(path, now);
    match fs::rename(path, &name) {
        Ok(()) => Ok(Some(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn clear(directory: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(directory)(error)),
        _ => Ok(()),
    }
}
