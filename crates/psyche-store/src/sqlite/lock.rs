//! One writer per data directory: an operating-system lock on `<dir>/lock`, which holds the owner's process id.
//! The lock ends with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Held for as long as this value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; its id, where the file told it.
    Held(Option<u32>),
    Io(io::Error),
}

impl DirectoryLock {
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The owner is named if it can be; that the lock is held is certain.
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}
