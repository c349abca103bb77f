//! A report in one HTML file: figures, where it comes from, the conversation. No script, nothing loaded from anywhere;
//! words are text and nothing else (XSS-01).

use std::fmt::Write as _;

use base64::Engine as _;
use psyche_core::event::{Event, Payload};
use psyche_core::record::Record;
use sha2::{Digest as _, Sha256};

use super::figures::{Anchor, Figure, Shape};
use super::rows::{Rows, Utterance};
use super::survey::Survey;
use super::{Encoder, ExportError};

const STYLE: &str = include_str!("report.css");

#[derive(Default)]
pub struct Html {
    rows: Rows,
    round: Option<u64>,
}

impl Encoder for Html {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.rows = Rows::new(survey);
        let (name, situation) = survey.title();
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"generator\" content=\"psyche {}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <header><h1>{}</h1><p>{}</p></header>\n<main>\n<section><h2>Where this comes from</h2><dl>\n",
            escaped(&survey.provenance.program_version),
            escaped(&name),
            escaped(&name),
            escaped(&situation)
        );
        for (key, value) in survey.facts() {
            let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escaped(key), escaped(&value));
        }
        page.push_str("</dl></section>\n<section><h2>Figures</h2>\n");
        let colours = survey.colours();
        let speaker = |id: &str| self.rows.name(id).to_owned();
        let colour = |id: &str| colours.get(id).cloned().unwrap_or_else(|| "#4d566b".to_owned());
        for figure in survey.figures.draw(&speaker, &colour) {
            svg(&figure, &mut page);
        }
        page.push_str("</section>\n<section><h2>Conversation</h2>\n");
        out.extend_from_slice(page.as_bytes());
        Ok(())
    }

    fn event(&mut self, record: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let mut text = String::new();
        if let Some(said) = self.rows.take(record, event) {
            self.put(&said, &mut text);
        }
        let note = match &event.payload {
            Payload::StimulusInjected(stimulus) => {
                Some(format!("{} stimulus: {}", stimulus.kind.name(), stimulus.text.as_str()))
            }
            Payload::TurnFailed(failed) => {
                Some(format!("{} could not speak", self.rows.name(failed.agent_id.as_str())))
            }
            Payload::Emergency(emergency) => Some(match emergency.action {
                psyche_core::event::EmergencyAction::Opened => "emergency paths opened".to_owned(),
                psyche_core::event::EmergencyAction::Closed => "emergency paths closed".to_owned(),
            }),
            Payload::Annotation(note) => Some(format!("note on {}: {}", note.target_seq, note.text.as_str())),
            Payload::Reset(_) => Some("reset".to_owned()),
            _ => None,
        };
        if let Some(note) = note {
            let _ = writeln!(text, "<p class=\"note\">{}</p>", escaped(&note));
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let mut text = String::new();
        if let Some(said) = self.rows.end() {
            self.put(&said, &mut text);
        }
        text.push_str("</section>\n</main>\n</body>\n</html>\n");
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Html {
    fn put(&mut self, said: &Utterance, text: &mut String) {
        let metadata = &said.message.metadata;
        if self.round != Some(metadata.round) {
            self.round = Some(metadata.round);
            let _ = writeln!(text, "<h3>Round {}</h3>", metadata.round);
        }
        let to = self.rows.recipient(said);
        let _ = writeln!(
            text,
            "<article><h4>{} → {} <small>{} · <time>{}</time> · {:+.2}</small></h4><p>{}</p></article>",
            escaped(&said.speaker),
            escaped(to),
            said.seq,
            said.at,
            said.message.sentiment.score,
            escaped(said.text())
        );
    }
}

fn svg(figure: &Figure, page: &mut String) {
    let Figure { title, width, height, shapes } = figure;
    let title = escaped(title);
    let _ = write!(
        page,
        "<figure><figcaption>{title}</figcaption><svg role=\"img\" aria-label=\"{title}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    );
    for shape in shapes {
        let _ = match shape {
            Shape::Line { points, colour, width } => {
                let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                write!(
                    page,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"/>",
                    path.join(" "),
                    escaped(colour)
                )
            }
            Shape::Rect { at: (x, y), size: (w, h), colour } => write!(
                page,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"{}\"/>",
                escaped(colour)
            ),
            Shape::Text { at: (x, y), text, anchor } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                write!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text))
            }
        };
    }
    page.push_str("</svg></figure>\n");
}

/// Text for element content and quoted attributes. Characters that no document may hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xss_01_words_are_text() {
        let hostile = "</p><script>alert('x')</script>\u{0}\"&";
        assert_eq!(escaped(hostile), "&lt;/p&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;");
    }
}
