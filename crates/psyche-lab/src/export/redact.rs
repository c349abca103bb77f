//! Leaving people out of an export: their words as if they had been erased (docs/adr/0003), or who they are.

use psyche_core::event::{EMBEDDING, Event, Payload};
use psyche_core::quotes::{Quotes, may_quote};
use psyche_core::record::Record;
use psyche_core::words::{Subject, Words};

use super::survey::People;
use super::{ExportError, Redact};

/// Notes what people wrote in a record, to know it again in the words of others.
pub fn note_words(quotes: &mut Quotes, record: &Record) {
    for text in record.texts.iter().filter(|text| text.subject != Subject::Session) {
        if let Some(words) = &text.text {
            quotes.note(&record.kind, &text.field, words);
        }
    }
}

/// Leaves out what was asked for, record by record in the order of the log.
#[derive(Debug)]
pub struct Redaction {
    redact: Redact,
    quotes: Quotes,
}

impl Redaction {
    /// `quotes` holds what people wrote before the range.
    pub fn new(redact: Redact, quotes: Quotes) -> Self {
        Self { redact, quotes }
    }

    pub fn apply(&mut self, mut record: Record, people: &People) -> Result<(Record, Event), ExportError> {
        if self.redact.words {
            note_words(&mut self.quotes, &record);
            self.words(&mut record);
        }
        let mut event = Event::decode(&record)?;
        if self.redact.names
            && let Payload::UserSession(told) = &mut event.payload
        {
            told.username = Words::Open(people.alias(told.user_id));
        }
        Ok((record, event))
    }

    /// Salts go too: with them a guess could be held against the commitment.
    fn words(&self, record: &mut Record) {
        let mut quotes_them = false;
        for text in &mut record.texts {
            if text.subject != Subject::Session {
                (text.text, text.salt, text.masked) = (None, [0; 16], false);
            } else if may_quote(&record.kind)
                && let Some(masked) = text.text.as_deref().and_then(|words| self.quotes.mask(words))
            {
                (text.text, text.salt, text.masked) = (Some(masked), [0; 16], true);
                quotes_them = true;
            }
        }
        // An embedding can be turned back into words: it holds the quotation too.
        for text in record.texts.iter_mut().filter(|text| quotes_them && text.field == EMBEDDING) {
            (text.text, text.salt, text.masked) = (None, [0; 16], false);
        }
    }
}

/// Puts aliases in the place of people's ids in a text that is made of structure.
pub fn without_ids(text: String, people: &People) -> String {
    people.iter().fold(text, |text, person| {
        let id = person.to_string();
        if text.contains(&id) { text.replace(&id, &people.alias(person)) } else { text }
    })
}

#[cfg(test)]
mod tests {
    use psyche_core::Timestamp;
    use psyche_core::record::Text;
    use psyche_core::words::Hash;

    use super::*;

    const SECRET: &str = "My grandmother kept a lighthouse near Trieste until the winter.";

    #[test]
    fn the_embedding_of_what_quotes_a_person_is_left_out() {
        let mut quotes = Quotes::default();
        quotes.note("stimulus_injected", "text", SECRET);
        let redaction = Redaction::new(Redact { words: true, ..Redact::default() }, quotes);
        let left = |content: String| {
            let text = |field: &str, text: String| Text {
                field: field.to_owned(),
                subject: Subject::Session,
                salt: [1; 16],
                text: Some(text),
                masked: false,
            };
            let mut record = Record {
                generation: 1,
                seq: 2,
                epoch: 1,
                kind: "agent_message".to_owned(),
                version: 2,
                at: Timestamp(0),
                body: String::new(),
                hash: Hash::ZERO,
                committed_turn: None,
                command_id: None,
                texts: vec![text("content", content), text(EMBEDDING, "an embedding".to_owned())],
            };
            redaction.words(&mut record);
            record.texts.into_iter().map(|text| text.text).collect::<Vec<_>>()
        };
        let kept = left("Something else.".to_owned());
        assert_eq!(kept, [Some("Something else.".to_owned()), Some("an embedding".to_owned())]);
        assert_eq!(left(format!("You said: {SECRET} Why?")), [Some("You said: [erased] Why?".to_owned()), None]);
    }
}
