//! The reader of client frames against every byte there is: it never panics, pieces make no difference, and what it
//! accepts another implementation reads the same way.

#![no_main]

#[expect(dead_code, reason = "the server's own frames are not read here")]
#[path = "../../crates/psyche-server/src/live/frame.rs"]
mod frame;

use std::io::{Cursor, Read, Result, Write};

use frame::{Reader, Said};
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

/// Longest message.
const LIMIT: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b], bytes)) = input.split_first_chunk() else { return };
    let mut said = Vec::new();
    let whole = Reader::new(LIMIT).read(bytes, &mut said);

    let mut cuts = [usize::from(a) * bytes.len() / 256, usize::from(b) * bytes.len() / 256];
    cuts.sort_unstable();
    let pieces = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]];
    let (mut reader, mut again) = (Reader::new(LIMIT), Vec::new());
    let in_pieces = pieces.iter().try_for_each(|piece| reader.read(piece, &mut again));
    assert_eq!(whole, in_pieces);
    assert_eq!(said, again);

    let theirs = other(bytes, said.len());
    // It ends messages earlier than we do only where it refuses what the standard lets servers take.
    for (ours, theirs) in said.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert!(said.len() <= theirs.len(), "{said:?} but {theirs:?}");
});

/// The same bytes as the other implementation reads them, at most so many messages.
fn other(bytes: &[u8], most: usize) -> Vec<Said> {
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(LIMIT);
    config.max_frame_size = Some(LIMIT);
    let mut socket = WebSocket::from_raw_socket(Pipe(Cursor::new(bytes)), Role::Server, Some(config));
    let mut said = Vec::new();
    while said.len() < most {
        match socket.read() {
            Ok(Message::Text(text)) => said.push(Said::Text(text.to_string())),
            Ok(Message::Ping(payload)) => said.push(Said::Ping(payload.to_vec())),
            Ok(Message::Pong(_)) => said.push(Said::Pong),
            Ok(Message::Close(close)) => {
                said.push(Said::Close(close.map(|c| c.code.into())));
                break;
            }
            Ok(Message::Binary(_) | Message::Frame(_)) | Err(Error::Io(_)) => break,
            Err(_) => break,
        }
    }
    said
}

/// Bytes to read; what is written goes nowhere.
struct Pipe<'a>(Cursor<&'a [u8]>);

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        Ok(buffer.len())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
