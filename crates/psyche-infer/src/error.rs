//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// Why a model file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused to open or read the file.
    #[error("cannot read the model file {path}: {source}; check that the path is right and readable")]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The bytes do not follow the file's format, or contradict themselves.
    #[error("not a usable model file: {0}; fetch the file again, it may be cut short or altered")]
    Malformed(String),
    /// A sound file, but of a kind this engine does not run.
    #[error("this model is not supported: {0}; use a llama-architecture GGUF in Q4_1, Q8_0, F16 or F32")]
    Unsupported(String),
}

/// Why a running engine did not produce a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The prompt and the token budget do not fit the model's context or the key/value memory.
    #[error(
        "the request needs {needed} tokens of memory (prompt {prompt}) but at most {limit} fit; shorten the prompt or lower max_tokens"
    )]
    TooLong {
        /// Prompt tokens plus the token budget.
        needed: usize,
        /// Prompt tokens alone.
        prompt: usize,
        /// The most tokens one request may hold.
        limit: usize,
    },
    /// A request that can never be served, whatever the load.
    #[error("the request is invalid: {0}")]
    Invalid(String),
    /// The queue of waiting requests is full.
    #[error("the engine is busy: {waiting} requests are waiting; try again later or start it with a larger queue")]
    Busy {
        /// The capacity of the queue.
        waiting: usize,
    },
    /// The inference thread has ended, so nothing will answer.
    #[error("the inference engine has stopped; start it again")]
    Stopped,
}
