//! `cargo xtask fuzz`: runs the fuzz target with coverage feedback, on the stable compiler.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{root, tools};

/// What cargo-fuzz passes for coverage, without a sanitizer: there is no unsafe code to watch.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
                        -Ccodegen-units=1";

/// For so many seconds; a finding ends it with an error and leaves its bytes in `fuzz/artifacts`.
pub fn fuzz(seconds: Option<&str>) -> Result<ExitCode> {
    let corpus = root().join("fuzz").join("corpus").join("client_frames");
    let artifacts = root().join("fuzz").join("artifacts");
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let time = format!("-max_total_time={}", seconds.unwrap_or("60"));
    let found = format!("-artifact_prefix={}/", artifacts.display());
    let corpus = corpus.display().to_string();
    // With a target named, build scripts are not instrumented.
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().context("ask rustc for the host")?;
    let host = String::from_utf8(host.stdout)?;
    let cargo = [
        "run",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        host.trim(),
        "--bin",
        "client_frames",
        "--",
    ];
    let arguments = [&cargo[..], &[&time, &found, "-print_final_stats=1", &corpus]].concat();
    tools::run_in(&root(), "cargo", &arguments, &[("RUSTFLAGS", COVERAGE)])?;
    Ok(ExitCode::SUCCESS)
}
