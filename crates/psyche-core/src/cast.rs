//! Casts: the definition of a psyche as data. TOML or JSON, validated with line, field and reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::AgentId;
use crate::objects::Objects;
use crate::time::Timestamp;

/// The text of the built-in cast, byte for byte as it can be exported.
pub const JUNGIAN: &str = include_str!("casts/jungian.toml");

/// At most this many agents; every pair of them may have a path.
pub const MAX_AGENTS: usize = 32;
const MAX_PROMPT_CHARS: usize = 8_000;
const MAX_TEXT_CHARS: usize = 8_192;
const MAX_SHORT_CHARS: usize = 400;
const MAX_EXAMPLES: usize = 8;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// A slug: lower-case letters, digits, `-`, `_`; 1..=64.
    pub id: String,
    #[serde(default = "one")]
    pub version: u32,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub situation: String,
    /// The agent whose words enter the next round's situation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conscious_voice: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(default)]
    pub thresholds: Thresholds,
    pub agents: Vec<Agent>,
    #[serde(default)]
    pub paths: Vec<Path>,
    #[serde(default)]
    pub stimuli: Vec<StimulusPreset>,
}

fn one() -> u32 {
    1
}

/// When the emergency protocol acts, on the standardised scale of stagnation (0 null median, 1 canonical extreme).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    pub emergency: f64,
    pub critical: f64,
    /// Calm rounds before emergency paths close again.
    pub path_switch_delay: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { emergency: 0.6, critical: 0.8, path_switch_delay: 2 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub id: AgentId,
    pub name: String,
    #[serde(default)]
    pub colour: Colour,
    #[serde(default = "circle")]
    pub shape: String,
    pub system_prompt: String,
    /// One reply in role, shown to very small models when there are no `examples`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Exchanges in role, shown to very small models. The same cues for all agents tell the voices apart best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// The last line of a very small model's prompt: how to answer. A name there would make it explain itself instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manner: Option<String>,
    /// Beginnings of a reply by adaptation rule (`neutral` when none applies), for very small models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub openers: BTreeMap<String, Vec<String>>,
    /// 0..=2
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default)]
    pub muted: bool,
}

/// One exchange in role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub cue: String,
    pub reply: String,
}

fn circle() -> String {
    "circle".to_owned()
}
fn default_temperature() -> f64 {
    0.7
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    pub dark: String,
    pub light: String,
}

impl Default for Colour {
    fn default() -> Self {
        Self { dark: "#aab2c5".to_owned(), light: "#4d566b".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    Normal,
    Emergency,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    pub from: AgentId,
    pub to: AgentId,
    #[serde(default = "normal")]
    pub kind: PathKind,
    /// How many of the last utterances on this path its listener hears.
    #[serde(default = "default_window")]
    pub window: u32,
}

fn normal() -> PathKind {
    PathKind::Normal
}
fn default_window() -> u32 {
    3
}

/// What kind of thing is put before the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StimulusKind {
    Memory,
    Conflict,
    Revelation,
    Challenge,
    Integration,
    Shadow,
    Creative,
    Custom,
    /// One of the cast's presets, drawn from the session's seed.
    Random,
}

impl StimulusKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Conflict => "conflict",
            Self::Revelation => "revelation",
            Self::Challenge => "challenge",
            Self::Integration => "integration",
            Self::Shadow => "shadow",
            Self::Creative => "creative",
            Self::Custom => "custom",
            Self::Random => "random",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StimulusPreset {
    pub kind: StimulusKind,
    #[serde(default)]
    pub name: String,
    pub text: String,
}

/// What is wrong with a cast, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CastError {
    /// 1-based line in the text, where the text is known.
    pub line: Option<usize>,
    /// Such as `agents[2].temperature`.
    pub field: String,
    pub message: String,
}

impl std::fmt::Display for CastError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}, {}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl std::error::Error for CastError {}

impl Cast {
    /// The built-in cast.
    pub fn jungian() -> Self {
        // The text is part of the program and a test parses it.
        Self::from_toml(JUNGIAN).unwrap_or_else(|e| unreachable!("the built-in cast is valid: {e:?}"))
    }

