//! `psyche import`: a session from a jsonl export.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use psyche_core::audit::{AuditDraft, AuditType, Severity};
use psyche_core::port::{Clock, NewSession, SessionRow};
use psyche_core::words::Salts;
use psyche_core::{SessionId, TenantId, UserId};
use psyche_lab::export::{Import, Importer, Lines};
use psyche_store::Access;

use super::export::progress;
use super::run;
use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

#[derive(Args, Debug)]
pub struct Arguments {
    /// A session exported as jsonl
    file: PathBuf,
    /// User name of whose session it becomes; the first admin when absent
    #[arg(long)]
    owner: Option<String>,
}

/// Reads a file and checks it whole.
pub fn read(path: &Path, id: SessionId, owner: UserId, clock: &dyn Clock) -> Result<Import> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let bar = progress(file.metadata()?.len(), "bytes");
    let (mut importer, mut lines, mut chunk) = (Importer::new(id, owner), Lines::default(), vec![0; CHUNK]);
    loop {
        let read = file.read(&mut chunk).with_context(|| format!("read {}", path.display()))?;
        if read == 0 {
            break;
        }
        lines.feed(&chunk[..read], &mut |line| importer.line(line))?;
        bar.inc(read as u64);
    }
    lines.end(&mut |line| importer.line(line))?;
    let import = importer.finish(clock.now(), Salts::fresh(clock.entropy()))?;
    bar.finish_and_clear();
    Ok(import)
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = match Store::open(config, Access::ReadWrite, false, Arc::clone(&clock)).await {
        Err(error) if backends::is_in_use(&error) => {
            let advice = "sessions are imported here while the server is stopped, or through the one that runs: \
                          Import on the dashboard, or POST /api/v1/sessions/import";
            return Err(error.context(advice));
        }
        opened => opened?,
    };
    let owner = match &arguments.owner {
        Some(name) => match store.directory().user_by_name(TenantId::DEFAULT, name).await? {
            Some(user) => user.user_id,
            None => bail!("there is nobody called {name:?} here; `psyche user create` makes accounts"),
        },
        None => run::owner(&store).await?,
    };
    let id = SessionId(clock.uuid());
    let Import { records, summary, added, origin } = read(&arguments.file, id, owner, clock.as_ref())?;
    let (events, name) = (summary.seq, summary.name.clone());
    let details = serde_json::json!({
        "imported": origin, "events": events, "added": added, "log_hash": records.last().map(|r| r.hash),
    });
    let row = AuditDraft {
        user_id: Some(owner),
        session_id: Some(id),
        ..super::row(clock.as_ref(), AuditType::SessionCreated, Severity::Low, details)
    };
    store.audit().record(vec![row]).await?;
    store.log().create(NewSession { row: SessionRow { tenant: TenantId::DEFAULT, summary }, records }).await?;
    store.close().await;
    println!("{id}  {name}: {events} events");
    Ok(ExitCode::SUCCESS)
}
