//! Configuration: defaults < `psyche.toml` < environment < flags. Read once; unknown keys are an error that names the
//! nearest known one; every value remembers where it came from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml::Value;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Address,
    Flag,
    /// Fractions are allowed.
    Number,
    /// A whole number from 1 on.
    Count,
    List,
}

/// A key of the configuration.
#[derive(Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    secret: bool,
    /// A URL in which a password may stand: it is shown without it.
    url: bool,
    /// What it is good for; `psyche config` prints it.
    about: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, kind, default, secret: false, url: false, about }
}
const fn url(name: &'static str, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, kind: Kind::Text, default, secret: false, url: true, about }
}
const fn secret(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Text, default: None, secret: true, url: false, about }
}

/// Every key there is. The order is that of `psyche config`.
const KEYS: &[Key] = &[
    key("listen", Kind::Address, Some("127.0.0.1:8080"), "address of the dashboard and the API"),
    key("metrics_addr", Kind::Address, Some("127.0.0.1:9464"), "address of /metrics; empty: none"),
    key("public_url", Kind::Text, None, "the address people type, when a proxy stands before psyche"),
    key("tls_cert", Kind::Text, None, "PEM file of the certificate and those that signed it; psyche then speaks HTTPS"),
    key("tls_key", Kind::Text, None, "PEM file of its key; SIGHUP reads both again"),
    key("data_dir", Kind::Text, Some("data"), "where everything lies that must survive"),
    url("store", None, "sqlite:<file>, postgres://… or memory: (default sqlite:<data_dir>/psyche.db)"),
    url(
        "bus",
        Some("local:"),
        "the live feed between replicas: local:, redis://…, redis+cluster://… or redis+sentinel://…",
    ),
    key("bus_ca", Kind::Text, None, "PEM file of who signed the certificate of Redis; the system's without"),
    key("cluster", Kind::Flag, Some("false"), "several replicas on PostgreSQL and Redis"),
    secret("setup_code", "code for the first admin, instead of a drawn one"),
    key("admin_username", Kind::Text, None, "creates the first admin at start, together with admin_password"),
    secret("admin_password", "password of that admin"),
    key("registration", Kind::Text, Some("closed"), "closed or open"),
    secret("jwt_secret", "key of access tokens; without it one is made and kept in data_dir"),
    secret("jwt_secret_before", "the key before a change: tokens under it are good until they expire"),
    key("jwt_expiration_hours", Kind::Number, Some("24"), "life of an access token"),
    key("jwt_refresh_threshold_hours", Kind::Number, Some("4"), "the web app renews tokens with less left"),
    key("refresh_idle_hours", Kind::Number, Some("24"), "a sign-in ends when unused for this long"),
    key("refresh_absolute_hours", Kind::Number, Some("720"), "a sign-in ends after this long"),
    key("session_timeout_hours", Kind::Number, Some("24"), "a session nobody touches is paused; 0 = never"),
    key("max_concurrent_sessions", Kind::Count, Some("5"), "sign-ins of a user"),
    secret("master_key", "64 hex digits that wrap all other keys; without it one is made and kept in data_dir"),
    secret("master_key_before", "the key before a change; the next start wraps all keys by the new one"),
    secret("metrics_token", "scrape token for /metrics on the public listener"),
    key("password_hash", Kind::Text, Some("argon2id"), "argon2id or bcrypt; hashes of both kinds verify"),
    key("second_factor_roles", Kind::List, None, "roles that must have a second factor, such as admin"),
    key("consent_version", Kind::Text, Some("1"), "version of the terms people agree to when they register"),
    key("rate_limit_requests_per_minute", Kind::Count, Some("100"), "requests of a client without a token"),
    key("rate_limit_burst_size", Kind::Count, Some("10"), "how many of them at once"),
    key("rate_limit_user_requests_per_minute", Kind::Count, Some("600"), "requests of a user"),
    key("rate_limit_sign_ins_per_minute", Kind::Count, Some("10"), "sign-ins, registrations and the like of a client"),
    key("rate_limit_upgrades_per_minute", Kind::Count, Some("600"), "WebSockets a client may begin"),
    key("rate_limit_exports_per_hour", Kind::Count, Some("60"), "exports of a user"),
    key("import_max_bytes", Kind::Count, Some("16777216"), "bytes of a session imported through the API"),
    key("brute_force_threshold", Kind::Count, Some("5"), "failed sign-ins before a lockout"),
    key("account_lockout_duration", Kind::Count, Some("900"), "seconds of a lockout"),
    key("enable_ip_blacklisting", Kind::Flag, Some("true"), "block addresses that guess passwords"),
    key("trusted_proxies", Kind::List, None, "networks whose X-Forwarded-For counts"),
    key("cors_allowed_origins", Kind::List, None, "origins of other web apps that may call the API"),
    key("url_tokens", Kind::Text, Some("auto"), "?token= on WebSockets: auto, on or off"),
    key("alert_webhook", Kind::Text, None, "https address that alerts are posted to"),
    secret("alert_webhook_secret", "signs what is posted there (HMAC-SHA256 in X-Psyche-Signature)"),
    key("audit_log_retention_days", Kind::Number, Some("30"), "days audit rows are kept"),
    key("data_retention_days", Kind::Number, Some("0"), "days sessions are kept; 0 = for ever"),
    key("user_budget_tokens", Kind::Number, Some("0"), "tokens a user may spend on models in all; 0 = no limit"),
    key("user_budget_cost", Kind::Number, Some("0"), "money a user may spend on models in all; 0 = no limit"),
    key("max_sessions_per_user", Kind::Count, Some("1000"), "sessions a user may own"),
    key("max_forks_per_session", Kind::Count, Some("100"), "forks a session may have"),
    key("max_agents_per_cast", Kind::Count, Some("32"), "agents a cast may have; at most 32"),
    key("max_events_per_session", Kind::Count, Some("1000000"), "events of a log at which its session is paused"),
    key("provider_hosts", Kind::List, None, "hosts that admins' models may have without TLS or at private addresses"),
    key("models_dir", Kind::Text, None, "weights of embedded models (default <data_dir>/models)"),
    key("max_connections", Kind::Count, Some("4096"), "HTTP connections and sockets at once; more wait"),
    key("max_sockets", Kind::Count, Some("2000"), "WebSockets at once"),
    key("max_sockets_per_user", Kind::Count, Some("10"), "WebSockets of one user at once"),
    key("socket_message_bytes", Kind::Count, Some("65536"), "longest message a client may send"),
    key("socket_messages_per_minute", Kind::Count, Some("60"), "messages a client may send"),
    key("socket_message_burst", Kind::Count, Some("30"), "messages it may send at once"),
    key("socket_stall_ms", Kind::Count, Some("15000"), "a reader that takes nothing for this long is cut off"),
    key("socket_ping_ms", Kind::Count, Some("30000"), "pause between pings"),
    key("reconnect_window_ms", Kind::Count, Some("10000"), "at a restart clients come back spread over this"),
    key("ring_events", Kind::Count, Some("512"), "events of a session kept ready for its readers, per view"),
    key("ring_bytes", Kind::Count, Some("4194304"), "bytes of the same"),
    key("views_per_session", Kind::Count, Some("64"), "different filters on one session at once"),
    key("replay_events", Kind::Count, Some("5000"), "a reader further behind gets a snapshot"),
    key("log", Kind::Text, Some("info"), "log filter, such as psyche_engine=debug,info"),
    key("log_format", Kind::Text, Some("text"), "text or json"),
];

