//! psyche-engine
