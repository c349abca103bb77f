//! Sentence embeddings behind one port.

use std::sync::Arc;

use async_trait::async_trait;

use crate::embedding::Embedded;

/// What is known of an embedding model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderCard {
    pub name: String,
    /// See [`Embedded::model`].
    pub digest: Arc<str>,
    /// Numbers in an embedding.
    pub width: usize,
}

/// Why there is no embedding. What was to be embedded is in no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The model is not there; the message says what to do.
    #[error("{0}")]
    Missing(String),
    #[error("the embedding model has more to do than it can: measures go by words for now")]
    Busy,
    #[error("the embedding model stopped in the middle of its work; it is loaded afresh for the next text")]
    Stopped,
}

/// The same text gives the same embedding, always.
#[async_trait]
pub trait Embedder: Send + Sync {
    fn card(&self) -> &EmbedderCard;
    /// `Ok` when texts can be embedded; otherwise what is wrong and how to mend it.
    fn ready(&self) -> Result<(), String>;
    /// One embedding per text, in order; `None` for a text that has none.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Option<Embedded>>, EmbedError>;
}
