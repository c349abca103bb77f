//! psyche-store
