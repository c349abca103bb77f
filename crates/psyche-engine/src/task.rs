//! The session task: the one place where a session's events are decided. It owns the lease, the mailbox, the model calls
//! under way, and the order in which their results are committed.

mod answers;

pub(crate) use answers::same_command;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use psyche_core::embedding::Embedded;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{
    Append, AppendError, Claim, Embedder, GenerateRequest, ModelErrorKind, News, NewsStream, Payer, Sampling,
    StoreError,
};
use psyche_core::prompt::Prompt;
use psyche_core::record::Record;
use psyche_core::session::{Command, Halt, ModelFacts, Refusal, Session, SessionStatus};
use psyche_core::{SessionId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::budgets::Holder;
use crate::generation::{Call, Outcome};
use crate::step::{self, Step};
use crate::{EngineError, Inner, Mail, Order, Resident, budgets, load, peek, quotas, retry};

/// Commands that may wait for the task.
const MAILBOX: usize = 64;
/// How long an utterance waits for its embedding.
const EMBEDDING: Duration = Duration::from_secs(2);
/// Pause before a store that was away is asked again.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// Where a session is driven.
pub(crate) enum Place {
    Here(Resident),
    /// By another engine, until that moment of the database's clock at least.
    Elsewhere(Timestamp),
}

/// The task of a session; started, with the lease claimed and the log folded, when there is none anywhere.
pub(crate) async fn place(inner: &Arc<Inner>, id: SessionId) -> Result<Place, EngineError> {
    let alive = |r: &&Resident| !r.mailbox.is_closed();
    if let Some(resident) = inner.residents().get(&id).filter(alive) {
        return Ok(Place::Here(resident.clone()));
    }
    // One at a time: every claim raises the epoch, so a second one would fence the first.
    let _turn = inner.taking_up.lock().await;
    if let Some(resident) = inner.residents().get(&id).filter(alive) {
        return Ok(Place::Here(resident.clone()));
    }
    let log = &inner.ports.log;
    // Whoever leaves takes up nothing more, where somebody else can.
    if inner.options.replicas && inner.closing.is_cancelled() {
        return Err(EngineError::Unavailable("this replica is leaving; try again".to_owned()));
    }
    let head = match log.claim(id, inner.owner, inner.options.lease_ms).await? {
        Claim::Granted(head) => head,
        Claim::Held { until, .. } => return Ok(Place::Elsewhere(until)),
    };
    // Not before it was asked for: whoever drives it elsewhere need not be short, too.
    if inner.short_of_memory.load(Ordering::Relaxed) {
        log.release(inner.owner, &[id]).await?;
        return Err(EngineError::ShortOfMemory);
    }
    // Before the log is read: nothing can fall between.
    let news = inner.options.replicas.then(|| inner.ports.bus.subscribe(id));
    let loaded = load::load(log.as_ref(), id, u64::MAX).await?;
    // What turns of an owner that died may have cost is held until they are charged.
    inner.budgets.settle(&loaded.session, inner.ports.models.as_ref());
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let state = Arc::new(RwLock::new(loaded.session));
    let token = CancellationToken::new();
    let resident = Resident { mailbox: sender, state: Arc::clone(&state), token: token.clone() };
    inner.residents().insert(id, resident.clone());
    let task = Task {
        inner: Arc::clone(inner),
        id,
        epoch: head.epoch,
        state,
        mailbox,
        token,
        calls: JoinSet::new(),
        outcomes: BTreeMap::new(),
        next_at: Instant::now(),
        settle_at: None,
        snapshot_seq: loaded.snapshot_seq,
    };
    inner.tracker.spawn(task.run(news));
    Ok(Place::Here(resident))
}

struct Task {
    inner: Arc<Inner>,
    id: SessionId,
    epoch: u64,
    state: Arc<RwLock<Session>>,
    mailbox: mpsc::Receiver<Mail>,
    token: CancellationToken,
    calls: JoinSet<Outcome>,
    /// Results that wait for the turns before them.
    outcomes: BTreeMap<u64, Outcome>,
    /// The next turn begins no sooner: pacing, or the pause before another attempt.
    next_at: Instant,
    /// When results that the store did not take are offered again.
    settle_at: Option<Instant>,
    snapshot_seq: u64,
}

/// Why the task ends.
enum End {
    /// Nothing to do, or the program closes: the lease goes back.
    Leave,
    /// Another owner decides now.
    Fenced,
}

impl Task {
    /// `news`: what other engines say of the session, where there are any.
    async fn run(mut self, mut news: Option<NewsStream>) {
        let end = match self.recover().await {
            Ok(()) => self.drive(&mut news).await,
            Err(end) => end,
        };
        self.calls.abort_all();
        self.mailbox.close();
        // Whoever waits for an answer learns that there is none, and asks the session's next owner.
        while self.mailbox.try_recv().is_ok() {}
        if matches!(end, End::Leave) {
            let abandoned = self.decide_and_append(&Command::Abandon).await;
            if let Err(error) = abandoned {
                tracing::warn!(session = %self.id, %error, "turns under way could not be abandoned");
            }
            self.save_snapshot().await;
        }
        // A successor may have taken the place already: its lease and its entry are not ours to give up.
        let inner = Arc::clone(&self.inner);
        let _turn = inner.taking_up.lock().await;
        let mine = inner.residents().get(&self.id).is_some_and(|r| Arc::ptr_eq(&r.state, &self.state));
        if !mine {
            return;
        }
        if matches!(end, End::Leave)
            && let Err(error) = inner.ports.log.release(inner.owner, &[self.id]).await
        {
            tracing::warn!(session = %self.id, %error, "the lease could not be given back; it runs out by itself");
        }
        inner.residents().remove(&self.id);
        inner.budgets.release(Holder::Session(self.id));
    }

    /// Turns that a dead owner left under way are abandoned; the next attempt uses the same seed.
    async fn recover(&mut self) -> Result<(), End> {
        let left = self.look(|s| !s.in_flight.is_empty());
        while left && !self.inner.closing.is_cancelled() {
            match self.decide_and_append(&Command::Abandon).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Fenced) => return Err(End::Fenced),
                Err(error) => {
                    tracing::warn!(session = %self.id, %error, "recovery waits for the store");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
        Ok(())
    }

    async fn drive(&mut self, news: &mut Option<NewsStream>) -> End {
        let mut counted = Counted { inner: Arc::clone(&self.inner), running: false };
        loop {
            let (running, in_flight) = self.look(|s| (s.status == SessionStatus::Running, !s.in_flight.is_empty()));
            counted.set(running);
            let closing = self.inner.closing.is_cancelled();
            if in_flight && self.calls.is_empty() && self.outcomes.is_empty() {
                // Begun with the answer lost: nobody speaks in this turn.
                if closing {
                    return End::Leave;
                }
                if let Err(end) = self.recover().await {
                    return end;
                }
                continue;
            }
            if self.look(|s| !s.waiting.is_empty()) {
                match self.decide_waiting().await {
                    Ok(()) => continue,
                    Err(AppendError::Fenced) => return End::Fenced,
                    Err(error) => {
                        tracing::warn!(session = %self.id, %error, "a command waits for the store");
                        tokio::time::sleep(STORE_RETRY).await;
                        if self.token.is_cancelled() {
                            return End::Leave;
                        }
                        // One before it may have been decided: what the session is now is looked at anew.
                        if !closing {
                            continue;
                        }
                    }
                }
            }
            let may_begin = running && !in_flight && !closing;
            if may_begin && Instant::now() >= self.next_at {
                match self.begin().await {
                    Ok(()) => {}
                    Err(AppendError::Fenced) => return End::Fenced,
                    Err(error) => {
                        tracing::warn!(session = %self.id, %error, "a turn could not be started");
                        self.next_at = Instant::now() + STORE_RETRY;
                    }
                }
                continue;
            }
            if closing && !in_flight {
                return End::Leave;
            }
            let closed = self.inner.closed.clone();
            let closing_now = self.inner.closing.clone();
            tokio::select! {
                biased;
                () = closed.cancelled() => return End::Leave,
                () = self.token.cancelled() => return End::Leave,
                () = closing_now.cancelled(), if !closing => {}
                mail = self.mailbox.recv() => match mail {
                    Some(Mail::Command(command, answer)) => {
                        if self.answer_waiting(command, answer).await.is_err() {
                            return End::Fenced;
                        }
                    }
                    Some(Mail::Order(order)) => {
                        if self.obey(order).await.is_err() {
                            return End::Fenced;
                        }
                    }
                    None => return End::Fenced,
                },
                Some(outcome) = self.calls.join_next(), if !self.calls.is_empty() => {
                    // A call that was aborted has no outcome; one that panicked is a failed turn.
                    match outcome {
                        Ok(outcome) => { self.outcomes.insert(outcome.turn, outcome); }
                        Err(error) if error.is_panic() => self.call_panicked(),
                        Err(_) => {}
                    }
                    if self.settle().await.is_err() {
                        return End::Fenced;
                    }
                }
                () = heard(news, &self.state) => {
                    if self.look_again().await.is_err() {
                        return End::Fenced;
                    }
                }
                () = tokio::time::sleep_until(self.settle_at.unwrap_or(self.next_at)), if self.settle_at.is_some() => {
                    if self.settle().await.is_err() {
                        return End::Fenced;
                    }
                }
                () = tokio::time::sleep_until(self.next_at), if may_begin => {}
                () = tokio::time::sleep(self.inner.options.idle), if !running && !in_flight => return End::Leave,
            }
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Session) -> T) -> T {
        look(&peek(&self.state))
    }

    /// Starts the next turns and their model calls.
    async fn begin(&mut self) -> Result<(), AppendError> {
        let most = self.inner.options.events_per_session;
        if self.look(|s| quotas::is_full(s, most)) {
            return self.decide_and_append(&Command::Halt(Halt::LogFull)).await.map(drop);
        }
        let models = Arc::clone(&self.inner.ports.models);
        let facts = self.look(|s| {
            let fact = |agent: &psyche_core::AgentId| {
                let id = s.model_of(agent.as_str()).to_owned();
                // An unknown model fails in its call, visibly; the style of its prompt does not matter.
                let style = models.model(&id).map_or(psyche_core::port::PromptStyle::Full, |m| m.card().prompt_style);
                (agent.clone(), ModelFacts { id, style })
            };
            s.order.iter().map(fact).collect()
        });
        let Decided { events, mut prompts } = self.decide_and_append(&Command::Begin(facts)).await?;
        for event in &events {
            let Payload::TurnStarted(started) = &event.payload else { continue };
            let Some(built) = prompts.remove(&started.turn) else { continue };
            let request = GenerateRequest {
                messages: built.messages,
                opener: started.opener.as_ref().map(|opener| opener.as_str().to_owned()),
                sampling: Sampling { stop: built.stop, ..started.sampling.clone() },
                seed: started.seed,
                avoid: built.avoid,
                digest: started.prompt_digest,
                agent: started.agent_id.clone(),
                turn: started.turn,
            };
            let missing =
                || format!("there is no model `{}` any more; choose another one in the settings", started.model);
            let call = Call {
                session: self.id,
                agent: started.agent_id.clone(),
                turn: started.turn,
                attempt: started.attempt,
                reserved: started.reserved,
                request,
                model: models.model(&started.model).ok_or_else(missing),
                bus: Some(Arc::clone(&self.inner.ports.bus)),
                clock: Arc::clone(&self.inner.ports.clock),
            };
            self.calls.spawn(call.run());
        }
        Ok(())
    }

    /// Commits results in the order of their turns, whatever the order in which they came. What the store does not take
    /// is kept and offered again; until then nothing of it is shown, and commands are answered.
    async fn settle(&mut self) -> Result<(), End> {
        self.settle_at = None;
        loop {
            let first = {
                let state = peek(&self.state);
                // Settled before, with the answer lost and found in the log since: nobody waits for such a result.
                let awaited = |turn: &u64, attempt| state.in_flight.get(turn).is_some_and(|f| f.attempt == attempt);
                self.outcomes.retain(|turn, outcome| awaited(turn, outcome.attempt));
                state.in_flight.first_key_value().map(|(turn, f)| (*turn, f.attempt))
            };
            let Some((turn, attempt)) = first else { return Ok(()) };
            let Some(outcome) = self.outcomes.get(&turn) else { return Ok(()) };
            let (command, retry_after) = match outcome.result.clone() {
                Ok(reply) => (Command::Commit { turn, attempt, reply }, None),
                Err((failure, retry_after)) => (Command::Fail { turn, attempt, failure }, retry_after),
            };
            match self.decide_and_append(&command).await {
                Ok(decided) => self.pace(attempt, retry_after, &decided.events),
                // Settled before, with the answer lost.
                Err(AppendError::TurnTaken(_) | AppendError::Store(StoreError::Conflict(_))) => {}
                Err(AppendError::Fenced) => return Err(End::Fenced),
                Err(error) => {
                    tracing::warn!(session = %self.id, %error, "a turn waits for the store");
                    self.settle_at = Some(Instant::now() + STORE_RETRY);
                    return Ok(());
                }
            }
            self.outcomes.remove(&turn);
        }
    }

    /// When the next turn may begin.
    fn pace(&mut self, attempt: u32, retry_after_ms: Option<u64>, events: &[Event]) {
        let failed_turn = events.iter().any(|e| matches!(e.payload, Payload::TurnFailed(_)));
        let pause = if failed_turn {
            let entropy = self.inner.ports.clock.entropy();
            let jitter = u64::from_be_bytes(std::array::from_fn(|i| entropy[i]));
            retry::delay(self.inner.options.retry_base, attempt, retry_after_ms, jitter)
        } else {
            Duration::from_millis(self.look(|s| s.pacing_ms))
        };
        self.next_at = self.next_at.max(Instant::now() + pause);
    }

    fn call_panicked(&mut self) {
        let lost = self.look(|s| {
            let waiting = s.in_flight.iter().filter(|(turn, _)| !self.outcomes.contains_key(turn));
            waiting.map(|(turn, f)| (*turn, f.attempt, f.started.reserved)).collect::<Vec<_>>()
        });
        // Which call it was is not told; with one under way there is no doubt, with several all are tried again.
        self.calls.abort_all();
        for (turn, attempt, reserved) in lost {
            let failure = psyche_core::session::Failure {
                kind: ModelErrorKind::ServerError,
                retryable: true,
                message: "the model's adapter crashed; the log of the program says where".to_owned(),
                // How far it came is not known.
                tokens: reserved,
            };
            self.outcomes.insert(turn, Outcome { turn, attempt, result: Err((failure, None)) });
        }
    }

    /// Decides a command under this owner's epoch.
    fn step(&self, next: &mut Session, command: &Command, embedded: Option<Embedded>) -> Result<Step, Refusal> {
        step::step(&self.inner.ports, next, self.epoch, command, embedded)
    }

    /// What is to be stored after `expected` so that the session stands at `next`.
    fn append(&self, before: &Session, records: Vec<Record>, next: &Session) -> Append {
        Append {
            session: self.id,
            epoch: Some(self.epoch),
            expected: before.hash,
            records,
            summary: Some(next.summary()),
            charge: budgets::charge(before, next),
        }
    }

    /// Holds what turns that begin may cost; names the budget that has not as much left.
    async fn reserve(&self, events: &[Event]) -> Result<Option<Payer>, AppendError> {
        let models = self.inner.ports.models.as_ref();
        let wanted = events.iter().filter_map(|event| match &event.payload {
            Payload::TurnStarted(started) => Some(budgets::cost_of(started, models)),
            _ => None,
        });
        let Some(wanted) = wanted.reduce(budgets::plus) else { return Ok(None) };
        let owner = self.look(|s| s.initial.owner);
        let Inner { budgets, ports, options, .. } = self.inner.as_ref();
        let answer = budgets
            .reserve(ports.directory.as_ref(), (Holder::Session(self.id), owner), wanted, options.user_budget)
            .await?;
        Ok(answer.err())
    }

    /// The way of every event: decide, store, fold, tell.
    async fn decide_and_append(&mut self, command: &Command) -> Result<Decided, AppendError> {
        let ports = self.inner.ports.clone();
        let mut halt = None;
        let embedded = match &ports.embedder {
            Some(embedder) => embed(self.id, embedder.as_ref(), self.look(|s| s.utterance(command))).await,
            None => None,
        };
        for _ in 0..8 {
            let command = halt.as_ref().unwrap_or(command);
            let (append, events, next, prompts) = {
                let session = peek(&self.state);
                let mut next = session.clone();
                let Step { events, records, prompts } = match self.step(&mut next, command, embedded.clone()) {
                    Ok(step) if step.events.is_empty() => return Ok(Decided::default()),
                    Ok(step) => step,
                    Err(refusal) => {
                        tracing::debug!(session = %self.id, %refusal, "refused");
                        return Err(AppendError::Store(StoreError::Conflict("status")));
                    }
                };
                (self.append(&session, records, &next), events, next, prompts)
            };
            if let Some(payer) = self.reserve(&events).await? {
                halt = Some(Command::Halt(Halt::Budget(payer)));
                continue;
            }
            match ports.log.append(append).await {
                Ok(_) => {
                    self.show(&events, next);
                    self.snapshot_if_due().await;
                    return Ok(Decided { events, prompts });
                }
                Err(AppendError::Stale(_)) => {
                    let generation = self.look(|s| s.generation);
                    self.catch_up().await?;
                    // An answer to what is erased by now is none.
                    let answer = matches!(command, Command::Commit { .. } | Command::Fail { .. });
                    if answer && self.look(|s| s.generation) != generation {
                        return Err(AppendError::Store(StoreError::Conflict("generation")));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(AppendError::Store(StoreError::Unavailable("the log kept moving under this session".to_owned())))
    }

    /// Folds what others have appended: commands that reached another replica.
    async fn catch_up(&mut self) -> Result<(), AppendError> {
        let after = self.look(|s| s.seq);
        let records = self.inner.ports.log.read(self.id, after, 1_000).await?;
        let mut next = self.look(Session::clone);
        let generation = self.inner.ports.log.head(self.id).await?.map(|head| head.generation);
        if generation != Some(next.generation) {
            // The past itself changed.
            return self.forget(None).await;
        }
        let mut events = Vec::with_capacity(records.len());
        for record in &records {
            let event = Event::decode(record).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            next.apply_record(record, &event);
            events.push(event);
        }
        self.show(&events, next);
        Ok(())
    }

    /// Commands that other engines have acknowledged, in their order.
    async fn decide_waiting(&mut self) -> Result<(), AppendError> {
        while let Some(seq) = self.look(|s| s.waiting.first_key_value().map(|(seq, _)| *seq)) {
            let event = load::event(self.inner.ports.log.as_ref(), self.id, seq).await?;
            let Some(Payload::CommandReceived(received)) = event.map(|event| event.payload) else {
                return Err(StoreError::Corrupt(format!("event {seq} is not the command that waits")).into());
            };
            let decided = self.decide_and_append(&Command::Received { seq, received }).await?;
            self.follow_up(&decided.events);
        }
        Ok(())
    }

    /// Looks whether others have appended something. `Err` when the session is another's, or gone.
    async fn look_again(&mut self) -> Result<(), ()> {
        match self.inner.ports.log.head(self.id).await {
            Ok(Some(head)) if head.epoch != self.epoch => Err(()),
            Ok(None) => Err(()),
            Ok(Some(head)) if self.look(|s| (s.generation, s.seq)) != (head.generation, head.seq) => {
                if let Err(error) = self.catch_up().await {
                    tracing::warn!(session = %self.id, %error, "what others appended cannot be read");
                }
                Ok(())
            }
            // It is looked again soon.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    /// What the engine itself asks of the session. `Err` when the session was lost.
    async fn obey(&mut self, order: Order) -> Result<(), ()> {
        match order {
            Order::Fenced => Err(()),
            Order::Look => self.look_again().await,
            Order::Forget(forgotten) => self.forget(Some(forgotten)).await.map_err(drop),
            Order::Relate(relate, answer) => {
                let result = match self.decide_and_append(&Command::Relate(relate)).await {
                    Err(AppendError::Fenced) => return Err(()),
                    other => other.map(drop).map_err(EngineError::from),
                };
                // Nobody may wait for it any more.
                let _ = answer.send(result);
                Ok(())
            }
            Order::Expire(untouched_ms, answer) => {
                let expired = match self.decide_and_append(&Command::Expire { untouched_ms }).await {
                    Ok(decided) => !decided.events.is_empty(),
                    Err(AppendError::Fenced) => return Err(()),
                    Err(error) => {
                        tracing::warn!(session = %self.id, %error, "a session that nobody touched could not be paused");
                        false
                    }
                };
                if expired {
                    self.calls = JoinSet::new();
                    self.outcomes.clear();
                }
                // Nobody may wait for it any more.
                let _ = answer.send(expired);
                Ok(())
            }
        }
    }

    /// Takes the state from the log again, and drops what models answer to prompts made from the old one: their turns are
    /// abandoned and begun again.
    async fn forget(&mut self, forgotten: Option<oneshot::Sender<()>>) -> Result<(), AppendError> {
        self.calls = JoinSet::new();
        self.outcomes.clear();
        self.settle_at = None;
        let loaded =
            load::load(self.inner.ports.log.as_ref(), self.id, u64::MAX).await.map_err(|error| match error {
                EngineError::NotFound => StoreError::NotFound("session"),
                other => StoreError::Unavailable(other.to_string()),
            })?;
        self.snapshot_seq = loaded.snapshot_seq;
        self.inner.budgets.settle(&loaded.session, self.inner.ports.models.as_ref());
        let (generation, seq) = (loaded.session.generation, loaded.session.seq);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = loaded.session;
        self.inner.ports.bus.publish(self.id, News::Appended { generation, seq, events: None });
        if let Some(forgotten) = forgotten {
            // Nobody may wait for it any more.
            let _ = forgotten.send(());
        }
        Ok(())
    }

    /// Facts first, then news.
    fn show(&self, events: &[Event], next: Session) {
        if !events.iter().any(|event| matches!(event.payload, Payload::TurnStarted(_))) {
            self.inner.budgets.settle(&next, self.inner.ports.models.as_ref());
        }
        let (generation, seq) = (next.generation, next.seq);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.inner.ports.bus.publish(self.id, News::Appended { generation, seq, events: Some(events.into()) });
    }

    async fn snapshot_if_due(&mut self) {
        if self.look(|s| s.seq) >= self.snapshot_seq + self.inner.options.snapshot_every {
            self.save_snapshot().await;
        }
    }

    async fn save_snapshot(&mut self) {
        let snapshot = self.look(load::snapshot);
        let Ok(snapshot) = snapshot else { return };
        if snapshot.seq == self.snapshot_seq {
            return;
        }
        let seq = snapshot.seq;
        match self.inner.ports.log.save_snapshot(self.id, snapshot).await {
            Ok(()) => self.snapshot_seq = seq,
            // A missing snapshot only costs time.
            Err(error) => tracing::warn!(session = %self.id, %error, "a snapshot could not be saved"),
        }
    }
}

/// The embedding of what is to be said. An utterance never waits long for it nor fails without it.
async fn embed(session: SessionId, embedder: &dyn Embedder, text: Option<String>) -> Option<Embedded> {
    match tokio::time::timeout(EMBEDDING, embedder.embed(vec![text?])).await {
        Ok(Ok(embedded)) => embedded.into_iter().next().flatten(),
        // What is wrong the embedder tells, once.
        Ok(Err(_)) => None,
        Err(_) => {
            tracing::warn!(%session, "an utterance was not embedded in time; it is measured by its words");
            None
        }
    }
}

/// Waits until others have said that the log went on; for ever where there are none.
async fn heard(news: &mut Option<NewsStream>, state: &RwLock<Session>) {
    let Some(stream) = news else { return std::future::pending().await };
    loop {
        match stream.next().await {
            Some(News::Appended { generation, seq, .. }) => {
                let session = peek(state);
                if generation != session.generation || seq > session.seq {
                    return;
                }
            }
            Some(News::Deleted | News::Lagged) => return,
            Some(News::Live(_)) => {}
            None => {
                *news = None;
                return std::future::pending().await;
            }
        }
    }
}

/// Events that are stored, and the prompts of the turns they start.
#[derive(Default)]
struct Decided {
    events: Vec<Event>,
    prompts: BTreeMap<u64, Prompt>,
}

/// Counts a running session for as long as its task drives it.
struct Counted {
    inner: Arc<Inner>,
    running: bool,
}

impl Counted {
    fn set(&mut self, running: bool) {
        match (self.running, running) {
            (false, true) => _ = self.inner.running.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.inner.running.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        self.running = running;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(false);
    }
}
