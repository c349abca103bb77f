//! `psyche verify`: is a log whole? Exit 0 when it is, 1 when not, 2 when it could not be looked at.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use psyche_core::measure::Vader;
use psyche_core::port::{EventLog, SessionFilter};
use psyche_core::record::Checker;
use psyche_core::{SessionId, TenantId};
use psyche_engine::{Difference, Rerun};
use psyche_store::sqlite::Access;
use serde::Serialize;

use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

/// Records read at a time.
const BATCH: usize = 1_000;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Sessions to look at; all of them when none is named
    sessions: Vec<SessionId>,
    /// Check the hash chain alone, without running the engine again
    #[arg(long)]
    chain_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Finding {
    session_id: SessionId,
    events: u64,
    turns: u64,
    head: String,
    whole: bool,
    /// What is wrong, or why the engine could not be run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Events whose words were erased: their chain holds.
    erased: Vec<u64>,
    /// Whether the engine gave the same events again.
    rerun: &'static str,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let store = Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new()))?;
    let log = store.log();
    let named = !arguments.sessions.is_empty();
    let sessions = if named { arguments.sessions.clone() } else { all(&store).await? };
    let vader = Vader::new();
    let mut findings = Vec::new();
    for id in sessions {
        let finding = look(log.as_ref(), id, &vader, arguments.chain_only).await?;
        if !arguments.json {
            print(&finding);
        }
        findings.push(finding);
    }
    if let Store::Sqlite(sqlite) = &store {
        for lost in sqlite.lost() {
            eprintln!("psyche: {lost}");
        }
    }
    let lost = matches!(&store, Store::Sqlite(sqlite) if !sqlite.lost().is_empty());
    let whole = !lost && findings.iter().all(|f| f.whole);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else if findings.is_empty() {
        println!("there is no session in {}", config.store());
    }
    store.close().await;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub async fn all(store: &Store) -> Result<Vec<SessionId>> {
    let (directory, mut cursor, mut ids) = (store.directory(), None, Vec::new());
    loop {
        let page = directory.sessions(TenantId::DEFAULT, SessionFilter::default(), cursor, 200).await?;
        ids.extend(page.items.iter().map(|row| row.summary.session_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(ids);
        }
    }
}

async fn look(log: &dyn EventLog, id: SessionId, vader: &Vader, chain_only: bool) -> Result<Finding> {
    let head = log.head(id).await?.with_context(|| format!("there is no session {id}"))?;
    let mut checker = Checker::default();
    let mut rerun = Some(Rerun::new(id, vader)).filter(|_| !chain_only);
    let (mut problem, mut rerun_result, mut whole) = (None, if chain_only { "not asked for" } else { "same" }, true);
    let mut turns = 0;
    let mut failed = |difference: Difference, whole: &mut bool| {
        let skipped = matches!(difference, Difference::Version { .. } | Difference::Erased { .. });
        problem = Some(difference.to_string());
        *whole &= skipped;
        rerun_result = if skipped { "skipped" } else { "differs" };
    };
    let mut broken = None;
    'log: loop {
        let after = checker.head().0;
        let records = log.read(id, after, BATCH).await?;
        let last = records.len() < BATCH;
        for record in records {
            if let Err(error) = checker.check(&record) {
                broken = Some(error.to_string());
                break 'log;
            }
            turns += u64::from(record.committed_turn.is_some());
            if let Some(mut again) = rerun.take() {
                match again.feed(record) {
                    Ok(()) => rerun = Some(again),
                    Err(difference) => failed(difference, &mut whole),
                }
            }
        }
        if last {
            break;
        }
    }
    let (events, hash) = checker.head();
    if broken.is_none()
        && let Some(again) = rerun.take()
        && let Err(difference) = again.finish()
    {
        failed(difference, &mut whole);
    }
    if broken.is_none() && (events, hash) != (head.seq, head.hash) {
        broken = Some(format!("the log ends at event {events}, its head says {}", head.seq));
    }
    if let Some(broken) = broken {
        whole = false;
        problem = Some(broken);
        rerun_result = "not reached";
    }
    Ok(Finding {
        session_id: id,
        events,
        turns,
        head: hash.to_string(),
        whole,
        problem,
        erased: checker.erased,
        rerun: rerun_result,
    })
}

fn print(finding: &Finding) {
    let Finding { session_id, events, turns, head, whole, problem, erased, rerun } = finding;
    let verdict = if *whole { "whole" } else { "NOT WHOLE" };
    println!("{session_id}  {verdict}: {events} events, {turns} turns, chain to {}…, run again: {rerun}", &head[..12]);
    if let Some(problem) = problem {
        println!("  {problem}");
    }
    if !erased.is_empty() {
        println!("  words erased in {} event(s); the chain holds", erased.len());
    }
}
