//! `cargo xtask deploy`: what of `deploy/` can be tried without a container engine. The overlays are rendered and held
//! against Kubernetes' schemas and against themselves, the recipe and the compose file are read by programs that know them,
//! the proxy reads its configuration, and six real nodes of Redis become a cluster by the script they are started with.
//! That the names in there are the program's own is tested in `crates/psyche/tests/deploy.rs`.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::root;
use crate::tools::{self, output};

const OVERLAYS: [&str; 2] = ["dev", "production"];

/// Checks that held; what could not be tried is said in `skipped`.
pub fn run(skipped: &mut Vec<String>) -> Result<u64> {
    let dir = tools::target_dir().join("deploy");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).context("make a directory for what is rendered")?;
    skipped.push("the image: `cargo xtask image` builds it and runs it, in twenty minutes".to_owned());
    let secrets = dir.join("secrets");
    output(Command::new("sh").arg(file("secrets.sh")).arg(&secrets))?;
    let bin = tools::python("deploy")?;
    output(Command::new(bin.join("hadolint")).arg(file("Containerfile")))?;
    println!("ok  Containerfile: hadolint has no complaint");
    let mut held = 2 + python(&bin, "compose", &[file("compose.yaml"), secrets.clone()])?;
    held += if let Some(renderer) = renderer() {
        by_rendering(&renderer, &bin, &dir, &secrets)?
    } else {
        skipped.push("rendering of deploy/kubernetes: no kubectl of 1.21 or later, and no kustomize".to_owned());
        python(&bin, "files", &resources()?)?
    };
    held += by_haproxy(&dir, &secrets, skipped)?;
    held += by_redis(&dir, &secrets, skipped)?;
    Ok(held)
}

fn file(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

/// Checks of `xtask/python/deploy.py` that held.
fn python(bin: &Path, what: &str, files: &[PathBuf]) -> Result<u64> {
    let script = root().join("xtask").join("python").join("deploy.py");
    let said = output(Command::new(bin.join("python")).arg(script).arg(what).args(files))?;
    let held = said.trim_end().strip_suffix(" held").and_then(|n| n.parse().ok()).context("the line of deploy.py")?;
    println!("ok  {what} {}: {held} checks", files[0].file_stem().unwrap_or_default().display());
    Ok(held)
}

/// The command that renders a directory. An older kubectl knows not all that stands there.
fn renderer() -> Option<Vec<&'static str>> {
    let said = |program: &str, arguments: &[&str]| output(Command::new(program).args(arguments)).unwrap_or_default();
    if said("kubectl", &["kustomize", "--help"]).contains("--enable-helm") {
        return Some(vec!["kubectl", "kustomize"]);
    }
    (!said("kustomize", &["version"]).is_empty()).then(|| vec!["kustomize", "build"])
}

fn by_rendering(renderer: &[&str], bin: &Path, dir: &Path, secrets: &Path) -> Result<u64> {
    let mut held = 0;
    for overlay in OVERLAYS {
        let directory = file("kubernetes").join(overlay);
        let rendered = output(Command::new(renderer[0]).args(&renderer[1..]).arg(directory))?;
        let path = dir.join(overlay).with_extension("yaml");
        fs::write(&path, rendered)?;
        held += python(bin, "cluster", &[path, secrets.to_owned()])?;
    }
    Ok(held)
}

/// The files of resources as they stand.
fn resources() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in ["base", "dev"] {
        let entries = fs::read_dir(file("kubernetes").join(directory))?.filter_map(|entry| Some(entry.ok()?.path()));
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")));
    }
    files.retain(|path| !path.ends_with("kustomization.yaml"));
    files.sort();
    Ok(files)
}

fn by_haproxy(dir: &Path, secrets: &Path, skipped: &mut Vec<String>) -> Result<u64> {
    if !tools::has("haproxy") {
        skipped.push("deploy/haproxy.cfg in HAProxy: it is not installed, and apt-get could not install it".to_owned());
        return Ok(0);
    }
    let text = fs::read_to_string(file("haproxy.cfg"))?;
    let own = dir.join("haproxy.cfg");
    fs::write(&own, text.replace("/run/secrets", &secrets.display().to_string()))?;
    output(Command::new("haproxy").args(["-c", "-f"]).arg(own))?;
    println!("ok  haproxy.cfg: HAProxy reads it");
    Ok(1)
}

const NODES: usize = 6;
/// How long a cluster may take to become whole.
const PATIENCE: Duration = Duration::from_mins(1);

fn by_redis(dir: &Path, secrets: &Path, skipped: &mut Vec<String>) -> Result<u64> {
    if !tools::has("redis-server") {
        skipped.push("nodes of Redis: redis-server is not installed, and apt-get could not install it".to_owned());
        return Ok(0);
    }
    let mut redis = Redis::new(dir.join("redis"), secrets)?;
    (0..NODES).try_for_each(|node| redis.start(node))?;
    redis.becomes_whole()?;
    println!("ok  redis: {NODES} nodes become a cluster");
    redis.knows_who_may_what()?;
    println!("ok  redis: psyche may read and write, and nobody may empty it");

    redis.nodes.clear();
    redis.network += 1;
    redis.name_addresses()?;
    (0..NODES).try_for_each(|node| redis.start(node))?;
    redis.becomes_whole()?;
    println!("ok  redis: all started again under other addresses find each other");

    redis.nodes.remove(1);
    fs::remove_dir_all(redis.dir.join("1"))?;
    redis.start(1)?;
    redis.becomes_whole()?;
    println!("ok  redis: a node without its disk is one of them again");
    Ok(4)
}

