//! The bus and expiring values in Redis, for several replicas. Whatever Redis does, nothing is lost: news come from the log
//! a little later, and counts go on in each replica by itself.
//!
//! - One multiplexed connection serves everything; answers are waited for half a second (`link.rs`).
//! - News of a session are said on a channel of its own, sealed; in a cluster on that of its shard (`bus.rs`).
//! - Agents' states, conversations and measures are laid beside it for other tools (`shelf.rs`).

mod address;
mod bus;
mod ephemeral;
mod keys;
mod link;
mod shelf;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use psyche_core::port::Clock;

use crate::LocalEphemeral;
use address::Address;
use bus::Outbox;
use keys::Seal;
use link::Link;

pub use address::AddressError;
pub use bus::RedisBus;
pub use ephemeral::RedisEphemeral;

/// How to reach Redis, and what is done with it.
#[derive(Clone)]
pub struct Options {
    /// `redis://…`, `redis+cluster://…` or `redis+sentinel://…`; `rediss` for TLS.
    pub url: String,
    /// The certificate of who signed the server's, in PEM; the system's trusted ones without.
    pub ca: Option<Vec<u8>>,
    /// What is personal is sealed under a key that follows from this one. The same for all replicas.
    pub master_key: [u8; 32],
    pub clock: Arc<dyn Clock>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

impl Options {
    /// Half a second of patience.
    pub fn new(url: String, master_key: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self { url, ca: None, master_key, clock, patience: Duration::from_millis(500) }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Options").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// Whether a URL can name a Redis; nothing is connected.
pub fn check(url: &str) -> Result<(), AddressError> {
    Address::read(url, None).map(drop)
}

/// A connection to Redis, and what is built on it. Call within a tokio runtime.
#[derive(Clone, Debug)]
pub struct Redis {
    link: Link,
    bus: RedisBus,
    seal: Seal,
}

impl Redis {
    /// Begins to connect. Redis need not be there: everything works without it, only slower.
    pub fn start(options: Options) -> Result<Self, AddressError> {
        let address = Address::read(&options.url, options.ca)?;
        let me = options.clock.uuid();
        let seal = Seal::new(&options.master_key, options.clock);
        let outbox = Arc::new_cyclic(|outbox: &Weak<Outbox>| {
            let heard = {
                let outbox = Weak::clone(outbox);
                move |channel: &[u8], message: &[u8]| {
                    if let Some(outbox) = outbox.upgrade() {
                        outbox.heard(channel, message);
                    }
                }
            };
            Outbox::new(me, seal.clone(), Link::start(address, options.patience, heard))
        });
        Ok(Self { link: outbox.link().clone(), bus: RedisBus::start(outbox), seal })
    }

    pub fn bus(&self) -> RedisBus {
        self.bus.clone()
    }

    /// Expiring values of one kind. While Redis is away `otherwise` keeps them, for this process alone.
    pub fn ephemeral(&self, kind: &'static str, otherwise: LocalEphemeral) -> RedisEphemeral {
        RedisEphemeral::new(kind, self.link.clone(), self.seal.clone(), otherwise)
    }
}
