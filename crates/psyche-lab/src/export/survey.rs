//! The first reading of a log: its chain is proved, and what stands at the head of every format is gathered.

use std::collections::BTreeMap;

use psyche_core::event::{Event, Payload, SessionCreated};
use psyche_core::port::{EventLog, Parent};
use psyche_core::quotes::Quotes;
use psyche_core::record::{Checker, Record};
use psyche_core::words::{ERASED, Hash, Subject, Words};
use psyche_core::{SessionId, Timestamp, UserId};
use serde::Serialize;

use super::figures::Figures;
use super::redact::note_words;
use super::{BATCH, ExportError, Format, Options};

/// Where an export comes from: enough to cite it and to check it against its log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    pub program_version: String,
    pub session_id: SessionId,
    /// Hash of the event `to`: it proves all before it.
    pub log_hash: Hash,
    /// First and last event of the export.
    pub from: u64,
    pub to: u64,
    /// What was left out: of `words`, `names`.
    pub redacted: Vec<&'static str>,
    pub seed: u64,
    pub cast: CastId,
    /// Ids of the models that were asked, in the order of their first turn; the session's own when none was yet.
    pub models: Vec<String>,
    pub measures_version: u16,
    pub prompts_version: u16,
    pub created_at: Timestamp,
    /// Whose past it goes on with, where it is a fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

/// The session a fork was made of, and the last event that both share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForkedFrom {
    pub session_id: SessionId,
    pub seq: u64,
}

/// A cast by name and content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CastId {
    pub id: String,
    pub version: u32,
    /// SHA-256 of the cast's JSON as its session keeps it; absent once texts of it were erased.
    pub digest: Option<Hash>,
}

/// What a log says as a whole, up to the end of the range.
#[derive(Debug)]
pub struct Survey {
    pub provenance: Provenance,
    pub created: SessionCreated,
    /// What the session is called at the end of the range.
    name: Words,
    /// Where the words of people lie that are to be left out.
    pub quotes: Quotes,
    /// Counts over the range, for the formats that show them.
    pub figures: Figures,
    /// Everybody who has a part in the log, in the order of their appearance, with the last name known of them.
    pub people: People,
}

/// People of a log.
#[derive(Clone, Debug, Default)]
pub struct People {
    order: Vec<UserId>,
    names: BTreeMap<UserId, String>,
}

impl People {
    fn meet(&mut self, person: UserId) {
        if !self.order.contains(&person) {
            self.order.push(person);
        }
    }

    /// `person-1`, `person-2` … by appearance.
    pub fn alias(&self, person: UserId) -> String {
        let place = self.order.iter().position(|known| *known == person);
        place.map_or_else(|| "person".to_owned(), |place| format!("person-{}", place + 1))
    }

    /// The last name known of a person.
    pub fn name(&self, person: UserId) -> Option<&str> {
        self.names.get(&person).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = UserId> {
        self.order.iter().copied()
    }

    /// Notes whoever a record speaks of.
    fn read(&mut self, record: &Record) {
        for key in [r#""actor":""#, r#""owner":""#, r#""user_id":""#] {
            for (at, _) in record.body.match_indices(key) {
                let id = record.body.get(at + key.len()..).and_then(|rest| rest.get(..36));
                if let Some(id) = id.and_then(|id| id.parse().ok()) {
                    self.meet(id);
                }
            }
        }
        for text in &record.texts {
            if let Subject::User(person) = text.subject {
                self.meet(person);
            }
        }
    }
}

impl Survey {
    /// What the session is called, and the situation it began with, without what is to be left out.
    pub fn title(&self) -> (String, String) {
        let hide = self.provenance.redacted.contains(&"words");
        let shown = |words: &Words| {
            let own = words.subject() == Some(Subject::Session);
            if hide && !own { ERASED.to_owned() } else { words.as_str().to_owned() }
        };
        (shown(&self.name), shown(&self.created.situation))
    }

    /// The provenance as lines to read.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let Provenance { program_version, session_id, log_hash, from, to, redacted, seed, cast, .. } = &self.provenance;
        let Provenance { models, measures_version, prompts_version, created_at, forked_from, .. } = &self.provenance;
        let digest = cast.digest.map(|digest| format!(", SHA-256 {digest}")).unwrap_or_default();
        let fork = forked_from.as_ref().map(|from| format!("session {}, event {}", from.session_id, from.seq));
        let left_out = if redacted.is_empty() { "nothing".to_owned() } else { redacted.join(", ") };
        let facts = [
            ("session id", session_id.to_string()),
            ("created at", created_at.to_string()),
            ("events", format!("{from} to {to}")),
            ("log hash", log_hash.to_string()),
            ("seed", seed.to_string()),
            ("cast", format!("{}, version {}{digest}", cast.id, cast.version)),
            ("models", models.join(", ")),
            ("measures version", measures_version.to_string()),
            ("prompts version", prompts_version.to_string()),
            ("left out", left_out),
            ("program version", program_version.clone()),
        ];
        fork.map(|fork| ("fork of", fork)).into_iter().chain(facts).collect()
    }

