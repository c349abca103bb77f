//! A backup: one file, a database of SQLite with all content and what lies beside it, whichever store it was made of.
//!
//! It is made under another name, verified as it then lies on the disk, and only then has its name. What is sealed stays
//! sealed: the master key is not in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use psyche_core::port::StoreError;
use psyche_core::time::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::fault::Fault;
use super::keys::Keys;
use super::open::with_suffix;
use super::{OpenError, Options, rows, schema};
use crate::rows::{Beside, Copied, Counts, Rows, TABLES, Told};

const ABOUT: &str = "CREATE TABLE backup (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT";
const MADE_AT: &str = "made at";
const ERASURES: &str = "erasures";
const CHECKPOINTS: &str = "audit-checkpoints";

/// Why a backup could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} is there already: give another name, or --force to replace it", .0.display())]
    Exists(PathBuf),
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no backup made by `psyche backup`", .0.display())]
    NoBackup(PathBuf),
    #[error("{} has schema version {found}, this program needs {}: restore it with the psyche that made it", path.display(), schema::NEWEST)]
    OtherVersion { path: PathBuf, found: u32 },
    #[error("the master key does not fit {}: a backup opens with the master key of the time when it was made", .0.display())]
    WrongMasterKey(PathBuf),
    #[error("{} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("there is content already: a restore would take its place; say --replace if that is meant")]
    NotEmpty,
    #[error("another program reads the database: wait for its end, or end it")]
    InUse,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl BackupError {
    pub(crate) fn of(fault: impl Into<StoreError>) -> Self {
        Self::Store(fault.into())
    }
}

impl From<Fault> for BackupError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Fault::from(error).into()
    }
}

/// For `map_err`: the path that an error of the file system is about.
pub fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |source| BackupError::Io { path: path.to_owned(), source }
}

/// The files beside a database as they were before its content was read: of what they tell nothing is missing in it.
#[derive(Debug)]
pub struct Files {
    erasures: Vec<u8>,
    checkpoints: Vec<u8>,
}

impl Files {
    pub fn read(beside: &Beside) -> Result<Self, BackupError> {
        let read = |path: &Path| match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            bytes => bytes.map_err(at(path)),
        };
        Ok(Self { erasures: read(&beside.erasures)?, checkpoints: read(&beside.checkpoints)? })
    }
}

/// A backup that can be read.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    pub made_at: Timestamp,
    files: Files,
}

impl Backup {
    /// Makes the file `options.path` of these rows. Blocks. Nothing of that name is replaced but with `force`.
    pub fn write(
        options: &Options,
        rows: Rows,
        files: &Files,
        force: bool,
        told: &Told,
    ) -> Result<Copied, BackupError> {
        let path = &options.path;
        if !force && path.exists() {
            return Err(BackupError::Exists(path.clone()));
        }
        let part = with_suffix(path, ".part");
        let _ = fs::remove_file(&part);
        let made = make(&part, options, rows, files, told).and_then(|copied| {
            if force {
                fs::rename(&part, path).map_err(at(path))?;
            } else {
                // Fails where a file of that name has come meanwhile.
                fs::hard_link(&part, path).map_err(at(path))?;
            }
            sync_directory_of(path)?;
            Ok(copied)
        });
        if made.is_err() || !force {
            let _ = fs::remove_file(&part);
        }
        made
    }

    /// Opens `options.path` and looks at it: another program's file, another version and another master key are refused.
    pub fn open(options: &Options) -> Result<Self, BackupError> {
        let path = &options.path;
        fs::metadata(path).map_err(at(path))?;
        let db = read_only(path)?;
        let no_backup = |_| BackupError::NoBackup(path.clone());
        let value = |name: &str| -> Result<Vec<u8>, BackupError> {
            let mut select = db.prepare("SELECT value FROM backup WHERE name = ?1").map_err(no_backup)?;
            let value = select.query_row([name], |row| row.get(0)).optional().map_err(no_backup)?;
            value.ok_or_else(|| BackupError::NoBackup(path.clone()))
        };
        let made_at = String::from_utf8(value(MADE_AT)?).ok().and_then(|text| text.parse().ok());
        let made_at = made_at.ok_or_else(|| BackupError::NoBackup(path.clone()))?;
        let files = Files { erasures: value(ERASURES)?, checkpoints: value(CHECKPOINTS)? };
        match schema::version(&db)? {
            Some(version) if schema::is_readable(version) => {}
            found => {
                return Err(BackupError::OtherVersion { path: path.clone(), found: found.unwrap_or_default() });
            }
        }
        if !keys(options).fit(&db)? {
            return Err(BackupError::WrongMasterKey(path.clone()));
        }
        Ok(Self { path: path.clone(), made_at, files })
    }

