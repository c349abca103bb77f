//! Exports and what comes back from them, over logs that the rules of a session wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../../psyche-core/tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the core's tests")]
mod sim;

use std::sync::Arc;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Row, RowAccessor as _};
use proptest::prelude::*;
use psyche_core::event::Event;
use psyche_core::port::{Clock, EventLog, NewSession, SessionRow};
use psyche_core::record::{Checker, Record};
use psyche_core::session::{Action, Command, NoArgs, SessionStatus, SpeakArgs, UserCommand};
use psyche_core::words::{Hash, Salts, Subject};
use psyche_core::{CommandId, SessionId, TenantId, Timestamp, UserId};
use psyche_lab::export::{Export, ExportError, Fault, Format, Import, Importer, Lines, Options, Redact};
use psyche_store::memory::MemoryStore;
use serde_json::Value;
use sim::{PERSON, SESSION, Sim};

const HERE: SessionId = SessionId(uuid::Uuid::from_u128(99));
const SOMEBODY: UserId = UserId(uuid::Uuid::from_u128(8));
const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
/// More than forty characters, so that repeating it is a quotation.
const SAID: &str = "My grandmother kept a lighthouse near Trieste until the winter of 1952.";

struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        NOW
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
    fn entropy(&self) -> [u8; 32] {
        [3; 32]
    }
}

/// A conversation with a person in it, whom an agent quotes.
fn conversation() -> Sim {
    let mut sim = Sim::shaped(sim::Shape::default());
    sim.start();
    sim.rounds(1);
    sim.user(Action::Speak(SpeakArgs { text: SAID.to_owned(), to: None })).unwrap();
    sim.begin();
    sim.commit(&format!("=You said: {SAID} <script>alert(1)</script>"));
    sim.inject("- a knock, \"twice\"\nat the door", None);
    sim.rounds(2);
    sim
}

async fn stored(sim: &Sim) -> MemoryStore {
    let store = MemoryStore::new(Arc::new(StillClock));
    keep(&store, SESSION, sim.session.summary().owner, sim.records.clone()).await;
    store
}

async fn keep(store: &MemoryStore, id: SessionId, owner: UserId, records: Vec<Record>) {
    let mut session = psyche_core::session::Session::begin(id, &records[0]).unwrap();
    for record in &records[1..] {
        session.apply_record(record, &Event::decode(record).unwrap());
    }
    let summary = psyche_core::port::SessionSummary { owner, ..session.summary() };
    store.create(NewSession { row: SessionRow { tenant: TenantId::DEFAULT, summary }, records }).await.unwrap();
}

fn options(format: Format) -> Options {
    Options { format, from: None, to: None, redact: Redact::default(), limit: None, version: "0.0.0".to_owned() }
}

async fn export(log: &dyn EventLog, id: SessionId, options: Options) -> Result<String, ExportError> {
    Ok(String::from_utf8(bytes_of(log, id, options).await?).unwrap())
}

async fn bytes_of(log: &dyn EventLog, id: SessionId, options: Options) -> Result<Vec<u8>, ExportError> {
    let export = Export::prepare(log, id, options, |_| ()).await?;
    let mut all = Vec::new();
    let sink = async |bytes: Vec<u8>| {
        all.extend(bytes);
        Ok(())
    };
    export.write(sink, |_| ()).await?;
    Ok(all)
}

fn import(text: &[u8]) -> Result<Import, Fault> {
    let (mut importer, mut lines) = (Importer::new(HERE, SOMEBODY), Lines::default());
    let mut take = |line: &[u8]| importer.line(line);
    for chunk in text.chunks(1_000) {
        lines.feed(chunk, &mut take)?;
    }
    lines.end(&mut take)?;
    importer.finish(NOW, Salts::fresh([1; 32]))
}

/// All lines but the first, which names the session.
fn events(text: &str) -> &str {
    text.split_once('\n').unwrap().1
}