/// What `psyche config` shows of a model: nothing that could be a secret.
const MODEL_KEYS: [(&str, &str); 3] = [
    ("provider", "who speaks: embedded, openai (any chat-completions server) or scripted"),
    ("model", "the model's name at its server"),
    ("base_url", "where that server is"),
];

pub const ROLES: [&str; 3] = ["observer", "researcher", "admin"];

/// Names in the environment that belong to the project's tests, not to the program.
const FOREIGN: [&str; 2] = ["PSYCHE_BIN", "PSYCHE_TEST_"];

#[derive(Clone, Debug)]
pub struct Origin(String);

/// The effective configuration.
#[derive(Clone)]
pub struct Config {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// `[models.<id>]` tables as they stand in the file.
    pub models: toml::Table,
    /// The file they stand in.
    models_origin: String,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Config")
    }
}

/// What configuration is made from; tests give their own.
#[derive(Debug, Default)]
pub struct Sources {
    /// `--config`; must exist when given.
    pub file: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
    /// `--set key=value` and the flags that have names of their own.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        Self { file, environment: std::env::vars().collect(), flags }
    }
}

impl Config {
    pub fn load(sources: &Sources) -> Result<Self> {
        let mut config = Self { values: BTreeMap::new(), models: toml::Table::new(), models_origin: String::new() };
        for key in KEYS {
            if let Some(default) = key.default {
                config.put(key, parse(key, default)?, "default");
            }
        }
        let default_file = Path::new("psyche.toml");
        let file = match &sources.file {
            Some(file) => Some(file.as_path()),
            None => Some(default_file).filter(|f| f.exists()),
        };
        if let Some(file) = file {
            config.read_file(file).with_context(|| format!("read the configuration file {}", file.display()))?;
        }
        for (name, value) in &sources.environment {
            config.read_variable(name, value)?;
        }
        for (name, value) in &sources.flags {
            let key = known(name)?;
            config.put(key, parse(key, value)?, "flag");
        }
        config.check()?;
        Ok(config)
    }

