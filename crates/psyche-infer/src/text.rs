//! Turns the bytes of tokens into text that can be shown: whole characters only, nothing past a stop text.

#[derive(Debug)]
pub(crate) struct TextStream {
    stops: Vec<String>,
    /// The beginning of a character whose end has not come yet.
    bytes: Vec<u8>,
    /// Text that may turn out to be the beginning of a stop text.
    held: String,
}

impl TextStream {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, bytes: Vec::new(), held: String::new() }
    }

    /// Takes more bytes. Returns the text that is certain now, and whether a stop text was found.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        self.bytes.extend(bytes);
        self.take_characters();
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let certain = self.held.len() - self.possible_stop();
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, once no more bytes come. Half a character is dropped.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn take_characters(&mut self) {
        loop {
            match std::str::from_utf8(&self.bytes) {
                Ok(text) => {
                    self.held.push_str(text);
                    self.bytes.clear();
                    return;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    self.held.push_str(&String::from_utf8_lossy(&self.bytes[..valid]));
                    let Some(wrong) = error.error_len() else {
                        self.bytes.drain(..valid);
                        return;
                    };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    self.bytes.drain(..valid + wrong);
                }
            }
        }
    }

    /// Bytes at the end of the held text that begin a stop text.
    fn possible_stop(&self) -> usize {
        let starts = self.held.char_indices().map(|(at, _)| &self.held[at..]);
        starts.filter(|tail| self.stops.iter().any(|stop| stop.starts_with(tail))).map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` cut at `cuts`; returns all text and whether it stopped. Each piece is valid by its type.
    fn stream(bytes: &[u8], cuts: &[usize], stops: &[&str]) -> (String, bool) {
        let mut stream = TextStream::new(stops.iter().map(ToString::to_string).collect());
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut text, mut from) = (String::new(), 0);
        for end in ends {
            let (more, stopped) = stream.push(&bytes[from..end]);
            text += &more;
            if stopped {
                return (text, true);
            }
            from = end;
        }
        (text + &stream.finish(), false)
    }

    #[test]
    fn half_a_character_is_never_shown() {
        let mut stream = TextStream::new(vec![]);
        assert_eq!(stream.push(&[b'a', 0xf0, 0x9f]), ("a".into(), false));
        assert_eq!(stream.push(&[0x98, 0x80]), ("😀".into(), false));
        assert_eq!(stream.push(&[0xe2, 0x82]), (String::new(), false));
        assert_eq!(stream.finish(), "");
        assert_eq!(stream.push(b"x").0, "\u{fffd}x", "the lost half is marked once something follows");
    }

    #[test]
    fn a_stop_text_is_held_back_until_it_is_certain() {
        let mut stream = TextStream::new(vec!["\nEgo:".into()]);
        assert_eq!(stream.push(b"Yes.\nE"), ("Yes.".into(), false));
        assert_eq!(stream.push(b"ven"), ("\nEven".into(), false));
        assert_eq!(stream.push(b"\nEgo: no"), (String::new(), true));
    }

    proptest! {
        #[test]
        fn cuts_do_not_change_the_text(text in "[aé😀\\n: ]{0,20}", cuts in proptest::collection::vec(0usize..90, 0..6)) {
            prop_assert_eq!(stream(text.as_bytes(), &cuts, &[]), (text.clone(), false));
            let stops = ["a:", "\n\n", "é😀"];
            let at = stops.iter().filter_map(|stop| text.find(stop)).min();
            let (shown, stopped) = stream(text.as_bytes(), &cuts, &stops);
            prop_assert_eq!(stopped, at.is_some());
            // Which of two overlapping stops is met first depends on what has arrived; the text before both is shown.
            prop_assert!(text.starts_with(&shown));
            prop_assert!(stops.iter().all(|stop| !shown.contains(stop)));
            if !stopped {
                prop_assert_eq!(shown, text);
            }
        }

        #[test]
        fn any_bytes_give_what_the_standard_library_gives(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            cuts in proptest::collection::vec(0usize..90, 0..6),
        ) {
            let (shown, _) = stream(&bytes, &cuts, &[]);
            let whole = String::from_utf8_lossy(&bytes).into_owned();
            // Only an unfinished character at the very end may be missing.
            prop_assert!(shown == whole || format!("{shown}\u{fffd}") == whole, "{shown:?} {whole:?}");
        }
    }
}