async fn comes_back(sim: &Sim) {
    let store = stored(sim).await;
    let file = export(&store, SESSION, options(Format::Jsonl)).await.unwrap();
    let back = import(file.as_bytes()).unwrap();
    assert_eq!(back.added, 0);
    assert_eq!((back.summary.owner, back.summary.session_id), (SOMEBODY, HERE));
    let row = SessionRow { tenant: TenantId::DEFAULT, summary: back.summary };
    store.create(NewSession { row, records: back.records }).await.unwrap();
    let (before, after) = (store.read(SESSION, 0, usize::MAX).await.unwrap(), store.read(HERE, 0, usize::MAX).await);
    assert_eq!(before, after.unwrap(), "records with hashes, salts, texts and subjects");
    let again = export(&store, HERE, options(Format::Jsonl)).await.unwrap();
    assert_eq!(events(&again), events(&file));
    let head = |text: &str| text.lines().next().unwrap().replace(&HERE.to_string(), &SESSION.to_string());
    assert_eq!(head(&again), head(&file), "only the session's id differs");
}

fn stopped(mut sim: Sim) -> Sim {
    sim.user(Action::Stop(psyche_core::session::StopArgs::default())).unwrap();
    sim
}

#[tokio::test]
async fn a_log_comes_back_byte_for_byte() {
    comes_back(&stopped(conversation())).await;
}

#[tokio::test]
async fn a_log_of_ten_thousand_utterances_comes_back_byte_for_byte() {
    let mut sim = Sim::shaped(sim::Shape::default());
    sim.start();
    sim.rounds(2_000);
    comes_back(&stopped(sim)).await;
}

#[tokio::test]
async fn erased_and_masked_words_stay_so_and_the_chain_holds() {
    let store = stored(&stopped(conversation())).await;
    let before = export(&store, SESSION, options(Format::Jsonl)).await.unwrap();
    store.erase(None, Subject::User(PERSON)).await.unwrap();
    let file = export(&store, SESSION, options(Format::Jsonl)).await.unwrap();
    assert!(!file.contains("lighthouse"), "{file}");
    let back = import(file.as_bytes()).unwrap();
    let mut checker = Checker::default();
    back.records.iter().for_each(|record| checker.check(record).unwrap());
    assert!(!checker.erased.is_empty() && !checker.masked.is_empty());
    assert_eq!(back.records, store.read(SESSION, 0, usize::MAX).await.unwrap());

    // A file from before the erasure brings nothing back.
    let back = import(before.as_bytes()).unwrap();
    assert!(back.records.iter().flat_map(|r| &r.texts).any(|t| t.text.as_deref() == Some(SAID)));
    let row = SessionRow { tenant: TenantId::DEFAULT, summary: back.summary };
    store.create(NewSession { row, records: back.records }).await.unwrap();
    let file = export(&store, HERE, options(Format::Jsonl)).await.unwrap();
    assert!(!file.contains("lighthouse"), "{file}");
}

#[tokio::test]
async fn a_run_under_way_comes_back_paused() {
    let mut sim = conversation();
    sim.begin();
    let store = stored(&sim).await;
    let file = export(&store, SESSION, options(Format::Jsonl)).await.unwrap();
    let back = import(file.as_bytes()).unwrap();
    assert_eq!(back.summary.status, SessionStatus::Paused);
    assert_eq!(back.added, 2, "the turn is abandoned, the session paused");
    assert_eq!(back.records[..sim.records.len()].len(), sim.records.len());
    let mut checker = Checker::default();
    back.records.iter().for_each(|record| checker.check(record).unwrap());
}

/// Where nobody has decided it, it is not to be decided by being imported.
#[tokio::test]
async fn what_waited_elsewhere_begins_nothing_here() {
    let mut sim = conversation();
    sim.user(Action::Pause(NoArgs {})).unwrap();
    let resume = UserCommand { id: CommandId::new("elsewhere"), actor: PERSON, action: Action::Resume(NoArgs {}) };
    sim.step(&Command::Forward(resume)).unwrap();
    let there = sim.session.summary();
    let file = export(&stored(&sim).await, SESSION, options(Format::Jsonl)).await.unwrap();
    let here = import(file.as_bytes()).unwrap().summary;
    assert_eq!((there.status, there.waiting), (SessionStatus::Paused, 1));
    assert_eq!((here.status, here.waiting), (SessionStatus::Paused, 0));
}

