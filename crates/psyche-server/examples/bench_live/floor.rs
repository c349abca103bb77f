//! The floors: what the same deliveries cost without a product. Each is a process of its own on the server's core, gets
//! its events on a control connection (a length of four bytes, then the JSON), and greets every reader it has taken in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use clap::ValueEnum as _;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use tokio::io::AsyncReadExt as _;
use tokio::sync::broadcast;

use crate::Outcome;
use crate::child::Child;
use crate::frames::server_frame;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// One thread, one `write` to every socket and event: nothing can be cheaper that writes events one by one.
    Tcp,
    /// The WebSocket of axum and a broadcast channel, one task for each client: what people write. As `axum::serve` is
    /// by default, the kernel gathers small writes (Nagle): fewer and cheaper packets, tens of milliseconds later.
    Axum,
    /// The same with `TCP_NODELAY`: every write is sent at once.
    AxumNodelay,
}

/// What a reader gets first.
const HELLO: &str = r#"{"type":"snapshot","gen":1,"seq":0}"#;
/// Axum's floor keeps this many events for slow tasks; they never fall behind it here.
const CHANNEL: usize = 1024;

/// A floor that runs; killed when dropped.
pub struct Floor {
    child: Child,
    pub kind: Kind,
    pub port: u16,
    pub control: u16,
}

impl Floor {
    pub fn start(kind: Kind) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let name = kind.to_possible_value().ok_or("a floor without a name")?;
        command.args(["floor", name.get_name()]);
        let mut child = Child::on_server_core(command, "the floor")?;
        let line = child.line_with("ports ")?;
        let mut ports = line.split(' ').skip(1).map(str::parse);
        match (ports.next(), ports.next()) {
            (Some(Ok(port)), Some(Ok(control))) => Ok(Self { child, kind, port, control }),
            _ => Err(format!("no ports in {line:?}").into()),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// The floor's own process. Runs until it is killed.
pub fn serve(kind: Kind) -> Outcome {
    let clients = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("ports {} {}", clients.local_addr()?.port(), control.local_addr()?.port());
    match kind {
        Kind::Tcp => tcp(&clients, &control),
        Kind::Axum => axum(clients, control, false),
        Kind::AxumNodelay => axum(clients, control, true),
    }
}

struct Client {
    stream: TcpStream,
    /// What the socket did not take.
    pending: Vec<u8>,
}

const CLIENTS: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
const SOURCE: u64 = u64::MAX - 2;

fn tcp(listener: &TcpListener, control: &TcpListener) -> Outcome {
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    epoll::add(&poller, listener, epoll::EventData::new_u64(CLIENTS), epoll::EventFlags::IN)?;
    epoll::add(&poller, control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
    let mut source = None;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut waiting = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut ready = Vec::with_capacity(256);
    loop {
        ready.clear();
        epoll::wait(&poller, spare_capacity(&mut ready), None)?;
        for event in &ready {
            match event.data.u64() {
                CLIENTS => {
                    while let Ok((stream, _)) = listener.accept() {
                        stream.set_nodelay(true)?;
                        stream.set_nonblocking(true)?;
                        let data = epoll::EventData::new_u64(clients.len() as u64);
                        let mut client = Client { stream, pending: Vec::new() };
                        epoll::add(&poller, &client.stream, data, epoll::EventFlags::empty())?;
                        client.stream.write_all(&server_frame(HELLO))?;
                        clients.push(Some(client));
                    }
                }
                CONTROL => {
                    let (stream, _) = control.accept()?;
                    epoll::add(&poller, &stream, epoll::EventData::new_u64(SOURCE), epoll::EventFlags::IN)?;
                    source = Some(stream);
                }
                SOURCE => {
                    let Some(stream) = &mut source else { continue };
                    let n = stream.read(&mut buffer)?;
                    if n == 0 {
                        return Ok(());
                    }
                    waiting.extend(&buffer[..n]);
                    while let Some(json) = next_event(&mut waiting) {
                        send_to_all(&poller, &mut clients, &server_frame(&json))?;
                    }
                }
                client => flush(&poller, &mut clients, client)?,
            }
        }
    }
}

fn next_event(waiting: &mut Vec<u8>) -> Option<String> {
    let length = u32::from_be_bytes(waiting.get(..4)?.try_into().ok()?) as usize;
    let json = waiting.get(4..4 + length)?;
    let json = String::from_utf8_lossy(json).into_owned();
    waiting.drain(..4 + length);
    Some(json)
}

fn send_to_all(poller: &impl std::os::fd::AsFd, clients: &mut [Option<Client>], frame: &[u8]) -> Outcome {
    for (n, slot) in clients.iter_mut().enumerate() {
        let Some(client) = slot else { continue };
        let written = if client.pending.is_empty() { client.stream.write(frame) } else { Ok(0) };
        match written {
            Ok(n) if n == frame.len() => continue,
            Ok(n) => client.pending.extend(&frame[n..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => client.pending.extend(frame),
            Err(_) => {
                *slot = None;
                continue;
            }
        }
        epoll::modify(poller, &client.stream, epoll::EventData::new_u64(n as u64), epoll::EventFlags::OUT)?;
    }
    Ok(())
}

fn flush(poller: &impl std::os::fd::AsFd, clients: &mut [Option<Client>], client: u64) -> Outcome {
    let Some(slot) = clients.get_mut(client as usize) else { return Ok(()) };
    let Some(held) = slot else { return Ok(()) };
    match held.stream.write(&held.pending) {
        Ok(n) => drop(held.pending.drain(..n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => {
            *slot = None;
            return Ok(());
        }
    }
    if held.pending.is_empty() {
        let data = epoll::EventData::new_u64(client);
        epoll::modify(poller, &held.stream, data, epoll::EventFlags::empty())?;
    }
    Ok(())
}

fn axum(clients: TcpListener, control: TcpListener, nodelay: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (events, _) = broadcast::channel::<Utf8Bytes>(CHANNEL);
        clients.set_nonblocking(true)?;
        control.set_nonblocking(true)?;
        let router = Router::new().route("/ws", axum::routing::get(upgrade)).with_state(events.clone());
        let listener = tokio::net::TcpListener::from_std(clients)?;
        let control = tokio::net::TcpListener::from_std(control)?;
        tokio::select! {
            ended = async {
                if nodelay {
                    axum::serve(listener.tap_io(|client| drop(client.set_nodelay(true))), router).await
                } else {
                    axum::serve(listener, router).await
                }
            } => Ok(ended?),
            ended = feed(control, events) => ended,
        }
    })
}

async fn feed(control: tokio::net::TcpListener, events: broadcast::Sender<Utf8Bytes>) -> Outcome {
    let (mut source, _) = control.accept().await?;
    loop {
        let length = source.read_u32().await?;
        let mut json = vec![0; length as usize];
        source.read_exact(&mut json).await?;
        // Without readers there is nobody to send to.
        let _ = events.send(String::from_utf8(json)?.into());
    }
}

async fn upgrade(ws: WebSocketUpgrade, State(events): State<broadcast::Sender<Utf8Bytes>>) -> Response {
    ws.on_upgrade(move |socket| client(socket, events.subscribe()))
}

async fn client(mut socket: WebSocket, mut events: broadcast::Receiver<Utf8Bytes>) {
    if socket.send(Message::Text(HELLO.into())).await.is_err() {
        return;
    }
    while let Ok(event) = events.recv().await {
        if socket.send(Message::Text(event)).await.is_err() {
            return;
        }
    }
}
