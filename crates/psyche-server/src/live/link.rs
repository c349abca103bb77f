//! A link: one socket's way out, a position in what its readers share, and who may write to it now.
//!
//! A link is *live* when it has everything: then the pump writes to it, one write for all that is new. A link that is
//! behind, or whose socket takes no more, is on its *own*: its task reads on where the ring ends and waits for the
//! socket, and nobody else waits for it. Whoever writes holds the lock, and never across an await.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::SendFlags;
use serde_json::json;
use socket2::SockRef;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::Metrics;

use super::frame;
use super::lane::{Class, Lane, LaneCursor, Slot};
use super::ring::{Pending, Ring};
use super::stream::Stream;
use super::view::View;

const FRAMES_PER_WRITE: usize = 256;
pub const BYTES_PER_WRITE: usize = 64 * 1024;
/// Answers that may wait for a client that does not read them.
const ANSWERS: usize = 256 * 1024;
/// Bytes the kernel keeps for a socket (it takes twice as much, for its own account).
const SEND_BUFFER: usize = 64 * 1024;
const POSITION_EVERY: Duration = Duration::from_secs(1);
const WARN_BEFORE: Duration = Duration::from_mins(1);

/// What a link's task is woken for.
pub mod errand {
    /// Read on alone: behind, blocked, or the past changed.
    pub const CATCH_UP: u8 = 1;
    /// Rights may have changed.
    pub const RECHECK: u8 = 2;
    /// The access token ends soon.
    pub const WARN: u8 = 4;
    /// It has ended.
    pub const EXPIRED: u8 = 8;
    /// Nothing was taken for too long.
    pub const TOO_SLOW: u8 = 16;
    /// Not even a pong came.
    pub const DEAD: u8 = 32;
}

/// What a link reads from; by default from what is never stored, without tokens.
#[derive(Clone, Default)]
pub struct Source {
    /// Absent where nothing is stored.
    pub stored: Option<(View, Arc<Ring>)>,
    /// Whether live tokens are wanted.
    pub deltas: bool,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    pub generation: u32,
    pub position: u64,
    /// The last event of the view at or before `position`, once it is known.
    pub last: Option<u64>,
    pub lane: LaneCursor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Own,
    Live,
    Over,
}

/// How writing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything there is was written.
    UpToDate,
    /// The socket takes no more now.
    Blocked,
    /// The position is older than the ring.
    Older,
    /// The past itself changed.
    Rewound,
    /// The client went.
    Gone,
}

/// Times at which the pump does something for a link.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A socket that takes nothing for this long is cut.
    pub stall: Duration,
    pub ping_every: Duration,
}

pub struct Link {
    pub stream: Stream,
    bell: Notify,
    errands: AtomicU8,
    out: Mutex<Out>,
}

struct Out {
    stage: Stage,
    /// What is to be written before anything else. The first may be what is left of a frame.
    queue: VecDeque<Bytes>,
    source: Source,
    place: Place,
    told_position: u64,
    told_at: Instant,
    /// The last time a full socket took something; `None` while it is not full.
    blocked: Option<Instant>,
    heard: Instant,
    pinged: Instant,
    expires: Option<Instant>,
    warned: bool,
    /// Rights are to be looked at again.
    recheck: bool,
    closing: bool,
}

/// Pieces of work that many links share within one pass: readers at one place get the same bytes.
pub struct Pass<'a> {
    lane: &'a Lane,
    metrics: &'a Metrics,
    batches: Vec<(Key, Batch)>,
}

#[derive(PartialEq)]
struct Key {
    ring: usize,
    deltas: bool,
    place: Place,
}

/// All that one write is to carry, and the place after it.
#[derive(Clone)]
struct Batch {
    bytes: Bytes,
    frames: u64,
    /// Live frames that pressure cost.
    lost: u64,
    place: Place,
    more: bool,
}

impl<'a> Pass<'a> {
    pub fn new(lane: &'a Lane, metrics: &'a Metrics) -> Self {
        Self { lane, metrics, batches: Vec::new() }
    }

