//! A report as PDF: the same as the HTML one, on paper. Text is set in an embedded font and can be copied and searched,
//! also where the font has no glyph for it. Right-to-left scripts are not set in their order.

use std::collections::HashMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf as Document, Rect, Ref, Str, TextStr};
use psyche_core::event::{Event, Payload};
use psyche_core::record::Record;
use ttf_parser::{Face, GlyphId};
use unicode_normalization::UnicodeNormalization as _;

use super::figures::{Anchor, Figure, Shape};
use super::rows::{Rows, Utterance};
use super::survey::Survey;
use super::{Encoder, ExportError};

/// DejaVu Sans, with the characters of Latin, Greek and Cyrillic scripts (fonts/LICENSE).
const REGULAR: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");
/// Stands for characters the font does not have.
const MISSING: char = '□';
/// A4 in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 54.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// A font, and the characters that were set in it: each has a code of its own.
struct Font {
    face: Face<'static>,
    data: &'static [u8],
    name: &'static [u8],
    codes: HashMap<char, u16>,
    /// Character, glyph and width of each code, from 1 on.
    used: Vec<(char, GlyphId, f32)>,
}

impl Font {
    fn new(data: &'static [u8], name: &'static [u8]) -> Result<Self, ExportError> {
        let face = Face::parse(data, 0).map_err(|e| ExportError::Encode(e.to_string()))?;
        Ok(Self { face, data, name, codes: HashMap::new(), used: Vec::new() })
    }

    fn scale(&self, units: i32) -> f32 {
        units as f32 * 1000.0 / f32::from(self.face.units_per_em())
    }

    fn code(&mut self, c: char) -> u16 {
        if let Some(code) = self.codes.get(&c) {
            return *code;
        }
        // A document with more different characters than codes shows the rest as missing.
        if self.used.len() >= usize::from(u16::MAX) - 1 && c != MISSING {
            return self.code(MISSING);
        }
        let glyph = self.face.glyph_index(c).or_else(|| self.face.glyph_index(MISSING)).unwrap_or_default();
        let width = self.scale(self.face.glyph_hor_advance(glyph).unwrap_or_default().into());
        self.used.push((c, glyph, width));
        let code = self.used.len() as u16;
        self.codes.insert(c, code);
        code
    }

    fn encode(&mut self, text: &str) -> Vec<u8> {
        text.chars().flat_map(|c| self.code(c).to_be_bytes()).collect()
    }

    fn width(&mut self, text: &str, size: f32) -> f32 {
        let mut width = 0.0;
        for c in text.chars() {
            let code = self.code(c);
            width += self.used[usize::from(code) - 1].2;
        }
        width * size / 1000.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Regular,
    Bold,
}

impl Weight {
    fn resource(self) -> Name<'static> {
        match self {
            Self::Regular => Name(b"F0"),
            Self::Bold => Name(b"F1"),
        }
    }
}

/// Pages being set.
struct Sheets {
    document: Document,
    next: i32,
    pages: Vec<Ref>,
    content: Content,
    /// Where the next line goes, from the page's lower edge.
    y: f32,
    fonts: [Font; 2],
    footer: String,
}

const CATALOG: Ref = Ref::new(1);
const TREE: Ref = Ref::new(2);
const INFO: Ref = Ref::new(3);
const FONTS: [Ref; 2] = [Ref::new(4), Ref::new(5)];
const FIRST_FREE: i32 = 6;

impl Sheets {
    fn new(title: &str, footer: String) -> Result<Self, ExportError> {
        let mut document = Document::new();
        document.catalog(CATALOG).pages(TREE).lang(TextStr("en"));
        document.document_info(INFO).title(TextStr(title)).producer(TextStr("psyche"));
        let fonts = [Font::new(REGULAR, b"PSYCHE+DejaVuSans")?, Font::new(BOLD, b"PSYCHE+DejaVuSans-Bold")?];
        let y = PAGE.1 - MARGIN;
        Ok(Self { document, next: FIRST_FREE, pages: Vec::new(), content: Content::new(), y, fonts, footer })
    }

    fn reference(&mut self) -> Ref {
        self.next += 1;
        Ref::new(self.next - 1)
    }

    fn font(&mut self, weight: Weight) -> &mut Font {
        &mut self.fonts[usize::from(weight == Weight::Bold)]
    }

    /// One line at a place.
    fn set(&mut self, at: (f32, f32), text: &str, size: f32, weight: Weight) {
        let bytes = self.font(weight).encode(text);
        self.content.begin_text().set_font(weight.resource(), size);
        self.content.next_line(at.0, at.1).show(Str(&bytes)).end_text();
    }

    /// Makes sure that so much fits on the page.
    fn room(&mut self, height: f32) -> Result<(), ExportError> {
        if self.y - height < MARGIN { self.turn() } else { Ok(()) }
    }

