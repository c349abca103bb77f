//! Live delivery: rings of ready frames, readers that are cursors into them, and the sockets that carry them.

mod budget;
mod connection;
mod feed;
mod hub;
mod lane;
mod messages;
mod reader;
mod ring;
mod upgrade;
mod view;
mod wire;

pub use hub::Hub;
pub(crate) use hub::watch_system;
pub use messages::{ClientMessage, UserAuth};
pub use upgrade::{__path_session_socket, __path_system_socket, session_socket, system_socket};
