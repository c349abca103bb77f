//! The model inside the program: weights in a file, words from an inference thread of our own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;
use psyche_core::port::{
    ChatRole, Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelErrorKind, ModelEvent, ModelStream,
    Sampling, Usage,
};
use psyche_infer::{Cancel, Engine, EngineOptions, GenerateError, Message, Model, Piece, Request, Role, Sink, Summary};
use tokio::sync::{mpsc, watch};

use crate::failure::{Explain, failure, rate_limited, refused, server_error};
use crate::weights::{self, Pinned};

/// The weights of an embedded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsFile {
    pub path: PathBuf,
    /// What the file must be; a person's own file has none.
    pub pinned: Option<Pinned>,
}

impl WeightsFile {
    /// Whether it could be loaded, told without reading it.
    fn look(&self) -> Result<(), String> {
        match &self.pinned {
            Some(pinned) => weights::check_size(&self.path, pinned).map_err(|e| e.to_string()),
            None if self.path.is_file() => Ok(()),
            None => Err(format!("there is no model file {}: check `path`", self.path.display())),
        }
    }

    fn load(&self) -> Result<Arc<dyn Speaker>, String> {
        if let Some(pinned) = &self.pinned {
            weights::verify_once(&self.path, pinned).map_err(|e| e.to_string())?;
        }
        let model = Model::load(&self.path).map_err(|e| e.to_string())?;
        let engine = Engine::start(model, EngineOptions::default()).map_err(|e| {
            format!("the inference thread could not be started: {e}; are there too many threads already?")
        })?;
        Ok(Arc::new(engine))
    }
}

/// What an engine does for us; a port of its own so that its failures can be tested.
trait Speaker: Send + Sync {
    fn speak(&self, request: Request, sink: Sink) -> Cancel;
}

impl Speaker for Engine {
    fn speak(&self, request: Request, sink: Sink) -> Cancel {
        self.generate_to(request, sink)
    }
}

type Load = dyn Fn() -> Result<Arc<dyn Speaker>, String> + Send + Sync;

/// One loaded file, shared by every entry that names it.
pub struct Loader {
    file: WeightsFile,
    load: Arc<Load>,
    stage: watch::Sender<Stage>,
}

#[derive(Clone)]
enum Stage {
    /// Not asked for yet, or to be loaded afresh.
    Idle,
    Loading,
    Ready(Arc<dyn Speaker>),
    Broken(String),
}

impl Loader {
    pub fn new(file: WeightsFile) -> Self {
        let from = file.clone();
        Self::with(file, Arc::new(move || from.load()))
    }

    fn with(file: WeightsFile, load: Arc<Load>) -> Self {
        Self { file, load, stage: watch::Sender::new(Stage::Idle) }
    }

    /// Begins to load on a thread of its own, unless it is loading or loaded. A failed load is tried again.
    pub fn load_in_background(&self) {
        let begins = self.stage.send_if_modified(|stage| {
            let begins = matches!(stage, Stage::Idle | Stage::Broken(_));
            if begins {
                *stage = Stage::Loading;
            }
            begins
        });
        if !begins {
            return;
        }
        let (load, stage) = (self.load.clone(), self.stage.clone());
        let work = move || {
            let loaded = catch_unwind(AssertUnwindSafe(|| load()));
            stage.send_replace(match loaded {
                Ok(Ok(speaker)) => Stage::Ready(speaker),
                Ok(Err(problem)) => Stage::Broken(problem),
                Err(_) => Stage::Broken(
                    "the embedded model's file made the loader fail: run `psyche model verify`".to_owned(),
                ),
            });
        };
        if let Err(error) = std::thread::Builder::new().name("psyche-load".into()).spawn(work) {
            self.stage.send_replace(Stage::Broken(format!("no thread to load the embedded model: {error}")));
        }
    }

    fn ready(&self) -> Result<(), String> {
        match &*self.stage.borrow() {
            Stage::Idle => self.file.look(),
            Stage::Loading => Err("the embedded model is loading: it will be ready in a moment".to_owned()),
            Stage::Ready(_) => Ok(()),
            Stage::Broken(problem) => Err(problem.clone()),
        }
    }

