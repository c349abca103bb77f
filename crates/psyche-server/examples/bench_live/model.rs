//! A model server for token bursts: it speaks the chat-completions wire format, and all its replies grow by one chunk at
//! the same moment, for as long as somebody listens.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Outcome;
use crate::frames::{head_end, marked_text};
use crate::machine::{self, MS};

/// How often every reply grows.
pub const EVERY_MS: u64 = 100;

#[derive(Default)]
struct Shared {
    replies: Mutex<Vec<TcpStream>>,
    /// When chunks were sent, and to how many replies.
    ticks: Mutex<Vec<(u64, usize)>>,
    /// Length of the text of a chunk.
    length: AtomicUsize,
    over: AtomicBool,
}

pub struct ModelServer {
    shared: Arc<Shared>,
    pub port: u16,
    threads: Vec<JoinHandle<()>>,
}

impl ModelServer {
    pub fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        shared.length.store(120, Ordering::Relaxed);
        let (door, clock) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads =
            vec![std::thread::spawn(move || accept(&listener, &door)), std::thread::spawn(move || beat(&clock))];
        Ok(Self { shared, port, threads })
    }

    /// How many replies are under way.
    pub fn replies(&self) -> usize {
        lock(&self.shared.replies).len()
    }

    pub fn set_length(&self, length: usize) {
        self.shared.length.store(length, Ordering::Relaxed);
    }

    pub fn length(&self) -> usize {
        self.shared.length.load(Ordering::Relaxed)
    }

    /// Chunks sent within a span.
    pub fn chunks(&self, from: u64, to: u64) -> usize {
        lock(&self.shared.ticks).iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, count)| count).sum()
    }

    /// Breaks off every reply.
    pub fn hang_up(&self) {
        lock(&self.shared.replies).clear();
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Shared) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        // A caller that breaks off in its request is no reply.
        if let Ok(Some(reply)) = begin(stream) {
            lock(&shared.replies).push(reply);
        }
    }
}

/// Reads a request and begins the reply to it.
fn begin(mut stream: TcpStream) -> std::io::Result<Option<TcpStream>> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = head_end(&request) {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if request.len() >= end + length.unwrap_or(0) {
                if !head.starts_with("post ") {
                    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
                    return Ok(None);
                }
                break;
            }
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            n => request.extend(&piece[..n]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")?;
    Ok(Some(stream))
}

/// The beat at which all replies grow.
fn beat(shared: &Shared) {
    let mut next = machine::now();
    let mut number = 0;
    while !shared.over.load(Ordering::Relaxed) {
        next += EVERY_MS * MS;
        std::thread::sleep(Duration::from_nanos(next.saturating_sub(machine::now())));
        let mut replies = lock(&shared.replies);
        let now = machine::now();
        let length = shared.length.load(Ordering::Relaxed);
        replies.retain_mut(|reply| {
            number += 1;
            let text = marked_text(number, now, length);
            let chunk = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
            reply.write_all(chunk.as_bytes()).is_ok()
        });
        let count = replies.len();
        drop(replies);
        lock(&shared.ticks).push((now, count));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
