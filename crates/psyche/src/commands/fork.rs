//! `psyche fork`: another session with a conversation's past.

use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use psyche_core::SessionId;
use psyche_core::event::Changes;
use psyche_core::port::EventLog;
use psyche_engine::{Engine, ForkDraft, Options};
use serde_json::json;

use super::{run, sessions};
use crate::backends::{self, Parts};
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session to go on with
    session: String,
    /// The last event that both share, such as 120, or the last turn, such as turn:7 (default: the whole log)
    #[arg(long, value_name = "SEQ|turn:N")]
    at: Option<Place>,
    /// The name it has there when absent
    #[arg(long)]
    name: Option<String>,
    /// What the agents find themselves in from there on
    #[arg(long)]
    situation: Option<String>,
    /// Model id (see `psyche model list`)
    #[arg(long)]
    model: Option<String>,
    /// Another seed, so that everything is drawn anew
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=psyche_core::random::MAX_SEED))]
    seed: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Seq(u64),
    Turn(u64),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse().map_err(|_| "must be an event such as 120, or turn:7".to_owned());
        match text.strip_prefix("turn:") {
            Some(turn) => number(turn).map(Self::Turn),
            None => number(text).map(Self::Seq),
        }
    }
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let clock = Arc::new(SystemClock::new());
    let models = Arc::new(backends::models(config, Arc::clone(&clock) as _)?);
    let opened = Parts::open(config, models, false, clock).await;
    let parts = sessions::to_write(opened, "POST /api/v1/sessions/{id}/fork")?;
    let id = sessions::named(&parts.store, &arguments.session).await?;
    let log = parts.store.log();
    let at_seq = match arguments.at {
        Some(Place::Seq(seq)) => seq,
        Some(Place::Turn(turn)) => end_of_turn(log.as_ref(), id, turn).await?,
        None => log.head(id).await?.map_or(0, |head| head.seq),
    };
    let owner = run::owner(&parts.store).await?;
    let engine = Engine::start(parts.ports(), Options { claim_every: None, ..Options::default() });
    let Arguments { name, situation, model, seed, json, .. } = arguments;
    let changes = Changes { situation, model, seed, ..Changes::default() };
    let made = engine.fork(id, ForkDraft { at_seq, owner, name, changes }).await;
    engine.shutdown(Duration::from_secs(2)).await;
    parts.store.close().await;
    let made = made?;
    if json {
        println!("{}", json!({"session_id": made.session_id, "parent": made.parent, "seq": made.seq}));
    } else {
        println!("{}  {}: shares {at_seq} events with {id}, and waits to be started", made.session_id, made.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// The event that closes a turn.
async fn end_of_turn(log: &dyn EventLog, id: SessionId, turn: u64) -> Result<u64> {
    let (mut after, mut last) = (0, 0);
    loop {
        let records = log.read_numbers(id, &["turn_committed"], after, 1_000).await?;
        if let Some(record) = records.iter().find(|record| record.committed_turn == Some(turn)) {
            return Ok(record.seq);
        }
        last = records.iter().filter_map(|record| record.committed_turn).fold(last, u64::max);
        match records.last() {
            Some(record) => after = record.seq,
            None if last == 0 => bail!("nobody has spoken in session {id} yet; fork it at an event, such as --at 1"),
            None => bail!("session {id} has no turn {turn} with words; its last one is turn {last}"),
        }
    }
}
