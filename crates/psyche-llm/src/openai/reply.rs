//! From the bytes of an answer to the events of a reply. Pure: no clock, no socket, the same events however the bytes
//! are cut.

use std::collections::VecDeque;

use psyche_core::port::{Finish, ModelError, ModelErrorKind, ModelEvent, Usage};
use serde_json::Value;

use super::chunk::{self, Chunk, Ending, Payload};
use super::speech::{Opener, Part, ReasoningLeaked, Think};
use super::sse::{LINE_CAP, Line, LineTooLong, Lines};
use super::status;
use crate::failure::{Explain, bad_answer, failure, server_error};

/// A reply's speech, and its reasoning, may each be this long.
pub const TEXT_CAP: usize = 256 * 1024;
/// An answer in one piece: the text, its escapes and what stands around it.
const BODY_CAP: usize = 4 * TEXT_CAP;
/// An event is one line in practice; the bound keeps a hostile one from being parsed again and again.
const EVENT_LINES: usize = 64;

/// Reads one answer. After an error, or once [`ReplyReader::is_over`], it is not to be fed further.
#[derive(Debug)]
pub struct ReplyReader {
    form: Form,
    think: Think,
    opener: Opener,
    speech_bytes: usize,
    reasoning_bytes: usize,
    spoke: bool,
    finish: Option<Finish>,
    usage: Option<Usage>,
    logprob_sum: f64,
    logprob_count: u32,
    is_over: bool,
}

#[derive(Debug)]
enum Form {
    /// Nothing but white space so far.
    Unknown,
    Stream(Events),
    /// One JSON document, from a server that does not stream or that answers with an error.
    Document(Vec<u8>),
}

#[derive(Debug, Default)]
struct Events {
    lines: Lines,
    data: String,
    data_lines: usize,
    is_error: bool,
}

impl ReplyReader {
    pub fn new(opener: Option<&str>) -> Self {
        Self {
            form: Form::Unknown,
            think: Think::default(),
            opener: Opener::new(opener),
            speech_bytes: 0,
            reasoning_bytes: 0,
            spoke: false,
            finish: None,
            usage: None,
            logprob_sum: 0.0,
            logprob_count: 0,
            is_over: false,
        }
    }