    fn put(&mut self, key: &'static Key, value: Value, origin: &str) {
        self.values.insert(key.name, (value, Origin(origin.to_owned())));
    }

    fn read_file(&mut self, file: &Path) -> Result<()> {
        let text = std::fs::read_to_string(file)?;
        let table: toml::Table = toml::from_str(&text)?;
        for (name, value) in table {
            if name == "models" {
                let Value::Table(models) = value else { bail!("`models` must be tables such as [models.default]") };
                self.models = models;
                self.models_origin = file.display().to_string();
                continue;
            }
            let key = known(&name)?;
            let text = match value {
                Value::String(text) => text,
                Value::Array(items) => {
                    let items: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
                    items.with_context(|| format!("`{name}` must be a list of strings"))?.join(",")
                }
                Value::Table(_) => bail!("`{name}` must not be a table"),
                other => other.to_string(),
            };
            self.put(key, parse(key, &text)?, &file.display().to_string());
        }
        Ok(())
    }

    fn read_variable(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(rest) = name.strip_prefix("PSYCHE_") else { return Ok(()) };
        if FOREIGN.iter().any(|f| name.starts_with(f)) {
            return Ok(());
        }
        let lower = rest.to_lowercase();
        if let Some(of) = lower.strip_suffix("_file")
            && let Ok(key) = known(of)
        {
            if !key.secret && !key.url {
                bail!("{name}: only secrets can be given as files; use PSYCHE_{}", of.to_uppercase());
            }
            let text = std::fs::read_to_string(value).with_context(|| format!("read {value}, named by {name}"))?;
            self.put(key, parse(key, text.trim_end_matches(['\n', '\r']))?, name);
            return Ok(());
        }
        let key = known(&lower).with_context(|| format!("in the environment: {name}"))?;
        self.put(key, parse(key, value)?, name);
        Ok(())
    }

    /// Combinations that cannot work are refused with a sentence.
    fn check(&self) -> Result<()> {
        self.check_cluster()?;
        if self.text("tls_cert").is_some() != self.text("tls_key").is_some() {
            bail!("tls_cert and tls_key belong together; give both or neither");
        }
        if self.text("tls_cert").is_some() && self.text("public_url").is_some_and(|url| !url.starts_with("https://")) {
            bail!(
                "public_url does not begin with https:// although tls_cert is set; people reach psyche over HTTPS then"
            );
        }
        if self.text("alert_webhook").is_some() != self.text("alert_webhook_secret").is_some() {
            bail!("alert_webhook and alert_webhook_secret belong together: what is posted is signed");
        }
        if let Some(role) = self.list("second_factor_roles").iter().find(|r| !ROLES.contains(&r.as_str())) {
            bail!("second_factor_roles names {role:?}; roles are {}", ROLES.join(", "));
        }
        if self.text("setup_code").is_some_and(|code| code.chars().count() < 16) {
            bail!("setup_code is shorter than 16 characters and could be guessed; leave it out and one is drawn");
        }
        let choices = [
            ("url_tokens", &["auto", "on", "off"][..]),
            ("log_format", &["text", "json"]),
            ("registration", &["open", "closed"]),
            ("password_hash", &["argon2id", "bcrypt"]),
        ];
        for (name, allowed) in choices {
            if let Some(value) = self.text(name).filter(|v| !allowed.contains(v)) {
                bail!("{name} is {value:?}; it can be {}", allowed.join(", "));
            }
        }
        Ok(())
    }

