//! `cargo xtask image`: the image of `deploy/Containerfile`, built whole and run as `docs/guide/deploy.md` says, alone and
//! as `deploy/compose.yaml` runs two of it, by podman of Debian's packages. No registry of images is asked: the bases are
//! made here, of Debian's packages and of this machine's own Rust and Node.js, under the names that the files call them by;
//! so are the images of HAProxy, Redis and PostgreSQL, of Debian's versions. Needs root and about twenty minutes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::root;
use crate::tools::{self, output};

const IMAGE: &str = "localhost/psyche:tried";
/// The container of the server.
const NAME: &str = "psyche-tried";
const PASSWORD: &str = "seven swans a-swimming upstream";
/// What the image may weigh, the weights of the models included.
const MOST: u64 = 512 << 20;
/// How long the server may take until it is healthy.
const PATIENCE: Duration = Duration::from_mins(1);
/// As Kubernetes and the compose file run it, with nothing to write to but the volume.
const HARDENED: [&str; 10] = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--memory",
    "1g",
    "--volume",
    "psyche-tried:/data",
];

/// A base: its name in the recipe, what is in it, and a variable by which its programs find this machine's authorities.
struct Base {
    name: &'static str,
    packages: &'static str,
    variable: &'static str,
}

const BASES: [Base; 3] = [
    Base { name: "debian", packages: "ca-certificates", variable: "" },
    Base {
        name: "rust",
        packages: "ca-certificates,gcc,g++,libc6-dev,make,pkg-config",
        variable: "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    },
    Base {
        name: "node",
        packages: "ca-certificates",
        variable: "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
    },
];

/// Stand-ins for what the compose file fetches: the beginning of the name, what is installed, and the rest of the recipe.
const FETCHED: [(&str, &str, &str); 3] = [
    ("haproxy", "haproxy", "USER haproxy"),
    ("redis", "redis-server", "WORKDIR /data"),
    (
        "postgres",
        "postgresql",
        "RUN useradd --uid 70 pg && install --directory --owner pg --mode 0700 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data/in
COPY start.sh /start.sh
ENTRYPOINT [\"sh\", \"/start.sh\"]",
    ),
];

/// What the official image of PostgreSQL does at its first start, as far as the compose file counts on it.
const START_POSTGRES: &str = r#"set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8 --locale=C
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/run/postgresql
"#;

/// Checks that held.
pub fn run() -> Result<u64> {
    ensure!(tools::has_root(), "images are built here without namespaces of users, as root alone may");
    for (program, package) in [
        ("podman", "podman"),
        ("runc", "runc"),
        ("debootstrap", "debootstrap"),
        ("/usr/lib/podman/netavark", "netavark"),
        ("/usr/lib/podman/aardvark-dns", "aardvark-dns"),
        ("iptables", "iptables"),
    ] {
        if !tools::has(program) {
            tools::install(package)?;
        }
    }
    let podman = Podman::new(tools::target_dir().join("image"))?;
    let recipe = root().join("deploy").join("Containerfile");
    let text = fs::read_to_string(&recipe)?;
    for base in &BASES {
        podman.base(
            base,
            tag_of(&text, "FROM ", base.name).with_context(|| format!("the recipe names no {}", base.name))?,
        )?;
    }
    // The format that has health checks.
    let build = ["build", "--format", "docker", "--isolation", "chroot", "--pull=never", "--tag", IMAGE, "--file"];
    podman.shown(&[&build[..], &[&recipe.display().to_string(), "."]].concat())?;
    podman.clear();
    let held = podman.looks()? + podman.talks()? + podman.serves()?;
    podman.clear();
    let held = held + podman.composes()?;
    Ok(held)
}

/// The whole name of an image in a file, by the first line that begins so.
fn tag_of<'a>(file: &'a str, before: &str, image: &str) -> Option<&'a str> {
    let name = format!("docker.io/library/{image}:");
    let mut named = file.lines().filter_map(|line| line.trim_start().strip_prefix(before)?.split(' ').next());
    named.find(|tag| tag.starts_with(&name))
}

/// podman with a store of its own.
struct Podman {
    dir: PathBuf,
}