    /// Ends the page.
    fn turn(&mut self) -> Result<(), ExportError> {
        let footer = format!("{} · {}", self.footer, self.pages.len() + 1);
        self.set((MARGIN, MARGIN / 2.0), &footer, 7.0, Weight::Regular);
        let content = std::mem::replace(&mut self.content, Content::new()).finish();
        let (page, stream) = (self.reference(), self.reference());
        let bytes = deflated(&content)?;
        self.document.stream(stream, &bytes).filter(Filter::FlateDecode);
        let mut sheet = self.document.page(page);
        sheet.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(TREE).contents(stream);
        let mut resources = sheet.resources();
        let mut fonts = resources.fonts();
        fonts.pair(Weight::Regular.resource(), FONTS[0]).pair(Weight::Bold.resource(), FONTS[1]);
        fonts.finish();
        resources.finish();
        sheet.finish();
        self.pages.push(page);
        self.y = PAGE.1 - MARGIN;
        Ok(())
    }

    /// Text in lines as long as the page is wide.
    fn paragraph(&mut self, text: &str, size: f32, weight: Weight) -> Result<(), ExportError> {
        for line in text.lines() {
            let line: String = line.nfc().filter(|c| !c.is_control()).collect();
            for line in self.broken(&line, size, weight) {
                self.room(size * 1.4)?;
                self.y -= size * 1.4;
                let at = (MARGIN, self.y);
                self.set(at, &line, size, weight);
            }
        }
        self.y -= size * 0.4;
        Ok(())
    }

    /// Breaks at blanks, and within words that are longer than a line.
    fn broken(&mut self, text: &str, size: f32, weight: Weight) -> Vec<String> {
        let font = self.font(weight);
        let (mut lines, mut line, mut width) = (Vec::new(), String::new(), 0.0);
        for word in text.split_inclusive(' ') {
            let wide = font.width(word, size);
            if width + wide > WIDTH && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                width = 0.0;
            }
            if wide <= WIDTH {
                line.push_str(word);
                width += wide;
                continue;
            }
            for c in word.chars() {
                let wide = font.width(c.encode_utf8(&mut [0; 4]), size);
                if width + wide > WIDTH {
                    lines.push(std::mem::take(&mut line));
                    width = 0.0;
                }
                line.push(c);
                width += wide;
            }
        }
        lines.push(line);
        lines
    }

    fn figure(&mut self, figure: &Figure) -> Result<(), ExportError> {
        let scale = (WIDTH / figure.width as f32).min(1.0);
        let height = figure.height as f32 * scale;
        self.room((height + 30.0).min(PAGE.1 - 2.0 * MARGIN - 1.0))?;
        self.paragraph(&figure.title, 10.0, Weight::Bold)?;
        let top = self.y;
        let place = |(x, y): (f64, f64)| (MARGIN + x as f32 * scale, top - y as f32 * scale);
        for shape in &figure.shapes {
            match shape {
                Shape::Line { points, colour, width } => {
                    let [r, g, b] = channels(colour);
                    self.content.set_stroke_rgb(r, g, b).set_line_width(*width as f32 * scale);
                    for (i, point) in points.iter().enumerate() {
                        let (x, y) = place(*point);
                        if i == 0 {
                            self.content.move_to(x, y)
                        } else {
                            self.content.line_to(x, y)
                        };
                    }
                    self.content.stroke();
                }
                Shape::Rect { at: (x, y), size: (w, h), colour } => {
                    let [r, g, b] = channels(colour);
                    let (x, y) = place((*x, *y + *h));
                    self.content.set_fill_rgb(r, g, b);
                    self.content.rect(x, y, *w as f32 * scale, *h as f32 * scale).fill_nonzero();
                    self.content.set_fill_rgb(0.0, 0.0, 0.0);
                }
                Shape::Text { at, text, anchor } => {
                    let size = 8.0 * scale;
                    let (x, y) = place(*at);
                    let wide = self.font(Weight::Regular).width(text, size);
                    let back = match anchor {
                        Anchor::Start => 0.0,
                        Anchor::Middle => wide / 2.0,
                        Anchor::End => wide,
                    };
                    self.set((x - back, y), text, size, Weight::Regular);
                }
            }
        }
        self.y -= height + 8.0;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        self.turn()?;
        let [regular, bold] = &self.fonts;
        for (font, reference) in [regular, bold].into_iter().zip(FONTS) {
            embed(font, reference, &mut self.document, &mut self.next)?;
        }
        self.document.pages(TREE).kids(self.pages.iter().copied()).count(self.pages.len() as i32);
        Ok(self.document.finish())
    }
}

