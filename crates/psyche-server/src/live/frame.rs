//! WebSocket frames (RFC 6455): what the server writes, ready to go out, and a strict reader of what clients send.
//!
//! Server frames are never masked, so one encoded frame serves every reader. Client frames must be masked; extensions
//! are not negotiated, so reserved bits are errors.

use bytes::{BufMut, Bytes, BytesMut};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Longest payload of a control frame.
const CONTROL_BYTES: usize = 125;
/// Header of an empty frame of a client, and with the longest length.
const HEADER: usize = 2;

pub mod code {
    pub const PROTOCOL: u16 = 1002;
    pub const NOT_TEXT: u16 = 1003;
    pub const BAD_UTF8: u16 = 1007;
    pub const POLICY: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const RESTARTING: u16 = 1012;
    pub const OVERLOADED: u16 = 1013;
    pub const UNAUTHENTICATED: u16 = 4001;
    pub const FORBIDDEN: u16 = 4003;
    pub const NO_SUCH_SESSION: u16 = 4004;
    pub const AUTH_TIMEOUT: u16 = 4008;
    pub const TOO_SLOW: u16 = 4010;
    pub const TOO_MANY_MESSAGES: u16 = 4029;

    /// A few words for the close frame.
    pub fn reason(code: u16) -> &'static str {
        match code {
            PROTOCOL => "protocol error",
            NOT_TEXT => "not text",
            BAD_UTF8 => "not UTF-8",
            POLICY => "bad input",
            TOO_BIG => "message too big",
            RESTARTING => "restarting",
            OVERLOADED => "overloaded",
            UNAUTHENTICATED => "unauthenticated",
            FORBIDDEN => "forbidden",
            NO_SUCH_SESSION => "no such session",
            AUTH_TIMEOUT => "authentication timeout",
            TOO_SLOW => "too slow",
            TOO_MANY_MESSAGES => "too many messages",
            _ => "",
        }
    }
}

