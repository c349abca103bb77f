//! Back ends are chosen by URL, here and nowhere else. What cannot work is refused with a sentence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use psyche_bus::redis::{self, Redis};
use psyche_bus::{LocalBus, LocalEphemeral};
use psyche_core::audit::{AuditType, Severity};
use psyche_core::measure::Vader;
use psyche_core::port::{
    AuditLog, Bus, Clock, Directory, EphemeralStore, EventLog, LanguageModel, ModelCatalog, ProviderDefinition,
};
use psyche_core::{Timestamp, UserId};
use psyche_engine::Ports;
use psyche_llm::MiniLm;
use psyche_llm::registry::{Deps, Models};
use psyche_store::Access;
use psyche_store::memory::MemoryStore;
use psyche_store::postgres::{self, PostgresStore};
use psyche_store::rows::{Beside, Copied, Rows, Told};
use psyche_store::sqlite::{self, Backup, Files, Lost, Restored, SqliteStore};

use crate::commands;
use crate::config::Config;

const NOT_KEPT: &str = "a store in memory ends with its process: there is nothing to copy, nor to copy to";

/// The store, whichever it is.
pub enum Store {
    Memory(Arc<MemoryStore>),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    /// Opens what `store` names. Commands that only read take no lock.
    pub async fn open(config: &Config, access: Access, accept_loss: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let url = config.store();
        if url == "memory:" {
            return Ok(Self::Memory(Arc::new(MemoryStore::new(clock))));
        }
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = PathBuf::from(path);
            // With a high-water file beside it the database was there before: that is a loss, not a beginning.
            if access == Access::ReadOnly && !path.exists() && !path.with_file_name("high-water").exists() {
                return Err(NoData(path).into());
            }
            let keys = master_keys(config, clock.as_ref(), access == Access::ReadWrite)?;
            let options = sqlite::Options {
                access,
                accept_loss,
                master_key_before: keys.before,
                ..sqlite::Options::new(path, keys.current, clock)
            };
            return Ok(Self::Sqlite(SqliteStore::open(options)?));
        }
        if config.is_postgres() {
            if accept_loss {
                bail!("--accept-loss is for a store in SQLite; PostgreSQL is restored by its own means");
            }
            // Nothing is made on this machine for a database that cannot be used, nor a key for one that has another.
            let new = PostgresStore::is_new(&url).await?;
            if new && access == Access::ReadOnly {
                return Err(postgres::OpenError::Empty.into());
            }
            let keys = master_keys(config, clock.as_ref(), new && access == Access::ReadWrite)?;
            let options = postgres::Options {
                access,
                // Replicas hear of each other over a bus.
                alone: !config.flag("cluster"),
                master_key_before: keys.before,
                ..postgres::Options::new(url, keys.current, config.data_dir(), clock)
            };
            return Ok(Self::Postgres(PostgresStore::open(options).await?));
        }
        bail!(
            "store is {:?}; it can be sqlite:<file>, postgres://user:password@host:port/database or memory:",
            config.store_shown()
        );
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub fn directory(&self) -> Arc<dyn Directory> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub fn audit(&self) -> Arc<dyn AuditLog> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close(),
        }
    }

    /// What was durable and is gone, for a store that can tell.
    pub fn lost(&self) -> &[Lost] {
        match self {
            Self::Sqlite(store) => store.lost(),
            Self::Memory(_) | Self::Postgres(_) => &[],
        }
    }

    /// Who was erased everywhere, and when.
    pub fn erased_people(&self) -> &[(UserId, Timestamp)] {
        match self {
            Self::Memory(_) => &[],
            Self::Sqlite(store) => store.erased_people(),
            Self::Postgres(store) => store.erased_people(),
        }
    }

    /// All content, as it is now; what lies in memory goes nowhere.
    pub async fn rows(&self) -> Result<Rows> {
        match self {
            Self::Memory(_) => bail!(NOT_KEPT),
            Self::Sqlite(store) => Ok(store.rows()),
            Self::Postgres(store) => Ok(store.rows().await?),
        }
    }

    /// Takes in the content of another store and verifies it, all or nothing.
    pub async fn fill(&self, rows: Rows, told: Told) -> Result<Copied> {
        match self {
            Self::Memory(_) => bail!(NOT_KEPT),
            Self::Sqlite(store) => Ok(store.fill(rows, told).await?),
            Self::Postgres(store) => Ok(store.fill(rows, told).await?),
        }
    }

    /// Makes a backup of everything in a file; works beside a running server.
    pub async fn back_up(
        &self,
        config: &Config,
        file: &Path,
        force: bool,
        clock: Arc<dyn Clock>,
        told: Told,
    ) -> Result<Copied> {
        let options = backup_options(config, file, clock)?;
        // Before the content: it then has all that these files tell of.
        let files = Files::read(&self.beside()?)?;
        let rows = self.rows().await?;
        let written = tokio::task::spawn_blocking(move || Backup::write(&options, rows, &files, force, &told));
        Ok(written.await.context("the backup crashed")??)
    }

    /// Restores a backup into the configured store, which nobody else has open, with a row of the audit trail. Content goes
    /// only where `over` says so.
    pub async fn restore(
        config: &Config,
        file: &Path,
        over: bool,
        clock: Arc<dyn Clock>,
        told: Told,
    ) -> Result<(Timestamp, Restored)> {
        let options = backup_options(config, file, Arc::clone(&clock))?;
        let backup = Backup::open(&options)?;
        let details = serde_json::json!({ "restored": "a backup", "made_at": backup.made_at.to_string() });
        let row = commands::row(clock.as_ref(), AuditType::ConfigChanged, Severity::High, details);
        if let Some(path) = config.store().strip_prefix("sqlite:") {
            let options = sqlite::Options { path: PathBuf::from(path), ..options };
            return Ok((backup.made_at, sqlite::restore(options, &backup, over, row, told).await?));
        }
        match Self::open(config, Access::ReadWrite, false, clock).await? {
            Self::Postgres(store) => {
                let restored = store.restore(&backup, over, row, told).await;
                store.close();
                Ok((backup.made_at, restored?))
            }
            Self::Memory(_) | Self::Sqlite(_) => bail!(NOT_KEPT),
        }
    }

    /// The files that belong to the database.
    pub fn beside(&self) -> Result<Beside> {
        match self {
            Self::Memory(_) => bail!(NOT_KEPT),
            Self::Sqlite(store) => Ok(store.beside()),
            Self::Postgres(store) => Ok(store.beside()),
        }
    }

    /// Whether what is stored outlives the process.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }

    /// Wraps all keys by another master key; nothing to do in memory.
    async fn change_master_key(&self, master: [u8; 32]) -> Result<Option<u64>> {
        Ok(match self {
            Self::Memory(_) => None,
            Self::Sqlite(store) => Some(store.change_master_key(master).await?),
            Self::Postgres(store) => Some(store.change_master_key(master).await?),
        })
    }

    /// The same for a store that was opened with both keys.
    async fn wrap_anew(&self) -> Result<Option<u64>> {
        Ok(match self {
            Self::Memory(_) => None,
            Self::Sqlite(store) => Some(store.wrap_anew().await?),
            Self::Postgres(store) => Some(store.wrap_anew().await?),
        })
    }
}

