//! `make test`: every suite in turn, its time, what was skipped and why, and one closing line.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{codegen, contract, deploy, exports, group, image, postgres, root, run, supply, tidy, tools};

/// What a suite came to, and what it said of each failure.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    why: Vec<String>,
}

impl Tally {
    fn of(passed: u64, failed: u64) -> Self {
        Self { passed, failed, why: Vec::new() }
    }
}

struct Suites {
    rows: Vec<(String, Duration, Tally)>,
    skipped: Vec<String>,
}

impl Suites {
    /// Runs one suite. An error is one failure, and the next suite runs all the same.
    fn suite(&mut self, name: &str, work: impl FnOnce() -> Result<Tally>) -> bool {
        println!("\n== {name}");
        let begun = now();
        let tally = work().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Tally { why: vec![format!("{error:#}")], ..Tally::of(0, 1) }
        });
        let whole = tally.failed == 0;
        self.rows.push((name.to_owned(), begun.elapsed(), tally));
        whole
    }

    fn close(&self) -> ExitCode {
        println!("\n== time per suite");
        for (name, time, tally) in &self.rows {
            println!("{name:24} {:>6.1} s  {:>5} passed {:>3} failed", time.as_secs_f64(), tally.passed, tally.failed);
        }
        for skipped in &self.skipped {
            println!("skipped: {skipped}");
        }
        // Once more here: whoever has only the end of a long output learns what to look for.
        for (name, _, tally) in &self.rows {
            for why in &tally.why {
                println!("failed: {name}: {why}");
            }
        }
        let sum = |pick: fn(&Tally) -> u64| self.rows.iter().map(|(_, _, t)| pick(t)).sum::<u64>();
        let (passed, failed) = (sum(|t| t.passed), sum(|t| t.failed));
        println!("\n{passed} passed, {failed} failed");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[expect(clippy::disallowed_methods, reason = "a build tool measures its own time")]
fn now() -> Instant {
    Instant::now()
}

fn one(result: Result<()>) -> Result<Tally> {
    result.map(|()| Tally::of(1, 0))
}

pub fn check() -> ExitCode {
    only(lints)
}

/// The faults at the lengths that are promised, round after round.
pub fn chaos(rounds: usize) -> ExitCode {
    only(|suites| {
        for round in 1..=rounds {
            suites.suite(&format!("chaos {round} of {rounds}"), || {
                let arguments = [
                    "nextest",
                    "run",
                    "--locked",
                    "--workspace",
                    "--test",
                    "chaos",
                    "--no-fail-fast",
                    "--profile",
                    "chaos",
                ];
                counted_with(&root(), "cargo", &arguments, &[("PSYCHE_TEST_CHAOS", "1")], nextest)
            });
        }
    })
}

pub fn contract() -> ExitCode {
    only(contract_suite)
}

pub fn exports() -> ExitCode {
    only(exports_suite)
}

pub fn deploy() -> ExitCode {
    only(deploy_suite)
}

pub fn image() -> ExitCode {
    only(|suites| {
        suites.suite("image", || Ok(Tally::of(image::run()?, 0)));
    })
}

pub fn supply_chain() -> ExitCode {
    only(supply_suite)
}

fn only(work: impl FnOnce(&mut Suites)) -> ExitCode {
    let mut suites = Suites { rows: Vec::new(), skipped: Vec::new() };
    work(&mut suites);
    suites.close()
}

pub fn test() -> Result<ExitCode> {
    let mut suites = Suites { rows: Vec::new(), skipped: Vec::new() };
    let web = root().join("web");
    let npm = |arguments: &'static [&'static str]| tools::run_in(&web, "npm", arguments, &[]);
    let missing = tools::prepare()?;
    suites.skipped.extend(missing.iter().cloned());

    let built = suites.suite("web install and build", || {
        npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
        one(npm(&["run", "build"]))
    });
    suites.suite("build", || one(run("cargo", &["build", "--locked", "--workspace"])));
    suites.suite("weights", || one(tools::weights().map(drop)));
    lints(&mut suites);
    rust_suite(&mut suites);
    contract_suite(&mut suites);
    exports_suite(&mut suites);
    deploy_suite(&mut suites);
    suites.suite("generated files", || Ok(findings(&codegen::stale()?)));
    suites.suite("web check", || one(npm(&["run", "check"])));
    suites.suite("web unit tests", || counted(&web, "npm", &["test"], vitest));
    suites.suite("web budgets", || one(npm(&["run", "budgets"])));
    if built && tools::has("chromium") {
        suites.suite("browser tests", || {
            let binary = tools::binary()?.display().to_string();
            counted_with(&web, "npm", &["run", "e2e"], &[("PSYCHE_BIN", &binary)], node_tests)
        });
    } else {
        suites.skipped.push("browser tests: no Chromium, or no web app".to_owned());
    }
    Ok(suites.close())
}

