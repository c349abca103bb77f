//! What was sent and what arrived: deliveries, latencies, and everything that must not happen.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::frames::Fields;
use crate::histogram::Histogram;
use crate::member::{Member, Role};

/// An event on its way to the readers.
#[derive(Clone, Copy, Debug)]
struct Flight {
    sent: u64,
    /// Readers that do not have it yet.
    missing: u32,
}

#[derive(Debug, Default)]
pub struct Session {
    flights: Vec<Flight>,
    pub in_flight: usize,
    /// The last event that any reader has: it is stored.
    newest: u64,
    /// Readers that are to get every event.
    pub audience: u32,
}

#[derive(Default)]
pub struct Tally {
    pub sessions: Vec<Session>,
    /// Events sent in this span count, and deliveries within it.
    pub window: (u64, u64),
    pub deliveries: u64,
    pub bytes: u64,
    /// Reads that brought readers something within the window.
    pub reads: u64,
    pub latency: Histogram,
    pub catch_up: Histogram,
    /// Length of the last frame of live text.
    pub frame_length: usize,

    /// An event the reader had already.
    pub doubled: u64,
    /// An event that came after a later one.
    pub reordered: u64,
    /// `prev` was not the event seen before.
    pub broken: u64,
    /// Snapshots where a cursor was given.
    pub snapshots: u64,
    pub acks: u64,
    pub other_frames: u64,
    pub closes: BTreeMap<u16, u64>,
    pub troubles: u64,
    first_trouble: Option<String>,
}

impl Tally {
    pub fn new(sessions: usize) -> Self {
        Self { sessions: (0..sessions).map(|_| Session::default()).collect(), ..Self::default() }
    }

    /// An event of a session is being sent: its number.
    pub fn send(&mut self, session: usize, now: u64) -> u64 {
        let session = &mut self.sessions[session];
        session.flights.push(Flight { sent: now, missing: session.audience });
        session.in_flight += 1;
        session.flights.len() as u64 - 1
    }

    /// The number the next event of a session will have.
    pub fn next(&self, session: usize) -> u64 {
        self.sessions[session].flights.len() as u64
    }

    pub fn newest(&self, session: usize) -> u64 {
        self.sessions[session].newest
    }

    /// A stored event came to a reader.
    pub fn event(&mut self, member: &mut Member, fields: &Fields, payload: &[u8], length: usize, now: u64) {
        let (Some(seq), Some(prev)) = (fields.seq(payload), fields.prev(payload)) else {
            return self.trouble(|| format!("an event without seq or prev: {}", String::from_utf8_lossy(payload)));
        };
        match member.last {
            Some(last) if seq <= last => {
                if member.fills_gap(seq) {
                    self.reordered += 1;
                } else {
                    self.doubled += 1;
                    return;
                }
            }
            Some(last) => {
                if prev != last {
                    self.broken += 1;
                    member.gaps.push((last + 1, seq - 1));
                }
                member.last = Some(seq);
            }
            None => {
                self.broken += u64::from(prev > member.cursor);
                member.last = Some(seq);
            }
        }
        member.cursor = member.cursor.max(seq);
        if matches!(member.role, Role::Driver | Role::Stalled | Role::Awake) {
            return;
        }
        let session = &mut self.sessions[member.session];
        session.newest = session.newest.max(seq);
        let flight = fields.mark(payload).and_then(|(number, _)| session.flights.get_mut(number as usize));
        let Some(flight) = flight.filter(|flight| flight.missing > 0) else {
            return self.trouble(|| format!("an event that was not sent: {}", String::from_utf8_lossy(payload)));
        };
        let sent = flight.sent;
        flight.missing -= 1;
        if flight.missing == 0 {
            session.in_flight -= 1;
        }
        self.delivered(sent, length, now);
        if let Some((began, goal)) = member.returning
            && seq >= goal
        {
            member.returning = None;
            self.catch_up.record(now - began);
        }
    }

    /// A piece of live text came to a reader. It may be left out under pressure, but never come twice or late.
    pub fn delta(&mut self, member: &mut Member, fields: &Fields, payload: &[u8], length: usize, now: u64) {
        let Some((_, sent)) = fields.mark(payload) else {
            // An opener of the cast, not a chunk of ours.
            self.other_frames += 1;
            return;
        };
        self.frame_length = length;
        match member.last {
            Some(last) if sent < last => self.reordered += 1,
            _ => member.last = Some(sent),
        }
        self.delivered(sent, length, now);
    }

