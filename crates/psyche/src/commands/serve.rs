//! `psyche serve`: the server and its dashboard.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use psyche_core::TenantId;
use psyche_core::port::{Clock, NewUser, Role, StoreError};
use psyche_core::session::Budget;
use psyche_engine::{Engine, Options};
use psyche_server::{Limits, Ports, Rate, Registration, Server, ServerOptions, Tls, TrustedProxies};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::user;
use crate::backends::{self, Parts};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::rotation;
use crate::webhook::Webhook;

/// Turns under way may end within this when the program is asked to leave.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Args, Debug)]
pub struct Arguments {
    /// Address of the dashboard and the API (default 127.0.0.1:8080)
    #[arg(long)]
    pub listen: Option<String>,
    /// Go on from a store that has lost events it had made durable; sessions concerned get a new generation
    #[arg(long)]
    accept_loss: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let mut asked = Asked::listen()?;
    let address = config.address("listen").context("`listen` is empty; give an address such as 127.0.0.1:8080")?;
    // Bound before anything else: a second start fails here, with a sentence, and touches nothing.
    let listener = bind(address, "--listen 127.0.0.1:8081").await?;
    let metrics = match config.address("metrics_addr") {
        Some(address) => Some(bind(address, "--set metrics_addr=127.0.0.1:9465").await?),
        None => None,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tls = tls(config, clock.as_ref())?;
    let (parts, setup_code) = tokio::select! {
        biased;
        () = asked.wait() => {
            eprintln!("left before it had begun");
            return Ok(ExitCode::SUCCESS);
        }
        opened = open(config, arguments.accept_loss, clock) => opened?,
    };
    let engine = Engine::start(parts.ports(), engine_options(config)?);
    let ports = Ports {
        engine: engine.clone(),
        log: parts.store.log(),
        directory: parts.store.directory(),
        bus: parts.bus.clone(),
        ephemeral: parts.ephemeral.clone(),
        counters: parts.counters.clone(),
        audit: parts.store.audit(),
        courier: courier(config)?,
        clock: parts.clock.clone(),
        models: parts.models.clone(),
    };
    let options = options(config, &parts, address, tls.clone(), setup_code.clone())?;
    let server = Server::new(ports, options)?;
    welcome(config, listener.local_addr()?, tls.is_some(), setup_code.as_deref());

    let token = CancellationToken::new();
    let tracker = tokio_util::task::TaskTracker::new();
    if let Some(metrics) = metrics {
        tracker.spawn(server.clone().run_metrics(metrics, token.clone()));
    }
    if let Some(tls) = tls {
        tracker.spawn(renew(tls, signal(SignalKind::hangup())?, parts.clock.clone(), token.clone()));
    }
    let (store, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.clock));
    tracker.spawn(rotation::watch(config.clone(), store, clock, token.clone()));
    let serving = tracker.spawn(server.run(listener, token.clone()));
    tracker.close();
    asked.wait().await;
    eprintln!("leaving: turns under way may end, sockets are told; once more to leave at once");
    token.cancel();
    let leave = async {
        engine.shutdown(GRACE).await;
        serving.await.context("the server crashed")??;
        // A scraper that never ends its request does not keep the program.
        let _ = tokio::time::timeout(Duration::from_secs(2), tracker.wait()).await;
        parts.store.close().await;
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        left = leave => left,
        () = asked.wait() => {
            // Whatever was acknowledged is durable; turns under way are abandoned at the next start.
            eprintln!("left at once");
            std::process::exit(1)
        }
    }
}

/// What is there before the engine: models, stores, the first admin or the code that makes one.
async fn open(config: &Config, accept_loss: bool, clock: Arc<dyn Clock>) -> Result<(Parts, Option<String>)> {
    let models = Arc::new(backends::models(config, Arc::clone(&clock))?);
    let parts = Parts::open(config, models, accept_loss, clock).await?;
    for lost in parts.store.lost() {
        tracing::warn!("accepted as lost: {lost}");
    }
    // A restored backup may hold accounts of people who were erased since.
    let directory = parts.store.directory();
    for (user, at) in parts.store.erased_people() {
        if directory.user(*user).await?.is_some_and(|user| user.created_at < *at) {
            directory.delete_user(*user).await.context("erase a restored account again")?;
        }
    }
    parts.models.0.warm_up();
    psyche_server::define_stored(parts.store.directory().as_ref(), parts.models.as_ref()).await?;
    parts.embedder.warm_up();
    let setup_code = first_admin(config, &parts).await?;
    Ok((parts, setup_code))
}

/// Certificate and key, where the configuration names them.
pub fn tls(config: &Config, clock: &dyn Clock) -> Result<Option<Tls>> {
    match (config.text("tls_cert"), config.text("tls_key")) {
        (Some(certificate), Some(key)) => Ok(Some(Tls::read(certificate.into(), key.into(), clock.now())?)),
        _ => Ok(None),
    }
}

