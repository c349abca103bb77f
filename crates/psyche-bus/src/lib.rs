//! The live feed and expiring keys behind the ports of `psyche-core`: in process.
//!
//! The bus carries hints, at most once; the log is the truth. Both adapters run the suites in `tests/conformance/`.

mod ephemeral;
mod local;

pub use ephemeral::{Limits, LocalEphemeral};
pub use local::LocalBus;
