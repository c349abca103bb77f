//! The server over real loopback sockets: memory store, local bus, scripted model, real engine.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod accounts;
mod analysis;
mod casts;
mod document;
mod door;
mod erased;
mod expired;
mod exports;
mod fail_closed;
mod failures;
mod forks;
mod gates;
mod guards;
mod matrix;
mod people;
mod privacy;
mod providers;
mod quotas;
mod sessions;
mod sign_in;
mod sockets;
mod support;
mod web;
