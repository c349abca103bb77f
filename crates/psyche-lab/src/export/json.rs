//! JSON: where it comes from, and the events as clients of the server see them.

use psyche_core::event::Event;
use psyche_core::record::Record;

use super::redact::without_ids;
use super::survey::Survey;
use super::{Encoder, ExportError};

#[derive(Default)]
pub struct Json {
    session: Option<psyche_core::SessionId>,
    /// The event before.
    prev: u64,
    /// People whose ids are to be left out.
    hidden: Option<super::survey::People>,
    begun: bool,
}

impl Encoder for Json {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.session = Some(survey.provenance.session_id);
        self.prev = survey.provenance.from - 1;
        if survey.provenance.redacted.contains(&"names") {
            self.hidden = Some(survey.people.clone());
        }
        out.extend_from_slice(b"{\"provenance\":");
        serde_json::to_writer(&mut *out, &survey.provenance).map_err(|e| ExportError::Encode(e.to_string()))?;
        out.extend_from_slice(b",\"events\":[");
        Ok(())
    }

    fn event(&mut self, _: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let Some(session) = self.session else { return Ok(()) };
        let mut frame = event.frame(session, self.prev);
        if let Some(people) = &self.hidden {
            frame = without_ids(frame, people);
        }
        out.extend_from_slice(if self.begun { b",\n" } else { b"\n" });
        out.extend_from_slice(frame.as_bytes());
        (self.prev, self.begun) = (event.seq, true);
        Ok(())
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        out.extend_from_slice(b"\n]}\n");
        Ok(())
    }
}
