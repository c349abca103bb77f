//! Commands: what people ask of a session and what the engine reports to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cast::{Cast, Path, StimulusKind, StimulusPreset, Thresholds};
use crate::event::{
    AgentChanged, AgentMessage, Annotation, Arg, CommandAccepted, CommandReceived, CommandRefused, MessageMetadata,
    MessageType, PathsChanged, Payload, PresetWords, Reset, SealedEmbedding, SessionStatusChanged, SettingsChanged,
    SituationChanged, StimulusInjected, TurnAbandoned, TurnFailed,
};
use crate::ids::{AgentId, CommandId, UserId};
use crate::measure::affect::affect;
use crate::random;
use crate::speech;
use crate::time::Timestamp;
use crate::words::{Salts, Subject, Words};

use super::fork::Fork;
use super::people::Relate;
use super::turns::{Failure, MAX_ATTEMPTS, ModelFacts, Reply};
use super::{BUDGET_EXCEEDED, Budget, EXPIRED, Inputs, LOG_FULL, Session, SessionStatus};
use crate::port::{ModelErrorKind, Payer};

/// The `agent_id` of a person's words.
pub const USER: &str = "user";
/// Longest stimulus or spoken text, in bytes.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Stimuli that may wait at once.
pub const MAX_PENDING: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepUnit {
    Turn,
    #[default]
    Round,
}

/// What a person asks for. Serialised as the protocol's `{command, args}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "args", rename_all = "snake_case")]
pub enum Action {
    Start(NoArgs),
    Pause(NoArgs),
    Resume(NoArgs),
    Step(StepArgs),
    Stop(StopArgs),
    Reset(NoArgs),
    InjectStimulus(StimulusArgs),
    Speak(SpeakArgs),
    Retry(NoArgs),
    ChangeSettings(Settings),
    ChangeAgent(AgentChange),
    ChangePaths(PathsArgs),
    Annotate(AnnotateArgs),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepArgs {
    pub unit: StepUnit,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopArgs {
    /// The person's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StimulusArgs {
    pub kind: StimulusKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AgentId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeakArgs {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AgentId>,
}

/// Changed settings; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub situation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pacing_ms: Option<u64>,
    /// `null` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::event::double")]
    pub max_rounds: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// The presets that stimuli are drawn from, instead of those there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stimuli: Option<Vec<StimulusPreset>>,
}

/// A changed agent; absent fields stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentChange {
    pub agent_id: AgentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Empty: the session's own model again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathsArgs {
    pub paths: Vec<Path>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnotateArgs {
    pub seq: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The argument that holds presets of stimuli.
const STIMULI: &str = "stimuli";

/// A question to one agent; it is no [`Action`], for nothing is decided (see [`Session::interview`]).
pub const INTERVIEW: &str = "interview";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterviewArgs {
    pub agent_id: AgentId,
    pub question: String,
}

/// Commands a client may send by name beside [`INTERVIEW`]; the others have routes of their own.
pub const CLIENT_COMMANDS: [&str; 9] =
    ["start", "pause", "resume", "step", "stop", "reset", "inject_stimulus", "speak", "retry"];

impl Action {
    /// The command's name in the log and on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Step(_) => "step",
            Self::Stop(_) => "stop",
            Self::Reset(_) => "reset",
            Self::InjectStimulus(_) => "inject_stimulus",
            Self::Speak(_) => "speak",
            Self::Retry(_) => "retry",
            Self::ChangeSettings(_) => "change_settings",
            Self::ChangeAgent(_) => "change_agent",
            Self::ChangePaths(_) => "change_paths",
            Self::Annotate(_) => "annotate",
        }
    }

    /// Reads a client's `{command, args}`. The error says what is wrong and what is possible.
    pub fn parse(command: &str, args: Option<Value>) -> Result<Self, String> {
        if !CLIENT_COMMANDS.contains(&command) {
            return Err(format!("there is no command {command:?}; there are {}", CLIENT_COMMANDS.join(", ")));
        }
        let args = args.filter(|a| !a.is_null()).unwrap_or_else(|| Value::Object(serde_json::Map::default()));
        if !args.is_object() {
            return Err(format!("args of `{command}` must be an object"));
        }
        Self::of(command, args)
    }

    fn of(command: &str, args: Value) -> Result<Self, String> {
        let object =
            Value::Object([("command".to_owned(), command.into()), ("args".to_owned(), args)].into_iter().collect());
        serde_json::from_value(object).map_err(|e| format!("args of `{command}`: {e}"))
    }

    /// The action a `command_received` stands for.
    pub fn recorded(received: &CommandReceived) -> Result<Self, String> {
        let value = |(name, arg): (&String, &Arg)| match arg {
            // Each was sealed whole. One that is erased is none any more.
            Arg::List(presets) if name == STIMULI => {
                let read = presets.iter().filter_map(|preset| serde_json::from_str::<Value>(preset.as_str()).ok());
                (name.clone(), read.collect())
            }
            _ => (name.clone(), arg.value()),
        };
        let mut action = Self::of(&received.command, Value::Object(received.args.iter().map(value).collect()))?;
        if let Some(text) = &received.text {
            action.put_text(text.as_str().to_owned());
        }
        Ok(action)
    }

    /// The person's words within the action, taken out.
    fn take_text(&mut self) -> Option<String> {
        match self {
            Self::Stop(args) => args.reason.take(),
            Self::InjectStimulus(args) => args.text.take(),
            Self::Speak(args) => Some(std::mem::take(&mut args.text)),
            Self::ChangeSettings(settings) => settings.situation.take(),
            Self::Annotate(args) => Some(std::mem::take(&mut args.text)),
            _ => None,
        }
    }

    /// The arguments as they are stored: what else a person typed freely is sealed like the text.
    fn args(&self, subject: Subject, salts: &mut Salts) -> BTreeMap<String, Arg> {
        let Ok(Value::Object(mut action)) = serde_json::to_value(self) else { return BTreeMap::new() };
        let Some(Value::Object(args)) = action.remove("args") else { return BTreeMap::new() };
        let mut sealed = |name: String, value: Value| {
            let arg = match (name.as_str(), value) {
                ("name" | "system_prompt", Value::String(text)) => Arg::Words(Words::new(text, subject, salts)),
                ("tags", Value::Array(tags)) if !tags.is_empty() => {
                    Arg::List(tags.iter().filter_map(Value::as_str).map(|t| Words::new(t, subject, salts)).collect())
                }
                (STIMULI, Value::Array(presets)) if !presets.is_empty() => {
                    Arg::List(presets.iter().map(|p| Words::new(p.to_string(), subject, salts)).collect())
                }
                (_, value) => Arg::Value(value),
            };
            (name, arg)
        };
        args.into_iter().map(|(name, value)| sealed(name, value)).collect()
    }

    fn put_text(&mut self, text: String) {
        match self {
            Self::Stop(args) => args.reason = Some(text),
            Self::InjectStimulus(args) => args.text = Some(text),
            Self::Speak(args) => args.text = text,
            Self::ChangeSettings(settings) => settings.situation = Some(text),
            Self::Annotate(args) => args.text = text,
            _ => {}
        }
    }
}

/// A person's command.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCommand {
    pub id: CommandId,
    pub actor: UserId,
    pub action: Action,
}