    /// The engine, loaded first if need be.
    async fn speaker(&self) -> Result<Arc<dyn Speaker>, ModelError> {
        loop {
            self.load_in_background();
            let mut stage = self.stage.subscribe();
            match stage.wait_for(|stage| !matches!(stage, Stage::Loading)).await.as_deref() {
                Ok(Stage::Ready(speaker)) => return Ok(speaker.clone()),
                Ok(Stage::Broken(problem)) => return Err(refused(problem.clone()).not_sent()),
                // Another caller has just found the engine stopped.
                Ok(Stage::Idle | Stage::Loading) => {}
                Err(_) => return Err(server_error("the embedded model was shut down").not_sent()),
            }
        }
    }

    /// Forgets an engine that stopped, so that the next call loads afresh.
    fn forget(stage: &watch::Sender<Stage>, stopped: &Arc<dyn Speaker>) {
        stage.send_if_modified(|stage| {
            let is_it = matches!(stage, Stage::Ready(speaker) if Arc::ptr_eq(speaker, stopped));
            if is_it {
                *stage = Stage::Idle;
            }
            is_it
        });
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A language model that runs inside the program.
#[derive(Debug)]
pub struct Embedded {
    card: ModelCard,
    loader: Arc<Loader>,
}

impl Embedded {
    pub fn new(card: ModelCard, loader: Arc<Loader>) -> Self {
        Self { card, loader }
    }
}

#[async_trait]
impl LanguageModel for Embedded {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ready(&self) -> Result<(), String> {
        self.loader.ready()
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let speaker = self.loader.speaker().await?;
        let request = in_engine_terms(request);
        // A piece is at least a token, so the budget bounds the pieces; one place is for the end.
        let (sender, pieces) = mpsc::channel(request.sampling.max_tokens + 1);
        let cancel = speaker.speak(request, Box::new(move |piece| sender.try_send(piece).is_ok()));
        let stage = self.loader.stage.clone();
        Ok(Box::pin(Reply { pieces, cancel, speaker, stage, spoke: false, is_over: false }))
    }
}

fn in_engine_terms(request: GenerateRequest) -> Request {
    let role = |role| match role {
        ChatRole::System => Role::System,
        ChatRole::User => Role::User,
        ChatRole::Assistant => Role::Assistant,
    };
    Request {
        messages: request.messages.into_iter().map(|m| Message::new(role(m.role), m.content)).collect(),
        opener: request.opener,
        sampling: engine_sampling(request.sampling),
        seed: request.seed,
        avoid: request.avoid,
    }
}

/// Zero stands for the engine's default where zero itself would be senseless.
fn engine_sampling(sampling: Sampling) -> psyche_infer::Sampling {
    let default = psyche_infer::Sampling::default();
    let or = |value: f64, default: f32| if value > 0.0 { value as f32 } else { default };
    psyche_infer::Sampling {
        temperature: sampling.temperature as f32,
        top_p: or(sampling.top_p, default.top_p),
        min_p: sampling.min_p as f32,
        repetition_penalty: or(sampling.repetition_penalty, default.repetition_penalty),
        no_repeat_ngram: sampling.no_repeat_ngram as usize,
        max_tokens: if sampling.max_tokens > 0 { sampling.max_tokens as usize } else { default.max_tokens },
        stop: sampling.stop,
        ..default
    }
}

/// Dropping it cancels the reply, in the middle of the prompt too.
struct Reply {
    pieces: mpsc::Receiver<Piece>,
    cancel: Cancel,
    speaker: Arc<dyn Speaker>,
    stage: watch::Sender<Stage>,
    spoke: bool,
    is_over: bool,
}

impl Reply {
    fn end(&mut self, piece: Option<Piece>) -> Result<ModelEvent, ModelError> {
        self.is_over = true;
        match piece {
            Some(Piece::Text(text)) => {
                self.is_over = false;
                self.spoke |= !text.trim().is_empty();
                Ok(ModelEvent::Text(text))
            }
            Some(Piece::Done(summary)) => self.done(summary),
            Some(Piece::Failed(GenerateError::Stopped)) | None => {
                Loader::forget(&self.stage, &self.speaker);
                Err(server_error(
                    "the embedded model failed in the middle of its work; it is loaded afresh for the next reply",
                ))
            }
            Some(Piece::Failed(GenerateError::Busy { waiting })) => {
                let message = format!("the embedded model is busy: {waiting} replies are waiting already");
                Err(rate_limited(message).after_ms(Some(1_000)).not_sent())
            }
            Some(Piece::Failed(error @ (GenerateError::TooLong { .. } | GenerateError::Invalid(_)))) => {
                Err(refused(format!("the embedded model cannot answer this: {error}")))
            }
        }
    }

    fn done(&self, summary: Summary) -> Result<ModelEvent, ModelError> {
        let finish = match summary.finish {
            psyche_infer::Finish::Stop => Finish::Stop,
            psyche_infer::Finish::Length => Finish::Length,
            psyche_infer::Finish::Cancelled => {
                return Err(failure(ModelErrorKind::Cancelled, "the reply was cancelled", false));
            }
        };
        if !self.spoke {
            // The same seed would be silent again.
            return Err(failure(ModelErrorKind::BadAnswer, "the model's reply was empty", true));
        }
        let usage =
            Usage { prompt_tokens: summary.prompt_tokens as u64, completion_tokens: summary.completion_tokens as u64 };
        Ok(ModelEvent::Done { finish, usage: Some(usage), confidence: Some(summary.mean_probability) })
    }
}

impl Stream for Reply {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(cx).map(|piece| Some(self.end(piece)))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use futures_util::{StreamExt, TryStreamExt};

    use super::*;
    use crate::testing::{card, reply_text, request};

    /// Says the given pieces and keeps what it was asked.
    #[derive(Default)]
    struct Fake {
        pieces: Vec<Piece>,
        asked: Mutex<Vec<Request>>,
        /// A sink that is kept, so that the reply never ends.
        kept: Mutex<Vec<(Sink, Cancel)>>,
    }

    impl Speaker for Arc<Fake> {
        fn speak(&self, request: Request, mut sink: Sink) -> Cancel {
            self.asked.lock().unwrap().push(request);
            for piece in &self.pieces {
                sink(piece.clone());
            }
            let cancel = Cancel::default();
            if !matches!(self.pieces.last(), Some(Piece::Done(_) | Piece::Failed(_))) {
                self.kept.lock().unwrap().push((sink, cancel.clone()));
            }
            cancel
        }
    }

    fn summary(finish: psyche_infer::Finish) -> Piece {
        Piece::Done(Summary { finish, prompt_tokens: 9, reused_tokens: 4, completion_tokens: 2, mean_probability: 0.5 })
    }

    fn speaking(pieces: Vec<Piece>) -> (Arc<Fake>, Embedded) {
        let fake = Arc::new(Fake { pieces, ..Fake::default() });
        let given = fake.clone();
        (fake, loading(move || Ok(Arc::new(given.clone()))))
    }

    fn loading(load: impl Fn() -> Result<Arc<dyn Speaker>, String> + Send + Sync + 'static) -> Embedded {
        let file = WeightsFile { path: PathBuf::from("no/such.gguf"), pinned: None };
        Embedded::new(card("embedded"), Arc::new(Loader::with(file, Arc::new(load))))
    }

    async fn ask(model: &Embedded) -> Result<Vec<ModelEvent>, ModelError> {
        model.generate(request("ego", 1)).await?.try_collect().await
    }

    #[tokio::test]
    async fn a_reply_and_what_the_engine_was_asked() {
        let (fake, model) =
            speaking(vec![Piece::Text(" I".into()), Piece::Text(" am.".into()), summary(psyche_infer::Finish::Stop)]);
        let mut asked = request("ego", 1);
        asked.opener = Some("Truly,".into());
        asked.sampling.max_tokens = 0;
        asked.sampling.top_p = 0.0;
        let events: Vec<_> = model.generate(asked).await.unwrap().try_collect().await.unwrap();
        assert_eq!(reply_text(&events), " I am.");
        let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 2 });
        assert_eq!(events[2], ModelEvent::Done { finish: Finish::Stop, usage, confidence: Some(0.5) });
        let asked = &fake.asked.lock().unwrap()[0];
        assert_eq!(asked.messages[0], Message::new(Role::System, "You are the ego."));
        assert_eq!((asked.opener.as_deref(), asked.seed), (Some("Truly,"), 42));
        assert_eq!((asked.sampling.max_tokens, asked.sampling.top_p), (48, 0.95), "the engine's own defaults");
    }

