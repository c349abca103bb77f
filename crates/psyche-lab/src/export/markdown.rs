//! Markdown: a transcript to read, with where it comes from as YAML at its head.

use std::fmt::Write as _;

use psyche_core::event::{Event, Payload};
use psyche_core::record::Record;

use super::rows::{Rows, Utterance};
use super::survey::Survey;
use super::{Encoder, ExportError};

#[derive(Default)]
pub struct Markdown {
    rows: Rows,
    round: Option<u64>,
}

impl Encoder for Markdown {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.rows = Rows::new(survey);
        let from = &survey.provenance;
        let value = serde_json::to_value(from).map_err(|e| ExportError::Encode(e.to_string()))?;
        let (name, situation) = survey.title();
        // JSON is YAML: every value is written as JSON.
        let mut head = format!("---\ntitle: {}\n", serde_json::Value::from(name.as_str()));
        for (key, value) in value.as_object().into_iter().flatten() {
            let _ = writeln!(head, "{key}: {value}");
        }
        let _ = write!(head, "---\n\n# {}\n\n{}\n\n", escaped(&name), escaped(&situation));
        out.extend_from_slice(head.as_bytes());
        Ok(())
    }

    fn event(&mut self, record: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let mut text = String::new();
        if let Some(said) = self.rows.take(record, event) {
            self.put(&said, &mut text);
        }
        let _ = match &event.payload {
            Payload::StimulusInjected(stimulus) => {
                writeln!(text, "> *{} stimulus*: {}\n", stimulus.kind.name(), escaped(stimulus.text.as_str()))
            }
            Payload::TurnFailed(failed) => {
                writeln!(text, "> *{} could not speak*\n", escaped(self.rows.name(failed.agent_id.as_str())))
            }
            Payload::Emergency(emergency) => {
                let action = match emergency.action {
                    psyche_core::event::EmergencyAction::Opened => "opened",
                    psyche_core::event::EmergencyAction::Closed => "closed",
                };
                writeln!(text, "> *emergency paths {action}*\n")
            }
            Payload::Reset(_) => writeln!(text, "> *reset*\n"),
            Payload::Annotation(note) => {
                writeln!(text, "> *note on {}*: {}\n", note.target_seq, escaped(note.text.as_str()))
            }
            _ => Ok(()),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let mut text = String::new();
        if let Some(said) = self.rows.end() {
            self.put(&said, &mut text);
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Markdown {
    fn put(&mut self, said: &Utterance, text: &mut String) {
        let metadata = &said.message.metadata;
        if self.round != Some(metadata.round) {
            self.round = Some(metadata.round);
            let _ = writeln!(text, "## Round {}\n", metadata.round);
        }
        let to = self.rows.recipient(said);
        let _ = writeln!(
            text,
            "**{}** → {} · {} · {} · {:+.2}\n\n{}\n",
            escaped(&said.speaker),
            escaped(to),
            said.seq,
            said.at,
            said.message.sentiment.score,
            escaped(said.text())
        );
    }
}

/// Words as words: nothing in them is markup, HTML or a link (XSS-01).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (i, line) in text.lines().map(str::trim).enumerate() {
        if i > 0 {
            out.push('\n');
        }
        for (at, c) in line.char_indices() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                // A number before one of these begins a list.
                '.' | ')' if line[..at].bytes().all(|b| b.is_ascii_digit()) => out.extend(['\\', c]),
                '-' | '+' | '=' if at == 0 => out.extend(['\\', c]),
                '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' | ':' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xss_01_words_are_no_markup() {
        let cases = [
            ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
            ("![x](http://e.org)", "\\!\\[x\\](http\\://e.org)"),
            ("# no title", "\\# no title"),
            ("- no list\n1. nor this\n    nor code", "\\- no list\n1\\. nor this\nnor code"),
            ("---", "\\---"),
            ("*so* _what_ `then`", "\\*so\\* \\_what\\_ \\`then\\`"),
            ("a.b 3.5 – ü Ψ", "a.b 3.5 – ü Ψ"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }
}