/// How a backup is made and opened. Its keys are wrapped by the master key, which must be here and is never made for it.
fn backup_options(config: &Config, file: &Path, clock: Arc<dyn Clock>) -> Result<sqlite::Options> {
    let keys = master_keys(config, clock.as_ref(), false).context(
        "a backup opens only with the master key of the time when it was made: put it there, or give `master_key`",
    )?;
    let options = sqlite::Options::new(file, keys.current, clock);
    Ok(sqlite::Options { master_key_before: keys.before, ..options })
}

/// Nothing was ever stored where the configuration points.
#[derive(Debug)]
struct NoData(PathBuf);

impl std::fmt::Display for NoData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "there is no psyche data yet: {} does not exist. `psyche run` makes a first conversation, `psyche serve` starts \
             the server; is your data elsewhere, name its directory with --data-dir",
            self.0.display()
        )
    }
}

impl std::error::Error for NoData {}

/// Whether a store could not be opened because a running server has it.
pub fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(sqlite::OpenError::InUse { .. }))
        || matches!(error.downcast_ref(), Some(postgres::OpenError::InUse))
}

/// Whether a store could not be read because nothing was ever stored there.
pub fn is_new(error: &anyhow::Error) -> bool {
    error.is::<NoData>() || matches!(error.downcast_ref(), Some(postgres::OpenError::Empty))
}

