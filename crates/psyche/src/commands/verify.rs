//! `psyche verify`: is a log whole? Exit 0 when it is, 1 when not, 2 when it could not be looked at.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use psyche_core::SessionId;
use psyche_core::measure::Vader;
use psyche_core::port::{EventLog, Head};
use psyche_core::record::{Checker, Record};
use psyche_core::words::Hash;
use psyche_engine::{Difference, Rerun};
use psyche_store::Access;
use serde::Serialize;

use super::sessions;
use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;

/// Records read at a time.
const BATCH: usize = 1_000;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Ids of the sessions to look at; all of them when none is named
    sessions: Vec<String>,
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
    /// Events in which what quoted an erased person was masked: their chain holds.
    masked: Vec<u64>,
    /// Whether the engine gave the same events again.
    rerun: &'static str,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let store = Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new())).await?;
    let log = store.log();
    let named = !arguments.sessions.is_empty();
    let mut ids = Vec::new();
    for typed in &arguments.sessions {
        ids.push(sessions::named(&store, typed).await?);
    }
    if !named {
        ids.extend(sessions::all(&store).await?.iter().map(|session| session.session_id));
    }
    let vader = Vader::new();
    let mut findings = Vec::new();
    for id in ids {
        let Some(finding) = look(log.as_ref(), id, &vader, arguments.chain_only).await? else {
            if named {
                bail!("there is no session {id} any more");
            }
            // Deleted since the sessions were listed.
            continue;
        };
        if !arguments.json {
            print(&finding);
        }
        findings.push(finding);
    }
    for lost in store.lost() {
        eprintln!("psyche: {lost}");
    }
    let whole = store.lost().is_empty() && findings.iter().all(|f| f.whole);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else if findings.is_empty() {
        println!("there is no session in {}", config.store_shown());
    }
    store.close().await;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at a session up to the head it has now. What a running server writes meanwhile is not judged. `None` when there
/// is no such session, or none any more.
async fn look(log: &dyn EventLog, id: SessionId, vader: &Vader, chain_only: bool) -> Result<Option<Finding>> {
    let Some(head) = log.head(id).await? else { return Ok(None) };
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
        let wanted = BATCH.min(usize::try_from(head.seq - after).unwrap_or(BATCH));
        let records = log.read(id, after, wanted).await?;
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
    // In this order: a record that is there has moved the head before.
    let beyond = log.read(id, head.seq, 1).await?;
    let Some(now) = log.head(id).await? else { return Ok(None) };
    broken = broken.or_else(|| wrong_end((events, hash), &head, beyond.first(), &now));
    if let Some(broken) = broken {
        whole = false;
        problem = Some(broken);
        rerun_result = "not reached";
    }
    Ok(Some(Finding {
        session_id: id,
        events,
        turns,
        head: hash.to_string(),
        whole,
        problem,
        erased: checker.erased,
        masked: checker.masked,
        rerun: rerun_result,
    }))
}

/// What is wrong with where a log ends: it must reach the head that was read first, and where it goes on `beyond` that,
/// the head read `now` must have gone on too.
fn wrong_end(reached: (u64, Hash), head: &Head, beyond: Option<&Record>, now: &Head) -> Option<String> {
    if reached != (head.seq, head.hash) {
        return Some(format!("the log ends at event {}, its head says {}", reached.0, head.seq));
    }
    let record = beyond.filter(|record| record.seq > now.seq)?;
    Some(format!("the log goes on with event {}, its head says it ends at {}", record.seq, now.seq))
}

fn print(finding: &Finding) {
    let Finding { session_id, events, turns, head, whole, problem, erased, masked, rerun } = finding;
    let verdict = if *whole { "whole" } else { "NOT WHOLE" };
    println!("{session_id}  {verdict}: {events} events, {turns} turns, chain to {}…, run again: {rerun}", &head[..12]);
    if let Some(problem) = problem {
        println!("  {problem}");
    }
    if !erased.is_empty() {
        println!("  words erased in {} event(s); the chain holds: {}", erased.len(), named(erased));
    }
    if !masked.is_empty() {
        println!(
            "  quotations of erased words masked in {} event(s); the chain holds: {}",
            masked.len(),
            named(masked)
        );
    }
}

/// The first few events, and how many more.
fn named(events: &[u64]) -> String {
    const SHOWN: usize = 20;
    let mut list: Vec<_> = events.iter().take(SHOWN).map(u64::to_string).collect();
    if events.len() > SHOWN {
        list.push(format!("and {} more", events.len() - SHOWN));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use psyche_core::Timestamp;

    use super::*;

    #[test]
    fn a_log_ends_at_its_head_or_both_have_gone_on() {
        let hash = |seq: u64| Hash::of(&seq.to_be_bytes());
        let head = |seq| Head { generation: 1, seq, hash: hash(seq), epoch: 0, owner: None };
        let record = |seq| Record {
            generation: 1,
            seq,
            epoch: 0,
            kind: "reset".into(),
            version: 1,
            at: Timestamp(0),
            body: String::new(),
            hash: hash(seq),
            committed_turn: None,
            command_id: None,
            texts: Vec::new(),
        };
        let cases = [
            ("at its head", (7, hash(7)), None, 7, None),
            ("written to meanwhile", (7, hash(7)), Some(8), 12, None),
            ("cut off", (5, hash(5)), None, 7, Some("ends at event 5, its head says 7")),
            ("another last event", (7, hash(1)), None, 7, Some("ends at event 7, its head says 7")),
            (
                "the head was put back",
                (7, hash(7)),
                Some(8),
                7,
                Some("goes on with event 8, its head says it ends at 7"),
            ),
        ];
        for (name, reached, beyond, now, expected) in cases {
            let beyond = beyond.map(record);
            let said = wrong_end(reached, &head(7), beyond.as_ref(), &head(now));
            assert_eq!(said.is_some(), expected.is_some(), "{name}: {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{name}");
        }
    }
}
