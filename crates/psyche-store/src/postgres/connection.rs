//! Connections: how they are made, and why they could not be.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Connection, Socket};

use super::acknowledged::Acknowledged;
use super::fault::Fault;
use super::tls::{Encrypted, Tls};
use super::{OpenError, Options};
use crate::Access;

/// A server, and how it is spoken to.
#[derive(Clone)]
pub struct Target {
    pub config: Config,
    /// Used as far as the configuration's mode says.
    tls: Tls,
}

impl Target {
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Encrypted>), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }
}

/// The server's own sentence where there is one.
pub fn told(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    error.as_db_error().map(|db| db.message().to_owned()).or(source).unwrap_or_else(|| error.to_string())
}

pub fn target(url: &str, access: Access, patience: Duration) -> Result<Target, OpenError> {
    let (config, roots) = config(url, access, patience)?;
    let tls = match (config.get_ssl_mode(), roots) {
        // Never asked: a machine without any trusted certificate may speak to itself.
        (SslMode::Disable, _) => Tls::unused(),
        (_, roots) => Tls::new(roots.as_deref()).map_err(OpenError::Tls)?,
    };
    Ok(Target { config, tls })
}

/// The configuration, and the file of certificates to be trusted.
fn config(url: &str, access: Access, patience: Duration) -> Result<(Config, Option<PathBuf>), OpenError> {
    let (url, mode, roots) = without_tls(url)?;
    let mut config = Config::from_str(&url).map_err(|error| OpenError::Url(told(&error)))?;
    config.ssl_mode(mode.unwrap_or(if stays_here(&config) { SslMode::Disable } else { SslMode::Require }));
    config.connect_timeout(patience);
    config.keepalives_idle(patience);
    if config.get_application_name().is_none() {
        config.application_name("psyche");
    }
    let ms = patience.as_millis();
    let given = config.get_options().unwrap_or_default();
    // Who writes takes it as it is: a database may be closed to writes by whoever looks after it.
    let read_only = if access == Access::ReadOnly { "-c default_transaction_read_only=on" } else { "" };
    let settings = format!(
        "-c statement_timeout={ms} -c idle_in_transaction_session_timeout={ms} \
         -c default_transaction_isolation=read\\ committed {read_only} {given}"
    );
    config.options(settings);
    Ok((config, roots))
}

/// The URL without what it says of TLS, which libpq has more of than the driver: its mode and the file of certificates.
fn without_tls(url: &str) -> Result<(String, Option<SslMode>, Option<PathBuf>), OpenError> {
    let Some((base, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), None, None)) };
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", "disable")) => mode = Some(SslMode::Disable),
            Some(("sslmode", "prefer")) => mode = Some(SslMode::Prefer),
            // Who is encrypted for and not asked for a proof may be anybody: there is no such mode here.
            Some(("sslmode", "require" | "verify-full")) => mode = Some(SslMode::Require),
            Some(("sslmode", other)) => {
                let known = "disable, prefer, require and verify-full";
                return Err(OpenError::Url(format!("sslmode={other} is not known here; {known} are")));
            }
            Some(("sslrootcert", file)) => roots = Some(PathBuf::from(decoded(file)?)),
            _ => rest.push(parameter),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((url, mode, roots))
}

/// A value of a URL's query without its percent signs.
fn decoded(value: &str) -> Result<String, OpenError> {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| OpenError::Url(format!("{value:?} is not encoded as in a URL")))?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| OpenError::Url(format!("{value:?} is not UTF-8")))
}

/// Whether what is said to the server leaves this machine.
fn stays_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

pub fn pool(target: Target, options: &Options, acknowledged: Arc<Acknowledged>) -> Result<Pool, OpenError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(target.config, target.tls, recycling);
    let patience = Some(options.patience);
    // A new connection may be to another server than the one before.
    let check = Hook::async_fn(move |client, _| {
        let acknowledged = Arc::clone(&acknowledged);
        Box::pin(async move {
            acknowledged.check(client).await.map_err(|fault| match fault {
                Fault::Sql(error) => HookError::Backend(error),
                other => HookError::message(other.to_string()),
            })
        })
    });
    Pool::builder(manager)
        .post_create(check)
        .max_size(options.connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(patience)
        .create_timeout(patience)
        .recycle_timeout(patience)
        .build()
        .map_err(|error| OpenError::Unreachable(error.to_string()))
}

/// The first connection, with the reason when there is none.
pub async fn first(pool: &Pool) -> Result<Object, OpenError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => OpenError::Unreachable(told(&error)),
        other => OpenError::Unreachable(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<(Config, Option<PathBuf>), OpenError> {
        config(url, Access::ReadWrite, Duration::from_secs(10))
    }

    #[test]
    fn nothing_goes_unencrypted_over_a_network_unless_that_was_asked_for() {
        let mode = |url: &str| of(url).unwrap().0.get_ssl_mode();
        for here in
            ["postgres://a:b@127.0.0.1/d", "postgres://a@localhost:5433/d", "postgres://a@%2Frun%2Fpostgresql/d"]
        {
            assert_eq!(mode(here), SslMode::Disable, "{here}");
        }
        for away in ["postgres://a:b@db.example/d", "postgres://a:b@192.0.2.1/d", "postgres://a@localhost,db.example/d"]
        {
            assert_eq!(mode(away), SslMode::Require, "{away}");
            assert_eq!(mode(&format!("{away}?connect_timeout=3")), SslMode::Require, "{away}");
            for (asked, expected) in [
                ("disable", SslMode::Disable),
                ("prefer", SslMode::Prefer),
                ("require", SslMode::Require),
                ("verify-full", SslMode::Require),
            ] {
                assert_eq!(mode(&format!("{away}?sslmode={asked}")), expected, "{away}");
            }
        }
        assert_eq!(mode("postgres://a@localhost/d?sslmode=require"), SslMode::Require);
        for unknown in ["allow", "verify-ca", "Require", ""] {
            let error = of(&format!("postgres://a@db.example/d?sslmode={unknown}")).unwrap_err();
            assert!(matches!(error, OpenError::Url(_)), "{unknown}");
        }
    }

    #[test]
    fn the_file_of_certificates_is_named_as_in_libpq() {
        let (config, roots) =
            of("postgres://a@db.example/d?sslrootcert=%2Fetc%2Four%20roots.pem&application_name=mine").unwrap();
        assert_eq!(roots, Some("/etc/our roots.pem".into()));
        assert_eq!(config.get_application_name(), Some("mine"));
        for broken in ["%", "%2", "%zz", "%ff"] {
            assert!(of(&format!("postgres://a@db.example/d?sslrootcert={broken}")).is_err(), "{broken}");
        }
        let missing = target("postgres://a@db.example/d?sslrootcert=/no/such", Access::ReadWrite, Duration::ZERO);
        assert!(matches!(missing.map(drop), Err(OpenError::Tls(_))));
    }

    #[test]
    fn settings_of_the_url_are_kept_beside_ours() {
        let (config, _) = of("postgres://a@localhost/d?options=-c%20search_path%3Dx&application_name=mine").unwrap();
        let options = config.get_options().unwrap();
        assert!(options.contains("statement_timeout=10000") && options.ends_with("-c search_path=x"), "{options}");
        assert_eq!(config.get_application_name(), Some("mine"));
    }
}
