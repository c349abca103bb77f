//! Language models behind one port.

use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub content: String,
}

/// How the model is to choose its words. `None` and empty mean: the model's own default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    pub temperature: f64,
    pub top_p: f64,
    pub min_p: f64,
    pub repetition_penalty: f64,
    /// No n-gram of this length may repeat; 0 switches the rule off.
    pub no_repeat_ngram: u32,
    pub max_tokens: u32,
    pub stop: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    pub messages: Vec<ChatMessage>,
    /// Words the reply must begin with; the stream carries only what follows them.
    pub opener: Option<String>,
    pub sampling: Sampling,
    /// The same request with the same seed gives the same reply where the model's determinism says so.
    pub seed: u64,
    /// Texts whose n-grams the reply should not repeat.
    pub avoid: Vec<String>,
    /// SHA-256 of the prompt, for recorded models and the log.
    pub digest: crate::words::Hash,
    /// Which agent speaks; scripted models use it, others ignore it.
    pub agent: crate::AgentId,
    pub turn: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Usage {
    pub fn total(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Stop,
    Length,
    /// The provider withheld the reply.
    Filtered,
}

/// One item of a reply's stream: text pieces, then exactly one `Done`.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    Text(String),
    /// Separate reasoning text; kept apart from speech and never scored.
    Reasoning(String),
    Done {
        finish: Finish,
        /// `None` where the server did not say.
        usage: Option<Usage>,
        /// Geometric mean probability of the chosen tokens, where known.
        confidence: Option<f64>,
    },
}

/// Dropping the stream cancels the generation.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ModelError>> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelErrorKind {
    Timeout,
    Refused,
    RateLimited,
    ServerError,
    BadAnswer,
    CircuitOpen,
    Budget,
    Cancelled,
}

/// A failed generation. `message` is ours and safe to show; `detail` may hold the provider's text, which may
/// quote the prompt: it is shown by `doctor` and written nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    pub kind: ModelErrorKind,
    pub message: String,
    pub detail: Option<String>,
    pub retryable: bool,
    /// Whether the request may have reached the model. One that never left costs nothing.
    pub sent: bool,
    /// The provider asked to wait this long.
    pub retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Determinism {
    /// Replies come from a script or a record.
    Tape,
    /// Same seed, same reply, on every machine.
    Local,
    /// A remote service: nothing is promised.
    Api,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// For very small models: two sentences, one line of history, a forced opener.
    Compact,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    Closed,
    Open,
    HalfOpen,
}

/// Money per million tokens, in the currency the operator thinks in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub input: f64,
    pub output: f64,
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub id: String,
    pub provider: String,
    pub name: String,
    /// Context length in tokens.
    pub context: u32,
    pub price: Price,
    pub determinism: Determinism,
    pub prompt_style: PromptStyle,
}

#[async_trait]
pub trait LanguageModel: Send + Sync {
    fn card(&self) -> &ModelCard;
    fn circuit(&self) -> CircuitState {
        CircuitState::Closed
    }
    /// `Ok` when a generation could start now; otherwise what is wrong and how to mend it.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
    /// Asks the model's server, where it has one, whether it is there and has this model; nothing is generated. The error
    /// says what is wrong and how to mend it.
    async fn probe(&self) -> Result<(), String> {
        self.ready()
    }
    /// Starts a reply. Errors before the first piece and within the stream mean the same.
    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError>;
}

/// A model behind a chat-completions server, as an admin defines it while the program runs. Its key is kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderDefinition {
    /// Where the server is, mostly ending in `/v1`: https, or http for hosts that the configuration lists.
    pub base_url: String,
    /// The model's name at its server.
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_style: Option<PromptStyle>,
    /// Context length in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
}

/// The models an installation offers.
pub trait ModelCatalog: Send + Sync {
    /// Whether a model could be defined so. The error says what is wrong with it.
    fn check(&self, _id: &str, _definition: &ProviderDefinition, _api_key: Option<&str>) -> Result<(), String> {
        Err("this installation has the models it was started with".to_owned())
    }
    /// Puts a model in, or in place of one that was defined so before. Calls under way end with the one they began with.
    fn define(&self, id: &str, definition: &ProviderDefinition, api_key: Option<&str>) -> Result<(), String> {
        self.check(id, definition, api_key)
    }
    /// Takes out a model that was defined so.
    fn remove(&self, _id: &str) {}
    fn model(&self, id: &str) -> Option<std::sync::Arc<dyn LanguageModel>>;
    fn models(&self) -> Vec<std::sync::Arc<dyn LanguageModel>>;
    /// Id of the model a session uses when it names none.
    fn default_model(&self) -> &str;
}
