//! People: they ask things of sessions at any replica, ask again with the same id when something goes wrong, and at times
//! give up, ask twice at once, or ask what cannot be.

use std::sync::Arc;
use std::time::Duration;

use psyche_core::cast::StimulusKind;
use psyche_core::session::{
    Action, AnnotateArgs, NoArgs, Settings, SpeakArgs, StepArgs, StepUnit, StimulusArgs, StopArgs, UserCommand,
};
use psyche_core::{CommandId, SessionId, UserId};
use psyche_engine::EngineError;

use super::World;
use super::history::{Answer, Answered};
use super::wire::Dice;

/// Somebody who uses one session.
pub struct Person {
    pub world: Arc<World>,
    pub session: SessionId,
    pub user: UserId,
    pub name: String,
    pub dice: Dice,
}

/// What a person wants, and words by which its effect can be told.
fn wish(dice: &mut Dice, words: &str, stops: bool) -> (Action, Option<String>) {
    let words = words.to_owned();
    let told = Some(words.clone());
    match dice.below(100) {
        0..20 => (Action::Start(NoArgs {}), None),
        20..30 => (Action::Resume(NoArgs {}), None),
        30..37 => (Action::Retry(NoArgs {}), None),
        37..45 => (Action::Pause(NoArgs {}), None),
        45..48 => {
            let unit = if dice.odds(5_000) { StepUnit::Turn } else { StepUnit::Round };
            (Action::Step(StepArgs { unit }), None)
        }
        48..51 if stops => (Action::Stop(StopArgs::default()), None),
        51..53 => (Action::Reset(NoArgs {}), None),
        53..75 => (Action::Annotate(AnnotateArgs { seq: 1, text: words, tags: Vec::new() }), told),
        75..85 => (Action::Speak(SpeakArgs { text: words, to: None }), told),
        85..93 => (
            Action::InjectStimulus(StimulusArgs { kind: StimulusKind::Custom, text: told.clone(), target: None }),
            told,
        ),
        _ => (Action::ChangeSettings(Settings { name: told.clone(), ..Settings::default() }), told),
    }
}

impl Person {
    /// Asks for things until faults end.
    pub async fn use_it(mut self) {
        for n in 0.. {
            let (action, words) = match n {
                0 => (Action::Start(NoArgs {}), None),
                // A call that is cut short by a stop is paid for as if it had been made in full.
                _ => wish(&mut self.dice, &format!("{} wants {n}", self.name), self.world.plan.faults),
            };
            // Boxed: an engine's whole way of a command is in it.
            Box::pin(self.ask(n, action, words)).await;
            let pause = self.dice.ms(50, 4_000);
            self.world.wire.wait(pause).await;
            if self.world.wire.calm.is_cancelled() {
                return;
            }
        }
    }

    /// Asks for one thing until there is an answer.
    async fn ask(&mut self, n: u64, action: Action, words: Option<String>) {
        let command = UserCommand { id: CommandId::new(&format!("{}-{n}", self.name)), actor: self.user, action };
        let gives_up = self.dice.odds(1_000);
        let twice = self.dice.odds(1_000);
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            let (patience, other) = (self.patience(), self.patience());
            let answer = if twice {
                tries += 1;
                let both = tokio::join!(self.try_once(&command, patience), self.try_once(&command, other));
                self.one_of(command.id.as_str(), both)
            } else {
                self.try_once(&command, patience).await
            };
            let gives_up = gives_up && !self.world.wire.calm.is_cancelled();
            match answer {
                Answer::Stored(_) => break answer,
                Answer::Refused if tries == 1 => break answer,
                // An earlier try may still be on its way.
                Answer::Refused => break Answer::Unknown,
                Answer::Unknown if gives_up => break answer,
                Answer::Unknown => {}
            }
            let pause = self.dice.ms(50, 1_000);
            tokio::time::sleep(pause).await;
        };
        let (session, command) = (self.session, command.id.as_str().to_owned());
        self.world.wire.tell(|| format!("{command} is answered: {answer:?}"));
        self.world.history.answered(Answered { session, command, words, answer });
    }

    fn one_of(&self, command: &str, both: (Answer, Answer)) -> Answer {
        match both {
            (Answer::Stored(a), Answer::Stored(b)) if a != b => {
                self.world.history.violated(format!("{command} was answered with event {a} and with {b}"));
                both.0
            }
            (stored @ Answer::Stored(_), _) | (_, stored @ Answer::Stored(_)) => stored,
            (Answer::Refused, Answer::Refused) => Answer::Refused,
            _ => Answer::Unknown,
        }
    }

    fn patience(&mut self) -> Duration {
        self.dice.ms(500, 20_000)
    }

    /// Asks one replica, whichever, for so long.
    async fn try_once(&self, command: &UserCommand, patience: Duration) -> Answer {
        let Some((replica, engine)) = self.world.any() else { return Answer::Unknown };
        let result = tokio::select! {
            biased;
            () = replica.dead.cancelled() => return Answer::Unknown,
            result = engine.submit(self.session, command.clone()) => result,
            () = tokio::time::sleep(patience) => return Answer::Unknown,
        };
        self.world
            .wire
            .tell(|| format!("replica {} answers {} {}: {result:?}", replica.id, command.id, command.action.name()));
        match result {
            Ok(seq) => Answer::Stored(seq),
            Err(EngineError::Refused(_)) => Answer::Refused,
            Err(EngineError::Unavailable(_) | EngineError::Busy) => Answer::Unknown,
            Err(error) => {
                self.world.history.violated(format!("{} was answered with {error:?}", command.id));
                Answer::Unknown
            }
        }
    }

    /// Keeps the session running until a new turn commits; how long that took, or `None` after so long.
    pub async fn insist(&mut self, most: Duration) -> Option<Duration> {
        let begun = tokio::time::Instant::now();
        let before = self.world.commits(self.session);
        for n in 0.. {
            if self.world.commits(self.session) > before {
                return Some(begun.elapsed());
            }
            if begun.elapsed() >= most {
                return None;
            }
            if !self.world.is_running(self.session).await {
                let id = CommandId::new(&format!("{}-insists-{n}", self.name));
                let command = UserCommand { id, actor: self.user, action: Action::Start(NoArgs {}) };
                self.try_once(&command, Duration::from_secs(2)).await;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        None
    }
}