fn lints(suites: &mut Suites) {
    suites.suite("fmt", || one(run("cargo", &["fmt", "--all", "--check"])));
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    suites.suite("clippy", || one(run("cargo", &clippy)));
    suites.suite("tidy", || Ok(findings(&tidy::run()?)));
    supply_suite(suites);
}

fn supply_suite(suites: &mut Suites) {
    suites.suite("supply chain", || Ok(findings(&supply::run()?)));
    suites.skipped.extend(supply::skipped());
}

fn findings(findings: &[String]) -> Tally {
    for finding in findings {
        println!("{finding}");
    }
    Tally { why: findings.to_vec(), ..Tally::of(u64::from(findings.is_empty()), findings.len() as u64) }
}

fn contract_suite(suites: &mut Suites) {
    suites.suite("contract", || {
        let found = contract::run()?;
        Ok(Tally::of(found.tried.saturating_sub(found.failed), found.failed))
    });
}

fn exports_suite(suites: &mut Suites) {
    let mut skipped = Vec::new();
    suites.suite("exports", || Ok(Tally::of(exports::run(&mut skipped)?, 0)));
    suites.skipped.extend(skipped);
}

fn deploy_suite(suites: &mut Suites) {
    let mut skipped = Vec::new();
    suites.suite("deploy", || Ok(Tally::of(deploy::run(&mut skipped)?, 0)));
    suites.skipped.extend(skipped);
}

/// One PostgreSQL serves all tests, each in a database of its own. Without one, those that need it are left out.
fn rust_suite(suites: &mut Suites) {
    let server = postgres::Postgres::start();
    if let Err(why) = &server {
        suites.skipped.push(format!("tests of the store in PostgreSQL: {why}"));
    }
    let url = server.as_ref().ok().map(postgres::Postgres::url);
    let redis = tools::has("redis-server");
    if !redis {
        suites.skipped.push("tests of Redis and of several replicas: there is no redis-server".to_owned());
    }
    let hosts = tools::has_root() && tools::has("nft");
    if !hosts {
        let what = "replicas on a full disk, on networks that are cut, or short of memory";
        suites.skipped.push(format!("{what}: root alone can make them, with nft"));
    }
    let groups = group::Group::make().is_some();
    if hosts && !groups {
        suites.skipped.push("a replica that is short of memory: no control group can be made".to_owned());
    }
    let left_out = [(hosts, "^as_root::"), (groups, "short_of_memory_takes_on_nothing_new")];
    let left_out: Vec<&str> = left_out.iter().filter(|(there, _)| !there).map(|(_, tests)| *tests).collect();
    suites.suite("rust tests", || rust_tests(url.as_deref(), redis, &left_out));
}

fn rust_tests(postgres: Option<&str>, redis: bool, left_out: &[&str]) -> Result<Tally> {
    let weights = tools::weights()?;
    let mut environment: Vec<(&str, &str)> =
        weights.iter().map(|(variable, path)| (*variable, path.as_str())).collect();
    environment.extend(postgres.map(|url| (postgres::VARIABLE, url)));
    if tools::has("cargo-nextest") {
        let mut arguments =
            vec!["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--status-level", "fail"];
        let there = [("postgres", postgres.is_some()), ("redis", redis), ("chaos", postgres.is_some() && redis)];
        let without = there.iter().filter(|(_, there)| !there).map(|(binary, _)| format!("not binary({binary})"));
        let left_out = left_out.iter().map(|tests| format!("not test(/{tests}/)"));
        let without: Vec<String> = without.chain(left_out).collect();
        let filter = format!("'{}'", without.join(" and "));
        if !without.is_empty() {
            arguments.extend(["-E", &filter]);
        }
        counted_with(&root(), "cargo", &arguments, &environment, nextest)
    } else {
        // It cannot leave a file of tests out: without a server each of them says what is missing.
        counted_with(&root(), "cargo", &["test", "--locked", "--workspace", "--no-fail-fast"], &environment, libtest)
    }
}

