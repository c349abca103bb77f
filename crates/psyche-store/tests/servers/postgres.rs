//! A private PostgreSQL for tests: on a free port of loopback, in a directory of its own, and gone with who started it.
//!
//! Also used by the tests of the program and by `xtask`, which includes this file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a server that is there already: `postgres://psyche@127.0.0.1:<port>`. `cargo xtask test` gives one to all tests.
pub const VARIABLE: &str = "PSYCHE_TEST_POSTGRES";

/// The program that makes a new cluster, and its arguments.
const NEW: [&str; 2] = ["initdb", "-A trust -E UTF8 --locale=C"];

/// Makes a cluster and starts a server in it; ends the server when nobody holds the other end of its input any more, so
/// also when the test was killed. What tests write need not outlive a crash of the machine.
const SCRIPT: &str = r#"
set -e
cd "$3"
"$1/$5" -D data -U psyche $6 --no-sync >log 2>&1
"$1/pg_ctl" -D data -w -t 60 -l log -o "-p $2 -k $3 -c listen_addresses=127.0.0.1 -c max_connections=300 $4" start >>log 2>&1
echo ready
cat >/dev/null
"$1/pg_ctl" -D data -w -m immediate stop >>log 2>&1
cd /
rm -rf "$3" 2>/dev/null || true
"#;

/// Gives the directory a disk of its own, which only the server sees and which is gone with it, and goes on in it.
const DISK: &str = r#"mount -t tmpfs -o size="$1"m tmpfs "$2" && chown postgres "$2" && shift 2 && exec "$@""#;

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    server: Option<Child>,
    dir: PathBuf,
}

impl Postgres {
    /// Starts one. The error says what is missing.
    pub fn start() -> Result<Self, String> {
        Self::start_with("-c fsync=off -c synchronous_commit=off -c full_page_writes=off")
    }

    /// The same with these settings of the server (`-c name=value …`).
    pub fn start_with(settings: &str) -> Result<Self, String> {
        Self::start_in(settings, &NEW, None)
    }

    /// The same on a disk of its own of so many MiB, which can be filled. Root alone may do it.
    pub fn start_on_disk(settings: &str, mib: u32) -> Result<Self, String> {
        Self::start_in(settings, &NEW, Some(mib))
    }

    /// A standby of this server, which follows it.
    pub fn standby(&self, settings: &str) -> Result<Self, String> {
        let how = format!("-h 127.0.0.1 -p {} -R -X stream -c fast", self.port);
        Self::start_in(settings, &["pg_basebackup", &how], None)
    }

    /// From now on the standby gets nothing more of the other server.
    pub fn lags(&self) -> Result<(), String> {
        self.run("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.run("postgres", "SELECT pg_reload_conf()").map(drop)
    }

    /// The standby takes over.
    pub fn promote(&self) -> Result<(), String> {
        self.run("postgres", "SELECT pg_promote()").map(drop)
    }

    fn start_in(settings: &str, made: &[&str; 2], disk: Option<u32>) -> Result<Self, String> {
        let programs =
            programs().ok_or("the programs of PostgreSQL were not found: install the Debian package postgresql")?;
        let mut why = String::new();
        // Somebody else may take the port between our look and the server's.
        for _ in 0..3 {
            match Self::try_start(&programs, settings, made, disk) {
                Ok(server) => return Ok(server),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn try_start(programs: &Path, settings: &str, made: &[&str; 2], disk: Option<u32>) -> Result<Self, String> {
        let told = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| told("find a free port", error))?.port();
        let dir = tempfile::Builder::new().prefix("psyche-postgres-").tempdir();
        let dir = dir.map_err(|error| told("make a directory", error))?.keep();
        let mut command = unprivileged(&dir, disk)?;
        command.args(["sh", "-c", SCRIPT, "sh"]).arg(programs).arg(port.to_string()).arg(&dir).arg(settings);
        command.args(made);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().map_err(|error| told("start a shell", error))?;
        let mut line = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| told("read from the server", error))?;
        }
        let started = Self { port, server: Some(server), dir: dir.clone() };
        if line.trim() == "ready" {
            return Ok(started);
        }
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        let _ = std::fs::remove_dir_all(&dir);
        Err(format!("PostgreSQL did not start: {log}"))
    }

    /// The server that [`VARIABLE`] names, else a private one.
    pub fn given_or_start(given: Option<&str>) -> Result<Self, String> {
        let Some(url) = given else { return Self::start() };
        let port = url.rsplit_once(':').and_then(|(_, port)| port.trim_end_matches('/').parse().ok());
        let port = port.ok_or(format!("{VARIABLE} is {url:?}; it should read postgres://psyche@127.0.0.1:<port>"))?;
        Ok(Self { port, server: None, dir: PathBuf::new() })
    }

    /// Takes all that is left of its own disk.
    pub fn fill(&self) -> std::io::Result<()> {
        let mut filler = std::fs::File::options().create(true).append(true).open(self.filler())?;
        for size in [1 << 20, 1 << 12] {
            let bytes = vec![1; size];
            while filler.write_all(&bytes).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub fn make_room(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.filler())
    }

    /// A file on the server's disk, as the server sees it.
    fn filler(&self) -> PathBuf {
        let seen_by = self.server.as_ref().map_or_else(std::process::id, Child::id);
        PathBuf::from(format!("/proc/{seen_by}/root{}", self.dir.join("filler").display()))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of the server, without a database.
    pub fn url(&self) -> String {
        format!("postgres://psyche@127.0.0.1:{}", self.port)
    }

    /// Makes an empty database and gives its URL.
    pub fn database(&self) -> Result<String, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name} STRATEGY = FILE_COPY"))?;
        Ok(format!("{}/{name}", self.url()))
    }

    /// Runs a statement in a database and gives what `psql` answers.
    pub fn run(&self, database: &str, sql: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "psyche", "-p"]);
        let output = psql.args([port.as_str(), "-d", database, "-c", sql]).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("start psql: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The end of its input is what it waits for.
            drop(server.stdin.take());
            let _ = server.wait();
            // Where it had a disk of its own an empty directory is left.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

/// Where the programs of the newest version are.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    let debian = found.into_iter().rev().find(|bin| bin.join("initdb").exists());
    debian.or_else(|| {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        let bin = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Some(bin).filter(|bin| bin.join("initdb").exists())
    })
}

/// PostgreSQL does not run as root: then it is run as the user `postgres`, who gets the directory.
fn unprivileged(dir: &Path, disk: Option<u32>) -> Result<Command, String> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    match disk {
        Some(_) if !root => return Err("only root can give PostgreSQL a disk of its own".to_owned()),
        None if !root => return Ok(Command::new("env")),
        _ => {}
    }
    let owned = Command::new("chown").arg("postgres").arg(dir).status().is_ok_and(|status| status.success());
    if !owned {
        return Err("PostgreSQL does not run as root, and there is no user `postgres` to run it as".to_owned());
    }
    let mut command = Command::new("setpriv");
    if let Some(mib) = disk {
        command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", DISK, "sh", &mib.to_string()]).arg(dir).arg("setpriv");
    }
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    Ok(command)
}