/// Everything wired.
pub struct Parts {
    pub store: Arc<Store>,
    pub bus: Arc<dyn Bus>,
    pub ephemeral: Arc<dyn EphemeralStore>,
    /// Counts of failures: nothing else may push them out.
    pub counters: Arc<dyn EphemeralStore>,
    pub clock: Arc<dyn Clock>,
    pub models: Arc<Catalog>,
    pub embedder: Arc<MiniLm>,
}

impl Parts {
    /// Opens the store, which makes the data directory: what can be wrong besides is to be checked before.
    pub async fn open(config: &Config, models: Arc<Catalog>, accept_loss: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        if let Some(url) = bus(config) {
            redis::check(url)?;
        }
        let store = Store::open(config, Access::ReadWrite, accept_loss, Arc::clone(&clock)).await?;
        let local = || LocalEphemeral::new(Arc::clone(&clock), psyche_bus::Limits::default());
        let (bus, ephemeral, counters): (Arc<dyn Bus>, Arc<dyn EphemeralStore>, Arc<dyn EphemeralStore>) =
            if let Some(redis) = redis(config, &clock)? {
                let (kept, counted) = (redis.ephemeral("kept", local()), redis.ephemeral("count", local()));
                (Arc::new(redis.bus()), Arc::new(kept), Arc::new(counted))
            } else {
                (Arc::new(LocalBus::new()), Arc::new(local()), Arc::new(local()))
            };
        Ok(Self {
            store: Arc::new(store),
            bus,
            ephemeral,
            counters,
            clock,
            models,
            embedder: Arc::new(embedder(config)),
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
            embedder: Some(Arc::clone(&self.embedder) as _),
        }
    }
}

/// The URL of a bus that is not in this process.
fn bus(config: &Config) -> Option<&str> {
    config.text("bus").filter(|url| *url != "local:")
}

/// The connection to Redis, where the configuration names one; it need not be there.
fn redis(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Redis>> {
    let Some(url) = bus(config) else { return Ok(None) };
    let keys = master_keys(config, clock.as_ref(), true)?;
    connect(config, url, keys.current, clock).map(Some)
}

/// Whether the bus answers within two seconds; `false` for one that needs nobody's answer.
pub async fn reach_bus(config: &Config, clock: &Arc<dyn Clock>) -> Result<bool> {
    let Some(url) = bus(config) else { return Ok(false) };
    // Nothing is sealed and nothing read: any key will do.
    let bus = connect(config, url, [0; 32], clock)?.bus();
    let mut last = Ok(());
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        last = bus.probe().await;
        if last.is_ok() {
            return Ok(true);
        }
    }
    last.map(|()| true).map_err(Into::into)
}

fn connect(config: &Config, url: &str, master_key: [u8; 32], clock: &Arc<dyn Clock>) -> Result<Redis> {
    let ca = config.text("bus_ca").map(|file| std::fs::read(file).with_context(|| format!("read bus_ca, {file}")));
    let options =
        redis::Options { ca: ca.transpose()?, ..redis::Options::new(url.to_owned(), master_key, Arc::clone(clock)) };
    Ok(Redis::start(options)?)
}

/// The configured models behind the port.
pub struct Catalog(pub Models);

impl ModelCatalog for Catalog {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.get(id)
    }

    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.0.list()
    }

    fn check(&self, id: &str, definition: &ProviderDefinition, api_key: Option<&str>) -> Result<(), String> {
        self.0.check(id, definition, api_key)
    }

    fn define(&self, id: &str, definition: &ProviderDefinition, api_key: Option<&str>) -> Result<(), String> {
        self.0.define(id, definition, api_key)
    }

    fn remove(&self, id: &str) {
        self.0.remove(id);
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
    let deps =
        Deps { clock, models_dir: config.models_dir(), resolver: None, provider_hosts: config.list("provider_hosts") };
    Ok(Catalog(Models::from_config(tables, None, &deps)?))
}

