//! The product under test: the real `psyche serve` on a throw-away data directory, pinned to its core.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use psyche_core::port::Role;
use serde_json::json;
use tempfile::TempDir;

use crate::Outcome;
use crate::child::Child;
use crate::http;
use crate::machine::{self, SECOND};
use crate::mint::{self, Person};

const METRICS_TOKEN: &str = "scrape-token-of-the-load-tool";

/// Limits raised for a load test: one person drives it all, and ten thousand read.
const RAISED: [&str; 11] = [
    "max_connections=60000",
    "max_sockets=60000",
    "rate_limit_requests_per_minute=100000000",
    "rate_limit_burst_size=10000000",
    "rate_limit_user_requests_per_minute=100000000",
    "rate_limit_sign_ins_per_minute=100000000",
    "rate_limit_upgrades_per_minute=100000000",
    "max_sockets_per_user=60000",
    "socket_messages_per_minute=60000000",
    "socket_message_burst=1000000",
    "views_per_session=1000",
];

/// What the installation must hold.
#[derive(Clone, Debug)]
pub struct Needs {
    pub readers: usize,
    pub sessions: usize,
    /// Body of `POST /sessions`, and the `[models.default]` table it needs.
    pub session: serde_json::Value,
    pub model: String,
}

impl Needs {
    /// Sessions that only their people write to; the model never speaks.
    pub fn quiet(readers: usize, sessions: usize) -> Self {
        let session = json!({"session_type": "shared", "name": "load", "seed": 7});
        Self { readers, sessions, session, model: "provider = \"scripted\"\n".to_owned() }
    }
}

/// An installation with people and sessions, ready to be served.
pub struct Installation {
    directory: TempDir,
    psyche: PathBuf,
    /// One owner to each session.
    pub owners: Vec<Person>,
    /// Reader `n` may read session `n % sessions`.
    pub readers: Vec<Person>,
    pub sessions: Vec<String>,
}

impl Installation {
    pub fn make(psyche: &Path, needs: &Needs) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("bench-live-").tempdir_in(machine::scratch())?;
        let database = directory.path().join("psyche.db");
        let mut made = Self {
            psyche: psyche.to_owned(),
            owners: mint::people(&database, Role::Researcher, needs.sessions)?,
            readers: mint::people(&database, Role::Observer, needs.readers)?,
            sessions: Vec::new(),
            directory,
        };
        std::fs::write(made.configuration(), format!("[models.default]\n{}", needs.model))?;
        let server = made.serve()?;
        for owner in &made.owners {
            let body = needs.session.to_string();
            let answer = http::expect(server.port, "POST", "/api/v1/sessions", &owner.token, Some(&body))?;
            made.sessions.push(http::json_field(&answer, "session_id")?);
        }
        server.stop()?;
        let mut pairs = Vec::new();
        for (n, reader) in made.readers.iter().enumerate() {
            pairs.push((made.sessions[n % made.sessions.len()].parse()?, reader.id));
        }
        mint::viewers(&database, &pairs)?;
        Ok(made)
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Outcome<Server> {
        let log = self.directory.path().join("server.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&self.psyche);
        command.env_clear().arg("--config").arg(self.configuration());
        command.arg("--data-dir").arg(self.directory.path());
        for setting in RAISED {
            command.args(["--set", setting]);
        }
        command.args(["--set", "metrics_addr=", "--set", &format!("metrics_token={METRICS_TOKEN}")]);
        command.args(["--set", &format!("jwt_secret={}", mint::JWT_SECRET)]);
        command.args(["--set", &format!("master_key={}", hex::encode(mint::MASTER_KEY))]);
        command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::from(output));
        let mut child = Child::on_server_core(command, "psyche serve")?;
        let line = child.line_with("is listening on http://127.0.0.1:").map_err(|error| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            format!("{error}; it said: {}", said.trim())
        })?;
        let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        let port = port.ok_or_else(|| format!("no port in {line:?}"))?;
        let deadline = machine::now() + 30 * SECOND;
        while http::call(port, "GET", "/ready", "", None)?.0 != 200 {
            if machine::now() > deadline {
                return Err("the server was not ready within 30 s".into());
            }
        }
        Ok(Server { child, port })
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("bench.toml")
    }
}

/// A server that runs; killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Asks it to leave and waits until it has.
    pub fn stop(self) -> Outcome {
        self.child.terminate()?;
        self.child.wait_for_end(60 * SECOND)
    }

    pub fn terminate(&self) -> Outcome {
        self.child.terminate()
    }

    pub fn has_ended(&mut self) -> Outcome<bool> {
        self.child.has_ended()
    }

    /// A value of `/metrics`, if there is one of that name.
    pub fn metric(&self, name: &str) -> Outcome<Option<f64>> {
        let text = http::expect(self.port, "GET", "/metrics", METRICS_TOKEN, None)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }

    /// Generation and last event of a session.
    pub fn head(&self, session: &str, owner: &Person) -> Outcome<(u64, u64)> {
        let path = format!("/api/v1/sessions/{session}");
        let answer = http::expect(self.port, "GET", &path, &owner.token, None)?;
        Ok((http::json_field(&answer, "gen")?.parse()?, http::json_field(&answer, "seq")?.parse()?))
    }
}
