//! Replicas of the real program over a private PostgreSQL and a private Redis, each behind a proxy of its own, and clients
//! that hold what they see against what a log must be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::group::Group;
use crate::host::Host;
use crate::postgres::Postgres;
use crate::proxy::{Fault, Proxy};
use crate::redis::Redis;

/// Of the Debian package `faketime`.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What is acknowledged must be there after a crash of the server; the machine itself does not crash.
pub const SETTINGS: &str = "-c fsync=off -c full_page_writes=off";

pub const PASSWORD: &str = "a long and quiet river";

pub struct Lab {
    pub postgres: Postgres,
    pub redis: Redis,
    pub replicas: Vec<Replica>,
    pub database: String,
    pub http: reqwest::Client,
    pub token: String,
    dir: tempfile::TempDir,
}

pub struct Replica {
    pub address: String,
    pub to_postgres: Proxy,
    pub to_redis: Proxy,
    pub host: Option<Host>,
    /// Where it is started, once there is one.
    pub group: Option<Group>,
    pub data: PathBuf,
    database: String,
    child: Option<Child>,
}

impl Replica {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.host {
            None => Command::new(env!("CARGO_BIN_EXE_psyche")),
            Some(host) => host.command(env!("CARGO_BIN_EXE_psyche")),
        };
        let (postgres, redis) = (self.to_postgres.address, self.to_redis.address);
        let store = format!("store=postgres://psyche@{postgres}/{}?sslmode=disable", self.database);
        let bus = format!("bus=redis://{redis}?plain");
        command.args(["--data-dir", &self.data.display().to_string()]);
        command.args(["--config", &self.data.with_file_name("psyche.toml").display().to_string()]);
        for setting in [
            store.as_str(),
            &bus,
            "cluster=true",
            "metrics_addr=",
            "log=warn",
            "reconnect_window_ms=300",
            "max_sessions_per_user=100000",
        ] {
            command.args(["--set", setting]);
        }
        for limit in ["requests_per_minute", "burst_size", "user_requests_per_minute", "upgrades_per_minute"] {
            command.args(["--set", &format!("rate_limit_{limit}=60000")]);
        }
        command.env("PSYCHE_MASTER_KEY", "5a".repeat(32)).env("PSYCHE_JWT_SECRET", "5a".repeat(32));
        command.env("PSYCHE_ADMIN_USERNAME", "mira").env("PSYCHE_ADMIN_PASSWORD", PASSWORD);
        let clock = self.clock();
        if clock.exists() {
            assert!(Path::new(FAKETIME).exists(), "{FAKETIME} is missing: install the Debian package faketime");
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", clock);
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command.args(arguments);
        command
    }

    fn clock(&self) -> PathBuf {
        self.data.with_extension("clock")
    }

