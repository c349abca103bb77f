//! The real program with its store in PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../../psyche-store/tests/servers/postgres.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod server;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use server::Postgres;

/// A database of its own, and a data directory that says so.
struct Home {
    data: tempfile::TempDir,
    url: String,
    _server: Postgres,
}

/// Slow enough to be killed in the middle of a conversation.
const MODEL: &str = "[models.default]\nprovider = \"scripted\"\nlatency_ms = 5\n";

impl Home {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "how xtask hands a server to all test processes")]
        let given = std::env::var(server::VARIABLE).ok();
        let server = Postgres::given_or_start(given.as_deref()).unwrap();
        let data = tempfile::tempdir().unwrap();
        // The server trusts whoever comes from this machine; the password is there to be hidden.
        let url = server.database().unwrap().replace("psyche@", "psyche:hush-hush@");
        std::fs::write(data.path().join("psyche.toml"), format!("store = \"{url}\"\n{MODEL}")).unwrap();
        Self { data, url, _server: server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.data.path(), arguments)
    }

    fn psyche(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `psyche serve` that has said where it listens.
    fn serving(&self) -> Running {
        let mut serve = self.command(&["--set", "metrics_addr=", "serve", "--listen", "127.0.0.1:0"]);
        let mut serve = Running(serve.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(serve.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("is listening on")), "it says where it listens");
        std::thread::spawn(move || lines.count());
        serve
    }

    fn messages(&self) -> usize {
        let replay = self.psyche(&["replay"]);
        assert!(replay.status.success(), "{}", text(&replay.stderr));
        text(&replay.stdout).matches(" → ").count()
    }
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psyche"));
    command.args(["--data-dir", &data.display().to_string(), "--set", "log=warn"]).args(arguments).current_dir(data);
    command
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_conversation_in_postgresql_is_the_one_in_sqlite() {
    let home = Home::new();
    let doctor = home.psyche(&["doctor"]);
    assert!(text(&doctor.stdout).contains("holds nothing yet"), "{}", text(&doctor.stdout));
    let empty = home.psyche(&["verify"]);
    assert!(text(&empty.stderr).contains("there is no psyche data"), "{}", text(&empty.stderr));

    let arguments = ["run", "--model", "scripted", "--rounds", "2", "--seed", "3", "--json"];
    let run = home.psyche(&arguments);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let verify = home.psyche(&["verify"]);
    assert!(verify.status.success() && text(&verify.stdout).contains("whole"), "{}", text(&verify.stdout));
    let sqlite = tempfile::tempdir().unwrap();
    let other = command(sqlite.path(), &arguments).output().unwrap();
    let words = |output: &Output| -> Vec<String> {
        let frames = text(&output.stdout);
        let frames = frames.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        frames.filter(|f| f["type"] == "agent_message").map(|f| f["content"].to_string()).collect()
    };
    assert_eq!(words(&run), words(&other));
    assert_eq!(words(&run).len(), 10);

    // Nothing shows the password, and nothing lies in a file of SQLite's.
    for shown in [&["doctor"][..], &["config"], &["config", "--json"]] {
        let output = home.psyche(shown);
        assert!(text(&output.stdout).contains("psyche:…@127.0.0.1"), "{shown:?}: {}", text(&output.stdout));
        assert!(!text(&output.stdout).contains("hush"), "{shown:?}: {}", text(&output.stdout));
    }
    assert!(!home.data.path().join("psyche.db").exists());

    // Out of one store and into the other: the same log.
    let frames = text(&run.stdout);
    let first: serde_json::Value = serde_json::from_str(frames.lines().next().unwrap()).unwrap();
    let id = first["session_id"].as_str().unwrap();
    let exported = home.psyche(&["export", id, "--format", "jsonl", "--output", "talk.jsonl"]);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let file = home.data.path().join("talk.jsonl").display().to_string();
    let import = command(sqlite.path(), &["import", &file]).output().unwrap();
    assert!(import.status.success(), "{}", text(&import.stderr));
    let both = command(sqlite.path(), &["verify"]).output().unwrap();
    assert!(both.status.success(), "{}", text(&both.stdout));
}

#[test]
fn one_program_writes_and_others_read() {
    let home = Home::new();
    let run = home.psyche(&["run", "--model", "scripted", "--rounds", "1", "--seed", "3"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let server = home.serving();
    for arguments in
        [&["serve", "--listen", "127.0.0.1:0"][..], &["run", "--model", "scripted"], &["user", "create", "ben"]]
    {
        let second = home.psyche(arguments);
        let said = text(&second.stderr);
        assert!(
            !second.status.success() && said.contains("another psyche has this database open"),
            "{arguments:?}: {said}"
        );
    }
    assert!(home.psyche(&["verify"]).status.success());
    assert_eq!(home.messages(), 5);
    let doctor = home.psyche(&["doctor"]);
    assert!(text(&doctor.stdout).contains("opens and answers"), "{}", text(&doctor.stdout));
    // Killed without a word, it keeps nobody away: the lock went with its connection.
    drop(server);
    drop(home.serving());
    assert!(home.url.contains("hush"));
}

#[test]
fn a_conversation_whose_program_was_killed_goes_on() {
    let home = Home::new();
    let mut run = home.command(&["run", "--rounds", "4", "--seed", "3", "--json"]);
    let mut run = Running(run.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said = lines.by_ref().filter(|line| line.contains("\"agent_message\"")).take(7).count();
    assert_eq!(said, 7, "it was under way");
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let before = home.messages();
    assert!((7..20).contains(&before), "killed in the middle, after {before}");
    // The lease of the killed one runs out; the server takes the session up and ends it.
    let server = home.serving();
    let mut looks = 0;
    while home.messages() < 20 {
        looks += 1;
        assert!(looks < 600, "nobody took the session up");
    }
    drop(server);
    let verify = home.psyche(&["verify"]);
    assert!(verify.status.success(), "{}", text(&verify.stdout));
}

#[test]
fn everything_moves_there_and_back_and_comes_back_from_a_backup() {
    let home = Home::new();
    let config = home.data.path().join("psyche.toml");
    std::fs::write(&config, MODEL).unwrap();
    let said = |output: &Output| {
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    };
    said(&home.psyche(&["run", "--model", "scripted", "--rounds", "2", "--seed", "3"]));
    let mut create = home.command(&["user", "create", "ben", "--role", "admin"]);
    let mut create = create.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut create.stdin.take().unwrap(), b"a long and quiet river\n").unwrap();
    assert!(create.wait().unwrap().success());
    let before = said(&home.psyche(&["verify"]));
    let words = said(&home.psyche(&["replay"]));

    let onto_itself = home.psyche(&["migrate"]);
    assert!(text(&onto_itself.stderr).contains("onto itself"), "{}", text(&onto_itself.stderr));
    let moved = said(&home.psyche(&["migrate", "--to", &home.url]));
    assert!(moved.contains("1 sessions with") && !moved.contains("hush"), "{moved}");
    let again = home.psyche(&["migrate", "--to", &home.url]);
    assert!(!again.status.success() && text(&again.stderr).contains("not empty"), "{}", text(&again.stderr));
    // In a directory of its own: what lies beside a database tells of that one alone.
    let beside = home.data.path().join("back");
    std::fs::create_dir(&beside).unwrap();
    let back = format!("sqlite:{}", beside.join("back.db").display());
    said(&home.psyche(&["migrate", "--from", &home.url, "--to", &back]));
    for store in [&home.url, &back] {
        let store = format!("store={store}");
        assert_eq!(said(&home.psyche(&["--set", &store, "verify"])), before);
        assert_eq!(said(&home.psyche(&["--set", &store, "replay"])), words);
        assert!(said(&home.psyche(&["--set", &store, "audit", "verify"])).contains("whole"));
    }

    // A running server is in the way of a migration, and not of a backup.
    std::fs::write(&config, format!("store = \"{}\"\n{MODEL}", home.url)).unwrap();
    let server = home.serving();
    let busy = home.psyche(&["migrate", "--to", "sqlite:other/psyche.db"]);
    assert!(text(&busy.stderr).contains("another psyche has this database open"), "{}", text(&busy.stderr));
    let file = home.data.path().join("all.backup").display().to_string();
    let backed_up = said(&home.psyche(&["backup", &file]));
    assert!(backed_up.contains("The master key is not in it"), "{backed_up}");
    let again = home.psyche(&["backup", &file]);
    assert!(!again.status.success() && text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    let busy = home.psyche(&["restore", &file, "--replace"]);
    assert!(text(&busy.stderr).contains("while the server is stopped"), "{}", text(&busy.stderr));
    drop(server);

    for store in [&home.url, &back] {
        let store = format!("store={store}");
        let refused = home.psyche(&["--set", &store, "restore", &file]);
        assert!(!refused.status.success() && text(&refused.stderr).contains("--replace"), "{}", text(&refused.stderr));
        let restored = said(&home.psyche(&["--set", &store, "restore", &file, "--replace"]));
        assert!(restored.contains("everybody signs in again"), "{restored}");
        assert!(!store.contains("sqlite:") || restored.contains("back.db.before-"), "{restored}");
        assert_eq!(said(&home.psyche(&["--set", &store, "verify"])), before);
        assert_eq!(said(&home.psyche(&["--set", &store, "replay"])), words);
    }
    // Killed at any point, a restore leaves what was there or what was to come.
    for store in [&home.url, &back] {
        let store = format!("store={store}");
        let one = said(&home.psyche(&["--set", &store, "verify"]));
        said(&home.psyche(&["--set", &store, "run", "--model", "scripted", "--rounds", "1", "--seed", "4"]));
        let two = said(&home.psyche(&["--set", &store, "verify"]));
        assert_eq!(two.lines().count(), 2, "{two}");
        for moment in [1, 10, 30, 60, 100, 150, 220, 300] {
            let mut restore = home.command(&["--set", &store, "restore", &file, "--replace"]);
            let mut restore = Running(restore.stdout(Stdio::null()).spawn().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(moment));
            restore.0.kill().unwrap();
            restore.0.wait().unwrap();
            let found = said(&home.psyche(&["--set", &store, "verify"]));
            assert!(found == one || found == two, "after {moment} ms: {found}");
        }
        said(&home.psyche(&["--set", &store, "restore", &file, "--replace"]));
        assert_eq!(said(&home.psyche(&["--set", &store, "verify"])), one);
    }
    // Without the key a backup is nothing.
    let elsewhere = tempfile::tempdir().unwrap();
    let lost = command(elsewhere.path(), &["restore", &file]).output().unwrap();
    assert!(text(&lost.stderr).contains("only with the master key"), "{}", text(&lost.stderr));
    assert!(!elsewhere.path().join("psyche.db").exists());
}
