//! The calls: one room per subject, all listed in `routes.rs`.

pub mod account;
pub mod analysis;
pub mod audit;
pub mod auth;
pub mod casts;
pub mod comparison;
pub mod configuration;
pub mod docs;
pub mod exports;
pub mod forks;
pub mod health;
pub mod history;
pub mod judge;
pub mod models;
pub mod participants;
pub mod privacy;
pub mod providers;
pub mod second_factor;
pub mod sessions;
pub mod setup;
pub mod system;
pub mod tickets;
pub mod timeline;
pub mod users;
pub mod views;