/// Reads certificate and key again at every SIGHUP.
async fn renew(tls: Tls, mut hangup: Signal, clock: Arc<dyn Clock>, token: CancellationToken) {
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = hangup.recv() => {}
        }
        match tls.reload(clock.now()) {
            Ok(()) => tracing::info!("certificate and key were read again; new connections get them"),
            Err(error) => tracing::error!("certificate and key stay as they were: {error}"),
        }
    }
}

async fn bind(address: SocketAddr, other: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("listen on {address}: is psyche running there already? Another address: `psyche serve {other}`")
    })
}

/// The first admin from the configuration, or the code that lets a person become it. `None` once there is one.
async fn first_admin(config: &Config, parts: &Parts) -> Result<Option<String>> {
    let directory = parts.store.directory();
    if directory.has_admin(TenantId::DEFAULT).await? {
        return Ok(None);
    }
    match (config.text("admin_username"), config.text("admin_password")) {
        (Some(username), Some(password)) => {
            let email = format!("{username}@localhost");
            let user = user::account(config, parts.clock.as_ref(), username, &email, password, Role::Admin)
                .context("create the first admin from admin_username and admin_password")?;
            match directory.create_user(NewUser { user, only_first_admin: true }).await {
                // Another start was faster.
                Ok(()) | Err(StoreError::Conflict("admin")) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        (None, None) => Ok(Some(match config.text("setup_code") {
            Some(code) => code.to_owned(),
            // Whichever replica a browser reaches knows the code that another one has shown.
            None if config.flag("cluster") => hex::encode(&backends::shared_secret(config, "psyche.setup")?[..16]),
            None => hex::encode(&parts.clock.entropy()[..16]),
        })),
        _ => bail!("admin_username and admin_password belong together; give both or neither"),
    }
}

/// Hours, fractions allowed.
fn hours(config: &Config, name: &str) -> Result<Duration> {
    let time = Duration::try_from_secs_f64(config.number(name) * 3600.0);
    time.map_err(|_| anyhow::anyhow!("`{name}` is {}: more hours than a clock can count", config.number(name)))
}

fn engine_options(config: &Config) -> Result<Options> {
    let expire_after = Some(hours(config, "session_timeout_hours")?).filter(|after| !after.is_zero());
    let limit = |name| Some(config.number(name)).filter(|limit| *limit > 0.0);
    let user_budget =
        Budget { tokens: limit("user_budget_tokens").map(|tokens| tokens as u64), cost: limit("user_budget_cost") };
    Ok(Options {
        // A log in a database elsewhere may be added to by others, were it a statement of its own that comes late.
        replicas: config.is_postgres(),
        expire_after,
        user_budget,
        sessions_per_user: config.count("max_sessions_per_user"),
        forks_per_session: config.count("max_forks_per_session"),
        events_per_session: config.count("max_events_per_session"),
        ..Options::default()
    })
}

fn options(
    config: &Config,
    parts: &Parts,
    address: SocketAddr,
    tls: Option<Tls>,
    setup_code: Option<String>,
) -> Result<ServerOptions> {
    let hours = |name| hours(config, name);
    let secrets = backends::jwt_secrets(config, parts.clock.as_ref())?;
    let public_url = config.text("public_url").map(str::to_owned);
    let alone = address.ip().is_loopback() && public_url.is_none() && config.list("trusted_proxies").is_empty();
    let mut options = ServerOptions::new(env!("CARGO_PKG_VERSION"), secrets);
    options.url_tokens = match config.text("url_tokens") {
        Some("on") => true,
        Some("off") => false,
        _ => alone,
    };
    options.public_url = public_url;
    options.replicas = config.flag("cluster");
    options.tls = tls;
    options.cors_allowed_origins = config.list("cors_allowed_origins");
    options.trusted_proxies = TrustedProxies::parse(&config.list("trusted_proxies")).map_err(anyhow::Error::msg)?;
    options.block_addresses = config.flag("enable_ip_blacklisting");
    options.password_hash = user::password_kind(config);
    options.second_factor_roles =
        config.list("second_factor_roles").iter().filter_map(|name| user::role(name)).collect();
    options.registration =
        if config.text("registration") == Some("open") { Registration::Open } else { Registration::Closed };
    if let Some(version) = config.text("consent_version") {
        version.clone_into(&mut options.consent_version);
    }
    options.renew_before = hours("jwt_refresh_threshold_hours")?;
    let days = |name| Some(config.number(name)).filter(|days| *days > 0.0);
    let time = |days: f64| Duration::from_secs_f64(days.min(36_500.0) * 86_400.0);
    options.audit_retention = days("audit_log_retention_days").map(time);
    options.session_retention = days("data_retention_days").map(time);
    options.setup_code = setup_code;
    options.metrics_token = config.text("metrics_token").map(str::to_owned);
    options.access_token_life = hours("jwt_expiration_hours")?;
    options.refresh_idle = hours("refresh_idle_hours")?;
    options.refresh_absolute = hours("refresh_absolute_hours")?;
    options.limits = limits(config);
    Ok(options)
}

/// Where alerts go besides the dashboard.
fn courier(config: &Config) -> Result<Option<Arc<dyn psyche_server::Courier>>> {
    let (Some(url), Some(secret)) = (config.text("alert_webhook"), config.text("alert_webhook_secret")) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(Webhook::new(url, secret)?)))
}

