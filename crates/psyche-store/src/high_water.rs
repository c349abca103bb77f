//! The high-water file: how far each session's log was known to be durable, kept outside the database.
//!
//! SQLite drops committed transactions without a word when the file system loses or changes a byte of its WAL, and its
//! own integrity check then says "ok"; a standby of PostgreSQL that takes over may lack the last ones. So the heads of
//! changed sessions are written here too, once a second and at close, and compared at the next start.
//!
//! A text file of lines `m <session> <gen> <seq> <hash> <sum>`, `d <session> <sum>` for a deleted session, and
//! `clean <sum>` as the last line after an orderly close. `<sum>` is the start of the SHA-256 of the rest of the line. A
//! line whose sum is wrong (a torn write) is passed over: the last good line of a session counts. The file is appended
//! to and synced; when it has grown well beyond its sessions it is rewritten beside and renamed into place.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use psyche_core::ids::SessionId;
use psyche_core::words::Hash;

use crate::sums::{checked, line};

/// How long changed heads are gathered before they are written.
const BATCH: Duration = Duration::from_secs(1);
/// Lines beyond twice the number of sessions that make a rewrite worth it.
const SLACK: usize = 20_000;

/// Up to where a session's log was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub generation: u32,
    pub seq: u64,
    pub hash: Hash,
}

pub type Marks = BTreeMap<SessionId, Mark>;

/// What a file says.
#[derive(Debug, Default)]
pub struct Contents {
    pub marks: Marks,
    /// The last writer closed in order (or there was none).
    pub clean: bool,
    /// Lines that were passed over.
    pub damaged: usize,
}

pub fn load(path: &Path) -> io::Result<Contents> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Contents { clean: true, ..Contents::default() });
        }
        Err(error) => return Err(error),
    };
    let mut contents = Contents::default();
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        contents.clean = false;
        match std::str::from_utf8(line).ok().and_then(parse) {
            Some(Line::Mark(session, mark)) => {
                contents.marks.insert(session, mark);
            }
            Some(Line::Deleted(session)) => {
                contents.marks.remove(&session);
            }
            Some(Line::Clean) => contents.clean = true,
            None => contents.damaged += 1,
        }
    }
    Ok(contents)
}

