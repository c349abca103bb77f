//! A session's log in the formats that others read, and back from the one that carries everything.
//!
//! An export reads the log twice: once to prove its chain and to learn what stands at the head of every format, once to
//! write. Only a batch of records, and what is counted over them, is in memory at a time.

mod columns;
mod csv;
mod figures;
mod html;
mod import;
mod json;
mod jsonl;
mod markdown;
mod options;
mod parquet;
mod pdf;
mod redact;
mod rows;
mod survey;

use psyche_core::SessionId;
use psyche_core::event::{DecodeError, Event};
use psyche_core::port::{EventLog, StoreError};
use psyche_core::record::{Broken, Record};

pub use import::{Fault, Import, Importer, Lines, MAX_LINE};
pub use options::{Format, Options, Redact};
pub use survey::{CastId, Provenance};

use redact::Redaction;
use survey::Survey;

/// Records read at a time.
const BATCH: usize = 500;

/// Why a log cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("there is no such session")]
    NotFound,
    /// An option cannot be: the field is named.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log is not whole, so it is not exported: {0}; run `psyche verify`")]
    Broken(#[from] Broken),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Whoever was to have it takes no more.
    #[error("the export could not be written: {0}")]
    Write(#[from] std::io::Error),
    #[error("the log does not begin with `session_created`; run `psyche verify`")]
    NoBeginning,
    #[error("the export could not be encoded: {0}")]
    Encode(String),
}

/// Writes one format.
pub(crate) trait Encoder: Send {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError>;
    /// The next event of the range. Words and names are redacted already.
    fn event(&mut self, record: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError>;
    fn end(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError>;
}

fn encoder(format: Format) -> Box<dyn Encoder> {
    match format {
        Format::Jsonl => Box::new(jsonl::Jsonl),
        Format::Json => Box::<json::Json>::default(),
        Format::Csv => Box::<csv::Csv>::default(),
        Format::Markdown => Box::<markdown::Markdown>::default(),
        Format::Html => Box::<html::Html>::default(),
        Format::Parquet => Box::<parquet::Parquet>::default(),
        Format::Pdf => Box::<pdf::Pdf>::default(),
    }
}

/// A log that was found whole and can be written.
pub struct Export<'a> {
    log: &'a dyn EventLog,
    id: SessionId,
    options: Options,
    survey: Survey,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("id", &self.id).field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a> Export<'a> {
    /// Reads the log up to the end of the range, proves its chain, and checks the options. `progress` is told of every
    /// event read; there are as many again to come in [`Export::write`].
    pub async fn prepare(
        log: &'a dyn EventLog,
        id: SessionId,
        options: Options,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Self, ExportError> {
        let survey = Survey::of(log, id, &options, &mut progress).await?;
        Ok(Self { log, id, options, survey })
    }

    /// What stands at the head of the export.
    pub fn provenance(&self) -> &Provenance {
        &self.survey.provenance
    }

    /// Events in the range.
    pub fn events(&self) -> u64 {
        self.survey.provenance.to + 1 - self.survey.provenance.from
    }

    /// What the file is to be called: made of the session's id, the range and the format alone.
    pub fn file_name(&self) -> String {
        let Provenance { from, to, .. } = self.survey.provenance;
        let range = if from > 1 || self.options.to.is_some() { format!("-{from}-{to}") } else { String::new() };
        format!("psyche-{}{range}.{}", self.id, self.options.format.extension())
    }

    /// Writes the export piece by piece. A sink that fails ends it.
    pub async fn write(
        mut self,
        mut sink: impl AsyncFnMut(Vec<u8>) -> Result<(), std::io::Error>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ExportError> {
        let mut encoder = encoder(self.options.format);
        let mut out = Vec::new();
        encoder.begin(&self.survey, &mut out)?;
        let Provenance { from, to, .. } = self.survey.provenance;
        let mut redaction = Redaction::new(self.options.redact, std::mem::take(&mut self.survey.quotes));
        let mut after = from - 1;
        while after < to {
            let wanted = BATCH.min(usize::try_from(to - after).unwrap_or(BATCH));
            let records = self.log.read(self.id, after, wanted).await?;
            let Some(last) = records.last() else { return Err(ExportError::NotFound) };
            after = last.seq;
            for record in records {
                let (record, event) = redaction.apply(record, &self.survey.people)?;
                encoder.event(&record, &event, &mut out)?;
            }
            progress(after);
            if !out.is_empty() {
                sink(std::mem::take(&mut out)).await?;
            }
        }
        encoder.end(&self.survey, &mut out)?;
        Ok(sink(out).await?)
    }
}
