//! Running a log again: the recorded replies and inputs go through the same rules and must give the same records, byte
//! for byte. Nothing is asked of a model.

use std::collections::BTreeMap;

use psyche_core::event::{CommandReceived, Event, Payload, SealedEmbedding};
use psyche_core::measure::{MEASURES_VERSION, Vader};
use psyche_core::port::Finish;
use psyche_core::prompt::PROMPTS_VERSION;
use psyche_core::record::Record;
use psyche_core::session::{
    Action, Command, EXPIRED, Failure, Fork, Halt, Inputs, LOG_FULL, ModelFacts, Relate, Reply, Session, Settled,
    UserCommand,
};
use psyche_core::words::Salts;
use psyche_core::{AgentId, CommandId, SessionId};

/// Where the log and its re-run part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("event {seq} cannot be read: {message}")]
    Unreadable { seq: u64, message: String },
    #[error("the log does not begin with `session_created`")]
    NoBeginning,
    #[error("event {seq}: the log has `{logged}`, running it again gives `{again}`")]
    Other { seq: u64, logged: String, again: String },
    #[error("event {seq}: the rules refuse what the log records: {message}")]
    Refused { seq: u64, message: String },
    #[error(
        "the log was written with measures v{measures} and prompts v{prompts}; this program has v{} and v{}: its chain can be checked, running it again cannot be compared",
        MEASURES_VERSION,
        PROMPTS_VERSION
    )]
    Version { measures: u16, prompts: u16 },
    #[error("event {seq}: its words were erased or masked, so it cannot be run again")]
    Erased { seq: u64 },
}

/// A log being run again, fed with records in order.
#[derive(Debug)]
pub struct Rerun<'a> {
    vader: &'a Vader,
    id: SessionId,
    session: Option<Session>,
    /// Records of one append: those that share a time.
    group: Vec<(Record, Event)>,
    /// Commands that wait for the owner's decision, by `seq`.
    waiting: BTreeMap<u64, CommandReceived>,
    pub turns: u64,
}

impl<'a> Rerun<'a> {
    pub fn new(id: SessionId, vader: &'a Vader) -> Self {
        Self { vader, id, session: None, group: Vec::new(), waiting: BTreeMap::new(), turns: 0 }
    }

    pub fn feed(&mut self, record: Record) -> Result<(), Difference> {
        let event =
            Event::decode(&record).map_err(|e| Difference::Unreadable { seq: record.seq, message: e.to_string() })?;
        // Another replica's clock may show the owner's time.
        let alone = |event: &Event| matches!(&event.payload, Payload::CommandReceived(received) if received.waits);
        let apart = |(first, before): &(Record, Event)| first.at != record.at || alone(before) || alone(&event);
        if self.group.first().is_some_and(apart) {
            self.check_group(matches!(event.payload, Payload::Forked(_)))?;
        }
        self.group.push((record, event));
        Ok(())
    }

    /// Checks what is left and gives the last state.
    pub fn finish(mut self) -> Result<Option<Session>, Difference> {
        self.check_group(false)?;
        Ok(self.session)
    }

    /// `cut`: a fork begins here, and may have left the end of the append with its parent.
    fn check_group(&mut self, cut: bool) -> Result<(), Difference> {
        let group = std::mem::take(&mut self.group);
        let Some((first, event)) = group.first() else { return Ok(()) };
        let told = self.session.is_some() && matches!(event.payload, Payload::UserSession(_));
        let is_gone = |record: &Record| record.texts.iter().any(|t| t.text.is_none());
        if told
            && let Some(session) = &mut self.session
            && is_gone(first)
        {
            // The name of somebody who was erased. Nothing that is decided later rests on it, so the rest can be run.
            session.apply_record(first, event);
            return Ok(());
        }
        if let Some((record, _)) = group.iter().find(|(r, _)| r.texts.iter().any(|t| t.text.is_none() || t.masked)) {
            return Err(Difference::Erased { seq: record.seq });
        }
        let Some(session) = &mut self.session else {
            let Payload::SessionCreated(created) = &event.payload else { return Err(Difference::NoBeginning) };
            let (measures, prompts) = (created.measures_version, created.prompts_version);
            if (measures, prompts) != (MEASURES_VERSION, PROMPTS_VERSION) {
                return Err(Difference::Version { measures, prompts });
            }
            self.session = Session::begin(self.id, first);
            return Ok(());
        };
        // A restore or an accepted loss raises the generation between appends.
        session.generation = first.generation;
        if let Some(command) = command_of(session, &group, &mut self.waiting, cut)? {
            let salts = group.iter().flat_map(|(r, _)| r.texts.iter().map(|t| t.salt)).collect();
            let spoken = group.iter().find_map(|(_, e)| match &e.payload {
                Payload::AgentMessage(message) => message.metadata.embedding.as_ref(),
                _ => None,
            });
            let embedded = spoken.and_then(SealedEmbedding::open);
            let mut inputs = Inputs {
                now: first.at,
                salts: Salts::recorded(salts),
                vader: self.vader,
                embedded,
                prompts: BTreeMap::new(),
            };
            let again = session
                .decide(&command, &mut inputs)
                .map_err(|refusal| Difference::Refused { seq: first.seq, message: refusal.message })?;
            let again = session.stamp(again, first.at);
            compare(&group, &session.records(&again, first.epoch), cut)?;
        }
        for (record, event) in &group {
            session.apply_record(record, event);
            self.turns += u64::from(matches!(event.payload, Payload::TurnCommitted(_)));
        }
        Ok(())
    }
}

