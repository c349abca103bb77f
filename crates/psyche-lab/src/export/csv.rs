//! CSV (RFC 4180): a row for each utterance.

use std::fmt::Write as _;

use psyche_core::event::Event;
use psyche_core::record::Record;

use super::columns::{Cell, Column, columns};
use super::rows::{Rows, Utterance};
use super::survey::Survey;
use super::{Encoder, ExportError};

#[derive(Default)]
pub struct Csv {
    rows: Rows,
    columns: Vec<Column>,
}

impl Encoder for Csv {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        (self.rows, self.columns) = (Rows::new(survey), columns(survey));
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        out.extend_from_slice(names.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn event(&mut self, record: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(said) = self.rows.take(record, event) {
            self.put(&said, out);
        }
        Ok(())
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(said) = self.rows.end() {
            self.put(&said, out);
        }
        Ok(())
    }
}

impl Csv {
    fn put(&self, said: &Utterance, out: &mut Vec<u8>) {
        let mut row = Row::default();
        for column in &self.columns {
            row.cell(column.cell(said));
        }
        out.extend_from_slice(row.0.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// A line without its end.
#[derive(Default)]
struct Row(String, bool);

impl Row {
    fn cell(&mut self, cell: Option<Cell<'_>>) {
        if std::mem::replace(&mut self.1, true) {
            self.0.push(',');
        }
        // Values of ours need no care.
        let _ = match cell {
            None => Ok(()),
            Some(Cell::Count(count)) => write!(self.0, "{count}"),
            Some(Cell::Number(number)) => write!(self.0, "{number}"),
            Some(Cell::Flag(flag)) => write!(self.0, "{flag}"),
            Some(Cell::Time(time)) => write!(self.0, "{time}"),
            Some(Cell::Text(text)) => {
                self.text(&text);
                Ok(())
            }
        };
    }

    /// Words: a spreadsheet must take them for words (CSV-01).
    fn text(&mut self, text: &str) {
        let text = neutralised(text);
        if text.contains([',', '"', '\r', '\n']) {
            self.0.push('"');
            self.0.push_str(&text.replace('"', "\"\""));
            self.0.push('"');
        } else {
            self.0.push_str(&text);
        }
    }
}

/// What a spreadsheet would run gets an apostrophe before it; so does what looks like the result, so that taking one
/// apostrophe away again is exact.
fn neutralised(text: &str) -> std::borrow::Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_01_cells_that_a_spreadsheet_would_run_are_words() {
        let cases = [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-2", "'-2"),
            ("@sum", "'@sum"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("'=x", "''=x"),
            ("'tis", "'tis"),
            ("a, b", "\"a, b\""),
            ("say \"no\"\n", "\"say \"\"no\"\"\n\""),
            ("", ""),
        ];
        for (text, cell) in cases {
            let mut row = Row::default();
            row.text(text);
            assert_eq!(row.0, cell, "{text:?}");
        }
    }
}
