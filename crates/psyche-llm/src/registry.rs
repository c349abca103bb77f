//! The models of one program: from configuration to something that can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use psyche_core::port::{Clock, Determinism, LanguageModel, ModelCard, PromptStyle, ProviderDefinition};

use crate::config::{ModelConfig, Provider, Secret};
use crate::embedded::{Embedded, Loader, WeightsFile};
use crate::guard::{Guarded, Limits, SharedCircuit};
use crate::openai::{OpenAi, Options, Resolver, Timeouts};
use crate::scripted::{Pace, ScriptedModel};
use crate::weights::SMOLLM2;

/// The embedded model's id where the configuration gives it none.
pub const EMBEDDED: &str = "embedded";
/// The scripted model's id; it is always there.
pub const SCRIPTED: &str = "scripted";
/// A model with this id is the default one when no other is named.
const DEFAULT: &str = "default";

/// Context where nothing is said: what small servers give at least.
const CONTEXT: u32 = 8192;
/// How long a scripted reply takes where nothing is said: enough to be seen arriving.
const SCRIPTED_LATENCY_MS: u64 = 400;

/// What models need from outside.
#[derive(Clone)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    pub models_dir: PathBuf,
    /// Decides which addresses may be dialled; `None` leaves it to the system.
    pub resolver: Option<Resolver>,
    /// Hosts that models defined at run time may have without encryption or at addresses that are not public.
    pub provider_hosts: Vec<String>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("models_dir", &self.models_dir).finish_non_exhaustive()
    }
}

/// A model that cannot work as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[models.{id}]: {problem}")]
pub struct ConfigError {
    pub id: String,
    pub problem: String,
}

/// Breakers by the server and the model they stand before.
type Circuits = BTreeMap<(String, String), SharedCircuit>;

/// Every model that sessions may use.
pub struct Models {
    all: RwLock<BTreeMap<String, Arc<dyn LanguageModel>>>,
    /// Ids that are not to be defined at run time.
    configured: BTreeSet<String>,
    default: String,
    loaders: BTreeMap<PathBuf, Arc<Loader>>,
    /// Which file a model is loaded from, for those that are.
    loaded_from: BTreeMap<String, PathBuf>,
    circuits: Mutex<Circuits>,
    deps: Deps,
}

impl Models {
    /// Builds every configured model, and `embedded` and `scripted` beside them. Nothing is dialled and nothing loaded.
    ///
    /// The default is `default_id`, else the model with the id `default`, else `embedded`.
    pub fn from_config(
        mut config: BTreeMap<String, ModelConfig>,
        default_id: Option<&str>,
        deps: &Deps,
    ) -> Result<Self, ConfigError> {
        config.entry(EMBEDDED.to_owned()).or_insert_with(|| ModelConfig::of(Provider::Embedded));
        config.entry(SCRIPTED.to_owned()).or_insert_with(|| ModelConfig::of(Provider::Scripted));
        let default = default_id.unwrap_or(if config.contains_key(DEFAULT) { DEFAULT } else { EMBEDDED }).to_owned();
        let mut circuits = Circuits::new();
        let mut build = Build { deps, loaders: BTreeMap::new(), loaded_from: BTreeMap::new(), circuits: &mut circuits };
        let mut all = BTreeMap::new();
        for (id, table) in config {
            let model = build.model(&id, table).map_err(|problem| ConfigError { id: id.clone(), problem })?;
            all.insert(id, model);
        }
        if !all.contains_key(&default) {
            let known = all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(ConfigError {
                problem: format!("there is no such model to be the default: choose one of {known}"),
                id: default,
            });
        }
        let (loaders, loaded_from) = (build.loaders, build.loaded_from);
        let configured = all.keys().cloned().collect();
        let (all, circuits) = (RwLock::new(all), Mutex::new(circuits));
        Ok(Self { all, configured, default, loaders, loaded_from, circuits, deps: deps.clone() })
    }