fn compare(logged: &[(Record, Event)], again: &[Record], cut: bool) -> Result<(), Difference> {
    for (i, (record, _)) in logged.iter().enumerate() {
        let other = again.get(i);
        if other.is_none_or(|o| o.hash != record.hash) {
            let again = other.map_or("nothing".to_owned(), |o| format!("{} {}", o.kind, o.body));
            return Err(Difference::Other {
                seq: record.seq,
                logged: format!("{} {}", record.kind, record.body),
                again,
            });
        }
    }
    match again.get(logged.len()).filter(|_| !cut) {
        None => Ok(()),
        Some(extra) => Err(Difference::Other {
            seq: extra.seq,
            logged: "nothing".to_owned(),
            again: format!("{} {}", extra.kind, extra.body),
        }),
    }
}

/// The command whose decision a group of records holds; `None` for one that follows from nothing in the log.
fn command_of(
    session: &Session,
    group: &[(Record, Event)],
    waiting: &mut BTreeMap<u64, CommandReceived>,
    cut: bool,
) -> Result<Option<Command>, Difference> {
    let find = |wanted: fn(&Payload) -> bool| group.iter().map(|(_, e)| &e.payload).find(|p| wanted(p));
    let (first, event) = &group[0];
    if let Payload::CommandReceived(received) = &event.payload {
        let invalid = |message: String| Difference::Unreadable { seq: first.seq, message };
        let action = Action::recorded(received).map_err(invalid)?;
        let actor = received.actor.parse().map_err(|_| invalid("the actor is not a user's id".to_owned()))?;
        let command = UserCommand { id: CommandId::new(&received.command_id), actor, action };
        if received.waits {
            waiting.insert(first.seq, received.clone());
            return Ok(Some(Command::Forward(command)));
        }
        return Ok(Some(Command::User(command)));
    }
    let decided = match &event.payload {
        Payload::CommandAccepted(accepted) => Some(accepted.received_seq),
        Payload::CommandRefused(refused) => {
            waiting.iter().find(|(_, received)| received.command_id == refused.command_id).map(|(seq, _)| *seq)
        }
        _ => None,
    };
    if let Some((seq, received)) = decided.and_then(|seq| waiting.remove_entry(&seq)) {
        return Ok(Some(Command::Received { seq, received }));
    }
    if let Payload::Forked(forked) = &event.payload {
        let flights = session.in_flight.iter();
        let settled = flights.map(|(turn, flight)| (*turn, settled(group, *turn, &flight.agent_id)));
        return Ok(Some(Command::Fork(Box::new(Fork {
            parent: forked.parent.clone(),
            owner: forked.owner,
            name: forked.name.as_ref().map(|name| name.as_str().to_owned()),
            changes: forked.changes.map(|words| words.as_str().to_owned()),
            determinism: forked.determinism,
            settled: settled.collect(),
        }))));
    }
    if let Payload::UserSession(change) = &event.payload {
        return Ok(Some(Command::Relate(Relate::recorded(change))));
    }
    let expired = |p: &Payload| matches!(p, Payload::SessionStatusChanged(s) if s.reason.as_deref() == Some(EXPIRED));
    if find(expired).is_some() {
        // How long it had to be untouched is not recorded; that it was paused for it is.
        return Ok(Some(Command::Expire { untouched_ms: 0 }));
    }
    let committed = find(|p| matches!(p, Payload::TurnCommitted(_)));
    match find(|p| matches!(p, Payload::AgentMessage(_))) {
        // A person's words follow from a command, and stand alone where another replica acknowledged it.
        Some(Payload::AgentMessage(message)) if message.metadata.user_id.is_none() => {
            let (turn, attempt) = (message.metadata.turn, message.metadata.attempt);
            let Settled { finish, cost, confidence, reasoning, .. } = settled(group, turn, &message.agent_id);
            let text = message.content.as_str().to_owned();
            let (usage, latency_ms) = (message.metadata.usage, message.metadata.latency_ms);
            let reply = Reply { text, reasoning, finish, usage, cost, confidence, latency_ms };
            return Ok(Some(Command::Commit { turn, attempt, reply }));
        }
        _ if committed.is_some() => {
            let message = "turn_committed without agent_message".to_owned();
            return Err(Difference::Unreadable { seq: first.seq, message });
        }
        _ => {}
    }
    let ended = |p: &Payload| matches!(p, Payload::TurnFailed(_) | Payload::TurnAbandoned(_));
    let several = group.iter().filter(|(_, e)| ended(&e.payload)).count() > 1;
    if matches!(&event.payload, Payload::TurnAbandoned(a) if a.reason == EXPIRED) {
        return Ok(Some(Command::Expire { untouched_ms: 0 }));
    }
    if matches!(event.payload, Payload::TurnAbandoned(_)) || several {
        return Ok(Some(Command::Abandon));
    }
    if let Some(Payload::TurnFailed(failed)) = find(|p| matches!(p, Payload::TurnFailed(_))) {
        let failure = Failure {
            kind: failed.kind,
            retryable: failed.retryable,
            message: failed.message.clone(),
            tokens: failed.tokens,
        };
        return Ok(Some(Command::Fail { turn: failed.turn, attempt: failed.attempt, failure }));
    }
    if let Payload::SessionStatusChanged(changed) = &event.payload {
        // What is spent elsewhere is not in this log; that it was paused for it is.
        match (changed.budget, changed.reason.as_deref()) {
            (Some(payer), _) => return Ok(Some(Command::Halt(Halt::Budget(payer)))),
            (None, Some(LOG_FULL)) => return Ok(Some(Command::Halt(Halt::LogFull))),
            _ => {}
        }
    }
    // Turns that begin, or the end of the run that was due instead.
    let begins = |p: &Payload| {
        matches!(p, Payload::TurnStarted(_) | Payload::SessionStatusChanged(_) | Payload::PromptAdapted(_))
    };
    if find(begins).is_some() {
        let begun = find(|p| matches!(p, Payload::TurnStarted(_))).is_some();
        let facts = session.order.iter().filter_map(|agent| {
            let started = group.iter().find_map(|(_, e)| match &e.payload {
                Payload::TurnStarted(s) if s.agent_id == *agent => {
                    Some(ModelFacts { id: s.model.clone(), style: s.style })
                }
                _ => None,
            });
            let adapted =
                |(_, e): &(Record, Event)| matches!(&e.payload, Payload::PromptAdapted(p) if p.agent_id == *agent);
            // A turn that the cut left with the parent did not begin here.
            let left = cut && begun && !group.iter().any(adapted);
            let unknown = || ModelFacts { id: String::new(), style: psyche_core::port::PromptStyle::Full };
            let facts = started.or_else(|| (!left).then(unknown))?;
            Some((agent.clone(), facts))
        });
        return Ok(Some(Command::Begin(facts.collect())));
    }
    Ok(None)
}

/// How a turn of this group ended. Where a fork cut its end off: what of it shows in the events before.
fn settled(group: &[(Record, Event)], turn: u64, agent: &AgentId) -> Settled {
    let mut cut = Settled { finish: Finish::Stop, tokens: 0, cost: 0.0, confidence: None, reasoning: None };
    for (_, event) in group {
        match &event.payload {
            Payload::TurnCommitted(c) if c.turn == turn => {
                let reasoning = c.reasoning.as_ref().map(|r| r.as_str().to_owned());
                let (finish, tokens, cost, confidence) = (c.finish, c.tokens, c.cost, c.confidence);
                return Settled { finish, tokens, cost, confidence, reasoning };
            }
            Payload::AgentMessage(m) if m.metadata.turn == turn && m.metadata.truncated => cut.finish = Finish::Length,
            Payload::AgentStateUpdate(update) if update.agent_id == *agent => cut.confidence = update.confidence,
            Payload::SessionStatusChanged(s) if s.reason.as_deref() == Some("budget_exceeded") => cut.cost = f64::MAX,
            _ => {}
        }
    }
    cut
}