#[tokio::test]
async fn words_and_names_are_left_out_of_every_format() {
    let mut sim = conversation();
    let told = psyche_core::event::UserSession {
        user_id: PERSON,
        username: psyche_core::words::Words::new("benedikt", Subject::User(PERSON), &mut Salts::fresh([2; 32])),
        action: psyche_core::event::Belonging::Joined,
        session_type: psyche_core::session::SessionType::Shared,
        participant_count: 1,
        metadata: psyche_core::event::RelationMetadata {
            relation: psyche_core::port::Relation::Participant,
            by: PERSON,
        },
    };
    let told = sim.session.stamp(vec![told.into()], NOW);
    sim.records.extend(sim.session.records(&told, 1));
    let store = stored(&sim).await;
    for format in [Format::Json, Format::Jsonl, Format::Csv, Format::Markdown, Format::Html] {
        let whole = export(&store, SESSION, options(format)).await.unwrap();
        assert!(whole.contains("lighthouse"), "{format:?}");
        let words = Redact { words: true, names: false };
        let redacted = export(&store, SESSION, Options { redact: words, ..options(format) }).await.unwrap();
        for word in ["lighthouse", "knock", "family", "kitchen", "benedikt"] {
            assert!(!redacted.contains(word), "{format:?}: {word}");
        }
        let masked = ["You said: [erased]", "You said\\: \\[erased\\]"];
        assert!(masked.iter().any(|text| redacted.contains(text)), "{format:?}: what quotes a person is masked");
        if format == Format::Jsonl {
            import(redacted.as_bytes()).unwrap();
            continue;
        }
        let names = Redact { words: false, names: true };
        let redacted = export(&store, SESSION, Options { redact: names, ..options(format) }).await.unwrap();
        assert!(!redacted.contains(&PERSON.to_string()) && !redacted.contains("benedikt"), "{format:?}");
        assert!(redacted.contains("person-1"), "{format:?}");
    }
}

#[tokio::test]
async fn a_range_and_a_look_are_parts_of_the_whole() {
    let store = stored(&conversation()).await;
    let whole = export(&store, SESSION, options(Format::Json)).await.unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let (from, to) = (Some(5), Some(30));
    let part = export(&store, SESSION, Options { from, to, ..options(Format::Json) }).await.unwrap();
    let part: Value = serde_json::from_str(&part).unwrap();
    let all = whole["events"].as_array().unwrap();
    assert_eq!(part["events"].as_array().unwrap(), &all[4..30]);
    let hash = store.read(SESSION, 29, 1).await.unwrap()[0].hash;
    assert_eq!(part["provenance"]["log_hash"], hash.to_string());
    let look = export(&store, SESSION, Options { limit: Some(2), ..options(Format::Csv) }).await.unwrap();
    assert_eq!(look.matches("spoken").count(), 2, "{look}");
    for (from, to, field) in [(Some(0), None, "from"), (None, Some(9_999), "to"), (Some(7), Some(6), "to")] {
        let refused = export(&store, SESSION, Options { from, to, ..options(Format::Csv) }).await;
        assert!(matches!(refused, Err(ExportError::Invalid { field: f, .. }) if f == field));
    }
}

#[tokio::test]
async fn parquet_holds_the_rows_of_csv_in_types() {
    let store = stored(&conversation()).await;
    let bytes = bytes_of(&store, SESSION, options(Format::Parquet)).await.unwrap();
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let about = file.metadata().file_metadata().key_value_metadata().unwrap();
    let about: Value = serde_json::from_str(about[0].value.as_deref().unwrap()).unwrap();
    let json = export(&store, SESSION, options(Format::Json)).await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(about, json["provenance"]);
    let csv = export(&store, SESSION, options(Format::Csv)).await.unwrap();
    let rows: Vec<Row> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let names: Vec<String> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.join(","), csv.lines().next().unwrap());
    let said: Vec<_> =
        json["events"].as_array().unwrap().iter().filter(|event| event["type"] == "agent_message").collect();
    assert_eq!(rows.len(), said.len());
    for (row, frame) in rows.iter().zip(said) {
        assert_eq!(row.get_ulong(0).unwrap(), frame["seq"].as_u64().unwrap());
        let micros = frame["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().micros();
        assert_eq!(row.get_timestamp_micros(1).unwrap(), micros);
        let at = |wanted: &str| names.iter().position(|name| name == wanted).unwrap();
        assert_eq!(row.get_string(at("content")).unwrap(), frame["content"].as_str().unwrap());
        assert_eq!(row.get_double(at("sentiment")).unwrap(), frame["sentiment"]["score"].as_f64().unwrap());
        assert!(!row.get_bool(at("sentiment_flagged")).unwrap());
        // A person has no model.
        assert_eq!(row.get_string(at("model")).is_ok(), frame["agent_id"] != "user");
    }
}