    #[tokio::test]
    async fn failures_are_typed() {
        use GenerateError::{Busy, Invalid, Stopped, TooLong};
        use ModelErrorKind::{BadAnswer, Cancelled, RateLimited, Refused, ServerError};
        let cases = [
            (Piece::Failed(TooLong { needed: 9, prompt: 8, limit: 7 }), Refused, false),
            (Piece::Failed(Invalid("top_p".into())), Refused, false),
            (Piece::Failed(Busy { waiting: 3 }), RateLimited, true),
            (Piece::Failed(Stopped), ServerError, true),
            (summary(psyche_infer::Finish::Cancelled), Cancelled, false),
            // The next attempt has another seed, so it can say something.
            (summary(psyche_infer::Finish::Stop), BadAnswer, true),
        ];
        for (piece, kind, retryable) in cases {
            let (_, model) = speaking(vec![piece.clone()]);
            let error = ask(&model).await.unwrap_err();
            assert_eq!((error.kind, error.retryable), (kind, retryable), "{piece:?}");
            assert_eq!(error.sent, kind != RateLimited, "{piece:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_worker_is_replaced_at_the_next_use() {
        let loads = Arc::new(AtomicU32::new(0));
        let counted = loads.clone();
        let model = loading(move || {
            let first = counted.fetch_add(1, Relaxed) == 0;
            let end = if first { Piece::Failed(GenerateError::Stopped) } else { summary(psyche_infer::Finish::Stop) };
            Ok(Arc::new(Arc::new(Fake { pieces: vec![Piece::Text("Yes".into()), end], ..Fake::default() })))
        });
        assert_eq!(ask(&model).await.unwrap_err().kind, ModelErrorKind::ServerError);
        assert!(ask(&model).await.is_ok());
        assert!(ask(&model).await.is_ok());
        assert_eq!(loads.load(Relaxed), 2, "loaded afresh once, then kept");
    }

    #[tokio::test]
    async fn a_failed_or_panicking_load_is_said_and_tried_again() {
        let loads = Arc::new(AtomicU32::new(0));
        let counted = loads.clone();
        let model = loading(move || match counted.fetch_add(1, Relaxed) {
            0 => Err("the file is cut short".to_owned()),
            1 => panic!("a bug in the loader"),
            _ => Ok(Arc::new(Arc::new(Fake {
                pieces: vec![Piece::Text("Yes".into()), summary(psyche_infer::Finish::Stop)],
                ..Fake::default()
            }))),
        });
        let first = ask(&model).await.unwrap_err();
        assert_eq!((first.kind, first.message.as_str()), (ModelErrorKind::Refused, "the file is cut short"));
        assert_eq!(model.ready(), Err("the file is cut short".to_owned()));
        assert!(ask(&model).await.unwrap_err().message.contains("psyche model verify"));
        assert!(ask(&model).await.is_ok());
        assert_eq!(model.ready(), Ok(()));
    }

    #[tokio::test]
    async fn while_it_loads_it_says_so_and_callers_wait() {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let model = loading(move || {
            gate.lock().unwrap().recv().unwrap();
            Err("loaded at last".to_owned())
        });
        assert!(model.ready().unwrap_err().contains("no model file"), "nothing is loaded before it is asked for");
        model.loader.load_in_background();
        assert!(model.ready().unwrap_err().contains("loading"));
        let mut waiting = Box::pin(ask(&model));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        release.send(()).unwrap();
        assert_eq!(waiting.await.unwrap_err().message, "loaded at last");
    }

    #[tokio::test]
    async fn dropping_the_stream_cancels_the_reply() {
        let (fake, model) = speaking(vec![Piece::Text("Yes".into())]);
        let mut reply = model.generate(request("ego", 1)).await.unwrap();
        reply.next().await.unwrap().unwrap();
        drop(reply);
        let (mut sink, cancel) = fake.kept.lock().unwrap().pop().unwrap();
        assert!(!sink(Piece::Text("more".into())), "the sink wants no more");
        assert!(format!("{cancel:?}").contains("true"), "{cancel:?}");
    }

    #[test]
    fn a_missing_pinned_file_says_how_to_get_it() {
        let file = WeightsFile { path: PathBuf::from("no/such.gguf"), pinned: Some(weights::SMOLLM2) };
        assert!(Loader::new(file).ready().unwrap_err().contains("psyche model fetch"));
    }
}
