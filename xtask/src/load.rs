//! `cargo xtask load`: builds the server and its load tool in release and runs the tool.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{root, run, tools};

/// `arguments` go to the tool; without any it measures the whole table.
pub fn load(arguments: &[String]) -> Result<ExitCode> {
    run("cargo", &["build", "--locked", "--release", "-p", "psyche"])?;
    run("cargo", &["build", "--locked", "--release", "-p", "psyche-server", "--example", "bench_live"])?;
    let release = tools::target_dir().join("release");
    let mut command = Command::new(release.join("examples").join("bench_live"));
    match arguments.first().map(String::as_str) {
        None => command.arg("table").arg("--psyche").arg(release.join("psyche")),
        Some("table" | "run") if !arguments.iter().any(|a| a.starts_with("--psyche")) => {
            command.args(arguments).arg("--psyche").arg(release.join("psyche"))
        }
        Some(_) => command.args(arguments),
    };
    let status = command.current_dir(root()).status().context("start the load tool")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
