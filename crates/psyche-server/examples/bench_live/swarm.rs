//! All sockets of a measurement in one thread over epoll: readers, those who drive the load, and what they hear.
//!
//! One buffer serves every read, so a thousand readers cost no more memory than one, and the tool stays cheaper than
//! what it measures.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::frames::{self, CLOSE, Fields, PING, PONG, TEXT, client_frame};
use crate::machine::{self, SECOND};
use crate::member::{Member, Phase, Role};
use crate::tally::Tally;

/// Sockets that may be opening at the same time.
const OPENING: usize = 128;
/// Sockets handled before the schedule is looked at again.
const BATCH: usize = 256;
const BUFFER: usize = 512 * 1024;
/// Longest wait without a look at whether the tool was asked to leave.
const LOOK_UP: u64 = 250 * machine::MS;
/// When a reader that the restarting server refused tries again.
const RETRY: u64 = 200 * machine::MS;
/// A stalled reader takes hardly anything: a small window, and segments as on a real network, because the kernel gives
/// a sender on loopback megabytes of buffer for its large segments and a stall would take minutes to be felt.
const STALLED_WINDOW: usize = 4096;
const STALLED_SEGMENT: u32 = 1400;

pub struct Swarm {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
    buffer: Vec<u8>,
    fields: Fields,
    pub port: u16,
    pub members: Vec<Member>,
    pub tally: Tally,
    /// To be opened as soon as fewer than [`OPENING`] are.
    queue: VecDeque<usize>,
    opening: usize,
    pub live: usize,
    /// When members come back that the server or the plan sent away, soonest first.
    returns: std::collections::BinaryHeap<std::cmp::Reverse<(u64, usize)>>,
    /// Whether a refused connection is tried again: the server restarts.
    pub patient: bool,
    /// Whether members may be lost for good: the server is about to cut them off.
    pub may_go: bool,
    /// The longest pause before coming back that a `bye` asked for.
    pub longest_retry_ms: u64,
    masks: u32,
}

