//! One model call: its stream becomes live text, then a reply or a typed failure.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use psyche_core::port::{
    Bus, Clock, GenerateRequest, LanguageModel, Live, ModelError, ModelErrorKind, ModelEvent, News,
};
use psyche_core::session::{Failure, Reply};
use psyche_core::{AgentId, SessionId};
use tokio::time::Instant;

/// Live text of an agent is sent at most this often.
const COALESCE: Duration = Duration::from_millis(40);
/// Longest reply kept, in bytes; a model that goes on is cut off.
const MAX_REPLY: usize = 256 * 1024;

/// A model call to be made.
pub(crate) struct Call {
    pub session: SessionId,
    pub agent: AgentId,
    pub turn: u64,
    pub attempt: u32,
    /// Tokens set aside for it.
    pub reserved: u64,
    pub request: GenerateRequest,
    pub model: Result<Arc<dyn LanguageModel>, String>,
    /// Where live text goes; `None`: nobody follows it.
    pub bus: Option<Arc<dyn Bus>>,
    pub clock: Arc<dyn Clock>,
}

/// How it ended.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub turn: u64,
    pub attempt: u32,
    pub result: Result<Reply, (Failure, Option<u64>)>,
}

impl Call {
    pub async fn run(self) -> Outcome {
        let (turn, attempt, agent_id) = (self.turn, self.attempt, self.agent.clone());
        self.live(Live::AgentProcessingStarted { agent_id: agent_id.clone(), turn, attempt });
        let result = self.generate().await;
        self.live(Live::AgentProcessingComplete { agent_id, turn, attempt });
        let result = result.map_err(|error| {
            // The kind alone: what a provider answers may quote the prompt, and so people's words.
            let Self { session, agent, .. } = &self;
            tracing::warn!(%session, %agent, turn, attempt, kind = ?error.kind, "a model call failed");
            let tokens = if may_cost(&error) { self.reserved } else { 0 };
            let failure = Failure { kind: error.kind, retryable: error.retryable, message: error.message, tokens };
            (failure, error.retry_after_ms)
        });
        Outcome { turn, attempt, result }
    }

    fn live(&self, live: Live) {
        if let Some(bus) = &self.bus {
            bus.publish(self.session, News::Live(Arc::new(live)));
        }
    }

    async fn generate(&self) -> Result<Reply, ModelError> {
        let model = self.model.as_ref().map_err(|message| ModelError {
            kind: ModelErrorKind::Refused,
            message: message.clone(),
            detail: None,
            retryable: false,
            sent: false,
            retry_after_ms: None,
        })?;
        let price = model.card().price;
        let begun = self.clock.monotonic_ms();
        let mut deltas = Deltas::new(self);
        let mut text = String::new();
        if let Some(opener) = &self.request.opener {
            text.push_str(opener);
            deltas.add(opener);
            deltas.flush();
        }
        let mut reasoning = String::new();
        let mut stream = model.generate(self.request.clone()).await?;
        loop {
            let next = match deltas.due {
                Some(due) => tokio::select! {
                    biased;
                    item = stream.next() => item,
                    () = tokio::time::sleep_until(due) => {
                        deltas.flush();
                        continue;
                    }
                },
                None => stream.next().await,
            };
            match next {
                Some(Ok(ModelEvent::Text(piece))) => {
                    // An opener ends with a whole word; so does what follows begin with one.
                    let joint = text.len() == self.request.opener.as_ref().map_or(0, String::len) && !text.is_empty();
                    if joint && piece.starts_with(char::is_alphanumeric) {
                        text.push(' ');
                        deltas.add(" ");
                    }
                    text.push_str(&piece);
                    deltas.add(&piece);
                    if text.len() > MAX_REPLY {
                        return Err(bad("the model did not stop talking: its reply passed 256 KiB"));
                    }
                }
                Some(Ok(ModelEvent::Reasoning(piece))) => {
                    if reasoning.len() + piece.len() <= MAX_REPLY {
                        reasoning.push_str(&piece);
                    }
                }
                Some(Ok(ModelEvent::Done { finish, usage, confidence })) => {
                    deltas.flush();
                    let cost = usage.map_or(0.0, |u| {
                        (u.prompt_tokens as f64 * price.input + u.completion_tokens as f64 * price.output) / 1e6
                    });
                    let latency_ms = self.clock.monotonic_ms().saturating_sub(begun);
                    let reasoning = Some(reasoning).filter(|r| !r.is_empty());
                    return Ok(Reply { text, reasoning, finish, usage, cost, confidence, latency_ms });
                }
                Some(Err(error)) => return Err(error),
                None => return Err(bad("the model's answer broke off before its end")),
            }
        }
    }
}

fn bad(message: &str) -> ModelError {
    ModelError {
        kind: ModelErrorKind::BadAnswer,
        message: message.to_owned(),
        detail: None,
        retryable: true,
        sent: true,
        retry_after_ms: None,
    }
}

/// Whether a failed call may have been charged for: not when it never left, nor when it was refused.
fn may_cost(error: &ModelError) -> bool {
    error.sent && error.kind != ModelErrorKind::Refused
}

/// Gathers text so that readers get at most one piece per [`COALESCE`].
struct Deltas<'a> {
    call: &'a Call,
    text: String,
    index: u32,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl<'a> Deltas<'a> {
    fn new(call: &'a Call) -> Self {
        Self { call, text: String::new(), index: 0, due: None, last: None }
    }

    fn add(&mut self, piece: &str) {
        self.text.push_str(piece);
        let now = Instant::now();
        match self.last {
            Some(last) if now < last + COALESCE => self.due = Some(last + COALESCE),
            _ => self.flush(),
        }
    }

    fn flush(&mut self) {
        self.due = None;
        if self.text.is_empty() {
            return;
        }
        let Call { agent, turn, attempt, .. } = self.call;
        let text = std::mem::take(&mut self.text);
        let (agent_id, turn, attempt, index) = (agent.clone(), *turn, *attempt, self.index);
        self.call.live(Live::Delta { agent_id, turn, attempt, index, text });
        self.index += 1;
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    use psyche_bus::LocalBus;
    use psyche_core::Timestamp;
    use psyche_core::port::Sampling;
    use psyche_core::words::Hash;
    use psyche_llm::scripted::{Scripted, ScriptedModel};

    use super::*;

    struct Still;

    impl Clock for Still {
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

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_says_of_a_failed_call_its_kind_alone() {
        const CANARY: &str = "CANARY my grandmother kept a lighthouse";
        let error = ModelError { detail: Some(format!("prompt refused: {CANARY}")), ..bad(CANARY) };
        let model = ScriptedModel::with_replies(vec![Scripted::fails(error)]);
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            max_tokens: 1,
            stop: Vec::new(),
        };
        let request = GenerateRequest {
            messages: Vec::new(),
            opener: None,
            sampling,
            seed: 1,
            avoid: Vec::new(),
            digest: Hash::ZERO,
            agent: AgentId::new("ego"),
            turn: 1,
        };
        let call = Call {
            session: SessionId(uuid::Uuid::nil()),
            agent: AgentId::new("ego"),
            turn: 1,
            attempt: 1,
            reserved: 1,
            request,
            model: Ok(Arc::new(model)),
            bus: Some(Arc::new(LocalBus::new())),
            clock: Arc::new(Still),
        };
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        assert!(call.run().await.result.is_err());
        drop(guard);
        let log =
            String::from_utf8(written.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default();
        assert!(log.contains("BadAnswer") && log.contains("a model call failed"), "{log}");
        assert!(!log.contains("CANARY"), "{log}");
    }
}
