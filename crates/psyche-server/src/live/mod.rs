//! Live delivery: rings of ready frames, readers that are cursors into them, and the sockets that carry them.

mod budget;
mod connection;
mod feed;
mod frame;
mod handshake;
mod hub;
mod lane;
mod link;
mod messages;
mod pump;
mod ring;
mod stream;
mod upgrade;
mod view;

pub use hub::Hub;
pub(crate) use hub::{watch_changes, watch_system};
pub(crate) use link::Patience;
pub use messages::{ClientMessage, UserAuth};
pub use upgrade::{__path_session_socket, __path_system_socket, session_socket, system_socket};
