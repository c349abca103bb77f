//! Language models behind one port: chat-completions servers, the embedded one, scripts and records. Sentence
//! embeddings behind another.
//!
//! Nothing here retries: an attempt is a visible event, so the engine is the one retry layer. What is here is the
//! typed outcome of a single attempt, and [`guard`], which keeps a sick or limited server from being asked at all.

pub mod config;
pub mod embedded;
pub mod embedder;
mod failure;
pub mod guard;
pub mod openai;
pub mod recorded;
pub mod registry;
pub mod scripted;
#[cfg(test)]
mod testing;
pub mod weights;

// The name by which `testing` calls this crate from wherever it is a part.
#[cfg(test)]
extern crate self as psyche_llm;

pub use config::{ModelConfig, Provider, Secret};
pub use embedder::MiniLm;
pub use registry::{ConfigError, Deps, Models};
