//! Opening: connect, look, and only then write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deadpool_postgres::Object;
use psyche_core::ids::SessionId;
use psyche_core::port::StoreError;
use psyche_core::time::Timestamp;
use psyche_core::words::Subject;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::acknowledged::{self, Acknowledged, BeginError};
use super::fault::Fault;
use super::keys::Keys;
use super::{Inner, Options, PATIENCE, PostgresStore, connection, lock, schema};
use crate::Access;
use crate::checkpoints::Checkpoints;
use crate::journal::{self, Entry};

/// Why a database could not be opened. Each message says what happened and what to do; none holds the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the URL of the store is not one of PostgreSQL: {0}. It reads postgres://user:password@host:port/database")]
    Url(String),
    #[error("TLS to PostgreSQL cannot be set up: {0}")]
    Tls(String),
    #[error(
        "PostgreSQL cannot be reached: {0}. Is it running, and are host, user, password and database of `store` right? A \
         server on another machine is spoken to under TLS alone: `sslrootcert=<file>` names who signs its certificate, and \
         `sslmode=disable` is for a network that is yours alone"
    )]
    Unreachable(String),
    #[error(
        "another psyche has this database open: stop every one first, or use a command that only reads. Several at once are \
         replicas, which each say `cluster = true`"
    )]
    InUse,
    #[error("there is no psyche data in this database yet: start `psyche serve` on it once")]
    Empty,
    #[error("the database has schema version {found}, this program needs {known}: start `psyche serve` on it once")]
    Older { found: u32, known: u32 },
    #[error("the database has schema version {found}, this program knows up to {known}: use a newer psyche")]
    Newer { found: u32, known: u32 },
    #[error("the database was made by another program: name an empty one, or one of psyche's")]
    Foreign,
    #[error(
        "the master key does not fit the database: give the key it was made with, which is the same for all replicas"
    )]
    WrongMasterKey,
    #[error(
        "the database holds words that were erased after it was made (a restored backup): start `psyche serve` on it once, \
         it erases them again"
    )]
    NotErased,
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("PostgreSQL could not be set up: {0}")]
    Sql(String),
}

impl OpenError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            other => Self::Sql(StoreError::from(other).to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(connection::told(&error))
    }
}

pub async fn open(options: Options) -> Result<PostgresStore, OpenError> {
    let data_dir = &options.data_dir;
    if options.access == Access::ReadWrite {
        std::fs::create_dir_all(data_dir).map_err(|source| OpenError::io(data_dir, source))?;
    }
    let target = connection::target(&options.url, options.access, options.patience)?;
    let known = Arc::new(Acknowledged::new(Arc::clone(&options.clock)));
    let pool = connection::pool(target.clone(), &options, Arc::clone(&known))?;
    let keys = Keys::new(options.master_key, options.master_key_before, Arc::clone(&options.clock));
    let mut client = connection::first(&pool).await?;
    match schema::version(&**client).await?.ok_or(OpenError::Foreign)? {
        found if found > schema::NEWEST => return Err(OpenError::Newer { found, known: schema::NEWEST }),
        schema::NEWEST => {}
        0 if options.access == Access::ReadOnly => return Err(OpenError::Empty),
        found if options.access == Access::ReadOnly => return Err(OpenError::Older { found, known: schema::NEWEST }),
        0 => schema::migrate(&mut client).await?,
        // Before the first change: a database of somebody else's key stays as it is.
        _ if keys.fit(&client).await? => schema::migrate(&mut client).await?,
        _ => return Err(OpenError::WrongMasterKey),
    }
    if !keys.fit(&client).await? {
        return Err(OpenError::WrongMasterKey);
    }
    let lock = match options.access {
        Access::ReadWrite => lock::hold(target, options.alone).await?,
        Access::ReadOnly => JoinSet::new(),
    };

    let erasures = data_dir.join("erasures");
    let mut entries = journal::load(&erasures).map_err(|source| OpenError::io(&erasures, source))?;
    let done = erased_here(&client).await?;
    let undone: Vec<Entry> = entries.iter().filter(|entry| !done.contains(entry)).copied().collect();
    if options.access == Access::ReadOnly && !undone.is_empty() {
        return Err(OpenError::NotErased);
    }
    if options.access == Access::ReadWrite {
        keys.install_check(&client).await?;
        for entry in done {
            if !entries.contains(&entry) {
                journal::append(&erasures, &entry).map_err(|source| OpenError::io(&erasures, source))?;
                entries.push(entry);
            }
        }
    }
    if options.access == Access::ReadWrite {
        let high_water = data_dir.join(acknowledged::FILE);
        known.begin(&mut client, high_water.clone()).await.map_err(|error| match error {
            BeginError::Io(source) => OpenError::io(&high_water, source),
            BeginError::Fault(fault) => fault.into(),
        })?;
    }
    drop(client);

    let erased = entries.iter().filter_map(|entry| match (entry.session, entry.subject) {
        (None, Subject::User(id)) => Some((id, entry.at)),
        _ => None,
    });
    let erased = erased.collect();
    let checkpoints = data_dir.join("audit-checkpoints");
    let checkpoint = Checkpoints::start(checkpoints.clone()).map_err(|source| OpenError::io(&checkpoints, source))?;
    let (clock, lock) = (options.clock, Mutex::new(lock));
    let inner = Inner { pool, keys, clock, checkpoints, checkpoint, erasures, erased, acknowledged: known, lock };
    let store = PostgresStore { inner: Arc::new(inner), audit: Arc::default() };
    for entry in &undone {
        let touched = store.erase_entry(entry).await?;
        if !touched.is_empty() {
            let sessions = touched.len();
            tracing::warn!(sessions, "the database held words that were erased before; they were erased again");
        }
    }
    Ok(store)
}

pub async fn is_new(url: &str) -> Result<bool, OpenError> {
    let (client, wire) = connection::target(url, Access::ReadOnly, PATIENCE)?
        .connect()
        .await
        .map_err(|error| OpenError::Unreachable(connection::told(&error)))?;
    let version = async move {
        let version = schema::version(&client).await;
        drop(client);
        version
    };
    // Nobody else drives this connection; it ends with its client.
    let (version, _) = tokio::join!(version, wire);
    Ok(version? == Some(0))
}

/// The erasures that were done in this database.
async fn erased_here(db: &Object) -> Result<Vec<Entry>, Fault> {
    let rows = db.query("SELECT session_id, subject, at FROM erasure ORDER BY at, subject, session_id", &[]).await?;
    let entry = |row: &tokio_postgres::Row| {
        let session: Uuid = row.get(0);
        let subject = row.get::<_, &str>(1).parse().map_err(StoreError::Corrupt)?;
        let session = Some(SessionId(session)).filter(|_| !session.is_nil());
        Ok(Entry { session, subject, at: Timestamp(row.get(2)) })
    };
    rows.iter().map(entry).collect()
}
