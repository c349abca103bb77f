//! The journal of erasures: who was erased, kept outside the database.
//!
//! A restored backup holds the words of people who were erased after it was made, and the keys to them. So each erasure
//! is written here before it is done, and done again at the next start where the database does not know of it. The file
//! is never restored with a backup and never rewritten: an erasure stands for ever.
//!
//! A text file of lines `e <session or *> <subject> <time> <sum>`, appended and synced; `<sum>` as in the high-water file of SQLite.
//! What was said after that time (microseconds since 1970) is not concerned.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use psyche_core::ids::SessionId;
use psyche_core::time::Timestamp;
use psyche_core::words::Subject;

use crate::sums::{checked, line};

/// One erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `None`: everywhere.
    pub session: Option<SessionId>,
    pub subject: Subject,
    /// Words of later events stay.
    pub at: Timestamp,
}

/// All erasures, oldest first. A torn last line is of an erasure that was never answered.
pub fn load(path: &Path) -> io::Result<Vec<Entry>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let mut entries = Vec::new();
    for line in lines {
        match std::str::from_utf8(line).ok().and_then(parse) {
            Some(entry) => entries.push(entry),
            None => {
                tracing::warn!(path = %path.display(), "a line of the journal of erasures is damaged and passed over");
            }
        }
    }
    Ok(entries)
}

/// Adds an erasure; durable when this returns.
pub fn append(path: &Path, entry: &Entry) -> io::Result<()> {
    let session = entry.session.map_or("*".to_owned(), |session| session.to_string());
    // A line break first ends what an earlier write may have left torn.
    let mut text = "\n".to_owned();
    line(&mut text, &format!("e {session} {} {}", entry.subject, entry.at.micros()));
    let new = !path.exists();
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if new {
        let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = checked(line)?.split(' ');
    if words.next()? != "e" {
        return None;
    }
    let session = match words.next()? {
        "*" => None,
        id => Some(id.parse().ok()?),
    };
    Some(Entry { session, subject: words.next()?.parse().ok()?, at: Timestamp(words.next()?.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use psyche_core::ids::UserId;

    use super::*;

    #[test]
    fn entries_are_read_back_and_a_torn_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("erasures");
        assert_eq!(load(&path).unwrap(), []);
        let person = Subject::User(UserId(uuid::Uuid::from_u128(7)));
        let everywhere = Entry { session: None, subject: person, at: Timestamp(5) };
        let here =
            Entry { session: Some(SessionId(uuid::Uuid::from_u128(1))), subject: Subject::Session, at: Timestamp(-1) };
        append(&path, &everywhere).unwrap();
        let whole = fs::read(&path).unwrap();
        append(&path, &here).unwrap();
        assert_eq!(load(&path).unwrap(), [everywhere, here]);

        let torn = [&whole[..], &whole[..whole.len() - 3]].concat();
        fs::write(&path, torn).unwrap();
        append(&path, &here).unwrap();
        assert_eq!(load(&path).unwrap(), [everywhere, here]);
    }
}
