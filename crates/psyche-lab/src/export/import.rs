//! Reading JSON Lines back: every line is checked before any of them is kept (docs/adr/0004).

use std::collections::{BTreeMap, HashSet};

use psyche_core::cast::MAX_AGENTS;
use psyche_core::event::{Event, Payload};
use psyche_core::measure::Vader;
use psyche_core::port::SessionSummary;
use psyche_core::record::{Checker, Record, Text};
use psyche_core::session::{Command, Inputs, Session, SessionStatus};
use psyche_core::words::{ERASED, Hash, Salts, commitment};
use psyche_core::{SessionId, Timestamp, UserId};
use serde::Deserialize;

use super::jsonl::{FORMAT, Line, LineText, VERSION};

/// Bytes of a line at most.
pub const MAX_LINE: usize = 4 << 20;
/// Times are within these: what comes after is no date that all readers can write.
const LATEST: Timestamp = Timestamp(253_370_764_800_000_000);
/// Turn numbers, as far as all readers count exactly.
const MAX_NUMBER: u64 = 1 << 53;
/// Fields that the frame of every event has already.
const FRAME: [&str; 6] = ["type", "session_id", "gen", "seq", "prev", "timestamp"];

/// Why a file cannot be imported. Says nothing of what stands in the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Fault {
    pub line: u64,
    pub message: String,
}

/// What a file came to: a log that is whole, and the row of its session.
#[derive(Debug)]
pub struct Import {
    pub records: Vec<Record>,
    pub summary: SessionSummary,
    /// Events that were added because the log ends in the middle of a run: turns under way are abandoned, and the session
    /// is paused.
    pub added: u64,
    /// The session it was exported from, as the file says.
    pub origin: SessionId,
}

/// What is read of the first line.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
    session_id: SessionId,
    log_hash: Hash,
    from: u64,
    to: u64,
}

/// Takes a file line by line.
#[derive(Debug)]
pub struct Importer {
    id: SessionId,
    owner: UserId,
    line: u64,
    /// Last event and its hash, as the head says.
    end: Option<(u64, Hash)>,
    origin: SessionId,
    checker: Checker,
    session: Option<Session>,
    turns: HashSet<u64>,
    commands: HashSet<String>,
    records: Vec<Record>,
}

impl Importer {
    /// `id` is the new session's, `owner` who imports it: neither is taken from the file.
    pub fn new(id: SessionId, owner: UserId) -> Self {
        Self {
            id,
            owner,
            line: 0,
            end: None,
            origin: id,
            checker: Checker::default(),
            session: None,
            turns: HashSet::new(),
            commands: HashSet::new(),
            records: Vec::new(),
        }
    }

