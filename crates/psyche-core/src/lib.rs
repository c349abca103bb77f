//! psyche-core
