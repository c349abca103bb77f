//! `psyche run`: a conversation in the terminal.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use psyche_core::cast::Cast;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{Clock, EventLog, Live, ModelCatalog as _, News, Role};
use psyche_core::session::{Action, Budget, NoArgs, SessionStatus, SessionType, StopArgs, TurnOrder, UserCommand};
use psyche_core::{CommandId, SessionId, TenantId, UserId};
use psyche_engine::{Engine, EngineError, NewRun, Options};
use serde_json::json;

use crate::backends::{self, Catalog, Parts, Store};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::terminal::{self, Output};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The built-in cast `jungian`, or a TOML or JSON file
    #[arg(long, default_value = "jungian")]
    cast: String,
    /// What the agents find themselves in (default: the cast's own)
    #[arg(long)]
    situation: Option<String>,
    /// Rounds to run; in each, every agent speaks once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Model id (see `psyche model list`); default: the configured one
    #[arg(long)]
    model: Option<String>,
    /// Seed of all randomness; drawn and printed when absent
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=psyche_core::random::MAX_SEED))]
    seed: Option<u64>,
    /// Who hears what within a round
    #[arg(long, value_enum, default_value_t = Order::Sequential)]
    turn_order: Order,
    /// Print one JSON event a line, as clients receive them
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    Sequential,
    Simultaneous,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let cast = read_cast(&arguments.cast)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let models = Arc::new(backends::models(config, Arc::clone(&clock))?);
    let model = arguments.model.clone().unwrap_or_else(|| models.default_model().to_owned());
    wait_for_model(&models, &model).await?;
    let parts = Parts::open(config, models, false, clock).await?;
    psyche_server::define_stored(parts.store.directory().as_ref(), parts.models.as_ref()).await?;
    let owner = owner(&parts.store).await?;
    // Sessions that a server left running are the server's to take up.
    parts.embedder.warm_up();
    let engine = Engine::start(parts.ports(), Options { claim_every: None, ..Options::default() });
    let new = NewRun {
        name: format!("{} in the terminal", cast.name),
        session_type: SessionType::SingleUser,
        owner,
        cast: cast.clone(),
        situation: arguments.situation.clone(),
        seed: arguments.seed,
        model: Some(model.clone()),
        turn_order: match arguments.turn_order {
            Order::Sequential => TurnOrder::Sequential,
            Order::Simultaneous => TurnOrder::Simultaneous,
        },
        pacing_ms: 0,
        max_rounds: Some(arguments.rounds),
        budget: Budget::default(),
        tags: vec!["terminal".to_owned()],
    };
    let session = engine.create(new).await?;
    let id = session.session_id;
    let log = parts.store.log();
    let mut news = parts.bus.subscribe(id);
    let mut screen = Screen::new(&cast, arguments.json, arguments.rounds);
    screen.head(&session.situation, &model, session.seed);
    let command = UserCommand {
        id: CommandId::new(&parts.clock.uuid().to_string()),
        actor: owner,
        action: Action::Start(NoArgs {}),
    };
    engine.submit(id, command).await?;
    let stop = async |why: &str| -> Result<End> {
        let action = Action::Stop(StopArgs::default());
        let command = UserCommand { id: CommandId::new(&parts.clock.uuid().to_string()), actor: owner, action };
        match engine.submit(id, command).await {
            // Refused where it has just ended by itself.
            Ok(_) | Err(EngineError::Refused(_)) => Ok(End { ok: true, why: why.to_owned() }),
            Err(error) => Err(error.into()),
        }
    };
    let end = loop {
        if screen.out.has_failed() {
            // Left running, the session would go on when the next server starts.
            break stop("nobody reads it").await?;
        }
        tokio::select! {
            item = news.next() => match item {
                Some(News::Live(live)) => screen.live(&live),
                Some(_) => {
                    // News is a hint; a slow terminal may have missed some. The log has missed nothing.
                    if let Some(end) = screen.read_on(log.as_ref(), id).await? {
                        break end;
                    }
                }
                None => bail!("the live feed ended"),
            },
            _ = tokio::signal::ctrl_c() => break stop("stopped by you").await?,
        }
    };
    engine.shutdown(Duration::from_secs(2)).await;
    parts.store.close().await;
    screen.foot(id, &end, parts.store.is_kept());
    Ok(screen.out.failure().unwrap_or(if end.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

pub fn read_cast(name: &str) -> Result<Cast> {
    if name == "jungian" {
        return Ok(Cast::jungian());
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the cast {name}: it must be `jungian` or a TOML or JSON file"))?;
    let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let cast = if json { Cast::from_json(&text) } else { Cast::from_toml(&text) };
    cast.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|e| format!("\n  {name}, {e}")).collect();
        anyhow::anyhow!("the cast has {} fault(s):{}", errors.len(), lines.concat())
    })
}

/// Sessions made on the machine itself belong to the first admin, or to nobody while there is none.
pub async fn owner(store: &Store) -> Result<UserId> {
    let users = store.directory().users(TenantId::DEFAULT, None, None, 200).await?;
    let admin = users.items.iter().find(|u| u.role == Role::Admin);
    Ok(admin.map_or(UserId(TenantId::DEFAULT.0), |u| u.user_id))
}