    /// Takes the next line, without its line break.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.line += 1;
        let number = self.line;
        let taken = if self.end.is_none() { self.head(line) } else { self.record(line) };
        taken.map_err(|message| Fault { line: number, message })
    }

    /// The whole log, once every line was taken. `now` and `salts` are for the events that are added.
    pub fn finish(mut self, now: Timestamp, salts: Salts) -> Result<Import, Fault> {
        let fault = |message: &str| Fault { line: self.line, message: message.to_owned() };
        let (Some(end), Some(mut session)) = (self.end, self.session.take()) else {
            return Err(fault("the file ends before its first event"));
        };
        if self.checker.head() != end {
            return Err(fault("the file ends early, or its last event is not the one the first line names"));
        }
        let mut added = 0;
        if session.status == SessionStatus::Running {
            let vader = Vader::new();
            let now = now.max(session.touched_at);
            let mut inputs = Inputs { now, salts, vader: &vader, embedded: None, prompts: BTreeMap::new() };
            // Nobody drives it here, and nothing is to begin by itself.
            let decided = session.decide(&Command::Expire { untouched_ms: 0 }, &mut inputs);
            let payloads = decided.map_err(|_| fault("the run this log ends in cannot be ended"))?;
            let events = session.stamp(payloads, now);
            for (record, event) in session.records(&events, 0).into_iter().zip(&events) {
                session.apply_record(&record, event);
                self.records.push(record);
                added += 1;
            }
        }
        // It is of today in lists, so that nothing takes it for forgotten; and what was asked elsewhere is no reason to take
        // it up (docs/adr/0007).
        let summary = SessionSummary { owner: self.owner, last_activity: now, waiting: 0, ..session.summary() };
        Ok(Import { records: self.records, summary, added, origin: self.origin })
    }

    fn head(&mut self, line: &[u8]) -> Result<(), String> {
        let not_ours = || "is not the first line of a psyche-log file; export the session as jsonl".to_owned();
        let head: Head = serde_json::from_slice(line).map_err(|_| not_ours())?;
        if head.format != FORMAT {
            return Err(not_ours());
        }
        if head.version != VERSION {
            return Err(format!("the file is of version {}, this program reads version {VERSION}", head.version));
        }
        if head.from != 1 {
            return Err(format!("the file begins with event {}; a log begins with event 1", head.from));
        }
        self.origin = head.session_id;
        self.end = Some((head.to, head.log_hash));
        Ok(())
    }

    fn record(&mut self, line: &[u8]) -> Result<(), String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| {
            let place = error.column();
            format!("is not an event of a psyche-log file (column {place})")
        })?;
        let record = record(line)?;
        self.checker.check(&record).map_err(|broken| broken.to_string())?;
        let known = Event::commitments(&record).map_err(|_| unreadable(&record))?;
        match &known {
            Some(fields) => texts_fit(&record, fields)?,
            None => passes(&record.body)?,
        }
        let event = Event::decode(&record).map_err(|_| unreadable(&record))?;
        let record = self.unique(record, &event)?;
        match &mut self.session {
            Some(session) => session.apply_record(&record, &event),
            begun @ None => *begun = Some(begin(self.id, &record, &event)?),
        }
        self.records.push(record);
        Ok(())
    }

    /// Turns are committed once, commands received once. Both numbers follow from the body.
    fn unique(&mut self, mut record: Record, event: &Event) -> Result<Record, String> {
        match &event.payload {
            Payload::TurnCommitted(committed) => {
                if committed.turn > MAX_NUMBER || !self.turns.insert(committed.turn) {
                    return Err("this turn was committed before".to_owned());
                }
                record.committed_turn = Some(committed.turn);
            }
            Payload::CommandReceived(received) => {
                let id = &received.command_id;
                if !(1..=64).contains(&id.chars().count()) || !self.commands.insert(id.clone()) {
                    return Err("this command was received before, or its id is too long".to_owned());
                }
                record.command_id = Some(id.clone());
            }
            _ => {}
        }
        Ok(record)
    }
}

fn unreadable(record: &Record) -> String {
    format!("the body is not that of a `{}` of version {}", record.kind, record.version)
}

fn record(line: Line) -> Result<Record, String> {
    let Line { seq, generation, at, kind, v, hash, texts, body } = line;
    let named = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    if !(1..=64).contains(&kind.len()) || !kind.bytes().all(named) {
        return Err("`kind` must be 1 to 64 lower-case letters, digits or `_`".to_owned());
    }
    if !(Timestamp(0)..LATEST).contains(&at) {
        return Err("`at` must be within the years 1970 to 9998".to_owned());
    }
    if generation == 0 || generation > i32::MAX as u32 {
        return Err("`gen` begins at 1".to_owned());
    }
    let body = String::from(Box::<str>::from(body));
    if !body.starts_with('{') {
        return Err("`body` must be an object".to_owned());
    }
    let texts = texts.into_iter().map(text).collect::<Result<_, _>>()?;
    Ok(Record {
        generation,
        seq,
        epoch: 0,
        kind,
        version: v,
        at,
        body,
        hash,
        committed_turn: None,
        command_id: None,
        texts,
    })
}