    fn batch(&mut self, source: &Source, place: Place, pressed: bool) -> Result<Batch, Flow> {
        let ring = source.stored.as_ref().map_or(0, |(_, ring)| Arc::as_ptr(ring).addr());
        let key = Key { ring, deltas: source.deltas, place };
        if !pressed && let Some((_, batch)) = self.batches.iter().rev().find(|(k, _)| *k == key) {
            return Ok(batch.clone());
        }
        let batch = self.gather(source, place, pressed)?;
        if !pressed {
            self.batches.push((key, batch.clone()));
        }
        Ok(batch)
    }

    /// What follows a place, the stored and the live in the order in which they happened.
    fn gather(&self, source: &Source, mut place: Place, pressed: bool) -> Result<Batch, Flow> {
        let mut out = Joined::default();
        let mut more = false;
        let mut frames = Vec::new();
        if let Some((_, ring)) = &source.stored {
            match ring.after(place.generation, place.position, FRAMES_PER_WRITE, BYTES_PER_WRITE) {
                Pending::Frames { frames: pending, position } => {
                    more = pending.len() >= FRAMES_PER_WRITE
                        || pending.iter().map(|f| f.bytes.len()).sum::<usize>() >= BYTES_PER_WRITE;
                    place.position = position;
                    frames = pending;
                }
                Pending::Older => return Err(Flow::Older),
                Pending::Rewound => return Err(Flow::Rewound),
            }
        }
        if let Some(frame) = frames.last() {
            place.last = Some(frame.seq);
        }
        let wants = |kind| source.stored.as_ref().is_none_or(|(view, _)| view.wants(kind));
        let (items, lost) = self.lane.items(&mut place.lane, place.position, pressed);
        let mut frames = frames.into_iter().peekable();
        for item in items {
            while let Some(frame) = frames.next_if(|frame| frame.seq <= item.after) {
                out.add(frame.bytes);
            }
            let wanted = match item.class {
                Class::Delta => source.deltas,
                Class::Kind(kind) => wants(kind),
            };
            if wanted {
                out.add(item.bytes);
            }
        }
        frames.for_each(|frame| out.add(frame.bytes));
        for (slot, bytes) in self.lane.slots(&mut place.lane) {
            if matches!(slot, Slot::Presence) || wants("system_status") {
                out.add(bytes);
            }
        }
        Ok(Batch { frames: out.frames, bytes: out.finish(), lost, place, more })
    }
}

/// Frames one after the other. A single one is not copied.
#[derive(Default)]
struct Joined {
    first: Bytes,
    rest: BytesMut,
    frames: u64,
}

impl Joined {
    fn add(&mut self, bytes: Bytes) {
        match self.frames {
            0 => self.first = bytes,
            n => {
                if n == 1 {
                    self.rest.extend_from_slice(&self.first);
                }
                self.rest.extend_from_slice(&bytes);
            }
        }
        self.frames += 1;
    }

    fn finish(self) -> Bytes {
        if self.frames > 1 { self.rest.freeze() } else { self.first }
    }
}

impl Link {
    pub fn new(stream: Stream) -> Self {
        // Events are small. A reader that stalls is to cost little memory of the kernel's too.
        let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        let now = Instant::now();
        let out = Out {
            stage: Stage::Own,
            queue: VecDeque::new(),
            source: Source::default(),
            place: Place::default(),
            told_position: 0,
            told_at: now,
            blocked: None,
            heard: now,
            pinged: now,
            expires: None,
            warned: false,
            recheck: false,
            closing: false,
        };
        Self { stream, bell: Notify::new(), errands: AtomicU8::new(0), out: Mutex::new(out) }
    }

    /// Rings for the link's task.
    pub fn ring(&self, errand: u8) {
        self.errands.fetch_or(errand, Ordering::AcqRel);
        self.bell.notify_one();
    }

    /// Waits for the bell and takes what it was rung for.
    pub async fn errands(&self) -> u8 {
        loop {
            let errands = self.errands.swap(0, Ordering::AcqRel);
            if errands != 0 {
                return errands;
            }
            self.bell.notified().await;
        }
    }

