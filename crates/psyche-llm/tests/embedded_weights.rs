//! The embedded model with its real weights: checked, loaded, speaking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use psyche_core::port::{Clock, GenerateRequest, LanguageModel, ModelEvent};
use psyche_core::{AgentId, Timestamp, words::Hash};
use psyche_llm::{Deps, Models, weights};

struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
    fn entropy(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// The weights from the path in `PSYCHE_TEST_MODEL`, else from the project's `data/models`.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration; this variable names the weights")]
fn weights_path() -> PathBuf {
    std::env::var_os("PSYCHE_TEST_MODEL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/models").join(weights::SMOLLM2.file),
        PathBuf::from,
    )
}

fn models(dir: &Path) -> Models {
    let deps =
        Deps { clock: Arc::new(StillClock), models_dir: dir.to_owned(), resolver: None, provider_hosts: Vec::new() };
    Models::from_config(BTreeMap::new(), None, &deps).expect("the built-in models need no configuration")
}

fn request(seed: u64) -> GenerateRequest {
    let message = |role, content: &str| serde_json::json!({"role": role, "content": content});
    let messages = serde_json::json!([
        message("system", "You are the Shadow, everything this person denies. You accuse and you are never polite."),
        message("user", "The Persona says: we shall thank them warmly and smile."),
    ]);
    let sampling = serde_json::json!({"temperature": 0.7, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.15,
        "no_repeat_ngram": 4, "max_tokens": 48, "stop": ["\n"]});
    GenerateRequest {
        messages: serde_json::from_value(messages).expect("messages"),
        opener: Some("The truth you will not say is".to_owned()),
        sampling: serde_json::from_value(sampling).expect("sampling"),
        seed,
        avoid: Vec::new(),
        digest: Hash::ZERO,
        agent: AgentId::new("shadow"),
        turn: 1,
    }
}

async fn say(model: &dyn LanguageModel, seed: u64) -> Vec<ModelEvent> {
    let reply = model.generate(request(seed)).await.expect("a reply begins");
    reply.try_collect().await.expect("a reply ends well")
}

#[tokio::test]
async fn it_is_checked_loaded_and_speaks() {
    let dir = tempfile::tempdir().unwrap();
    let installed = dir.path().join(weights::SMOLLM2.file);
    let source = weights_path();
    assert!(
        source.is_file(),
        "this test needs the weights at {}: run `psyche model fetch` or `make model`, or set PSYCHE_TEST_MODEL",
        source.display()
    );
    weights::install(&source, dir.path(), &weights::SMOLLM2, &mut |_| {}).unwrap();
    assert!(!weights::verify_once(&installed, &weights::SMOLLM2).unwrap(), "installing has checked it");

    let models = models(dir.path());
    models.warm_up();
    let model = models.get(models.default_id()).expect("the default model is there");
    let first = say(&*model, 7).await;
    assert_eq!(model.ready(), Ok(()));
    assert!(first.len() > 3, "it streams: {first:?}");
    let ModelEvent::Text(begin) = &first[0] else { panic!("{first:?}") };
    assert!(begin.starts_with([' ', '…', ',', ':', '.']), "the words follow the opener: {begin:?}");
    let Some(ModelEvent::Done { usage: Some(usage), confidence: Some(confidence), .. }) = first.last() else {
        panic!("{first:?}")
    };
    assert!(usage.prompt_tokens > 20 && (1..=48).contains(&usage.completion_tokens), "{usage:?}");
    assert!(*confidence > 0.0 && *confidence < 1.0, "{confidence}");
    assert_eq!(say(&*model, 7).await, first, "the same seed says the same");
    assert_ne!(say(&*model, 8).await, first, "another seed does not");

    let mut dropped = model.generate(request(9)).await.unwrap();
    dropped.next().await.unwrap().unwrap();
    drop(dropped);
    let at_once = [say(&*model, 7), say(&*model, 8)];
    assert_eq!(futures_util::future::join_all(at_once).await[0], first, "whatever else is said beside it");
}