/// The key that wraps all others, and the one before it while some may still be wrapped by that.
struct MasterKeys {
    current: [u8; 32],
    before: Option<[u8; 32]>,
}

/// Configured, else kept in the data directory and made at first use. A file `master.key.new` beside the kept one is the key
/// that is to take its place.
fn master_keys(config: &Config, clock: &dyn Clock, may_make: bool) -> Result<MasterKeys> {
    if let Some(digits) = config.text("master_key") {
        let before = config.text("master_key_before").map(key_of).transpose()?;
        return Ok(MasterKeys { current: key_of(digits)?, before });
    }
    let kept = key_of(&kept_secret(&master_key_file(config), may_make, clock)?)?;
    Ok(match new_master_key(config)? {
        Some(fresh) => MasterKeys { current: fresh, before: Some(kept) },
        None => MasterKeys { current: kept, before: None },
    })
}

/// The sentence encoder; whether its file is there shows at its first use.
pub fn embedder(config: &Config) -> MiniLm {
    MiniLm::new(&config.models_dir())
}

/// 32 bytes that all replicas know and nobody else: they follow from the configured master key.
pub fn shared_secret(config: &Config, what: &str) -> Result<[u8; 32]> {
    let master = key_of(config.text("master_key").context("master_key is not configured")?)?;
    Ok(psyche_core::audit::sign(&master, &[what.as_bytes()]).0)
}

fn key_of(digits: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(digits.trim(), &mut key).context("the master key must be 64 hex digits")?;
    Ok(key)
}

fn master_key_file(config: &Config) -> PathBuf {
    config.data_dir().join("master.key")
}

fn new_master_key_file(config: &Config) -> PathBuf {
    config.data_dir().join("master.key.new")
}

