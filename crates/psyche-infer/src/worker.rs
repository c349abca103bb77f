//! The inference thread: many replies under way, one batch at a time.
//!
//! Each step gives one row to every reply that is being written and up to `prompt_chunk` rows to the oldest prompt that
//! is still being read. Prompts are read one after the other, so that a later one finds the pages of those before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::chat::Prompt;
use crate::engine::{Cancel, EngineOptions, Finish, Outlet, Piece, Summary};
use crate::error::GenerateError;
use crate::forward::{Scratch, Span, Wanted};
use crate::kv::{PAGE, Pages, ROOT, Serial};
use crate::model::Model;
use crate::sampler::Sampler;
use crate::text::TextStream;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Reply(Box<Job>),
    #[cfg(test)]
    Panic,
}

/// A reply that was asked for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) prompt: Prompt,
    pub(crate) max_tokens: usize,
    pub(crate) stop: Vec<String>,
    pub(crate) sampler: Sampler,
    pub(crate) outlet: Outlet,
    pub(crate) cancel: Cancel,
}

impl Job {
    /// Pages it may come to need.
    fn pages(&self) -> usize {
        (self.prompt.tokens.len() + self.max_tokens).div_ceil(PAGE)
    }
}

/// A reply under way.
#[derive(Debug)]
struct Live {
    job: Job,
    reserved: usize,
    /// Prompt and reply.
    tokens: Vec<u32>,
    /// Tokens whose keys and values are stored.
    stored: usize,
    reused: usize,
    pages: Vec<usize>,
    published: usize,
    parent: Serial,
    text: TextStream,
    log_probability: f64,
}

#[derive(Debug)]
pub(crate) struct Worker {
    model: Arc<Model>,
    inbox: Receiver<Order>,
    max_batch: usize,
    prompt_chunk: usize,
    pages: Pages,
    reserved: usize,
    waiting: VecDeque<Job>,
    live: Vec<Live>,
    scratch: Scratch,
}

