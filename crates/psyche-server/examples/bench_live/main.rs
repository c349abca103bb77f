//! The load tool of live delivery: the clients' side of a psyche server, two floors to compare it with, and the table of
//! what is promised.
//!
//! `cargo xtask load` measures the whole table (`make bench-live` too), `cargo xtask load table --only cpu,p99 --runs 3`
//! some rows, `cargo xtask load table --quick` every row once with short spans, and `cargo xtask load run --help` lists
//! the knobs of a single measurement.
//!
//! The server is the real `psyche serve` in release: SQLite with a sync at every commit, authentication, rights and
//! persistence on, its limits raised by its settings, on a throw-away data directory. Accounts, sign-ins and memberships
//! are put into the store before it starts, sessions are created through the API. It has core 0 for itself, as each
//! floor has in its turn; this tool has core 1 and serves all sockets in one thread. Every reader is a person of its own
//! with the right to view the session, and subscribes to one type of event, so that one event is one frame. It joins with
//! a cursor at the head of the log; a single measurement with `--join --cold` asks for snapshots instead.
//!
//! An event is an annotation that the session's owner makes over a WebSocket: it is stored before anybody sees it. Its
//! text carries a number and the moment it was sent, so a latency is from the driver's send until a reader has read it.
//! An event is in flight until every reader has it. Every reader checks `seq` and `prev` of every event it gets; lost,
//! doubled, reordered and unexplained events, and snapshots where a cursor was given, make a row fall short whatever its
//! figure. `others %` is what everything else on the machine took of the two cores meanwhile: the figures are only as good
//! as it is small. CPU is what the kernel's scheduler counted for all threads of the server within the measured span, storing
//! and signing in included.
//!
//! Floors: `tcp` writes the same frames to bare TCP sockets, one `write` for each socket and event, in one thread without
//! any protocol. `axum` is what people write: its WebSocket, a broadcast channel, one task for each client, `axum::serve`
//! as it is; `axum-nodelay` is the same with `TCP_NODELAY` set. Events reach a floor on a connection of its own.
//!
//! | row | what is measured | compared with |
//! |---|---|---|
//! | `cpu` | CPU of the server for each delivery: 1,000 readers of one session, 20 events/s, frames of 600 bytes | `tcp` |
//! | `saturation` | deliveries/s to 1,000 readers while 16 events are in flight at any time | `axum`; the ratio to `axum-nodelay` is noted |
//! | `tokens` | CPU for each delivered `delta`: 10 agents speak at once, the model sends each a piece every 100 ms, frames of 250 bytes, 500 readers. The model is a chat-completions server of this tool. Deltas that were left out are noted | `tcp`, 10 events every 100 ms, one write each |
//! | `p99` | latency, 5,000 readers, 4 events/s | `tcp` |
//! | `memory` | resident memory of the server for each of 5,000 idle readers, over what it had before they came | |
//! | `cuts` | 1,000 readers, 30 events/s; every 5 ms one connection is reset and comes back 200 ms later with its cursor: p99 from the connect until it has everything stored before | |
//! | `stall` | p99 of the others when a quarter of 1,000 readers read nothing (20 events/s, frames of 2,000 bytes, so that the kernel's buffers are soon full). Memory may grow by the ring (4 MiB) and 64 KiB for each stalled reader more than without; each must be cut off, and those that read again see 4010 | the same without stalls |
//! | `connect` | readers that connect, authenticate with the first message and subscribe in a second, 5,000 as fast as they can; how many when each asks for a snapshot is noted | |
//! | `sessions` | CPU for each delivery: 200 sessions with 5 readers and 10 events/s each, storing them included | |
//! | `post` | `POST …/annotations` on an idle machine until a reader has it, p50, less the p50 of a bare 4 KiB write and fdatasync to the same disk | |
//! | `restart` | 10,000 readers of 10 sessions; SIGTERM, start, four new events in each session: from the signal until every reader has everything. Readers come back when `bye.retry_after_ms` says, which is part of the time. Reads of the log (`psyche_log_reads_total`) and the server's peak memory are checked | |

