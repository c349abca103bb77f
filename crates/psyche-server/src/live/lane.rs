//! The lane of what is never stored: live tokens, who is speaking, presence, status. Never replayed, dropped first.
//!
//! Tokens and activity pass through a small ring; a reader that falls off it simply misses them. Presence and status
//! supersede each other: only the newest is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::frame;

const CAPACITY: usize = 256;
/// A reader with more than this waiting gets none of it.
const PRESSURE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Live tokens: readers may decline them.
    Delta,
    /// Other frames, by type.
    Kind(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    index: u64,
    /// It was shown after this event and belongs between it and the next.
    pub after: u64,
    pub class: Class,
    /// A complete WebSocket frame.
    pub bytes: Bytes,
}

/// Frames of which only the newest counts.
#[derive(Clone, Copy, Debug)]
pub enum Slot {
    Presence,
    Status,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCursor {
    next: u64,
    slots: [u64; 2],
}

#[derive(Debug, Default)]
pub struct Lane(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    next: u64,
    slots: [(u64, Bytes); 2],
}

impl Lane {
    pub fn push(&self, after: u64, class: Class, text: &str) {
        let mut inner = self.lock();
        let index = inner.next;
        inner.next += 1;
        inner.items.push_back(Item { index, after, class, bytes: frame::text(text) });
        if inner.items.len() > CAPACITY {
            inner.items.pop_front();
        }
    }

    pub fn set(&self, slot: Slot, text: &str) {
        let (version, held) = &mut self.lock().slots[slot as usize];
        *version += 1;
        *held = frame::text(text);
    }

    /// A reader that joins sees what comes from now on, and the newest of each slot.
    pub fn join(&self) -> LaneCursor {
        LaneCursor { next: self.lock().next, slots: [0; 2] }
    }

    /// The newest of each slot that the reader has not seen.
    pub fn slots(&self, cursor: &mut LaneCursor) -> Vec<(Slot, Bytes)> {
        let inner = self.lock();
        let mut fresh = Vec::new();
        for slot in [Slot::Presence, Slot::Status] {
            let (version, bytes) = &inner.slots[slot as usize];
            if *version > cursor.slots[slot as usize] {
                cursor.slots[slot as usize] = *version;
                fresh.push((slot, bytes.clone()));
            }
        }
        fresh
    }

    /// Items up to what was shown after event `position`, and how many were lost to pressure.
    pub fn items(&self, cursor: &mut LaneCursor, position: u64, pressed: bool) -> (Vec<Item>, u64) {
        let inner = self.lock();
        let waiting = inner.next - cursor.next;
        if pressed || waiting as usize > PRESSURE {
            cursor.next = inner.next;
            return (Vec::new(), waiting);
        }
        let fits = |item: &&Item| item.index >= cursor.next && item.after <= position;
        let items: Vec<_> = inner.items.iter().filter(fits).cloned().collect();
        if let Some(last) = items.last() {
            cursor.next = last.index + 1;
        }
        (items, 0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(items: &[Item]) -> Vec<&str> {
        items.iter().map(|i| std::str::from_utf8(&i.bytes[2..]).unwrap()).collect()
    }

    #[test]
    fn nothing_is_replayed_and_nothing_is_shown_before_its_place() {
        let lane = Lane::default();
        lane.push(3, Class::Delta, "before");
        let mut cursor = lane.join();
        lane.push(3, Class::Delta, "a");
        lane.push(5, Class::Delta, "b");
        assert_eq!(texts(&lane.items(&mut cursor, 4, false).0), ["a"]);
        assert!(lane.items(&mut cursor, 4, false).0.is_empty());
        assert_eq!(texts(&lane.items(&mut cursor, 5, false).0), ["b"]);
    }

    #[test]
    fn a_reader_under_pressure_loses_them() {
        let lane = Lane::default();
        let (mut slow, mut swamped) = (lane.join(), lane.join());
        lane.push(0, Class::Delta, "x");
        assert_eq!(lane.items(&mut slow, 0, true), (vec![], 1));
        for n in 0..PRESSURE {
            lane.push(0, Class::Delta, &n.to_string());
        }
        assert_eq!(lane.items(&mut swamped, 0, false), (vec![], PRESSURE as u64 + 1));
        lane.push(0, Class::Delta, "next");
        assert_eq!(texts(&lane.items(&mut swamped, 0, false).0), ["next"]);
    }

    #[test]
    fn of_a_slot_only_the_newest_is_seen_once() {
        let lane = Lane::default();
        let mut cursor = lane.join();
        lane.set(Slot::Presence, "one");
        lane.set(Slot::Presence, "two");
        let fresh = lane.slots(&mut cursor);
        assert_eq!(fresh.len(), 1);
        assert_eq!(fresh[0].1[2..], *b"two");
        assert!(lane.slots(&mut cursor).is_empty());
    }
}
