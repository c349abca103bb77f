//! The subcommands, one file each, and what several of them need to know of sessions.

pub mod analyse;
pub mod audit;
pub mod backup;
pub mod config;
pub mod doctor;
pub mod export;
pub mod fork;
pub mod health;
pub mod import;
pub mod interview;
pub mod key;
pub mod migrate;
pub mod model;
pub mod replay;
pub mod restore;
pub mod run;
pub mod serve;
pub mod sessions;
pub mod speak;
pub mod user;
pub mod verify;
