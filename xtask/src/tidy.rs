//! The rules of the house that no compiler knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::root;

/// Which room may know which: the arrows of ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("psyche-core", &[]),
    ("psyche-infer", &[]),
    ("psyche-engine", &["psyche-core"]),
    ("psyche-llm", &["psyche-core", "psyche-infer"]),
    ("psyche-store", &["psyche-core"]),
    ("psyche-bus", &["psyche-core"]),
    ("psyche-lab", &["psyche-core", "psyche-engine"]),
    ("psyche-server", &["psyche-core", "psyche-engine", "psyche-lab"]),
    (
        "psyche",
        &["psyche-bus", "psyche-core", "psyche-engine", "psyche-lab", "psyche-llm", "psyche-server", "psyche-store"],
    ),
    ("xtask", &[]),
];

/// Crates that would let I/O, clocks or threads into the core.
const NOT_IN_CORE: [&str; 6] = ["tokio", "tokio-util", "reqwest", "axum", "rusqlite", "getrandom"];

/// Names that say nothing of what is in a room.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "manager", "common"];

pub fn run() -> Result<Vec<String>> {
    let files = tracked()?;
    let mut findings = Vec::new();
    findings.extend(edges()?);
    findings.extend(named_paths()?);
    findings.extend(migrations()?);
    findings.extend(rooms(&files));
    findings.extend(words(&files)?);
    Ok(findings)
}

fn tracked() -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output();
    let output = output.context("start git")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn edges() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut seen = BTreeSet::new();
    let mut manifests: Vec<_> = fs::read_dir(root().join("crates"))?.filter_map(|e| Some(e.ok()?.path())).collect();
    manifests.push(root().join("xtask"));
    for dir in manifests {
        let text = fs::read_to_string(dir.join("Cargo.toml")).with_context(|| format!("read {}", dir.display()))?;
        let manifest: toml::Table = toml::from_str(&text)?;
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        let Some(may) = allowed.get(name.as_str()) else {
            findings.push(format!("{name}: a room that xtask/src/tidy.rs and ARCHITECTURE.md do not know"));
            continue;
        };
        seen.insert(name.clone());
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
        for (dependency, _) in dependencies {
            if dependency.starts_with("psyche") && !may.contains(&dependency.as_str()) {
                findings.push(format!("{name} must not depend on {dependency}"));
            }
            if name == "psyche-core" && NOT_IN_CORE.contains(&dependency.as_str()) {
                findings.push(format!("psyche-core must not depend on {dependency}: it does no I/O"));
            }
        }
    }
    findings.extend(allowed.keys().filter(|n| !seen.contains(**n)).map(|n| format!("the room {n} is missing")));
    Ok(findings)
}

/// Documents whose paths between back-ticks must exist.
const DOCUMENTS: [&str; 7] = [
    "ARCHITECTURE.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/security/README.md",
    "docs/security/threat-model.md",
    "docs/security/incidents.md",
];

fn named_paths() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).with_context(|| format!("read {document}"))?;
        for word in text.split('`').skip(1).step_by(2) {
            let path_like = word.contains('/') && !word.starts_with('/') && !word.contains("://");
            let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b));
            // Places that exist only once the program or the build has run.
            let made = ["data/", "web/dist", "target/"].iter().any(|p| word.starts_with(p));
            if path_like && plain && !made && !root().join(word).exists() {
                findings.push(format!("{document} names {word}, which does not exist"));
            }
        }
    }
    Ok(findings)
}

/// Once there is a second database, each migration has its twin.
fn migrations() -> Result<Vec<String>> {
    let names = |dir: &str| -> Result<BTreeSet<String>> {
        let dir = root().join("crates/psyche-store/migrations").join(dir);
        if !dir.exists() {
            return Ok(BTreeSet::new());
        }
        Ok(fs::read_dir(dir)?.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect())
    };
    let (sqlite, postgres) = (names("sqlite")?, names("postgres")?);
    if postgres.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlite.symmetric_difference(&postgres).map(|n| format!("the migration {n} has no twin")).collect())
}

fn rooms(files: &[String]) -> Vec<String> {
    let code = files.iter().filter(|f| is_code(f));
    let empty = code.filter(|f| {
        let path = Path::new(f);
        path.components()
            .filter_map(|c| Path::new(c.as_os_str()).file_stem()?.to_str())
            .any(|n| EMPTY_NAMES.contains(&n))
    });
    empty.map(|f| format!("{f}: the name says nothing of what is in it")).collect()
}

fn is_code(file: &str) -> bool {
    let ending = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default();
    matches!(ending, "rs" | "ts" | "svelte") && !file.contains("generated")
}

/// Lines that no source file may hold.
fn words(files: &[String]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|f| is_code(f) && !f.starts_with("xtask/")) {
        let path = root().join(file);
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let at = || format!("{file}:{}", i + 1);
            if line.contains("#[allow(") || line.contains("#![allow(") {
                findings.push(format!("{}: use #[expect(…, reason)] instead of allow", at()));
            }
            if ["TODO", "FIXME", "XXX"].iter().any(|w| line.contains(w)) {
                findings.push(format!("{}: unfinished work belongs in an issue", at()));
            }
            // Else tokio draws which of two that are ready comes first, and a simulated world does not repeat itself.
            let chosen = lines.get(i + 1).is_some_and(|next| next.trim() == "biased;");
            if file.starts_with("crates/psyche-engine/") && line.ends_with("select! {") && !chosen {
                findings.push(format!("{}: say `biased;`, so that simulations repeat themselves", at()));
            }
            // The child half of a test in two processes is run by its parent.
            if line.trim_start().starts_with("#[ignore") && !line.contains("= \"run by ") {
                findings.push(format!("{}: a test that does not run tells nothing", at()));
            }
        }
    }
    Ok(findings)
}
