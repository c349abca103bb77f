//! `cargo xtask contract`: schemathesis asks the real program everything `openapi.json` allows and much that it does
//! not. The program has a throw-away data directory and limits so wide that they do not answer instead.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{root, tools};

const USERNAME: &str = "contract";
const PASSWORD: &str = "a long and quiet river";

/// Operations that `schemathesis.toml` leaves out, and says why.
const NOT_TRIED: u64 = 1;

const CONFIG: &str = "\
listen = \"127.0.0.1:0\"
metrics_addr = \"\"
registration = \"open\"
store = \"memory:\"
rate_limit_requests_per_minute = 10000000
rate_limit_burst_size = 1000000
rate_limit_user_requests_per_minute = 10000000
rate_limit_sign_ins_per_minute = 10000000
rate_limit_upgrades_per_minute = 10000000
rate_limit_exports_per_hour = 10000000
brute_force_threshold = 1000000
enable_ip_blacklisting = false
max_concurrent_sessions = 10000
log = \"warn\"
[models.default]
provider = \"scripted\"
latency_ms = 500
";

/// What schemathesis found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Operations of the document that were tried.
    pub tried: u64,
    /// Failures and errors, and operations that were left out.
    pub failed: u64,
}

pub fn run() -> Result<Found> {
    let bin = tools::python("schemathesis")?;
    let program = Program::start()?;
    let output = Command::new(bin.join("schemathesis"))
        .args(["--config-file", "xtask/contract/schemathesis.toml", "run", "openapi.json"])
        .args(["--no-color", "--url", &program.url()])
        .env("CONTRACT_URL", program.url())
        .env("CONTRACT_USERNAME", USERNAME)
        .env("CONTRACT_PASSWORD", PASSWORD)
        .current_dir(root())
        .output()
        .context("start schemathesis")?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut found = read(&text);
    if !output.status.success() && found.failed == 0 {
        found.failed = 1;
    }
    // Nothing of it counts when the suite had locked itself out, or the program has ended.
    let (status, answer) = program.sign_in().context("the program does not answer after the run")?;
    if status != 200 || !answer.contains("\"role\":\"admin\"") {
        bail!("the suite's admin can no longer sign in: {status} {answer}");
    }
    Ok(found)
}

/// Reads the summary: operations selected, in all and tested, and the failures by kind.
fn read(text: &str) -> Found {
    let after = |word: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(word).map(str::trim));
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
    let (selected, all) = after("Selected:").and_then(|t| t.split_once('/')).unwrap_or_default();
    let (selected, all, tried) = (number(Some(selected)), number(Some(all)), number(after("Tested:")));
    let left_out = if tried == 0 { 1 } else { all.max(selected).saturating_sub(tried + NOT_TRIED) };
    let closing = text.lines().rev().find(|l| l.starts_with("===") && l.contains(" in ")).unwrap_or_default();
    let counted = |word: &str| {
        let words: Vec<&str> = closing.split([' ', ',']).filter(|w| !w.is_empty()).collect();
        words.windows(2).filter(|w| w[1].starts_with(word)).map(|w| number(Some(w[0]))).sum::<u64>()
    };
    Found { tried, failed: counted("failure") + counted("error") + left_out }
}

/// The real program; it ends with the suite.
struct Program {
    child: Child,
    address: String,
    dir: PathBuf,
}

impl Program {
    fn start() -> Result<Self> {
        let dir = tools::target_dir().join("contract");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("psyche.toml"), CONFIG)?;
        let mut child = Command::new(tools::binary()?)
            .args(["--data-dir", &show(&dir.join("data")), "--config", &show(&dir.join("psyche.toml")), "serve"])
            .env("PSYCHE_ADMIN_USERNAME", USERNAME)
            .env("PSYCHE_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start psyche")?;
        let mut lines = BufReader::new(child.stdout.take().context("the program's output")?).lines();
        let mut program = Self { child, address: String::new(), dir };
        let named =
            lines.by_ref().map_while(Result::ok).find_map(|l| Some(l.split_once("http://")?.1.trim().to_owned()));
        program.address = named.context("psyche ended before it listened")?;
        // Whoever stops reading a pipe blocks its writer.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(program)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Status and body.
    fn sign_in(&self) -> Result<(u16, String)> {
        let body = format!("{{\"username\":\"{USERNAME}\",\"password\":\"{PASSWORD}\"}}");
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("an answer without a status")?;
        Ok((status, body.to_owned()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        let counts = |selected, tested| format!("API Operations:\n  Selected: {selected}\n  Tested: {tested}\n\n");
        let cases = [
            (counts("50/50", 50) + "===== 12 failures in 60.02s =====", 50, 12),
            (counts("50/50", 50) + "===== 12 failures, 3 errors, 2 warnings in 60.02s =====", 50, 15),
            (counts("50/50", 50) + "===== No issues found in 60.02s =====", 50, 0),
            (counts("49/50", 49) + "===== No issues found in 60.02s =====", 49, 0),
            (counts("50/50", 48) + "===== No issues found in 60.02s =====", 48, 1),
            (counts("47/50", 47) + "===== No issues found in 60.02s =====", 47, 2),
            ("Traceback (most recent call last)".to_owned(), 0, 1),
        ];
        for (text, tried, failed) in cases {
            assert_eq!(read(&text), Found { tried, failed }, "{text}");
        }
    }
}