/// Writes the file anew: beside, synced, renamed, and the directory synced.
pub fn rewrite(path: &Path, marks: &Marks) -> io::Result<()> {
    let mut text = String::new();
    for (session, mark) in marks {
        mark_line(&mut text, *session, mark);
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Gathers heads and writes them from its own thread, so that no commit waits for it.
#[derive(Debug)]
pub struct HighWater {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Held for a map operation only, never while the file is written.
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    /// `None`: the session was deleted.
    heads: BTreeMap<SessionId, Option<Mark>>,
    closing: bool,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HighWater {
    /// Starts with the marks that [`rewrite`] just wrote.
    pub fn start(path: PathBuf, marks: Marks) -> io::Result<Self> {
        let shared = Arc::new(Shared { pending: Mutex::default(), changed: Condvar::new() });
        let recorder = Recorder { lines: marks.len(), marks, path };
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("psyche-high-water".into()).spawn(move || recorder.run(&ours))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Notes a durable head, or a deletion.
    pub fn note(&self, session: SessionId, mark: Option<Mark>) {
        let mut pending = self.shared.pending();
        let first = pending.heads.is_empty();
        pending.heads.insert(session, mark);
        drop(pending);
        if first {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for HighWater {
    /// Writes what is pending and the line that says the close was orderly.
    fn drop(&mut self) {
        self.shared.pending().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the high-water file ended early; the next start checks the whole database");
        }
    }
}

struct Recorder {
    path: PathBuf,
    marks: Marks,
    lines: usize,
}

impl Recorder {
    fn run(mut self, shared: &Shared) {
        let ignore_poison = PoisonError::into_inner;
        loop {
            let idle = shared.changed.wait_while(shared.pending(), |p| p.heads.is_empty() && !p.closing);
            let gathering =
                shared.changed.wait_timeout_while(idle.unwrap_or_else(ignore_poison), BATCH, |p| !p.closing);
            let mut pending = gathering.unwrap_or_else(PoisonError::into_inner).0;
            let heads = std::mem::take(&mut pending.heads);
            let closing = pending.closing;
            drop(pending);
            if let Err(error) = self.record(&heads, closing) {
                tracing::warn!(%error, path = %self.path.display(), "the high-water file could not be written");
                let mut pending = shared.pending();
                for (session, mark) in heads {
                    pending.heads.entry(session).or_insert(mark);
                }
            }
            if closing {
                return;
            }
        }
    }

    fn record(&mut self, heads: &BTreeMap<SessionId, Option<Mark>>, closing: bool) -> io::Result<()> {
        let mut text = String::new();
        for (session, mark) in heads {
            if let Some(mark) = mark {
                mark_line(&mut text, *session, mark);
                self.marks.insert(*session, *mark);
            } else {
                line(&mut text, &format!("d {session}"));
                self.marks.remove(session);
            }
        }
        if closing {
            line(&mut text, "clean");
        }
        if !closing && self.lines + heads.len() > 2 * self.marks.len() + SLACK {
            rewrite(&self.path, &self.marks)?;
            self.lines = self.marks.len();
            return Ok(());
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        let whole = file.metadata()?.len();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line would spoil the one written after it.
            file.set_len(whole)?;
        }
        self.lines += heads.len();
        written
    }
}

enum Line {
    Mark(SessionId, Mark),
    Deleted(SessionId),
    Clean,
}

fn mark_line(text: &mut String, session: SessionId, mark: &Mark) {
    line(text, &format!("m {session} {} {} {}", mark.generation, mark.seq, mark.hash));
}

fn parse(line: &str) -> Option<Line> {
    let mut words = checked(line)?.split(' ');
    match words.next()? {
        "m" => {
            let session = words.next()?.parse().ok()?;
            let generation = words.next()?.parse().ok()?;
            let seq = words.next()?.parse().ok()?;
            Some(Line::Mark(session, Mark { generation, seq, hash: words.next()?.parse().ok()? }))
        }
        "d" => Some(Line::Deleted(words.next()?.parse().ok()?)),
        "clean" => Some(Line::Clean),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seq: u64) -> Mark {
        Mark { generation: 1, seq, hash: Hash::of(&seq.to_be_bytes()) }
    }

    fn session(n: u128) -> SessionId {
        SessionId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn the_last_good_line_counts_and_a_torn_one_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("high-water");
        assert!(load(&path).unwrap().clean, "no file: nothing was left behind");

        rewrite(&path, &Marks::from([(session(1), mark(3)), (session(2), mark(9))])).unwrap();
        let high_water = HighWater::start(path.clone(), load(&path).unwrap().marks).unwrap();
        high_water.note(session(1), Some(mark(5)));
        high_water.note(session(2), None);
        drop(high_water);
        let contents = load(&path).unwrap();
        assert!(contents.clean);
        assert_eq!(contents.marks, Marks::from([(session(1), mark(5))]));

        let mut text = fs::read_to_string(&path).unwrap();
        mark_line(&mut text, session(1), &mark(7));
        mark_line(&mut text, session(1), &mark(8));
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        let contents = load(&path).unwrap();
        assert_eq!((contents.clean, contents.damaged), (false, 1));
        assert_eq!(contents.marks[&session(1)], mark(7));
    }

    #[test]
    fn a_long_file_is_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("high-water");
        let mut recorder = Recorder { path: path.clone(), marks: Marks::new(), lines: SLACK + 2 };
        recorder.record(&BTreeMap::from([(session(1), Some(mark(4)))]), false).unwrap();
        assert_eq!(recorder.lines, 1);
        assert_eq!(load(&path).unwrap().marks, Marks::from([(session(1), mark(4))]));
    }
}
