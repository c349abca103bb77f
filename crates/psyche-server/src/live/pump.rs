//! A pump: what the links of one channel share, and the passes that write it to all of them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

use super::lane::Lane;
use super::link::{Link, Pass, Patience};

/// Links written to before others may run: about half a millisecond.
const AT_A_TIME: usize = 100;

/// The shared part: what is never stored, and the door for links.
#[derive(Default)]
pub struct Channel {
    pub lane: Lane,
    /// Cancelled when there is nothing to follow any more.
    pub gone: CancellationToken,
    changed: Notify,
    joining: Mutex<Vec<Arc<Link>>>,
}

impl Channel {
    /// The pump writes to the link from the next pass on, once it is live.
    pub fn join(&self, link: Arc<Link>) {
        self.joining.lock().unwrap_or_else(PoisonError::into_inner).push(link);
    }

    /// Something is new.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

pub struct Pump {
    channel: Arc<Channel>,
    links: Vec<Arc<Link>>,
    /// Where the pass under way goes on.
    at: usize,
    patience: Patience,
}

impl Pump {
    pub fn new(channel: Arc<Channel>, patience: Patience) -> Self {
        Self { channel, links: Vec::new(), at: 0, patience }
    }

    /// Begins a pass: every live link is written to once, with all that is new then.
    pub fn begin(&mut self) {
        self.admit();
        self.at = 0;
    }

    /// Writes to the next links. True when the pass is whole. Others may run in between, and what they bring goes out
    /// with the links still to come.
    pub fn step(&mut self, metrics: &Metrics) -> bool {
        let mut pass = Pass::new(&self.channel.lane, metrics);
        let end = self.at + AT_A_TIME;
        while self.at < end {
            let Some(link) = self.links.get(self.at) else { return true };
            if link.pass(&mut pass) {
                self.links.swap_remove(self.at);
            } else {
                self.at += 1;
            }
        }
        false
    }

    /// Rings for the task of every link.
    pub fn ring(&mut self, errand: u8) {
        self.admit();
        self.links.iter().for_each(|link| link.ring(errand));
    }

    /// Does what has become due for each link.
    pub fn sweep(&mut self) {
        self.admit();
        let now = Instant::now();
        self.links.retain(|link| !link.sweep(now, self.patience));
    }

    fn admit(&mut self) {
        let mut joining = self.channel.joining.lock().unwrap_or_else(PoisonError::into_inner);
        self.links.append(&mut joining);
    }
}
