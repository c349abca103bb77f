//! Embeddings in the log: sealed like the words they come from, in no frame, and measured from what the log holds.

use psyche_core::CommandId;
use psyche_core::embedding::{Embedded, Embedding};
use psyche_core::event::{EMBEDDING, Event, Payload};
use psyche_core::measure::GaugeName;
use psyche_core::measure::affect::AFFECT_VERSION;
use psyche_core::record::Checker;
use psyche_core::session::{Action, Command, SpeakArgs, UserCommand};
use psyche_core::words::{Hash, Subject};

use crate::support::{self, PERSON, SESSION, Shape, Sim};

/// An embedding of the encoder that psyche fetches, by its digest.
fn embedded(seed: u64) -> Embedded {
    let number = |i: u64| f32::from(Hash::of(&(seed * 1_000 + i).to_be_bytes()).0[0]) - 127.5;
    let vector = Embedding::of(&(0..384).map(number).collect::<Vec<_>>()).unwrap();
    Embedded { model: "8199be6f699a395f".into(), vector }
}

fn message(event: &Event) -> Option<&psyche_core::event::AgentMessage> {
    match &event.payload {
        Payload::AgentMessage(message) => Some(message),
        _ => None,
    }
}

/// Two rounds and a person's words, embedded.
fn talk() -> Sim {
    let mut sim = Sim::shaped(Shape::default());
    sim.start();
    for turn in 0..10 {
        sim.embedded = None;
        sim.begin();
        sim.embedded = Some(embedded(turn));
        sim.commit(&support::line(turn));
    }
    sim.embedded = Some(embedded(99));
    sim.user(Action::Speak(SpeakArgs { text: "I am listening.".to_owned(), to: None })).unwrap();
    sim
}

#[test]
fn an_embedding_is_sealed_with_its_words_and_in_no_frame() {
    let sim = talk();
    let mut spoken = 0;
    for (record, event) in sim.records.iter().zip(&sim.events) {
        let Some(message) = message(event) else { continue };
        spoken += 1;
        let subject = if message.agent_id.as_str() == "user" { Subject::User(PERSON) } else { Subject::Session };
        let sealed = record.texts.iter().find(|text| text.field == EMBEDDING).expect("it is a text of the record");
        assert_eq!((sealed.subject, record.texts[0].subject), (subject, subject));
        let plain = sealed.text.clone().unwrap();
        assert!(!record.body.contains(&plain) && record.body.contains(r#""embedding":{"model":"8199be6f699a395f""#));
        let read = Event::decode(record).unwrap();
        assert_eq!(&read, event);
        assert_eq!(read.record(&Hash::ZERO, 1).body, record.body, "what was read is written as it was");
        for frame in [event.frame(SESSION, 1), read.frame(SESSION, 1)] {
            assert!(!frame.contains("embedding") && !frame.contains(&plain), "{frame}");
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            let affect = &frame["metadata"]["affect"];
            let (valence, agreement) = (affect["valence"].as_f64().unwrap(), affect["agreement"].as_f64().unwrap());
            assert!((-1.0..=1.0).contains(&valence) && (0.0..=1.0).contains(&agreement), "{affect}");
            assert_eq!(affect["version"], AFFECT_VERSION);
        }
    }
    assert_eq!(spoken, 11);
}

#[test]
fn an_erased_embedding_leaves_the_chain_and_the_fold_whole() {
    let sim = talk();
    let (mut checker, mut folded) = (Checker::default(), None);
    for record in &sim.records {
        let mut record = record.clone();
        for text in &mut record.texts {
            (text.text, text.salt) = (None, [0; 16]);
        }
        checker.check(&record).unwrap();
        let event = Event::decode(&record).unwrap();
        if let Some(message) = message(&event) {
            assert_eq!(message.metadata.embedding.as_ref().unwrap().open(), None);
            assert!(message.metadata.affect.is_some(), "a number beside the sentiment");
        }
        match &mut folded {
            None => folded = psyche_core::session::Session::begin(SESSION, &record),
            Some(session) => session.apply_record(&record, &event),
        }
    }
    let folded = folded.unwrap();
    assert!(folded.window.len() == 10 && folded.window.iter().all(|said| said.embedded.is_none()));
}

#[test]
fn gauges_know_embeddings_of_one_model_only() {
    let stagnation = |embedding: &dyn Fn(u64) -> Option<Embedded>| {
        let mut sim = Sim::shaped(Shape::default());
        sim.start();
        for turn in 0..20 {
            sim.embedded = None;
            sim.begin();
            sim.embedded = embedding(turn);
            sim.commit(&support::line(turn));
        }
        sim.session.gauges[&GaugeName::Stagnation].clone()
    };
    // All alike: an echo of 1.
    let by_words = stagnation(&|_| None);
    let by_meaning = stagnation(&|_| Some(embedded(1)));
    assert!(by_meaning.standardised > Some(0.9) && by_meaning.standardised > by_words.standardised);
    let other = |turn| Embedded { model: if turn < 10 { "another".into() } else { embedded(1).model }, ..embedded(1) };
    let mixed = stagnation(&|turn| Some(other(turn)));
    assert_eq!(
        (mixed.value, mixed.standardised),
        (by_words.value, by_words.standardised),
        "ten of a model are too few"
    );
}

#[test]
fn what_is_to_be_embedded_is_what_will_be_said() {
    let mut sim = Sim::shaped(Shape::default());
    sim.start();
    let speak = |text: &str| {
        let action = Action::Speak(SpeakArgs { text: text.to_owned(), to: None });
        Command::User(UserCommand { id: CommandId::new("a"), actor: PERSON, action })
    };
    let said = |events: &[Event]| events.iter().find_map(message).unwrap().content.as_str().to_owned();
    let wild = "  Now \u{7} listen. ";
    let embedded = sim.session.utterance(&speak(wild)).unwrap();
    let stored = sim.step(&speak(wild)).unwrap();
    assert_eq!(embedded, said(&stored));
    sim.begin();
    let (&turn, flight) = sim.session.in_flight.first_key_value().unwrap();
    let name = sim.session.agents[&flight.agent_id].definition.name.clone();
    let text = format!("{name}: \"I hear you.\"");
    let command = sim.reply(turn, &text);
    let embedded = sim.session.utterance(&command).unwrap();
    let stored = sim.step(&command).unwrap();
    assert_eq!(embedded, said(&stored));
    assert_eq!(embedded, "I hear you.");
    assert_eq!(sim.session.utterance(&command), None, "the turn is over");
    assert_eq!(sim.session.utterance(&Command::Abandon), None);
    assert_eq!(sim.session.utterance(&speak(" ")), None);
}