mod child;
mod drive;
mod floor;
mod frames;
mod histogram;
mod http;
mod join;
mod machine;
mod measure;
mod member;
mod mint;
mod model;
mod post;
mod product;
mod restart;
mod rows;
mod stall;
mod swarm;
mod table;
mod tally;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use product::{Installation, Needs};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser, Debug)]
#[command(name = "bench_live", about = "Loads a psyche of its own with readers and measures what they get")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Every row of the table, product and floors by turns
    Table(Table),
    /// One measurement
    Run(Run),
    /// A floor's own process; the other commands start it
    #[command(hide = true)]
    Floor { kind: floor::Kind },
}

#[derive(Args, Debug)]
struct Table {
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Rows by name, with commas between
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// One run with short spans, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Write the results here too
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long, default_value = "target/release/psyche")]
    psyche: PathBuf,
}

#[derive(Args, Debug)]
struct Run {
    #[arg(long, default_value_t = 1000)]
    readers: usize,
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// Events a second and session
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Bytes of an event's frame
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// Events sent together
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// Instead of a rate: so many events are always on their way
    #[arg(long)]
    in_flight: Option<usize>,
    /// The part of the readers that stop reading
    #[arg(long, default_value_t = 0.0)]
    stall: f64,
    /// Cut one reader off every so many milliseconds
    #[arg(long, requires = "back_after")]
    cut_every: Option<u64>,
    /// A reader that was cut off comes back after so many milliseconds
    #[arg(long)]
    back_after: Option<u64>,
    /// How the events are sent
    #[arg(long, default_value = "socket")]
    via: drive::Via,
    /// Restart the server once while everybody reads, and measure only how all come back
    #[arg(long)]
    restart: bool,
    /// Only connect, authenticate and subscribe; with --cold each reader gets a snapshot
    #[arg(long)]
    join: bool,
    #[arg(long, requires = "join")]
    cold: bool,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Measure a floor instead of the product
    #[arg(long)]
    floor: Option<floor::Kind>,
    #[arg(long, default_value = "target/release/psyche")]
    psyche: PathBuf,
}

/// Set by a signal. The tool then fails like on any other error, so that its servers end and its files go.
static LEAVING: AtomicBool = AtomicBool::new(false);

fn leaving() -> bool {
    LEAVING.load(Ordering::Relaxed)
}

fn leave_when_told() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut told = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = told.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        });
        LEAVING.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// What every measurement needs of the process.
fn set_up() -> Outcome {
    leave_when_told()?;
    machine::raise_descriptors()?;
    machine::pin(machine::TOOL_CORE)
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Table(table) => whole(&table),
        Command::Run(run) => one(&run).map(|figures| {
            println!("{figures}");
            true
        }),
        Command::Floor { kind } => floor::serve(kind).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench_live: {error}");
            ExitCode::FAILURE
        }
    }
}

fn whole(table: &Table) -> Outcome<bool> {
    set_up()?;
    let runs = if table.quick { 1 } else { table.runs };
    table::run(&table.psyche, runs, table.quick, &table.only, table.json.as_deref())
}

fn one(run: &Run) -> Outcome<String> {
    set_up()?;
    let plan = measure::Plan {
        readers: run.readers,
        sessions: run.sessions,
        rate: run.rate,
        burst: run.burst,
        in_flight: run.in_flight,
        bytes: run.bytes,
        stalled: run.stall,
        cut: run.cut_every.zip(run.back_after),
        via: run.via,
        ..measure::Plan::plain(run.seconds)
    };
    if let Some(kind) = run.floor {
        return Ok(serde_json::to_string_pretty(&measure::floor(kind, &plan)?)?);
    }
    let made = Installation::make(&run.psyche, &Needs::quiet(run.readers, run.sessions))?;
    Ok(if run.restart {
        serde_json::to_string_pretty(&restart::restart(&made)?)?
    } else if run.join {
        serde_json::to_string_pretty(&join::join(&made, run.cold, run.seconds)?)?
    } else {
        serde_json::to_string_pretty(&stall::stall(&made, &plan)?)?
    })
}
