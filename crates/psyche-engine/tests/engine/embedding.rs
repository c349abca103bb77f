//! Utterances with embeddings, and without them where the embedder fails.

use std::sync::Mutex;

use async_trait::async_trait;
use psyche_core::embedding::{Embedded, Embedding};
use psyche_core::event::AgentMessage;
use psyche_core::port::{EmbedError, Embedder, EmbedderCard};
use psyche_core::session::SpeakArgs;

use super::*;

/// Embeds a text by its letters, and remembers what it was asked.
struct Letters {
    card: EmbedderCard,
    fails: bool,
    asked: Mutex<Vec<String>>,
}

impl Letters {
    fn new(fails: bool) -> Arc<Self> {
        let card = EmbedderCard { name: "letters".to_owned(), digest: "letters".into(), width: 26 };
        Arc::new(Self { card, fails, asked: Mutex::default() })
    }

    fn of(&self, text: &str) -> Option<Embedded> {
        let mut vector = [0.0; 26];
        for byte in text.bytes().filter(u8::is_ascii_lowercase) {
            vector[usize::from(byte - b'a')] += 1.0;
        }
        Some(Embedded { model: self.card.digest.clone(), vector: Embedding::of(&vector)? })
    }
}

#[async_trait]
impl Embedder for Letters {
    fn card(&self) -> &EmbedderCard {
        &self.card
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Option<Embedded>>, EmbedError> {
        self.asked.lock().unwrap().extend(texts.clone());
        if self.fails { Err(EmbedError::Busy) } else { Ok(texts.iter().map(|text| self.of(text)).collect()) }
    }
}

/// Four rounds, in which a person speaks too. Gives what was said.
async fn talk(embedder: &Arc<Letters>) -> Vec<AgentMessage> {
    let mut world = World::new(memory(), scripted());
    world.ports.embedder = Some(Arc::clone(embedder) as _);
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Simultaneous, Some(4))).await.unwrap().session_id;
    let speak = Action::Speak(SpeakArgs { text: "I am listening.".to_owned(), to: None });
    send(&engine, id, "say", speak).await.unwrap();
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, is_status(SessionStatus::Stopped)).await;
    world.check(id).await;
    engine.shutdown(Duration::from_secs(5)).await;
    let said = |payload| match payload {
        Payload::AgentMessage(message) => Some(message),
        _ => None,
    };
    world.events(id).await.into_iter().filter_map(|event| said(event.payload)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_is_embedded_and_a_log_runs_again_without_the_embedder() {
    let embedder = Letters::new(false);
    let said = talk(&embedder).await;
    assert_eq!(said.len(), 21);
    for message in &said {
        let sealed = message.metadata.embedding.as_ref().expect("it has an embedding");
        assert_eq!(sealed.open(), embedder.of(message.content.as_str()), "of the very words in the log");
        assert_eq!(message.metadata.affect, None, "no weights are known for this model");
    }
    assert_eq!(embedder.asked.lock().unwrap().len(), 21, "once each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedder_that_fails_costs_no_utterance() {
    let embedder = Letters::new(true);
    let said = talk(&embedder).await;
    assert_eq!(said.len(), 21);
    assert!(said.iter().all(|message| message.metadata.embedding.is_none()));
    assert_eq!(embedder.asked.lock().unwrap().len(), 21);
}
