//! `psyche key`: new keys for old ones, while the server is stopped.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use psyche_core::port::Clock;
use psyche_store::sqlite::OpenError;

use crate::backends;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make another key, which the next start uses
    Rotate {
        #[command(subcommand)]
        which: Which,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Which {
    /// The key that wraps all others; the server must be stopped
    Master,
    /// The key of access tokens; tokens under the one before stay good until they expire
    Jwt,
}

pub async fn run(config: &Config, command: Command) -> Result<ExitCode> {
    let Command::Rotate { which } = command;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match which {
        Which::Master => {
            let changed = match backends::rotate_master_key(config, clock).await {
                Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse { .. })) => {
                    return Err(error.context("stop the server first; its data stays readable all the time"));
                }
                other => other?,
            };
            println!("{changed} keys are wrapped by a new master key; the old one opens nothing any more");
        }
        Which::Jwt => {
            backends::rotate_jwt_key(config, clock.as_ref()).context("change the key of access tokens")?;
            println!("the next start signs with a new key; tokens under the one before are good until they expire");
        }
    }
    Ok(ExitCode::SUCCESS)
}
