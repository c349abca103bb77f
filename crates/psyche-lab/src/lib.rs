//! Readings of logs: statistics, the analysis of a session and of many, exports.

pub mod analysis;
pub mod export;
pub mod history;
pub mod statistics;
