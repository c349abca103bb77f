//! Names of keys and channels, and how what is personal is sealed. docs/guide/cluster.md tells other tools of them.

use std::fmt;
use std::sync::Arc;

use psyche_core::audit::sign;
use psyche_core::ids::SessionId;
use psyche_core::port::Clock;
use psyche_core::seal::Key;

/// The braces keep a session's keys on one node of a cluster.
pub(super) fn of_session(session: SessionId, what: &str) -> String {
    format!("psyche:{{{session}}}:{what}")
}

/// The session of a channel of news.
pub(super) fn session_of(channel: &[u8]) -> Option<SessionId> {
    let channel = std::str::from_utf8(channel).ok()?;
    channel.strip_prefix("psyche:{")?.strip_suffix("}:news")?.parse().ok()
}

/// Seals what is personal under a key that follows from the master key.
#[derive(Clone)]
pub(super) struct Seal {
    key: Arc<Key>,
    clock: Arc<dyn Clock>,
}

impl Seal {
    pub fn new(master_key: &[u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self { key: Arc::new(Key::new(sign(master_key, &[b"psyche.redis"]).0)), clock }
    }

    /// What stands for a name that may tell of a person, such as an address.
    pub fn digest(&self, name: &str) -> String {
        hex::encode(&sign(self.key.bytes(), &[name.as_bytes()]).0[..16])
    }

    /// The name of its key or channel is bound to what is sealed.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        self.key.seal(self.clock.entropy(), name.as_bytes(), plain)
    }

    /// `None` when it was not sealed by this program under this name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.key.open(name.as_bytes(), sealed).map(|plain| plain.to_vec())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}