    /// All content.
    pub fn rows(&self) -> Rows {
        let path = self.path.clone();
        Rows::new(|to, reader| {
            reader.spawn_blocking(move || match read_only(&path).map_err(Fault::from) {
                Ok(db) => rows::send(&db, to, TABLES.iter()),
                Err(fault) => {
                    let _ = to.send_blocking(Err(fault.into()));
                }
            });
        })
    }

    /// Puts the files where a store has them. Erasures are added to those that are known there. The trail that is restored
    /// may be shorter than the one there is: its checkpoints take the place of those, which are kept under the name that is
    /// returned.
    pub fn unpack(&self, beside: &Beside, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
        let (erasures, checkpoints) = (&beside.erasures, &beside.checkpoints);
        let draft = with_suffix(erasures, ".restored");
        fs::write(&draft, &self.files.erasures).map_err(at(&draft))?;
        beside.take_erasures(&draft).map_err(at(erasures))?;
        fs::remove_file(&draft).map_err(at(&draft))?;

        let draft = with_suffix(checkpoints, ".restored");
        fs::write(&draft, &self.files.checkpoints).map_err(at(&draft))?;
        File::open(&draft).and_then(|file| file.sync_all()).map_err(at(&draft))?;
        replace(&draft, checkpoints, now)
    }
}

/// Puts a file in the place of another, which is kept under the name that is returned when it was there and is another.
pub fn replace(from: &Path, to: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let kept = match fs::read(to) {
        Ok(there) if fs::read(from).map_err(at(from))? != there => {
            let aside = aside(to, now);
            fs::hard_link(to, &aside).map_err(at(&aside))?;
            Some(aside)
        }
        _ => None,
    };
    fs::rename(from, to).map_err(at(to))?;
    sync_directory_of(to)?;
    Ok(kept)
}

fn make(part: &Path, options: &Options, mut content: Rows, files: &Files, told: &Told) -> Result<Copied, BackupError> {
    // Made before SQLite opens it, so that nobody else can ever read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(at(part))?;
    let mut db =
        Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // What breaks off is removed: only the whole file is synced.
    db.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    schema::migrate(&mut db, 0)?;
    let transaction = db.transaction()?;
    let counts = rows::take_in(&transaction, &mut content, told)?;
    transaction.execute_batch(ABOUT)?;
    let made_at = options.clock.now().to_string();
    for (name, value) in [
        (MADE_AT, made_at.as_bytes()),
        (ERASURES, files.erasures.as_slice()),
        (CHECKPOINTS, files.checkpoints.as_slice()),
    ] {
        transaction.execute("INSERT INTO backup (name, value) VALUES (?1, ?2)", rusqlite::params![name, value])?;
    }
    transaction.commit()?;
    drop(db);
    file.sync_all().map_err(at(part))?;
    prove(part, &keys(options), &counts, told)
}

/// Verifies the file as it lies on the disk.
fn prove(path: &Path, keys: &Keys, counts: &Counts, told: &Told) -> Result<Copied, BackupError> {
    let db = read_only(path)?;
    let answer: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer != "ok" {
        return Err(BackupError::Damaged { path: path.to_owned(), what: answer });
    }
    Ok(rows::verify(&db, keys, counts, told)?)
}

fn keys(options: &Options) -> Keys {
    Keys::new(options.master_key, options.master_key_before, Arc::clone(&options.clock))
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// The name under which a restore keeps what was there; none that is taken, whatever the clock says.
pub fn aside(path: &Path, now: Timestamp) -> PathBuf {
    let mut name = with_suffix(path, &format!(".before-{}", now.micros()));
    while name.exists() {
        name = with_suffix(&name, "+");
    }
    name
}

pub fn sync_directory_of(path: &Path) -> Result<(), BackupError> {
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(at(directory))
}
