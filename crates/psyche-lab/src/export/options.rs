//! What to export, and how.

use std::str::FromStr;

/// A format of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Everything: gives back an identical log.
    Jsonl,
    /// The events as clients see them.
    Json,
    /// A row for each utterance.
    Csv,
    /// A transcript to read.
    Markdown,
    /// A report with figures, in one file.
    Html,
    /// The same on paper.
    Pdf,
    /// The rows of CSV in typed columns.
    Parquet,
}

impl Format {
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Jsonl, Self::Csv, Self::Markdown, Self::Html, Self::Parquet, Self::Pdf];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Parquet => "parquet",
            Self::Pdf => "pdf",
        }
    }

    /// Whether it shows the session as a whole.
    pub fn has_figures(self) -> bool {
        matches!(self, Self::Html | Self::Pdf)
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            other => other.name(),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Pdf => "application/pdf",
        }
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What is left out (docs/guide/exports.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// Everything people wrote, and quotations of it in the words of agents, as if all of them had been erased.
    pub words: bool,
    /// Who people are: ids and user names read `person-1`, `person-2` …
    pub names: bool,
}

impl Redact {
    pub fn names_of(self) -> Vec<&'static str> {
        [(self.words, "words"), (self.names, "names")].into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect()
    }
}

impl FromStr for Redact {
    type Err = String;
    /// `words`, `names`, both with a comma, or nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut redact = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "words" => redact.words = true,
                "names" => redact.names = true,
                _ => return Err("must be of words, names".to_owned()),
            }
        }
        Ok(redact)
    }
}

/// What to export, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// First and last event; all of them when absent.
    pub from: Option<u64>,
    pub to: Option<u64>,
    pub redact: Redact,
    /// At most so many utterances, for a look at what will come.
    pub limit: Option<u64>,
    /// The program's version.
    pub version: String,
}
