//! `psyche restore`: a backup takes the place of what is stored.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use psyche_core::port::Clock;
use psyche_store::Access;
use psyche_store::rows::Step;

use super::audit;
use super::export::progress;
use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// File made by `psyche backup`
    file: PathBuf,
    /// Restore although there is content: a file of SQLite is kept under another name, what is in PostgreSQL goes
    #[arg(long)]
    replace: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let config = &config.alone()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let bar = progress(0, "events copied and verified");
    let position = bar.clone();
    let told = Arc::new(move |step| match step {
        Step::Copied(copied) => position.set_length(copied * 2),
        Step::Verified { events, .. } => position.set_position(events * 2),
    });
    let restored = Store::restore(config, &arguments.file, arguments.replace, Arc::clone(&clock), told).await;
    bar.finish_and_clear();
    let (made_at, restored) = match restored {
        Err(error) if backends::is_in_use(&error) => {
            return Err(error.context("a backup is restored while the server is stopped"));
        }
        restored => restored?,
    };
    // Opened as a server does, which erases again what was erased since the backup.
    let store = Store::open(config, Access::ReadWrite, false, clock).await.context("open what was restored")?;
    let copied = restored.copied;
    println!("The backup of {made_at} is restored: {} sessions with {} events.", copied.sessions, copied.events);
    println!("Every session has a new generation: whoever watches one gets it anew.");
    println!("Every sign-in, refresh token and reset link of the backup is revoked: everybody signs in again.");
    if restored.asked {
        println!("People are as they were just before the restore; who was removed since the backup is disabled.");
    } else {
        println!("Passwords, roles and second factors are those of the backup: disable again whom you disabled since.");
    }
    println!("Words that the journal of erasures names are erased again.");
    for kept in &restored.kept {
        println!("Kept: {}", kept.display());
    }
    println!("The audit trail:");
    let whole = audit::show(&store.audit().verify().await?);
    store.close().await;
    Ok(ExitCode::from(u8::from(!whole)))
}