/// Everything a session can be asked to decide.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    User(UserCommand),
    /// A person's command, acknowledged where the session is not owned: its owner decides it.
    Forward(UserCommand),
    /// A command another replica has acknowledged already; a refusal becomes an event.
    Received {
        seq: u64,
        received: CommandReceived,
    },
    /// The next turns are to start. The facts of each agent's model, by agent.
    Begin(BTreeMap<AgentId, ModelFacts>),
    Commit {
        turn: u64,
        attempt: u32,
        reply: Reply,
    },
    Fail {
        turn: u64,
        attempt: u32,
        failure: Failure,
    },
    /// The owner of the turns under way is gone.
    Abandon,
    /// The session is paused when nobody touched it for so long.
    Expire {
        untouched_ms: u64,
    },
    /// Another session goes on from here.
    Fork(Box<Fork>),
    /// Somebody belongs to the session otherwise than before.
    Relate(Relate),
    /// The session is paused instead of beginning a turn, for a reason outside of it.
    Halt(Halt),
}

/// Why no turn may begin, although the session could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The budget of the owner, or of everybody together, is exhausted.
    Budget(Payer),
    /// The log has as many events as the installation keeps of a session.
    LogFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The status forbids it: 409.
    Conflict,
    /// The arguments cannot be: 422.
    Invalid,
}

/// Why a command was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: RefusalKind,
    pub status: SessionStatus,
    /// The argument at fault, for [`RefusalKind::Invalid`].
    pub field: Option<&'static str>,
    pub message: String,
}

