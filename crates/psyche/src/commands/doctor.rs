//! `psyche doctor`: every dependency, what is wrong with it, and how to mend it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use futures_util::future::join_all;
use psyche_core::TenantId;
use psyche_core::port::{Determinism, Embedder as _, ModelCatalog as _, SessionFilter};
use psyche_store::Access;
use serde::Serialize;

use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;

/// A database and its log need room; below this the doctor warns.
const LEAST_FREE: u64 = 500 * 1024 * 1024;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    finding: String,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let mut checks = vec![directory(&config.data_dir()), disk(&config.data_dir()), store(config).await];
    checks.extend(bus(config).await);
    checks.extend(certificate(config));
    checks.extend(models(config).await);
    checks.push(encoder(config));
    for key in ["listen", "metrics_addr"] {
        checks
            .extend(config.address(key).map(|at| port(if key == "listen" { "port" } else { "metrics port" }, key, at)));
    }
    let bad = checks.iter().any(|c| c.verdict == Verdict::Bad);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        for check in &checks {
            let mark = match check.verdict {
                Verdict::Good => "ok  ",
                Verdict::Warning => "warn",
                Verdict::Bad => "BAD ",
            };
            println!("{mark}  {:14} {}", check.what, check.finding);
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check(what: &'static str, verdict: Verdict, finding: impl Into<String>) -> Check {
    Check { what, verdict, finding: finding.into() }
}

fn directory(dir: &Path) -> Check {
    let what = "data directory";
    if !dir.exists() {
        return check(what, Verdict::Good, format!("{} does not exist yet; the first start makes it", dir.display()));
    }
    // Asking the file system is surer than reading permission bits.
    match tempfile_in(dir) {
        Ok(()) => check(what, Verdict::Good, format!("{} can be written to", dir.display())),
        Err(error) => {
            let advice = "give this user the right to write there, or name another one with --data-dir";
            check(what, Verdict::Bad, format!("{} cannot be written to ({error}); {advice}", dir.display()))
        }
    }
}

fn tempfile_in(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

fn disk(dir: &Path) -> Check {
    // The directory may not exist yet: its nearest ancestor tells the same file system.
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let existing = absolute.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    let free = match fs4::available_space(existing) {
        Ok(free) => free,
        Err(error) => return check("disk", Verdict::Warning, format!("the free space could not be read: {error}")),
    };
    let text = format!("{} MB free in {}", free / 1_000_000, existing.display());
    if free < LEAST_FREE {
        return check(
            "disk",
            Verdict::Warning,
            format!("{text}: make room, or move data_dir; a full disk pauses sessions"),
        );
    }
    check("disk", Verdict::Good, text)
}

async fn store(config: &Config) -> Check {
    let what = "store";
    let url = config.store_shown();
    let store = match Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new())).await {
        Ok(store) => store,
        Err(error) if backends::is_new(&error) => {
            return check(what, Verdict::Good, format!("{url} holds nothing yet; the first start makes it"));
        }
        Err(error) => return check(what, Verdict::Bad, format!("{error:#}")),
    };
    let lost = store.lost().to_vec();
    let page = store.directory().sessions(TenantId::DEFAULT, SessionFilter::default(), None, 1).await;
    store.close().await;
    if !lost.is_empty() {
        let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
        let advice = "restore the missing files, or start with `psyche serve --accept-loss` to go on from what is left";
        return check(what, Verdict::Bad, format!("{url} is behind what was durable: {}; {advice}", lost.join("; ")));
    }
    match page {
        Ok(_) => check(what, Verdict::Good, format!("{url} opens and answers")),
        Err(error) => check(what, Verdict::Bad, format!("{url}: {error}")),
    }
}

/// Whether the bus between replicas can be reached. psyche works without, only slower.
async fn bus(config: &Config) -> Option<Check> {
    let shown = config.rows().into_iter().find(|row| row.key == "bus")?.value;
    match backends::reach_bus(config, &(Arc::new(SystemClock::new()) as _)).await {
        Ok(true) => Some(check("bus", Verdict::Good, format!("{shown} answers"))),
        Ok(false) => None,
        Err(error) => Some(check("bus", Verdict::Warning, format!("{shown} does not answer: {error:#}"))),
    }
}

fn certificate(config: &Config) -> Option<Check> {
    match super::serve::tls(config, &SystemClock::new()) {
        Ok(None) => None,
        Ok(Some(_)) => Some(check("certificate", Verdict::Good, "certificate and key fit each other")),
        Err(error) => Some(check("certificate", Verdict::Bad, error.to_string())),
    }
}

async fn models(config: &Config) -> Vec<Check> {
    let models = match backends::models(config, Arc::new(SystemClock::new())) {
        Ok(models) => models,
        Err(error) => return vec![check("models", Verdict::Bad, format!("{error:#}"))],
    };
    let default = models.default_model().to_owned();
    let rows = models.models().into_iter().map(async |model| {
        let card = model.card();
        let role = if card.id == default { "default model" } else { "model" };
        let can = if card.determinism == Determinism::Api { "is in its server's list" } else { "can speak" };
        match model.probe().await {
            Ok(()) => check(role, Verdict::Good, format!("{} ({}) {can}", card.id, card.name)),
            // Sessions can use the scripted model, so the program still works.
            Err(why) => check(role, Verdict::Warning, format!("{} ({}): {why}", card.id, card.name)),
        }
    });
    // At once: a server that is away is waited for.
    join_all(rows).await
}

fn encoder(config: &Config) -> Check {
    let encoder = backends::embedder(config);
    match encoder.ready() {
        Ok(()) => check("encoder", Verdict::Good, format!("{} can embed utterances", encoder.card().name)),
        Err(why) => {
            check("encoder", Verdict::Warning, format!("{}: {why}; measures go by words alone", encoder.card().name))
        }
    }
}

fn port(what: &'static str, key: &str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => check(what, Verdict::Good, format!("{address} is free")),
        Err(error) => {
            let other = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(8080));
            let advice =
                format!("psyche may be running already; otherwise choose another address: --set {key}={other}");
            check(what, Verdict::Warning, format!("{address} cannot be listened on ({error}); {advice}"))
        }
    }
}
