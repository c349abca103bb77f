//! `psyche speak`: a person's own words in a conversation.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use psyche_core::port::Clock as _;
use psyche_core::session::{Action, SpeakArgs, UserCommand};
use psyche_core::{AgentId, CommandId};
use psyche_engine::{Engine, Options};

use super::{run, sessions};
use crate::backends::{self, Parts};
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session
    session: String,
    text: String,
    /// The one agent it is said to, such as ego; all hear it when absent
    #[arg(long)]
    to: Option<String>,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let clock = Arc::new(SystemClock::new());
    let models = Arc::new(backends::models(config, Arc::clone(&clock) as _)?);
    let opened = Parts::open(config, models, false, Arc::clone(&clock) as _).await;
    let parts = sessions::to_write(opened, "POST /api/v1/sessions/{id}/commands")?;
    let id = sessions::named(&parts.store, &arguments.session).await?;
    let actor = run::owner(&parts.store).await?;
    let engine = Engine::start(parts.ports(), Options { claim_every: None, ..Options::default() });
    let to = arguments.to.as_deref().map(AgentId::new);
    let action = Action::Speak(SpeakArgs { text: arguments.text, to });
    let said = engine.submit(id, UserCommand { id: CommandId::new(&clock.uuid().to_string()), actor, action }).await;
    engine.shutdown(Duration::from_secs(2)).await;
    parts.store.close().await;
    println!("event {}: it waits for the next turns of session {id}", said?);
    Ok(ExitCode::SUCCESS)
}