impl Session {
    /// Decides what follows from a command. Changes nothing; the events are folded once they are stored.
    pub fn decide(&self, command: &Command, inputs: &mut Inputs<'_>) -> Result<Vec<Payload>, Refusal> {
        match command {
            Command::User(user) => self.decide_user(user, inputs),
            Command::Forward(user) => {
                self.check(&user.action)?;
                Ok(vec![CommandReceived { waits: true, ..receipt(user, inputs) }.into()])
            }
            Command::Received { seq, received } => Ok(self.decide_received(*seq, received, inputs)),
            Command::Begin(facts) => self.begin_turns(facts, inputs),
            Command::Commit { turn, attempt, reply } => self.commit(*turn, *attempt, reply, inputs),
            Command::Fail { turn, attempt, failure } => self.fail(*turn, *attempt, failure),
            Command::Abandon => Ok(self.abandon_dead()),
            Command::Expire { untouched_ms } => Ok(self.expire(*untouched_ms, inputs.now)),
            Command::Fork(fork) => self.fork(fork, inputs),
            Command::Halt(halt) => self.halt(*halt),
            Command::Relate(relate) => Ok(self.relate(relate, inputs).into_iter().collect()),
        }
    }

    fn decide_user(&self, user: &UserCommand, inputs: &mut Inputs<'_>) -> Result<Vec<Payload>, Refusal> {
        self.check(&user.action)?;
        let mut payloads = vec![receipt(user, inputs).into()];
        self.effects(self.seq + 2, &user.action, user.actor, inputs, &mut payloads);
        Ok(payloads)
    }

    fn decide_received(&self, seq: u64, received: &CommandReceived, inputs: &mut Inputs<'_>) -> Vec<Payload> {
        // Decided before, with the answer lost.
        if !self.waiting.contains_key(&seq) {
            return Vec::new();
        }
        let command_id = received.command_id.clone();
        let refused = |message: String| {
            vec![CommandRefused { command_id: command_id.clone(), status: self.status, message }.into()]
        };
        // What is wrong with the arguments may quote a person's words, and this text is not sealed.
        let Ok(action) = Action::recorded(received) else {
            return refused(format!("the arguments of `{}` cannot be read", received.command));
        };
        let Ok(actor) = received.actor.parse() else { return refused("the actor is not a user's id".to_owned()) };
        if let Err(refusal) = self.check(&action) {
            return refused(refusal.message);
        }
        let mut payloads = vec![CommandAccepted { command_id, received_seq: seq }.into()];
        self.effects(self.seq + 2, &action, actor, inputs, &mut payloads);
        payloads
    }

