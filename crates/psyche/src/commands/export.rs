//! `psyche export`: a session as a file. Works beside a running server.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use psyche_lab::export::{Export, Format, Options, Redact};
use psyche_store::Access;

use super::sessions;
use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session
    session: String,
    /// json, jsonl (everything: `psyche import` gives back the same log), csv, parquet, markdown, html or pdf
    #[arg(long)]
    format: Format,
    /// First event; the first of the log when absent
    #[arg(long)]
    from: Option<u64>,
    /// Last event; the newest when absent
    #[arg(long)]
    to: Option<u64>,
    /// What to leave out, comma-separated: words (what people wrote), names (who they are)
    #[arg(long, default_value = "")]
    redact: Redact,
    /// File to write (default: one named after the session in the working directory); - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let store = Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new())).await?;
    let log = store.log();
    let id = sessions::named(&store, &arguments.session).await?;
    let options = Options {
        format: arguments.format,
        from: arguments.from,
        to: arguments.to,
        redact: arguments.redact,
        limit: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let events = log.head(id).await?.map_or(0, |head| head.seq);
    let bar = progress(events * 2, "events");
    let export = Export::prepare(log.as_ref(), id, options, |event| bar.set_position(event)).await?;
    let read = export.provenance().to;
    bar.set_length(read + export.events());
    let begun = read.saturating_sub(export.provenance().from - 1);
    let to_stdout = arguments.output.as_deref() == Some("-".as_ref());
    let path = arguments.output.unwrap_or_else(|| export.file_name().into());
    if to_stdout {
        let mut stdout = io::stdout().lock();
        export.write(async |bytes| stdout.write_all(&bytes), |event| bar.set_position(begun + event)).await?;
    } else {
        // Under another name until it is whole.
        let part = part_of(&path);
        let mut file = File::create(&part).with_context(|| format!("make {}", part.display()))?;
        let written = export.write(async |bytes| file.write_all(&bytes), |event| bar.set_position(begun + event)).await;
        if let Err(error) = written.map_err(anyhow::Error::from).and_then(|()| Ok(file.sync_all()?)) {
            let _ = std::fs::remove_file(&part);
            return Err(error.context(format!("write {}", path.display())));
        }
        std::fs::rename(&part, &path).with_context(|| format!("make {}", path.display()))?;
        bar.finish_and_clear();
        println!("{}", path.display());
    }
    bar.finish_and_clear();
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn part_of(path: &std::path::Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A bar on standard error; nothing where that is no terminal.
pub fn progress(length: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{percent:>3}} % of {{len}} {unit}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
