//! The engine as callers see it: requests go in, pieces of text come out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use crate::chat::{self, Message};
use crate::error::GenerateError;
use crate::kv::{PAGE, Pages};
use crate::model::Model;
use crate::sampler::{Sampler, Sampling};
use crate::worker::{Job, Order, Worker};

/// The size of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// The most memory for keys and values. Prompts with a common beginning share it; what is left keeps earlier
    /// prompts for reuse.
    pub kv_bytes: usize,
    /// The most replies generated at the same time; further requests wait.
    pub max_batch: usize,
    /// Prompt tokens processed between two steps of the replies under way: more is faster, less is smoother.
    pub prompt_chunk: usize,
    /// The most requests that wait; one more fails with [`GenerateError::Busy`].
    pub max_waiting: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { kv_bytes: 64 << 20, max_batch: 8, prompt_chunk: 64, max_waiting: 256 }
    }
}

/// What to say something about, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Words the reply is forced to begin with. They are not part of the text that comes back.
    pub opener: Option<String>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The same request with the same seed gives the same reply, whatever else the engine does.
    pub seed: u64,
    /// Texts of which no run of `sampling.no_repeat_ngram` tokens may be said again.
    pub avoid: Vec<String>,
}

/// A part of an answer: any number of `Text`, then exactly one `Done` or `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// More text; whole characters.
    Text(String),
    /// The reply is complete.
    Done(Summary),
    /// There will be no more of it.
    Failed(GenerateError),
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop text came.
    Stop,
    /// The token budget was spent.
    Length,
    /// The caller cancelled.
    Cancelled,
}

/// What a reply cost and how sure the model was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt, opener included.
    pub prompt_tokens: usize,
    /// Of these, how many were known from earlier prompts and not computed again.
    pub reused_tokens: usize,
    /// Tokens generated, the end token included.
    pub completion_tokens: usize,
    /// Geometric mean of the probabilities the model gave the generated tokens, before filters, penalties and
    /// temperature; from 0 to 1, and 0 if there were none.
    pub mean_probability: f64,
}

impl Summary {
    /// Of a reply cancelled before it began.
    pub(crate) fn of_nothing(prompt_tokens: usize) -> Self {
        let finish = Finish::Cancelled;
        Self { finish, prompt_tokens, reused_tokens: 0, completion_tokens: 0, mean_probability: 0.0 }
    }
}

/// Receives the pieces of an answer on the inference thread, so it must not block. Returning `false` cancels.
pub type Sink = Box<dyn FnMut(Piece) -> bool + Send>;

/// A running engine: one thread that owns the model's memory and serves all requests in one batch. Cheap to clone.
///
/// The thread sleeps while there is nothing to do and ends when the last clone is dropped and the replies under way
/// are finished. Should it ever fail, every caller gets [`GenerateError::Stopped`].
#[derive(Debug, Clone)]
pub struct Engine {
    model: Arc<Model>,
    orders: SyncSender<Order>,
    max_waiting: usize,
    max_tokens: usize,
}

impl Engine {
    /// Starts the inference thread. Fails if the operating system refuses a thread.
    ///
    /// Memory for keys and values holds at least one page of 16 tokens, whatever `kv_bytes` says.
    pub fn start(model: Model, options: EngineOptions) -> std::io::Result<Self> {
        let model = Arc::new(model);
        let page_size = model.shape.page_size();
        let pages = Pages::new(page_size, (options.kv_bytes / (page_size * 2)).max(1));
        let max_tokens = model.context().min(pages.limit() * PAGE);
        let (orders, inbox) = mpsc::sync_channel(options.max_waiting);
        let worker = Worker::new(Arc::clone(&model), &options, pages, inbox);
        std::thread::Builder::new().name("psyche-infer".into()).spawn(move || worker.run())?;
        Ok(Self { model, orders, max_waiting: options.max_waiting, max_tokens })
    }

