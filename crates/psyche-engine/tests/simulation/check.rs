//! What must hold of every world: the invariants of shared/design/reliability.md, section 3, and some more.

use std::collections::BTreeMap;

use psyche_core::event::{Event, Payload};
use psyche_core::port::{Directory as _, EventLog as _};
use psyche_core::record::{Checker, Record};
use psyche_core::session::{Action, Session};
use psyche_core::{SessionId, TenantId};
use psyche_engine::{Rerun, fold};

use super::history::{Answer, Answered, Facts};
use super::{World, counted};

/// One world in so many is run again from its logs.
const RERUN_ONE_IN: u64 = 8;

/// A session's log, folded.
struct Story {
    session: SessionId,
    records: Vec<Record>,
    events: Vec<Event>,
    end: Session,
}

pub async fn world(world: &World) {
    for n in 0..world.sessions.len() {
        if let Err(violation) = session(world, n).await {
            world.history.violated(format!("session {n}: {violation}"));
        }
    }
}

/// Whether an owner still has to decide a command that another replica took.
pub async fn waits(world: &World) -> bool {
    for id in &world.sessions {
        let mut state = None;
        for record in world.store.read(*id, 0, usize::MAX).await.unwrap_or_default() {
            // What is wrong with a log is told at the end.
            if fold(&mut state, *id, &record).is_err() {
                return false;
            }
        }
        if state.is_some_and(|state| !state.waiting.is_empty()) {
            return true;
        }
    }
    false
}

async fn session(world: &World, n: usize) -> Result<(), String> {
    let id = world.sessions[n];
    // What each replica believes is asked first: the log has at least that much then.
    let mut beliefs = Vec::new();
    for slot in world.alive() {
        let state = slot.engine.read(id, Session::clone).await.map_err(|e| format!("it cannot be read: {e}"))?;
        beliefs.push((slot.replica.id, state));
    }
    let records = world.store.read(id, 0, usize::MAX).await.map_err(|e| e.to_string())?;
    let row = world.store.session(id).await.map_err(|e| e.to_string())?.ok_or("its row is gone")?;
    let ledger = world.store.allowance(TenantId::DEFAULT, Some(world.owners[n])).await.map_err(|e| e.to_string())?;
    let story = whole(id, records, &beliefs)?;
    for event in &story.events {
        if let Some(name) = counted(&event.payload) {
            world.wire.count(name);
        }
    }
    if row.summary.seq == story.end.seq && row.summary != story.end.summary() {
        return Err(format!("its row is not what its log says: {:?}, {:?}", row.summary, story.end.summary()));
    }
    turns(&story)?;
    let facts = world.history.lock();
    epochs(&facts, &story)?;
    for answered in facts.answered.iter().filter(|answered| answered.session == id) {
        answer(answered, &story)?;
    }
    commands(&story)?;
    calls(&facts, (n, world.plan.faults), &story, ledger.spent.tokens)?;
    if world.plan.seed.is_multiple_of(RERUN_ONE_IN) {
        let mut rerun = Rerun::new(id, &world.vader);
        for record in story.records {
            rerun.feed(record).map_err(|e| format!("run again, it differs: {e}"))?;
        }
        rerun.finish().map_err(|e| format!("run again, it differs: {e}"))?;
    }
    Ok(())
}

/// I2, I4, I10: the log is whole; and every replica's state is the fold of it.
fn whole(session: SessionId, records: Vec<Record>, beliefs: &[(usize, Session)]) -> Result<Story, String> {
    let mut checker = Checker::default();
    let mut state = None;
    let mut events = Vec::with_capacity(records.len());
    for record in &records {
        checker.check(record).map_err(|broken| format!("I2/I4/I10: {broken}"))?;
        if record.epoch == 0 && record.seq > 1 && record.kind != "command_received" {
            return Err(format!("event {}, {}, was written by nobody", record.seq, record.kind));
        }
        fold(&mut state, session, record).map_err(|e| e.to_string())?;
        events.push(Event::decode(record).map_err(|e| e.to_string())?);
        for (replica, belief) in beliefs.iter().filter(|(_, belief)| belief.seq == record.seq) {
            if state.as_ref() != Some(belief) {
                return Err(format!(
                    "replica {replica} believes another state after event {} than its fold",
                    record.seq
                ));
            }
        }
    }
    let end = state.ok_or("its log is empty")?;
    match beliefs.iter().find(|(_, belief)| belief.seq > end.seq) {
        Some((replica, belief)) => Err(format!("replica {replica} knows event {} that is in no log", belief.seq)),
        None => Ok(Story { session, records, events, end }),
    }
}

