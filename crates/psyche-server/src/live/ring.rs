//! The ring: the last events of one view of one session as ready frames, shared by all its readers.
//!
//! A reader is a position in the log; it has no queue here. The event log is the ring's extension backwards. One lock,
//! held for pushing or copying a handful of reference-counted frames, never across an await.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::frame;

/// One stored event, encoded for this view: a complete WebSocket frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub seq: u64,
    pub bytes: Bytes,
}

/// What comes after a reader's position.
#[derive(Debug, PartialEq)]
pub enum Pending {
    /// Frames in order, and the position in the log once they are sent. Events the view leaves out move it too.
    Frames { frames: Vec<Frame>, position: u64 },
    /// The position is older than the ring: read the log.
    Older,
    /// The position is of another generation: the past itself changed.
    Rewound,
}

#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    pub events: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Ring {
    capacity: Capacity,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    generation: u32,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Every event of the view after this one, up to `head`, is in `frames`.
    floor: u64,
    head: u64,
    /// The last event of the view, in the ring or before it; 0 when there is none.
    last: u64,
}

impl Ring {
    /// An empty ring at `head`; `last` is the view's last event up to there.
    pub fn new(capacity: Capacity, generation: u32, head: u64, last: u64) -> Self {
        let inner = Inner { generation, frames: VecDeque::new(), bytes: 0, floor: head, head, last };
        Self { capacity, inner: Mutex::new(inner) }
    }

    /// Adds the event `seq` of the view. `encode` gets the `prev` of its frame.
    pub fn push(&self, seq: u64, encode: impl FnOnce(u64) -> String) {
        let mut inner = self.lock();
        if seq <= inner.head {
            return;
        }
        let bytes = frame::text(&encode(inner.last));
        inner.bytes += bytes.len();
        inner.frames.push_back(Frame { seq, bytes });
        inner.head = seq;
        inner.last = seq;
        while inner.frames.len() > 1 && (inner.frames.len() > self.capacity.events || inner.bytes > self.capacity.bytes)
        {
            if let Some(old) = inner.frames.pop_front() {
                inner.bytes -= old.bytes.len();
                inner.floor = old.seq;
            }
        }
    }

    /// The event `seq` is not of this view.
    pub fn pass(&self, seq: u64) {
        let mut inner = self.lock();
        inner.head = inner.head.max(seq);
    }

    /// The past itself changed: nothing here is true any more.
    pub fn restart(&self, generation: u32, head: u64, last: u64) {
        *self.lock() = Inner { generation, frames: VecDeque::new(), bytes: 0, floor: head, head, last };
    }

    /// What follows `position` of `generation`: at most `most` frames, and no more once `bytes` are reached.
    pub fn after(&self, generation: u32, position: u64, most: usize, bytes: usize) -> Pending {
        let inner = self.lock();
        if generation != inner.generation {
            return Pending::Rewound;
        }
        if position < inner.floor {
            return Pending::Older;
        }
        let from = inner.frames.partition_point(|frame| frame.seq <= position);
        let mut frames = Vec::new();
        let mut size = 0;
        for frame in inner.frames.range(from..) {
            if frames.len() >= most || size >= bytes {
                let position = frames.last().map_or(position, |f: &Frame| f.seq);
                return Pending::Frames { frames, position };
            }
            size += frame.bytes.len();
            frames.push(frame.clone());
        }
        Pending::Frames { frames, position: inner.head.max(position) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Capacity = Capacity { events: 1000, bytes: 1 << 20 };

    fn text(seq: u64) -> impl FnOnce(u64) -> String {
        move |prev| format!("{prev}<{seq}")
    }

    fn seqs(pending: &Pending) -> Vec<u64> {
        match pending {
            Pending::Frames { frames, .. } => frames.iter().map(|f| f.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reader_gets_everything_once_and_in_order_wherever_it_stands() {
        let ring = Ring::new(ROOMY, 1, 10, 10);
        for seq in 11..=20 {
            ring.push(seq, text(seq));
        }
        for position in 10..=20 {
            assert_eq!(seqs(&ring.after(1, position, 100, 1 << 20)), (position + 1..=20).collect::<Vec<_>>());
        }
        assert_eq!(ring.after(1, 9, 100, 1 << 20), Pending::Older);
        assert_eq!(ring.after(1, 25, 100, 1), Pending::Frames { frames: vec![], position: 25 });
    }

    #[test]
    fn batches_end_at_their_limits_and_the_next_goes_on() {
        let ring = Ring::new(ROOMY, 1, 0, 0);
        for seq in 1..=10 {
            ring.push(seq, text(seq));
        }
        let mut position = 0;
        let mut seen = Vec::new();
        loop {
            let pending = ring.after(1, position, 3, 1 << 20);
            let Pending::Frames { frames, position: next } = pending else { panic!("older") };
            if frames.is_empty() {
                break;
            }
            assert!(frames.len() <= 3);
            seen.extend(frames.iter().map(|f| f.seq));
            position = next;
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        assert_eq!(seqs(&ring.after(1, 0, 100, 1)), [1], "one frame always fits");
    }

    #[test]
    fn events_outside_the_view_move_the_position_and_prev_skips_them() {
        let ring = Ring::new(ROOMY, 1, 4, 2);
        ring.pass(5);
        ring.push(6, text(6));
        ring.pass(7);
        ring.pass(8);
        ring.push(9, text(9));
        ring.pass(10);
        let Pending::Frames { frames, position } = ring.after(1, 4, 100, 1 << 20) else { panic!("older") };
        let texts: Vec<_> = frames.iter().map(|f| &f.bytes[2..]).collect();
        assert_eq!(texts, [b"2<6", b"6<9"]);
        assert_eq!(position, 10);
        assert_eq!(ring.after(1, 9, 100, 1 << 20), Pending::Frames { frames: vec![], position: 10 });
    }

    #[test]
    fn the_oldest_leave_first_and_a_reader_behind_them_is_told() {
        let by_count = Ring::new(Capacity { events: 3, bytes: 1 << 20 }, 1, 0, 0);
        let by_size = Ring::new(Capacity { events: 1000, bytes: 17 }, 1, 0, 0);
        for ring in [by_count, by_size] {
            for seq in 1..=9 {
                ring.push(seq, text(seq));
            }
            assert_eq!(ring.after(1, 5, 100, 1 << 20), Pending::Older);
            assert_eq!(seqs(&ring.after(1, 6, 100, 1 << 20)), [7, 8, 9]);
        }
    }

    #[test]
    fn news_that_came_twice_is_kept_once() {
        let ring = Ring::new(ROOMY, 1, 0, 0);
        for seq in [1, 2, 2, 1, 3] {
            ring.push(seq, text(seq));
        }
        let Pending::Frames { frames, .. } = ring.after(1, 0, 100, 1 << 20) else { panic!("older") };
        let texts: Vec<_> = frames.iter().map(|f| &f.bytes[2..]).collect();
        assert_eq!(texts, [b"0<1", b"1<2", b"2<3"]);
    }

    #[test]
    fn another_generation_empties_the_ring() {
        let ring = Ring::new(ROOMY, 1, 0, 0);
        ring.push(1, text(1));
        ring.restart(2, 1, 1);
        assert_eq!(ring.after(1, 1, 100, 1 << 20), Pending::Rewound);
        assert_eq!(ring.after(2, 0, 100, 1 << 20), Pending::Older);
        assert_eq!(seqs(&ring.after(2, 1, 100, 1 << 20)), Vec::<u64>::new());
    }
}
