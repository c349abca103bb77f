//! Connections: how they are made, and why they could not be.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};

use super::{OpenError, Options};
use crate::Access;

/// The server's own sentence where there is one.
pub fn told(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    error.as_db_error().map(|db| db.message().to_owned()).or(source).unwrap_or_else(|| error.to_string())
}

pub fn config(url: &str, access: Access, patience: Duration) -> Result<Config, OpenError> {
    let mut config = Config::from_str(url).map_err(|error| OpenError::Url(told(&error)))?;
    let plain = match config.get_ssl_mode() {
        SslMode::Disable => true,
        SslMode::Prefer => stays_here(&config),
        _ => false,
    };
    if !plain {
        return Err(OpenError::NoTls);
    }
    config.connect_timeout(patience);
    config.keepalives_idle(patience);
    if config.get_application_name().is_none() {
        config.application_name("psyche");
    }
    let ms = patience.as_millis();
    let given = config.get_options().unwrap_or_default();
    let read_only = if access == Access::ReadOnly { "on" } else { "off" };
    let settings = format!(
        "-c statement_timeout={ms} -c idle_in_transaction_session_timeout={ms} -c default_transaction_read_only={read_only} \
         -c default_transaction_isolation=read\\ committed {given}"
    );
    config.options(settings);
    Ok(config)
}

/// Whether what is said to the server leaves this machine.
fn stays_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

pub fn pool(config: Config, options: &Options) -> Result<Pool, OpenError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, recycling);
    let patience = Some(options.patience);
    Pool::builder(manager)
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

    fn of(url: &str) -> Result<Config, OpenError> {
        config(url, Access::ReadWrite, Duration::from_secs(10))
    }

    #[test]
    fn nothing_goes_unencrypted_over_a_network_unless_that_was_asked_for() {
        for here in
            ["postgres://a:b@127.0.0.1/d", "postgres://a@localhost:5433/d", "postgres://a@%2Frun%2Fpostgresql/d"]
        {
            assert!(of(here).is_ok(), "{here}");
        }
        for away in ["postgres://a:b@db.example/d", "postgres://a:b@192.0.2.1/d", "postgres://a@localhost,db.example/d"]
        {
            assert!(matches!(of(away), Err(OpenError::NoTls)), "{away}");
            assert!(of(&format!("{away}?sslmode=disable")).is_ok(), "{away}");
        }
        for required in ["postgres://a@localhost/d?sslmode=require", "postgres://a@db.example/d?sslmode=require"] {
            assert!(matches!(of(required), Err(OpenError::NoTls)), "{required}");
        }
    }

    #[test]
    fn settings_of_the_url_are_kept_beside_ours() {
        let config = of("postgres://a@localhost/d?options=-c%20search_path%3Dx&application_name=mine").unwrap();
        let options = config.get_options().unwrap();
        assert!(options.contains("statement_timeout=10000") && options.ends_with("-c search_path=x"), "{options}");
        assert_eq!(config.get_application_name(), Some("mine"));
    }
}
