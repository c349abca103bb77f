//! `psyche audit`: is the audit trail whole?

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Subcommand;
use psyche_core::port::{AuditCheck, Clock};
use psyche_store::Access;

use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Walk the whole trail: exit 0 when it is whole, 1 when not, 2 when it could not be looked at
    Verify,
}

pub async fn run(config: &Config, command: Command) -> Result<ExitCode> {
    let Command::Verify = command;
    match verify(config).await {
        Ok(whole) => Ok(ExitCode::from(u8::from(!whole))),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

async fn verify(config: &Config) -> Result<bool> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(config, Access::ReadOnly, false, clock).await?;
    let check = store.audit().verify().await;
    store.close().await;
    Ok(show(&check?))
}

/// Prints what a walk over the trail found; true when it is whole.
pub fn show(check: &AuditCheck) -> bool {
    match check.rows {
        0 => println!("the audit trail has no rows"),
        rows => println!("{rows} rows, {} to {}", check.first_seq, check.last_seq),
    }
    match check.checkpoint {
        Some((seq, at)) => println!("newest checkpoint: row {seq}, {at}"),
        None => println!("no checkpoint: a cut end would not be noticed"),
    }
    for problem in &check.problems {
        println!("NOT WHOLE at {}: {}", problem.seq, problem.what);
    }
    if check.problems.is_empty() {
        println!("whole");
    }
    check.problems.is_empty()
}
