//! JSON Lines: a head, then every record with its texts. It gives back an identical log (`import.rs`).

use psyche_core::Timestamp;
use psyche_core::event::Event;
use psyche_core::record::Record;
use psyche_core::words::Hash;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::survey::{Provenance, Survey};
use super::{Encoder, ExportError};

/// What the first line says the file is.
pub const FORMAT: &str = "psyche-log";
/// Version of the lines' form. A reader refuses one it does not know.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

/// A record as a line. `body` comes last and is, byte for byte, what was hashed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub seq: u64,
    #[serde(rename = "gen")]
    pub generation: u32,
    pub at: Timestamp,
    pub kind: String,
    pub v: u16,
    pub hash: Hash,
    pub texts: Vec<LineText>,
    pub body: Box<RawValue>,
}

/// A text of a record. Without `text` it was erased, and then there is no salt either.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineText {
    pub field: String,
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
}

pub struct Jsonl;

impl Encoder for Jsonl {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        put(out, &Head { format: FORMAT, version: VERSION, provenance: &survey.provenance })
    }

    fn event(&mut self, record: &Record, _: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let texts = record.texts.iter().map(|text| LineText {
            field: text.field.clone(),
            subject: text.subject.to_string(),
            salt: text.text.is_some().then(|| hex::encode(text.salt)),
            text: text.text.clone(),
            masked: text.masked,
        });
        let body = RawValue::from_string(record.body.clone()).map_err(|e| ExportError::Encode(e.to_string()))?;
        let line = Line {
            seq: record.seq,
            generation: record.generation,
            at: record.at,
            kind: record.kind.clone(),
            v: record.version,
            hash: record.hash,
            texts: texts.collect(),
            body,
        };
        put(out, &line)
    }

    fn end(&mut self, _: &Survey, _: &mut Vec<u8>) -> Result<(), ExportError> {
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, line).map_err(|e| ExportError::Encode(e.to_string()))?;
    out.push(b'\n');
    Ok(())
}