fn limits(config: &Config) -> Limits {
    let count = |name| usize::try_from(config.count(name)).unwrap_or(usize::MAX);
    let number = |name| u32::try_from(config.count(name)).unwrap_or(u32::MAX);
    let time = |name| Duration::from_millis(config.count(name));
    let rate = |name, burst| Rate { per_minute: config.count(name) as f64, burst };
    let a_sixth = |name| (config.count(name) as f64 / 6.0).max(10.0);
    Limits {
        sign_ins_per_user: count("max_concurrent_sessions"),
        anonymous: rate("rate_limit_requests_per_minute", config.count("rate_limit_burst_size") as f64),
        users: rate("rate_limit_user_requests_per_minute", a_sixth("rate_limit_user_requests_per_minute")),
        sign_ins: rate("rate_limit_sign_ins_per_minute", config.count("rate_limit_sign_ins_per_minute") as f64),
        upgrades: rate("rate_limit_upgrades_per_minute", a_sixth("rate_limit_upgrades_per_minute")),
        exports: Rate {
            per_minute: config.count("rate_limit_exports_per_hour") as f64 / 60.0,
            burst: config.count("rate_limit_exports_per_hour") as f64,
        },
        import_bytes: count("import_max_bytes"),
        sign_in_tries: config.count("brute_force_threshold"),
        lockout: Duration::from_secs(config.count("account_lockout_duration")),
        drain: GRACE,
        connections: count("max_connections"),
        sockets: count("max_sockets"),
        sockets_per_user: count("max_sockets_per_user"),
        reconnect_window: time("reconnect_window_ms"),
        stall: time("socket_stall_ms"),
        ping_every: time("socket_ping_ms"),
        inbound_bytes: count("socket_message_bytes"),
        inbound_per_minute: number("socket_messages_per_minute"),
        inbound_burst: number("socket_message_burst"),
        ring_events: count("ring_events"),
        ring_bytes: count("ring_bytes"),
        views_per_session: count("views_per_session"),
        replay_events: config.count("replay_events"),
        agents_per_cast: count("max_agents_per_cast"),
        ..Limits::default()
    }
}

fn welcome(config: &Config, address: SocketAddr, encrypted: bool, setup_code: Option<&str>) {
    let scheme = if encrypted { "https" } else { "http" };
    let url = config
        .text("public_url")
        .map_or_else(|| format!("{scheme}://{address}"), |u| u.trim_end_matches('/').to_owned());
    println!("psyche {} is listening on {url}", env!("CARGO_PKG_VERSION"));
    if let Some(code) = setup_code {
        println!("First time here? Open this link to make the first account:\n\n  {url}/#setup={code}\n");
    }
    println!("Data: {}   Stop with Ctrl-C.", config.data_dir().display());
}

/// SIGTERM and Ctrl-C, heard from the moment this is made: until then the system ends the program without a word.
struct Asked {
    terminate: Signal,
    interrupt: Signal,
}

impl Asked {
    fn listen() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_settings_of_limits_reach_the_server_and_default_to_its_own() {
        let limits_of =
            |flags: Vec<(String, String)>| limits(&Config::load(&Sources { flags, ..Sources::default() }).unwrap());
        let defaults = Limits { drain: GRACE, ..Limits::default() };
        assert_eq!(format!("{:?}", limits_of(Vec::new())), format!("{defaults:?}"));
        let changed = limits_of(vec![("max_sockets".to_owned(), "7".to_owned())]);
        assert_eq!(changed.sockets, 7);
    }

    #[test]
    fn the_settings_of_quotas_reach_the_engine_and_default_to_its_own() {
        let options_of = |flags: &[(&str, &str)]| {
            let flags = flags.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            engine_options(&Config::load(&Sources { flags, ..Sources::default() }).unwrap()).unwrap()
        };
        let defaults = Options { expire_after: Some(Duration::from_hours(24)), ..Options::default() };
        assert_eq!(format!("{:?}", options_of(&[])), format!("{defaults:?}"));
        let changed = options_of(&[("user_budget_tokens", "5000"), ("user_budget_cost", "0.5")]);
        assert_eq!(changed.user_budget, Budget { tokens: Some(5000), cost: Some(0.5) });
        let changed = options_of(&[("max_sessions_per_user", "2"), ("max_events_per_session", "300")]);
        assert_eq!((changed.sessions_per_user, changed.events_per_session), (2, 300));
        assert!(options_of(&[("store", "postgres://localhost/psyche")]).replicas);
    }
}
