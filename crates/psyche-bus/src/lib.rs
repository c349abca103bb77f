//! psyche-bus
