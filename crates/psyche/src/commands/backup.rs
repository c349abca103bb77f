//! `psyche backup`: everything in one file, as it is at one moment. Works beside a running server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use psyche_core::port::Clock;
use psyche_store::Access;
use psyche_store::rows::Copied;

use super::export::progress;
use super::{migrate, sessions};
use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// File to write; only its owner may read it
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(config, Access::ReadOnly, false, Arc::clone(&clock)).await?;
    let events = sessions::all(&store).await?.iter().map(|session| session.seq).sum();
    let bar = progress(events * 2, "events copied and verified");
    let told = migrate::told(bar.clone(), events);
    let copied = store.back_up(config, &arguments.file, arguments.force, clock, told).await;
    bar.finish_and_clear();
    store.close().await;
    let Copied { sessions, events, .. } = copied?;
    for lost in store.lost() {
        eprintln!("psyche: {lost}, before this backup");
    }
    println!("{}: {sessions} sessions with {events} events, each log verified", arguments.file.display());
    println!("The master key is not in it, and without it nobody can read the words: keep a copy of it elsewhere.");
    Ok(ExitCode::SUCCESS)
}
