//! psyche-server