    pub fn get(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All models, by id.
    pub fn list(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether a model could be defined so at run time.
    pub fn check(&self, id: &str, definition: &ProviderDefinition, api_key: Option<&str>) -> Result<(), String> {
        self.build(id, definition, api_key).map(drop)
    }

    /// Puts a model in, or in place of one that was defined at run time before.
    pub fn define(&self, id: &str, definition: &ProviderDefinition, api_key: Option<&str>) -> Result<(), String> {
        let model = self.build(id, definition, api_key)?;
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), model);
        Ok(())
    }

    /// Takes out a model that was defined at run time.
    pub fn remove(&self, id: &str) {
        if !self.configured.contains(id) {
            self.all.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
    }

    fn build(
        &self,
        id: &str,
        definition: &ProviderDefinition,
        api_key: Option<&str>,
    ) -> Result<Arc<dyn LanguageModel>, String> {
        if self.configured.contains(id) {
            return Err("this id belongs to the configuration file: change it there, or choose another id".to_owned());
        }
        let ProviderDefinition { base_url, model, prompt_style, context, price, requests_per_minute } =
            definition.clone();
        let config = ModelConfig {
            base_url: Some(base_url),
            model: Some(model).filter(|name| !name.trim().is_empty()),
            api_key: api_key.map(Secret::new),
            allow_http_hosts: self.deps.provider_hosts.clone(),
            prompt_style,
            context,
            price,
            requests_per_minute,
            ..ModelConfig::of(Provider::Openai)
        };
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let (loaders, loaded_from) = (BTreeMap::new(), BTreeMap::new());
        let mut build = Build { deps: &self.deps, loaders, loaded_from, circuits: &mut circuits };
        // The key of the configuration file is not how hosts are listed here.
        build.model(id, config).map_err(|problem| problem.replace("allow_http_hosts", "provider_hosts"))
    }

    pub fn default_id(&self) -> &str {
        &self.default
    }

    /// Begins to load the default model, when it is one that is loaded; others load at their first use.
    pub fn warm_up(&self) {
        let loader = self.loaded_from.get(&self.default).and_then(|path| self.loaders.get(path));
        if let Some(loader) = loader {
            loader.load_in_background();
        }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models")
            .field("configured", &self.configured)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// What entries share while they are built: a file is loaded once, and a sick server is known to all who ask it.
struct Build<'a> {
    deps: &'a Deps,
    loaders: BTreeMap<PathBuf, Arc<Loader>>,
    loaded_from: BTreeMap<String, PathBuf>,
    circuits: &'a mut Circuits,
}

impl Build<'_> {
    fn model(&mut self, id: &str, config: ModelConfig) -> Result<Arc<dyn LanguageModel>, String> {
        check(id, &config)?;
        let limits = Limits { requests_per_minute: config.requests_per_minute, ..Limits::default() };
        let (model, circuit): (Arc<dyn LanguageModel>, Option<SharedCircuit>) = match config.provider {
            Provider::Embedded => (Arc::new(self.embedded(id, config)), None),
            Provider::Scripted => (Arc::new(scripted(id, &config)), None),
            Provider::Openai => {
                let model = self.openai(id, config)?;
                let circuit = self.circuits.entry((model.url().to_owned(), model.card().name.clone())).or_default();
                (Arc::new(model), Some(circuit.clone()))
            }
        };
        if circuit.is_none() && limits.requests_per_minute.is_none() {
            return Ok(model);
        }
        Ok(Arc::new(Guarded::new(model, limits, circuit.unwrap_or_default(), self.deps.clock.clone())))
    }

    fn embedded(&mut self, id: &str, config: ModelConfig) -> Embedded {
        let (file, name, style) = if let Some(path) = &config.path {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (WeightsFile { path: path.clone(), pinned: None }, name, PromptStyle::Full)
        } else {
            let path = self.deps.models_dir.join(SMOLLM2.file);
            (WeightsFile { path, pinned: Some(SMOLLM2) }, SMOLLM2.name.to_owned(), PromptStyle::Compact)
        };
        self.loaded_from.insert(id.to_owned(), file.path.clone());
        let loader = self.loaders.entry(file.path.clone()).or_insert_with(|| Arc::new(Loader::new(file))).clone();
        Embedded::new(card(id, &config, name, Determinism::Local, style), loader)
    }

    fn openai(&self, id: &str, config: ModelConfig) -> Result<OpenAi, String> {
        let name = config.model.clone().ok_or("`model` is missing: give the model's name at its server")?;
        let card = card(id, &config, name, Determinism::Api, PromptStyle::Full);
        let default = Timeouts::default();
        let or = |ms: Option<u64>, default: Duration| ms.map_or(default, Duration::from_millis);
        let options = Options {
            card,
            base_url: config
                .base_url
                .ok_or("`base_url` is missing: give the server's address, such as https://host/v1")?,
            api_key: config.api_key,
            allow_http_hosts: config.allow_http_hosts,
            timeouts: Timeouts {
                first_byte: or(config.first_byte_timeout_ms, default.first_byte),
                idle: or(config.idle_timeout_ms, default.idle),
                total: or(config.total_timeout_ms, default.total),
            },
        };
        OpenAi::new(options, self.deps.clock.clone(), self.deps.resolver.clone())
    }
}

fn scripted(id: &str, config: &ModelConfig) -> ScriptedModel {
    let latency = Duration::from_millis(config.latency_ms.unwrap_or(SCRIPTED_LATENCY_MS));
    let model = ScriptedModel::new(id, if latency.is_zero() { Pace::AtOnce } else { Pace::InAll(latency) });
    let name = model.card().name.clone();
    model.with_card(card(id, config, name, Determinism::Tape, PromptStyle::Full))
}

fn card(id: &str, config: &ModelConfig, name: String, determinism: Determinism, style: PromptStyle) -> ModelCard {
    ModelCard {
        id: id.to_owned(),
        provider: config.provider.as_str().to_owned(),
        name,
        context: config.context.unwrap_or(CONTEXT),
        price: config.price.unwrap_or_default(),
        determinism,
        prompt_style: config.prompt_style.unwrap_or(style),
    }
}

fn check(id: &str, config: &ModelConfig) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if id.is_empty() || id.len() > 64 || !id.chars().all(is_plain) {
        return Err("a model's id has 1 to 64 letters, digits, dots, dashes or underscores".to_owned());
    }
    if id == SCRIPTED && config.provider != Provider::Scripted {
        return Err("this id always means the scripted model: choose another".to_owned());
    }
    if let Some(key) = config.misplaced_key() {
        return Err(format!("`{key}` means nothing to the provider `{}`: remove it", config.provider.as_str()));
    }
    let zero = [
        ("first_byte_timeout_ms", config.first_byte_timeout_ms == Some(0)),
        ("idle_timeout_ms", config.idle_timeout_ms == Some(0)),
        ("total_timeout_ms", config.total_timeout_ms == Some(0)),
        ("requests_per_minute", config.requests_per_minute == Some(0)),
        ("context", config.context == Some(0)),
    ];
    if let Some((key, _)) = zero.into_iter().find(|&(_, is_zero)| is_zero) {
        return Err(format!("`{key}` is 0: it must be at least 1"));
    }
    let is_price = |value: f64| value.is_finite() && value >= 0.0;
    if config.price.is_some_and(|price| !is_price(price.input) || !is_price(price.output)) {
        return Err("`price` must be numbers that are not negative".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use psyche_core::port::{CircuitState, ModelErrorKind, Price};

    use super::*;
    use crate::testing::{Behaviour, FixedClock, MockServer, reply_text, request};

    fn deps() -> Deps {
        Deps {
            clock: Arc::new(FixedClock::default()),
            models_dir: PathBuf::from("no/such/dir"),
            resolver: None,
            provider_hosts: Vec::new(),
        }
    }

    fn tables(text: &str) -> BTreeMap<String, ModelConfig> {
        toml::from_str(text).unwrap()
    }

    fn default_of(models: &Models) -> Arc<dyn LanguageModel> {
        models.get(models.default_id()).unwrap()
    }

    fn models(text: &str) -> Result<Models, String> {
        Models::from_config(tables(text), None, &deps()).map_err(|e| e.to_string())
    }

    #[test]
    fn embedded_and_scripted_are_always_there() {
        let models = models("").unwrap();
        assert_eq!(models.default_id(), "embedded");
        let card = default_of(&models).card().clone();
        let expected = ModelCard {
            id: "embedded".into(),
            provider: "embedded".into(),
            name: "SmolLM2-135M-Instruct Q4_1".into(),
            context: 8192,
            price: Price::default(),
            determinism: Determinism::Local,
            prompt_style: PromptStyle::Compact,
        };
        assert_eq!(card, expected);
        assert!(default_of(&models).ready().unwrap_err().contains("psyche model fetch"));
        let scripted = models.get("scripted").unwrap();
        assert!(scripted.card().name.contains("scripted") && scripted.ready().is_ok());
        assert!(models.get("other").is_none());
        assert_eq!(models.list().len(), 2);
    }

    #[test]
    fn the_default_is_the_named_one_else_default_else_embedded() {
        let both = "[default]\nprovider = \"scripted\"\n[other]\nprovider = \"scripted\"";
        for (named, expected) in [(None, "default"), (Some("other"), "other"), (Some("embedded"), "embedded")] {
            let models = Models::from_config(tables(both), named, &deps()).unwrap();
            assert_eq!(models.default_id(), expected);
        }
        let error = Models::from_config(tables(both), Some("gone"), &deps()).unwrap_err().to_string();
        assert!(error.contains("[models.gone]") && error.contains("default, embedded, other, scripted"), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_sentence() {
        let cases = [
            ("[m]\nprovider = \"openai\"\nmodel = \"x\"", "`base_url` is missing"),
            ("[m]\nprovider = \"openai\"\nbase_url = \"https://h/v1\"", "`model` is missing"),
            ("[m]\nprovider = \"openai\"\nmodel = \"x\"\nbase_url = \"http://localhost/v1\"", "allow_http_hosts"),
            ("[m]\nprovider = \"openai\"\nmodel = \"x\"\nbase_url = \"https://h\"\napi_key = \"a\\nb\"", "`api_key`"),
            ("[m]\nprovider = \"embedded\"\napi_key = \"x\"", "`api_key` means nothing"),
            ("[scripted]\nprovider = \"embedded\"", "choose another"),
            ("[m]\nprovider = \"scripted\"\nrequests_per_minute = 0", "`requests_per_minute` is 0"),
            ("[m]\nprovider = \"scripted\"\nprice = { input = -1.0, output = 0.0 }", "`price`"),
            ("[\"a b\"]\nprovider = \"scripted\"", "id"),
        ];
        for (text, says) in cases {
            let error = models(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_of_ones_own_has_its_own_name_and_no_pin() {
        let models = models("[mine]\nprovider = \"embedded\"\npath = \"dir/tiny.Q8_0.gguf\"\ncontext = 2048").unwrap();
        let mine = models.get("mine").unwrap();
        assert_eq!((mine.card().name.as_str(), mine.card().context), ("tiny.Q8_0", 2048));
        assert_eq!(mine.card().prompt_style, PromptStyle::Full);
        assert!(mine.ready().unwrap_err().contains("check `path`"));
    }

    #[test]
    fn one_file_is_loaded_once() {
        let models = models("[default]\nprovider = \"embedded\"").unwrap();
        assert_eq!((models.list().len(), models.loaders.len()), (3, 1));
        assert!(Arc::ptr_eq(
            &models.loaders[&models.loaded_from["default"]],
            &models.loaders[&models.loaded_from["embedded"]]
        ));
    }

    #[tokio::test]
    async fn entries_for_the_same_model_share_its_breaker_and_others_do_not() {
        let server = MockServer::start(vec![Behaviour::fails(500)]).await.unwrap();
        let other = ModelConfig { model: Some("another".into()), ..server.config() };
        let config =
            BTreeMap::from([("a".into(), server.config()), ("b".into(), server.config()), ("c".into(), other)]);
        let models = Models::from_config(config, Some("a"), &deps()).unwrap();
        for _ in 0..5 {
            let error = default_of(&models).generate(request("ego", 1)).await.err().unwrap();
            assert_eq!(error.kind, ModelErrorKind::ServerError);
        }
        let states = ["a", "b", "c"].map(|id| models.get(id).unwrap().circuit());
        assert_eq!(states, [CircuitState::Open, CircuitState::Open, CircuitState::Closed]);
    }

    #[tokio::test]
    async fn a_configured_server_is_asked() {
        let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
        let models = Models::from_config(BTreeMap::from([("a".into(), server.config())]), Some("a"), &deps()).unwrap();
        let events: Vec<_> =
            default_of(&models).generate(request("ego", 1)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(reply_text(&events), "I am here.");
    }

    fn definition(base_url: &str) -> ProviderDefinition {
        let base_url = base_url.to_owned();
        let model = "small".to_owned();
        ProviderDefinition {
            base_url,
            model,
            prompt_style: None,
            context: None,
            price: None,
            requests_per_minute: None,
        }
    }

    #[test]
    fn models_are_defined_changed_and_removed_while_it_runs() {
        let models = models("[mine]\nprovider = \"scripted\"").unwrap();
        models.define("late", &definition("https://h/v1"), Some("sk-secret")).unwrap();
        assert_eq!(models.get("late").unwrap().card().name, "small");
        assert_eq!(models.list().len(), 4);
        models.check("late", &definition("https://other/v1"), None).unwrap();
        let changed = ProviderDefinition { context: Some(2048), ..definition("https://other/v1") };
        models.define("late", &changed, None).unwrap();
        assert_eq!((models.get("late").unwrap().card().context, models.list().len()), (2048, 4));
        models.remove("late");
        assert!(models.get("late").is_none());
        // What the configuration says stays as it is.
        for id in ["mine", "embedded", "scripted"] {
            assert!(models.define(id, &definition("https://h/v1"), None).unwrap_err().contains("configuration file"));
            models.remove(id);
            assert!(models.get(id).is_some());
        }
    }

    #[test]
    fn what_is_defined_while_it_runs_obeys_the_same_rules() {
        let deps = Deps { provider_hosts: vec!["127.0.0.1:11434".to_owned()], ..deps() };
        let models = Models::from_config(BTreeMap::new(), None, &deps).unwrap();
        let cases = [
            ("http://10.0.0.1/v1", "provider_hosts"),
            ("https://169.254.169.254/latest", "metadata"),
            ("https://10.0.0.1/v1", "provider_hosts"),
            ("https://user:pass@h/v1", "api_key"),
            ("file:///etc/passwd", "base_url"),
            ("http://127.0.0.1:11435/v1", "provider_hosts"),
        ];
        for (base_url, says) in cases {
            let error = models.define("late", &definition(base_url), None).unwrap_err();
            assert!(error.contains(says) && !error.contains("allow_http"), "{base_url}: {error}");
        }
        models.define("late", &definition("http://127.0.0.1:11434/v1"), None).unwrap();
        let nameless = ProviderDefinition { model: " ".to_owned(), ..definition("https://h/v1") };
        assert!(models.define("other", &nameless, None).unwrap_err().contains("`model` is missing"));
        assert!(models.define("a b", &definition("https://h/v1"), None).unwrap_err().contains("id"));
        assert!(models.define("late", &definition("https://h/v1"), Some("a\nb")).unwrap_err().contains("api_key"));
    }
}