fn counted(dir: &Path, program: &str, arguments: &[&str], read: fn(&str) -> Tally) -> Result<Tally> {
    counted_with(dir, program, arguments, &[], read)
}

/// Runs a test runner, shows its output, and reads the counts from it. A runner that failed without saying how many
/// tests did counts as one failure; one that ran none, too.
fn counted_with(
    dir: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    read: fn(&str) -> Tally,
) -> Result<Tally> {
    let script = format!("{program} {} 2>&1", arguments.join(" "));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(dir).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("start {program}"))?;
    let text = strip_colours(&String::from_utf8_lossy(&output.stdout));
    println!("{text}");
    let mut tally = read(&text);
    if tally.failed == 0 && (!output.status.success() || tally.passed == 0) {
        tally.failed = 1;
    }
    if tally.failed > 0 {
        tally.why = failures(&text);
    }
    Ok(tally)
}

/// The lines by which test runners name what failed, each once.
fn failures(text: &str) -> Vec<String> {
    let marks = ["FAIL ", "TIMEOUT ", "SIG", "not ok ", "✖ "];
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| marks.iter().any(|mark| line.starts_with(mark))) {
        if !found.iter().any(|known| known == line) {
            found.push(line.to_owned());
        }
    }
    found
}

fn strip_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\x1b[") {
        out.push_str(&rest[..start]);
        rest = &rest[start + 2..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |i| i + 1);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The number before a word, such as 12 in "12 passed".
fn before(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    let found = words.windows(2).find(|w| w[1].trim_end_matches([',', ';', ')']) == word);
    found.and_then(|w| w[0].trim_start_matches('(').parse().ok()).unwrap_or(0)
}

fn nextest(text: &str) -> Tally {
    let line = text.lines().rev().find(|l| l.trim_start().starts_with("Summary")).unwrap_or_default();
    Tally::of(before(line, "passed"), before(line, "failed") + before(line, "timed"))
}

fn libtest(text: &str) -> Tally {
    let results = text.lines().filter(|l| l.starts_with("test result:"));
    results.fold(Tally::default(), |tally, line| {
        Tally::of(tally.passed + before(line, "passed"), tally.failed + before(line, "failed"))
    })
}

fn vitest(text: &str) -> Tally {
    let line = text.lines().rev().find(|l| l.trim_start().starts_with("Tests ")).unwrap_or_default();
    Tally::of(before(line, "passed"), before(line, "failed"))
}

fn node_tests(text: &str) -> Tally {
    let count = |word: &str| {
        let line = text.lines().rev().find_map(|l| {
            let rest = l.trim_start_matches(['#', 'ℹ', ' ']).strip_prefix(word)?;
            rest.trim().parse().ok()
        });
        line.unwrap_or(0)
    };
    Tally::of(count("pass "), count("fail "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_every_runner() {
        type Read = fn(&str) -> Tally;
        let cases: [(Read, &str, u64, u64); 4] = [
            (nextest, "     Summary [   3.2s] 27 tests run: 25 passed, 2 failed, 0 skipped", 25, 2),
            (
                libtest,
                "test result: ok. 7 passed; 0 failed; 0 ignored\ntest result: FAILED. 1 passed; 2 failed; 0",
                8,
                2,
            ),
            (vitest, " Test Files  4 passed (4)\n      Tests  1 failed | 41 passed (42)", 41, 1),
            (node_tests, "# tests 9\n# pass 8\n# fail 1", 8, 1),
        ];
        for (read, text, passed, failed) in cases {
            let tally = read(text);
            assert_eq!((tally.passed, tally.failed), (passed, failed), "{text}");
        }
        assert_eq!(strip_colours("\x1b[32m5 passed\x1b[0m"), "5 passed");
    }

    #[test]
    fn what_failed_is_named_once() {
        let text =
            "   PASS [0.1s] a::b\n   FAIL [0.2s] a::c\n  Summary [1s]\n   FAIL [0.2s] a::c\n✖ opens a page (9ms)\n";
        assert_eq!(failures(text), ["FAIL [0.2s] a::c", "✖ opens a page (9ms)"]);
    }
}
