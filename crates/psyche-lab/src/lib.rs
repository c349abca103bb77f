//! Analysis, statistics and exports: readings of logs.

pub mod export;