/// Writes a font with the codes that were used.
fn embed(font: &Font, id: Ref, document: &mut Document, next: &mut i32) -> Result<(), ExportError> {
    let mut reference = || {
        *next += 1;
        Ref::new(*next - 1)
    };
    let (descendant, descriptor, file, unicode, glyphs) =
        (reference(), reference(), reference(), reference(), reference());
    let name = Name(font.name);
    document
        .type0_font(id)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(descendant)
        .to_unicode(unicode);
    let mut cid = document.cid_font(descendant);
    cid.subtype(CidFontType::Type2).base_font(name).system_info(SYSTEM).font_descriptor(descriptor);
    cid.default_width(0.0).cid_to_gid_map_stream(glyphs);
    cid.widths().consecutive(1, font.used.iter().map(|(_, _, width)| *width)).finish();
    cid.finish();
    let bounds = font.face.global_bounding_box();
    let [left, low, right, high] =
        [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|side| font.scale(side.into()));
    document
        .font_descriptor(descriptor)
        .name(name)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(left, low, right, high))
        .italic_angle(0.0)
        .ascent(font.scale(font.face.ascender().into()))
        .descent(font.scale(font.face.descender().into()))
        .cap_height(font.scale(font.face.capital_height().unwrap_or_default().into()))
        .stem_v(90.0)
        .font_file2(file);
    let bytes = deflated(font.data)?;
    let mut stream = document.stream(file, &bytes);
    stream.filter(Filter::FlateDecode);
    stream.pair(Name(b"Length1"), font.data.len() as i32);
    stream.finish();
    let mut map = UnicodeCmap::new(Name(b"Psyche"), SYSTEM);
    // Code 0 is no character.
    let mut to_glyph = vec![0, 0];
    for (code, (c, glyph, _)) in (1_u16..).zip(&font.used) {
        map.pair(code, *c);
        to_glyph.extend(glyph.0.to_be_bytes());
    }
    let bytes = deflated(&map.finish())?;
    document.stream(unicode, &bytes).filter(Filter::FlateDecode);
    let bytes = deflated(&to_glyph)?;
    document.stream(glyphs, &bytes).filter(Filter::FlateDecode);
    Ok(())
}

fn deflated(bytes: &[u8]) -> Result<Vec<u8>, ExportError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Red, green and blue of `#rrggbb`.
fn channels(colour: &str) -> [f32; 3] {
    let channel = |i: usize| colour.get(i..i + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    [channel(1), channel(3), channel(5)].map(|c| f32::from(c) / 255.0)
}

#[derive(Default)]
pub struct Pdf {
    rows: Rows,
    round: Option<u64>,
    sheets: Option<Sheets>,
}

impl Encoder for Pdf {
    fn begin(&mut self, survey: &Survey, _: &mut Vec<u8>) -> Result<(), ExportError> {
        self.rows = Rows::new(survey);
        let (name, situation) = survey.title();
        let from = &survey.provenance;
        let footer = format!("session {} · log {}", from.session_id, from.log_hash);
        let mut sheets = Sheets::new(&name, footer)?;
        sheets.paragraph(&name, 18.0, Weight::Bold)?;
        sheets.paragraph(&situation, 10.0, Weight::Regular)?;
        sheets.paragraph("Where this comes from", 13.0, Weight::Bold)?;
        for (key, value) in survey.facts() {
            sheets.paragraph(&format!("{key}: {value}"), 9.0, Weight::Regular)?;
        }
        sheets.paragraph("Figures", 13.0, Weight::Bold)?;
        let colours = survey.colours();
        let speaker = |id: &str| self.rows.name(id).to_owned();
        let colour = |id: &str| colours.get(id).cloned().unwrap_or_else(|| "#4d566b".to_owned());
        for figure in survey.figures.draw(&speaker, &colour) {
            sheets.figure(&figure)?;
        }
        sheets.turn()?;
        sheets.paragraph("Conversation", 13.0, Weight::Bold)?;
        self.sheets = Some(sheets);
        Ok(())
    }

    fn event(&mut self, record: &Record, event: &Event, _: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(said) = self.rows.take(record, event) {
            self.put(&said)?;
        }
        let Some(sheets) = &mut self.sheets else { return Ok(()) };
        let note = match &event.payload {
            Payload::StimulusInjected(s) => format!("— {} stimulus: {} —", s.kind.name(), s.text.as_str()),
            Payload::TurnFailed(failed) => {
                format!("— {} could not speak —", self.rows.name(failed.agent_id.as_str()))
            }
            Payload::Annotation(note) => format!("— note on {}: {} —", note.target_seq, note.text.as_str()),
            _ => return Ok(()),
        };
        sheets.paragraph(&note, 9.0, Weight::Regular)
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(said) = self.rows.end() {
            self.put(&said)?;
        }
        if let Some(sheets) = self.sheets.take() {
            out.extend(sheets.finish()?);
        }
        Ok(())
    }
}

impl Pdf {
    fn put(&mut self, said: &Utterance) -> Result<(), ExportError> {
        let Some(sheets) = &mut self.sheets else { return Ok(()) };
        let metadata = &said.message.metadata;
        if self.round != Some(metadata.round) {
            self.round = Some(metadata.round);
            sheets.room(60.0)?;
            sheets.paragraph(&format!("Round {}", metadata.round), 11.0, Weight::Bold)?;
        }
        let to = self.rows.recipient(said);
        let head = format!("{} → {to} · {} · {:+.2}", said.speaker, said.seq, said.message.sentiment.score);
        sheets.room(34.0)?;
        sheets.paragraph(&head, 8.5, Weight::Bold)?;
        sheets.paragraph(said.text(), 10.0, Weight::Regular)
    }
}
