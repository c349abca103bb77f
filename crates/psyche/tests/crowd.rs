//! A thousand connections that say nothing, against the real program: those who want in still get in, and what the
//! silent ones cost is bounded and given back.

#![cfg(target_os = "linux")] // it reads /proc
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "a test that measures takes the real time")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections whose head never ends.
const HALF_OPEN: usize = 500;
/// Sockets that never say who they are.
const NAMELESS: usize = 500;
/// Sign-ins while they hang there; fewer than the limit of a minute.
const SIGN_INS: usize = 3;
const SIGN_IN_WITHIN: Duration = Duration::from_secs(2);
/// Growth of the program for each of them, KiB. Seventeen to nineteen were measured.
const KIB_EACH: u64 = 64;
/// The program ends a connection that says nothing for 10 s, and gives a goodbye 5 s to be read.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

// One address asks for everything here; limits by address have tests of their own.
const CONFIG: &str = "rate_limit_upgrades_per_minute = 1000000\n\
                      [models.default]\nprovider = \"scripted\"\n";

const PASSWORD: &str = "a long and quiet river";

struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(data: &Path) -> Self {
        let config = data.join("psyche.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_psyche"))
            .args(["--data-dir", &data.display().to_string(), "--config", &config.display().to_string()])
            .args(["--set", "metrics_addr=", "--set", "log=warn", "serve", "--listen", "127.0.0.1:0"])
            .env("PSYCHE_ADMIN_USERNAME", "mira")
            .env("PSYCHE_ADMIN_PASSWORD", PASSWORD)
            // Given back at once: what the start has freed would hide what connections take.
            .env("MIMALLOC_PURGE_DELAY", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let named =
            lines.by_ref().map_while(Result::ok).find_map(|l| Some(l.split_once("http://")?.1.trim().to_owned()));
        let program = Self { child, address: named.expect("the program listens") };
        // Whoever stops reading a pipe blocks its writer.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        program
    }

    fn connect(&self, begin: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream
    }

    /// How long a sign-in takes, over a connection of its own.
    fn sign_in(&self) -> Duration {
        let body = format!("{{\"username\":\"mira\",\"password\":\"{PASSWORD}\"}}");
        let begun = Instant::now();
        let mut stream = self.connect(&format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: psyche\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        begun.elapsed()
    }

    /// A handshake that succeeds, and nothing after it.
    fn nameless(&self) -> TcpStream {
        let mut stream = self.connect(
            "GET /ws/system HTTP/1.1\r\nHost: psyche\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2lsZW5jZSBpcyBnb2xkLg==\r\n\r\n",
        );
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream
    }

    /// Resident memory of the program, KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing has come and the other side has not hung up.
fn hangs(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let waits = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    waits
}

/// Reads up to the end that the program makes, if it makes one in time. A reset is one, too.
fn ends(mut stream: TcpStream, deadline: Instant) -> bool {
    let mut buffer = [0; 1_024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    // Each is a descriptor here and one in the program, which inherits the limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();

    let data = tempfile::tempdir().unwrap();
    let program = Program::start(data.path());
    let before = program.memory();

    let opened = Instant::now();
    let half = "POST /api/v1/auth/login HTTP/1.1\r\nHost: psyche\r\nX-Slow: and";
    let half_open: Vec<_> = (0..HALF_OPEN).map(|_| program.connect(half)).collect();
    let nameless: Vec<_> = (0..NAMELESS).map(|_| program.nameless()).collect();
    let opening = opened.elapsed();

    let growth = program.memory().saturating_sub(before);
    let slowest = (0..SIGN_INS).map(|_| program.sign_in()).max().unwrap();
    let hanging = [&half_open, &nameless].map(|streams| streams.iter().filter(|s| hangs(s)).count());

    let begun = Instant::now();
    let deadline = begun + ENDED_WITHIN;
    let ended =
        [half_open, nameless].map(|streams| streams.into_iter().map(|s| ends(s, deadline)).filter(|e| *e).count());
    let waited = begun.elapsed();
    let alone = program.sign_in();
    println!(
        "{HALF_OPEN} half-open and {NAMELESS} nameless, opened in {opening:.1?}: sign-in {slowest:.0?} at most, alone \
         {alone:.0?}; memory {before} KiB + {growth} KiB; all were ended {waited:.1?} later"
    );
    assert_eq!(hanging, [HALF_OPEN, NAMELESS], "they hung there while others signed in");
    assert!(slowest < SIGN_IN_WITHIN, "a sign-in took {slowest:?}");
    assert!(growth < KIB_EACH * (HALF_OPEN + NAMELESS) as u64, "the program grew by {growth} KiB");
    assert_eq!(ended, [HALF_OPEN, NAMELESS], "the program ends them by itself");
}
