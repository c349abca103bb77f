//! The command line of the real program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psyche"));
    command.args(["--data-dir", &data.display().to_string(), "--set", "log=warn"]).args(arguments);
    if data.exists() {
        command.current_dir(data);
    }
    command
}

fn psyche(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const QUICK_MODEL: &str = "[models.default]\nprovider = \"scripted\"\nlatency_ms = 0\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn run_verify_replay() {
    let data = tempfile::tempdir().unwrap();
    let run = psyche(data.path(), &["run", "--model", "scripted", "--rounds", "2", "--seed", "3", "--json"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let frames: Vec<serde_json::Value> = text(&run.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(frames.iter().filter(|f| f["type"] == "agent_message").count(), 10);

    let verify = psyche(data.path(), &["verify"]);
    assert!(verify.status.success(), "{}", text(&verify.stdout));
    assert!(text(&verify.stdout).contains("whole"), "{}", text(&verify.stdout));
    let replay = psyche(data.path(), &["replay"]);
    assert_eq!(text(&replay.stdout).matches(" → ").count(), 10);

    let id = frames[0]["session_id"].as_str().unwrap();
    assert_eq!(psyche(data.path(), &["replay", id]).stdout, replay.stdout);
    assert_eq!(psyche(data.path(), &["verify", id]).stdout, verify.stdout);
    let unknown = "01a205ef-dff5-7f85-904f-478bdc817b20";
    for (typed, expected) in
        [("nope", "\"nope\" is not the id of a session"), (unknown, "there is no session 01a205ef")]
    {
        for command in ["replay", "verify"] {
            let output = psyche(data.path(), &[command, typed]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command} {typed}: {said}");
            assert!(said.contains(expected) && said.contains(id), "{command} {typed}: {said}");
        }
    }

    // The same seed gives the same words.
    let other = tempfile::tempdir().unwrap();
    let again = psyche(other.path(), &["run", "--model", "scripted", "--rounds", "2", "--seed", "3", "--json"]);
    let words = |output: &[u8]| -> Vec<String> {
        let frames = text(output);
        let frames = frames.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        frames.filter(|f| f["type"] == "agent_message").map(|f| f["content"].to_string()).collect()
    };
    assert_eq!(words(&run.stdout), words(&again.stdout));
}

/// `psyche serve` that has said where it listens.
fn serving(data: &Path) -> Running {
    let mut serve = command(data, &["--set", "metrics_addr=", "serve", "--listen", "127.0.0.1:0"]);
    let mut serve = Running(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(serve.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("is listening on")), "it says where it listens");
    std::thread::spawn(move || lines.count());
    serve
}

#[test]
fn a_conversation_is_forked_spoken_in_and_asked_about() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), QUICK_MODEL).unwrap();
    let run = psyche(data.path(), &["run", "--rounds", "2", "--json"]);
    let frames: Vec<serde_json::Value> = text(&run.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let id = frames[0]["session_id"].as_str().unwrap();
    let turn = |n: u64| frames.iter().find(|f| f["type"] == "turn_committed" && f["turn"] == n).unwrap()["seq"].clone();
    let fork = |arguments: &[&str]| psyche(data.path(), &[&["fork", id, "--json"][..], arguments].concat());

    let made = fork(&["--at", "turn:7", "--situation", "The tide comes in.", "--name", "Tide"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["parent"], serde_json::json!({"session_id": id, "gen": 1, "seq": turn(7)}));
    let copy = made["session_id"].as_str().unwrap();
    assert!(fork(&["--at", "3"]).status.success());
    assert!(fork(&[]).status.success());
    for (at, expected) in [("turn:70", "its last one is turn 10"), ("0", "the log has events 1 to"), ("soon", "turn:7")]
    {
        let refused = fork(&["--at", at]);
        assert_eq!(refused.status.code(), Some(2), "{at}");
        assert!(text(&refused.stderr).contains(expected), "{at}: {}", text(&refused.stderr));
    }

    let said = psyche(data.path(), &["speak", copy, "Who is there?", "--to", "ego"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let nobody = psyche(data.path(), &["speak", copy, "Who is there?", "--to", "nobody"]);
    assert!(text(&nobody.stderr).contains("there is no agent"), "{}", text(&nobody.stderr));
    let verify = psyche(data.path(), &["verify", "--json"]);
    let findings = text(&verify.stdout);
    assert_eq!(findings.matches("\"rerun\": \"same\"").count(), 4, "{findings}");

    // Only what writes is the server's while one runs.
    let server = serving(data.path());
    let before = psyche(data.path(), &["verify", copy]).stdout;
    let asked = psyche(data.path(), &["interview", copy, "shadow", "What do you want?", "--json"]);
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    let answered: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(answered["messages"].to_string().contains("What do you want?"));
    assert!(!answered["answer"].as_str().unwrap().is_empty());
    let nobody = psyche(data.path(), &["interview", copy, "nobody", "Who?"]);
    assert!(text(&nobody.stderr).contains("there is no agent"), "{}", text(&nobody.stderr));
    assert_eq!(psyche(data.path(), &["verify", copy]).stdout, before, "nothing of it is in the log");
    for arguments in [vec!["fork", id], vec!["speak", id, "Hello?"]] {
        let refused = psyche(data.path(), &arguments);
        assert_eq!(refused.status.code(), Some(2));
        let why = text(&refused.stderr);
        assert!(why.contains("a running server does this") && why.contains("in use by process"), "{why}");
    }
    drop(server);
}

#[test]
fn a_changed_log_is_found_and_one_that_cannot_be_read_is_not_called_broken() {
    let data = tempfile::tempdir().unwrap();
    psyche(data.path(), &["run", "--model", "scripted", "--rounds", "1"]);
    let file = data.path().join("psyche.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let needle = br#""message_type":"normal""#;
    let at = bytes.windows(needle.len()).position(|w| w == needle).expect("a message in the database");
    bytes[at + needle.len() - 2] = b'L';
    std::fs::write(&file, bytes).unwrap();
    let verify = psyche(data.path(), &["verify"]);
    assert_eq!(verify.status.code(), Some(1), "{}", text(&verify.stdout));
    assert!(text(&verify.stdout).contains("NOT WHOLE"), "{}", text(&verify.stdout));
    let findings = text(&psyche(data.path(), &["verify", "--json"]).stdout);
    let findings: serde_json::Value = serde_json::from_str(&findings).unwrap();
    let id = findings[0]["session_id"].as_str().unwrap();
    let export = psyche(data.path(), &["export", id, "--format", "csv", "--output", "-"]);
    assert_eq!((export.status.code(), export.stdout.len()), (Some(2), 0), "nothing of it is given out");
    assert!(text(&export.stderr).contains("not whole"), "{}", text(&export.stderr));

    std::fs::write(&file, b"this is not a database, whatever its name says").unwrap();
    let verify = psyche(data.path(), &["verify"]);
    assert_eq!(verify.status.code(), Some(2), "{}", text(&verify.stdout));
}

#[test]
fn a_session_is_taken_to_another_installation_and_is_whole_there() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = psyche(here.path(), &["run", "--model", "scripted", "--rounds", "2", "--json"]);
    let first = text(&run.stdout).lines().next().unwrap().to_owned();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let id = first["session_id"].as_str().unwrap();
    let export = psyche(here.path(), &["export", id, "--format", "jsonl"]);
    assert!(export.status.success(), "{}", text(&export.stderr));
    let name = format!("psyche-{id}.jsonl");
    assert_eq!(text(&export.stdout).trim(), name);
    let file = here.path().join(&name).display().to_string();
    let import = psyche(there.path(), &["import", &file]);
    assert!(import.status.success(), "{}", text(&import.stderr));
    let back = text(&import.stdout);
    let back = back.split_whitespace().next().unwrap();
    let verify = psyche(there.path(), &["verify", back]);
    assert!(verify.status.success() && text(&verify.stdout).contains("run again: same"), "{}", text(&verify.stdout));
    let head = |output: &Output| text(&output.stdout).split_once("  ").unwrap().1.to_owned();
    assert_eq!(head(&verify), head(&psyche(here.path(), &["verify", id])), "as many events, to the same hash");
    let again = psyche(there.path(), &["export", back, "--format", "jsonl", "--output", "-"]);
    let events = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(events(&text(&again.stdout)), events(&std::fs::read_to_string(&file).unwrap()));

    let analysed = |data: &Path, arguments: &[&str]| {
        let output = psyche(data, &[&["analyse"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let document = |text: &str| {
        let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["utterances"], 10);
        document.as_object_mut().unwrap().remove("session_id");
        document
    };
    let of_the_file = analysed(there.path(), &[&file, "--json"]);
    assert_eq!(
        document(&of_the_file),
        document(&analysed(here.path(), &[id, "--json"])),
        "a file reads as its session"
    );
    let shown = analysed(here.path(), &[]);
    assert!(shown.starts_with(&format!("{id}: 10 utterances")) && shown.contains("stagnation"), "{shown}");

    let damaged = there.path().join("damaged.jsonl");
    std::fs::write(&damaged, std::fs::read_to_string(&file).unwrap().replacen("\"round\":1", "\"round\":2", 1))
        .unwrap();
    let refused = psyche(there.path(), &["import", &damaged.display().to_string()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("line "), "{}", text(&refused.stderr));
    let nobody = psyche(there.path(), &["import", &file, "--owner", "nobody"]);
    assert!(text(&nobody.stderr).contains("nobody called \"nobody\""), "{}", text(&nobody.stderr));
    assert_eq!(text(&psyche(there.path(), &["verify"]).stdout).lines().count(), 1, "one session, no halves");
}

#[test]
fn a_session_that_speaks_is_whole_up_to_where_it_was_when_verify_looked() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), QUICK_MODEL).unwrap();
    let mut run = command(data.path(), &["run", "--rounds", "1000000", "--json"]);
    let mut run = Running(run.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines();
    // More than verify reads at a time.
    assert_eq!(lines.by_ref().take(1_500).map_while(Result::ok).count(), 1_500);
    // Whoever stops reading a pipe blocks its writer.
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let refused = psyche(data.path(), &["import", "/dev/null"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("/api/v1/sessions/import"), "{}", text(&refused.stderr));
    for _ in 0..3 {
        let verify = psyche(data.path(), &["verify", "--json"]);
        let findings = text(&verify.stdout);
        assert!(verify.status.success(), "{findings}{}", text(&verify.stderr));
        assert!(findings.contains("\"rerun\": \"same\""), "{findings}");
    }
    drop(run);
    assert!(reader.join().unwrap() > 0, "it went on speaking");
}

#[test]
fn where_there_is_no_data_yet_a_sentence_says_so_and_nothing_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let (empty, missing) = (parent.path().join("empty"), parent.path().join("missing"));
    std::fs::create_dir(&empty).unwrap();
    for data in [&empty, &missing] {
        for arguments in [&["verify"][..], &["replay"], &["verify", "nope"], &["replay", "--json"]] {
            let output = psyche(data, arguments);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(
                said.contains("there is no psyche data yet") && said.contains("psyche run"),
                "{arguments:?}: {said}"
            );
        }
    }
    assert!(!missing.exists() && empty.read_dir().unwrap().next().is_none(), "nothing was made");

    // A database that was there before is missed, not awaited.
    std::fs::write(empty.join("high-water"), "").unwrap();
    std::fs::write(empty.join("master.key"), "07".repeat(32)).unwrap();
    let said = text(&psyche(&empty, &["verify"]).stderr);
    assert!(said.contains("there is no database at"), "{said}");
}

#[test]
fn a_run_that_cannot_be_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let cases: [&[&str]; 9] = [
        &["run"],
        &["run", "--model", "hal"],
        &["run", "--model", "scripted", "--cast", "nobody.toml"],
        &["run", "--model", "scripted", "--rounds", "0"],
        &["run", "--model", "scripted", "--seed", "18446744073709551615"],
        &["--set", "store=postgres://db.example/psyche", "run", "--model", "scripted"],
        &["--set", "store=postgres://psyche@127.0.0.1:1/psyche", "run", "--model", "scripted"],
        &["--set", "store=mysql://127.0.0.1/psyche", "run", "--model", "scripted"],
        &["--set", "bus=redis:", "run", "--model", "scripted"],
    ];
    for arguments in cases {
        let output = psyche(&data, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(!data.exists(), "{arguments:?}");
    }
    let nowhere = psyche(&data, &["--set", "store=memory:", "run", "--model", "scripted", "--rounds", "1"]);
    assert!(nowhere.status.success() && !data.exists(), "{}", text(&nowhere.stderr));
}

/// Reads so many lines of a program and goes away. Gives its exit code and what it said to standard error.
fn cut_off(mut program: Command, lines: usize) -> (Option<i32>, String) {
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(stdout.lines().take(lines).map_while(Result::ok).count(), lines);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_reader_that_goes_away_ends_the_program_without_a_word() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("psyche.toml"), QUICK_MODEL).unwrap();
    let run = ["run", "--rounds", "1000000"];
    // A session that nobody reads is stopped: the next server would take up one that runs.
    assert_eq!(cut_off(command(data.path(), &run), 3), (Some(141), String::new()));
    let replay = text(&psyche(data.path(), &["replay"]).stdout);
    assert!(replay.contains("— stopped"), "{replay}");
    let (code, said) = cut_off(command(data.path(), &[&run[..], &["--json"]].concat()), 100);
    assert!(code == Some(141) && !said.contains("panicked"), "{code:?} {said}");
    // More than a pipe holds.
    assert_eq!(cut_off(command(data.path(), &["replay", "--json"]), 2), (Some(141), String::new()));

    let mut child = command(data.path(), &["replay", "nope"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2), "nor is a panic told to nobody");
}

#[test]
fn mistakes_get_a_sentence_that_helps() {
    let data = tempfile::tempdir().unwrap();
    let cast = data.path().join("bad.toml");
    let good = psyche_core::cast::JUNGIAN;
    std::fs::write(&cast, good.replacen("temperature = 0.9", "temperature = 9", 1)).unwrap();
    let cast = cast.display().to_string();
    let cases: [(&[&str], &str); 8] = [
        (&["run", "--cast", &cast], "agents[1].temperature: is 9, must be between 0 and 2"),
        (&["run", "--cast", "nobody.toml"], "it must be `jungian` or a TOML or JSON file"),
        (&["run", "--model", "hal"], "there is no model \"hal\"; there are embedded, scripted"),
        (&["run"], "run `psyche model fetch`"),
        (&["--set", "lisen=1", "config"], "did you mean `listen`"),
        (&["--set", "store=postgres://db.example/psyche", "run", "--model", "scripted"], "sslmode=disable"),
        (&["--set", "store=postgres://psyche@127.0.0.1:1/psyche", "run", "--model", "scripted"], "cannot be reached"),
        (
            &["--set", "store=mysql://127.0.0.1/psyche", "run", "--model", "scripted"],
            "it can be sqlite:<file>, postgres://",
        ),
    ];
    for (arguments, expected) in cases {
        let output = psyche(data.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
    let bad = psyche(data.path(), &["run", "--cast", &cast]);
    let line = text(&bad.stderr).split("line ").nth(1).unwrap().split(',').next().unwrap().parse::<usize>().unwrap();
    let cast = std::fs::read_to_string(&cast).unwrap();
    assert_eq!(cast.lines().nth(line - 1), Some("temperature = 9"));
}

#[test]
fn doctor_and_config_speak_json_to_scripts() {
    let data = tempfile::tempdir().unwrap();
    let doctor = psyche(data.path(), &["--set", "listen=127.0.0.1:0", "--set", "metrics_addr=", "doctor", "--json"]);
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    let model = checks.iter().find(|c| c["what"] == "default model").unwrap();
    assert_eq!(model["verdict"], "warning");
    assert!(model["finding"].as_str().unwrap().contains("psyche model fetch"));
    let encoder = checks.iter().find(|c| c["what"] == "encoder").unwrap();
    assert_eq!(encoder["verdict"], "warning");
    let finding = encoder["finding"].as_str().unwrap();
    assert!(finding.contains("psyche model fetch") && finding.contains("measures go by words alone"), "{finding}");
    let config = psyche(data.path(), &["config", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&config.stdout).unwrap();
    let cluster = rows.iter().find(|r| r["key"] == "cluster").unwrap();
    assert_eq!((&cluster["value"], &cluster["origin"]), (&"false".into(), &"default".into()));
}

/// A server that answers every request with one document.
fn model_server(document: &'static str) -> std::net::SocketAddr {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            assert!(head.take_while(|line| !line.is_empty()).count() > 0);
            let length = document.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn doctor_asks_the_model_server_and_the_list_of_models_claims_nothing() {
    let data = tempfile::tempdir().unwrap();
    // Bound and dropped: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let there = model_server(r#"{"object":"list","data":[{"id":"small:latest"}]}"#);
    let table = |id: &str, model: &str, address| {
        format!(
            "[models.{id}]\nprovider = \"openai\"\nmodel = \"{model}\"\nbase_url = \"http://{address}/v1\"\n\
             allow_http_hosts = [\"127.0.0.1\"]\napi_key = \"hush\"\n"
        )
    };
    let tables = [table("default", "small", there), table("other", "large", there), table("away", "small", nobody)];
    std::fs::write(data.path().join("psyche.toml"), tables.concat()).unwrap();
    let ports = ["--set", "listen=127.0.0.1:0", "--set", "metrics_addr="];
    let said = text(&psyche(data.path(), &[&ports[..], &["doctor"]].concat()).stdout);
    for expected in [
        "ok    default model  default (small) is in its server's list",
        "warn  model          other (large): the server answers, but `large` is not in its list of models (small:latest)",
        "warn  model          away (small): the model server cannot be reached",
    ] {
        assert!(said.contains(expected), "{expected}\nin\n{said}");
    }
    let list = text(&psyche(data.path(), &["model", "list"]).stdout);
    let state = |id: &str| {
        let line = list.lines().find(|l| l.split_whitespace().find(|w| *w != "*") == Some(id));
        line.unwrap_or_else(|| panic!("{id} in {list}")).to_owned()
    };
    assert!(state("default").ends_with("configured") && state("away").ends_with("configured"), "{list}");
    assert!(state("scripted").ends_with("ready"), "{list}");
    assert!(state("(encoder)").contains("psyche model fetch"), "{list}");
    let config = text(&psyche(data.path(), &["config"]).stdout);
    assert!(config.contains("models.default.base_url") && !config.contains("hush"), "{config}");
}

#[test]
fn doctor_names_another_address_in_the_way_it_takes_one() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["listen", "metrics_addr"] {
        let empty = if key == "listen" { "metrics_addr=" } else { "listen=" };
        let doctor = psyche(data.path(), &["--set", &format!("{key}={address}"), "--set", empty, "doctor"]);
        let said = text(&doctor.stdout);
        let advice = said.split("another address: ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let advice: Vec<&str> = advice.lines().next().unwrap().split(' ').collect();
        assert!(advice[1].starts_with(key), "{said}");
        let taken = psyche(data.path(), &[&advice[..], &["doctor", "--json"]].concat());
        assert!(taken.stdout.starts_with(b"["), "doctor takes {advice:?}: {}", text(&taken.stderr));
    }
}

#[test]
fn a_second_start_on_the_same_directory_is_refused_with_the_pid() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_psyche"))
        .args([
            "--data-dir",
            &data.path().display().to_string(),
            "--set",
            "metrics_addr=",
            "serve",
            "--listen",
            "127.0.0.1:0",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(first.stdout.as_mut().unwrap()), &mut line).unwrap();
    let second = psyche(data.path(), &["run", "--model", "scripted"]);
    let user = psyche(data.path(), &["user", "create", "ben"]);
    let pid = first.id().to_string();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains(&pid), "{}", text(&second.stderr));
    assert_eq!(user.status.code(), Some(2));
    let said = text(&user.stderr);
    assert!(said.contains("POST /api/v1/users") && said.contains("stopped") && said.contains(&pid), "{said}");
}
