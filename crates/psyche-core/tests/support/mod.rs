//! A session driven by hand: the same steps as the engine's task, without time, store or model.

use std::collections::BTreeMap;

use psyche_core::cast::{Cast, StimulusKind};
use psyche_core::embedding::Embedded;
use psyche_core::event::{Event, Payload, SessionCreated};
use psyche_core::measure::{MEASURES_VERSION, Vader};
use psyche_core::port::{Determinism, Finish, ModelErrorKind, PromptStyle, Usage};
use psyche_core::prompt::PROMPTS_VERSION;
use psyche_core::record::Record;
use psyche_core::session::{
    Action, Budget, Command, Failure, Inputs, ModelFacts, NoArgs, Refusal, Reply, Session, SessionType, StimulusArgs,
    TurnOrder, UserCommand,
};
use psyche_core::words::{Hash, Salts, Subject, Words};
use psyche_core::{AgentId, CommandId, SessionId, Timestamp, UserId};

pub const PERSON: UserId = UserId(uuid::Uuid::from_u128(7));
pub const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(1));

pub struct Sim {
    pub session: Session,
    pub records: Vec<Record>,
    pub events: Vec<Event>,
    pub style: PromptStyle,
    /// What the next words are embedded as.
    pub embedded: Option<Embedded>,
    vader: Vader,
    commands: u64,
    salt: u8,
}

pub struct Shape {
    pub cast: Cast,
    pub turn_order: TurnOrder,
    pub max_rounds: Option<u64>,
    pub budget: Budget,
    pub measures_version: u16,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            cast: Cast::jungian(),
            turn_order: TurnOrder::Sequential,
            max_rounds: None,
            budget: Budget::default(),
            measures_version: MEASURES_VERSION,
        }
    }
}

impl Sim {
    pub fn shaped(shape: Shape) -> Self {
        let mut salts = Salts::recorded(vec![[9; 16]; 8]);
        let mut words = |text: &str| Words::new(text, Subject::User(PERSON), &mut salts);
        let created = SessionCreated {
            name: words("The unopened letter"),
            session_type: SessionType::SingleUser,
            owner: PERSON,
            situation: words("We meet at the kitchen table after a long silence."),
            tags: vec![words("family"), words("letters")],
            cast_words: Some(SessionCreated::cast_words(&shape.cast, Subject::User(PERSON), &mut salts)),
            cast: Box::new(shape.cast),
            seed: 42,
            model: "scripted".to_owned(),
            determinism: Determinism::Tape,
            turn_order: shape.turn_order,
            pacing_ms: 0,
            max_rounds: shape.max_rounds,
            budget: shape.budget,
            measures_version: shape.measures_version,
            prompts_version: PROMPTS_VERSION,
        };
        let at = Timestamp(1_795_380_000_000_000);
        let event = Event { generation: 1, seq: 1, at, payload: Payload::SessionCreated(created.clone()) };
        let record = event.record(&Hash::ZERO, 0);
        let mut session = Session::new(SESSION, &event, &created);
        session.apply_record(&record, &event);
        let (records, events) = (vec![record], vec![event]);
        Self {
            session,
            records,
            events,
            style: PromptStyle::Full,
            embedded: None,
            vader: Vader::new(),
            commands: 0,
            salt: 0,
        }
    }

    /// Decides, chains and folds. Gives the new events.
    pub fn step(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        self.salt = self.salt.wrapping_add(1);
        let now = self.session.last_at.plus_ms(10);
        let mut inputs = Inputs {
            now,
            salts: Salts::recorded(vec![[self.salt; 16]; 8]),
            vader: &self.vader,
            embedded: self.embedded.clone(),
            prompts: BTreeMap::new(),
        };
        let payloads = self.session.decide(command, &mut inputs)?;
        let events = self.session.stamp(payloads, now);
        let records = self.session.records(&events, 1);
        for (record, event) in records.iter().zip(&events) {
            self.session.apply_record(record, event);
        }
        self.records.extend(records);
        self.events.extend(events.clone());
        Ok(events)
    }

