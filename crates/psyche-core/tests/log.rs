//! The formats of the log: golden bytes, round trips, the chain, and random commands against the invariants.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "log/embedding.rs"]
mod embedding;
mod support;

use std::fmt::Write as _;

use proptest::prelude::*;
use psyche_core::cast::{Example, StimulusKind, StimulusPreset, Thresholds};
use psyche_core::event::{Event, Payload};
use psyche_core::record::{Broken, Checker, Record, Text};
use psyche_core::session::{
    Action, AgentChange, AnnotateArgs, Command, NoArgs, Session, Settings, SpeakArgs, StepArgs, StimulusArgs, StopArgs,
    TurnOrder,
};
use psyche_core::words::Subject;
use psyche_core::{AgentId, Timestamp};
use support::{SESSION, Shape, Sim};

fn check(records: &[Record]) -> Result<(), Broken> {
    let mut checker = Checker::default();
    records.iter().try_for_each(|r| checker.check(r))
}

/// Two agents and one path: the built-in cast may change, these bytes may not.
const PAIR: &str = r#"
id = "pair"
name = "A pair"
conscious_voice = "day"
[[agents]]
id = "day"
name = "Day"
system_prompt = "You are the day."
manner = "Answer in one short sentence."
openers = { neutral = ["Look here,", "Every morning"] }
[[agents]]
id = "night"
name = "Night"
system_prompt = "You are the night."
temperature = 0.9
[[paths]]
from = "day"
to = "night"
"#;

/// One of every kind of append, by fixed inputs, the version of the measures among them: a new one changes numbers,
/// not the format.
fn first_events() -> Sim {
    let cast = psyche_core::cast::Cast::from_toml(PAIR).unwrap();
    let mut sim = Sim::shaped(Shape { cast, measures_version: 1, ..Shape::default() });
    sim.inject("A letter arrives with no return address.", Some("night"));
    sim.start();
    sim.rounds(1);
    sim.begin();
    sim.step(&Command::Abandon).unwrap();
    sim.begin();
    sim.fail(true);
    sim.user(Action::Stop(StopArgs { reason: Some("Enough for today.".to_owned()) })).unwrap();
    sim.user(Action::Reset(NoArgs {})).unwrap();
    sim
}

/// Records as the golden files show them: header, body, texts with subject and salt, frame.
fn shown(sim: &Sim) -> String {
    let mut text = String::new();
    for (record, event) in sim.records.iter().zip(&sim.events) {
        let Record { generation, seq, version, kind, at, body, hash, .. } = record;
        let _ = writeln!(text, "{generation} {seq} {kind} v{version} {} {hash}\n  body  {body}", at.micros());
        for t in &record.texts {
            let _ = writeln!(
                text,
                "  text  {} {} {:02x?} {:?}",
                t.field,
                t.subject,
                t.salt,
                t.text.as_deref().unwrap_or("")
            );
        }
        let _ = writeln!(text, "  frame {}", event.frame(SESSION, seq - 1));
    }
    text
}

/// Events as they are written, byte for byte. A difference means that logs already written can no longer be read or
/// proved: add a new version with a reader for the old one instead of regenerating this file (docs/adr/0001).
#[test]
fn golden_bytes() {
    let mut sim = first_events();
    sim.style = psyche_core::port::PromptStyle::Compact;
    sim.user(Action::ChangeSettings(Settings {
        name: Some("The opened letter".to_owned()),
        situation: Some("The letter lies open on the table.".to_owned()),
        pacing_ms: Some(5),
        tags: Some(vec!["after".to_owned()]),
        thresholds: Some(Thresholds { emergency: 0.5, critical: 0.7, path_switch_delay: 1 }),
        stimuli: Some(vec![StimulusPreset {
            kind: StimulusKind::Memory,
            name: "A drawer".to_owned(),
            text: "A drawer that was locked stands open.".to_owned(),
        }]),
        ..Settings::default()
    }))
    .unwrap();
    sim.user(Action::ChangeAgent(AgentChange {
        agent_id: AgentId::new("night"),
        temperature: None,
        system_prompt: Some("You are the longest night.".to_owned()),
        model: None,
        muted: None,
    }))
    .unwrap();
    let note = AnnotateArgs { seq: 3, text: "Here it turns.".to_owned(), tags: vec!["turn".to_owned()] };
    sim.user(Action::Annotate(note)).unwrap();
    sim.start();
    sim.rounds(1);
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("first-events-v3", shown(&sim));
    });
}

