//! Why a database could not be opened. Each message says what happened and what to do; the files were not changed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use psyche_core::ids::SessionId;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {action} {}: {source}. {}", path.display(), advice(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the data directory {} is in use by process {}: stop that process first, or use a command that only reads", path.display(), pid.map_or("?".to_owned(), |pid| pid.to_string()))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("there is no database at {}: start psyche once, or name another data directory", .0.display())]
    Missing(PathBuf),
    #[error("{} is not an SQLite database: its first bytes are wrong. Restore it from a backup or move it away", .0.display())]
    NotADatabase(PathBuf),
    #[error("{} was made by another program: name another data directory", .0.display())]
    Foreign(PathBuf),
    #[error("{} is cut short: it has {found} bytes, its header says {expected}. Restore it from a backup", path.display())]
    Truncated { path: PathBuf, found: u64, expected: u64 },
    #[error("{} is damaged: {what}. Restore it from a backup", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{} has schema version {found}, this program knows up to {known}: use a newer psyche", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("the master key does not fit {}: give the key this database was made with", .0.display())]
    WrongMasterKey(PathBuf),
    #[error(
        "{} has lost what was durable before: {}. Restore the missing files (the -wal file belongs to the database) or a \
         newer backup; `--accept-loss` goes on from what is left, under a new generation", path.display(), List(lost)
    )]
    Behind { path: PathBuf, lost: Vec<Lost> },
    #[error(
        "{} holds words that were erased after it was made (a restored backup): start psyche once, it erases them again",
        .0.display()
    )]
    NotErased(PathBuf),
    #[error("SQLite could not {action} {}: {source}", path.display())]
    Sql { action: &'static str, path: PathBuf, source: rusqlite::Error },
}

/// A session whose log ends before, or reads differently from, what the high-water file remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub session: SessionId,
    pub generation: u32,
    /// The event that was durable.
    pub durable: u64,
    /// Where the log ends now; `None`: the session is gone.
    pub found: Option<u64>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, durable, .. } = self;
        match self.found {
            None => write!(f, "session {session} is gone ({durable} events)"),
            Some(found) if found < *durable => {
                write!(f, "session {session} ends at event {found}, events {} to {durable} are lost", found + 1)
            }
            Some(_) => write!(f, "session {session} holds another event {durable} than before"),
        }
    }
}

/// The first few losses, and how many more.
struct List<'a>(&'a [Lost]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        for (i, lost) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{lost}", if i == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more sessions"),
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "Give the user that runs psyche access to it",
        io::ErrorKind::ReadOnlyFilesystem => "Mount it writable or name another data directory",
        io::ErrorKind::StorageFull => "Free space on the disk",
        io::ErrorKind::NotADirectory => "Name a data directory that is a directory",
        _ => "Check the path and the disk",
    }
}