    /// Replicas share what would otherwise be kept or made by one program.
    fn check_cluster(&self) -> Result<()> {
        let local = self.text("bus").unwrap_or("local:") == "local:";
        if !self.flag("cluster") {
            return Ok(());
        }
        if !self.is_postgres() {
            bail!("cluster = true needs a store that replicas can share: give store = \"postgres://…\"");
        }
        if local {
            bail!("cluster = true needs a bus between replicas: give bus = \"redis://…\"");
        }
        if self.text("master_key").is_none() {
            bail!("cluster = true needs master_key, the same for all replicas: each would make one of its own");
        }
        if self.text("jwt_secret").is_none() {
            bail!("cluster = true needs jwt_secret, the same for all replicas: each would refuse the others' tokens");
        }
        Ok(())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|(v, _)| v.as_str()).filter(|t| !t.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.values.get(name).and_then(|(v, _)| v.as_bool()).unwrap_or(false)
    }

    pub fn number(&self, name: &str) -> f64 {
        self.values.get(name).and_then(|(v, _)| v.as_float()).unwrap_or(0.0)
    }

    pub fn count(&self, name: &str) -> u64 {
        self.values.get(name).and_then(|(v, _)| v.as_integer()).map_or(0, i64::unsigned_abs)
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        let list = self.text(name).unwrap_or_default().split(',');
        list.map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    }

    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.text(name).and_then(|t| t.parse().ok())
    }

    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(self.text("data_dir").unwrap_or("data"))
    }

    pub fn models_dir(&self) -> PathBuf {
        self.text("models_dir").map_or_else(|| self.data_dir().join("models"), PathBuf::from)
    }

    pub fn store(&self) -> String {
        let file = || format!("sqlite:{}", self.data_dir().join("psyche.db").display());
        self.text("store").map_or_else(file, str::to_owned)
    }

    /// Whether the store is a database in PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        let store = self.store();
        store.starts_with("postgres://") || store.starts_with("postgresql://")
    }

    /// The same configuration with another store.
    pub fn with_store(&self, url: &str) -> Result<Self> {
        let key = known("store")?;
        let mut config = self.clone();
        config.put(key, parse(key, url)?, "flag");
        Ok(config)
    }

    /// The same for a program that shares the store with nobody, replicas included.
    pub fn alone(&self) -> Result<Self> {
        let mut config = self.clone();
        config.put(known("cluster")?, toml::Value::Boolean(false), "command");
        Ok(config)
    }

    /// The same without the password that a URL may hold.
    pub fn store_shown(&self) -> String {
        without_password(&self.store())
    }

    /// The effective values, those of the models at the end. Secrets are not shown.
    pub fn rows(&self) -> Vec<Row> {
        let keys = KEYS.iter().map(|key| {
            let found = self.values.get(key.name);
            let value = match found {
                Some(_) if key.secret => "(set, not shown)".to_owned(),
                Some((value, _)) if key.url => without_password(value.as_str().unwrap_or_default()),
                Some((value, _)) => shown(value),
                None => String::new(),
            };
            let origin = found.map_or("unset".to_owned(), |(_, origin)| origin.0.clone());
            Row { key: key.name.to_owned(), value, origin, about: key.about }
        });
        let models = self.models.iter().flat_map(|(id, table)| {
            MODEL_KEYS.iter().filter_map(move |(name, about)| {
                let value = shown(table.get(name)?);
                let key = format!("models.{id}.{name}");
                Some(Row { key, value, origin: self.models_origin.clone(), about })
            })
        });
        keys.chain(models).collect()
    }
}