    /// Sets its wall clock so many seconds away from the true time; noticed at once by whoever was started after the first
    /// time.
    pub fn clock_is(&self, seconds: &str) {
        let new = self.data.with_extension("clock-new");
        std::fs::write(&new, format!("{seconds}\n")).unwrap();
        std::fs::rename(new, self.clock()).unwrap();
    }

    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let serve = self.command(&["serve", "--listen", &self.address]);
        let mut serve = self.group.as_ref().map(|group| group.within(&serve)).unwrap_or(serve);
        self.child = Some(serve.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// What it has written to its log.
    pub fn told(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn pid(&self) -> String {
        self.child.as_ref().unwrap().id().to_string()
    }

    pub fn signal(&self, signal: &str) {
        if self.child.is_some() {
            Command::new("kill").args([signal, &self.pid()]).status().unwrap();
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and how long it took to leave.
    pub async fn leave(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal("-TERM");
        let mut child = self.child.take().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "an orderly end: {status}, {}", self.told());
                return begun.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.signal("-CONT");
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Lab {
    pub async fn new(replicas: usize) -> Self {
        Self::over(Postgres::start_with(SETTINGS).unwrap(), replicas, false).await
    }

    /// With a database whose disk can be filled.
    pub async fn on_small_disk(replicas: usize) -> Self {
        let settings = format!("{SETTINGS} -c max_wal_size=64MB -c min_wal_size=32MB");
        Self::over(Postgres::start_on_disk(&settings, 300).unwrap(), replicas, false).await
    }

    /// Each replica as if on a host of its own: between it and the rest lies a network of the kernel.
    pub async fn on_hosts(replicas: usize) -> Self {
        Self::over(Postgres::start_with(SETTINGS).unwrap(), replicas, true).await
    }

    async fn over(postgres: Postgres, replicas: usize, hosts: bool) -> Self {
        let redis = Redis::start().unwrap();
        let url = postgres.database().unwrap();
        let (server, database) = url.rsplit_once('/').unwrap();
        let port = server.rsplit_once(':').unwrap().1.parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let model = "[models.default]\nprovider = \"scripted\"\nlatency_ms = 60\n";
        std::fs::write(dir.path().join("psyche.toml"), model).unwrap();
        let mut lab = Self {
            redis,
            replicas: Vec::new(),
            database: database.to_owned(),
            http: reqwest::Client::builder().timeout(Duration::from_secs(15)).build().unwrap(),
            token: String::new(),
            postgres,
            dir,
        };
        for n in 0..replicas {
            lab.add(n, port, hosts.then(|| Host::new(n))).await;
        }
        lab.token = lab.sign_in(0).await;
        lab
    }

    async fn add(&mut self, n: usize, postgres: u16, host: Option<Host>) {
        let data = self.dir.path().join(format!("replica-{n}"));
        std::fs::create_dir(&data).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (here, there) =
            host.as_ref().map_or((Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST), |host| (host.here, host.there));
        let mut replica = Replica {
            address: format!("{there}:{port}"),
            to_postgres: Proxy::to_postgres(here, postgres).await,
            to_redis: Proxy::to(here, self.redis.port()).await,
            host,
            group: None,
            data,
            database: self.database.clone(),
            child: None,
        };
        replica.start();
        self.replicas.push(replica);
        self.ready(n).await;
    }

    pub async fn ready(&self, n: usize) {
        let url = format!("http://{}/ready", self.replicas[n].address);
        for _ in 0..600 {
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("replica {n} was not ready in 30 s: {}", self.replicas[n].told());
    }

    pub async fn sign_in(&self, n: usize) -> String {
        self.sign_in_as("mira", n).await
    }

    /// A socket on a session, from its end on.
    pub async fn open(&self, token: &str, n: usize, session: &str) -> Socket {
        let url = format!("ws://{}/ws/{session}", self.replicas[n].address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.send(Message::text(json!({"type": "auth", "token": token}).to_string())).await.unwrap();
        socket
    }

    pub async fn sign_in_as(&self, name: &str, n: usize) -> String {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = self.post_as("", n, "/auth/login", &body).await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub async fn post_as(&self, token: &str, n: usize, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("http://{}/api/v1{path}", self.replicas[n].address);
        let answer = self.http.post(url).bearer_auth(token).json(body).send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let value: Value = answer.json().await.unwrap_or_default();
        if status.is_success() { Ok(value) } else { Err(format!("{} {value}", status.as_u16())) }
    }

    pub async fn post(&self, n: usize, path: &str, body: &Value) -> Result<Value, String> {
        self.post_as(&self.token, n, path, body).await
    }

    pub async fn get_as(&self, token: &str, n: usize, path: &str) -> (u16, Value) {
        let url = format!("http://{}/api/v1{path}", self.replicas[n].address);
        match self.http.get(url).bearer_auth(token).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or_default()),
            Err(_) => (0, Value::Null),
        }
    }

    /// A session that talks.
    pub async fn talking(&self, n: usize, name: &str) -> String {
        let new = json!({"name": name, "session_type": "single_user", "pacing_ms": 40});
        let session = match self.post(n, "/sessions", &new).await {
            Ok(session) => session,
            Err(error) => panic!("{error}: {}", self.replicas[n].told()),
        };
        let id = session["session_id"].as_str().unwrap().to_owned();
        self.post(n, &format!("/sessions/{id}/commands"), &json!({"command": "start"})).await.unwrap();
        id
    }

    /// Which replica drives a session, by the addresses in the database.
    pub fn owner(&self, session: &str) -> String {
        self.postgres
            .run(&self.database, &format!("SELECT owner FROM session_head WHERE session_id = '{session}'"))
            .unwrap()
    }

    pub fn head(&self, session: &str) -> u64 {
        let sql = format!("SELECT last_seq FROM session_head WHERE session_id = '{session}'");
        self.postgres.run(&self.database, &sql).unwrap().parse().unwrap()
    }

    pub fn committed(&self, session: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM event WHERE session_id = '{session}' AND kind = 'turn_committed'");
        self.postgres.run(&self.database, &sql).unwrap().parse().unwrap()
    }

    /// Waits until every session commits a turn again; how long that took.
    pub async fn goes_on(&self, sessions: &[String]) -> Duration {
        let begun = Instant::now();
        let before: Vec<u64> = sessions.iter().map(|id| self.committed(id)).collect();
        while !sessions.iter().zip(&before).all(|(id, before)| self.committed(id) > *before) {
            assert!(begun.elapsed() < Duration::from_secs(45), "no turn in 45 s: {}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }

    pub fn told(&self) -> String {
        let mut all = String::new();
        for (n, replica) in self.replicas.iter().enumerate() {
            let told = replica.told();
            let tail: Vec<&str> = told.lines().rev().take(12).collect();
            let _ = writeln!(all, "replica {n}:");
            tail.iter().rev().for_each(|line| _ = writeln!(all, "  {line}"));
        }
        all
    }

    /// The same where nothing was ever taken back.
    pub async fn prove(&self, n: usize, sessions: &[String], readers: Readers, acknowledged: &[(String, String, u64)]) {
        self.prove_what_is_left(n, sessions, &readers, acknowledged).await;
        assert_eq!(readers.rewound(), [], "a resume must not become a snapshot");
    }

    /// Stops the sessions and proves them: the readers have everything once, chains and epochs hold, running them again gives
    /// the same, and what was acknowledged is there once (I1 to I5, I7, I10).
    pub async fn prove_what_is_left(
        &self,
        n: usize,
        sessions: &[String],
        readers: &Readers,
        acknowledged: &[(String, String, u64)],
    ) {
        for id in sessions {
            let stop = json!({"command": "stop"});
            for _ in 0..40 {
                match self.post(n, &format!("/sessions/{id}/commands"), &stop).await {
                    Ok(_) => break,
                    // It is stopped already, with the answer lost.
                    Err(error) if error.starts_with("409") => break,
                    Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for id in sessions {
            let head = self.head(id);
            readers.reach(id, head).await;
            let (from, seen) = readers.seen(id);
            assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (from..=head).collect::<Vec<_>>(), "session {id}");
        }
        for (session, command, seq) in acknowledged {
            let (_, seen) = readers.seen(session);
            assert_eq!(seen[seq]["command_id"], json!(command), "event {seq} of {session}");
            let received =
                seen.values().filter(|e| e["type"] == "command_received" && e["command_id"] == json!(command));
            assert_eq!(received.count(), 1, "{command}");
        }
        let verify = self.replicas[n].command(&["verify", "--json"]).output().unwrap();
        let findings: Value = serde_json::from_slice(&verify.stdout).unwrap_or_default();
        assert!(verify.status.success(), "{findings} {}", String::from_utf8_lossy(&verify.stderr));
        for finding in findings.as_array().unwrap() {
            assert_eq!(finding["rerun"], "same", "{finding}");
        }
        for replica in &self.replicas {
            assert!(!replica.told().contains("panicked"), "{}", replica.told());
        }
    }
}

pub type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

pub async fn next_frame(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// What a reader has got of a session: event by event, and the longest time in which nothing came.
#[derive(Default)]
struct Log {
    events: BTreeMap<u64, Value>,
    /// The event before the first of them, where that is not the session's first.
    from: Option<u64>,
    /// Snapshots that came in the place of events: their generation and reason.
    rewound: Vec<(u64, String)>,
    last_at: Option<Instant>,
    gap: Duration,
    /// From the moment an event was made until it was read.
    latencies: Vec<Duration>,
}

/// Clients that follow sessions from replica to replica.
pub struct Readers {
    logs: BTreeMap<String, Arc<Mutex<Log>>>,
    tasks: JoinSet<()>,
}

impl Readers {
    /// One reader a session, of the replica after `first` in turn.
    pub fn follow(lab: &Lab, sessions: &[String], first: usize) -> Self {
        let addresses: Vec<String> = lab.replicas.iter().map(|replica| replica.address.clone()).collect();
        let mut readers = Self { logs: BTreeMap::new(), tasks: JoinSet::new() };
        for (n, id) in sessions.iter().enumerate() {
            let log = Arc::<Mutex<Log>>::default();
            readers.logs.insert(id.clone(), Arc::clone(&log));
            readers.tasks.spawn(read(id.clone(), lab.token.clone(), addresses.clone(), first + n, log));
        }
        readers
    }

    /// Sessions whose past changed under their readers, and the reasons they were told.
    pub fn rewound(&self) -> Vec<(u64, String)> {
        self.logs.values().flat_map(|log| log.lock().unwrap().rewound.clone()).collect()
    }

    /// What was seen, and from where on nothing may be missing.
    fn seen(&self, session: &str) -> (u64, BTreeMap<u64, Value>) {
        let log = self.logs[session].lock().unwrap();
        (log.from.unwrap_or(1) + 1, log.events.clone())
    }

    /// Forgets how long nothing came until now.
    pub fn begin_gap(&self) {
        for log in self.logs.values() {
            let mut log = log.lock().unwrap();
            log.gap = Duration::ZERO;
            log.last_at = Some(Instant::now());
            log.latencies.clear();
        }
    }

    /// The longest time since then in which a reader got nothing.
    pub fn gap(&self) -> Duration {
        self.logs.values().map(|log| log.lock().unwrap().gap).max().unwrap_or_default()
    }

    /// How long after it was made an event came: 99 of a hundred sooner, and the latest.
    pub fn late(&self) -> (Duration, Duration) {
        let mut all: Vec<Duration> = self.logs.values().flat_map(|log| log.lock().unwrap().latencies.clone()).collect();
        all.sort_unstable();
        assert!(!all.is_empty(), "nothing came, so nothing was late");
        (all[(all.len() - 1) * 99 / 100], all[all.len() - 1])
    }

    async fn reach(&self, session: &str, head: u64) {
        for _ in 0..600 {
            if self.logs[session].lock().unwrap().events.contains_key(&head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let last = self.logs[session].lock().unwrap().events.last_key_value().map(|(seq, _)| *seq);
        panic!("a reader of {session} came to {last:?} of {head} in 30 s");
    }
}

/// Follows a session through every death, going on at another replica from its cursor; panics on a gap or a repetition.
async fn read(session: String, token: String, addresses: Vec<String>, first: usize, log: Arc<Mutex<Log>>) {
    let (mut generation, mut last) = (1, 1);
    let mut at = first;
    loop {
        let url = format!("ws://{}/ws/{session}", addresses[at % addresses.len()]);
        at += 1;
        let connecting = tokio::time::timeout(Duration::from_secs(2), tokio_tungstenite::connect_async(url));
        let Ok(Ok((mut socket, _))) = connecting.await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let hello = json!({"type": "auth", "token": token, "subscribe": {"cursor": {"gen": generation, "seq": last}}});
        if socket.send(Message::text(hello.to_string())).await.is_err() {
            continue;
        }
        // A replica says something each two seconds; one that does not has lost its voice.
        while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_secs(5), socket.next()).await {
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "snapshot" {
                (generation, last) = (frame["gen"].as_u64().unwrap(), frame["seq"].as_u64().unwrap());
                let mut log = log.lock().unwrap();
                log.rewound.push((generation, frame["reason"].as_str().unwrap_or_default().to_owned()));
                log.events.clear();
                log.from = Some(last);
                continue;
            }
            let Some(seq) = frame.get("prev").and(frame["seq"].as_u64()) else { continue };
            assert_eq!(frame["prev"].as_u64(), Some(last), "before {frame}");
            last = seq;
            let now = Instant::now();
            let made = frame["timestamp"].as_str().unwrap_or_default().parse::<psyche_core::Timestamp>();
            let mut log = log.lock().unwrap();
            if let Some(before) = log.last_at.replace(now) {
                log.gap = log.gap.max(now - before);
            }
            if let Ok(made) = made {
                let late = clock().micros() - made.micros();
                log.latencies.push(Duration::from_micros(u64::try_from(late).unwrap_or(0)));
            }
            assert!(log.events.insert(seq, frame).is_none(), "event {seq} came twice");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures the real program by the clock on the wall")]
fn clock() -> psyche_core::Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    psyche_core::Timestamp(now.as_micros() as i64)
}

/// Speaks to sessions at all replicas by turns, again and again until each word is acknowledged.
pub struct Speakers {
    task: JoinSet<Vec<(String, String, u64)>>,
    stop: tokio_util::sync::CancellationToken,
}

impl Speakers {
    pub fn start(lab: &Lab, sessions: &[String]) -> Self {
        let addresses: Vec<String> = lab.replicas.iter().map(|replica| replica.address.clone()).collect();
        let (http, token, sessions) = (lab.http.clone(), lab.token.clone(), sessions.to_vec());
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut acknowledged = Vec::new();
            let mut n = 0;
            while !stopped.is_cancelled() {
                n += 1;
                let session = &sessions[n % sessions.len()];
                let id = format!("note-{n}");
                let body = json!({"command_id": id, "command": "inject_stimulus", "args": {"kind": "custom", "text": format!("Knock {n}.")}});
                for tried in n.. {
                    let address = &addresses[tried % addresses.len()];
                    let url = format!("http://{address}/api/v1/sessions/{session}/commands");
                    let asked = http.post(url).bearer_auth(&token).json(&body).timeout(Duration::from_secs(6)).send();
                    if let Ok(answer) = asked.await {
                        let status = answer.status();
                        let answer: Value = answer.json().await.unwrap_or_default();
                        if let Some(seq) = answer["seq"].as_u64().filter(|_| status.is_success()) {
                            acknowledged.push((session.clone(), id.clone(), seq));
                            break;
                        }
                        // Too many wait already, or the like: another word, later.
                        if status.is_client_error() {
                            break;
                        }
                    }
                    if stopped.is_cancelled() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            acknowledged
        });
        Self { task, stop }
    }

    pub async fn stop(mut self) -> Vec<(String, String, u64)> {
        self.stop.cancel();
        let acknowledged = self.task.join_next().await.unwrap().unwrap();
        assert!(!acknowledged.is_empty(), "nothing was acknowledged, so nothing was shown");
        acknowledged
    }
}

/// Everything that may be wrong between a replica and what it depends on, off again.
pub fn mend(lab: &Lab) {
    for replica in &lab.replicas {
        replica.to_postgres.set(Fault::None);
        replica.to_redis.set(Fault::None);
    }
}

/// A figure for the reader of the test's output.
pub fn figure(what: &str, value: impl std::fmt::Debug) {
    println!("figure: {what}: {value:?}");
}

pub fn lines_of(told: &str, since: usize) -> usize {
    told.lines().count().saturating_sub(since)
}