fn encode(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(FIN | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.put_u8(length),
        (_, Ok(length)) => {
            frame.put_u8(126);
            frame.put_u16(length);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(payload.len() as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

pub fn text(words: &str) -> Bytes {
    encode(Opcode::Text, words.as_bytes())
}

pub fn ping() -> Bytes {
    encode(Opcode::Ping, b"")
}

/// The answer to a ping; longer payloads cannot come in.
pub fn pong(payload: &[u8]) -> Bytes {
    encode(Opcode::Pong, payload)
}

/// A close with its code, or the empty answer to an empty one.
pub fn close(code: Option<u16>) -> Bytes {
    let mut payload = Vec::new();
    if let Some(code) = code {
        payload.extend(code.to_be_bytes());
        payload.extend(code::reason(code).as_bytes());
    }
    encode(Opcode::Close, &payload)
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    /// The client's close; its code, when it gave one.
    Close(Option<u16>),
}

/// What a client must not send. The value is the close code to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub u16);

/// Reads client frames as their bytes come, in whatever pieces. Holds nothing between messages.
#[derive(Debug)]
pub struct Reader {
    /// Longest message, over all its fragments.
    limit: usize,
    /// Bytes of a frame that is not whole yet.
    raw: Vec<u8>,
    /// What has come of a fragmented message.
    fragments: Option<Fragments>,
    /// Nothing counts after a close.
    closed: bool,
}

#[derive(Debug, Default)]
struct Fragments {
    text: Vec<u8>,
    /// How much of it is known to be UTF-8: nothing is looked at twice.
    checked: usize,
}

struct Head {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Where the payload begins and ends.
    payload: std::ops::Range<usize>,
}

impl Reader {
    pub fn new(limit: usize) -> Self {
        Self { limit, raw: Vec::new(), fragments: None, closed: false }
    }

    /// Takes bytes and gives the messages they complete. After a violation nothing more may be read.
    pub fn read(&mut self, bytes: &[u8], out: &mut Vec<Said>) -> Result<(), Violation> {
        if self.closed {
            return Ok(());
        }
        // Most often frames come whole: then nothing is copied but the payload.
        let held = std::mem::take(&mut self.raw);
        if held.is_empty() {
            let used = self.frames(bytes, out)?;
            self.raw = bytes[used..].to_vec();
        } else {
            let mut held = held;
            held.extend_from_slice(bytes);
            let used = self.frames(&held, out)?;
            held.drain(..used);
            if !held.is_empty() {
                self.raw = held;
            }
        }
        Ok(())
    }

    /// Reads whole frames; the number of bytes they took.
    fn frames(&mut self, bytes: &[u8], out: &mut Vec<Said>) -> Result<usize, Violation> {
        let mut at = 0;
        while let Some(head) = self.head(&bytes[at..])? {
            let Some(masked) = bytes[at..].get(head.payload.clone()) else { break };
            let mut payload = masked.to_vec();
            unmask(&mut payload, head.mask);
            at += head.payload.end;
            if let Some(said) = self.frame(&head, payload)? {
                self.closed = matches!(said, Said::Close(_));
                out.push(said);
                if self.closed {
                    return Ok(bytes.len());
                }
            }
        }
        Ok(at)
    }

    /// The head of the next frame, once it is whole. Everything that can be judged by the head is judged here.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let violation = Err(Violation(code::PROTOCOL));
        let Some(opcode) = Opcode::of(first & 0x0f) else { return violation };
        let fin = first & FIN != 0;
        if first & RESERVED != 0 || second & MASKED == 0 {
            return violation;
        }
        let short = usize::from(second & !MASKED);
        if opcode.is_control() && (!fin || short > CONTROL_BYTES) {
            return violation;
        }
        match (opcode, &self.fragments) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => return violation,
            (Opcode::Binary, None) => return Err(Violation(code::NOT_TEXT)),
            _ => {}
        }
        let (length, wide) = match short {
            126 => {
                let Some(length) = rest.first_chunk().map(|b| u64::from(u16::from_be_bytes(*b))) else {
                    return Ok(None);
                };
                // The shortest form is the only one.
                if length < 126 {
                    return violation;
                }
                (length, 2)
            }
            127 => {
                let Some(length) = rest.first_chunk().map(|b| u64::from_be_bytes(*b)) else { return Ok(None) };
                if u16::try_from(length).is_ok() || length > i64::MAX as u64 {
                    return violation;
                }
                (length, 8)
            }
            short => (short as u64, 0),
        };
        let so_far = self.fragments.as_ref().filter(|_| !opcode.is_control()).map_or(0, |f| f.text.len());
        let length =
            usize::try_from(length).ok().filter(|l| so_far.saturating_add(*l) <= self.limit.max(CONTROL_BYTES));
        let Some(length) = length else { return Err(Violation(code::TOO_BIG)) };
        let Some(mask) = rest.get(wide..).and_then(|r| r.first_chunk()) else { return Ok(None) };
        let begin = HEADER + wide + mask.len();
        Ok(Some(Head { fin, opcode, mask: *mask, payload: begin..begin + length }))
    }

    fn frame(&mut self, head: &Head, payload: Vec<u8>) -> Result<Option<Said>, Violation> {
        match head.opcode {
            Opcode::Ping => Ok(Some(Said::Ping(payload))),
            Opcode::Pong => Ok(Some(Said::Pong)),
            Opcode::Close => closing(&payload).map(|code| Some(Said::Close(code))),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let Fragments { text: mut message, checked } = self.fragments.take().unwrap_or_default();
                message.extend(payload);
                // What can never become UTF-8 is refused before the rest comes; a character may be cut at the end.
                let checked = match std::str::from_utf8(&message[checked..]) {
                    Ok(_) => message.len(),
                    Err(e) if e.error_len().is_none() && !head.fin => checked + e.valid_up_to(),
                    Err(_) => return Err(Violation(code::BAD_UTF8)),
                };
                if head.fin {
                    return String::from_utf8(message).map(Said::Text).map(Some).map_err(|_| Violation(code::BAD_UTF8));
                }
                self.fragments = Some(Fragments { text: message, checked });
                Ok(None)
            }
        }
    }
}

/// The code of a close; absent is fine, half a code or one that may not be sent is not.
fn closing(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation(code::PROTOCOL)),
        [a, b, reason @ ..] => (u16::from_be_bytes([*a, *b]), reason),
    };
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation(code::BAD_UTF8));
    }
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some(code)),
        _ => Err(Violation(code::PROTOCOL)),
    }
}

