//! Leaving people out of an export: their words as if they had been erased (docs/adr/0003), or who they are.

use psyche_core::event::{Event, Payload};
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
        for text in &mut record.texts {
            if text.subject != Subject::Session {
                (text.text, text.salt, text.masked) = (None, [0; 16], false);
            } else if may_quote(&record.kind)
                && let Some(masked) = text.text.as_deref().and_then(|words| self.quotes.mask(words))
            {
                (text.text, text.salt, text.masked) = (Some(masked), [0; 16], true);
            }
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
