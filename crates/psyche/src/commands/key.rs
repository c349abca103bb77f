//! `psyche key`: new keys for old ones.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use psyche_core::port::Clock;
use psyche_store::Access;

use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;

/// How often a running server is looked at, and how often at most.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: u32 = 3_000;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make another key
    Rotate {
        #[command(subcommand)]
        which: Which,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Which {
    /// The key that wraps all others; a running server goes on working meanwhile
    Master,
    /// The key of access tokens, from the next start on; tokens under the one before stay good until they expire
    Jwt,
}

pub async fn run(config: &Config, command: Command) -> Result<ExitCode> {
    let Command::Rotate { which } = command;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match which {
        Which::Master => rotate_master(config, clock).await?,
        Which::Jwt => {
            backends::rotate_jwt_key(config, clock.as_ref()).context("change the key of access tokens")?;
            println!("the next start signs with a new key; tokens under the one before are good until they expire");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate_master(config: &Config, clock: Arc<dyn Clock>) -> Result<()> {
    let configured = config.text("master_key").is_some();
    if configured && config.text("master_key_before").is_none() {
        bail!("master_key is configured: give the new one there, and the old one as master_key_before");
    }
    if config.store() == "memory:" {
        bail!("a store in memory has no master key to change");
    }
    if !configured {
        if !config.data_dir().join("master.key").exists() {
            bail!("there is no master key in {} yet; the first start makes one", config.data_dir().display());
        }
        backends::request_master_key(config, clock.as_ref())?;
    }
    match Store::open(config, Access::ReadWrite, false, clock).await {
        Ok(store) => {
            let changed = backends::wrap_by_new_master_key(config, &store).await;
            store.close().await;
            let changed = changed?.unwrap_or_default();
            backends::keep_new_master_key(config)?;
            println!("{changed} keys are wrapped by the new master key; the old one opens nothing any more");
        }
        Err(error) if backends::is_in_use(&error) => {
            if configured {
                bail!("the running server does it by itself, when it was started with both keys; its log says when");
            }
            wait_for_server(config).await?;
            println!("the running server wraps all keys by the new master key; the old one opens nothing any more");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Waits until the running server has taken the new key.
async fn wait_for_server(config: &Config) -> Result<()> {
    for _ in 0..LOOKS {
        if backends::new_master_key(config)?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("the server has not changed the key within ten minutes; its log says why. It goes on at its next start")
}