    pub fn from_toml(text: &str) -> Result<Self, Vec<CastError>> {
        let cast: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = e.message().to_owned();
            vec![CastError { line, field: field_in(&message), message }]
        })?;
        cast.checked(|field| line_of(text, field))
    }

    pub fn from_json(text: &str) -> Result<Self, Vec<CastError>> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Self::deserialize(Objects(&mut reader)).and_then(|cast| reader.end().map(|()| cast));
        let cast = read.map_err(|e| {
            let full = e.to_string();
            let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(m, _)| m).to_owned();
            vec![CastError { line: Some(e.line()), field: field_in(&message), message }]
        })?;
        cast.checked(|_| None)
    }

    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    fn checked(self, line: impl Fn(&str) -> Option<usize>) -> Result<Self, Vec<CastError>> {
        let mut errors = self.validate();
        for error in &mut errors {
            error.line = line(&error.field);
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// Every fault, not only the first.
    pub fn validate(&self) -> Vec<CastError> {
        let mut errors = Vec::new();
        let mut fault = |field: String, message: String| errors.push(CastError { line: None, field, message });

        if !is_slug(&self.id) {
            fault("id".into(), "must be 1 to 64 lower-case letters, digits, `-` or `_`".into());
        }
        for (field, text, max) in [("name", &self.name, 200), ("description", &self.description, MAX_TEXT_CHARS)] {
            if text.chars().count() > max || (field == "name" && text.trim().is_empty()) {
                fault(field.into(), format!("must have 1 to {max} characters"));
            }
        }
        if self.situation.chars().count() > MAX_TEXT_CHARS {
            fault("situation".into(), format!("must have at most {MAX_TEXT_CHARS} characters"));
        }
        let t = self.thresholds;
        for (field, value) in [("thresholds.emergency", t.emergency), ("thresholds.critical", t.critical)] {
            if !(0.0..=1.0).contains(&value) {
                fault(field.into(), format!("is {value}, must be between 0 and 1"));
            }
        }
        if t.critical < t.emergency {
            fault("thresholds.critical".into(), "must not be below thresholds.emergency".into());
        }
        if t.path_switch_delay == 0 {
            fault("thresholds.path_switch_delay".into(), "must be at least 1 round".into());
        }
        if self.agents.is_empty() || self.agents.len() > MAX_AGENTS {
            fault("agents".into(), format!("has {} agents, 1 to {MAX_AGENTS} are possible", self.agents.len()));
        }
        let mut ids = BTreeSet::new();
        for (i, agent) in self.agents.iter().enumerate() {
            let at = |field: &str| format!("agents[{i}].{field}");
            if !is_slug(agent.id.as_str()) || matches!(agent.id.as_str(), "all" | "user" | "system") {
                fault(at("id"), format!("{:?} must be a slug, and not `all`, `user` or `system`", agent.id.as_str()));
            }
            if !ids.insert(&agent.id) {
                fault(at("id"), format!("{:?} is used by an earlier agent", agent.id.as_str()));
            }
            if agent.name.trim().is_empty() || agent.name.chars().count() > 80 {
                fault(at("name"), "must have 1 to 80 characters".into());
            }
            let prompt = agent.system_prompt.chars().count();
            if agent.system_prompt.trim().is_empty() || prompt > MAX_PROMPT_CHARS {
                fault(at("system_prompt"), format!("has {prompt} characters, 1 to {MAX_PROMPT_CHARS} are possible"));
            }
            let spoken =
                agent.examples.iter().flat_map(|e| [&e.cue, &e.reply]).chain(&agent.example).chain(&agent.manner);
            if spoken.chain(agent.openers.values().flatten()).any(|t| t.chars().count() > MAX_SHORT_CHARS) {
                fault(
                    at("examples"),
                    format!("examples, manner and openers have at most {MAX_SHORT_CHARS} characters each"),
                );
            }
            if agent.examples.len() > MAX_EXAMPLES {
                fault(at("examples"), format!("has {} examples, {MAX_EXAMPLES} are possible", agent.examples.len()));
            }
            if !(0.0..=2.0).contains(&agent.temperature) {
                fault(at("temperature"), format!("is {}, must be between 0 and 2", agent.temperature));
            }
            for (field, colour) in [("colour.dark", &agent.colour.dark), ("colour.light", &agent.colour.light)] {
                if !is_colour(colour) {
                    fault(at(field), format!("{colour:?} must be a colour such as #99b7ee"));
                }
            }
            if !SHAPES.contains(&agent.shape.as_str()) {
                fault(at("shape"), format!("{:?} must be one of {}", agent.shape, SHAPES.join(", ")));
            }
        }
        let mut pairs = BTreeSet::new();
        for (i, path) in self.paths.iter().enumerate() {
            for (field, id) in [("from", &path.from), ("to", &path.to)] {
                if !ids.contains(id) {
                    fault(format!("paths[{i}].{field}"), format!("there is no agent {:?}", id.as_str()));
                }
            }
            if path.from == path.to {
                fault(format!("paths[{i}].to"), "an agent cannot speak to itself".into());
            }
            if !pairs.insert((&path.from, &path.to)) {
                fault(format!("paths[{i}]"), format!("there is a path from {} to {} already", path.from, path.to));
            }
            if !(1..=50).contains(&path.window) {
                fault(format!("paths[{i}].window"), format!("is {}, must be between 1 and 50", path.window));
            }
        }
        if let Some(voice) = &self.conscious_voice
            && !ids.contains(voice)
        {
            fault("conscious_voice".into(), format!("there is no agent {:?}", voice.as_str()));
        }
        for (i, stimulus) in self.stimuli.iter().enumerate() {
            let length = stimulus.text.chars().count();
            if stimulus.text.trim().is_empty() || length > MAX_TEXT_CHARS {
                fault(
                    format!("stimuli[{i}].text"),
                    format!("has {length} characters, 1 to {MAX_TEXT_CHARS} are possible"),
                );
            }
            if stimulus.kind == StimulusKind::Random {
                fault(format!("stimuli[{i}].kind"), "`random` draws from the presets and cannot be one".into());
            }
        }
        errors
    }

    /// Every text somebody wrote, in an order that depends on the cast's structure alone. Ids, numbers and colours are
    /// structure.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        let mut texts = vec![&mut self.name, &mut self.description, &mut self.situation];
        for agent in &mut self.agents {
            texts.extend([&mut agent.name, &mut agent.system_prompt]);
            texts.extend(agent.example.iter_mut().chain(&mut agent.manner));
            texts.extend(agent.examples.iter_mut().flat_map(|e| [&mut e.cue, &mut e.reply]));
            texts.extend(agent.openers.values_mut().flatten());
        }
        texts.extend(self.stimuli.iter_mut().flat_map(|s| [&mut s.name, &mut s.text]));
        texts
    }

    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.iter().find(|a| a.id.as_str() == id)
    }
}

