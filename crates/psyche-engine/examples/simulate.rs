//! Thousands of simulated worlds (docs/reliability.md): `--seeds 10000 --steps 200`, or one, told step by step: `--seed N`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../tests/simulation/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod simulation;

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use psyche_core::measure::Vader;
use simulation::{Outcome, Plan, run};

const USAGE: &str =
    "simulate [--seeds 10000] [--from 0] [--steps 200] [--times 1] [--threads N]   or: simulate --seed N [--steps 200]";

#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn now() -> Instant {
    Instant::now()
}

/// Processor time of this process, all threads, in seconds; to a hundredth.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn main() -> ExitCode {
    let mut options = BTreeMap::new();
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let known = ["--seeds", "--from", "--steps", "--times", "--threads", "--seed"].contains(&name.as_str());
        let value = args.next().and_then(|value| value.parse::<u64>().ok()).filter(|_| known);
        let Some(value) = value else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        options.insert(name, value);
    }
    let option = |name: &str, default: u64| options.get(name).copied().unwrap_or(default);
    let steps = option("--steps", 200);
    if let Some(seed) = options.get("--seed") {
        return one(*seed, steps);
    }
    let from = option("--from", 0);
    many(from..from + option("--seeds", 10_000), steps, option("--times", 1), option("--threads", threads()))
}

fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

/// Tells the story of one world.
fn one(seed: u64, steps: u64) -> ExitCode {
    let outcome = run(Plan { traced: true, ..Plan::new(seed, steps) }, &Arc::new(Vader::new()));
    for line in &outcome.trace {
        println!("{line}");
    }
    println!("{:?}", outcome.counts);
    for (seq, hash) in &outcome.heads {
        println!("head {seq} {hash}");
    }
    for violation in &outcome.violations {
        println!("VIOLATED {violation}");
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs each world so many times, which must come out the same.
fn many(seeds: Range<u64>, steps: u64, times: u64, threads: u64) -> ExitCode {
    let begun = now();
    let vader = Arc::new(Vader::new());
    let next = AtomicU64::new(seeds.start);
    let count = seeds.end - seeds.start;
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return outcomes;
            }
            let mut outcome = run(Plan::new(seed, steps), &vader);
            if (1..times).any(|_| run(Plan::new(seed, steps), &vader) != outcome) {
                outcome.violations.push("another run of it was another world".to_owned());
            }
            if !outcome.violations.is_empty() {
                println!(
                    "seed {seed} FAILS: cargo run --release -p psyche-engine --example simulate -- --seed {seed} --steps {steps}"
                );
                for violation in &outcome.violations {
                    println!("    {violation}");
                }
            }
            outcomes.push(outcome);
        }
    };
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, n) in outcomes.iter().flat_map(|outcome| &outcome.counts) {
        *counts.entry(name).or_default() += n;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).count();
    let all: u64 = outcomes.iter().map(|outcome| outcome.steps).sum();
    let days = outcomes.iter().map(|outcome| outcome.time_ms).sum::<u64>() as f64 / 86_400_000.0;
    for (name, n) in counts {
        println!("{n:>10} {name}");
    }
    println!(
        "{count} seeds, {all} steps ({steps} each under faults), {days:.1} simulated days, {took:.1} s on {threads} threads ({:.1} s of processor): {:.0} seeds/s, {failed} failed",
        cpu_seconds(),
        count as f64 / took
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
