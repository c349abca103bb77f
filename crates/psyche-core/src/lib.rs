//! The mind: agents, network, session rules, events, measures, prompts, permissions and ports.
//!
//! This crate does no I/O, owns no clock and draws no randomness: all of that arrives as a parameter, so every function
//! here gives the same answer on every machine. Adapters implement the traits in [`port`].

pub mod audit;
pub mod cast;
pub mod embedding;
pub mod event;
pub mod ids;
pub mod measure;
pub mod objects;
pub mod permission;
pub mod port;
pub mod prompt;
pub mod quotes;
pub mod random;
pub mod record;
pub mod seal;
pub mod session;
pub mod speech;
pub mod time;
pub mod words;

pub use ids::{AgentId, CommandId, OwnerId, SessionId, SignInId, TenantId, UserId};
pub use time::Timestamp;
