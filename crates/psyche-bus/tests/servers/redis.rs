//! A private Redis for tests: on a free port of loopback, in a directory of its own, and gone with who started it.
//!
//! Also used by the tests of the program, which include this file.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Starts a server and ends it when nobody holds the other end of its input any more, so also when the test was killed.
const SCRIPT: &str = r#"
cd "$2"
redis-server --port "$1" --bind 127.0.0.1 --save "" --appendonly no --dir "$2" --enable-debug-command yes $3 >>log 2>&1 &
server=$!
for i in $(seq 200); do
  redis-cli -p "$1" $4 ping 2>/dev/null | grep -q PONG && break
  sleep 0.05
done
echo $server
cat >/dev/null
kill -CONT $server 2>/dev/null
kill -9 $server 2>/dev/null
"#;

/// A server that may be stopped and started again on the same port.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    dir: PathBuf,
    settings: String,
    login: String,
    server: Option<(Child, u32)>,
}

impl Redis {
    /// Starts one. The error says what is missing.
    pub fn start() -> Result<Self, String> {
        Self::start_with("", "")
    }

    /// The same with these settings (`--name value …`) and what `redis-cli` needs to sign in.
    pub fn start_with(settings: &str, login: &str) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| format!("find a free port: {error}"))?.port();
        let dir = tempfile::Builder::new().prefix("psyche-redis-").tempdir();
        let dir = dir.map_err(|error| format!("make a directory: {error}"))?.keep();
        let mut redis = Self { port, dir, settings: settings.to_owned(), login: login.to_owned(), server: None };
        redis.go_on()?;
        Ok(redis)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`Redis::stop`], empty.
    pub fn go_on(&mut self) -> Result<(), String> {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(self.port.to_string())
            .arg(&self.dir)
            .arg(&self.settings)
            .arg(&self.login);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("start a shell: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("read from the shell: {error}"))?;
        }
        let pid = line.trim().parse().map_err(|_| "redis-server was not started".to_owned())?;
        self.server = Some((child, pid));
        self.run(&["ping"]).map(drop).map_err(|error| format!("{error}: install the Debian package redis-server"))
    }

    /// Kills it: every connection is lost, and what it held.
    pub fn stop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            // The end of its input is what it waits for.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }

    /// It accepts connections and says nothing, or goes on.
    pub fn hang(&self, hangs: bool) {
        if let Some((_, pid)) = &self.server {
            let signal = if hangs { "-STOP" } else { "-CONT" };
            let _ = Command::new("kill").args([signal, &pid.to_string()]).status();
        }
    }

    /// What `redis-cli` answers.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(self.login.split_whitespace()).args(arguments);
        let output = command.stdin(Stdio::null()).output().map_err(|error| format!("start redis-cli: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && !text.starts_with("Could not") { Ok(text) } else { Err(text) }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
