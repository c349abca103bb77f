//! The real program, killed without warning in mid-utterance, again and again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

/// Kills in one run of the test.
const KILLS: usize = 20;

struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts `psyche serve` on a free port and waits for the line that names it.
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_psyche"))
            .args([
                "--data-dir",
                &data.display().to_string(),
                "--config",
                &data.join("psyche.toml").display().to_string(),
            ])
            .args(["--set", "metrics_addr=", "--set", "log=warn", "serve", "--listen", "127.0.0.1:0"])
            .env("PSYCHE_ADMIN_USERNAME", "mira")
            .env("PSYCHE_ADMIN_PASSWORD", "a long and quiet river")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !line.contains("http://") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the program ended before it listened");
        }
        let address = line.split("http://").nth(1).unwrap().trim().to_owned();
        // Whoever stops reading a pipe blocks its writer.
        std::thread::spawn(move || lines.lines().for_each(drop));
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(&mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "an orderly end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the reader, a browser's stand-in, has got: seq by seq.
type Seen = Arc<Mutex<BTreeMap<u64, Value>>>;

/// Follows a session through every death of the server, resuming from its cursor; panics on a gap or a repetition.
async fn follow(session: String, token: String, addresses: watch::Receiver<String>, seen: Seen) {
    let mut last = 1;
    loop {
        let address = addresses.borrow().clone();
        let url = format!("ws://{address}/ws/{session}");
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let hello = json!({"type": "auth", "token": token, "subscribe": {"cursor": {"gen": 1, "seq": last}}});
        if socket.send(Message::text(hello.to_string())).await.is_err() {
            continue;
        }
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            let Some(seq) = frame.get("prev").and(frame["seq"].as_u64()) else {
                assert_ne!(frame["type"], "snapshot", "a resume must not become a snapshot: {frame}");
                continue;
            };
            assert_eq!(frame["prev"].as_u64(), Some(last), "before {frame}");
            last = seq;
            assert!(seen.lock().unwrap().insert(seq, frame).is_none(), "event {seq} came twice");
        }
    }
}

struct Client {
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn sign_in(address: &str) -> Self {
        let http = reqwest::Client::new();
        let body = json!({"username": "mira", "password": "a long and quiet river"});
        let answer = http.post(format!("http://{address}/api/v1/auth/login")).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { http, token }
    }

    async fn post(&self, address: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.http.post(format!("http://{address}/api/v1{path}")).bearer_auth(&self.token).json(body);
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let value: Value = answer.json().await.map_err(|e| e.to_string())?;
        if status.is_success() { Ok(value) } else { Err(format!("{status}: {value}")) }
    }

    async fn get(&self, address: &str, path: &str) -> Value {
        let request = self.http.get(format!("http://{address}/api/v1{path}")).bearer_auth(&self.token);
        request.send().await.unwrap().json().await.unwrap()
    }
}

