//! Replies out of a session's own records, for running it again without a model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use psyche_core::port::{
    Determinism, Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelErrorKind, ModelEvent,
    ModelStream, Usage,
};
use psyche_core::words::Hash;

use crate::failure::failure;

/// One recorded reply: what the stream carried, so without the opener.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub text: String,
    pub reasoning: Option<String>,
    pub finish: Finish,
    pub usage: Option<Usage>,
    pub confidence: Option<f64>,
}

/// A model that says again what was said to the same prompt.
#[derive(Debug)]
pub struct RecordedModel {
    card: ModelCard,
    replies: BTreeMap<Hash, Recorded>,
}

impl RecordedModel {
    /// `original` is the card of the model that spoke; `replies` are keyed by [`GenerateRequest::digest`].
    pub fn new(original: &ModelCard, replies: BTreeMap<Hash, Recorded>) -> Self {
        let card = ModelCard {
            provider: "recorded".into(),
            name: format!("{} (recorded)", original.name),
            determinism: Determinism::Tape,
            ..original.clone()
        };
        Self { card, replies }
    }
}

#[async_trait]
impl LanguageModel for RecordedModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let Some(reply) = self.replies.get(&request.digest) else {
            let message = format!(
                "the record holds no reply to the prompt {}: the session asked for something else than it did when recorded",
                request.digest
            );
            return Err(failure(ModelErrorKind::BadAnswer, message, false));
        };
        let Recorded { text, reasoning, finish, usage, confidence } = reply.clone();
        let events = [
            reasoning.map(ModelEvent::Reasoning),
            (!text.is_empty()).then_some(ModelEvent::Text(text)),
            Some(ModelEvent::Done { finish, usage, confidence }),
        ];
        Ok(stream::iter(events.into_iter().flatten().map(Ok)).boxed())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;
    use crate::testing::{card, request};

    #[tokio::test]
    async fn the_same_prompt_gets_the_same_reply_and_no_other_gets_any() {
        let asked = request("ego", 1);
        let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 2 });
        let reply = Recorded {
            text: "I remember.".into(),
            reasoning: Some("hm".into()),
            finish: Finish::Length,
            usage,
            confidence: Some(0.5),
        };
        let model = RecordedModel::new(&card("m"), BTreeMap::from([(asked.digest, reply)]));
        assert_eq!((model.card().provider.as_str(), model.card().determinism), ("recorded", Determinism::Tape));
        let events: Vec<_> = model.generate(asked.clone()).await.unwrap().try_collect().await.unwrap();
        let expected = [
            ModelEvent::Reasoning("hm".into()),
            ModelEvent::Text("I remember.".into()),
            ModelEvent::Done { finish: Finish::Length, usage, confidence: Some(0.5) },
        ];
        assert_eq!(events, expected);

        let other = GenerateRequest { digest: Hash::of(b"another prompt"), ..asked };
        let Err(error) = model.generate(other).await else { panic!("an unknown prompt got a reply") };
        assert_eq!((error.kind, error.retryable), (ModelErrorKind::BadAnswer, false));
        assert!(error.message.contains(&Hash::of(b"another prompt").to_string()));
    }
}
