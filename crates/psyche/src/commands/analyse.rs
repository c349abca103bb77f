//! `psyche analyse`: what happened in a session, in numbers, from its log alone. Works beside a running server.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use psyche_core::port::Clock as _;
use psyche_core::{SessionId, UserId};
use psyche_lab::analysis::{Analysis, Range, Reading, of_log};
use psyche_lab::export::Import;
use psyche_store::Access;

use super::{import, sessions};
use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session, or a file of a session exported as jsonl; the newest session when none is named
    session: Option<String>,
    /// The first event to look at
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// The last event to look at; up to now when absent
    #[arg(long)]
    to: Option<u64>,
    /// Print the whole document as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let range = Range { from: arguments.from, to: arguments.to.unwrap_or(u64::MAX) };
    let analysis = match arguments.session.as_deref().map(Path::new).filter(|path| path.is_file()) {
        Some(path) => of_file(path, range)?,
        None => of_store(config, arguments.session.as_deref(), range).await?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&analysis)?);
    } else {
        print(&analysis);
    }
    Ok(ExitCode::SUCCESS)
}

/// A file is read as for an import: all of it is checked, nothing is kept.
fn of_file(path: &Path, range: Range) -> Result<Analysis> {
    let clock = SystemClock::new();
    let (id, nobody) = (SessionId(clock.uuid()), UserId(clock.uuid()));
    let Import { records, added, origin, summary } = import::read(path, id, nobody, &clock)?;
    let mut reading = Reading::new(origin, summary.generation, range);
    // What an import adds to end a run is not in the file.
    for record in &records[..records.len() - added as usize] {
        reading.take(record)?;
    }
    Ok(reading.finish())
}

async fn of_store(config: &Config, session: Option<&str>, range: Range) -> Result<Analysis> {
    let store = Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new())).await?;
    let id = match session {
        Some(typed) => sessions::named(&store, typed).await?,
        None => sessions::all(&store).await?.first().context("there is no session yet")?.session_id,
    };
    let analysis = of_log(store.log().as_ref(), id, range).await?;
    store.close().await;
    Ok(analysis)
}

fn print(analysis: &Analysis) {
    let Analysis { session_id, from, to, utterances, notes, .. } = analysis;
    println!("{session_id}: {utterances} utterances in events {from} to {to}");
    for note in notes {
        println!("  {note}");
    }
    println!("\nmeasures                     value  95 % interval      null band          n");
    for (name, measure) in &analysis.measures {
        let (value, interval, null) = (number(measure.value), span(measure.interval), span(measure.null));
        println!("  {name:<22} {value:>9}  {interval:<17}  {null:<17}  {}", measure.n);
        note(measure.note.as_deref());
    }
    println!("\ntrends                 per 100 utterances  95 % interval      p, corrected");
    for trend in &analysis.trends {
        let (slope, interval, p) = (number(trend.slope), span(trend.interval), number(trend.p_corrected));
        println!("  {:<22} {slope:>16}  {interval:<17}  {p}", trend.measure);
        note(trend.note.as_deref());
    }
    println!("\nturning points");
    if analysis.turning_points.is_empty() {
        println!("  none that chance does not explain");
    }
    for point in &analysis.turning_points {
        let (change, p) = (number(Some(point.change)), number(Some(point.p_corrected)));
        println!("  turn {:<6} {:<22} {change:>9}  p {p}", point.turn, point.measure);
    }
    println!("\ninterventions                     effect on novelty (g)  95 % interval");
    if analysis.interventions.is_empty() {
        println!("  none");
    }
    for intervention in &analysis.interventions {
        let what = match &intervention.detail {
            Some(detail) => format!("{}: {detail}", intervention.kind),
            None => intervention.kind.clone(),
        };
        let (effect, interval) = (number(intervention.effect), span(intervention.interval));
        println!("  turn {:<6} {what:<30} {effect:>9}  {interval}", intervention.turn);
        note(intervention.note.as_deref());
    }
    println!("\nspeakers                utterances  words    p50 ms    p95 ms  failures   tokens");
    for speaker in &analysis.shares.speakers {
        let performance = analysis.agents.iter().find(|agent| agent.agent_id == speaker.agent_id);
        let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        let (p50, p95) = performance.map_or((None, None), |agent| (agent.latency.p50_ms, agent.latency.p95_ms));
        let failures: u64 = performance.map_or(0, |agent| agent.failures.values().sum());
        println!(
            "  {:<22} {:>9} {:>6} {:>9} {:>9} {failures:>9} {:>8}",
            speaker.agent_id,
            speaker.utterances,
            speaker.words,
            of(p50),
            of(p95),
            performance.map_or(0, |agent| agent.tokens)
        );
    }
}

fn note(text: Option<&str>) {
    if let Some(text) = text {
        println!("    {text}");
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value != 0.0 && value.abs() < 0.001 => format!("{value:.1e}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn span(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.3} to {high:.3}"))
}