async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_and_repeat_nothing() {
    let data = tempfile::tempdir().unwrap();
    let config = "[models.default]\nprovider = \"scripted\"\nlatency_ms = 80\n";
    std::fs::write(data.path().join("psyche.toml"), config).unwrap();
    let mut program = Program::start(data.path());
    let client = Client::sign_in(&program.address).await;
    let new = json!({"name": "Killed", "session_type": "single_user"});
    let session = client.post(&program.address, "/sessions", &new).await.unwrap();
    let session = session["session_id"].as_str().unwrap().to_owned();
    let commands = format!("/sessions/{session}/commands");

    let seen: Seen = Arc::default();
    let (addresses, receiver) = watch::channel(program.address.clone());
    let mut reader = tokio::task::JoinSet::new();
    reader.spawn(follow(session.clone(), client.token.clone(), receiver, Arc::clone(&seen)));
    client.post(&program.address, &commands, &json!({"command": "start"})).await.unwrap();

    // What a client was told is stored: (command id, seq).
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    let mut random = std::process::id();
    for n in 0..KILLS {
        let id = format!("stimulus-{n}");
        let body = json!({"command_id": id, "command": "inject_stimulus", "args": {"kind": "custom", "text": format!("Knock {n}.")}});
        let address = program.address.clone();
        let asked = client.post(&address, &commands, &body);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = Duration::from_millis(u64::from(random >> 16) % 400);
        // The kill may come before, within or after the answer.
        let answer = tokio::time::timeout(moment, asked).await;
        if let Ok(Ok(answer)) = &answer {
            acknowledged.push((id, answer["seq"].as_u64().unwrap()));
            tokio::time::sleep(moment).await;
        }
        program.kill();
        let before = seen.lock().unwrap().last_key_value().map_or(0, |(seq, _)| *seq);
        program = Program::start(data.path());
        addresses.send(program.address.clone()).unwrap();
        // It goes on by itself: a turn ends that nobody asked for.
        wait_for("a turn after the restart", || {
            let seen = seen.lock().unwrap();
            assert!(reader.try_join_next().is_none(), "the reader found a gap or a repetition");
            seen.range(before + 1..).any(|(_, frame)| frame["type"] == "turn_committed")
        })
        .await;
    }
    client.post(&program.address, &commands, &json!({"command": "stop"})).await.unwrap();
    let head = client.get(&program.address, &format!("/sessions/{session}")).await["seq"].as_u64().unwrap();
    wait_for("the reader at the head", || seen.lock().unwrap().contains_key(&head)).await;

    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (2..=head).collect::<Vec<_>>());
    assert!(acknowledged.len() > KILLS / 4, "too few commands were answered to say anything: {}", acknowledged.len());
    for (id, seq) in &acknowledged {
        assert_eq!(seen[seq]["command_id"], json!(id), "event {seq}");
    }
    let attempts = seen.values().filter(|f| f["type"] == "turn_abandoned").count();
    assert!(attempts > 0, "no kill struck in mid-utterance");
    program.terminate();

    let verify = Command::new(env!("CARGO_BIN_EXE_psyche"))
        .args(["--data-dir", &data.path().display().to_string(), "--set", "log=warn", "verify", "--json"])
        .output()
        .unwrap();
    let findings: Value = serde_json::from_slice(&verify.stdout).unwrap();
    assert!(verify.status.success(), "{findings}");
    assert_eq!(findings[0]["rerun"], "same", "{findings}");
}

/// Whoever leaves lets a turn under way end; asked once more it leaves at once, and nothing that was stored is harmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_does_not_wait_for_the_turn() {
    let data = tempfile::tempdir().unwrap();
    let config = "[models.default]\nprovider = \"scripted\"\nlatency_ms = 60000\n";
    std::fs::write(data.path().join("psyche.toml"), config).unwrap();
    let mut program = Program::start(data.path());
    let client = Client::sign_in(&program.address).await;
    let new = json!({"name": "Left", "session_type": "single_user"});
    let session = client.post(&program.address, "/sessions", &new).await.unwrap();
    let path = format!("/sessions/{}", session["session_id"].as_str().unwrap());
    client.post(&program.address, &format!("{path}/commands"), &json!({"command": "start"})).await.unwrap();
    let terminate = |child: &Child| Command::new("kill").arg(child.id().to_string()).status().unwrap();
    terminate(&program.child);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(program.child.try_wait().unwrap().is_none(), "the turn is waited for");
    terminate(&program.child);
    wait_for("the end", || program.child.try_wait().unwrap().is_some()).await;
    assert_eq!(program.child.wait().unwrap().code(), Some(1));

    program = Program::start(data.path());
    let mut abandoned = false;
    for _ in 0..100 {
        let events = client.get(&program.address, &format!("{path}/events")).await.to_string();
        abandoned = events.contains("turn_abandoned");
        if abandoned {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(abandoned, "the turn is begun again");
}

/// Whoever is asked to leave while it starts ends in good order, too: its address is bound first of all, and long before it
/// is ready.
#[test]
fn a_sigterm_at_the_start_is_an_orderly_end() {
    let data = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_psyche"))
        .args(["--data-dir", &data.path().display().to_string(), "--set", "metrics_addr="])
        .args(["serve", "--listen", &free.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(free).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it listened");
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let end = child.wait().unwrap();
    assert!(end.success(), "{end}");
}