    /// Colours of agents on white, by id.
    pub fn colours(&self) -> BTreeMap<String, String> {
        let agents = self.created.cast.agents.iter();
        agents.map(|agent| (agent.id.as_str().to_owned(), agent.colour.light.clone())).collect()
    }

    pub async fn of(
        log: &dyn EventLog,
        id: SessionId,
        options: &Options,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Self, ExportError> {
        let head = log.head(id).await?.ok_or(ExportError::NotFound)?;
        let from = options.from.unwrap_or(1);
        let mut to = options.to.unwrap_or(head.seq);
        check(options, from, to, head.seq)?;
        let mut checker = Checker::default();
        let mut found = Found::default();
        while checker.head().0 < to {
            let after = checker.head().0;
            let wanted = BATCH.min(usize::try_from(to - after).unwrap_or(BATCH));
            let records = log.read(id, after, wanted).await?;
            if records.is_empty() {
                return Err(ExportError::NotFound);
            }
            for record in &records {
                checker.check(record)?;
                found.read(record, from, options)?;
                if options.limit.is_some_and(|limit| found.utterances >= limit) {
                    to = record.seq;
                    break;
                }
            }
            progress(checker.head().0);
        }
        let created = found.created.ok_or(ExportError::NoBeginning)?;
        let models = if found.models.is_empty() { vec![created.model.clone()] } else { found.models };
        let provenance = Provenance {
            program_version: options.version.clone(),
            session_id: id,
            log_hash: checker.head().1,
            from,
            to,
            redacted: options.redact.names_of(),
            seed: created.seed,
            cast: CastId { id: created.cast.id.clone(), version: created.cast.version, digest: digest(&created) },
            models,
            measures_version: created.measures_version,
            prompts_version: created.prompts_version,
            created_at: found.created_at,
            forked_from: found.forked_from,
        };
        let name = found.name.unwrap_or_else(|| created.name.clone());
        Ok(Self { provenance, created, name, quotes: found.quotes, figures: found.figures, people: found.people })
    }
}

fn check(options: &Options, from: u64, to: u64, last: u64) -> Result<(), ExportError> {
    let invalid = |field, message: String| Err(ExportError::Invalid { field, message });
    if from == 0 || from > last {
        return invalid("from", format!("the log has events 1 to {last}"));
    }
    if to < from || to > last {
        return invalid("to", format!("must be an event from {from} to {last}"));
    }
    if options.format == Format::Jsonl && options.redact.names {
        let message =
            "jsonl holds ids in bodies that are hashed, so names cannot be left out of it; choose another format";
        return invalid("redact", message.to_owned());
    }
    Ok(())
}

fn digest(created: &SessionCreated) -> Option<Hash> {
    let whole = created.cast_words.as_ref().is_none_or(|words| !words.is_erased());
    whole.then(|| serde_json::to_vec(&created.cast).ok()).flatten().map(|json| Hash::of(&json))
}

#[derive(Default)]
struct Found {
    created: Option<SessionCreated>,
    created_at: Timestamp,
    forked_from: Option<ForkedFrom>,
    /// The last one it was given after its beginning.
    name: Option<Words>,
    models: Vec<String>,
    quotes: Quotes,
    figures: Figures,
    people: People,
    utterances: u64,
}

impl Found {
    fn read(&mut self, record: &Record, from: u64, options: &Options) -> Result<(), ExportError> {
        self.people.read(record);
        if options.redact.words && record.seq < from {
            note_words(&mut self.quotes, record);
        }
        self.utterances += u64::from(record.seq >= from && record.kind == "agent_message");
        let shown = options.format.has_figures() && record.seq >= from;
        let counted = shown && matches!(record.kind.as_str(), "agent_message" | "health_update" | "emergency");
        let told = ["session_created", "forked", "settings_changed", "turn_started", "user_session"];
        if !counted && !told.contains(&record.kind.as_str()) {
            return Ok(());
        }
        let event = Event::decode(record)?;
        if counted {
            self.figures.read(&event);
        }
        match event.payload {
            Payload::SessionCreated(created) if self.created.is_none() && record.seq == 1 => {
                self.created_at = record.at;
                self.created = Some(created);
            }
            Payload::Forked(forked) => {
                let Parent { session_id, seq, .. } = forked.parent;
                self.forked_from = Some(ForkedFrom { session_id, seq });
                self.name = forked.name.or(self.name.take());
            }
            Payload::SettingsChanged(changed) => self.name = changed.name.or(self.name.take()),
            Payload::TurnStarted(started) if !self.models.contains(&started.model) => self.models.push(started.model),
            Payload::UserSession(told) if !told.username.is_erased() && !options.redact.words => {
                self.people.names.insert(told.user_id, told.username.as_str().to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}
