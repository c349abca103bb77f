//! A proxy that stands between a replica and what it depends on, and does to the bytes what networks do.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// As if nobody listened: connections end, and new ones end at once.
    Down,
    /// Accepted, and nothing goes either way.
    BlackHole,
    /// Each piece comes so much later, and in slices.
    Slow(Duration),
    /// What the server answers is lost, and then the connection: nobody knows whether it was done.
    AnswersLost,
    /// The server answers bytes that mean nothing.
    Garbage,
    /// Connections live so many bytes.
    ShortLived(usize),
}

/// Stops a replica dead when it says something: before the server hears it, or when the server has answered and the replica
/// does not know yet. Nothing goes through from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trap {
    pub word: &'static str,
    pub answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spring {
    Off,
    Set(Trap),
    /// The word was heard; the answer to it is awaited.
    Heard,
    Sprung,
}

pub struct Proxy {
    pub address: SocketAddr,
    server: watch::Sender<u16>,
    fault: watch::Sender<Fault>,
    trap: watch::Sender<Spring>,
    _accepting: JoinSet<()>,
}

/// What a client of PostgreSQL says, statements by their text: once one is known it is called by its name alone.
#[derive(Default)]
struct Said {
    waiting: Vec<u8>,
    begun: bool,
    statements: HashMap<Vec<u8>, Vec<u8>>,
}

impl Said {
    /// The messages that are complete with these bytes.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.waiting.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            // The very first message has no letter.
            let letter = usize::from(self.begun);
            let Some(length) = self.waiting.get(letter..letter + 4) else { return said };
            let length = letter + u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            if self.waiting.len() < length {
                return said;
            }
            let message: Vec<u8> = self.waiting.drain(..length).collect();
            if std::mem::replace(&mut self.begun, true) {
                let mut texts = message[5..].split(|byte| *byte == 0);
                let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
                match message[0] {
                    // Prepared is not said yet.
                    b'P' => {
                        self.statements.insert(first.to_vec(), second.to_vec());
                        continue;
                    }
                    b'B' => said.extend(self.statements.get(second).into_iter().flatten()),
                    _ => {}
                }
                said.extend(message);
            }
        }
    }
}

impl Proxy {
    /// Before a server of this machine, listening at an address of it.
    pub async fn to(here: Ipv4Addr, server: u16) -> Self {
        Self::before(here, server, false).await
    }

    /// Where traps for statements may be set.
    pub async fn to_postgres(here: Ipv4Addr, server: u16) -> Self {
        Self::before(here, server, true).await
    }

    async fn before(here: Ipv4Addr, server: u16, sql: bool) -> Self {
        let listener = TcpListener::bind((here, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = watch::Sender::new(Fault::None);
        let trap = watch::Sender::new(Spring::Off);
        let server = watch::Sender::new(server);
        let (servers, faults, traps) = (server.clone(), fault.clone(), trap.clone());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                while carried.try_join_next().is_some() {}
                let said = sql.then(Said::default);
                let server = SocketAddr::from(([127, 0, 0, 1], *servers.borrow()));
                carried.spawn(carry(client, server, faults.clone(), traps.clone(), said));
            }
        });
        Self { address, server, fault, trap, _accepting: accepting }
    }

    /// Sets a trap and waits until it has sprung.
    pub async fn spring(&self, trap: Trap) -> bool {
        self.trap.send_replace(Spring::Set(trap));
        let mut state = self.trap.subscribe();
        let sprung = state.wait_for(|state| *state == Spring::Sprung).map(drop);
        tokio::time::timeout(Duration::from_secs(20), sprung).await.is_ok()
    }

    pub fn release(&self) {
        self.trap.send_replace(Spring::Off);
    }

    /// New connections go to another server.
    pub fn leads_to(&self, server: u16) {
        self.server.send_replace(server);
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    faults: watch::Sender<Fault>,
    trap: watch::Sender<Spring>,
    said: Option<Said>,
) {
    let now = *faults.borrow();
    if now == Fault::Down {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut fault = faults.subscribe();
    // A new fault of the kind that ends connections ends those that are there.
    let ends = async {
        loop {
            let now = *fault.borrow_and_update();
            match now {
                Fault::Down => return,
                Fault::AnswersLost => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    return;
                }
                _ => {}
            }
            if fault.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = ends => {}
        () = pour(from_client, to_server, Arc::new(faults.subscribe()), &trap, Way::Asks(said)) => {}
        () = pour(from_server, to_client, Arc::new(faults.subscribe()), &trap, Way::Answers) => {}
    }
}

/// Which way bytes go, and what was made of those of a client whose statements matter.
enum Way {
    Asks(Option<Said>),
    Answers,
}

/// Whether nothing may go on from here. `said` is nothing of what the server answers.
fn springs(trap: &watch::Sender<Spring>, said: Option<&[u8]>) -> bool {
    let mut stops = false;
    trap.send_if_modified(|state| {
        let next = match *state {
            Spring::Set(trap)
                if said.is_some_and(|said| said.windows(trap.word.len()).any(|w| w == trap.word.as_bytes())) =>
            {
                if trap.answered { Spring::Heard } else { Spring::Sprung }
            }
            Spring::Heard if said.is_none() => Spring::Sprung,
            other => other,
        };
        stops = next == Spring::Sprung;
        std::mem::replace(state, next) != next
    });
    stops
}

async fn pour(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fault: Arc<watch::Receiver<Fault>>,
    trap: &watch::Sender<Spring>,
    mut way: Way,
) {
    let answers = matches!(way, Way::Answers);
    let mut bytes = vec![0; 16 * 1024];
    let mut poured = 0;
    loop {
        let Ok(read @ 1..) = from.read(&mut bytes).await else { return };
        let mut faults = watch::Receiver::clone(&fault);
        // Held back for as long as nothing may pass.
        if faults.wait_for(|fault| *fault != Fault::BlackHole).await.is_err() {
            return;
        }
        poured += read;
        let stops = match &mut way {
            Way::Asks(said) => {
                let said = said.as_mut().map(|said| said.hear(&bytes[..read])).unwrap_or_default();
                springs(trap, Some(&said))
            }
            Way::Answers => springs(trap, None),
        };
        if stops {
            std::future::pending::<()>().await;
        }
        let now = *faults.borrow();
        let sent = match now {
            Fault::Slow(pause) => {
                tokio::time::sleep(pause).await;
                let (first, rest) = bytes[..read].split_at(read / 2);
                let first = to.write_all(first).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                first.and(to.write_all(rest).await)
            }
            Fault::AnswersLost if answers => Ok(()),
            Fault::Garbage if answers => {
                bytes[..read].iter_mut().enumerate().for_each(|(i, byte)| *byte ^= (i * 31 + 7) as u8);
                to.write_all(&bytes[..read]).await
            }
            Fault::ShortLived(most) if poured > most => return,
            _ => to.write_all(&bytes[..read]).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
