//! Every name of the program's in `deploy/` and in its page of the guide is one the real program knows: settings, subcommands
//! and flags, ports, paths, metrics. `cargo xtask deploy` checks the rest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Files whose settings come together in one process, the later ones over the earlier ones.
const WAYS: [&[&str]; 3] = [
    &["deploy/Containerfile", "deploy/compose.yaml"],
    &[
        "deploy/Containerfile",
        "deploy/kubernetes/base/kustomization.yaml",
        "deploy/kubernetes/base/psyche.yaml",
        "deploy/kubernetes/dev/kustomization.yaml",
    ],
    &[
        "deploy/Containerfile",
        "deploy/kubernetes/base/kustomization.yaml",
        "deploy/kubernetes/base/psyche.yaml",
        "deploy/kubernetes/production/kustomization.yaml",
    ],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Everything that names something, by its path.
fn files() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("secrets") {
                continue;
            }
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = vec![root().join("docs/guide/deploy.md")];
    walk(&root().join("deploy"), &mut found);
    found.into_iter().map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Words of a text that begin so and go on with what `may` says.
fn words<'a>(text: &'a str, prefix: &str, may: fn(char) -> bool) -> BTreeSet<&'a str> {
    let starts = text.match_indices(prefix).map(|(start, _)| start);
    let whole = starts.filter(|start| !text[..*start].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    let ends = whole.map(|start| {
        let rest = &text[start + prefix.len()..];
        &text[start..start + prefix.len() + rest.find(|c| !may(c)).unwrap_or(rest.len())]
    });
    ends.filter(|word| word.len() > prefix.len()).collect()
}