impl Swarm {
    pub fn new(port: u16, members: Vec<Member>, tally: Tally) -> Outcome<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            ready: Vec::with_capacity(BATCH),
            buffer: vec![0; BUFFER],
            fields: Fields::default(),
            port,
            members,
            tally,
            queue: VecDeque::new(),
            opening: 0,
            live: 0,
            returns: std::collections::BinaryHeap::new(),
            patient: false,
            may_go: false,
            longest_retry_ms: 0,
            masks: 1,
        })
    }

    /// Opens members and waits until all of them are live.
    pub fn open_all(&mut self, members: std::ops::Range<usize>, within: u64) -> Outcome {
        let deadline = machine::now() + within;
        let goal = self.live + members.len();
        self.queue.extend(members);
        while self.live < goal {
            self.turn(deadline)?;
            self.tally.check()?;
            if machine::now() >= deadline {
                let missing = goal - self.live;
                return Err(format!("{missing} of {goal} sockets were not live within {} s", within / SECOND).into());
            }
        }
        Ok(())
    }

    /// Handles what is ready, waiting at most until `until`.
    pub fn turn(&mut self, until: u64) -> Outcome {
        let now = machine::now();
        while self.returns.peek().is_some_and(|back| back.0.0 <= now) {
            self.queue.extend(self.returns.pop().map(|back| back.0.1));
        }
        while self.opening < OPENING
            && let Some(member) = self.queue.pop_front()
        {
            self.open(member)?;
        }
        if crate::leaving() {
            return Err("asked to leave".into());
        }
        let next = self.returns.peek().map_or(until, |back| back.0.0.min(until)).min(now + LOOK_UP);
        let wait = next.saturating_sub(machine::now());
        let wait = Timespec { tv_sec: (wait / SECOND) as i64, tv_nsec: (wait % SECOND) as i64 };
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &ready {
            self.handle(event.data.u64() as usize, event.flags)?;
        }
        self.ready = ready;
        Ok(())
    }

    /// Closes a reader's connection without a word, as a lost network does, and has it come back.
    pub fn cut(&mut self, member: usize, back_at: u64) -> Outcome {
        self.close(member)?;
        self.returns.push(std::cmp::Reverse((back_at, member)));
        Ok(())
    }

    /// Stalled readers read again.
    pub fn read_again(&mut self, members: &[usize]) -> Outcome {
        for index in members {
            let member = &mut self.members[*index];
            if member.role == Role::Stalled
                && let Some(stream) = &member.stream
            {
                let data = epoll::EventData::new_u64(*index as u64);
                epoll::add(&self.epoll, stream, data, epoll::EventFlags::IN)?;
                member.role = Role::Awake;
            }
        }
        Ok(())
    }

    /// Sends a text as a WebSocket message.
    pub fn say(&mut self, member: usize, text: &str) -> Outcome {
        self.masks = self.masks.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let frame = client_frame(TEXT, text.as_bytes(), self.masks.to_be_bytes());
        self.write(member, &frame)
    }

    /// Writes now what the socket takes, and the rest when it takes more.
    pub fn write(&mut self, index: usize, bytes: &[u8]) -> Outcome {
        let member = &mut self.members[index];
        if !member.unsent.is_empty() {
            member.unsent.extend(bytes);
            return Ok(());
        }
        let Some(mut stream) = member.stream.as_ref() else { return Ok(()) };
        match stream.write(bytes) {
            Ok(n) if n == bytes.len() => Ok(()),
            Ok(n) => {
                member.unsent.extend(&bytes[n..]);
                self.watch(index, true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                member.unsent.extend(bytes);
                self.watch(index, true)
            }
            Err(error) => self.lost(index, &error.to_string()),
        }
    }

    fn open(&mut self, index: usize) -> Outcome {
        let member = &mut self.members[index];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if member.role == Role::Stalled {
            socket.set_recv_buffer_size(STALLED_WINDOW)?;
            socket.set_tcp_mss(STALLED_SEGMENT)?;
        }
        let port = if member.role == Role::Control { member.port } else { self.port };
        match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
            Ok(()) => {}
            // The connection is being made.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(format!("connect to port {port}: {error}").into()),
        }
        socket.set_tcp_nodelay(true)?;
        let stream = TcpStream::from(socket);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(index as u64), flags)?;
        member.begin(stream, self.tally.newest(member.session));
        self.opening += 1;
        Ok(())
    }

    fn watch(&self, index: usize, writable: bool) -> Outcome {
        let Some(stream) = &self.members[index].stream else { return Ok(()) };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, writable);
        Ok(epoll::modify(&self.epoll, stream, epoll::EventData::new_u64(index as u64), flags)?)
    }

    fn handle(&mut self, index: usize, flags: epoll::EventFlags) -> Outcome {
        let member = &self.members[index];
        let Some(stream) = &member.stream else { return Ok(()) };
        if member.phase == Phase::Connecting {
            if let Some(error) = stream.take_error()? {
                return self.lost(index, &error.to_string());
            }
            if !flags.contains(epoll::EventFlags::OUT) {
                return Ok(());
            }
            self.watch(index, false)?;
            return self.connected(index);
        }
        if flags.contains(epoll::EventFlags::OUT) && !member.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.members[index].unsent);
            self.watch(index, false)?;
            self.write(index, &unsent)?;
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return self.read(index);
        }
        Ok(())
    }

    fn connected(&mut self, index: usize) -> Outcome {
        match self.members[index].role {
            Role::Control | Role::Http => self.now_live(index),
            _ if self.members[index].path.is_empty() => {
                self.members[index].phase = Phase::Joining;
                Ok(())
            }
            _ => {
                self.members[index].phase = Phase::Upgrading;
                let request = frames::upgrade_request(&self.members[index].path, self.port);
                self.write(index, &request)
            }
        }
    }

    fn now_live(&mut self, index: usize) -> Outcome {
        let member = &mut self.members[index];
        member.phase = Phase::Live;
        self.opening -= 1;
        self.live += 1;
        if member.role == Role::Stalled
            && let Some(stream) = &member.stream
        {
            epoll::delete(&self.epoll, stream)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Outcome {
        let mut buffer = std::mem::take(&mut self.buffer);
        let held = std::mem::take(&mut self.members[index].partial);
        if buffer.len() < held.len() + BUFFER / 2 {
            buffer.resize(held.len() + BUFFER, 0);
        }
        buffer[..held.len()].copy_from_slice(&held);
        let Some(mut stream) = self.members[index].stream.as_ref() else { return Ok(()) };
        let outcome = match stream.read(&mut buffer[held.len()..]) {
            Ok(0) => self.lost(index, "the server closed the connection"),
            Ok(n) => self.digest(index, &buffer[..held.len() + n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.members[index].partial = held;
                Ok(())
            }
            Err(error) => self.lost(index, &error.to_string()),
        };
        self.buffer = buffer;
        outcome
    }

    /// Takes what is whole and keeps the rest.
    fn digest(&mut self, index: usize, bytes: &[u8]) -> Outcome {
        let now = machine::now();
        self.tally.read(self.members[index].role, now);
        let mut at = 0;
        if self.members[index].phase == Phase::Upgrading {
            let Some(end) = frames::head_end(bytes) else {
                self.members[index].partial = bytes.to_vec();
                return Ok(());
            };
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            if !head.starts_with("HTTP/1.1 101 ") {
                return Err(format!("the upgrade was answered with {}", head.lines().next().unwrap_or_default()).into());
            }
            at = end;
            self.members[index].phase = Phase::Joining;
            if let Some(auth) = self.members[index].auth() {
                self.say(index, &auth)?;
            }
        }
        if self.members[index].role == Role::Http {
            return self.answered(index, bytes);
        }
        while let Some((frame, next)) = frames::frame(bytes, at)? {
            let payload = &bytes[frame.payload];
            match frame.opcode {
                TEXT => self.hear(index, payload, next - at, now)?,
                PING => {
                    let pong = client_frame(PONG, payload, [1, 2, 3, 4]);
                    self.write(index, &pong)?;
                }
                CLOSE => {
                    let code = payload.get(..2).map_or(1005, |b| u16::from_be_bytes([b[0], b[1]]));
                    self.tally.closed_with(code);
                    let answer = client_frame(CLOSE, payload.get(..2).unwrap_or_default(), [1, 2, 3, 4]);
                    self.write(index, &answer)?;
                    return self.lost(index, &format!("the server closed with {code}"));
                }
                _ => {}
            }
            at = next;
        }
        if self.members[index].stream.is_some() {
            self.members[index].partial.extend(&bytes[at..]);
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, payload: &[u8], length: usize, now: u64) -> Outcome {
        let member = &mut self.members[index];
        match self.fields.kind(payload) {
            b"annotation" => self.tally.event(member, &self.fields, payload, length, now),
            b"delta" => self.tally.delta(member, &self.fields, payload, length, now),
            b"position" => member.cursor = self.fields.seq(payload).unwrap_or(member.cursor).max(member.cursor),
            kind @ (b"resume" | b"snapshot") => {
                let seq = self.fields.seq(payload).unwrap_or(0);
                if kind == b"snapshot" {
                    self.tally.snapshots += u64::from(member.last.is_some());
                    (member.cursor, member.last) = (seq, None);
                }
                if member.phase == Phase::Joining {
                    self.now_live(index)?;
                    self.tally.joined(&mut self.members[index], now);
                }
            }
            b"bye" => member.retry_ms = Some(frames::field(payload, "retry_after_ms").unwrap_or(0)),
            b"ack" => self.tally.acks += 1,
            b"error" => self.tally.trouble(|| format!("the server said {}", String::from_utf8_lossy(payload))),
            _ => self.tally.other_frames += 1,
        }
        Ok(())
    }

    /// An answer on a kept HTTP connection.
    fn answered(&mut self, index: usize, bytes: &[u8]) -> Outcome {
        let head =
            frames::head_end(bytes).map(|end| (end, String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase()));
        let body = head.as_ref().and_then(|(_, head)| {
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())
        });
        match (head, body) {
            (Some((end, head)), Some(length)) if bytes.len() >= end + length => {
                if !head.starts_with("http/1.1 2") {
                    return Err(format!("an annotation was answered with {}", String::from_utf8_lossy(bytes)).into());
                }
                self.tally.acks += 1;
                self.members[index].busy = false;
            }
            (Some(_), None) => return Err("an answer without Content-Length".into()),
            _ => self.members[index].partial = bytes.to_vec(),
        }
        Ok(())
    }

    /// The connection is gone, and not by our doing.
    fn lost(&mut self, index: usize, why: &str) -> Outcome {
        let was = self.members[index].phase;
        let retry = self.members[index].retry_ms.take();
        self.close(index)?;
        let now = machine::now();
        match retry {
            Some(ms) if self.patient => {
                self.longest_retry_ms = self.longest_retry_ms.max(ms);
                self.returns.push(std::cmp::Reverse((now + ms * machine::MS, index)));
            }
            _ if self.may_go => {}
            _ if self.patient => self.returns.push(std::cmp::Reverse((now + RETRY, index))),
            _ => self.tally.trouble(|| format!("member {index} was lost while {was:?}: {why}")),
        }
        Ok(())
    }

    fn close(&mut self, index: usize) -> Outcome {
        let member = &mut self.members[index];
        match member.phase {
            Phase::Closed => {}
            Phase::Live => self.live -= 1,
            _ => self.opening -= 1,
        }
        member.phase = Phase::Closed;
        if let Some(stream) = member.stream.take() {
            // Closed with a reset: nothing lingers, and the peer learns of it as of a crash.
            Socket::from(stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }
}
