//! HTTP, WebSocket, sign-in, OpenAPI, embedded web files.
//!
//! [`Server`] is made from [`Ports`] and [`ServerOptions`], then run on a listener that the binary has bound.
//! Rights are decided in one table (`psyche_core::permission`); `routes.rs` lists every route with its row of it.

mod access;
mod accounts;
mod alerts;
mod analyses;
mod api;
mod app;
mod blocks;
mod client;
mod context;
mod door;
mod envelope;
mod error;
mod expiry;
mod histories;
mod idempotency;
mod json;
mod limits;
mod list;
mod live;
mod lockout;
mod memory;
mod metrics;
mod monitor;
mod openapi;
mod options;
mod origin;
pub mod passwords;
mod providers;
mod rates;
mod retention;
mod routes;
pub mod schema;
mod server;
mod tls;
mod tokens;
mod totp;
mod web_files;

pub use alerts::Courier;
pub use app::Ports;
pub use client::TrustedProxies;
pub use error::ErrorKind;
pub use limits::Rate;
pub use openapi::openapi;
pub use options::{Limits, Registration, ServerOptions};
pub use providers::define_stored;
pub use server::{Server, StartError};
pub use tls::{Tls, TlsError};

/// The permission table of the routes: method, path template, permission.
pub fn permission_table() -> Vec<(&'static str, String, psyche_core::permission::Permission)> {
    routes::all().rows.into_iter().map(|row| (row.method, row.path, row.permission)).collect()
}