impl Podman {
    fn new(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        // The kernel's overlays may not be had in a container; plain directories can.
        let storage =
            format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{0}/run\"\ngraphroot = \"{0}/store\"\n", dir.display());
        fs::write(dir.join("storage.conf"), storage)?;
        // Limits that this machine's own allow.
        let engine = format!(
            "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{0}/networks\"\n\
             [engine]\nruntime = \"runc\"\nevents_logger = \"file\"\nvolume_path = \"{0}/volumes\"\n",
            dir.display()
        );
        fs::write(dir.join("containers.conf"), engine)?;
        Ok(Self { dir })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.set(Command::new("podman"));
        command.args(arguments).current_dir(root());
        command
    }

    /// Podman itself, or a program that calls it.
    fn set(&self, mut command: Command) -> Command {
        command.env("CONTAINERS_STORAGE_CONF", self.dir.join("storage.conf"));
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        // Health is asked for by hand: there need not be a systemd whose timer would.
        command.env("DISABLE_HC_SYSTEMD", "true");
        command
    }

    /// What it prints.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let said = output(&mut self.command(arguments)).with_context(|| format!("podman {}", arguments.join(" ")))?;
        Ok(said.trim_end().to_owned())
    }

    /// Long work, whose output is shown.
    fn shown(&self, arguments: &[&str]) -> Result<()> {
        let status = self.command(arguments).status().context("start podman")?;
        ensure!(status.success(), "`podman {}` failed ({status})", arguments.join(" "));
        Ok(())
    }

    /// Ends and removes what a run before this one has left.
    fn clear(&self) {
        let _ = self.ask(&["rm", "--force", "--volumes", NAME]);
        let _ = self.ask(&["volume", "rm", "--force", "psyche-tried"]);
    }

    /// Makes a base, where it is not there yet.
    fn base(&self, base: &Base, tag: &str) -> Result<()> {
        if self.ask(&["image", "exists", tag]).is_ok() {
            return Ok(());
        }
        println!("making {tag} of Debian's packages");
        let dir = self.dir.join(base.name);
        let _ = fs::remove_dir_all(&dir);
        let shown = dir.display().to_string();
        let packages = format!("--include={}", base.packages);
        let debian = ["--variant=minbase", &packages, "bookworm", &shown, "http://deb.debian.org/debian"];
        output(Command::new("debootstrap").args(debian))?;
        let put = |what: &str, into: &str| {
            let into = dir.join(into);
            fs::create_dir_all(&into)?;
            output(Command::new("cp").args(["-a", what]).arg(into)).map(drop)
        };
        put("/usr/local/share/ca-certificates", "usr/local/share")?;
        output(Command::new("chroot").args([&shown, "update-ca-certificates"]))?;
        match base.name {
            "rust" => {
                let root = output(Command::new("rustc").args(["--print", "sysroot"]))?;
                for (what, into) in [("bin/cargo", "bin"), ("bin/rustc", "bin"), ("lib/.", "lib")] {
                    put(&format!("{}/{what}", root.trim()), &format!("usr/local/{into}"))?;
                }
            }
            "node" => {
                put(output(Command::new("node").args(["-p", "process.execPath"]))?.trim(), "usr/local/bin")?;
                let modules = output(Command::new("npm").args(["root", "--global"]))?;
                put(&format!("{}/npm", modules.trim()), "usr/local/lib/node_modules")?;
                symlink("../lib/node_modules/npm/bin/npm-cli.js", dir.join("usr/local/bin/npm"))?;
            }
            _ => {}
        }
        let archive = dir.with_extension("tar");
        output(Command::new("tar").args(["-C", &shown, "-cf"]).arg(&archive).arg("."))?;
        let path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut import = vec!["import", "--quiet", "--change", path];
        if !base.variable.is_empty() {
            import.extend(["--change", base.variable]);
        }
        self.ask(&[&import[..], &[&archive.display().to_string(), tag]].concat())?;
        fs::remove_dir_all(&dir)?;
        Ok(fs::remove_file(archive)?)
    }

    /// A command of psyche in a container of its own, without any network.
    fn psyche(&self, arguments: &[&str]) -> Result<String> {
        self.ask(&[&["run", "--rm", "--network", "none"], &HARDENED[..], &[IMAGE], arguments].concat())
    }

    /// What can be seen from outside, and what is not in it.
    fn looks(&self) -> Result<u64> {
        let told: Value = serde_json::from_str(&self.ask(&["image", "inspect", IMAGE])?)?;
        let (config, size) = (&told[0]["Config"], told[0]["Size"].as_u64().unwrap_or(u64::MAX));
        ensure!(config["User"] == "10001:10001", "it runs as {}", config["User"]);
        let check = &told[0]["Healthcheck"]["Test"];
        ensure!(*check == json!(["CMD", "psyche", "health"]), "its health is asked by {check}");
        ensure!(size < MOST, "it weighs {} MiB", size >> 20);
        let inside = ["run", "--rm", "--entrypoint", "sh", IMAGE, "-c", "command -v python3 cargo gcc node npm; true"];
        let found = self.ask(&inside)?;
        ensure!(found.is_empty(), "what built it is in it: {found}");
        println!("ok  the image: {} MiB, user 10001, asked for its health by itself, no tools in it", size >> 20);
        Ok(4)
    }

    /// A conversation of the embedded model, and what is done with one, where only the volume can be written to.
    fn talks(&self) -> Result<u64> {
        let said = self.psyche(&["run", "--rounds", "1", "--seed", "7"])?;
        ensure!(said.matches(" → ").count() >= 5, "not all of them speak: {said}");
        let id = said.split(|c: char| !(c.is_ascii_hexdigit() || c == '-')).find(|word| word.len() == 36);
        let id = id.context("the id of the conversation")?;
        self.psyche(&["verify", id])?;
        for format in ["pdf", "parquet", "html", "jsonl"] {
            self.psyche(&["export", id, "--format", format, "--output", &format!("/data/talk.{format}")])?;
        }
        self.psyche(&["backup", "/data/all.backup"])?;
        println!(
            "ok  five minds talk without a network; verified, exported and backed up on a file system that is read only"
        );
        Ok(7) // the conversation, its proof, four files, the backup
    }

    /// The server: healthy, ready, ended in good order, and again on the same volume after it was killed.
    fn serves(&self) -> Result<u64> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = format!("PSYCHE_LISTEN=127.0.0.1:{port}");
        let run = ["run", "--detach", "--name", NAME, "--network", "host", "--env", &listen];
        self.ask(&[&run[..], &HARDENED[..], &[IMAGE]].concat())?;
        self.becomes_healthy()?;
        ensure!(self.ask(&["logs", NAME])?.contains("#setup="), "it tells no link for the first account");
        self.ask(&["exec", NAME, "psyche", "health", "--ready"])?;
        self.ask(&["exec", NAME, "psyche", "doctor"])?;
        ensure!(self.ask(&["exec", NAME, "touch", "/etc/psyche/x"]).is_err(), "its file system can be written to");
        let status = self.ask(&["exec", NAME, "cat", "/proc/1/status"])?;
        ensure!(status.contains("NoNewPrivs:\t1") && status.contains("CapBnd:\t0000000000000000"), "{status}");
        self.ask(&["kill", "--signal", "KILL", NAME])?;
        self.ask(&["wait", NAME])?;
        self.ask(&["start", NAME])?;
        self.becomes_healthy()?;
        self.ask(&["stop", "--time", "45", NAME])?;
        let code = self.ask(&["inspect", "--format", "{{.State.ExitCode}}", NAME])?;
        ensure!(code == "0", "asked to end, it ended with {code}");
        println!("ok  the server: healthy, ready, without rights; killed, started again, ended in good order");
        Ok(8)
    }

    /// Two replicas behind the proxy, as the compose file has them: the first account is made at one of them, one is killed,
    /// and whoever signs in is let in by the other.
    fn composes(&self) -> Result<u64> {
        let (deploy, dir) = (root().join("deploy"), self.dir.join("compose"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let file = fs::read_to_string(deploy.join("compose.yaml"))?;
        fs::write(dir.join("compose.yaml"), &file)?;
        fs::copy(deploy.join("haproxy.cfg"), dir.join("haproxy.cfg"))?;
        output(Command::new("sh").arg(deploy.join("secrets.sh")).arg(dir.join("secrets")))?;
        self.fetched(&file, &dir)?;
        self.ask(&["tag", IMAGE, "localhost/psyche:0.1.0"])?;
        let program = tools::python("compose")?.join("podman-compose");
        let compose = |arguments: &[&str]| {
            let mut command = self.set(Command::new(&program));
            output(command.args(["--file", "compose.yaml"]).args(arguments).current_dir(&dir))
        };
        let _ = compose(&["down", "--volumes"]);
        let tried = compose(&["up", "--detach", "--no-build"]).and_then(|_| outlives(&compose, &dir.join("secrets")));
        if tried.is_err() {
            println!("{}", compose(&["logs"]).unwrap_or_default());
        }
        compose(&["down", "--volumes"])?;
        tried
    }

    /// Makes what the compose file would fetch.
    fn fetched(&self, compose: &str, dir: &Path) -> Result<()> {
        let recipe = fs::read_to_string(root().join("deploy").join("Containerfile"))?;
        let debian = tag_of(&recipe, "FROM ", "debian").context("the recipe names no debian")?;
        fs::write(dir.join("start.sh"), START_POSTGRES)?;
        for (name, package, rest) in FETCHED {
            let tag = tag_of(compose, "image: ", name).with_context(|| format!("the compose file names no {name}"))?;
            if self.ask(&["image", "exists", tag]).is_ok() {
                continue;
            }
            println!("making {tag} of Debian's packages");
            let install = "RUN apt-get update && apt-get install --yes --no-install-recommends";
            let recipe = dir.join(name);
            fs::write(&recipe, format!("FROM {debian}\n{install} {package}\n{rest}\n"))?;
            let (recipe, context) = (recipe.display().to_string(), dir.display().to_string());
            self.ask(&["build", "--isolation", "chroot", "--pull=never", "--file", &recipe, "--tag", tag, &context])?;
        }
        Ok(())
    }

    fn becomes_healthy(&self) -> Result<()> {
        let asked = until_answered("healthy", || self.ask(&["healthcheck", "run", NAME])).map(drop);
        asked.with_context(|| self.ask(&["logs", NAME]).unwrap_or_default())
    }
}

/// Asks until it is answered.
fn until_answered(what: &str, mut ask: impl FnMut() -> Result<String>) -> Result<String> {
    let mut last = ask();
    for _ in 0..PATIENCE.as_secs() {
        if last.is_ok() {
            break;
        }
        thread::sleep(Duration::from_secs(1));
        last = ask();
    }
    last.with_context(|| format!("{what}: not after {PATIENCE:?}"))
}

/// Two replicas that are up: both are ready, an account is made, and it is good at the other one when one is dead.
fn outlives(compose: &impl Fn(&[&str]) -> Result<String>, secrets: &Path) -> Result<u64> {
    for replica in ["psyche-1", "psyche-2"] {
        until_answered(replica, || compose(&["exec", "-T", replica, "psyche", "health", "--ready"]))?;
        compose(&["exec", "-T", replica, "psyche", "doctor"])?;
    }
    let code = fs::read_to_string(secrets.join("setup_code"))?;
    let mut person = json!({"username": "leonora", "email": "leonora@example.org", "password": PASSWORD});
    let post = |path: &str, body: &Value| {
        let mut curl = Command::new("curl");
        // Its certificate is one for a trial.
        curl.args(["--silent", "--show-error", "--fail-with-body", "--insecure", "--max-time", "5"]);
        curl.args(["--header", "content-type: application/json", "--data", &body.to_string()]);
        output(curl.arg(format!("https://127.0.0.1:8443/api/v1/{path}")))
    };
    person["setup_code"] = json!(code.trim());
    until_answered("the first account", || post("setup", &person))?;
    compose(&["kill", "--signal", "KILL", "psyche-1"])?;
    let sign_in = json!({"username": "leonora", "password": PASSWORD});
    until_answered("signing in", || post("auth/login", &sign_in))?;
    compose(&["exec", "-T", "psyche-2", "psyche", "health", "--ready"])?;
    println!("ok  compose: two replicas, PostgreSQL, Redis, TLS in front; one is killed, and the other lets people in");
    Ok(7)
}
