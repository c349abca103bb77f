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

    /// Salts go too: with them a guess could be held against the commitment. And so does the embedding of what quotes a
    /// person, which can be turned back into words.
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
    use psyche_core::record::Text;
    use psyche_core::words::Hash;
    use psyche_core::{Timestamp, UserId};

    use super::*;

    fn record(kind: &str, texts: &[(&str, Subject, &str)]) -> Record {
        let text = |(field, subject, text): &(&str, Subject, &str)| Text {
            field: (*field).to_owned(),
            subject: *subject,
            salt: [7; 16],
            text: Some((*text).to_owned()),
            masked: false,
        };
        Record {
            generation: 1,
            seq: 1,
            epoch: 0,
            kind: kind.to_owned(),
            version: 1,
            at: Timestamp(0),
            body: "{}".to_owned(),
            hash: Hash::ZERO,
            committed_turn: None,
            command_id: None,
            texts: texts.iter().map(text).collect(),
        }
    }

    #[test]
    fn the_embedding_of_a_quotation_goes_with_it_and_so_do_the_salts() {
        const SAID: &str = "My grandmother kept a lighthouse near Trieste until the winter of 1952.";
        let redact = Redact { words: true, names: false };
        let mut redaction = Redaction::new(redact, Quotes::default());
        let mut spoke = record("stimulus_injected", &[("text", Subject::User(UserId(uuid::Uuid::nil())), SAID)]);
        note_words(&mut redaction.quotes, &spoke);
        redaction.words(&mut spoke);
        assert_eq!((&spoke.texts[0].text, spoke.texts[0].salt), (&None, [0; 16]));
        let own = [("content", Subject::Session, "A grey bird."), (EMBEDDING, Subject::Session, "AAAA")];
        let mut plain = record("agent_message", &own);
        redaction.words(&mut plain);
        assert_eq!(plain, record("agent_message", &own));
        let quoted = format!("You said: {SAID}");
        let mut quotes = record("agent_message", &[("content", Subject::Session, &quoted), own[1]]);
        redaction.words(&mut quotes);
        let left: Vec<_> = quotes.texts.iter().map(|text| (text.text.as_deref(), text.salt, text.masked)).collect();
        assert_eq!(left, [(Some("You said: [erased]"), [0; 16], true), (None, [0; 16], false)]);
    }
}
