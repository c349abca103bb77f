//! The server over real loopback sockets: memory store, local bus, scripted model, real engine.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod accounts;
mod casts;
mod document;
mod door;
mod erased;
mod expired;
mod failures;
mod guards;
mod matrix;
mod privacy;
mod sessions;
mod sign_in;
mod sockets;
mod support;
mod web;
