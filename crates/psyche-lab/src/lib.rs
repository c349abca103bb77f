//! Readings over logs: statistics, the analysis of a session, and of many.

pub mod analysis;
pub mod history;
pub mod statistics;
