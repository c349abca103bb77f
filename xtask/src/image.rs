//! `cargo xtask image`: the image of `deploy/Containerfile`, built whole and run as `docs/guide/deploy.md` says, by podman of
//! Debian's packages. No registry of images is asked: the bases are made here, of Debian's packages and of this machine's own
//! Rust and Node.js, under the names the recipe calls them by. Needs root, about twenty minutes and 25 GB of disk.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
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

/// Checks that held.
pub fn run() -> Result<u64> {
    ensure!(tools::has_root(), "images are built here without namespaces of users, as root alone may");
    for package in ["podman", "runc", "debootstrap"] {
        if !tools::has(package) {
            tools::install(package)?;
        }
    }
    let podman = Podman::new(tools::target_dir().join("image"))?;
    let recipe = root().join("deploy").join("Containerfile");
    let text = fs::read_to_string(&recipe)?;
    for base in &BASES {
        podman.base(base, tag_of(&text, base.name).with_context(|| format!("the recipe names no {}", base.name))?)?;
    }
    // The format that has health checks.
    let build = ["build", "--format", "docker", "--isolation", "chroot", "--pull=never", "--tag", IMAGE, "--file"];
    podman.shown(&[&build[..], &[&recipe.display().to_string(), "."]].concat())?;
    podman.clear();
    let held = podman.looks()? + podman.talks()? + podman.serves()?;
    podman.clear();
    Ok(held)
}

/// The whole name of a base in the recipe.
fn tag_of<'a>(recipe: &'a str, base: &str) -> Option<&'a str> {
    let name = format!("docker.io/library/{base}:");
    recipe.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next()).find(|from| from.starts_with(&name))
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
             [engine]\nruntime = \"runc\"\nevents_logger = \"file\"\nvolume_path = \"{0}/volumes\"\n",
            dir.display()
        );
        fs::write(dir.join("containers.conf"), engine)?;
        Ok(Self { dir })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.args(arguments).current_dir(root());
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