/// I4: no append was taken of an owner that had been followed by another, and an epoch is one replica's.
fn epochs(facts: &Facts, story: &Story) -> Result<(), String> {
    let (mut last, mut owners) = (0, BTreeMap::new());
    for taken in facts.taken.iter().filter(|taken| taken.session == story.session) {
        if taken.epoch < last {
            return Err(format!("I4: the append up to {} is of epoch {}, after one of {last}", taken.seq, taken.epoch));
        }
        last = taken.epoch;
        let owner = *owners.entry(taken.epoch).or_insert(taken.replica);
        if owner != taken.replica {
            return Err(format!("I4: replicas {owner} and {} both append under epoch {last}", taken.replica));
        }
    }
    Ok(())
}

/// How far a turn has come.
#[derive(Default)]
struct Turn {
    attempts: u32,
    open: bool,
    committed: bool,
    said: u32,
    seed: u64,
    abandoned: bool,
    /// Attempts that began since somebody last asked for the session to go on.
    unasked: u32,
}

/// I3: a turn goes through its attempts one after the other, at most three unasked, and is committed once at most, with
/// what was said in it.
fn turns(story: &Story) -> Result<(), String> {
    let mut turns: BTreeMap<u64, Turn> = BTreeMap::new();
    for event in &story.events {
        let wrong = |what: &str| Err(format!("I3: event {}: {what}", event.seq));
        match &event.payload {
            Payload::CommandReceived(_) => turns.values_mut().for_each(|turn| turn.unasked = 0),
            Payload::TurnStarted(started) => {
                let turn = turns.entry(started.turn).or_default();
                if turn.open || turn.committed || started.attempt != turn.attempts + 1 {
                    return wrong(&format!("attempt {} of turn {} cannot begin", started.attempt, started.turn));
                }
                if turn.abandoned && started.seed != turn.seed {
                    return wrong("an attempt that was abandoned is made again with another seed");
                }
                turn.unasked += 1;
                if turn.unasked > 3 {
                    return wrong("a fourth attempt that nobody asked for");
                }
                (turn.attempts, turn.open, turn.seed, turn.abandoned) = (started.attempt, true, started.seed, false);
            }
            Payload::AgentMessage(message) if message.metadata.user_id.is_none() => {
                let turn = turns.entry(message.metadata.turn).or_default();
                turn.said += 1;
                if !turn.open || turn.said > 1 || message.metadata.attempt != turn.attempts {
                    return wrong("words of a turn that is not under way, or twice");
                }
            }
            Payload::TurnCommitted(ended) => {
                let turn = turns.entry(ended.turn).or_default();
                if !turn.open || turn.said != 1 || turn.committed || ended.attempt != turn.attempts {
                    return wrong("a commit of a turn that is not under way, or twice");
                }
                (turn.open, turn.committed) = (false, true);
            }
            Payload::TurnFailed(ended) => {
                let turn = turns.entry(ended.turn).or_default();
                if !turn.open || ended.attempt != turn.attempts {
                    return wrong("a turn fails that is not under way");
                }
                turn.open = false;
            }
            Payload::TurnAbandoned(ended) => {
                let turn = turns.entry(ended.turn).or_default();
                if !turn.open || ended.attempt != turn.attempts {
                    return wrong("a turn is abandoned that is not under way");
                }
                (turn.open, turn.abandoned) = (false, true);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The command of this id in the log.
fn received<'a>(story: &'a Story, command: &str) -> impl Iterator<Item = &'a Event> {
    let command = command.to_owned();
    let is = move |event: &&Event| matches!(&event.payload, Payload::CommandReceived(c) if c.command_id == command);
    story.events.iter().filter(is)
}

/// I1: what was acknowledged is in the log where it was said to be; what was refused did nothing.
fn answer(answered: &Answered, story: &Story) -> Result<(), String> {
    let Answered { command, answer, words, .. } = answered;
    let mut found = received(story, command);
    match answer {
        Answer::Stored(seq) => match found.next() {
            Some(event) if event.seq == *seq => Ok(()),
            Some(event) => Err(format!("I1: {command} is event {}, it was said to be {seq}", event.seq)),
            None => Err(format!("I1: {command} was acknowledged as event {seq} and is in no log")),
        },
        Answer::Refused => match words.as_deref().map(|words| effects(story, words)) {
            Some(n) if n > 0 => Err(format!("{command} was refused and took effect {n} times")),
            _ => Ok(()),
        },
        Answer::Unknown => Ok(()),
    }
}

/// Events that say these words, which one command had for its own.
fn effects(story: &Story, words: &str) -> usize {
    let says = |event: &&Event| match &event.payload {
        Payload::Annotation(note) => note.text.as_str() == words,
        Payload::StimulusInjected(stimulus) => stimulus.text.as_str() == words,
        Payload::SettingsChanged(changed) => changed.name.as_ref().is_some_and(|name| name.as_str() == words),
        Payload::AgentMessage(message) => message.metadata.user_id.is_some() && message.content.as_str() == words,
        _ => false,
    };
    story.events.iter().filter(says).count()
}

/// I3: a command that is in the log is there once, and took effect once or was refused once.
fn commands(story: &Story) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for event in &story.events {
        let Payload::CommandReceived(command) = &event.payload else { continue };
        let id = &command.command_id;
        if let Some(before) = seen.insert(id, event.seq) {
            return Err(format!("I3: {id} is event {before} and event {}", event.seq));
        }
        let words = match Action::recorded(command) {
            Ok(Action::Annotate(args)) => Some(args.text),
            Ok(Action::Speak(args)) => Some(args.text),
            Ok(Action::InjectStimulus(args)) => args.text,
            Ok(Action::ChangeSettings(settings)) => settings.name,
            Ok(_) => None,
            Err(message) => return Err(format!("{id} cannot be read: {message}")),
        };
        let Some(words) = words else { continue };
        let refused =
            story.events.iter().filter(|e| matches!(&e.payload, Payload::CommandRefused(r) if r.command_id == *id));
        let (done, refused) = (effects(story, &words), refused.count());
        if done + refused != 1 {
            return Err(format!(
                "I3: {id}, event {}, took effect {done} times and was refused {refused} times",
                event.seq
            ));
        }
    }
    Ok(())
}

/// I6: what models saw was in the log before, one call an attempt, and is paid for.
fn calls(facts: &Facts, (session, faults): (usize, bool), story: &Story, ledger: u64) -> Result<(), String> {
    let mut begun: BTreeMap<_, u64> = BTreeMap::new();
    for event in &story.events {
        if let Payload::TurnStarted(started) = &event.payload {
            *begun.entry((started.turn, started.prompt_digest.0)).or_default() += 1;
        }
    }
    let mut seen = 0;
    for asked in facts.asked.iter().filter(|asked| asked.session == session) {
        seen += asked.tokens;
        match begun.get_mut(&(asked.turn, asked.prompt.0)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                return Err(format!(
                    "I6: a model was asked for turn {}, which no event in the log has begun",
                    asked.turn
                ));
            }
        }
    }
    let spent = story.end.spent.tokens;
    if spent + story.end.reserved < seen {
        return Err(format!("I6: models saw {seen} tokens, the log has {spent} and {} reserved", story.end.reserved));
    }
    // Where no fault struck it is exactly that, but for calls under way.
    let under_way = story.end.in_flight.len() as u64 * super::model::USAGE.total();
    if !faults && !(spent..=spent + under_way).contains(&seen) {
        return Err(format!("I6: models saw {seen} tokens, the log has {spent}"));
    }
    if ledger != spent {
        return Err(format!("I6: the ledger has {ledger} tokens, the log {spent}"));
    }
    Ok(())
}
