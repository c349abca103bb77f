//! Keeps a sick or limited server from being asked: circuit breaker, requests per minute, replies at once.
//!
//! Nothing is retried here. A call that may not be made now waits for a bounded time or fails with the time to wait.

mod bucket;
mod circuit;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use psyche_core::port::{
    CircuitState, Clock, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelErrorKind, ModelEvent, ModelStream,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

pub use self::bucket::Bucket;
pub use self::circuit::{Circuit, FAILURES_TO_OPEN, LONGEST_OPEN_MS, OPEN_MS, Outcome, Pass};
use crate::failure::{Explain, failure, rate_limited};

/// What a model may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub requests_per_minute: Option<u32>,
    /// Replies in the making at once.
    pub at_once: usize,
    /// How long a call may wait for its turn before it fails as rate limited.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: None, at_once: 64, longest_wait: Duration::from_secs(20) }
    }
}

/// A circuit that several entries for the same model of the same server share.
pub type SharedCircuit = Arc<Mutex<Circuit>>;

/// A model behind its guard.
pub struct Guarded {
    inner: Arc<dyn LanguageModel>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    circuit: SharedCircuit,
    bucket: Option<Mutex<Bucket>>,
    places: Arc<Semaphore>,
}

impl Guarded {
    pub fn new(inner: Arc<dyn LanguageModel>, limits: Limits, circuit: SharedCircuit, clock: Arc<dyn Clock>) -> Self {
        let bucket = limits.requests_per_minute.map(|requests| Mutex::new(Bucket::per_minute(requests)));
        Self { inner, limits, clock, circuit, bucket, places: Arc::new(Semaphore::new(limits.at_once)) }
    }

    async fn wait_for_turn(&self) -> Result<OwnedSemaphorePermit, ModelError> {
        let place = timeout(self.limits.longest_wait, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            let message =
                format!("{} replies of this model are in the making already: try again soon", self.limits.at_once);
            return Err(rate_limited(message).after_ms(Some(1_000)).not_sent());
        };
        if let Some(bucket) = &self.bucket {
            let longest_ms = self.limits.longest_wait.as_millis() as u64;
            let taken = locked(bucket).take(self.clock.monotonic_ms(), longest_ms);
            let wait_ms = taken.map_err(|wait_ms| {
                let per_minute = self.limits.requests_per_minute.unwrap_or_default();
                rate_limited(format!("this model's limit of {per_minute} requests per minute is reached"))
                    .after_ms(Some(wait_ms))
                    .not_sent()
            })?;
            if wait_ms > 0 {
                sleep(Duration::from_millis(wait_ms)).await;
            }
        }
        Ok(place)
    }
}

#[async_trait]
impl LanguageModel for Guarded {
    fn card(&self) -> &ModelCard {
        self.inner.card()
    }

    fn circuit(&self) -> CircuitState {
        locked(&self.circuit).state(self.clock.monotonic_ms())
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(wait_ms) = locked(&self.circuit).wait_ms(self.clock.monotonic_ms()) {
            return Err(circuit_open(wait_ms).message);
        }
        self.inner.ready()
    }

    /// Goes past the guard: one question now and then, asked to learn the truth.
    async fn probe(&self) -> Result<(), String> {
        self.inner.probe().await
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        // Known to be sick: no need to wait for a turn to hear it.
        if let Some(wait_ms) = locked(&self.circuit).wait_ms(self.clock.monotonic_ms()) {
            return Err(circuit_open(wait_ms));
        }
        let place = self.wait_for_turn().await?;
        let pass = locked(&self.circuit).enter(self.clock.monotonic_ms()).map_err(circuit_open)?;
        let mut watch =
            Watch { pass: Some(pass), circuit: self.circuit.clone(), clock: self.clock.clone(), _place: place };
        match self.inner.generate(request).await {
            Ok(stream) => Ok(Box::pin(Watched { stream, watch })),
            Err(error) => {
                watch.report(outcome(&error));
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("card", self.inner.card()).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Reports a call's outcome once; a call dropped before its end is abandoned.
struct Watch {
    pass: Option<Pass>,
    circuit: SharedCircuit,
    clock: Arc<dyn Clock>,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    fn report(&mut self, outcome: Outcome) {
        if let Some(pass) = self.pass.take() {
            locked(&self.circuit).leave(pass, outcome, self.clock.monotonic_ms());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned);
    }
}

struct Watched {
    stream: ModelStream,
    watch: Watch,
}

impl Stream for Watched {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(ModelEvent::Done { .. }))) => self.watch.report(Outcome::Success),
            Poll::Ready(Some(Err(error))) => self.watch.report(outcome(error)),
            _ => {}
        }
        polled
    }
}

/// What an error says about the server's health. Nonsense for an answer counts: a proxy's error page is no health.
fn outcome(error: &ModelError) -> Outcome {
    match error.kind {
        ModelErrorKind::Timeout | ModelErrorKind::ServerError | ModelErrorKind::BadAnswer => Outcome::Failure,
        ModelErrorKind::Refused | ModelErrorKind::RateLimited => Outcome::Declined,
        ModelErrorKind::CircuitOpen | ModelErrorKind::Budget | ModelErrorKind::Cancelled => Outcome::Abandoned,
    }
}

fn circuit_open(wait_ms: u64) -> ModelError {
    let message = format!(
        "the model failed {FAILURES_TO_OPEN} times in a row and rests for {} s before it is tried again",
        wait_ms.div_ceil(1_000)
    );
    failure(ModelErrorKind::CircuitOpen, message, true).after_ms(Some(wait_ms)).not_sent()
}