/// Nodes as the pods would start them, each with a loopback address of its own.
struct Redis {
    dir: PathBuf,
    password: String,
    person: String,
    network: u8,
    nodes: Vec<Node>,
}

fn is_whole(nodes: &str) -> bool {
    let there = nodes.lines().filter(|line| line.contains(" connected") && !line.contains("fail"));
    let (owners, others): (Vec<&str>, Vec<&str>) = there.partition(|line| line.contains("master"));
    owners.iter().filter(|line| !line.ends_with("connected")).count() == 3
        && others.iter().filter(|line| line.contains("slave")).count() == 3
}

/// The process group of a node: the server and the loop beside it.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

impl Redis {
    fn new(dir: PathBuf, secrets: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("bin"))?;
        for name in ["redis.conf", "redis-node.sh"] {
            let text = fs::read_to_string(file("kubernetes/base").join(name))?;
            let text = text.replace("/run/secrets/redis", &secrets.display().to_string());
            fs::write(dir.join(name), text.replace("/etc/redis", &dir.display().to_string()))?;
        }
        let secret = |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(secrets.join(name))?.trim().to_owned());
        let (password, person) = (secret("redis_cluster_password")?, secret("redis_password")?);
        let redis = Self { dir, password, person, network: 7, nodes: Vec::new() };
        redis.name_addresses()?;
        Ok(redis)
    }

    fn address(&self, node: usize) -> String {
        format!("127.0.{}.{}", self.network, node + 1)
    }

    /// In place of the cluster's name server.
    fn name_addresses(&self) -> Result<()> {
        let path = self.dir.join("bin").join("getent");
        let network = self.network;
        let script = format!("#!/bin/sh\nnode=${{2#redis-}}\necho \"127.0.{network}.$((${{node%.redis}} + 1)) $2\"\n");
        fs::write(&path, script)?;
        output(Command::new("chmod").arg("755").arg(path)).map(drop)
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let data = self.dir.join(node.to_string());
        fs::create_dir_all(&data)?;
        let address = self.address(node);
        let script = format!("PATH={}:$PATH exec sh \"$@\"", self.dir.join("bin").display());
        let child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(self.dir.join("redis-node.sh"))
            .args(["--dir", &data.display().to_string(), "--bind", &address])
            .env("HOSTNAME", format!("redis-{node}"))
            .env("POD_IP", &address)
            .env("NODES", NODES.to_string())
            .stdin(Stdio::null())
            .stdout(fs::File::create(data.join("log"))?)
            .process_group(0)
            .spawn()
            .context("start a node of Redis")?;
        self.nodes.insert(node.min(self.nodes.len()), Node(child));
        Ok(())
    }

    /// What a command prints to somebody who asks this node, and is sent on from there.
    fn ask(&self, node: usize, user: &str, password: &str, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-c", "-h", &self.address(node), "--user", user]).args(words).env("REDISCLI_AUTH", password);
        output(&mut command).unwrap_or_else(|error| format!("{error:#}")).trim().to_owned()
    }

    /// Three nodes with the slots, three that follow them, and nobody of them away, as every one of them sees it: a node
    /// that does not yet know of it answers nobody who is sent to it.
    fn becomes_whole(&self) -> Result<()> {
        let mut seen = String::new();
        for _ in 0..PATIENCE.as_secs() {
            let whole = (0..NODES).all(|node| {
                let asked = |what| self.ask(node, "cluster", &self.password, &["cluster", what]);
                seen = format!("{}\n{}", asked("info"), asked("nodes"));
                seen.contains("cluster_state:ok") && is_whole(&seen)
            });
            if whole {
                return Ok(());
            }
            thread::sleep(Duration::from_secs(1));
        }
        bail!("the nodes of Redis are no cluster after {PATIENCE:?}; one of them says\n{seen}");
    }

    fn knows_who_may_what(&self) -> Result<()> {
        for (words, expected) in [
            (&["set", "psyche:a", "1", "px", "60000"][..], "OK"),
            (&["get", "psyche:a"], "1"),
            (&["publish", "psyche:b", "1"], "0"),
            (&["flushall"], "NOPERM"),
            (&["config", "get", "*"], "NOPERM"),
            (&["keys", "*"], "NOPERM"),
        ] {
            let said = self.ask(0, "psyche", &self.person, words);
            ensure!(said.starts_with(expected), "psyche asks Redis {words:?} and hears {said:?}");
        }
        let said = self.ask(0, "cluster", &self.password, &["config", "get", "maxmemory-policy"]);
        ensure!(said.contains("noeviction"), "Redis would evict counts: {said}");
        let nobody = output(Command::new("redis-cli").args(["-h", &self.address(0), "get", "psyche:a"]));
        ensure!(nobody.is_ok_and(|said| said.contains("NOPERM")), "Redis answers people without a password");
        Ok(())
    }
}
