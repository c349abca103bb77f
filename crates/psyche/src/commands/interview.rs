//! `psyche interview`: a question to one agent, beside a running server too: it only reads.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use psyche_bus::LocalBus;
use psyche_core::AgentId;
use psyche_core::measure::Vader;
use psyche_core::port::{Clock, ModelCatalog as _};
use psyche_engine::{Engine, Options, Ports};
use psyche_store::Access;

use super::{run, sessions};
use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::terminal;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Id of the session
    session: String,
    /// Which agent, such as shadow
    agent: String,
    question: String,
    /// Print JSON, with all that the agent saw
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(config, Access::ReadOnly, false, Arc::clone(&clock)).await?;
    let id = sessions::named(&store, &arguments.session).await?;
    let models = Arc::new(backends::models(config, Arc::clone(&clock))?);
    let ports = Ports {
        log: store.log(),
        directory: store.directory(),
        bus: Arc::new(LocalBus::new()),
        clock,
        models: Arc::clone(&models) as _,
        vader: Arc::new(Vader::new()),
        embedder: None,
    };
    // The account of what people spend is the server's to write.
    let options = Options { claim_every: None, charge_answers: false, ..Options::default() };
    let engine = Engine::start(ports, options);
    let model = engine.read(id, |session| session.model_of(&arguments.agent).to_owned()).await?;
    if models.model(&model).is_some() {
        run::wait_for_model(&models, &model).await?;
    }
    let answered = engine.interview(id, &AgentId::new(&arguments.agent), &arguments.question).await;
    let agent = engine.read(id, |s| s.agents.get(arguments.agent.as_str()).map(|a| Arc::clone(&a.definition))).await?;
    engine.shutdown(Duration::from_secs(2)).await;
    store.close().await;
    let answered = answered?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answered)?);
    } else {
        let name = terminal::name(agent.as_deref(), &arguments.agent, terminal::colours());
        println!("{name}: {}", answered.answer);
    }
    Ok(ExitCode::SUCCESS)
}
