//! Checkpoints of the audit trail: signed lines in a file beside the database. Who cuts rows off its end in the table is
//! found by them; keep a copy where the database's administrator cannot write, and cutting both is found too.
//!
//! A line of JSON `{"seq", "mac", "at", "signature"}` a second at most. A line that cannot be read is passed over: the
//! last write before a crash may be torn.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use psyche_core::audit::sign;
use psyche_core::time::Timestamp;
use psyche_core::words::Hash;
use serde::{Deserialize, Serialize};

/// How long rows gather before their last one is written down.
const BATCH: Duration = Duration::from_secs(1);

/// That a row with this mac was the trail's last at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub seq: u64,
    pub mac: Hash,
    pub at: Timestamp,
    signature: Hash,
}

impl Checkpoint {
    pub fn sign(key: &[u8; 32], seq: u64, mac: Hash, at: Timestamp) -> Self {
        Self { seq, mac, at, signature: signature(key, seq, &mac, at) }
    }

    pub fn is_signed(&self, key: &[u8; 32]) -> bool {
        self.signature == signature(key, self.seq, &self.mac, self.at)
    }
}

fn signature(key: &[u8; 32], seq: u64, mac: &Hash, at: Timestamp) -> Hash {
    sign(key, &[b"psyche.audit.checkpoint\0", &seq.to_be_bytes(), &mac.0, &at.micros().to_be_bytes()])
}

/// All checkpoints, by their rows.
pub fn load(path: &Path) -> io::Result<Vec<Checkpoint>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut found: Vec<Checkpoint> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    found.sort_by_key(|checkpoint| checkpoint.seq);
    Ok(found)
}

/// Writes checkpoints from its own thread, so that no commit waits for it.
#[derive(Debug)]
pub struct Checkpoints {
    to: Option<Sender<Checkpoint>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let (to, from) = channel();
        let thread = std::thread::Builder::new().name("psyche-checkpoints".into()).spawn(move || run(&path, &from))?;
        Ok(Self { to: Some(to), thread: Some(thread) })
    }

    pub fn note(&self, checkpoint: Checkpoint) {
        if let Some(to) = &self.to {
            // The thread ends only after this is dropped.
            let _ = to.send(checkpoint);
        }
    }
}

impl Drop for Checkpoints {
    /// Writes the last one.
    fn drop(&mut self) {
        self.to = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the audit checkpoints ended early; the last rows have none");
        }
    }
}

fn run(path: &Path, from: &Receiver<Checkpoint>) {
    while let Ok(mut last) = from.recv() {
        let mut open = true;
        let mut wait = BATCH;
        while open {
            match from.recv_timeout(wait) {
                Ok(next) => {
                    last = next;
                    wait = wait.saturating_sub(Duration::from_millis(50));
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        }
        if let Err(error) = append(path, &last) {
            tracing::error!(%error, path = %path.display(), "an audit checkpoint could not be written");
        }
    }
}

fn append(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let mut line = serde_json::to_string(checkpoint)?;
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}