fn text(line: LineText) -> Result<Text, String> {
    let LineText { field, subject, salt, text, masked } = line;
    let subject = subject.parse().map_err(|_| "`subject` is neither `session` nor `user:<id>`".to_owned())?;
    let mut bytes = [0; 16];
    match (&salt, &text) {
        (Some(salt), Some(_)) => {
            hex::decode_to_slice(salt, &mut bytes).map_err(|_| "`salt` must be 32 hex digits".to_owned())?;
        }
        (None, None) => {}
        _ => return Err("a text has a salt, and an erased one has neither".to_owned()),
    }
    if masked && !text.as_ref().is_some_and(|text| text.contains(ERASED)) {
        return Err(format!("a masked text reads {ERASED} where something was taken out"));
    }
    if field.len() > 200 {
        return Err("`field` is too long".to_owned());
    }
    Ok(Text { field, subject, salt: bytes, text, masked })
}

/// Every text the body commits to is there, in its place, and is the one that was committed to, unless it was masked.
fn texts_fit(record: &Record, fields: &[(String, Hash)]) -> Result<(), String> {
    if record.texts.len() != fields.len() {
        return Err(format!(
            "the body commits to {} texts, {} are there; an erased one stands as null",
            fields.len(),
            record.texts.len()
        ));
    }
    for (text, (field, committed)) in record.texts.iter().zip(fields) {
        let true_to_it =
            text.masked || text.text.as_ref().is_none_or(|words| commitment(&text.salt, words) == *committed);
        if text.field != *field || !true_to_it {
            return Err(format!("the text at the place of `{field}` is not the one the body commits to"));
        }
    }
    Ok(())
}

/// An event this program does not know is handed on as it is, so it must not pass for something else.
fn passes(body: &str) -> Result<(), String> {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(body).map_err(|_| "`body` is nested too deep".to_owned())?;
    if fields.keys().any(|key| FRAME.contains(&key.as_str())) || (fields.is_empty() && body != "{}") {
        return Err("the body of an unknown event has a field that belongs to its frame".to_owned());
    }
    Ok(())
}

/// The first event makes a session that can be shown, and run.
fn begin(id: SessionId, record: &Record, event: &Event) -> Result<Session, String> {
    let Payload::SessionCreated(created) = &event.payload else {
        return Err("a log begins with `session_created`".to_owned());
    };
    if created.cast.agents.len() > MAX_AGENTS {
        return Err(format!("the cast has more than {MAX_AGENTS} agents"));
    }
    if let Some(error) = created.cast.validate().into_iter().next() {
        return Err(format!("the cast cannot be: {} {}", error.field, error.message));
    }
    let long = created.name.as_str().chars().count() > 200
        || created.situation.as_str().len() > psyche_core::session::MAX_TEXT_BYTES
        || created.tags.len() > 20
        || created.model.len() > 200;
    if long {
        return Err("name, situation, tags or model are longer than a session's can be".to_owned());
    }
    Session::begin(id, record).ok_or_else(|| "a log begins with `session_created`".to_owned())
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    count: u64,
}

impl Lines {
    /// Takes the next bytes and hands every line that is whole now to `take`.
    pub fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut bytes = bytes;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            bytes = after;
            self.fits(line)?;
            self.count += 1;
            if self.rest.is_empty() {
                take(line)?;
            } else {
                self.rest.extend_from_slice(line);
                take(&std::mem::take(&mut self.rest))?;
            }
        }
        self.fits(bytes)?;
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    /// The last line, where no line break ends it.
    pub fn end(self, take: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { take(&self.rest) }
    }

    fn fits(&self, more: &[u8]) -> Result<(), Fault> {
        if self.rest.len() + more.len() <= MAX_LINE {
            return Ok(());
        }
        Err(Fault { line: self.count + 1, message: format!("has more than {MAX_LINE} bytes") })
    }
}
