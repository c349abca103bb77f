//! One socket of the swarm.

use std::net::TcpStream;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Reader,
    /// A reader that reads nothing once it is live.
    Stalled,
    /// A stalled reader that reads again; what it gets is not counted.
    Awake,
    /// Sends annotations over its WebSocket.
    Driver,
    /// Sends annotations over kept HTTP connections, one at a time on each.
    Http,
    /// Gives events to a floor.
    Control,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Closed,
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// Authenticated and subscribing: the stream has not begun.
    Joining,
    Live,
}

#[derive(Debug)]
pub struct Member {
    pub role: Role,
    pub session: usize,
    /// Path of the WebSocket; empty for plain TCP.
    pub path: String,
    /// Where a floor takes its events; the others use the swarm's port.
    pub port: u16,
    pub token: String,
    /// `events` of the subscription.
    pub events: &'static str,
    pub deltas: bool,
    /// Whether the stream begins with a snapshot instead of a cursor.
    pub cold: bool,

    pub phase: Phase,
    pub stream: Option<TcpStream>,
    /// The beginning of a frame whose rest has not come yet.
    pub partial: Vec<u8>,
    pub unsent: Vec<u8>,
    /// An HTTP request is under way.
    pub busy: bool,

    pub generation: u64,
    /// Where to go on after a cut.
    pub cursor: u64,
    /// The last event that was seen.
    pub last: Option<u64>,
    /// Events that were skipped, first and last: should they still come, their order was wrong.
    pub gaps: Vec<(u64, u64)>,
    /// Since when it comes back, and the event that makes it caught up.
    pub returning: Option<(u64, u64)>,
    /// What the server's `bye` said.
    pub retry_ms: Option<u64>,
}

impl Member {
    pub fn new(role: Role, session: usize) -> Self {
        Self {
            role,
            session,
            path: String::new(),
            port: 0,
            token: String::new(),
            events: "annotation",
            deltas: false,
            cold: false,
            phase: Phase::Closed,
            stream: None,
            partial: Vec::new(),
            unsent: Vec::new(),
            busy: false,
            generation: 1,
            cursor: 0,
            last: None,
            gaps: Vec::new(),
            returning: None,
            retry_ms: None,
        }
    }

    /// A connection begins. `newest` is the last event known to be stored.
    pub fn begin(&mut self, stream: TcpStream, newest: u64) {
        if self.last.is_some() {
            self.returning = Some((crate::machine::now(), newest));
        }
        self.stream = Some(stream);
        self.phase = Phase::Connecting;
        self.partial.clear();
        self.unsent.clear();
        self.busy = false;
        self.retry_ms = None;
    }

    /// The first message, where there is one.
    pub fn auth(&self) -> Option<String> {
        if self.token.is_empty() {
            return None;
        }
        let Self { token, events, deltas, generation, cursor, .. } = self;
        let cursor = if self.cold && self.last.is_none() {
            String::new()
        } else {
            format!(r#","cursor":{{"gen":{generation},"seq":{cursor}}}"#)
        };
        Some(format!(
            r#"{{"type":"auth","token":"{token}","subscribe":{{"events":["{events}"],"deltas":{deltas}{cursor}}}}}"#
        ))
    }

    /// Whether `seq` was missing until now.
    pub fn fills_gap(&mut self, seq: u64) -> bool {
        let Some(at) = self.gaps.iter().position(|(first, last)| (*first..=*last).contains(&seq)) else { return false };
        let (first, last) = self.gaps.swap_remove(at);
        if first < seq {
            self.gaps.push((first, seq - 1));
        }
        if seq < last {
            self.gaps.push((seq + 1, last));
        }
        true
    }
}
