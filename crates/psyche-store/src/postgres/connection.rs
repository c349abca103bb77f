//! Connections: how they are made, and why they could not be.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::Options;
use super::fault::Fault;

/// Why a database could not be opened. Each message says what happened and what to do; none holds the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the URL of the store is not one of PostgreSQL: {0}. It reads postgres://user:password@host:port/database")]
    Url(String),
    #[error("PostgreSQL cannot be reached: {0}. Is it running, and are host, user, password and database of `store` right?")]
    Unreachable(String),
    #[error("the database has schema version {found}, this program knows up to {known}: use a newer psyche")]
    Newer { found: i32, known: i32 },
    #[error("the database was made by another program: name an empty one, or one of psyche's")]
    Foreign,
    #[error("the master key does not fit the database: give the key it was made with")]
    WrongMasterKey,
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("PostgreSQL could not be set up: {0}")]
    Sql(String),
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            other => Self::Sql(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(told(&error))
    }
}

/// The server's own sentence where there is one.
fn told(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    error.as_db_error().map(|db| db.message().to_owned()).or(source).unwrap_or_else(|| error.to_string())
}

pub fn pool(options: &Options) -> Result<Pool, OpenError> {
    let mut config = Config::from_str(&options.url).map_err(|error| OpenError::Url(told(&error)))?;
    config.connect_timeout(options.patience);
    config.keepalives_idle(options.patience);
    if config.get_application_name().is_none() {
        config.application_name("psyche");
    }
    if config.get_options().is_none() {
        let ms = options.patience.as_millis();
        config.options(format!("-c statement_timeout={ms} -c idle_in_transaction_session_timeout={ms}"));
    }
    if config.get_ssl_mode() == SslMode::Require {
        return Err(OpenError::Url("sslmode=require is not built yet".to_owned()));
    }
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