/// A panic elsewhere cannot leave these in a half-written state.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, TryStreamExt};
    use tokio::time::Instant;

    use super::*;
    use crate::scripted::{Scripted, ScriptedModel};
    use crate::testing::{FixedClock, request};

    fn guarded(script: Vec<Scripted>, limits: Limits) -> (Arc<FixedClock>, Guarded) {
        let clock = Arc::new(FixedClock::default());
        let inner = Arc::new(ScriptedModel::with_replies(script));
        (clock.clone(), Guarded::new(inner, limits, SharedCircuit::default(), clock))
    }

    async fn ask(model: &Guarded) -> Result<(), ModelError> {
        model.generate(request("ego", 1)).await?.try_collect::<Vec<_>>().await.map(|_| ())
    }

    fn error(kind: ModelErrorKind) -> ModelError {
        failure(kind, "scripted", true)
    }

    #[tokio::test]
    async fn failures_at_the_start_and_in_the_stream_open_the_circuit() {
        use ModelErrorKind::{BadAnswer, CircuitOpen, ServerError, Timeout};
        let script = vec![
            Scripted::fails(error(ServerError)),
            Scripted::fails_after("one two three", 2, error(Timeout)),
            Scripted::fails_after("one two three", 1, error(BadAnswer)),
            Scripted::fails(error(Timeout)),
            Scripted::fails(error(ServerError)),
            Scripted::reply("Well again."),
        ];
        let (clock, model) = guarded(script, Limits::default());
        for _ in 0..5 {
            assert_eq!(model.circuit(), CircuitState::Closed);
            ask(&model).await.unwrap_err();
        }
        let refused = ask(&model).await.unwrap_err();
        assert_eq!((refused.kind, refused.retryable, refused.retry_after_ms), (CircuitOpen, true, Some(OPEN_MS)));
        assert!(!refused.sent);
        assert!(model.ready().unwrap_err().contains("30 s"));
        clock.advance_ms(OPEN_MS);
        assert_eq!(model.circuit(), CircuitState::HalfOpen);
        ask(&model).await.unwrap();
        assert_eq!(model.circuit(), CircuitState::Closed);
        assert_eq!(model.ready(), Ok(()));
    }

    #[tokio::test]
    async fn a_probe_asks_the_model_behind_the_guard() {
        struct Away(ModelCard);
        #[async_trait]
        impl LanguageModel for Away {
            fn card(&self) -> &ModelCard {
                &self.0
            }
            async fn probe(&self) -> Result<(), String> {
                Err("nobody is there".to_owned())
            }
            async fn generate(&self, _: GenerateRequest) -> Result<ModelStream, ModelError> {
                Err(error(ModelErrorKind::ServerError))
            }
        }
        let clock = Arc::new(FixedClock::default());
        let inner = Arc::new(Away(crate::testing::card("away")));
        let model = Guarded::new(inner, Limits::default(), SharedCircuit::default(), clock);
        assert_eq!(model.ready(), Ok(()));
        assert_eq!(model.probe().await, Err("nobody is there".to_owned()));
    }

    #[tokio::test]
    async fn refusals_and_rate_limits_leave_it_closed() {
        let script = (0..12)
            .map(|n| {
                Scripted::fails(error(if n % 2 == 0 { ModelErrorKind::Refused } else { ModelErrorKind::RateLimited }))
            })
            .collect();
        let (_, model) = guarded(script, Limits::default());
        for _ in 0..12 {
            ask(&model).await.unwrap_err();
        }
        assert_eq!(model.circuit(), CircuitState::Closed);
    }

    #[tokio::test]
    async fn a_dropped_probe_frees_its_place() {
        let mut script = vec![Scripted::fails(error(ModelErrorKind::Timeout)); 5];
        script.extend([Scripted::hangs_after("one two", 1), Scripted::reply("Well again.")]);
        let (clock, model) = guarded(script, Limits::default());
        for _ in 0..5 {
            ask(&model).await.unwrap_err();
        }
        clock.advance_ms(OPEN_MS);
        let mut probe = model.generate(request("ego", 1)).await.unwrap();
        probe.next().await.unwrap().unwrap();
        assert_eq!(ask(&model).await.unwrap_err().kind, ModelErrorKind::CircuitOpen);
        drop(probe);
        ask(&model).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn requests_over_the_rate_wait_or_are_told_how_long() {
        let limits =
            Limits { requests_per_minute: Some(10), longest_wait: Duration::from_secs(7), ..Limits::default() };
        let (_, model) = guarded(vec![Scripted::reply("a"); 3], limits);
        let start = Instant::now();
        ask(&model).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        ask(&model).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(6), "one every six seconds");
        let refused = ask(&model).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (ModelErrorKind::RateLimited, Some(12_000)));
        assert!(!refused.sent);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_replies_at_once_and_no_more() {
        let limits = Limits { at_once: 1, longest_wait: Duration::from_secs(5), ..Limits::default() };
        let (_, model) = guarded(vec![Scripted::reply("a"); 3], limits);
        let first = model.generate(request("ego", 1)).await.unwrap();
        let refused = ask(&model).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (ModelErrorKind::RateLimited, Some(1_000)));
        assert!(!refused.sent);
        let mut second = Box::pin(model.generate(request("ego", 1)));
        assert!((&mut second).now_or_never().is_none(), "waits for its place");
        drop(first);
        assert!(second.await.is_ok());
    }
}