    /// Takes the link away from the pump; where it stands.
    pub fn hold(&self) -> Place {
        let mut out = self.out();
        out.stage = Stage::Own;
        out.place
    }

    /// Gives the link something to read, from a place on. It is on its own until it has caught up.
    pub fn read_from(&self, source: Source, place: Place) {
        let mut out = self.out();
        out.stage = Stage::Own;
        out.told_position = place.position;
        (out.source, out.place) = (source, place);
    }

    pub fn source(&self) -> Source {
        self.out().source.clone()
    }

    /// Writes something of its own, after what waits.
    pub fn say(&self, frame: Bytes, metrics: &Metrics) -> Flow {
        let mut out = self.out();
        if out.closing || out.stage == Stage::Over {
            return Flow::Gone;
        }
        metrics.frames_sent.fetch_add(1, Ordering::Relaxed);
        if out.queue.iter().map(Bytes::len).sum::<usize>() > ANSWERS {
            self.ring(errand::TOO_SLOW);
            return Flow::Blocked;
        }
        out.queue.push_back(frame);
        let flow = self.flush(&mut out);
        if flow != Flow::UpToDate && out.stage == Stage::Live {
            out.stage = Stage::Own;
        }
        flow
    }

    /// Writes what took longer than the link's task could wait for.
    pub fn say_late(&self, frame: Bytes, metrics: &Metrics) {
        if !matches!(self.say(frame, metrics), Flow::UpToDate | Flow::Gone) {
            self.ring(errand::CATCH_UP);
        }
    }

    /// The goodbye: from here on nothing else is written.
    pub fn last_words(&self, frame: Bytes) {
        let mut out = self.out();
        (out.stage, out.closing) = (Stage::Own, true);
        out.source = Source::default();
        out.queue.push_back(frame);
        let _ = self.flush(&mut out);
    }

    /// Rights could not be looked at: with the next tick again.
    pub fn recheck_later(&self) {
        self.out().recheck = true;
    }

    /// Writes frames that were read from the log, after which the link stands at `place`.
    pub fn catch_up_with(&self, frames: &[Bytes], place: Place, metrics: &Metrics) {
        metrics.frames_sent.fetch_add(frames.len() as u64, Ordering::Relaxed);
        let mut joined = Joined::default();
        for frame in frames {
            joined.add(frame.clone());
        }
        let mut out = self.out();
        out.queue.push_back(joined.finish());
        // What was live meanwhile has its place among events that are long past: it is left out.
        out.place = place;
    }

    /// Goes on alone. When everything is written, the link is live from then on.
    pub fn advance(&self, pass: &mut Pass<'_>) -> Flow {
        let mut out = self.out();
        let flow = self.write_on(&mut out, pass);
        out.stage = if flow == Flow::UpToDate { Stage::Live } else { Stage::Own };
        flow
    }

    /// Whether the socket took not all it was given.
    pub fn is_blocked(&self) -> bool {
        self.out().blocked.is_some()
    }

    /// Writes what is queued only.
    pub fn flush_queue(&self) -> Flow {
        let mut out = self.out();
        out.stage = Stage::Own;
        self.flush(&mut out)
    }

    /// One link's share of a pass. True when the link is over.
    pub fn pass(&self, pass: &mut Pass<'_>) -> bool {
        let mut out = self.out();
        match out.stage {
            Stage::Over => return true,
            Stage::Own => return false,
            Stage::Live => {}
        }
        if self.write_on(&mut out, pass) != Flow::UpToDate {
            out.stage = Stage::Own;
            drop(out);
            self.ring(errand::CATCH_UP);
        }
        false
    }

