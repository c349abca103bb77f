//! Words that must not be found where they do not belong: secrets anywhere, and an erased person's words in any file.
//! The real program, its files, its log at the most talkative level, its metrics and its answers are searched.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

const PASSWORD: &str = "canary-password-tulip-94";
const WRONG: &str = "canary-wrong-guess-ivory-17";
const NEXT: &str = "canary-next-password-heron-55";
const SETUP: &str = "canary-setup-code-gravel-23";
const WORDS: &str = "the canary sings of my grandmother in Trieste";

struct Program {
    child: Child,
    base: String,
    metrics: String,
    output: Arc<Mutex<String>>,
    http: reqwest::Client,
}

fn psyche(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psyche"));
    command.args(["--data-dir", &data.display().to_string()]);
    command.args(["--config", &data.join("psyche.toml").display().to_string()]);
    command
}

impl Program {
    fn start(data: &Path) -> Self {
        let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut child = psyche(data)
            .args(["--set", "log=trace", "--set", &format!("metrics_addr={metrics}")])
            .args(["--set", "rate_limit_burst_size=1000", "--set", "rate_limit_sign_ins_per_minute=1000"])
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("PSYCHE_SETUP_CODE", SETUP)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !line.contains("http://") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the program ended before it listened");
        }
        let base = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // The setup link is for the terminal alone, so it is not searched.
        std::thread::spawn(move || lines.lines().for_each(drop));
        let output = Arc::new(Mutex::new(String::new()));
        let (mut log, kept) = (child.stderr.take().unwrap(), Arc::clone(&output));
        std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(n) = log.read(&mut buffer) {
                if n == 0 {
                    return;
                }
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Self { child, base, metrics, output, http: reqwest::Client::new() }
    }

    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> (u16, String) {
        let method: reqwest::Method = method.parse().unwrap();
        let mut request = self.http.request(method.clone(), format!("{}/api/v1{path}", self.base));
        if method != reqwest::Method::GET {
            request = request.json(&body);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn fine(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> Value {
        let (status, text) = self.call(method, path, token, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn stop(mut self) -> String {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "an orderly end");
        self.output.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// The files that hold a word.
fn files_with(dir: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if holds(&std::fs::read(&path).unwrap(), needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn admin(program: &Program) -> Value {
    let email = "mira@example.org";
    let body = json!({"setup_code": SETUP, "username": "mira", "email": email, "password": PASSWORD});
    program.fine("POST", "/setup", None, body).await;
    program.fine("POST", "/auth/login", None, json!({"username": "mira", "password": PASSWORD})).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_found_in_logs_files_metrics_audit_or_errors() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\n").unwrap();
    let program = Program::start(data.path());
    let mut errors = String::new();
    let signed_in = admin(&program).await;
    let token = text(&signed_in, "access_token").to_owned();
    let mut secrets = vec![PASSWORD.to_owned(), WRONG.to_owned(), NEXT.to_owned(), SETUP.to_owned()];
    secrets.extend([token.clone(), text(&signed_in, "refresh_token").to_owned()]);

    // Every way a secret comes along and is refused.
    for (path, body) in [
        ("/setup", json!({"setup_code": format!("{SETUP}x"), "username": "x1", "email": "x@y", "password": WRONG})),
        ("/auth/login", json!({"username": "mira", "password": WRONG})),
        ("/auth/login", json!({"username": WRONG, "password": WRONG})),
        ("/auth/login", json!({"username": "mira", "password": [WRONG]})),
        ("/auth/login", json!({"username": "mira", "password": WRONG, "extra": WRONG})),
        ("/auth/refresh", json!({"refresh_token": WRONG})),
        ("/auth/password-reset", json!({"token": WRONG, "new_password": NEXT})),
        ("/auth/register", json!({"username": "x2", "email": "x@y", "password": WRONG, "consent": true})),
    ] {
        let (status, answer) = program.call("POST", path, None, body).await;
        assert!((400..500).contains(&status), "{path} {status}");
        errors.push_str(&answer);
    }
    errors.push_str(&program.call("GET", &format!("/auth/me?token={WRONG}"), Some(WRONG), Value::Null).await.1);
    let url = format!("{}/ws/system?token={token}", program.base);
    errors.push_str(&program.http.get(url).send().await.unwrap().text().await.unwrap());

    // A person made by an admin, with the one-time token, a second factor, and a changed password.
    let draft = json!({"username": "noa", "email": "noa@example.org", "role": "researcher"});
    let made = program.fine("POST", "/users", Some(&token), draft).await;
    secrets.push(text(&made, "reset_token").to_owned());
    let set = json!({"token": made["reset_token"], "new_password": PASSWORD});
    program.fine("POST", "/auth/password-reset", None, set).await;
    let noa = program.fine("POST", "/auth/login", None, json!({"username": "noa", "password": PASSWORD})).await;
    let noa_token = text(&noa, "access_token").to_owned();
    secrets.extend([noa_token.clone(), text(&noa, "refresh_token").to_owned()]);
    let enrol = program.fine("POST", "/auth/mfa/enrol", Some(&noa_token), json!({"password": PASSWORD})).await;
    secrets.push(text(&enrol, "secret").to_owned());
    let change = json!({"current_password": PASSWORD, "new_password": NEXT});
    program.fine("POST", "/auth/password", Some(&noa_token), change).await;
    let refreshed = json!({"refresh_token": noa["refresh_token"]});
    let fresh = program.fine("POST", "/auth/refresh", None, refreshed).await;
    secrets.extend([text(&fresh, "access_token").to_owned(), text(&fresh, "refresh_token").to_owned()]);

    let audit = program.call("GET", "/audit?limit=200", Some(&token), Value::Null).await.1;
    assert!(audit.contains("auth.login.failure"), "{audit}");
    let metrics = program.http.get(format!("http://{}/metrics", program.metrics)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("psyche_"));
    for secret in &secrets {
        assert!(secret.len() >= 16);
        assert_eq!(files_with(data.path(), secret), Vec::<String>::new(), "{secret}");
    }
    let log = program.stop();
    assert!(log.contains("request"), "the search works: the log says something");
    for secret in &secrets {
        for (place, haystack) in [("log", &log), ("metrics", &metrics), ("audit", &audit), ("errors", &errors)] {
            assert!(!haystack.contains(secret.as_str()), "{secret} is in the {place}");
        }
        assert_eq!(files_with(data.path(), secret), Vec::<String>::new(), "{secret}");
    }
    // What is hashed and looks like a secret is not one; the keys themselves lie in files of their own.
    assert_eq!(files_with(data.path(), "argon2id").len(), 1, "the search works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_persons_words_are_in_no_file_and_every_chain_verifies() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\n").unwrap();
    let program = Program::start(data.path());
    let mira = admin(&program).await;
    let mira_token = text(&mira, "access_token").to_owned();
    let draft = json!({"username": "canary-noa", "email": "canary-noa@example.org", "role": "researcher"});
    let made = program.fine("POST", "/users", Some(&mira_token), draft).await;
    let set = json!({"token": made["reset_token"], "new_password": PASSWORD});
    program.fine("POST", "/auth/password-reset", None, set).await;
    let noa = program.fine("POST", "/auth/login", None, json!({"username": "canary-noa", "password": PASSWORD})).await;
    let token = text(&noa, "access_token").to_owned();

    // Words in every place where a person may put some.
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let draft = json!({
            "session_type": "shared", "name": format!("name: {WORDS}"), "situation": format!("situation: {WORDS}"),
            "tags": ["canary-tag-noa"], "max_rounds": 2, "seed": 7,
        });
        let session = program.fine("POST", "/sessions", Some(&token), draft).await;
        sessions.push(text(&session, "session_id").to_owned());
    }
    let (shared, alone) = (&sessions[0], &sessions[1]);
    let member = json!({"relation": "participant"});
    let place = format!("/sessions/{shared}/participants/{}", text(&mira["user"], "user_id"));
    program.fine("PUT", &place, Some(&token), member).await;
    let command = |command: &str, args: Value| json!({"command": command, "args": args});
    let commands = format!("/sessions/{shared}/commands");
    let stimulus = json!({"kind": "custom", "text": format!("stimulus: {WORDS}")});
    program.fine("POST", &commands, Some(&token), command("inject_stimulus", stimulus)).await;
    let note = json!({"seq": 1, "text": format!("note: {WORDS}"), "tags": ["canary-tag-noa"]});
    program.fine("POST", &format!("/sessions/{shared}/annotations"), Some(&token), note).await;
    let agent = format!("/sessions/{shared}/agents/ego");
    program.fine("PATCH", &agent, Some(&token), json!({"system_prompt": format!("prompt: {WORDS}")})).await;
    program.fine("POST", &commands, Some(&token), command("step", json!({"unit": "round"}))).await;
    let read = format!("/sessions/{shared}/events?limit=200");
    for _ in 0..200 {
        let events = program.call("GET", &read, Some(&mira_token), Value::Null).await.1;
        if events.matches("\"type\":\"agent_message\"").count() >= 5 {
            assert!(events.contains(WORDS), "the search works");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    program.fine("POST", "/auth/erase", Some(&token), json!({"password": PASSWORD})).await;
    let canaries = [WORDS, "canary-tag-noa", "canary-noa"];
    for canary in canaries {
        assert_eq!(files_with(data.path(), canary), Vec::<String>::new(), "{canary}, while it runs");
    }
    let events = program.call("GET", &read, Some(&mira_token), Value::Null).await.1;
    assert!(events.contains("[erased]"), "{events}");
    let state = program.call("GET", &format!("/sessions/{shared}/state"), Some(&mira_token), Value::Null).await.1;
    let lists = program.call("GET", "/sessions", Some(&mira_token), Value::Null).await.1;
    let audit = program.call("GET", "/audit?limit=200", Some(&mira_token), Value::Null).await.1;
    for answer in [&events, &state, &lists, &audit] {
        assert!(canaries.iter().all(|canary| !answer.contains(canary)), "{answer}");
    }
    assert_eq!(program.call("GET", &format!("/sessions/{alone}"), Some(&mira_token), Value::Null).await.0, 404);
    let log = program.stop();
    assert!(!log.contains(WORDS), "nor in the log");
    for canary in canaries {
        assert_eq!(files_with(data.path(), canary), Vec::<String>::new(), "{canary}, after the end");
    }

    // The command line agrees.
    let verify = psyche(data.path()).args(["verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    assert!(verify.status.success() && said.contains("erased"), "{said} {}", String::from_utf8_lossy(&verify.stderr));
    let trail = psyche(data.path()).args(["audit", "verify"]).output().unwrap();
    assert!(trail.status.success(), "{}", String::from_utf8_lossy(&trail.stdout));
    let replay = psyche(data.path()).args(["replay", shared]).output().unwrap();
    let said = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success() && said.contains("[erased]") && !said.contains(WORDS), "{said}");
}

#[test]
fn a_weak_bootstrap_password_stops_the_start() {
    for (password, why) in [("short", "12 to 128"), ("password1234", "guesser"), ("mira is my own name", "username")] {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\n").unwrap();
        let start = psyche(data.path())
            .args(["--set", "metrics_addr=", "serve", "--listen", "127.0.0.1:0"])
            .env("PSYCHE_ADMIN_USERNAME", "mira")
            .env("PSYCHE_ADMIN_PASSWORD", password)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&start.stderr).into_owned();
        assert!(!start.status.success() && said.contains(why) && !said.contains(password), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_and_everything_goes_on() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\n").unwrap();
    let program = Program::start(data.path());
    let signed_in = admin(&program).await;
    let token = text(&signed_in, "access_token").to_owned();
    // While it runs: it goes on working, and what was sealed before is read after the next start.
    let kept = || std::fs::read_to_string(data.path().join("master.key")).unwrap();
    let first = kept();
    let live = psyche(data.path()).args(["key", "rotate", "master"]).output().unwrap();
    assert!(live.status.success(), "{}", String::from_utf8_lossy(&live.stderr));
    assert!(first != kept() && !data.path().join("master.key.new").exists());
    program.fine("GET", "/auth/me", Some(&token), Value::Null).await;
    let trail = program.fine("GET", "/audit?event_type=system.config.changed", Some(&token), Value::Null).await;
    assert!(trail.to_string().contains("The master key was changed."), "{trail}");
    program.stop();
    let keys = || ["master.key", "jwt.key"].map(|file| std::fs::read_to_string(data.path().join(file)).unwrap());
    let before = keys();
    for which in ["master", "jwt"] {
        let done = psyche(data.path()).args(["key", "rotate", which]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(before.iter().zip(keys()).all(|(old, new)| *old != new));
    let program = Program::start(data.path());
    // The token of the key before is good still, new ones are signed by the new key.
    program.fine("GET", "/auth/me", Some(&token), Value::Null).await;
    let again = program.fine("POST", "/auth/login", None, json!({"username": "mira", "password": PASSWORD})).await;
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_ne!(header(text(&again, "access_token")), header(&token));
    program.stop();
    // After another rotation the oldest key is gone.
    assert!(psyche(data.path()).args(["key", "rotate", "jwt"]).output().unwrap().status.success());
    let program = Program::start(data.path());
    assert_eq!(program.call("GET", "/auth/me", Some(&token), Value::Null).await.0, 401);
    program.stop();
}