#[tokio::test]
async fn a_pdf_has_a_page_for_every_so_many_words_and_both_fonts() {
    let store = stored(&conversation()).await;
    let bytes = bytes_of(&store, SESSION, options(Format::Pdf)).await.unwrap();
    assert!(bytes.starts_with(b"%PDF-1.") && bytes.trim_ascii_end().ends_with(b"%%EOF"));
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(text.matches("/FontFile2").count(), 2);
    assert!(text.matches("/MediaBox").count() >= 2, "figures, and the conversation after them");
}

#[tokio::test]
async fn every_fault_is_named_with_its_line() {
    let store = stored(&stopped(conversation())).await;
    let file = export(&store, SESSION, options(Format::Jsonl)).await.unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let with = |at: usize, line: String| {
        let mut lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        lines[at] = line;
        lines.join("\n")
    };
    let last = lines.len() as u64;
    let spoke = lines.iter().position(|line| line.contains("\"agent_message\"")).unwrap();
    let cases: Vec<(&str, String, u64, &str)> = vec![
        ("nothing", String::new(), 0, "before its first event"),
        ("no head", lines[1..].join("\n"), 1, "first line"),
        ("another version", with(0, lines[0].replace("\"version\":1", "\"version\":2")), 1, "version 2"),
        ("a range", with(0, lines[0].replace("\"from\":1", "\"from\":2")), 1, "begins with event 2"),
        ("cut off", lines[..lines.len() - 3].join("\n"), last - 3, "ends early"),
        ("cut within a line", file[..file.len() - 40].to_owned(), last, "is not an event"),
        ("left out", [&lines[..9], &lines[10..]].concat().join("\n"), 10, "event 9 is missing"),
        ("other words", with(spoke, lines[spoke].replace("turn 1", "turn 9")), spoke as u64 + 1, "committed to"),
        ("another body", with(spoke, lines[spoke].replace("\"round\":1", "\"round\":2")), spoke as u64 + 1, "hash"),
        (
            "no words",
            with(spoke, lines[spoke].replace("\"field\":\"content\"", "\"field\":\"other\"")),
            spoke as u64 + 1,
            "commits to",
        ),
        ("unknown field", with(4, lines[4].replacen('{', "{\"more\":1,", 1)), 5, "is not an event"),
        ("no JSON", with(4, "\u{0}nonsense".to_owned()), 5, "is not an event"),
        ("twice", format!("{file}{}", lines[lines.len() - 1]), last + 1, "missing"),
        ("too long", with(4, "x".repeat(psyche_lab::export::MAX_LINE + 1)), 5, "bytes"),
    ];
    for (name, text, line, message) in cases {
        let fault = import(text.as_bytes()).map(|_| ()).expect_err(name);
        assert_eq!(fault.line, line, "{name}: {fault}");
        assert!(fault.message.contains(message), "{name}: {fault}");
        assert!(!fault.message.contains("nonsense") && !fault.message.contains("turn 9"), "{name}: {fault}");
    }
}

/// A file of events as somebody might forge them: hashes are right, whatever stands in the bodies.
fn forged(events: &[(&str, u16, &str)]) -> String {
    let mut previous = Hash::ZERO;
    let mut lines = Vec::new();
    for (seq, (kind, version, body)) in (1..).zip(events) {
        let mut record = Record {
            generation: 1,
            seq,
            epoch: 0,
            kind: (*kind).to_owned(),
            version: *version,
            at: NOW,
            body: (*body).to_owned(),
            hash: Hash::ZERO,
            committed_turn: None,
            command_id: None,
            texts: Vec::new(),
        };
        record.hash = record.chain(&previous);
        previous = record.hash;
        let (kind, body) = (serde_json::to_string(kind).unwrap(), record.body);
        lines.push(format!(
            r#"{{"seq":{seq},"gen":1,"at":"{NOW}","kind":{kind},"v":{version},"hash":"{previous}","texts":[],"body":{body}}}"#
        ));
    }
    let head = format!(
        r#"{{"format":"psyche-log","version":1,"session_id":"{SESSION}","from":1,"to":{},"log_hash":"{previous}"}}"#,
        events.len()
    );
    format!("{head}\n{}\n", lines.join("\n"))
}