/// An embedded model loads in the background: wait for it, or say what is wrong.
pub async fn wait_for_model(models: &Catalog, id: &str) -> Result<()> {
    let Some(model) = models.model(id) else {
        let ids: Vec<_> = models.models().iter().map(|m| m.card().id.clone()).collect();
        bail!("there is no model {id:?}; there are {}", ids.join(", "));
    };
    for _ in 0..300 {
        match model.ready() {
            Ok(()) => return Ok(()),
            Err(why) if why.contains("loading") => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(why) => bail!("the model `{id}` is not ready: {why}"),
        }
    }
    bail!("the model `{id}` is still loading after 15 s")
}

struct End {
    ok: bool,
    why: String,
}

/// Prints the conversation as it happens.
struct Screen<'a> {
    out: Output,
    cast: &'a Cast,
    json: bool,
    rounds: u64,
    colours: bool,
    /// Words appear as they come only where a person watches.
    live: bool,
    /// What of the current utterance is on the screen.
    speaking: Option<(String, u64, u32)>,
    round: u64,
    /// `seq` of the last event shown.
    shown: u64,
}

impl<'a> Screen<'a> {
    fn new(cast: &'a Cast, json: bool, rounds: u64) -> Self {
        let live = !json && std::io::stdout().is_terminal();
        let (out, colours) = (Output::default(), terminal::colours());
        Self { out, cast, json, rounds, colours, live, speaking: None, round: 0, shown: 0 }
    }

    fn head(&mut self, situation: &str, model: &str, seed: u64) {
        if !self.json {
            self.line(&format!("{} · model {model} · seed {seed}", self.cast.name));
            self.out.put(format_args!("{situation}\n\n"));
        }
    }

    fn name(&self, id: &str) -> String {
        terminal::name(self.cast.agent(id), id, self.colours)
    }

    fn live(&mut self, live: &Live) {
        let Live::Delta { agent_id, turn, attempt, text, .. } = live else { return };
        if !self.live {
            return;
        }
        let now = (agent_id.to_string(), *turn, *attempt);
        match &self.speaking {
            Some(speaking) if *speaking == now => {}
            // With several speaking at once only the first is shown as it comes.
            Some(_) => return,
            None => {
                let name = self.name(agent_id.as_str());
                self.out.put(format_args!("{name}: "));
                self.speaking = Some(now);
            }
        }
        self.out.put(format_args!("{text}"));
    }

    /// Shows what the log has more than the screen.
    async fn read_on(&mut self, log: &dyn EventLog, id: SessionId) -> Result<Option<End>> {
        loop {
            let records = log.read(id, self.shown, 500).await?;
            if records.is_empty() {
                return Ok(None);
            }
            let mut end = None;
            for record in &records {
                end = self.event(id, &Event::decode(record)?).or(end);
                self.shown = record.seq;
            }
            if end.is_some() {
                return Ok(end);
            }
        }
    }

    /// Shows a stored event. Gives the end of the run, if this is it.
    fn event(&mut self, id: SessionId, event: &Event) -> Option<End> {
        if self.json {
            self.out.put(format_args!("{}\n", event.frame(id, event.seq - 1)));
        }
        match &event.payload {
            Payload::TurnStarted(started) if started.round != self.round => {
                self.round = started.round;
                self.line(&format!("— round {} of {} —", started.round, self.rounds));
            }
            Payload::AgentMessage(message) => {
                let shown = self.speaking.take();
                if !self.json {
                    if shown.is_some() {
                        // The stored words replace the provisional ones.
                        self.out.put(format_args!("\r\x1b[2K"));
                    }
                    let (from, to) = (self.name(message.agent_id.as_str()), self.name(&message.recipient));
                    let score = terminal::dim(&format!("({:+.2})", message.sentiment.score), self.colours);
                    self.out.put(format_args!("{from} → {to}: {} {score}\n", message.content.as_str()));
                }
            }
            Payload::Emergency(emergency) => {
                self.line(
                    &format!("— emergency paths {:?}: stagnation {:.2} —", emergency.action, emergency.stagnation)
                        .to_lowercase(),
                );
            }
            Payload::TurnFailed(failed) => {
                self.speaking = None;
                self.line(&format!(
                    "— {} could not speak (attempt {}): {} —",
                    failed.agent_id, failed.attempt, failed.message
                ));
            }
            Payload::SessionStatusChanged(changed) if changed.status != SessionStatus::Running => {
                let why = changed.reason.clone().unwrap_or_else(|| changed.status.name().to_owned());
                return Some(End { ok: why == "max_rounds", why });
            }
            _ => {}
        }
        None
    }

    fn line(&mut self, text: &str) {
        if !self.json {
            self.out.put(format_args!("{}\n", terminal::dim(text, self.colours)));
        }
    }

    fn foot(&mut self, id: SessionId, end: &End, stored: bool) {
        if self.json {
            eprintln!("{}", json!({"session_id": id, "end": end.why}));
        } else if stored {
            self.out.put(format_args!(
                "\nEnded: {}. Prove it with `psyche verify {id}`, see it again with `psyche replay {id}`.\n",
                end.why
            ));
        } else {
            self.out.put(format_args!("\nEnded: {}. Nothing was stored (store = memory:).\n", end.why));
        }
    }
}