/// The key that is to take the place of the kept one, when there is one.
pub fn new_master_key(config: &Config) -> Result<Option<[u8; 32]>> {
    let fresh = new_master_key_file(config);
    match std::fs::read_to_string(&fresh) {
        Ok(digits) => Ok(Some(key_of(&digits).with_context(|| format!("read {}", fresh.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", fresh.display())),
    }
}

/// Asks for another master key: whoever has the store open wraps all keys by it.
pub fn request_master_key(config: &Config, clock: &dyn Clock) -> Result<()> {
    let fresh = new_master_key_file(config);
    if fresh.exists() {
        return Ok(());
    }
    // Under its name it is whole: a running server takes it from there.
    let draft = fresh.with_extension("draft");
    let _ = std::fs::remove_file(&draft);
    write_secret(&draft, &hex::encode(clock.entropy()))?;
    std::fs::rename(&draft, &fresh).with_context(|| format!("make {}", fresh.display()))
}

/// Wraps all keys by the new master key. Both are kept until [`keep_new_master_key`]: a crash in between loses neither, and
/// the next start goes on. `None` when no new key is asked for.
pub async fn wrap_by_new_master_key(config: &Config, store: &Store) -> Result<Option<u64>> {
    if config.text("master_key").is_some() {
        let before = config.text("master_key_before").is_some();
        return if before { store.wrap_anew().await } else { Ok(None) };
    }
    let Some(fresh) = new_master_key(config)? else { return Ok(None) };
    store.change_master_key(fresh).await
}

/// The new master key takes the place of the one before, which opens nothing any more.
pub fn keep_new_master_key(config: &Config) -> Result<()> {
    if config.text("master_key").is_some() {
        return Ok(());
    }
    let (from, to) = (new_master_key_file(config), master_key_file(config));
    std::fs::rename(&from, &to).with_context(|| format!("rename {}", from.display()))
}

/// Secrets that stand in examples and tutorials.
const SAMPLES: [&str; 5] = ["changeme", "change-me", "your-256-bit-secret", "your-secret-key", "supersecret"];

fn is_sample(secret: &str) -> bool {
    let one_letter = secret.bytes().all(|byte| secret.as_bytes().first() == Some(&byte));
    one_letter || SAMPLES.iter().any(|sample| secret.to_lowercase().contains(sample))
}

/// The keys of access tokens, as raw bytes: the first signs, the others still verify.
pub fn jwt_secrets(config: &Config, clock: &dyn Clock) -> Result<Vec<Vec<u8>>> {
    let text = match config.text("jwt_secret") {
        Some(secret) => {
            if is_sample(secret) {
                bail!("jwt_secret is a sample value that anybody could try; give 32 random bytes, or leave it out");
            }
            let before = config.text("jwt_secret_before").map(str::to_owned);
            return Ok([secret.to_owned()].into_iter().chain(before).map(String::into_bytes).collect());
        }
        None => kept_secret(&config.data_dir().join("jwt.key"), true, clock)?,
    };
    Ok(text.lines().map(|line| line.trim().as_bytes().to_vec()).filter(|line| !line.is_empty()).collect())
}

/// Puts a new key of access tokens before the one in force, which goes on to verify until the next rotation.
pub fn rotate_jwt_key(config: &Config, clock: &dyn Clock) -> Result<()> {
    if config.text("jwt_secret").is_some() {
        bail!("jwt_secret is configured: give the new one there, and the old one as jwt_secret_before");
    }
    let file = config.data_dir().join("jwt.key");
    let before = kept_secret(&file, true, clock)?;
    let fresh = file.with_extension("key.new");
    let _ = std::fs::remove_file(&fresh);
    let new = hex::encode(clock.entropy());
    let old = before.lines().next().unwrap_or_default();
    write_secret(&fresh, &format!("{new}\n{old}\n"))?;
    std::fs::rename(&fresh, &file).with_context(|| format!("rename {}", fresh.display()))
}

/// A secret of 64 hex digits in a file that only its owner may read.
fn kept_secret(file: &Path, may_make: bool, clock: &dyn Clock) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::read_to_string(file) {
        Ok(text) => {
            if std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
                tracing::warn!("{} can be read by others than its owner; `chmod 600` it", file.display());
            }
            return Ok(text.trim().to_owned());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {}
        Err(error) => {
            return Err(error).with_context(|| format!("read {}; is this the data directory?", file.display()));
        }
    }
    if let Some(directory) = file.parent() {
        let making = || format!("make the data directory {}", directory.display());
        let mut builder = std::fs::DirBuilder::new();
        // Nobody but its owner has any business in there.
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(directory).with_context(making)?;
    }
    let digits = hex::encode(clock.entropy());
    write_secret(file, &digits)?;
    Ok(digits)
}

/// Makes a file that only its owner may read.
fn write_secret(file: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut handle = options.open(file).with_context(|| format!("make {}", file.display()))?;
    handle.write_all(text.as_bytes())?;
    Ok(handle.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::is_sample;

    #[test]
    fn samples_are_known_and_secrets_are_not_taken_for_them() {
        for sample in ["ChangeMe-ChangeMe-ChangeMe-ChangeMe", "your-256-bit-secret", "00000000000000000000000000000000"]
        {
            assert!(is_sample(sample), "{sample}");
        }
        for secret in ["a throw-away secret of the load tool, never used elsewhere", "9f86d081884c7d659a2feaa0c55ad015"]
        {
            assert!(!is_sample(secret), "{secret}");
        }
    }
}
