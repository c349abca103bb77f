//! What the binary decides for the server. Listening addresses are not part of it: the binary binds.

use std::time::Duration;

use psyche_core::port::Role;

use crate::client::TrustedProxies;
use crate::limits::Rate;
use crate::live::Patience;
use crate::passwords;
use crate::tls::Tls;

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    Open,
    #[default]
    Closed,
}

/// How the server behaves. [`ServerOptions::new`] gives the defaults of the settings page.
#[derive(Clone)]
pub struct ServerOptions {
    pub version: String,
    /// How people reach the server, such as `https://psyche.example.org`.
    pub public_url: Option<String>,
    /// Connections are encrypted here; without it they come plain, or a proxy does it.
    pub tls: Option<Tls>,
    /// Whether other servers share the store: what they change is looked for, and what one of all should do is agreed on.
    pub replicas: bool,
    /// Names, besides loopback and IP addresses, under which a browser may reach the server.
    pub trusted_hosts: Vec<String>,
    pub cors_allowed_origins: Vec<String>,
    pub trusted_proxies: TrustedProxies,
    /// Whether addresses that guess passwords are blocked.
    pub block_addresses: bool,
    pub password_hash: passwords::Kind,
    /// Roles that must have a second factor.
    pub second_factor_roles: Vec<Role>,
    /// What people agree to when they register.
    pub consent_version: String,
    /// Access tokens with less left are renewed by the web app in the background.
    pub renew_before: Duration,
    /// Audit rows older than this are removed; `None` keeps them.
    pub audit_retention: Option<Duration>,
    /// Sessions in which nothing has happened for longer are removed; `None` keeps them.
    pub session_retention: Option<Duration>,
    /// Whether `?token=` is accepted on sockets. The binary resolves `auto`: only on loopback, without proxy or public URL.
    pub url_tokens: bool,
    /// Keys of access tokens; the first one signs, the others still verify. At least 32 bytes each.
    pub jwt_secrets: Vec<Vec<u8>>,
    /// The code that makes the first admin. Without one, set-up over HTTP is refused.
    pub setup_code: Option<String>,
    pub registration: Registration,
    /// A scraper's bearer token for `/metrics` on the public listener.
    pub metrics_token: Option<String>,
    pub access_token_life: Duration,
    pub refresh_idle: Duration,
    pub refresh_absolute: Duration,
    pub limits: Limits,
}

impl ServerOptions {
    pub fn new(version: &str, jwt_secrets: Vec<Vec<u8>>) -> Self {
        const HOUR: Duration = Duration::from_hours(1);
        Self {
            version: version.to_owned(),
            public_url: None,
            tls: None,
            trusted_hosts: Vec::new(),
            cors_allowed_origins: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            block_addresses: true,
            password_hash: passwords::Kind::default(),
            second_factor_roles: Vec::new(),
            consent_version: "1".to_owned(),
            renew_before: 4 * HOUR,
            audit_retention: Some(30 * 24 * HOUR),
            session_retention: None,
            url_tokens: false,
            replicas: false,
            jwt_secrets,
            setup_code: None,
            registration: Registration::Closed,
            metrics_token: None,
            access_token_life: 24 * HOUR,
            refresh_idle: 24 * HOUR,
            refresh_absolute: 720 * HOUR,
            limits: Limits::default(),
        }
    }

    /// Whether people reach the server over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.tls.is_some() || self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

impl std::fmt::Debug for ServerOptions {
    /// Secrets stay out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerOptions")
            .field("public_url", &self.public_url)
            .field("tls", &self.tls)
            .field("registration", &self.registration)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Every bound, with its default.
#[derive(Clone, Debug)]
pub struct Limits {
    pub sign_ins_per_user: usize,
    /// Requests without a token, per client.
    pub anonymous: Rate,
    pub users: Rate,
    /// Sign-ins, registrations and the like, per client.
    pub sign_ins: Rate,
    /// WebSockets begun, per client.
    pub upgrades: Rate,
    pub health: Rate,
    pub exports: Rate,
    /// Exports and imports under way at once, of everybody.
    pub exports_at_once: usize,
    /// Bytes of an imported session.
    pub import_bytes: usize,
    /// Failed sign-ins for one name from one client before it waits.
    pub sign_in_tries: u64,
    /// How long those count.
    pub lockout: Duration,
    /// HTTP connections at once; more wait in the listener's queue.
    pub connections: usize,
    pub sockets: usize,
    pub sockets_per_user: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// Turns and answers under way may end within this at shutdown.
    pub drain: Duration,
    /// Clients are told to reconnect spread over this.
    pub reconnect_window: Duration,

    pub auth_timeout: Duration,
    /// A reader that takes nothing for this long is cut off.
    pub stall: Duration,
    pub ping_every: Duration,
    pub inbound_bytes: usize,
    pub inbound_per_minute: u32,
    pub inbound_burst: u32,
    /// Events a ring keeps per view.
    pub ring_events: usize,
    /// Bytes a ring keeps per view.
    pub ring_bytes: usize,
    /// Different filters on one session at once.
    pub views_per_session: usize,
    /// A reader further behind than this gets a snapshot.
    pub replay_events: u64,
    pub agents_per_cast: usize,
}

impl Limits {
    /// How long a socket may be silent or full.
    pub(crate) fn patience(&self) -> Patience {
        Patience { stall: self.stall, ping_every: self.ping_every }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_ins_per_user: 5,
            anonymous: Rate { per_minute: 100.0, burst: 10.0 },
            users: Rate { per_minute: 600.0, burst: 100.0 },
            sign_ins: Rate { per_minute: 10.0, burst: 10.0 },
            upgrades: Rate { per_minute: 600.0, burst: 100.0 },
            health: Rate { per_minute: 600.0, burst: 60.0 },
            exports: Rate { per_minute: 1.0, burst: 60.0 },
            exports_at_once: 4,
            import_bytes: 16 << 20,
            sign_in_tries: 5,
            lockout: Duration::from_mins(15),
            connections: 4_096,
            sockets: 2_000,
            sockets_per_user: 10,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            reconnect_window: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(10),
            stall: Duration::from_secs(15),
            ping_every: Duration::from_secs(30),
            inbound_bytes: 64 * 1024,
            inbound_per_minute: 60,
            inbound_burst: 30,
            ring_events: 512,
            ring_bytes: 4 << 20,
            views_per_session: 64,
            replay_events: 5_000,
            agents_per_cast: psyche_core::cast::MAX_AGENTS,
        }
    }
}
