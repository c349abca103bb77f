//! The project's own tasks. `cargo xtask` lists them.

mod codegen;
mod contract;
mod deploy;
mod exports;
mod fuzz;
#[path = "../../crates/psyche/tests/chaos/group.rs"]
#[expect(dead_code, reason = "tests need more of it than xtask does")]
mod group;
mod guards;
mod image;
mod load;
#[path = "../../crates/psyche-store/tests/servers/postgres.rs"]
#[expect(dead_code, reason = "tests need more of it than xtask does")]
mod postgres;
mod sbom;
mod sentiment;
mod statistics;
mod suites;
mod supply;
mod tidy;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

const HELP: &str = "\
cargo xtask <task>
  test      everything: tools, web, build, check, Rust tests, contract, browser tests
  check     fmt, clippy, tidy and the supply chain
  supply    licences, bans and sources of what others wrote (deny.toml)
  sbom      write target/psyche.cdx.json: what the program is made of (CycloneDX)
  tidy      the rules of the house that no compiler knows
  codegen   write openapi.json and the web app's types again
  contract  hold the running program against openapi.json with schemathesis
  chaos     put replicas under every fault, five rounds; another number may follow
  exports   have a long session's exports read by pandas, polars, Chromium and LibreOffice
  deploy    render and check deploy/, and make a cluster of its Redis
  image     build the image of deploy/Containerfile with podman and run it (root; twenty minutes)
  load      measure live delivery against its floors; what follows goes to the tool (--help lists it)
  fuzz      look for bytes that the reader of client frames gets wrong; seconds may follow (60)
  guards    take every guard out, one at a time, and see a test fail; a part of a name or row may follow
  sentiment the sentiment rules beside vaderSentiment: agreement and throughput
  statistics  write what SciPy and statsmodels make of the shared cases of psyche-lab
  weights   fetch the embedded model's weights into data/models";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let outcome = match task.as_deref() {
        Some("test") => suites::test(),
        Some("check") => Ok(suites::check()),
        Some("tidy") => tidy::run().map(|findings| report(&findings)),
        Some("supply") => Ok(suites::supply_chain()),
        Some("sbom") => sbom::write().map(|()| ExitCode::SUCCESS),
        Some("codegen") => codegen::write().map(|()| ExitCode::SUCCESS),
        Some("chaos") => Ok(suites::chaos(std::env::args().nth(2).and_then(|rounds| rounds.parse().ok()).unwrap_or(5))),
        Some("exports") => Ok(suites::exports()),
        Some("contract") => Ok(suites::contract()),
        Some("deploy") => Ok(suites::deploy()),
        Some("image") => Ok(suites::image()),
        Some("load") => load::load(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("fuzz") => fuzz::fuzz(std::env::args().nth(2).as_deref()),
        Some("guards") => guards::run(std::env::args().nth(2).as_deref()).map(|findings| report(&findings)),
        Some("sentiment") => sentiment::sentiment().map(|()| ExitCode::SUCCESS),
        Some("statistics") => statistics::write().map(|()| ExitCode::SUCCESS),
        Some("weights") => tools::weights().map(|_| ExitCode::SUCCESS),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn report(findings: &[String]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    println!("{} finding(s)", findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// Runs a command in the root of the checkout and shows what it prints.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    tools::run_in(&root(), program, arguments, &[])
}
