//! `psyche config`: the effective values, where each comes from, and which wait for their feature.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode> {
    let rows = config.rows();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let width = |text: fn(&crate::config::Row) -> &str| rows.iter().map(|r| text(r).chars().count()).max().unwrap_or(0);
    let (keys, values, origins) = (width(|r| &r.key), width(|r| &r.value).min(40), width(|r| &r.origin).min(24));
    for row in &rows {
        println!("{:keys$}  {:values$}  {:origins$}  {}", row.key, row.value, row.origin, row.about);
    }
    Ok(ExitCode::SUCCESS)
}
