//! A small inference engine for language models in GGUF files, and for sentence embeddings.
//!
//! It runs llama-architecture models with weights in `Q4_1`, `Q8_0`, `F16` or `F32` on one processor core, with many
//! replies under way in one batch, and it is exact about one thing: **the same request with the same seed gives the
//! same text**, whatever else runs beside it, however prompts are cut into chunks, and on whichever processor.
//!
//! ```no_run
//! use psyche_infer::{Engine, EngineOptions, Message, Model, Request, Role};
//!
//! let model = Model::load("model.gguf")?;
//! let engine = Engine::start(model, EngineOptions::default())?;
//! let request = Request {
//!     messages: vec![Message::new(Role::User, "What is a shadow?")],
//!     opener: Some("A shadow is".into()),
//!     seed: 7,
//!     ..Request::default()
//! };
//! let (text, summary) = engine.generate(request).complete()?;
//! println!("A shadow is{text} ({} tokens)", summary.completion_tokens);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rooms: `gguf` reads the file's header, `weights` repacks tensors, `kernels` does the arithmetic (and holds all
//! `unsafe`), `forward` is one pass through the model, `kv` its memory, `worker` the thread that batches replies,
//! `engine` what callers see; `tokenizer`, `words`, `chat`, `sampler`, `text` stand between text and tokens. Sentence embeddings have
//! `encoder`, which reads its weights by `onnx` and cuts text by `wordpiece`.

mod chat;
mod encoder;
mod engine;
mod error;
mod forward;
mod gguf;
mod kernels;
mod kv;
mod model;
mod onnx;
mod random;
mod sampler;
#[cfg(test)]
mod synthetic;
mod text;
mod tokenizer;
mod weights;
mod wordpiece;
mod words;
mod worker;

pub use chat::{Message, Role};
pub use encoder::{Encoder, MAX_PIECES, WIDTH};
pub use engine::{Cancel, Engine, EngineOptions, Finish, Generation, Piece, Request, Sink, Summary};
pub use error::{GenerateError, LoadError};
pub use kernels::Processor;
pub use model::Model;
pub use sampler::Sampling;
pub use tokenizer::Tokenizer;
