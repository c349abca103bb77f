//! The live feed and expiring keys behind the ports of `psyche-core`: in process, and in Redis for several replicas.
//!
//! The bus carries hints, at most once; the log is the truth. All adapters run the suites in `tests/conformance/`.

mod ephemeral;
mod local;
pub mod redis;

pub use ephemeral::{Limits, LocalEphemeral};
pub use local::LocalBus;
