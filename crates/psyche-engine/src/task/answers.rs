//! What people ask of a session: commands from the mailbox, decided, stored and answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use psyche_core::SessionId;
use psyche_core::event::{Event, Payload};
use psyche_core::port::{AppendError, EventLog, StoreError};
use psyche_core::session::{Action, Command, Refusal, RefusalKind, SessionStatus, UserCommand};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{MAILBOX, Task};
use crate::{EngineError, Mail, load, peek};

type Answer = oneshot::Sender<Result<u64, EngineError>>;

/// Notes change nothing that a turn depends on.
fn is_note(command: &UserCommand) -> bool {
    matches!(command.action, Action::Annotate(_))
}

enum Handled {
    Engine(EngineError),
    Fenced,
}

impl From<EngineError> for Handled {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl Task {
    /// Answers a command and those that wait behind it. `Err` when the session was lost.
    ///
    /// Notes that wait together are stored together: a class that writes at once waits for one commit.
    pub(super) async fn answer_waiting(&mut self, command: UserCommand, answer: Answer) -> Result<(), ()> {
        let mut waiting = VecDeque::from([(command, answer)]);
        while waiting.len() < MAILBOX
            && let Ok(mail) = self.mailbox.try_recv()
        {
            match mail {
                Mail::Command(command, answer) => waiting.push_back((command, answer)),
                Mail::Order(order) => self.obey(order).await?,
            }
        }
        loop {
            let notes = waiting.iter().take_while(|(command, _)| is_note(command)).count();
            if notes > 1 {
                self.note_together(waiting.drain(..notes).collect()).await?;
            } else if let Some((command, answer)) = waiting.pop_front() {
                self.answer(command, answer).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Stores notes in one append. Where that cannot be, each is answered by itself.
    async fn note_together(&mut self, notes: Vec<(UserCommand, Answer)>) -> Result<(), ()> {
        let ports = self.inner.ports.clone();
        let (append, events, next, seqs) = {
            let session = peek(&self.state);
            let mut next = session.clone();
            let (mut records, mut events, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
            for (command, _) in &notes {
                // Each has a time of its own, as if it were an append of its own: so the log can be run again.
                let step = self.step(&mut next, &Command::User(command.clone()), None).ok();
                seqs.push(step.as_ref().and_then(|step| step.events.first()).map(|e| e.seq));
                if let Some(step) = step {
                    records.extend(step.records);
                    events.extend(step.events);
                }
            }
            (self.append(&session, records, &next), events, next, seqs)
        };
        let stored = !events.is_empty() && ports.log.append(append).await.is_ok();
        if stored {
            self.show(&events, next);
            self.snapshot_if_due().await;
        }
        for ((command, answer), seq) in notes.into_iter().zip(seqs) {
            match seq.filter(|_| stored) {
                Some(seq) => _ = answer.send(Ok(seq)),
                None => self.answer(command, answer).await?,
            }
        }
        Ok(())
    }

    /// Decides a person's command and answers. `Err` when the session was lost.
    async fn answer(&mut self, command: UserCommand, answer: Answer) -> Result<(), ()> {
        let result = match self.handle(&command).await {
            Ok(seq) => Ok(seq),
            Err(Handled::Engine(error)) => Err(error),
            // Not answered: whoever waits asks the session's next owner.
            Err(Handled::Fenced) => return Err(()),
        };
        let _ = answer.send(result);
        Ok(())
    }

    async fn handle(&mut self, command: &UserCommand) -> Result<u64, Handled> {
        let log = Arc::clone(&self.inner.ports.log);
        let events = match self.decide_and_append(&Command::User(command.clone())).await {
            Ok(decided) => decided.events,
            // The log takes each command once, so it need not be asked before.
            Err(AppendError::CommandTaken { seq }) => return self.same_command(command, seq).await,
            Err(AppendError::Fenced) => return Err(Handled::Fenced),
            Err(AppendError::Store(StoreError::Conflict(_))) => {
                // What was done already may well be impossible now.
                if let Some(seq) = log.find_command(self.id, command.id.as_str()).await.map_err(EngineError::from)? {
                    return self.same_command(command, seq).await;
                }
                // A refusal must rest on the present: an owner that was overtaken knows only the past.
                let head = log.head(self.id).await.map_err(EngineError::from)?.ok_or(EngineError::NotFound)?;
                if head.epoch != self.epoch {
                    return Err(Handled::Fenced);
                }
                let refusal = self.look(|s| s.check(&command.action).err());
                return Err(refusal.map_or(EngineError::Busy, EngineError::Refused).into());
            }
            Err(error) => return Err(EngineError::from(error).into()),
        };
        self.follow_up(&events);
        Ok(events.first().map_or(0, |e| e.seq))
    }

    /// What a decided command changes of the turns to come.
    pub(super) fn follow_up(&mut self, events: &[Event]) {
        let paced = |e: &Event| matches!(&e.payload, Payload::SettingsChanged(c) if c.pacing_ms.is_some());
        if events.iter().any(paced) && self.look(|s| s.unfinished.is_empty()) {
            self.next_at = self.next_at.min(Instant::now() + Duration::from_millis(self.look(|s| s.pacing_ms)));
        }
        let mut statuses = events.iter().rev().filter_map(|e| match &e.payload {
            Payload::SessionStatusChanged(changed) => Some(changed.status),
            _ => None,
        });
        match statuses.next() {
            Some(SessionStatus::Running) => self.next_at = Instant::now(),
            Some(_) if self.look(|s| s.in_flight.is_empty()) => {
                self.calls.abort_all();
                self.outcomes.clear();
            }
            _ => {}
        }
    }

    /// A command id stands for one command of one person.
    async fn same_command(&mut self, command: &UserCommand, seq: u64) -> Result<u64, Handled> {
        if seq > self.look(|s| s.seq) {
            self.catch_up().await.map_err(EngineError::from)?;
        }
        let status = self.look(|s| s.status);
        Ok(same_command(self.inner.ports.log.as_ref(), self.id, command, (seq, status)).await?)
    }
}

/// Whether the event `seq` has received this very command. A refusal tells the session's status.
pub(crate) async fn same_command(
    log: &dyn EventLog,
    id: SessionId,
    command: &UserCommand,
    (seq, status): (u64, SessionStatus),
) -> Result<u64, EngineError> {
    match load::event(log, id, seq).await?.map(|e| e.payload) {
        Some(Payload::CommandReceived(received))
            if received.actor == command.actor.to_string() && received.command == command.action.name() =>
        {
            Ok(seq)
        }
        _ => {
            let message = format!("the command id {} was used for another command, event {seq}", command.id);
            Err(EngineError::Refused(Refusal { kind: RefusalKind::Conflict, status, field: None, message }))
        }
    }
}