    pub fn user(&mut self, action: Action) -> Result<Vec<Event>, Refusal> {
        self.commands += 1;
        let id = CommandId::new(&format!("command-{}", self.commands));
        self.step(&Command::User(UserCommand { id, actor: PERSON, action }))
    }

    pub fn start(&mut self) {
        self.user(Action::Start(NoArgs {})).unwrap();
    }

    pub fn begin(&mut self) -> Vec<Event> {
        let facts: BTreeMap<AgentId, ModelFacts> = self
            .session
            .order
            .iter()
            .map(|id| (id.clone(), ModelFacts { id: "scripted".to_owned(), style: self.style }))
            .collect();
        self.step(&Command::Begin(facts)).unwrap()
    }

    pub fn commit(&mut self, text: &str) -> Vec<Event> {
        let turn = *self.session.in_flight.first_key_value().expect("a turn is under way").0;
        let command = self.reply(turn, text);
        self.step(&command).unwrap()
    }

    /// The end of a turn that is under way.
    pub fn reply(&self, turn: u64, text: &str) -> Command {
        let attempt = self.session.in_flight[&turn].attempt;
        let reply = Reply {
            text: text.to_owned(),
            reasoning: None,
            finish: Finish::Stop,
            usage: Some(Usage { prompt_tokens: 100, completion_tokens: 20 }),
            cost: 0.0,
            confidence: Some(0.5),
            latency_ms: 12,
        };
        Command::Commit { turn, attempt, reply }
    }

    pub fn fail(&mut self, retryable: bool) -> Vec<Event> {
        let (turn, flight) = self.session.in_flight.first_key_value().expect("a turn is under way");
        let (turn, attempt) = (*turn, flight.attempt);
        let message = "the model did not answer in time".to_owned();
        let failure = Failure { kind: ModelErrorKind::Timeout, retryable, message, tokens: 5 };
        self.step(&Command::Fail { turn, attempt, failure }).unwrap()
    }

    /// One utterance, with words that depend on the turn.
    pub fn turn(&mut self) -> Vec<Event> {
        let mut events = self.begin();
        let text = line(self.session.turn);
        events.extend(self.commit(&text));
        events
    }

    pub fn rounds(&mut self, n: u64) {
        for _ in 0..n {
            self.turn();
            while !self.session.round_is_over() {
                self.turn();
            }
        }
    }

    pub fn inject(&mut self, text: &str, target: Option<&str>) -> u64 {
        let target = target.map(AgentId::new);
        let args = StimulusArgs { kind: StimulusKind::Custom, text: Some(text.to_owned()), target };
        let events = self.user(Action::InjectStimulus(args)).unwrap();
        events.iter().find(|e| e.payload.kind() == "stimulus_injected").unwrap().seq
    }
}

/// A line that differs from turn to turn.
pub fn line(turn: u64) -> String {
    const SUBJECTS: [&str; 7] =
        ["The letter", "My father", "A grey bird", "The garden", "This house", "Our silence", "The river"];
    const VERBS: [&str; 11] = [
        "waits for",
        "remembers",
        "refuses",
        "carries",
        "forgives",
        "questions",
        "hides",
        "opens",
        "mourns",
        "paints",
        "outlives",
    ];
    const OBJECTS: [&str; 13] = [
        "the winter",
        "an old promise",
        "the broken clock",
        "every guest",
        "a debt",
        "the music",
        "my hands",
        "what we buried",
        "the staircase",
        "a stranger",
        "the rain",
        "an empty plate",
        "the last word",
    ];
    let n = turn as usize;
    format!("{} {} {}. I say it in turn {n}.", SUBJECTS[n % 7], VERBS[n % 11], OBJECTS[n % 13])
}