/// A beginning in the first version, whose words stand open in the body.
fn beginning() -> String {
    let sim = Sim::shaped(sim::Shape::default());
    let frame: Value = serde_json::from_str(&sim.events[0].frame(SESSION, 0)).unwrap();
    let mut body = frame.as_object().unwrap().clone();
    for key in ["type", "session_id", "gen", "seq", "prev", "timestamp", "cast_words"] {
        body.remove(key);
    }
    Value::Object(body).to_string()
}

#[test]
fn what_would_pass_for_something_else_is_refused() {
    let begin = beginning();
    let begin = ("session_created", 1, begin.as_str());
    import(forged(&[begin]).as_bytes()).unwrap();
    let committed =
        r#"{"turn":1,"attempt":1,"round":1,"agent_id":"ego","finish":"stop","tokens":1,"cost":0,"confidence":null}"#;
    let far = committed.replace("\"turn\":1", "\"turn\":18446744073709551615");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let cases = [
        ("a frame's own field", vec![begin, ("later_event", 1, r#"{"type":"agent_message"}"#)], 3, "frame"),
        ("a kind that ends its quotes", vec![begin, ("x\",\"seq\":\"1", 1, "{}")], 3, "kind"),
        ("no object", vec![begin, ("later_event", 1, "[1]")], 3, "object"),
        ("an object of blanks", vec![begin, ("later_event", 1, "{ }")], 3, "frame"),
        ("too deep", vec![begin, ("later_event", 1, deep.as_str())], 3, "deep"),
        ("another beginning", vec![("reset", 1, r#"{"actor":"x","dropped":[]}"#)], 2, "begins with"),
        ("a turn twice", vec![begin, ("turn_committed", 1, committed), ("turn_committed", 1, committed)], 4, "before"),
        ("a turn no column holds", vec![begin, ("turn_committed", 1, far.as_str())], 3, "turn"),
        ("a body of another kind", vec![begin, ("reset", 1, "{}")], 3, "body"),
    ];
    for (name, events, line, message) in cases {
        let fault = import(forged(&events).as_bytes()).map(|_| ()).expect_err(name);
        assert_eq!(fault.line, line, "{name}: {fault}");
        assert!(fault.message.contains(message), "{name}: {fault}");
    }
    // What only later versions of the program know is kept.
    let kept = import(forged(&[begin, ("later_event", 7, r#"{"more":{"a":[1]}}"#)]).as_bytes()).unwrap();
    assert_eq!(kept.records.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Numbers of any size in bodies whose chain is right: the fold takes them, or the file is refused.
    #[test]
    fn no_number_breaks_the_reader(numbers in proptest::collection::vec((0u64..=u64::MAX, 0u64..=u64::MAX), 1..6)) {
        let begin = beginning();
        let bodies: Vec<(&str, String)> = numbers.iter().flat_map(|(a, b)| [
            ("turn_started", format!(r#"{{"turn":{a},"attempt":1,"round":{b},"agent_id":"ego","recipient":"all","recipients":["self"],"message_type":"normal","seed":{a},"model":"m","style":"full","event_seqs":[{a}],"stimuli":[{b}],"answers":{a},"sampling":{{"temperature":0.7,"top_p":1,"min_p":0,"repetition_penalty":1,"no_repeat_ngram":0,"max_tokens":1,"stop":[]}},"prompt_digest":"{}","reserved":{b}}}"#, Hash::ZERO)),
            ("turn_committed", format!(r#"{{"turn":{a},"attempt":1,"round":{b},"agent_id":"ego","finish":"stop","tokens":{b},"cost":1e308,"confidence":null}}"#)),
            ("settings_changed", format!(r#"{{"actor":"x","max_rounds":{b},"pacing_ms":{a}}}"#)),
        ]).collect();
        let mut events = vec![("session_created", 1, begin.as_str())];
        events.extend(bodies.iter().map(|(kind, body)| (*kind, 1, body.as_str())));
        if let Ok(back) = import(forged(&events).as_bytes()) {
            let row = serde_json::to_string(&back.summary).unwrap();
            prop_assert_eq!(serde_json::from_str::<psyche_core::port::SessionSummary>(&row).unwrap(), back.summary);
        }
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..60_000, cut in 0usize..200) {
        let begin = beginning();
        let mut file = forged(&[("session_created", 1, begin.as_str()), ("later_event", 1, "{}")]).into_bytes();
        let at = at % file.len();
        let end = (at + cut).min(file.len());
        file.splice(at..end, bytes);
        let _ = import(&file);
    }
}