    /// Does what has become due. True when the link is over.
    pub fn sweep(&self, now: Instant, patience: Patience) -> bool {
        let mut out = self.out();
        if out.stage == Stage::Over {
            return true;
        }
        if out.closing {
            return false;
        }
        let mut errands = if std::mem::take(&mut out.recheck) { errand::RECHECK } else { 0 };
        if out.blocked.is_some_and(|since| now - since >= patience.stall) {
            errands |= errand::TOO_SLOW;
        }
        if now - out.heard > patience.ping_every * 2 + patience.stall {
            errands |= errand::DEAD;
        }
        if out.expires.is_some_and(|at| now >= at) {
            errands |= errand::EXPIRED;
        } else if !out.warned && out.expires.is_some_and(|at| now + WARN_BEFORE >= at) {
            out.warned = true;
            errands |= errand::WARN;
        }
        if now - out.pinged >= patience.ping_every {
            out.pinged = now;
            out.queue.push_back(frame::ping());
        }
        if out.stage == Stage::Live {
            if let Some(position) = out.position_due(now) {
                out.queue.push_back(position);
            }
            if !out.queue.is_empty() && self.flush(&mut out) != Flow::UpToDate {
                out.stage = Stage::Own;
                errands |= errand::CATCH_UP;
            }
        }
        drop(out);
        if errands != 0 {
            self.ring(errands);
        }
        false
    }

    /// Something came from the client.
    pub fn heard(&self) {
        self.out().heard = Instant::now();
    }

    /// When the access token ends.
    pub fn expires(&self, at: Instant) {
        let mut out = self.out();
        (out.expires, out.warned) = (Some(at), false);
    }

    /// Nobody writes to it any more.
    pub fn over(&self) {
        let mut out = self.out();
        out.stage = Stage::Over;
        out.queue.clear();
        out.source.stored = None;
        drop(out);
        // The pump still holds the socket for a moment, and the client waits for its end.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }

    fn write_on(&self, out: &mut Out, pass: &mut Pass<'_>) -> Flow {
        loop {
            let pressed = out.blocked.is_some();
            match self.flush(out) {
                Flow::UpToDate => {}
                other => return other,
            }
            let batch = match pass.batch(&out.source, out.place, pressed) {
                Ok(batch) => batch,
                Err(flow) => return flow,
            };
            out.place = batch.place;
            pass.metrics.live_dropped.fetch_add(batch.lost, Ordering::Relaxed);
            if !batch.bytes.is_empty() {
                pass.metrics.frames_sent.fetch_add(batch.frames, Ordering::Relaxed);
                match self.write(&batch.bytes) {
                    Ok(written) if written == batch.bytes.len() => {}
                    Ok(written) => {
                        out.queue.push_back(batch.bytes.slice(written..));
                        out.blocked = Some(Instant::now());
                        return Flow::Blocked;
                    }
                    Err(_) => return Flow::Gone,
                }
            }
            if !batch.more {
                return Flow::UpToDate;
            }
        }
    }

    fn flush(&self, out: &mut Out) -> Flow {
        while let Some(front) = out.queue.front_mut() {
            match self.write(front) {
                Ok(0) if !front.is_empty() => {
                    out.blocked.get_or_insert_with(Instant::now);
                    return Flow::Blocked;
                }
                Ok(written) if written < front.len() => {
                    front.advance(written);
                    out.blocked = Some(Instant::now());
                }
                Ok(_) => {
                    out.queue.pop_front();
                    out.blocked = out.blocked.map(|_| Instant::now());
                }
                Err(_) => return Flow::Gone,
            }
        }
        out.blocked = None;
        Flow::UpToDate
    }

    /// How many bytes the socket took; none when it is full.
    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        // Straight to the kernel: whether the socket was writable when the runtime looked last is not worth knowing.
        match rustix::net::send(&self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => return Ok(written),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Asked through the runtime, so that it knows to wait.
        match self.stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            outcome => outcome,
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    /// How far the log has gone, when events have passed that this view leaves out.
    fn position_due(&mut self, now: Instant) -> Option<Bytes> {
        let (view, _) = self.source.stored.as_ref()?;
        let Place { generation, position, last, .. } = self.place;
        let shown = last.unwrap_or(0).max(self.told_position);
        if view.is_everything() || position <= shown || now - self.told_at < POSITION_EVERY {
            return None;
        }
        (self.told_position, self.told_at) = (position, now);
        Some(frame::text(&json!({"type": "position", "gen": generation, "seq": position}).to_string()))
    }
}