    /// The server said that nothing more comes.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The reply is complete, though usage may still follow.
    pub fn has_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// Adds what `bytes` say to `out`. Events read before an error are in `out` too.
    pub fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let bytes = if matches!(self.form, Form::Unknown) { self.recognise(bytes)? } else { bytes };
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Document(body) if body.len() + bytes.len() > BODY_CAP => Err(too_long("answer", BODY_CAP)),
            Form::Document(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Form::Stream(events) => {
                // Lines before one that is too long still count, so that the cut of the bytes changes nothing.
                let mut lines = Vec::new();
                let read = events.lines.push(bytes, &mut lines);
                self.read_lines(lines, out)?;
                if self.is_over { Ok(()) } else { read.map_err(|LineTooLong| too_long("line", LINE_CAP)) }
            }
        }
    }

    /// Says how the reply ended, once the answer is at its end or the server said so.
    pub fn finish(mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if !self.is_over {
            match std::mem::replace(&mut self.form, Form::Unknown) {
                Form::Unknown => return Err(bad_answer("the model server sent an empty answer")),
                Form::Document(body) => self.read_document(&body, out)?,
                Form::Stream(mut events) => {
                    let mut last: Vec<Line> = events.lines.finish().into_iter().collect();
                    last.push(Line::Blank);
                    self.form = Form::Stream(events);
                    self.read_lines(last, out)?;
                }
            }
        }
        for part in self.think.finish() {
            self.take_part(part, out)?;
        }
        let rest = self.opener.finish();
        self.speak(rest, out)?;
        self.done(out)
    }

    fn done(self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let Some(finish) = self.finish.or(self.is_over.then_some(Finish::Stop)) else {
            return Err(bad_answer("the model server's answer broke off before its end"));
        };
        if !self.spoke && finish != Finish::Filtered {
            return Err(if self.reasoning_bytes > 0 {
                bad_answer(
                    "the model only reasoned and said nothing: allow it more tokens, or choose a model without reasoning",
                )
            } else {
                bad_answer("the model's reply was empty")
            });
        }
        let confidence =
            (self.logprob_count > 0).then(|| (self.logprob_sum / f64::from(self.logprob_count)).exp().min(1.0));
        out.push_back(ModelEvent::Done { finish, usage: self.usage, confidence });
        Ok(())
    }

    /// Decides by the first visible byte, since servers are careless with the content type.
    fn recognise<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ModelError> {
        let bytes = bytes.trim_ascii_start();
        match bytes.first() {
            None => {}
            Some(b'{' | b'[') => self.form = Form::Document(Vec::new()),
            Some(b'<') => return Err(bad_answer("the model server answered with a page (HTML): check `base_url`")),
            Some(_) => self.form = Form::Stream(Events::default()),
        }
        Ok(bytes)
    }

    fn read_document(&mut self, body: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| not_json(&String::from_utf8_lossy(body)))?;
        self.take_value(&value, false, out)?;
        // A whole document has no end to wait for.
        self.is_over = true;
        Ok(())
    }

    fn read_lines(&mut self, lines: Vec<Line>, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        for line in lines {
            if self.is_over {
                break;
            }
            let Form::Stream(events) = &mut self.form else { break };
            match line {
                Line::Event(name) => events.is_error = name.trim() == "error",
                Line::Error(text) => {
                    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    self.take_value(&value, true, out)?;
                }
                Line::Data(text) => {
                    // Some servers leave out the blank line between events, so each line is tried as it comes.
                    let is_error = events.is_error;
                    match events.add(&text)? {
                        Step::Wait => {}
                        Step::Over => self.is_over = true,
                        Step::Value(value) => self.take_value(&value, is_error, out)?,
                    }
                }
                Line::Blank => {
                    events.is_error = false;
                    events.data_lines = 0;
                    let left = std::mem::take(&mut events.data);
                    if !left.trim().is_empty() {
                        return Err(not_json(&left));
                    }
                }
            }
        }
        Ok(())
    }

    fn take_value(&mut self, value: &Value, is_error: bool, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        match chunk::read(value, is_error) {
            Payload::Error(upstream) => Err(status::upstream_error(&upstream)),
            Payload::Chunk(chunk) => self.take_chunk(chunk, out),
        }
    }

    fn take_chunk(&mut self, chunk: Chunk, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        self.reason(chunk.reasoning, out)?;
        for part in self.think.push(&chunk.text).map_err(|ReasoningLeaked| leaked())? {
            self.take_part(part, out)?;
        }
        if !chunk.text.is_empty() && !self.think.is_inside() {
            self.logprob_sum += chunk.logprobs.iter().sum::<f64>();
            self.logprob_count += chunk.logprobs.len() as u32;
        }
        self.usage = chunk.usage.or(self.usage);
        match chunk.finish {
            Some(Ending::Broken) => Err(server_error("the model server gave up in the middle of the reply")),
            Some(Ending::Whole(finish)) => {
                // A refusal told before the end is not taken back by a plain `stop`.
                if self.finish != Some(Finish::Filtered) {
                    self.finish = Some(finish);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_part(&mut self, part: Part, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        match part {
            Part::Reasoning(text) => self.reason(text, out),
            Part::Speech(text) => {
                let text = self.opener.push(&text);
                self.speak(text, out)
            }
        }
    }

    fn reason(&mut self, text: String, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if text.is_empty() {
            return Ok(());
        }
        self.reasoning_bytes += text.len();
        if self.reasoning_bytes > TEXT_CAP {
            return Err(too_long("reasoning", TEXT_CAP));
        }
        out.push_back(ModelEvent::Reasoning(text));
        Ok(())
    }

    fn speak(&mut self, text: String, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if text.is_empty() {
            return Ok(());
        }
        self.speech_bytes += text.len();
        if self.speech_bytes > TEXT_CAP {
            return Err(too_long("reply", TEXT_CAP));
        }
        self.spoke |= !text.trim().is_empty();
        out.push_back(ModelEvent::Text(text));
        Ok(())
    }
}

enum Step {
    Wait,
    Over,
    Value(Value),
}

impl Events {
    fn add(&mut self, line: &str) -> Result<Step, ModelError> {
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        self.data.push_str(line);
        self.data_lines += 1;
        if self.data.trim() == "[DONE]" {
            return Ok(Step::Over);
        }
        if let Ok(value) = serde_json::from_str(&self.data) {
            self.data.clear();
            self.data_lines = 0;
            return Ok(Step::Value(value));
        }
        if self.data_lines >= EVENT_LINES || self.data.len() > TEXT_CAP {
            return Err(not_json(&self.data));
        }
        Ok(Step::Wait)
    }
}

fn not_json(text: &str) -> ModelError {
    bad_answer("the model server sent something that is not JSON: is `base_url` a chat-completions server?")
        .detail(text)
}

fn too_long(what: &str, cap: usize) -> ModelError {
    bad_answer(format!("the model server's {what} is longer than {} KiB and was cut off", cap / 1024))
}

fn leaked() -> ModelError {
    let message = "the model server mixes reasoning into the reply without marking its beginning: switch on its reasoning \
                   parser, or choose a model without reasoning";
    failure(ModelErrorKind::BadAnswer, message, false)
}