/// Shapes the dashboard can draw.
pub const SHAPES: [&str; 6] = ["circle", "inverted_triangle", "square", "diamond", "star", "hexagon"];

fn is_slug(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn is_colour(text: &str) -> bool {
    text.len() == 7 && text.starts_with('#') && text[1..].bytes().all(|b| b.is_ascii_hexdigit())
}

/// The field a parser's message names between back-ticks, or `cast`.
fn field_in(message: &str) -> String {
    message.split('`').nth(1).unwrap_or("cast").to_owned()
}

/// The line of a field such as `agents[2].temperature` in a TOML text.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let Some((table, rest)) = field.split_once('[') else {
        let key = field.rsplit('.').next()?;
        return text.lines().position(|l| starts_with_key(l, key)).map(|i| i + 1);
    };
    let (index, key) = rest.split_once(']')?;
    let index: usize = index.parse().ok()?;
    let header = format!("[[{table}]]");
    let start = text.lines().enumerate().filter(|(_, l)| l.trim() == header).nth(index)?.0;
    let key = key.trim_start_matches('.').split('.').next().unwrap_or("");
    let within = text.lines().skip(start + 1).take_while(|l| !l.trim_start().starts_with("[["));
    let offset = within.enumerate().find(|(_, l)| !key.is_empty() && starts_with_key(l, key)).map_or(0, |(i, _)| i + 1);
    Some(start + 1 + offset)
}

fn starts_with_key(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_cast_is_valid_and_round_trips() {
        let cast = Cast::jungian();
        assert_eq!(cast.agents.len(), 5);
        assert_eq!(cast.paths.len(), 20);
        assert_eq!(cast.paths.iter().filter(|p| p.kind == PathKind::Normal).count(), 4);
        let temperatures: Vec<_> = cast.agents.iter().map(|a| (a.id.as_str(), a.temperature)).collect();
        let expected = [("ego", 0.3), ("shadow", 0.9), ("persona", 0.5), ("anima", 0.7), ("self", 0.6)];
        assert_eq!(temperatures, expected);
        assert_eq!(Cast::from_toml(&cast.to_toml().unwrap()).unwrap(), cast);
        assert_eq!(Cast::from_json(&serde_json::to_string(&cast).unwrap()).unwrap(), cast);
    }

    #[test]
    fn faults_name_line_field_and_reason() {
        let cases = [
            ("temperature = 0.9", "temperature = 9.5", "agents[1].temperature", "between 0 and 2"),
            ("id = \"shadow\"", "id = \"ego\"", "agents[1].id", "earlier agent"),
            ("from = \"persona\"\nto = \"shadow\"", "from = \"persona\"\nto = \"nobody\"", "paths[1].to", "no agent"),
            ("shape = \"diamond\"", "shape = \"blob\"", "agents[3].shape", "must be one of"),
            ("emergency = 0.6", "emergency = 1.6", "thresholds.emergency", "between 0 and 1"),
            ("name = \"Self\"", "nom = \"Self\"", "nom", "unknown field"),
            ("temperature = 0.3", "temperature = \"hot\"", "cast", "invalid type"),
        ];
        for (from, to, field, reason) in cases {
            let text = JUNGIAN.replacen(from, to, 1);
            let errors = Cast::from_toml(&text).unwrap_err();
            let error = errors.iter().find(|e| e.field == field).unwrap_or_else(|| panic!("{to}: {errors:?}"));
            assert!(error.message.contains(reason), "{error}");
            let line = error.line.unwrap_or_else(|| panic!("no line: {error}"));
            let last = to.lines().last().unwrap();
            assert!(text.lines().nth(line - 1).unwrap().contains(last), "line {line} is not {last:?}: {error}");
        }
    }
}