    /// Whether the action is possible now, with arguments that can be.
    pub fn check(&self, action: &Action) -> Result<(), Refusal> {
        use SessionStatus::{Created, Failed, Paused, Running, Stopped};
        let conflict =
            |message: String| Refusal { kind: RefusalKind::Conflict, status: self.status, field: None, message };
        let invalid = |field, message: String| Refusal {
            kind: RefusalKind::Invalid,
            status: self.status,
            field: Some(field),
            message,
        };
        let only = |allowed: &[SessionStatus]| {
            if allowed.contains(&self.status) {
                return Ok(());
            }
            let names: Vec<_> = allowed.iter().map(|s| s.name()).collect();
            Err(conflict(format!(
                "the session is {}; `{}` is possible when it is {}",
                self.status.name(),
                action.name(),
                names.join(", ")
            )))
        };
        let known = |field, agent: &AgentId| {
            if self.agents.contains_key(agent) {
                Ok(())
            } else {
                Err(invalid(field, format!("there is no agent {:?}", agent.as_str())))
            }
        };
        let sized = |field, text: &str| {
            let size = text.len();
            if text.trim().is_empty() {
                Err(invalid(field, "must not be empty".to_owned()))
            } else if size > MAX_TEXT_BYTES {
                Err(invalid(field, format!("has {size} bytes, {MAX_TEXT_BYTES} are possible")))
            } else {
                Ok(())
            }
        };
        let room = || {
            if self.stimuli.len() < MAX_PENDING {
                return Ok(());
            }
            Err(conflict(format!("{MAX_PENDING} stimuli and messages wait already; let the agents hear some first")))
        };
        let listens = |agent: &AgentId| {
            if self.agents.get(agent).is_some_and(|a| a.definition.muted) {
                return Err(conflict(format!("{agent} is muted and would never hear it; unmute it first")));
            }
            Ok(())
        };
        let rounds_left = || match self.max_rounds {
            Some(max) if self.round >= max && self.round_is_over() => {
                Err(conflict(format!("all {max} rounds are done; raise max_rounds or reset the session")))
            }
            _ => Ok(()),
        };
        match action {
            Action::Start(_) => only(&[Created, Paused, Stopped]).and_then(|()| rounds_left()),
            Action::Step(_) => only(&[Created, Paused, Stopped]).and_then(|()| rounds_left()),
            Action::Pause(_) => only(&[Running]),
            Action::Resume(_) => only(&[Paused]).and_then(|()| rounds_left()),
            Action::Stop(_) => only(&[Running, Paused]),
            Action::Reset(_) => only(&[Created, Paused, Stopped, Failed]),
            Action::Retry(_) => {
                if self.due().any(|(_, u)| u.kind.is_some()) && self.status != Running {
                    Ok(())
                } else {
                    Err(conflict("there is no failed turn to retry".to_owned()))
                }
            }
            Action::InjectStimulus(args) => {
                only(&[Created, Running, Paused, Stopped])?;
                if self.stimuli.len() >= MAX_PENDING {
                    return Err(conflict(format!(
                        "{MAX_PENDING} stimuli wait already; let the agents hear some first"
                    )));
                }
                if let Some(target) = &args.target {
                    known("args.target", target)?;
                }
                match &args.text {
                    Some(text) => sized("args.text", text),
                    None if self.presets_of(args.kind).next().is_none() => Err(invalid(
                        "args.text",
                        format!("is needed: the cast has no preset of kind `{}`", args.kind.name()),
                    )),
                    None => Ok(()),
                }
            }
            Action::Speak(args) => {
                only(&[Created, Running, Paused, Stopped])?;
                room()?;
                if let Some(to) = &args.to {
                    known("args.to", to)?;
                    listens(to)?;
                }
                sized("args.text", &args.text)
            }
            Action::ChangeSettings(settings) => {
                if let Some(name) = &settings.name
                    && (name.trim().is_empty() || name.chars().count() > 200)
                {
                    return Err(invalid("name", "must have 1 to 200 characters".to_owned()));
                }
                if settings.pacing_ms.is_some_and(|p| p > 600_000) {
                    return Err(invalid("pacing_ms", "must be at most 600000".to_owned()));
                }
                if settings.max_rounds == Some(Some(0)) {
                    return Err(invalid("max_rounds", "must be at least 1, or null for no limit".to_owned()));
                }
                if let Some((field, message)) = self.fault_of(settings) {
                    return Err(invalid(field, message));
                }
                settings.situation.as_deref().map_or(Ok(()), |s| sized("situation", s))
            }
            Action::ChangeAgent(change) => {
                known("agent_id", &change.agent_id)?;
                if change.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
                    return Err(invalid("temperature", "must be between 0 and 2".to_owned()));
                }
                change.system_prompt.as_deref().map_or(Ok(()), |p| sized("system_prompt", p))
            }
            Action::ChangePaths(args) => {
                let cast = Cast { paths: args.paths.clone(), ..self.initial.cast.clone() };
                match cast.validate().into_iter().find(|e| e.field.starts_with("paths")) {
                    Some(error) => Err(invalid("paths", error.to_string())),
                    None => Ok(()),
                }
            }
            Action::Annotate(args) => {
                if args.seq == 0 || args.seq > self.seq {
                    return Err(invalid("seq", format!("is {}, the log has events 1 to {}", args.seq, self.seq)));
                }
                sized("text", &args.text)
            }
        }
    }

    /// What is wrong with new thresholds or presets, by the rules of casts.
    fn fault_of(&self, settings: &Settings) -> Option<(&'static str, String)> {
        let mut cast = self.initial.cast.clone();
        cast.thresholds = settings.thresholds.unwrap_or_default();
        cast.stimuli = settings.stimuli.clone().unwrap_or_default();
        let faults = cast.validate();
        ["thresholds", STIMULI].into_iter().find_map(|root| {
            let fault = faults.iter().find(|fault| fault.field.starts_with(root))?;
            Some((root, fault.to_string()))
        })
    }

    /// What follows from an accepted action. `seq` is the number its first event will get.
    fn effects(&self, seq: u64, action: &Action, actor: UserId, inputs: &mut Inputs<'_>, out: &mut Vec<Payload>) {
        let by = actor.to_string();
        let subject = Subject::User(actor);
        match action {
            Action::Start(_) | Action::Resume(_) | Action::Step(_) | Action::Retry(_) => {
                out.push(status(SessionStatus::Running, None, &by));
            }
            Action::Pause(_) if self.in_flight.is_empty() => out.push(status(SessionStatus::Paused, None, &by)),
            Action::Pause(_) => {}
            Action::Stop(_) => {
                out.extend(self.abandon("stopped"));
                out.push(status(SessionStatus::Stopped, Some("stopped"), &by));
            }
            Action::Reset(_) => {
                out.push(Reset { actor: by.clone(), dropped: self.stimuli.iter().map(|s| s.seq).collect() }.into());
                out.push(status(SessionStatus::Created, None, &by));
            }
            Action::InjectStimulus(args) => {
                let mut rng = random::stream(self.initial.seed, seq, USER, "stimulus");
                let presets: Vec<_> = self.presets_of(args.kind).collect();
                let (kind, words) = if let Some(text) = &args.text {
                    (args.kind, Words::new(speech::plain(text), subject, &mut inputs.salts))
                } else {
                    // `check` has seen at least one preset.
                    let preset = presets[random::pick(&mut rng, presets.len())];
                    (preset.kind, Words::new(&preset.text, self.presets_subject(), &mut inputs.salts))
                };
                out.push(StimulusInjected { kind, text: words, target: args.target.clone(), actor: by }.into());
            }
            Action::Speak(args) => out.push(self.person_speaks(args, actor, inputs)),
            Action::ChangeSettings(settings) => {
                let situation = settings.situation.as_deref().map(speech::plain);
                let mut words = |text: &String| Words::new(text, subject, &mut inputs.salts);
                let changed = SettingsChanged {
                    actor: by,
                    name: settings.name.as_ref().map(&mut words),
                    situation: situation.as_ref().map(&mut words),
                    pacing_ms: settings.pacing_ms,
                    max_rounds: settings.max_rounds,
                    budget: settings.budget,
                    tags: settings.tags.as_ref().map(|tags| tags.iter().map(&mut words).collect()),
                    thresholds: settings.thresholds,
                    stimuli: settings.stimuli.as_ref().map(|presets| {
                        let sealed = |preset: &StimulusPreset| PresetWords {
                            kind: preset.kind,
                            name: words(&preset.name),
                            text: words(&speech::plain(&preset.text)),
                        };
                        presets.iter().map(sealed).collect()
                    }),
                };
                out.push(changed.into());
                if let Some(situation) = situation {
                    let situation = Words::new(situation, subject, &mut inputs.salts);
                    out.push(SituationChanged { situation, cause: "user".to_owned() }.into());
                }
            }
            Action::ChangeAgent(change) => {
                let AgentChange { agent_id, temperature, system_prompt, model, muted } = change.clone();
                let system_prompt = system_prompt.map(|prompt| Words::new(prompt, subject, &mut inputs.salts));
                out.push(AgentChanged { actor: by, agent_id, temperature, system_prompt, model, muted }.into());
            }
            Action::ChangePaths(args) => out.push(PathsChanged { actor: by, paths: args.paths.clone() }.into()),
            Action::Annotate(args) => {
                let text = Words::new(speech::plain(&args.text), subject, &mut inputs.salts);
                let tags = args.tags.iter().map(|tag| Words::new(tag, subject, &mut inputs.salts)).collect();
                out.push(Annotation { target_seq: args.seq, text, tags, user_id: actor }.into());
            }
        }
    }

    fn person_speaks(&self, args: &SpeakArgs, actor: UserId, inputs: &mut Inputs<'_>) -> Payload {
        let subject = Subject::User(actor);
        let text = speech::plain(&args.text);
        let sentiment = super::turns::score(inputs.vader, &text);
        let recipients = match &args.to {
            Some(to) => vec![to.clone()],
            None => self.order.clone(),
        };
        let content = Words::new(text, subject, &mut inputs.salts);
        let embedded = inputs.embedded.take();
        let metadata = MessageMetadata {
            round: self.round,
            turn: self.turn,
            attempt: 0,
            model: String::new(),
            usage: None,
            latency_ms: 0,
            seed: 0,
            opener: None,
            truncated: false,
            user_id: Some(actor),
            affect: embedded.as_ref().and_then(|embedded| affect(embedded, sentiment.scores())),
            embedding: embedded.map(|embedded| SealedEmbedding::new(&embedded, subject, &mut inputs.salts)),
        };
        AgentMessage {
            agent_id: AgentId::new(USER),
            recipient: args.to.as_ref().map_or("all", AgentId::as_str).to_owned(),
            recipients,
            content,
            message_type: MessageType::Normal,
            sentiment,
            metadata,
        }
        .into()
    }

    /// Presets a stimulus of this kind can be drawn from.
    fn presets_of(&self, kind: StimulusKind) -> impl Iterator<Item = &crate::cast::StimulusPreset> {
        self.presets().iter().filter(move |p| kind == StimulusKind::Random || p.kind == kind)
    }

    /// Closes the turns of an owner that is gone. One that took its owner along again and again is not tried for ever.
    fn abandon_dead(&self) -> Vec<Payload> {
        let last = |attempt: u32| attempt.is_multiple_of(MAX_ATTEMPTS);
        let abandoned = self.abandon("the process that ran this turn ended");
        let mut payloads: Vec<Payload> = abandoned
            .map(|payload| match payload {
                Payload::TurnAbandoned(turn) if last(turn.attempt) => TurnFailed {
                    agent_id: turn.agent_id,
                    turn: turn.turn,
                    attempt: turn.attempt,
                    kind: ModelErrorKind::ServerError,
                    retryable: false,
                    message: "the program ended while this turn was spoken, again and again; try another model"
                        .to_owned(),
                    tokens: turn.tokens,
                }
                .into(),
                other => other,
            })
            .collect();
        let running = self.status == SessionStatus::Running;
        if running && payloads.iter().any(|p| matches!(p, Payload::TurnFailed(_))) {
            payloads.push(status(SessionStatus::Paused, Some("model_unavailable"), "system"));
        }
        payloads
    }

    fn halt(&self, halt: Halt) -> Result<Vec<Payload>, Refusal> {
        if self.status != SessionStatus::Running || !self.in_flight.is_empty() {
            let message = "only a session that runs, between its turns, can be halted".to_owned();
            return Err(Refusal { kind: RefusalKind::Conflict, status: self.status, field: None, message });
        }
        let (reason, budget) = match halt {
            Halt::Budget(payer) => (BUDGET_EXCEEDED, Some(payer)),
            Halt::LogFull => (LOG_FULL, None),
        };
        let (status, reason, actor) = (SessionStatus::Paused, Some(reason.to_owned()), "system".to_owned());
        Ok(vec![SessionStatusChanged { status, reason, actor, budget }.into()])
    }

    fn expire(&self, untouched_ms: u64, now: Timestamp) -> Vec<Payload> {
        if !self.has_expired(untouched_ms, now) {
            return Vec::new();
        }
        let mut payloads: Vec<Payload> = self.abandon(EXPIRED).collect();
        payloads.push(status(SessionStatus::Paused, Some(EXPIRED), "system"));
        payloads
    }

    /// Closes all turns under way, their reservations counted as spent.
    fn abandon(&self, reason: &str) -> impl Iterator<Item = Payload> + use<> {
        let payloads: Vec<Payload> = self
            .in_flight
            .iter()
            .map(|(turn, flight)| {
                TurnAbandoned {
                    agent_id: flight.agent_id.clone(),
                    turn: *turn,
                    attempt: flight.attempt,
                    reason: reason.to_owned(),
                    tokens: flight.started.reserved,
                }
                .into()
            })
            .collect();
        payloads.into_iter()
    }
}

/// A command as it is acknowledged.
fn receipt(user: &UserCommand, inputs: &mut Inputs<'_>) -> CommandReceived {
    let actor = user.actor;
    let mut action = user.action.clone();
    let text = action.take_text().filter(|t| !t.is_empty());
    let args = action.args(Subject::User(actor), &mut inputs.salts);
    CommandReceived {
        command_id: user.id.as_str().to_owned(),
        actor: actor.to_string(),
        command: action.name().to_owned(),
        args,
        text: text.map(|t| Words::new(t, Subject::User(actor), &mut inputs.salts)),
        waits: false,
    }
}

/// A change of status, as an event.
pub(super) fn status(status: SessionStatus, reason: Option<&str>, actor: &str) -> Payload {
    SessionStatusChanged { status, reason: reason.map(str::to_owned), actor: actor.to_owned(), budget: None }.into()
}