impl Worker {
    pub(crate) fn new(model: Arc<Model>, options: &EngineOptions, pages: Pages, inbox: Receiver<Order>) -> Self {
        Self {
            model,
            inbox,
            max_batch: options.max_batch.max(1),
            prompt_chunk: options.prompt_chunk.max(1),
            pages,
            reserved: 0,
            waiting: VecDeque::new(),
            live: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Serves until every engine handle is gone and nothing is left to do. Should it panic, the replies it holds are
    /// dropped, and dropping one tells its caller.
    pub(crate) fn run(mut self) {
        loop {
            if self.live.is_empty() && self.waiting.is_empty() {
                let Ok(order) = self.inbox.recv() else { return };
                self.accept(order);
            }
            // What cannot start yet stays in the channel, whose bound is the bound of the queue.
            while self.waiting.is_empty() && self.live.len() < self.max_batch {
                let Ok(order) = self.inbox.try_recv() else { break };
                self.accept(order);
                self.admit();
            }
            self.admit();
            self.drop_cancelled();
            self.step();
        }
    }

    fn accept(&mut self, order: Order) {
        match order {
            Order::Reply(job) => self.waiting.push_back(*job),
            #[cfg(test)]
            Order::Panic => panic!("asked to, by a test"),
        }
    }

    /// Starts what fits. A reply reserves all pages it may need, so none has to be interrupted later.
    fn admit(&mut self) {
        while let Some(mut job) = self.waiting.pop_front_if(|job| job.cancel.asked()) {
            job.outlet.end(Piece::Done(Summary::of_nothing(job.prompt.tokens.len())));
        }
        while self.live.len() < self.max_batch
            && let Some(job) = self.waiting.front()
            && job.pages() <= self.pages.limit() - self.reserved
            && let Some(job) = self.waiting.pop_front()
        {
            let reserved = job.pages();
            self.reserved += reserved;
            self.live.push(Live {
                reserved,
                tokens: job.prompt.tokens.clone(),
                stored: 0,
                reused: 0,
                pages: Vec::new(),
                published: 0,
                parent: ROOT,
                text: TextStream::new(job.stop.clone()),
                log_probability: 0.0,
                job,
            });
        }
    }

    fn drop_cancelled(&mut self) {
        for mut live in self.live.extract_if(.., |live| live.job.cancel.asked()) {
            self.reserved -= live.reserved;
            self.pages.release(&live.pages);
            live.end(Finish::Cancelled);
        }
    }

    /// One pass of the model.
    fn step(&mut self) {
        let chosen = self.choose_rows();
        if chosen.is_empty() {
            return;
        }
        let Self { model, pages, live, scratch, .. } = self;
        let mut batch = Vec::with_capacity(chosen.len());
        for &(at, count) in &chosen {
            let live = &live[at];
            let end = live.stored + count;
            let logits = if end == live.tokens.len() { Wanted::Last } else { Wanted::None };
            batch.push(Span { tokens: &live.tokens[live.stored..end], start: live.stored, pages: &live.pages, logits });
        }
        let mut logits = model.forward(&batch, pages, scratch).into_iter();

        let mut ended = Vec::new();
        for &(at, count) in &chosen {
            let live = &mut live[at];
            live.stored += count;
            live.publish(pages);
            if live.stored == live.tokens.len()
                && let Some(logits) = logits.next()
                && let Some(end) = live.say(logits, model)
            {
                ended.push((at, end));
            }
        }
        for (at, end) in ended.into_iter().rev() {
            let mut live = self.live.remove(at);
            self.reserved -= live.reserved;
            self.pages.release(&live.pages);
            match end {
                Ok(finish) => live.end(finish),
                Err(error) => live.job.outlet.end(Piece::Failed(error)),
            }
        }
    }

    /// Which replies take part in the next pass, with how many tokens, their pages made ready.
    fn choose_rows(&mut self) -> Vec<(usize, usize)> {
        let mut chosen = Vec::new();
        let mut reading = false;
        for (at, live) in self.live.iter_mut().enumerate() {
            let writing = live.tokens.len() > live.job.prompt.tokens.len();
            if !writing {
                if reading {
                    continue;
                }
                reading = true;
                if live.pages.is_empty() {
                    // The last token is always computed: its logits are wanted.
                    let (shared, parent) = self.pages.share(&live.tokens[..live.tokens.len() - 1]);
                    live.stored = shared.len() * PAGE;
                    (live.reused, live.published) = (live.stored, shared.len());
                    (live.pages, live.parent) = (shared, parent);
                }
            }
            let count = (live.tokens.len() - live.stored).min(self.prompt_chunk);
            while live.pages.len() * PAGE < live.stored + count {
                let page = self.pages.claim().expect("admission reserved this page");
                live.pages.push(page);
            }
            chosen.push((at, count));
        }
        chosen
    }
}

impl Live {
    /// Offers the pages that have become full to later prompts.
    fn publish(&mut self, pages: &mut Pages) {
        let full = self.tokens[..self.stored].as_chunks::<PAGE>().0;
        for tokens in &full[self.published..] {
            self.parent = pages.publish(self.pages[self.published], self.parent, *tokens);
            self.published += 1;
        }
    }

    /// Chooses the next token and passes its text on. Returns how the reply ended, if it did.
    fn say(&mut self, logits: &[f32], model: &Model) -> Option<Result<Finish, GenerateError>> {
        let Self { job, tokens, text, .. } = self;
        let tokenizer = &model.tokenizer;
        let reply_start = job.prompt.reply_start;
        let Some(choice) = job.sampler.choose(logits, tokens, reply_start, model.kernels, tokenizer) else {
            let what = "the model gives no token a probability; its file may be damaged";
            return Some(Err(GenerateError::Invalid(what.into())));
        };
        tokens.push(choice.token);
        self.log_probability += libm::log(choice.probability.max(f64::MIN_POSITIVE));
        if tokenizer.ends_reply(choice.token) {
            return Some(Ok(if job.outlet.text(text.finish()) { Finish::Stop } else { Finish::Cancelled }));
        }
        job.sampler.said(&tokens[reply_start..]);
        let (mut shown, stopped) = text.push(tokenizer.token_bytes(choice.token));
        let spent = tokens.len() - job.prompt.tokens.len() == job.max_tokens;
        if spent && !stopped {
            shown += &text.finish();
        }
        let wanted = job.outlet.text(shown);
        match (stopped, wanted, spent) {
            (true, _, _) => Some(Ok(Finish::Stop)),
            (_, false, _) => Some(Ok(Finish::Cancelled)),
            (_, _, true) => Some(Ok(Finish::Length)),
            _ => None,
        }
    }

    fn end(&mut self, finish: Finish) {
        let completion_tokens = self.tokens.len() - self.job.prompt.tokens.len();
        let mean_probability = match completion_tokens {
            0 => 0.0,
            count => libm::exp(self.log_probability / count as f64),
        };
        self.job.outlet.end(Piece::Done(Summary {
            finish,
            prompt_tokens: self.job.prompt.tokens.len(),
            reused_tokens: self.reused,
            completion_tokens,
            mean_probability,
        }));
    }
}