/// One line of `psyche config`.
#[derive(Debug, serde::Serialize)]
pub struct Row {
    pub key: String,
    pub value: String,
    pub origin: String,
    pub about: &'static str,
}

/// A value as people write it; an address without what may be a password in it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains("://") && text.contains(['@', '?']) => {
            "(not shown: it holds more than an address)".to_owned()
        }
        Value::String(text) => text.clone(),
        // Without the `.0` of a whole number.
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn known(name: &str) -> Result<&'static Key> {
    if let Some(key) = KEYS.iter().find(|k| k.name == name) {
        return Ok(key);
    }
    let nearest = KEYS.iter().min_by_key(|k| distance(k.name, name)).map_or("", |k| k.name);
    bail!("there is no key `{name}`; did you mean `{nearest}`? `psyche config` lists them all")
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

fn parse(key: &Key, text: &str) -> Result<Value> {
    let wrong = |expected: &str| {
        let shown = if key.secret { "(not shown)" } else { text };
        format!("`{}` is {shown:?}; {expected} is expected", key.name)
    };
    Ok(match key.kind {
        Kind::Text | Kind::List => Value::String(text.to_owned()),
        Kind::Address => {
            if !text.is_empty() {
                text.parse::<SocketAddr>().with_context(|| wrong("an address such as 127.0.0.1:8080"))?;
            }
            Value::String(text.to_owned())
        }
        Kind::Flag => Value::Boolean(text.parse().with_context(|| wrong("true or false"))?),
        Kind::Count => {
            let number: u32 = text.parse().with_context(|| wrong("a whole number"))?;
            if number == 0 {
                bail!(wrong("a number from 1 on"));
            }
            Value::Integer(number.into())
        }
        Kind::Number => {
            let number: f64 = text.parse().with_context(|| wrong("a number"))?;
            if !number.is_finite() || number < 0.0 {
                bail!(wrong("a number that is not negative"));
            }
            Value::Float(number)
        }
    })
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((person, host)) => format!("{}:…@{host}", person.split(':').next().unwrap_or_default()),
        None => authority.to_owned(),
    };
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let plain = |pair: &&str| !pair.starts_with("password=");
    let query = query.map(|query| query.split('&').filter(plain).collect::<Vec<_>>().join("&"));
    let query = query.filter(|query| !query.is_empty()).map_or(String::new(), |query| format!("?{query}"));
    format!("{scheme}://{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Sources { file: None, environment: owned(environment), flags: owned(flags) }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("sqlite:data/psyche.db", "sqlite:data/psyche.db"),
            ("postgres://db.example/psyche", "postgres://db.example/psyche"),
            (
                "postgres://psyche:p:w@db.example:5432/psyche?sslmode=disable",
                "postgres://psyche:…@db.example:5432/psyche?sslmode=disable",
            ),
            ("postgres://psyche@db.example/psyche?password=pw&x=1", "postgres://psyche:…@db.example/psyche?x=1"),
            ("postgres://:a@b@db.example", "postgres://:…@db.example"),
        ] {
            assert_eq!(without_password(url), shown);
            let config = Config::load(&sources(&[("PSYCHE_STORE", url)], &[])).unwrap();
            let row = config.rows().into_iter().find(|row| row.key == "store").unwrap();
            assert_eq!((config.store().as_str(), row.value.as_str()), (url, shown));
        }
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("psyche.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog = \"warn\"\njwt_expiration_hours = 0.5\n").unwrap();
        let mut sources = sources(&[("PSYCHE_LISTEN", "127.0.0.1:2"), ("HOME", "/")], &[("listen", "127.0.0.1:3")]);
        sources.file = Some(file);
        let config = Config::load(&sources).unwrap();
        assert_eq!(config.text("listen"), Some("127.0.0.1:3"));
        assert_eq!(config.text("log"), Some("warn"));
        assert_eq!(config.number("jwt_expiration_hours"), 0.5);
        assert_eq!(config.text("bus"), Some("local:"));
        let origin = |name| config.rows().into_iter().find(|r| r.key == name).unwrap().origin;
        assert_eq!(origin("listen"), "flag");
        assert_eq!(origin("bus"), "default");
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (sources(&[("PSYCHE_LISTN", "x")], &[]), "did you mean `listen`"),
            (sources(&[], &[("listen", "here")]), "an address such as"),
            (sources(&[], &[("cluster", "true")]), "postgres://"),
            (sources(&[], &[("cluster", "true"), ("store", "postgres://localhost/a")]), "redis://"),
            (
                sources(&[], &[("cluster", "true"), ("store", "postgres://localhost/a"), ("bus", "redis://localhost")]),
                "needs master_key",
            ),
            (
                sources(
                    &[("PSYCHE_MASTER_KEY", &"ab".repeat(32))],
                    &[("cluster", "true"), ("store", "postgres://localhost/a"), ("bus", "redis://localhost")],
                ),
                "needs jwt_secret",
            ),
            (sources(&[], &[("setup_code", "letmein")]), "could be guessed"),
            (sources(&[], &[("tls_cert", "a.pem")]), "tls_cert and tls_key belong together"),
            (sources(&[], &[("tls_key", "a.pem")]), "tls_cert and tls_key belong together"),
            (
                sources(&[], &[("tls_cert", "a.pem"), ("tls_key", "b.pem"), ("public_url", "http://a.example")]),
                "public_url does not begin with https://",
            ),
            (sources(&[], &[("url_tokens", "maybe")]), "auto, on, off"),
            (sources(&[], &[("registration", "maybe")]), "open, closed"),
            (sources(&[], &[("second_factor_roles", "admin,root")]), "observer, researcher, admin"),
            (sources(&[], &[("alert_webhook", "https://example.org/")]), "belong together"),
            (sources(&[], &[("jwt_expiration_hours", "-1")]), "not negative"),
            (sources(&[], &[("max_sockets", "0")]), "from 1 on"),
            (sources(&[], &[("max_sockets", "1.5")]), "a whole number"),
            (sources(&[("PSYCHE_LISTEN_FILE", "/x")], &[]), "only secrets"),
        ];
        for (sources, expected) in cases {
            let error = format!("{:#}", Config::load(&sources).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn whole_numbers_and_models_are_shown_and_their_keys_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("psyche.toml");
        let text = "jwt_expiration_hours = 0.5\n[models.default]\nprovider = \"openai\"\nmodel = \"llama3.1\"\n\
                    base_url = \"http://127.0.0.1:11434/v1\"\napi_key = \"hush\"\n\
                    [models.odd]\nprovider = \"openai\"\nbase_url = \"https://me:hush@host/v1\"\n";
        std::fs::write(&file, text).unwrap();
        let rows = Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap().rows();
        let row = |key: &str| rows.iter().find(|r| r.key == key).unwrap_or_else(|| panic!("{key} in {rows:?}"));
        let cases = [
            ("refresh_idle_hours", "24"),
            ("jwt_expiration_hours", "0.5"),
            ("max_sockets", "2000"),
            ("models.default.provider", "openai"),
            ("models.default.model", "llama3.1"),
            ("models.default.base_url", "http://127.0.0.1:11434/v1"),
        ];
        for (key, expected) in cases {
            assert_eq!(row(key).value, expected, "{key}");
        }
        assert_eq!(row("models.default.provider").origin, file.display().to_string());
        assert!(!format!("{rows:?}").contains("hush"), "{rows:?}");
    }

    #[test]
    fn secrets_come_from_files_and_are_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("code");
        std::fs::write(&file, "hush-hush-and-good-night\n").unwrap();
        let config = Config::load(&sources(&[("PSYCHE_SETUP_CODE_FILE", file.to_str().unwrap())], &[])).unwrap();
        assert_eq!(config.text("setup_code"), Some("hush-hush-and-good-night"));
        assert!(!format!("{:?}", config.rows()).contains("hush"));
    }
}
