//! Connections: how they are made, and why they could not be.

use std::str::FromStr as _;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::{OpenError, Options};
use crate::Access;

/// The server's own sentence where there is one.
pub fn told(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    error.as_db_error().map(|db| db.message().to_owned()).or(source).unwrap_or_else(|| error.to_string())
}

pub fn config(options: &Options) -> Result<Config, OpenError> {
    let mut config = Config::from_str(&options.url).map_err(|error| OpenError::Url(told(&error)))?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(OpenError::Url("sslmode=require is not built yet".to_owned()));
    }
    config.connect_timeout(options.patience);
    config.keepalives_idle(options.patience);
    if config.get_application_name().is_none() {
        config.application_name("psyche");
    }
    let ms = options.patience.as_millis();
    let given = config.get_options().unwrap_or_default();
    let read_only = if options.access == Access::ReadOnly { "on" } else { "off" };
    let settings = format!(
        "-c statement_timeout={ms} -c idle_in_transaction_session_timeout={ms} -c default_transaction_read_only={read_only} \
         -c default_transaction_isolation=read\\ committed {given}"
    );
    config.options(settings);
    Ok(config)
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