    /// The model it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many tokens `text` is, on its own.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.model.tokenizer.encode(text).len()
    }

    /// The most tokens of a prompt and its budget together.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Starts a reply whose pieces are read from the returned value. Dropping it cancels the reply.
    pub fn generate(&self, request: Request) -> Generation {
        // As many pieces as the token budget at most, so the channel needs no other bound.
        let (sender, pieces) = mpsc::channel();
        let cancel = self.generate_to(request, Box::new(move |piece| sender.send(piece).is_ok()));
        Generation { pieces, cancel, ended: false }
    }

    /// Starts a reply whose pieces go to `sink`. Faults of the request itself go there too, before this returns.
    pub fn generate_to(&self, request: Request, sink: Sink) -> Cancel {
        let cancel = Cancel(Arc::new(AtomicBool::new(false)));
        let mut outlet = Outlet(Some(sink));
        match self.order(request) {
            Err(error) => outlet.end(Piece::Failed(error)),
            Ok(mut job) => {
                job.outlet = outlet;
                job.cancel = cancel.clone();
                // If the worker is gone, dropping the job tells its caller.
                if let Err(TrySendError::Full(Order::Reply(mut job))) = self.orders.try_send(Order::Reply(job)) {
                    job.outlet.end(Piece::Failed(GenerateError::Busy { waiting: self.max_waiting }));
                }
            }
        }
        cancel
    }

    /// Everything that can be done on the caller's thread.
    fn order(&self, request: Request) -> Result<Box<Job>, GenerateError> {
        let Request { messages, opener, sampling, seed, avoid } = request;
        if let Some(fault) = sampling.fault() {
            return Err(GenerateError::Invalid(fault));
        }
        let tokenizer = &self.model.tokenizer;
        let prompt = chat::prompt(tokenizer, &messages, opener.as_deref().unwrap_or(""))?;
        let needed = prompt.tokens.len().saturating_add(sampling.max_tokens);
        if needed > self.max_tokens {
            return Err(GenerateError::TooLong { needed, prompt: prompt.tokens.len(), limit: self.max_tokens });
        }
        let (max_tokens, stop) = (sampling.max_tokens, sampling.stop.clone());
        let mut sampler = Sampler::new(sampling, seed, tokenizer, &avoid);
        let opener = &prompt.tokens[prompt.reply_start..];
        for said in 1..=opener.len() {
            sampler.said(&opener[..said]);
        }
        Ok(Box::new(Job { prompt, max_tokens, stop, sampler, outlet: Outlet(None), cancel: Cancel::default() }))
    }

    #[cfg(test)]
    pub(crate) fn break_worker(&self) {
        self.orders.send(Order::Panic).expect("the worker runs");
    }
}

/// Cancels a reply within one token. Dropping it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the engine to end the reply.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reply under way: an iterator over its pieces, the last of which is `Done` or `Failed`.
#[derive(Debug)]
pub struct Generation {
    pieces: Receiver<Piece>,
    cancel: Cancel,
    ended: bool,
}

impl Generation {
    /// Asks the engine to end the reply; the pieces already made and `Done` still come.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the whole reply.
    pub fn complete(self) -> Result<(String, Summary), GenerateError> {
        let mut text = String::new();
        for piece in self {
            match piece {
                Piece::Text(more) => text += &more,
                Piece::Done(summary) => return Ok((text, summary)),
                Piece::Failed(error) => return Err(error),
            }
        }
        Err(GenerateError::Stopped)
    }
}

impl Iterator for Generation {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        let piece = self.pieces.recv().unwrap_or(Piece::Failed(GenerateError::Stopped));
        self.ended = !matches!(piece, Piece::Text(_));
        Some(piece)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A caller's sink, which is told the end exactly once: by `end`, or, if the engine fails, by being dropped.
pub(crate) struct Outlet(Option<Sink>);

impl Outlet {
    /// Passes text on. `false` means that the caller wants no more.
    pub(crate) fn text(&mut self, text: String) -> bool {
        text.is_empty() || self.call(Piece::Text(text))
    }

    pub(crate) fn end(&mut self, piece: Piece) {
        self.call(piece);
        self.0 = None;
    }

    fn call(&mut self, piece: Piece) -> bool {
        let Some(sink) = &mut self.0 else { return false };
        // A sink that panics must not end the replies of others.
        let more = catch_unwind(AssertUnwindSafe(|| sink(piece)));
        if more.is_err() {
            self.0 = None;
        }
        more.unwrap_or(false)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.end(Piece::Failed(GenerateError::Stopped));
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Outlet({})", if self.0.is_some() { "open" } else { "closed" })
    }
}

#[cfg(test)]
mod tests;
