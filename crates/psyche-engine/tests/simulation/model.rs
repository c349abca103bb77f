//! A model that answers in a few words, late, not at all, or with rubbish; it remembers what it was asked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use psyche_core::port::{
    Determinism, Finish, GenerateRequest, LanguageModel, ModelCard, ModelCatalog, ModelError, ModelErrorKind,
    ModelEvent, ModelStream, Price, PromptStyle, Usage,
};

use super::history::{Asked, History};
use super::wire::Replica;

/// Sessions of a world have models of their own, so that it can be told whose calls they were.
pub fn id_of(session: usize) -> String {
    format!("model-{session}")
}

/// What every call costs.
pub const USAGE: Usage = Usage { prompt_tokens: 3, completion_tokens: 2 };

pub struct Model {
    card: ModelCard,
    session: usize,
    replica: Arc<Replica>,
    history: Arc<History>,
    /// At times it does not say what an answer has cost.
    uncounted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Speaks,
    SpeaksUncounted,
    NeverSent,
    Refuses,
    Limits,
    TimesOut,
    Panics,
    SaysNothing,
    BreaksOff,
    FailsWithin,
}

impl Model {
    fn behaviour(&self) -> Behaviour {
        let wire = &self.replica.wire;
        if !wire.model_fails() {
            let uncounted = self.uncounted && wire.draw(|dice| dice.odds(1_000));
            return if uncounted { Behaviour::SpeaksUncounted } else { Behaviour::Speaks };
        }
        wire.count("model");
        wire.draw(|dice| {
            dice.pick(&[
                Behaviour::NeverSent,
                Behaviour::Refuses,
                Behaviour::Limits,
                Behaviour::TimesOut,
                Behaviour::Panics,
                Behaviour::SaysNothing,
                Behaviour::BreaksOff,
                Behaviour::FailsWithin,
            ])
        })
    }
}

fn error(kind: ModelErrorKind, sent: bool) -> ModelError {
    let retryable = kind != ModelErrorKind::Refused;
    let retry_after_ms = (kind == ModelErrorKind::RateLimited).then_some(2_000);
    ModelError { kind, message: "simulated".to_owned(), detail: None, retryable, sent, retry_after_ms }
}

#[async_trait]
impl LanguageModel for Model {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let behaviour = self.behaviour();
        self.replica.pass("generate").await;
        let tokens = match behaviour {
            Behaviour::NeverSent | Behaviour::Refuses => 0,
            _ => USAGE.total(),
        };
        let (session, turn, prompt) = (self.session, request.turn, request.digest);
        self.history.asked(Asked { session, turn, prompt, tokens });
        let think = self.replica.wire.draw(|dice| dice.ms(10, 1_500));
        self.replica.hold(think).await;
        let text = |text: &str| Ok(ModelEvent::Text(text.to_owned()));
        let done = |usage| Ok(ModelEvent::Done { finish: Finish::Stop, usage, confidence: None });
        let words = request.seed % 89;
        let said = format!("I say {words}.");
        let items = match behaviour {
            Behaviour::Speaks => vec![text(&said), done(Some(USAGE))],
            Behaviour::SpeaksUncounted => vec![text("Well, "), text(&said), done(None)],
            Behaviour::NeverSent => return Err(error(ModelErrorKind::ServerError, false)),
            Behaviour::Refuses => return Err(error(ModelErrorKind::Refused, true)),
            Behaviour::Limits => return Err(error(ModelErrorKind::RateLimited, true)),
            Behaviour::TimesOut => {
                self.replica.hold(Duration::from_secs(30)).await;
                return Err(error(ModelErrorKind::Timeout, true));
            }
            // Without the hook that prints panics: this one is meant.
            Behaviour::Panics => std::panic::resume_unwind(Box::new("the model's adapter crashed")),
            Behaviour::SaysNothing => vec![text(" "), done(Some(USAGE))],
            Behaviour::BreaksOff => vec![text("I")],
            Behaviour::FailsWithin => vec![text("I"), Err(error(ModelErrorKind::ServerError, true))],
        };
        let replica = Arc::clone(&self.replica);
        Ok(Box::pin(stream::unfold((replica, items.into_iter()), |(replica, mut items)| async move {
            let item = items.next()?;
            replica.pass("piece").await;
            Some((item, (replica, items)))
        })))
    }
}

/// The models of all sessions, as one replica reaches them.
pub struct Models(Vec<Arc<dyn LanguageModel>>);

impl Models {
    pub fn new(sessions: usize, replica: &Arc<Replica>, history: &Arc<History>, uncounted: bool) -> Self {
        let model = |session| {
            let id = id_of(session);
            let card = ModelCard {
                name: id.clone(),
                id,
                provider: "simulated".to_owned(),
                context: 4_096,
                price: Price::default(),
                determinism: Determinism::Tape,
                prompt_style: PromptStyle::Full,
            };
            let (replica, history) = (Arc::clone(replica), Arc::clone(history));
            Arc::new(Model { card, session, replica, history, uncounted }) as Arc<dyn LanguageModel>
        };
        Self((0..sessions).map(model).collect())
    }
}

impl ModelCatalog for Models {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.iter().find(|model| model.card().id == id).cloned()
    }
    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.0.clone()
    }
    fn default_model(&self) -> &'static str {
        "model-0"
    }
}