    fn delivered(&mut self, sent: u64, length: usize, now: u64) {
        let (start, end) = self.window;
        if (start..end).contains(&now) {
            self.deliveries += 1;
            self.bytes += length as u64;
        }
        if (start..end).contains(&sent) {
            self.latency.record(now.saturating_sub(sent));
        }
    }

    pub fn read(&mut self, role: Role, now: u64) {
        let (start, end) = self.window;
        self.reads += u64::from(role == Role::Reader && (start..end).contains(&now));
    }

    /// A stream began or went on.
    pub fn joined(&mut self, member: &mut Member, now: u64) {
        if let Some((began, goal)) = member.returning
            && member.last.is_some_and(|last| last >= goal)
        {
            member.returning = None;
            self.catch_up.record(now - began);
        }
    }

    /// Events that some reader still misses, summed over readers.
    pub fn missing(&self) -> u64 {
        self.sessions.iter().flat_map(|s| &s.flights).map(|flight| u64::from(flight.missing)).sum()
    }

    pub fn in_flight(&self) -> usize {
        self.sessions.iter().map(|s| s.in_flight).sum()
    }

    pub fn closed_with(&mut self, code: u16) {
        *self.closes.entry(code).or_default() += 1;
    }

    pub fn trouble(&mut self, what: impl FnOnce() -> String) {
        self.troubles += 1;
        self.first_trouble.get_or_insert_with(what);
    }

    /// The first thing that must not happen, if anything did.
    pub fn check(&self) -> Outcome {
        match &self.first_trouble {
            None => Ok(()),
            Some(what) => Err(format!("{} times trouble, the first: {what}", self.troubles).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::marked_text;

    /// A reader that joined after event 10 and gets events (seq, prev); events 11 to 15 were sent.
    fn tally_of(events: &[(u64, u64)]) -> Tally {
        let mut tally = Tally::new(1);
        tally.sessions[0].audience = 1;
        for _ in 0..5 {
            tally.send(0, 1);
        }
        let mut member = Member { cursor: 10, ..Member::new(Role::Reader, 0) };
        for (seq, prev) in events {
            let text = marked_text(seq - 11, 1, 0);
            let json = format!(r#"{{"type":"annotation","seq":{seq},"prev":{prev},"text":"{text}"}}"#);
            tally.event(&mut member, &Fields::default(), json.as_bytes(), json.len(), 2);
        }
        tally
    }

    #[test]
    fn whatever_must_not_happen_is_counted() {
        type Case = (&'static str, &'static [(u64, u64)], [u64; 4]);
        const WHOLE: [(u64, u64); 5] = [(11, 9), (12, 11), (13, 12), (14, 13), (15, 14)];
        let cases: [Case; 6] = [
            ("in order", &WHOLE, [0, 0, 0, 0]),
            ("the end is lost", &[(11, 9), (12, 11), (13, 12)], [2, 0, 0, 0]),
            ("one is lost", &[(11, 9), (13, 12), (14, 13), (15, 14)], [1, 0, 0, 1]),
            ("one comes twice", &[(11, 9), (12, 11), (12, 11), (13, 12), (14, 13), (15, 14)], [0, 1, 0, 0]),
            ("two change places", &[(11, 9), (13, 12), (12, 11), (14, 13), (15, 14)], [0, 0, 1, 1]),
            ("the first is not the next", &[(12, 11), (13, 12), (14, 13), (15, 14)], [1, 0, 0, 1]),
        ];
        for (what, events, expected) in cases {
            let tally = tally_of(events);
            let counted = [tally.missing(), tally.doubled, tally.reordered, tally.broken];
            assert_eq!(counted, expected, "{what}: lost, doubled, reordered, wrong prev");
            assert!(tally.check().is_ok(), "{what}");
        }
    }

    #[test]
    fn an_event_that_nobody_sent_is_trouble() {
        assert!(tally_of(&[(11, 9), (16, 15)]).check().is_err());
    }

    #[test]
    fn deliveries_count_within_the_window_alone() {
        let mut tally = Tally { window: (5, 10), ..Tally::new(1) };
        for (sent, now) in [(1, 4), (4, 6), (5, 9), (9, 12), (10, 13)] {
            tally.delivered(sent, 600, now);
        }
        assert_eq!((tally.deliveries, tally.bytes, tally.latency.count()), (2, 1_200, 2));
    }
}
