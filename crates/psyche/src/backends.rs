//! Back ends are chosen by URL, here and nowhere else. What cannot work is refused with a sentence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use psyche_bus::{LocalBus, LocalEphemeral};
use psyche_core::measure::Vader;
use psyche_core::port::{AuditLog, Bus, Clock, Directory, EphemeralStore, EventLog, LanguageModel, ModelCatalog};
use psyche_engine::Ports;
use psyche_llm::registry::{Deps, Models};
use psyche_store::memory::MemoryStore;
use psyche_store::sqlite::{Access, Options, SqliteStore};

use crate::config::Config;

/// The store, whichever it is.
pub enum Store {
    Memory(Arc<MemoryStore>),
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens what `store` names. Commands that only read take no lock.
    pub fn open(config: &Config, access: Access, accept_loss: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let url = config.store();
        if url == "memory:" {
            return Ok(Self::Memory(Arc::new(MemoryStore::new(clock))));
        }
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = PathBuf::from(path);
            // With a high-water file beside it the database was there before: that is a loss, not a beginning.
            if access == Access::ReadOnly && !path.exists() && !path.with_file_name("high-water").exists() {
                bail!(
                    "there is no psyche data yet: {} does not exist. `psyche run` makes a first conversation, \
                     `psyche serve` starts the server; is your data elsewhere, name its directory with --data-dir",
                    path.display()
                );
            }
            let key = master_key(config, clock.as_ref(), access == Access::ReadWrite)?;
            let options = Options { access, accept_loss, ..Options::new(path, key, clock) };
            return Ok(Self::Sqlite(SqliteStore::open(options)?));
        }
        let scheme = url.split(':').next().unwrap_or_default();
        if scheme.starts_with("postgres") {
            bail!("store = {scheme}:… is not built yet; use sqlite:<file> or memory:");
        }
        bail!("store is {url:?}; it can be sqlite:<file> or memory:");
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }

    pub fn directory(&self) -> Arc<dyn Directory> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }

    pub fn audit(&self) -> Arc<dyn AuditLog> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }

    pub async fn close(&self) {
        if let Self::Sqlite(store) = self {
            store.close().await;
        }
    }
}

/// Everything wired.
pub struct Parts {
    pub store: Store,
    pub bus: Arc<dyn Bus>,
    pub ephemeral: Arc<dyn EphemeralStore>,
    /// Counts of failures: nothing else may push them out.
    pub counters: Arc<dyn EphemeralStore>,
    pub clock: Arc<dyn Clock>,
    pub models: Arc<Catalog>,
}

impl Parts {
    /// Opens the store, which makes the data directory: what can be wrong besides is to be checked before.
    pub fn open(config: &Config, models: Arc<Catalog>, accept_loss: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let bus = config.text("bus").unwrap_or("local:");
        if bus != "local:" {
            bail!("bus is {bus:?}; only local: is built yet");
        }
        let store = Store::open(config, Access::ReadWrite, accept_loss, Arc::clone(&clock))?;
        Ok(Self {
            store,
            bus: Arc::new(LocalBus::new()),
            ephemeral: Arc::new(LocalEphemeral::new(Arc::clone(&clock), psyche_bus::Limits::default())),
            counters: Arc::new(LocalEphemeral::new(Arc::clone(&clock), psyche_bus::Limits::default())),
            clock,
            models,
        })
    }

    pub fn ports(&self) -> Ports {
        Ports {
            log: self.store.log(),
            directory: self.store.directory(),
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            models: Arc::clone(&self.models) as _,
            vader: Arc::new(Vader::new()),
        }
    }
}

/// The configured models behind the port.
pub struct Catalog(pub Models);

impl ModelCatalog for Catalog {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.get(id)
    }

    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.0.list().cloned().collect()
    }

    fn default_model(&self) -> &str {
        self.0.default_id()
    }
}

/// The models of the configuration.
pub fn models(config: &Config, clock: Arc<dyn Clock>) -> Result<Catalog> {
    let mut tables = std::collections::BTreeMap::new();
    for (id, table) in &config.models {
        let table = table.clone().try_into().with_context(|| format!("read [models.{id}]"))?;
        tables.insert(id.clone(), table);
    }
    let deps = Deps { clock, models_dir: config.models_dir(), resolver: None };
    Ok(Catalog(Models::from_config(tables, None, &deps)?))
}

/// The key that wraps all others: configured, else kept in the data directory and made at first use.
fn master_key(config: &Config, clock: &dyn Clock, may_make: bool) -> Result<[u8; 32]> {
    let digits = match config.text("master_key") {
        Some(digits) => digits.to_owned(),
        None => kept_secret(&config.data_dir().join("master.key"), may_make, clock)?,
    };
    let mut key = [0; 32];
    hex::decode_to_slice(digits, &mut key).context("the master key must be 64 hex digits")?;
    Ok(key)
}

/// The key of access tokens, as raw bytes.
pub fn jwt_secret(config: &Config, clock: &dyn Clock) -> Result<Vec<u8>> {
    let secret = match config.text("jwt_secret") {
        Some(secret) => secret.to_owned(),
        None => kept_secret(&config.data_dir().join("jwt.key"), true, clock)?,
    };
    Ok(secret.into_bytes())
}

/// A secret of 64 hex digits in a file that only its owner may read.
fn kept_secret(file: &Path, may_make: bool, clock: &dyn Clock) -> Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::read_to_string(file) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {}
        Err(error) => {
            return Err(error).with_context(|| format!("read {}; is this the data directory?", file.display()));
        }
    }
    if let Some(directory) = file.parent() {
        let making = || format!("make the data directory {}", directory.display());
        std::fs::create_dir_all(directory).with_context(making)?;
    }
    let digits = hex::encode(clock.entropy());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut handle = options.open(file).with_context(|| format!("make {}", file.display()))?;
    handle.write_all(digits.as_bytes())?;
    handle.sync_all()?;
    Ok(digits)
}