/// XOR with the mask, four bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut chunks = payload.chunks_exact_mut(4);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A client's frame with the shortest length.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..=125 => bytes.push(MASKED | n as u8),
            n @ 126..=65_535 => {
                bytes.push(MASKED | 0x7e);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(MASKED | 0x7f);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        bytes.extend(MASK);
        let mut masked = payload.to_vec();
        unmask(&mut masked, MASK);
        bytes.extend(masked);
        bytes
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Said>, u16> {
        let mut reader = Reader::new(1000);
        let mut out = Vec::new();
        for piece in pieces {
            reader.read(piece, &mut out).map_err(|v| v.0)?;
        }
        Ok(out)
    }

    fn words(text: &str) -> Said {
        Said::Text(text.to_owned())
    }

    const TEXT: u8 = 0x81;
    const TEXT_BEGINS: u8 = 0x01;
    const GOES_ON: u8 = 0x00;
    const ENDS: u8 = 0x80;
    const PING: u8 = 0x89;
    const PONG: u8 = 0x8a;
    const CLOSE: u8 = 0x88;

    /// The cases of the Autobahn suite that apply to a server without extensions that takes text only.
    #[test]
    fn what_the_standard_allows_is_read() {
        let (long, longest) = ("a".repeat(126), "b".repeat(1000));
        type Case = (&'static str, Vec<Vec<u8>>, Vec<Said>);
        let cases: Vec<Case> = vec![
            ("1.1.1 empty text", vec![frame(TEXT, b"")], vec![words("")]),
            ("1.1.2 text of 125", vec![frame(TEXT, &[b'*'; 125])], vec![words(&"*".repeat(125))]),
            ("1.1.3 text of 126", vec![frame(TEXT, long.as_bytes())], vec![words(&long)]),
            ("9.1 as long as is allowed", vec![frame(TEXT, longest.as_bytes())], vec![words(&longest)]),
            ("2.1 empty ping", vec![frame(PING, b"")], vec![Said::Ping(vec![])]),
            ("2.4 ping of 125", vec![frame(PING, &[0xfe; 125])], vec![Said::Ping(vec![0xfe; 125])]),
            ("2.7 pong nobody asked for", vec![frame(PONG, b"x")], vec![Said::Pong]),
            ("2.10 ten pings", vec![frame(PING, b"p").repeat(10)], vec![Said::Ping(b"p".to_vec()); 10]),
            ("5.3 two fragments", vec![frame(TEXT_BEGINS, b"fra"), frame(ENDS, b"gment")], vec![words("fragment")]),
            (
                "5.6 ping between fragments",
                vec![frame(TEXT_BEGINS, b"fra"), frame(PING, b"p"), frame(ENDS, b"gment")],
                vec![Said::Ping(b"p".to_vec()), words("fragment")],
            ),
            (
                "5.19 pings between many fragments",
                vec![
                    frame(TEXT_BEGINS, b"1"),
                    frame(GOES_ON, b"2"),
                    frame(PING, b""),
                    frame(GOES_ON, b""),
                    frame(PONG, b""),
                    frame(ENDS, b"3"),
                ],
                vec![Said::Ping(vec![]), Said::Pong, words("123")],
            ),
            (
                "6.2.1 UTF-8",
                vec![frame(TEXT, "Hello-\u{b5}@\u{df}\u{f6}".as_bytes())],
                vec![words("Hello-\u{b5}@\u{df}\u{f6}")],
            ),
            (
                "6.2.3 a character cut by fragments",
                vec![frame(TEXT_BEGINS, &[0xf0, 0x90]), frame(GOES_ON, &[0x8d]), frame(ENDS, &[0x88])],
                vec![words("\u{10348}")],
            ),
            ("7.1.1 close", vec![frame(CLOSE, &[3, 232])], vec![Said::Close(Some(1000))]),
            ("7.3.1 close without a code", vec![frame(CLOSE, b"")], vec![Said::Close(None)]),
            ("7.3.4 close with a reason", vec![frame(CLOSE, b"\x03\xe8bye")], vec![Said::Close(Some(1000))]),
            (
                "7.1.3 nothing counts after a close",
                vec![[frame(CLOSE, b""), vec![0xff; 9]].concat()],
                vec![Said::Close(None)],
            ),
            ("7.7 codes of applications", vec![frame(CLOSE, &4999_u16.to_be_bytes())], vec![Said::Close(Some(4999))]),
        ];
        for (name, frames, expected) in cases {
            let whole = frames.concat();
            assert_eq!(read(&[&whole]).as_deref(), Ok(&expected[..]), "{name}");
            // 3.x, 5.5: however the bytes are chopped.
            let bytes: Vec<_> = whole.chunks(1).collect();
            assert_eq!(read(&bytes).as_deref(), Ok(&expected[..]), "{name}, byte by byte");
        }
    }

    #[test]
    fn what_the_standard_forbids_is_closed_with_its_code() {
        let unmasked = vec![TEXT, 1, b'x'];
        let wide =
            |length: u64, bytes: &[u8]| [&[TEXT, MASKED | 0x7f], &length.to_be_bytes()[..], &MASK, bytes].concat();
        let mut cases: Vec<(&str, Vec<u8>, u16)> = vec![
            ("1.2 binary", frame(0x82, b"x"), code::NOT_TEXT),
            ("2.5 ping of 126", frame(PING, &[0; 126]), code::PROTOCOL),
            ("3.2 a reserved bit", frame(TEXT | 0x40, b"x"), code::PROTOCOL),
            ("3.7 all reserved bits on a close", frame(CLOSE | 0x70, b""), code::PROTOCOL),
            ("4.1.1 a reserved opcode", frame(0x83, b""), code::PROTOCOL),
            ("4.2.1 a reserved control opcode", frame(0x8b, b""), code::PROTOCOL),
            ("5.1 a fragmented ping", frame(0x09, b"p"), code::PROTOCOL),
            ("5.9 a continuation of nothing", frame(ENDS, b"x"), code::PROTOCOL),
            ("5.18 a text within a message", [frame(TEXT_BEGINS, b"a"), frame(TEXT, b"b")].concat(), code::PROTOCOL),
            ("a frame without a mask", unmasked, code::PROTOCOL),
            (
                "a length in a longer form than needed",
                [vec![TEXT, MASKED | 0x7e, 0, 5], MASK.to_vec()].concat(),
                code::PROTOCOL,
            ),
            ("the same in eight bytes", wide(65_535, b""), code::PROTOCOL),
            ("a length with the highest bit", wide(1 << 63, b""), code::PROTOCOL),
            ("6.3.1 not UTF-8", frame(TEXT, &[0xce, 0xba, 0xed, 0xa0, 0x80]), code::BAD_UTF8),
            ("6.4 not UTF-8, told before the end", frame(TEXT_BEGINS, &[0xf4, 0x90]), code::BAD_UTF8),
            ("6.6 a character that never ends", frame(TEXT, &[0xe2, 0x82]), code::BAD_UTF8),
            ("7.3.2 half a code", frame(CLOSE, &[3]), code::PROTOCOL),
            ("7.5.1 a reason that is not UTF-8", frame(CLOSE, &[3, 232, 0xff]), code::BAD_UTF8),
            ("9.x too long", frame(TEXT, &[b'a'; 1001]), code::TOO_BIG),
            ("too long, told by the head alone", wide(1 << 40, b""), code::TOO_BIG),
            (
                "too long in fragments",
                [frame(TEXT_BEGINS, &[b'a'; 600]), frame(ENDS, &[b'a'; 600])].concat(),
                code::TOO_BIG,
            ),
        ];
        for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535_u16] {
            cases.push(("7.9 a code that may not be sent", frame(CLOSE, &bad.to_be_bytes()), code::PROTOCOL));
        }
        for (name, bytes, expected) in cases {
            assert_eq!(read(&[&bytes]), Err(expected), "{name}");
            let chopped: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(read(&chopped), Err(expected), "{name}, byte by byte");
        }
    }

    #[test]
    fn frames_of_the_server_have_the_shortest_length() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = text(&"x".repeat(length));
            assert_eq!(frame.len(), head + length);
            assert_eq!((frame[0], frame[1] & MASKED), (TEXT, 0));
        }
        assert_eq!(close(Some(4010))[..], *b"\x88\x0a\x0f\xaatoo slow");
        assert_eq!(close(None)[..], *b"\x88\x00");
    }

    proptest! {
        /// Whatever comes, in whatever pieces: no panic, and the pieces make no difference.
        #[test]
        fn bytes_of_any_kind_give_the_same_in_any_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cuts in proptest::collection::vec(0_usize..400, 0..6),
        ) {
            same_in_pieces(&bytes, &cuts);
        }

        /// The same for frames that are nearly right.
        #[test]
        fn frames_of_any_kind_give_the_same_in_any_pieces(
            frames in proptest::collection::vec((any::<bool>(), 0_u8..11, proptest::collection::vec(any::<u8>(), 0..200)), 0..6),
            cuts in proptest::collection::vec(0_usize..900, 0..6),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(fin, opcode, payload)| frame(u8::from(*fin) << 7 | opcode, payload)).collect();
            same_in_pieces(&bytes, &cuts);
        }
    }

    fn same_in_pieces(bytes: &[u8], cuts: &[usize]) {
        let whole = read(&[bytes]);
        let mut cuts: Vec<_> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        let mut reader = Reader::new(1000);
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for piece in pieces {
            outcome = outcome.and_then(|()| reader.read(piece, &mut out));
        }
        match whole {
            Ok(said) => assert_eq!((outcome, out), (Ok(()), said)),
            Err(code) => assert_eq!(outcome, Err(Violation(code))),
        }
    }
}
