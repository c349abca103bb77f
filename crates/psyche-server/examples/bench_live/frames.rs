//! The wire as a client sees it: server frames found in what was read, and the few frames a client sends.

use std::ops::Range;

use memchr::memmem;

/// A frame of the server in the read buffer.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Range<usize>,
}

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The frame at `at`, and where the next one begins. `None` until all of it is there.
pub fn frame(bytes: &[u8], at: usize) -> Result<Option<(Frame, usize)>, String> {
    let Some(&[first, second]) = bytes.get(at..at + 2) else { return Ok(None) };
    if first & 0xf0 != FINAL || second & MASKED != 0 {
        return Err(format!("bytes {first:#x} {second:#x} do not begin a whole unmasked frame"));
    }
    let (length, start) = match second {
        SHORT => match bytes.get(at + 2..at + 4) {
            Some(&[a, b]) => (usize::from(u16::from_be_bytes([a, b])), at + 4),
            _ => return Ok(None),
        },
        LONG => match bytes.get(at + 2..at + 10).and_then(|b| b.try_into().ok()) {
            Some(length) => (u64::from_be_bytes(length) as usize, at + 10),
            None => return Ok(None),
        },
        length => (usize::from(length), at + 2),
    };
    let end = start + length;
    Ok((end <= bytes.len()).then_some((Frame { opcode: first & 15, payload: start..end }, end)))
}

/// An unmasked frame, as servers send it: for the floors.
pub fn server_frame(text: &str) -> Vec<u8> {
    let mut out = header(TEXT, 0, text.len());
    out.extend(text.as_bytes());
    out
}

/// A masked frame, as clients send it.
pub fn client_frame(opcode: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut out = header(opcode, MASKED, payload.len());
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Lengths that say: the length follows in two, or in eight bytes.
const SHORT: u8 = 0x7e;
const LONG: u8 = 0x7f;

fn header(opcode: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut out = vec![FINAL | opcode];
    match length {
        0..126 => out.push(mask | length as u8),
        126..0x1_0000 => {
            out.push(mask | SHORT);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | LONG);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out
}

/// Length of the header that [`server_frame`] writes.
pub fn header_length(payload: usize) -> usize {
    header(TEXT, 0, payload).len()
}

/// The request that opens a socket.
pub fn upgrade_request(path: &str, port: u16) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: psyche.v1\r\n\r\n"
    )
    .into_bytes()
}

/// The end of an HTTP head, if it is there.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Finds the fields of frames by their names. No text of ours holds a quote, so a quoted name is a field.
pub struct Fields {
    kind: memmem::Finder<'static>,
    seq: memmem::Finder<'static>,
    prev: memmem::Finder<'static>,
    text: memmem::Finder<'static>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            kind: memmem::Finder::new(b"\"type\":\""),
            seq: memmem::Finder::new(b"\"seq\":"),
            prev: memmem::Finder::new(b"\"prev\":"),
            text: memmem::Finder::new(b"\"text\":\""),
        }
    }
}

impl Fields {
    /// The type of a frame.
    pub fn kind<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let Some(at) = self.kind.find(payload) else { return b"" };
        let rest = &payload[at + 8..];
        &rest[..memchr::memchr(b'"', rest).unwrap_or(0)]
    }

    pub fn seq(&self, payload: &[u8]) -> Option<u64> {
        self.seq.find(payload).map(|at| number(&payload[at + 6..]).0)
    }

    pub fn prev(&self, payload: &[u8]) -> Option<u64> {
        self.prev.find(payload).map(|at| number(&payload[at + 7..]).0)
    }

    /// The mark of a text of ours: its number and when it was sent.
    pub fn mark(&self, payload: &[u8]) -> Option<(u64, u64)> {
        let at = self.text.find(payload)? + 8;
        // What the server may put before the first words of a reply.
        let text = payload[at..].trim_ascii_start();
        let (event, digits) = number(text);
        let rest = text.get(digits..).filter(|rest| digits > 0 && rest.starts_with(b"~"))?;
        let (sent, digits) = number(&rest[1..]);
        (digits > 0).then_some((event, sent))
    }
}

/// The text of an event: its number, when it was sent, and padding up to `length`.
pub fn marked_text(event: u64, sent: u64, length: usize) -> String {
    let mut text = format!("{event}~{sent}~");
    text.extend(std::iter::repeat_n('x', length.saturating_sub(text.len())));
    text
}

/// The decimal number at the start, and how many digits it has.
fn number(bytes: &[u8]) -> (u64, usize) {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (bytes[..digits].iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')), digits)
}

/// A number of a frame that comes seldom, by its name.
pub fn field(payload: &[u8], name: &str) -> Option<u64> {
    let quoted = format!("\"{name}\":");
    let at = memmem::find(payload, quoted.as_bytes())?;
    let (value, digits) = number(payload[at + quoted.len()..].trim_ascii_start());
    (digits > 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found_however_they_are_split() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let text = "x".repeat(length);
            let bytes = [server_frame(&text), server_frame("next")].concat();
            let first = bytes.len() - 6;
            for cut in [0, 1, 2, 3, first - 1].into_iter().filter(|cut| *cut < first) {
                assert_eq!(frame(&bytes[..cut], 0), Ok(None), "{length} bytes, cut at {cut}");
            }
            let (found, next) = frame(&bytes, 0).unwrap().unwrap();
            assert_eq!((found.opcode, found.payload.len(), next), (TEXT, length, first));
            assert_eq!(first, length + header_length(length));
            assert_eq!(&bytes[frame(&bytes, next).unwrap().unwrap().0.payload], b"next");
        }
    }

    #[test]
    fn what_is_no_whole_server_frame_is_refused() {
        for bytes in [[0x01, 0x00], [0x81, 0x80], [0xc1, 0x00]] {
            assert!(frame(&bytes, 0).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn client_frames_are_masked() {
        let bytes = client_frame(TEXT, b"hello", [1, 2, 3, 4]);
        assert_eq!(bytes[..6], [0x81, 0x85, 1, 2, 3, 4]);
        let words: Vec<u8> = bytes[6..].iter().zip([1, 2, 3, 4, 1]).map(|(b, k)| b ^ k).collect();
        assert_eq!(words, b"hello");
    }

    #[test]
    fn fields_are_found_by_their_names() {
        let text = marked_text(7, 1_234, 40);
        let json = format!(r#"{{"target_seq":1,"type":"annotation","seq":12,"prev":11,"text":"{text}"}}"#);
        let fields = Fields::default();
        assert_eq!(fields.kind(json.as_bytes()), b"annotation");
        assert_eq!((fields.seq(json.as_bytes()), fields.prev(json.as_bytes())), (Some(12), Some(11)));
        assert_eq!(fields.mark(json.as_bytes()), Some((7, 1_234)));
        assert_eq!(fields.mark(br#"{"text":"words of an agent"}"#), None);
        assert_eq!(field(br#"{"code":1012,"retry_after_ms": 250}"#, "retry_after_ms"), Some(250));
    }
}
