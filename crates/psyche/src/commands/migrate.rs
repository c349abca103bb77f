//! `psyche migrate`: everything from one store into another. Both are closed to other writers meanwhile; the target is
//! filled and verified in one transaction, so that whatever breaks off leaves it empty.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use psyche_core::port::Clock;
use psyche_store::Access;
use psyche_store::rows::{Copied, Step, Told};

use super::export::progress;
use super::{audit, sessions};
use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Store to copy: sqlite:<file> or postgres://… (default: the configured one)
    #[arg(long, value_name = "STORE")]
    from: Option<String>,
    /// Store to fill, which must hold nothing (default: the configured one, when --from names another)
    #[arg(long, value_name = "STORE")]
    to: Option<String>,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let config = &config.alone()?;
    let named = |url: Option<&String>| url.map_or_else(|| Ok(config.clone()), |url| config.with_store(url));
    let (from, to) = (named(arguments.from.as_ref())?, named(arguments.to.as_ref())?);
    if from.store() == to.store() {
        bail!("this would copy {} onto itself; name another store with --from or --to", from.store_shown());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // Looked at before it is opened for writing: that would make what is not there.
    match Store::open(&from, Access::ReadOnly, false, Arc::clone(&clock)).await {
        Err(error) if backends::is_new(&error) => return Err(error.context("there is nothing to copy")),
        Ok(store) => store.close().await,
        Err(_) => {}
    }
    let source = Store::open(&from, Access::ReadWrite, false, Arc::clone(&clock)).await;
    let source = source.with_context(|| format!("open {} alone", from.store_shown()))?;
    let target = Store::open(&to, Access::ReadWrite, is_no_file(&to), Arc::clone(&clock)).await;
    let target = target.with_context(|| format!("open {} alone", to.store_shown()))?;

    target.beside()?.take_erasures(&source.beside()?.erasures).context("copy the journal of erasures")?;
    let copied = copy(&source, &target).await;
    let copied = copied.with_context(|| format!("{} was not filled", to.store_shown()))?;
    target.beside()?.take_checkpoints(&source.beside()?.checkpoints).context("copy the checkpoints of the trail")?;
    source.close().await;
    target.close().await;

    // Opened as a server does, which notes what was erased where a journal alone says so.
    drop(target);
    let target = Store::open(&to, Access::ReadWrite, false, clock).await;
    let target = target.with_context(|| format!("open {} again", to.store_shown()))?;
    let Copied { rows, sessions, events, erased } = copied;
    println!("{sessions} sessions with {events} events are whole in {}; {rows} rows in all", to.store_shown());
    if erased > 0 {
        println!("words are erased or masked in {erased} events; their chains hold");
    }
    println!("the audit trail there:");
    let whole = audit::show(&target.audit().verify().await?);
    target.close().await;
    println!("keys stay wrapped by the same master key: whoever opens the store needs that of {}", key_of(config));
    println!("{} is left as it was; `store` in the configuration says which one is used", from.store_shown());
    Ok(ExitCode::from(u8::from(!whole)))
}

/// Copies and verifies, with a bar over events that fills twice as far as there are.
pub async fn copy(source: &Store, target: &Store) -> Result<Copied> {
    let events: u64 = sessions::all(source).await?.iter().map(|session| session.seq).sum();
    let bar = progress(events * 2, "events copied and verified");
    let rows = source.rows().await?;
    let copied = target.fill(rows, told(bar.clone(), events)).await;
    bar.finish_and_clear();
    copied
}

/// Moves a bar over `events` copied and as many verified.
pub fn told(bar: ProgressBar, events: u64) -> Told {
    Arc::new(move |step| match step {
        Step::Copied(copied) => bar.set_position(copied),
        Step::Verified { events: verified, .. } => bar.set_position(events + verified),
    })
}

/// Whether the store is a file that is not there yet. A high-water file beside it then tells of another database, or of
/// one that was moved away, and neither is missed.
fn is_no_file(config: &Config) -> bool {
    config.store().strip_prefix("sqlite:").is_some_and(|file| !Path::new(file).exists())
}

fn key_of(config: &Config) -> String {
    match config.text("master_key") {
        Some(_) => "the configuration".to_owned(),
        None => config.data_dir().join("master.key").display().to_string(),
    }
}