/// Reads a golden file back: records, and the frame of each.
fn read_golden(text: &str) -> Vec<(Record, String)> {
    let mut records: Vec<(Record, String)> = Vec::new();
    for line in text.splitn(3, "---\n").nth(2).unwrap().lines() {
        if let Some(body) = line.strip_prefix("  body  ") {
            body.clone_into(&mut records.last_mut().unwrap().0.body);
        } else if let Some(frame) = line.strip_prefix("  frame ") {
            frame.clone_into(&mut records.last_mut().unwrap().1);
        } else if let Some(sealed) = line.strip_prefix("  text  ") {
            let (names, rest) = sealed.split_once(" [").unwrap();
            let (field, subject) = names.split_once(' ').unwrap();
            let (salt, words) = rest.split_once("] ").unwrap();
            let salt: Vec<u8> = salt.split(", ").map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            records.last_mut().unwrap().0.texts.push(Text {
                field: field.to_owned(),
                subject: subject.parse().unwrap(),
                salt: salt.try_into().unwrap(),
                text: Some(serde_json::from_str(words).unwrap()),
                masked: false,
            });
        } else {
            let [generation, seq, kind, version, at, hash]: [&str; 6] =
                line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let record = Record {
                generation: generation.parse().unwrap(),
                seq: seq.parse().unwrap(),
                epoch: 1,
                kind: kind.to_owned(),
                version: version.trim_start_matches('v').parse().unwrap(),
                at: Timestamp(at.parse().unwrap()),
                body: String::new(),
                hash: hash.parse().unwrap(),
                committed_turn: None,
                command_id: None,
                texts: Vec::new(),
            };
            records.push((record, String::new()));
        }
    }
    records
}

/// Logs of every version are read, proved and shown as they were when they were written.
#[test]
fn golden_files_of_every_version_are_read() {
    let files = [
        (include_str!("golden/first-events-v1.snap"), 28, "The unopened letter"),
        (include_str!("golden/first-events-v2.snap"), 50, "The opened letter"),
        (include_str!("golden/first-events-v3.snap"), 50, "The opened letter"),
    ];
    for (text, events, name) in files {
        let golden = read_golden(text);
        assert_eq!(golden.len(), events);
        let records: Vec<Record> = golden.iter().map(|(record, _)| record.clone()).collect();
        check(&records).unwrap();
        for (record, frame) in &golden {
            let event = Event::decode(record).unwrap();
            assert!(!matches!(event.payload, Payload::Unknown(_)), "{} v{}", record.kind, record.version);
            assert_eq!(&event.frame(SESSION, record.seq - 1), frame);
        }
        let session = fold(&records);
        assert_eq!(session.name, name);
        assert_eq!(session.initial.cast.agents[0].system_prompt, "You are the day.");
    }
}

#[test]
fn records_decode_to_the_events_they_came_from() {
    let sim = first_events();
    for (record, event) in sim.records.iter().zip(&sim.events) {
        assert_eq!(&Event::decode(record).unwrap(), event);
    }
}

