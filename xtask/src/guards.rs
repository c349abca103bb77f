//! `cargo xtask guards`: every guard has a test that fails when the guard is taken out.
//!
//! The program is built once, from a copy of the tree in which each guard's condition can be switched off by a variable.
//! Then each guard's tests are run with it switched off, and must fail; all of them are run with none, and must pass.
//! The first run compiles everything once more, below `target/guards`; from then on it takes some minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{root, tools};

mod list;

use list::GUARDS;

/// Names the guard that is out.
const VARIABLE: &str = "PSYCHE_GUARD_OUT";

/// What nextest ends with where tests ran and failed; where none has the name, it ends with another.
const TESTS_FAILED: i32 = 100;

struct Guard {
    /// The requirement it serves (`shared/design/security.md`), or an invariant of the log.
    row: &'static str,
    name: &'static str,
    file: &'static str,
    /// The code around the guard, which stands in `⟦ ⟧`. Occurs once in the file.
    code: &'static str,
    /// What stands there without it.
    without: &'static str,
    /// Ends of the names of tests of which at least one must fail.
    tests: &'static [&'static str],
}

/// The guards whose rows or names contain `only`; all without it.
pub fn run(only: Option<&str>) -> Result<Vec<String>> {
    let chosen: Vec<&Guard> =
        GUARDS.iter().filter(|g| only.is_none_or(|only| g.row.contains(only) || g.name.contains(only))).collect();
    if chosen.is_empty() {
        bail!("no guard's row or name contains {:?}", only.unwrap_or_default());
    }
    let place = tools::target_dir().join("guards");
    let tree = place.join("tree");
    copy(&tree)?;
    let weights = tools::weights()?;
    let nextest = |rest: &[&str], out: &str, loud: bool| -> Result<Option<i32>> {
        let mut command = Command::new("cargo");
        command.args(["nextest", "run", "--locked", "--workspace", "--status-level", "fail"]).args(rest);
        command.current_dir(&tree).env("CARGO_TARGET_DIR", place.join("build")).env(VARIABLE, out);
        command.envs(weights.iter().map(|(name, path)| (name, path)));
        if !loud {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(command.status().context("start cargo nextest")?.code())
    };
    println!("building with {} guards that can be switched off", GUARDS.len());
    if nextest(&["--no-run"], "", true)? != Some(0) {
        bail!("the tree with switches does not build; is the code around a guard another one now?");
    }
    let mut findings = Vec::new();
    let all: Vec<&str> = chosen.iter().flat_map(|guard| guard.tests).copied().collect();
    if nextest(&["-E", &filter(&all)], "", true)? != Some(0) {
        findings.push("with every guard in place a test fails".to_owned());
    }
    for guard in chosen {
        let noticed = nextest(&["-E", &filter(guard.tests)], guard.name, false)? == Some(TESTS_FAILED);
        println!("{} {:8} {}", if noticed { "noticed    " } else { "NOT NOTICED" }, guard.row, guard.name);
        if !noticed {
            findings.push(format!("{} {}: taken out, and {:?} pass all the same", guard.row, guard.name, guard.tests));
        }
    }
    Ok(findings)
}

fn filter(tests: &[&str]) -> String {
    tests.iter().map(|test| format!("test(/(^|::){test}$/)")).collect::<Vec<_>>().join(" | ")
}

/// Copies what git knows and what the build needs. Files that are the same keep their times, so that little is built again.
fn copy(tree: &Path) -> Result<()> {
    let listed = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output();
    let listed = String::from_utf8(listed.context("start git")?.stdout)?;
    for name in listed.lines().filter(|name| !name.starts_with("web/")).map(Path::new) {
        let from = root().join(name);
        if from.is_file() {
            write(&tree.join(name), &switched(name, fs::read(&from)?)?)?;
        }
    }
    let web = tree.join("web");
    fs::create_dir_all(&web)?;
    for name in fs::read_dir(root().join("web"))? {
        let name = name?.file_name();
        let link = web.join(&name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(root().join("web").join(&name), &link)?;
        }
    }
    Ok(())
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// A file in which every guard of it can be switched off.
fn switched(name: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut guards = GUARDS.iter().filter(|guard| Path::new(guard.file) == name).peekable();
    if guards.peek().is_none() {
        return Ok(bytes);
    }
    let mut text = String::from_utf8(bytes)?;
    for guard in guards {
        let (before, rest) = guard.code.split_once('⟦').context("a guard stands in brackets")?;
        let (condition, after) = rest.split_once('⟧').context("a guard stands in brackets")?;
        let whole = format!("{before}{condition}{after}");
        if text.matches(&whole).count() != 1 {
            bail!("{}: `{whole}` occurs {} times in {}", guard.name, text.matches(&whole).count(), guard.file);
        }
        let Guard { name, without, .. } = guard;
        let switch = format!(
            "{before}(if std::env::var(\"{VARIABLE}\").as_deref() == Ok(\"{name}\") {{ {without} }} else {{ {condition} }}){after}"
        );
        text = text.replace(&whole, &switch);
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_where_the_list_says() {
        for guard in GUARDS {
            let bytes = fs::read(root().join(guard.file)).unwrap();
            switched(Path::new(guard.file), bytes).unwrap();
        }
    }
}
