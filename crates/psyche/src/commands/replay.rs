//! `psyche replay`: a stored conversation again, from its log alone. No model is asked.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use psyche_core::event::{Event, Payload};
use psyche_core::session::Session;
use psyche_store::Access;

use super::sessions;
use crate::backends::Store;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::terminal;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session; the newest one when none is named
    session: Option<String>,
    /// Show it at this many times its own speed; at once when absent
    #[arg(long)]
    speed: Option<f64>,
    /// Print one JSON event a line, as clients receive them
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let store = Store::open(config, Access::ReadOnly, false, Arc::new(SystemClock::new())).await?;
    let log = store.log();
    let id = match &arguments.session {
        Some(typed) => sessions::named(&store, typed).await?,
        None => sessions::all(&store).await?.first().context("there is no session yet")?.session_id,
    };
    let colours = terminal::colours();
    let mut session: Option<Session> = None;
    let mut after = 0;
    loop {
        let records = log.read(id, after, 500).await?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        for record in &records {
            let before = session.as_ref().map(|s| s.last_at);
            psyche_engine::fold(&mut session, id, record)?;
            let event = Event::decode(record)?;
            if let (Some(speed), Some(before)) = (arguments.speed.filter(|s| *s > 0.0), before) {
                let micros = (event.at.micros() - before.micros()).max(0) as f64 / speed;
                tokio::time::sleep(Duration::from_micros(micros as u64).min(Duration::from_secs(10))).await;
            }
            if arguments.json {
                println!("{}", event.frame(id, event.seq - 1));
            } else if let Some(session) = &session {
                show(session, &event, colours);
            }
        }
    }
    let session = session.with_context(|| format!("there is no session {id}"))?;
    if !arguments.json {
        let text = format!("{} events, {} utterances, {}", session.seq, session.messages, session.status.name());
        println!("{}", terminal::dim(&text, colours));
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn show(session: &Session, event: &Event, colours: bool) {
    let name = |id: &str| terminal::name(session.agents.get(id).map(|a| a.definition.as_ref()), id, colours);
    let quiet = |text: String| println!("{}", terminal::dim(&text, colours));
    match &event.payload {
        Payload::SessionCreated(created) => {
            quiet(format!("{} · {}", created.name.as_str(), created.situation.as_str()));
        }
        Payload::AgentMessage(message) => {
            let (from, to) = (name(message.agent_id.as_str()), name(&message.recipient));
            println!("{from} → {to}: {}", message.content.as_str());
        }
        Payload::StimulusInjected(s) => quiet(format!("— {} stimulus: {} —", s.kind.name(), s.text.as_str())),
        Payload::SessionStatusChanged(changed) => {
            let reason = changed.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            quiet(format!("— {}{reason} —", changed.status.name()));
        }
        Payload::TurnFailed(failed) => quiet(format!("— {} could not speak: {} —", failed.agent_id, failed.message)),
        Payload::Reset(_) => quiet("— reset —".to_owned()),
        _ => {}
    }
}