#[test]
fn frames_are_flat_json_with_plain_words() {
    let sim = first_events();
    for event in &sim.events {
        let frame: serde_json::Value = serde_json::from_str(&event.frame(SESSION, event.seq - 1)).unwrap();
        assert_eq!(frame["type"], event.payload.kind());
        assert_eq!(frame["seq"], event.seq);
        assert!(frame["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let message = sim.events.iter().find(|e| e.payload.kind() == "agent_message").unwrap();
    let frame: serde_json::Value = serde_json::from_str(&message.frame(SESSION, 0)).unwrap();
    assert!(frame["content"].is_string());
}

#[test]
fn stored_bodies_hold_commitments_and_no_words() {
    let sim = first_events();
    for record in &sim.records {
        for text in &record.texts {
            assert!(!record.body.contains(text.text.as_deref().unwrap()), "{}", record.body);
        }
    }
}

/// A session in which a person typed a canary into every field there is, and two rounds of talk.
fn canaries() -> Sim {
    let canary = |field: &str| format!("CANARY in {field}");
    let mut cast = psyche_core::cast::Cast::from_toml(PAIR).unwrap();
    cast.texts_mut().into_iter().for_each(|text| *text = canary("cast"));
    cast.stimuli.push(StimulusPreset { kind: StimulusKind::Memory, name: canary("preset"), text: canary("preset") });
    for agent in &mut cast.agents {
        agent.examples.push(Example { cue: canary("cue"), reply: canary("reply") });
        agent.example = Some(canary("example"));
        agent.openers = [("neutral".to_owned(), vec![canary("opener"), canary("other opener")])].into();
    }
    let mut sim = Sim::shaped(Shape { cast, ..Shape::default() });
    sim.style = psyche_core::port::PromptStyle::Compact;
    sim.inject(&canary("stimulus"), None);
    sim.user(Action::InjectStimulus(StimulusArgs { kind: StimulusKind::Random, text: None, target: None })).unwrap();
    sim.user(Action::Speak(SpeakArgs { text: canary("speech"), to: None })).unwrap();
    let settings = Settings {
        name: Some(canary("name")),
        situation: Some(canary("situation")),
        tags: Some(vec![canary("tag"), canary("another tag")]),
        stimuli: Some(vec![StimulusPreset {
            kind: StimulusKind::Memory,
            name: canary("own preset"),
            text: canary("own preset"),
        }]),
        ..Settings::default()
    };
    sim.user(Action::ChangeSettings(settings)).unwrap();
    let change = AgentChange {
        agent_id: AgentId::new("day"),
        temperature: None,
        system_prompt: Some(canary("prompt")),
        model: None,
        muted: None,
    };
    sim.user(Action::ChangeAgent(change)).unwrap();
    let note = AnnotateArgs { seq: 1, text: canary("note"), tags: vec![canary("note's tag")] };
    sim.user(Action::Annotate(note)).unwrap();
    sim.start();
    sim.rounds(2);
    sim.user(Action::Stop(StopArgs { reason: Some(canary("reason")) })).unwrap();
    sim
}

#[test]
fn whatever_a_person_typed_is_sealed_as_theirs_and_can_be_erased() {
    let mut sim = canaries();
    let spoken = sim.events.iter().filter(|e| e.payload.kind() == "situation_changed").count();
    assert_eq!(spoken, 3, "one by the person, two by rounds");
    for record in &sim.records {
        assert!(!record.body.contains("CANARY"), "{}", record.body);
        for text in record.texts.iter().filter(|t| t.text.as_deref().unwrap().contains("CANARY")) {
            assert_eq!(text.subject, Subject::User(support::PERSON), "{} of {}", text.field, record.kind);
        }
    }
    let shown = shown(&sim);
    assert!(shown.contains("CANARY in note's tag"), "frames show it until then");
    for text in sim.records.iter_mut().flat_map(|r| &mut r.texts).filter(|t| t.subject != Subject::Session) {
        text.text = None;
        text.salt = [0; 16];
    }
    let mut checker = Checker::default();
    for record in &sim.records {
        checker.check(record).unwrap();
        let frame = Event::decode(record).unwrap().frame(SESSION, 0);
        assert!(!frame.contains("CANARY"), "{frame}");
    }
    assert!(checker.erased.contains(&1));
    let session = fold(&sim.records);
    assert!(!serde_json::to_string(&session).unwrap().contains("CANARY"));
    assert_eq!(
        (session.name.as_str(), session.tags.as_slice()),
        ("[erased]", ["[erased]".to_owned(), "[erased]".to_owned()].as_slice())
    );
}

#[test]
fn the_chain_finds_every_change() {
    let good = first_events().records;
    check(&good).unwrap();
    let tamper: [fn(&mut Vec<Record>); 7] = [
        |r| r[3].body.push(' '),
        |r| r[3].at.0 += 1,
        |r| r[3].kind.push('x'),
        |r| r.swap(3, 4),
        |r| drop(r.remove(3)),
        |r| r[2].texts[0].text = Some("other words".to_owned()),
        |r| r[3].generation = 0,
    ];
    for (i, change) in tamper.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(check(&bad).is_err(), "change {i} was not found");
    }
    let mut stale = good.clone();
    stale[5].epoch = 3;
    let error = check(&stale).unwrap_err();
    assert!(matches!(error, Broken::Epoch { seq: 7, .. }), "{error}");
}

#[test]
fn erased_words_keep_the_chain_true() {
    let mut records = first_events().records;
    for text in records.iter_mut().flat_map(|r| &mut r.texts) {
        text.text = None;
        text.salt = [0; 16];
    }
    check(&records).unwrap();
    let event = records.iter().find(|r| r.kind == "agent_message").map(|r| Event::decode(r).unwrap()).unwrap();
    let Payload::AgentMessage(message) = event.payload else { panic!() };
    assert_eq!(message.content.as_str(), "[erased]");
}

#[test]
fn later_versions_are_kept_and_skipped() {
    let mut sim = first_events();
    let mut record = sim.records.pop().unwrap();
    record.version = 2;
    record.body = r#"{"new":"field"}"#.to_owned();
    let event = Event::decode(&record).unwrap();
    assert!(matches!(event.payload, Payload::Unknown(_)));
    assert_eq!(event.record(&psyche_core::words::Hash::ZERO, 1).body, record.body);
    let before = sim.session.status;
    sim.session.apply(&event);
    assert_eq!(sim.session.status, before);
}

fn fold(records: &[Record]) -> Session {
    let mut session = Session::begin(SESSION, &records[0]).unwrap();
    for record in &records[1..] {
        let event = Event::decode(record).unwrap();
        session.apply_record(record, &event);
    }
    session
}

fn action() -> impl Strategy<Value = u8> {
    0u8..14
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is asked in whatever order: the chain holds, `seq` has no gaps, each turn is committed once, the fold of
    /// the stored records is the live state, and so is a state that went through JSON (a snapshot).
    #[test]
    fn random_commands_never_break_invariants(script in prop::collection::vec(action(), 1..80), simultaneous: bool) {
        let turn_order = if simultaneous { TurnOrder::Simultaneous } else { TurnOrder::Sequential };
        let mut sim = Sim::shaped(Shape { turn_order, max_rounds: Some(6), ..Shape::default() });
        for (n, step) in script.iter().enumerate() {
            let flying = !sim.session.in_flight.is_empty();
            let running = sim.session.status == psyche_core::session::SessionStatus::Running;
            match step {
                0 => drop(sim.user(Action::Start(NoArgs {}))),
                1 => drop(sim.user(Action::Pause(NoArgs {}))),
                2 => drop(sim.user(Action::Resume(NoArgs {}))),
                3 => drop(sim.user(Action::Step(StepArgs::default()))),
                4 if n % 5 == 0 => drop(sim.user(Action::Stop(StopArgs::default()))),
                5 if n % 7 == 0 => drop(sim.user(Action::Reset(NoArgs {}))),
                6 => drop(sim.user(Action::Retry(NoArgs {}))),
                7 => {
                    let args = StimulusArgs { kind: StimulusKind::Random, text: None, target: None };
                    drop(sim.user(Action::InjectStimulus(args)));
                }
                8 if flying => drop(sim.fail(n % 2 == 0)),
                9 => drop(sim.step(&Command::Abandon)),
                _ if flying => drop(sim.commit(&support::line(n as u64))),
                _ if running => drop(sim.begin()),
                _ => {}
            }
        }
        check(&sim.records).unwrap();
        prop_assert_eq!(sim.records.iter().map(|r| r.seq).collect::<Vec<_>>(), (1..=sim.records.len() as u64).collect::<Vec<_>>());
        let mut turns: Vec<u64> = sim.records.iter().filter_map(|r| r.committed_turn).collect();
        let all = turns.len();
        turns.dedup();
        prop_assert_eq!(turns.len(), all);
        let folded = fold(&sim.records);
        prop_assert_eq!(&folded, &sim.session);
        let json = serde_json::to_string(&folded).unwrap();
        prop_assert_eq!(serde_json::from_str::<Session>(&json).unwrap(), folded);
        let expected: u64 = sim.session.in_flight.values().map(|f| f.started.reserved).sum();
        prop_assert_eq!(sim.session.reserved, expected);
    }
}