fn variables(text: &str) -> BTreeSet<&str> {
    words(text, "PSYCHE_", |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The program in a directory, with this environment and no other.
fn psyche(dir: &Path, environment: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psyche"));
    command.current_dir(dir).env_clear().envs(environment).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Value and origin of every setting.
fn configuration(
    dir: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, (String, String)>, String> {
    let output = psyche(dir, environment, &["config", "--json"]);
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    Ok(rows.iter().map(|row| (of(row, "key"), (of(row, "value"), of(row, "origin")))).collect())
}

#[test]
fn every_variable_is_a_setting() {
    let dir = tempfile::tempdir().unwrap();
    let settings = configuration(dir.path(), &BTreeMap::new()).unwrap();
    let mut found = 0;
    for (file, text) in files() {
        for variable in variables(&text) {
            let key = variable["PSYCHE_".len()..].to_lowercase();
            let known =
                settings.contains_key(&key) || key.strip_suffix("_file").is_some_and(|k| settings.contains_key(k));
            // What Kubernetes would set for a Service of that name is named as a mistake, and is one.
            let foreign = variable == "PSYCHE_PORT" && file.ends_with("psyche.yaml");
            assert!(known != foreign, "{file} names {variable}, which is no setting");
            found += 1;
        }
    }
    assert!(found > 20, "{found} variables found: are they read?");
    let service = BTreeMap::from([("PSYCHE_PORT".to_owned(), "tcp://10.0.0.1:80".to_owned())]);
    assert!(
        configuration(dir.path(), &service).is_err(),
        "variables of Services are harmless: enableServiceLinks may go"
    );
}

/// What a file sets: `NAME=value`, `NAME: value`, or a name and a value on the next line.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    for (line, next) in lines.iter().zip(lines.iter().skip(1).chain([&""])) {
        for name in variables(line) {
            let rest = &line[line.find(name).unwrap() + name.len()..];
            let value = rest.strip_prefix('=').or(rest.strip_prefix(": ")).or(next.strip_prefix("value: "));
            let value = value.unwrap_or_else(|| panic!("{line}: no value")).trim_end_matches(" \\").trim_matches('"');
            // compose: what stands there when nobody says otherwise.
            let value = value.split_once(":-").map_or(value, |(_, value)| value.trim_end_matches('}'));
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

/// The environment a way makes. Secrets come from `deploy/secrets.sh`, as they would.
fn environment(way: &[&str], secrets: &Path) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = way.iter().flat_map(|file| settings(&read(file))).collect();
    let nodes = way.iter().any(|file| file.contains("kubernetes"));
    for (_, value) in all.iter_mut().filter(|(name, _)| name.ends_with("_FILE")) {
        let name = value.rsplit('/').next().unwrap();
        let name = if nodes && name == "bus" { "bus_cluster" } else { name };
        *value = secrets.join(name).display().to_string();
    }
    all
}

#[test]
fn the_program_takes_what_each_way_sets() {
    let secrets = tempfile::tempdir().unwrap();
    let drawn = Command::new("sh").arg(root().join("deploy/secrets.sh")).arg(secrets.path()).output().unwrap();
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("psyche.toml"), read("deploy/kubernetes/base/psyche.toml")).unwrap();
    for way in WAYS {
        let all = environment(way, secrets.path());
        let taken = configuration(dir.path(), &all).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        for name in all.keys() {
            let key = name["PSYCHE_".len()..].trim_end_matches("_FILE").to_lowercase();
            assert_eq!(&taken[&key].1, name, "{way:?}");
        }
        let models = psyche(dir.path(), &all, &["model", "list"]);
        assert!(models.status.success(), "{way:?}: {}", text(&models.stderr));

        // Ports that others are told of are those it listens on.
        let port = |key: &str| taken[key].0.parse::<SocketAddr>().unwrap().port().to_string();
        let (people, scrapers) = (port("listen"), port("metrics_addr"));
        let all: String = way.iter().map(|file| read(file)).collect();
        let after = |text: &str, before: &str| -> Vec<String> {
            let found = text.split(before).skip(1);
            found.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).collect()
        };
        assert_eq!(after(&all, "EXPOSE "), [people.as_str()]);
        if way.contains(&"deploy/compose.yaml") {
            let proxy = read("deploy/haproxy.cfg");
            assert_eq!(after(&proxy, " psyche-1:"), [people.as_str()]);
            assert_eq!(after(&proxy, " psyche-2:"), [people.as_str()]);
        } else {
            assert_eq!(after(&all, "name: http, containerPort: "), [people.as_str()]);
            assert_eq!(after(&all, "name: metrics, containerPort: "), [scrapers.as_str()]);
            assert_eq!(after(&all, "prometheus.io/port: \""), [scrapers.as_str()]);
        }
    }
}

/// Calls of the program: in lists of words, in shell, and in prose between back-ticks or as lines of their own.
fn calls(file: &str, text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        for marker in ["CMD [", "args: ["] {
            let Some((_, list)) = line.split_once(marker) else { continue };
            let list = list.split_once(']').unwrap().0.split(',').map(|word| word.trim().trim_matches('"').to_owned());
            let mut list: Vec<String> = list.collect();
            let own = list[0] == "psyche";
            if own {
                list.remove(0);
            }
            // What the image or the pod is started with follows the ENTRYPOINT.
            if own || line.starts_with("CMD") || file.ends_with("psyche.yaml") {
                found.push(list);
            }
        }
        for (start, name) in line.match_indices("psyche ") {
            let before = &line[..start];
            let called = before.is_empty() || ["`", "-- ", "RUN ", "-1 "].iter().any(|end| before.ends_with(end));
            // A line that begins so is a call in the guide, and prose elsewhere.
            let prose = before.is_empty() && !file.ends_with("deploy.md");
            if called && !prose {
                let rest = &line[start + name.len()..];
                let rest = rest.split(['`', '|', '#', ';']).next().unwrap().split(" && ").next().unwrap();
                found.push(rest.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    found
}

#[test]
fn every_subcommand_and_flag_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = BTreeSet::new();
    for (file, content) in files() {
        for mut call in calls(&file, &content) {
            all.insert(call.join(" "));
            // It says what a call means, once it has read all of it.
            call.push("--help".to_owned());
            let call: Vec<&str> = call.iter().map(String::as_str).collect();
            let output = psyche(dir.path(), &BTreeMap::new(), &call);
            assert!(output.status.success(), "{file}: psyche {}: {}", call.join(" "), text(&output.stderr));
        }
    }
    for expected in ["serve", "health", "--set models_dir=/models model fetch", "doctor"] {
        assert!(all.contains(expected), "{expected} is not found in {all:?}");
    }
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_running_program_answers_probes_and_has_every_metric() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\n").unwrap();
    // It does not say where its metrics are, so it is told.
    let scrapers = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_psyche"));
    serve.current_dir(dir.path()).env_clear().args(["serve", "--listen", "127.0.0.1:0"]);
    serve.args(["--set", "store=memory:", "--set", &format!("metrics_addr={scrapers}"), "--set", "log=warn"]);
    let mut serve = Running(serve.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(serve.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let people = lines.find_map(|line| Some(line.split_once(" is listening on http://")?.1.to_owned())).unwrap();
    std::thread::spawn(move || lines.count());

    let mut asked = BTreeSet::new();
    for (file, text) in files() {
        for line in text.lines().map(str::trim) {
            let path = |before: &str| {
                let rest = line.split_once(before)?.1;
                Some(rest.split([',', '}', ' ']).next().unwrap().to_owned())
            };
            // The pods' probes and the scraper ask one listener, the proxy the other.
            let found = [
                path("httpGet: {path: ").map(|path| (&scrapers, path)),
                path("prometheus.io/path: ").map(|path| (&scrapers, path)).filter(|_| file.ends_with("psyche.yaml")),
                path("httpchk GET ").map(|path| (&people, path)),
            ];
            for (address, path) in found.into_iter().flatten() {
                assert_eq!(get(address, &path).0, 200, "{file}: {line}");
                asked.insert(path);
            }
        }
    }
    assert_eq!(asked.iter().map(String::as_str).collect::<Vec<_>>(), ["/live", "/metrics", "/ready"]);

    let metrics = get(&scrapers, "/metrics").1;
    let mut counted = BTreeSet::new();
    for (file, text) in files() {
        for metric in words(&text, "psyche_", |c| c.is_ascii_lowercase() || c == '_') {
            assert!(metrics.contains(&format!("# TYPE {metric} ")), "{file} names {metric}, which is no metric");
            counted.insert(metric.to_owned());
        }
    }
    assert!(counted.contains("psyche_websocket_connections"), "{counted:?}");

    let health = |arguments: &[&str]| psyche(dir.path(), &BTreeMap::new(), &[&["health"][..], arguments].concat());
    for arguments in [
        &["--url", &format!("http://{people}/")][..],
        &["--set", &format!("listen={people}")],
        &["--ready", "--set", &format!("listen={people}")],
        &["--set", &format!("metrics_addr={scrapers}"), "--set", "tls_cert=a.pem", "--set", "tls_key=b.pem"],
    ] {
        let output = health(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("answers 200"), "{}", text(&output.stdout));
    }
    drop(serve);
    let gone = health(&["--set", &format!("listen={people}")]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("does not answer"), "{}", text(&gone.stderr));
}
