//! Server-sent events out of bytes that may be cut anywhere, read as tolerantly as servers write them.

/// A longer line is refused: no honest server writes one, and the buffer must end somewhere.
pub const LINE_CAP: usize = 64 * 1024;

/// What one line of the stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A `data:` line, or a bare JSON line that a server wrote without the field name.
    Data(String),
    /// A field named `error`, which some servers use instead of an error payload.
    Error(String),
    /// `event:` with its name.
    Event(String),
    /// The blank line that ends an event.
    Blank,
}

/// A line grew beyond [`LINE_CAP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// Splits bytes into lines. Line ends are CR, LF or both; the cut between two chunks may fall anywhere, inside a
/// character too, because text is decoded only when its line is whole.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
}

impl Lines {
    /// Adds the lines that `bytes` completes, those before an error too. After an error it is not to be used further.
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line>) -> Result<(), LineTooLong> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|&b| b == b'\n' || b == b'\r');
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.partial.len() + piece.len() > LINE_CAP {
                return Err(LineTooLong);
            }
            self.partial.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            lines.extend(self.take_line());
        }
        Ok(())
    }

    /// The last line, when the stream ended without a line end.
    pub fn finish(&mut self) -> Option<Line> {
        if self.partial.is_empty() { None } else { self.take_line() }
    }

    fn take_line(&mut self) -> Option<Line> {
        let bytes = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&bytes);
        let text = if std::mem::replace(&mut self.begun, true) { &text } else { text.trim_start_matches('\u{feff}') };
        read(text)
    }
}

/// `None` for comments and for fields that mean nothing here (`id`, `retry`, unknown ones).
fn read(line: &str) -> Option<Line> {
    if line.is_empty() {
        return Some(Line::Blank);
    }
    if line.starts_with('{') {
        return Some(Line::Data(line.to_owned()));
    }
    let (field, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match field {
        "data" => Some(Line::Data(value.to_owned())),
        "error" => Some(Line::Error(value.to_owned())),
        "event" => Some(Line::Event(value.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut seen).unwrap();
        }
        seen.extend(lines.finish());
        seen
    }

    fn data(text: &str) -> Line {
        Line::Data(text.to_owned())
    }

    #[test]
    fn every_way_to_write_a_line() {
        let cases: [(&[u8], Vec<Line>); 11] = [
            (b"data: a\n\n", vec![data("a"), Line::Blank]),
            (b"data:a\r\n\r\n", vec![data("a"), Line::Blank]),
            (b"data: a\r\r", vec![data("a"), Line::Blank]),
            (b"data:  a\n", vec![data(" a")]),
            (b"data\n", vec![data("")]),
            (b": ping\nid: 3\nretry: 1\nwhat is this\n", vec![]),
            (b"data: a", vec![data("a")]),
            (b"\xef\xbb\xbfdata: a\n", vec![data("a")]),
            (b"event: error\ndata: b\n", vec![Line::Event("error".into()), data("b")]),
            (b"error: {\"code\":500}\n", vec![Line::Error("{\"code\":500}".into())]),
            (b"{\"error\":1}\n", vec![data("{\"error\":1}")]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(all(&[bytes]), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_cut_may_fall_inside_a_character_or_a_line_end() {
        let bytes = "data: Größe\r\ndata: 🜂\n".as_bytes();
        for cut in 0..=bytes.len() {
            assert_eq!(all(&[&bytes[..cut], &bytes[cut..]]), vec![data("Größe"), data("🜂")], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        assert_eq!(lines.push(b"data: a\n", &mut seen), Ok(()));
        assert_eq!(lines.push(&vec![b'x'; LINE_CAP], &mut seen), Ok(()), "the count starts again with each line");
        assert_eq!(lines.push(b"x", &mut seen), Err(LineTooLong));
        assert_eq!(seen, vec![data("a")]);
    }
}
