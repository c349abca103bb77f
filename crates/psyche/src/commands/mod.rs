//! The subcommands, one file each.

pub mod config;
pub mod doctor;
pub mod model;
pub mod replay;
pub mod run;
pub mod serve;
pub mod user;
pub mod verify;
