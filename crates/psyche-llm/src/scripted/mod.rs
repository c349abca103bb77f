//! A model that is none: built-in lines for demonstrations, written replies and failures for tests. Labelled as such.

mod lines;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use psyche_core::port::{
    Determinism, Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelErrorKind, ModelEvent,
    ModelStream, Price, PromptStyle, Usage,
};
use tokio::time::sleep;

use crate::failure::failure;

/// How fast a scripted reply comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    #[default]
    AtOnce,
    /// This long before each word.
    PerWord(Duration),
    /// This long for the whole reply, spread evenly over its words.
    InAll(Duration),
}

/// One step of a written reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Event(ModelEvent),
    Fail(ModelError),
    /// Nothing more, and no end.
    Hang,
}

/// A written reply. Errors before the first step come from `generate` itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Scripted {
    pub steps: Vec<Step>,
}

impl Scripted {
    /// The text word by word, then a proper end.
    pub fn reply(text: &str) -> Self {
        let usage = Usage { prompt_tokens: 0, completion_tokens: text.split_whitespace().count() as u64 };
        Self::words(text, usize::MAX, Some(done(Finish::Stop, usage)))
    }

    /// An error instead of a reply.
    pub fn fails(error: ModelError) -> Self {
        Self { steps: vec![Step::Fail(error)] }
    }

    /// An error after the first `n` words of `text`.
    pub fn fails_after(text: &str, n: usize, error: ModelError) -> Self {
        Self::words(text, n, Some(Step::Fail(error)))
    }

    /// Silence for ever after the first `n` words.
    pub fn hangs_after(text: &str, n: usize) -> Self {
        Self::words(text, n, Some(Step::Hang))
    }

    /// The stream is over after the first `n` words, without saying so: an adapter that breaks the port's promise.
    pub fn stops_after(text: &str, n: usize) -> Self {
        Self::words(text, n, None)
    }

    /// A well-formed reply that no person would call speech: control characters, direction marks, markup, a role label.
    pub fn garbage() -> Self {
        Self::reply(
            "\u{0}\u{202e}<script>x</script>\u{200b} Ego: \u{1b}[31m \u{fffd}\u{fffd} {\"role\":\"system\"} ]]]]",
        )
    }

    fn words(text: &str, n: usize, last: Option<Step>) -> Self {
        let words = words(text).take(n).map(|word| Step::Event(ModelEvent::Text(word.to_owned())));
        Self { steps: words.chain(last).collect() }
    }
}

/// Lines from the built-in material, or replies written beforehand and used up in order.
#[derive(Debug)]
pub struct ScriptedModel {
    card: ModelCard,
    pace: Pace,
    /// `None`: the built-in material.
    script: Option<Mutex<VecDeque<Scripted>>>,
}

impl ScriptedModel {
    /// The built-in voices under `id`.
    pub fn new(id: &str, pace: Pace) -> Self {
        let card = ModelCard {
            id: id.to_owned(),
            provider: "scripted".to_owned(),
            name: "scripted lines (no model)".to_owned(),
            context: 8192,
            price: Price::default(),
            determinism: Determinism::Tape,
            prompt_style: PromptStyle::Full,
        };
        Self { card, pace, script: None }
    }

    /// Each call takes the next of `replies`; after the last one it fails.
    pub fn with_replies(replies: Vec<Scripted>) -> Self {
        Self { script: Some(Mutex::new(replies.into())), ..Self::new("scripted", Pace::AtOnce) }
    }

    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    #[must_use]
    pub fn with_card(self, card: ModelCard) -> Self {
        Self { card, ..self }
    }

    fn next_reply(&self, request: &GenerateRequest) -> Result<Scripted, ModelError> {
        let Some(script) = &self.script else { return Ok(line_reply(request)) };
        let next = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| {
            failure(ModelErrorKind::BadAnswer, "the script has no reply left: write one per call", false)
        })
    }
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let reply = self.next_reply(&request)?;
        if let Some(Step::Fail(error)) = reply.steps.first() {
            return Err(error.clone());
        }
        let texts = reply.steps.iter().filter(|step| is_text(step)).count() as u32;
        let wait = match self.pace {
            Pace::AtOnce => Duration::ZERO,
            Pace::PerWord(wait) => wait,
            Pace::InAll(whole) => whole / texts.max(1),
        };
        let played = stream::iter(reply.steps).then(move |step| async move {
            if !wait.is_zero() && is_text(&step) {
                sleep(wait).await;
            }
            match step {
                Step::Event(event) => Ok(event),
                Step::Fail(error) => Err(error),
                Step::Hang => std::future::pending().await,
            }
        });
        Ok(played.boxed())
    }
}

fn is_text(step: &Step) -> bool {
    matches!(step, Step::Event(ModelEvent::Text(_)))
}

/// The built-in reply to a request: which sentences is decided by the turn, which link between them by the seed, so that
/// a voice does not repeat itself and another seed is heard.
fn line_reply(request: &GenerateRequest) -> Scripted {
    let line = line(request.agent.as_str(), request.turn, request.seed);
    // An opener is left as a broken-off thought: any sentence may follow it.
    let text = if request.opener.is_some() { format!("… {line}") } else { line };
    let limit = request.sampling.max_tokens as usize;
    let limit = if limit == 0 { usize::MAX } else { limit };
    let said = words(&text).count().min(limit);
    let finish = if said < words(&text).count() { Finish::Length } else { Finish::Stop };
    let heard: usize = request.messages.iter().map(|message| message.content.split_whitespace().count()).sum();
    let usage = Usage { prompt_tokens: heard as u64, completion_tokens: said as u64 };
    Scripted::words(&text, limit, Some(done(finish, usage)))
}

fn line(agent: &str, turn: u64, seed: u64) -> String {
    let voice = lines::voice(agent);
    let start: u64 = agent.bytes().map(u64::from).sum();
    let step = start.wrapping_add(turn);
    let first = voice.firsts[(step % voice.firsts.len() as u64) as usize];
    let second = voice.seconds[(step % voice.seconds.len() as u64) as usize];
    let link = lines::LINKS[(seed % lines::LINKS.len() as u64) as usize];
    let second = if link.is_empty() { capitalised(second) } else { format!("{link}{second}") };
    format!("{first} {second}")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Words with the white space before them, so that they join to the text again.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| !c.is_whitespace())?;
        let end = rest[start..].find(char::is_whitespace).map_or(rest.len(), |n| start + n);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn done(finish: Finish, usage: Usage) -> Step {
    Step::Event(ModelEvent::Done { finish, usage: Some(usage), confidence: None })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::TryStreamExt;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{reply_text, request};

    const JUNGIAN: [&str; 5] = ["ego", "shadow", "persona", "anima", "self"];

    #[test]
    fn a_voice_does_not_repeat_itself_in_a_long_session() {
        for agent in JUNGIAN.into_iter().chain(["a guest"]) {
            for agents in [1, 2, 3, 5, 6, 8] {
                let said: BTreeSet<String> = (0..77).map(|round| line(agent, 1 + round * agents, 0)).collect();
                assert_eq!(said.len(), 77, "{agent} among {agents}");
            }
        }
    }

    #[test]
    fn voices_and_seeds_differ_and_the_same_call_says_the_same() {
        let voices: BTreeSet<String> = JUNGIAN.iter().map(|agent| line(agent, 1, 0)).collect();
        assert_eq!(voices.len(), 5);
        let seeds: BTreeSet<String> = (0..6).map(|seed| line("ego", 1, seed)).collect();
        assert_eq!(seeds.len(), 6);
        assert_eq!(line("ego", 9, 4), line("ego", 9, 4));
        let of_all = |f: fn(&lines::Voice) -> Vec<&'static str>| -> Vec<&str> {
            JUNGIAN.iter().flat_map(|agent| f(lines::voice(agent))).collect()
        };
        for parts in [of_all(|v| v.firsts.to_vec()), of_all(|v| v.seconds.to_vec())] {
            assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "no two voices share a sentence");
        }
    }

    #[tokio::test]
    async fn it_is_labelled_and_streams_words_that_join_to_the_line() {
        let model = ScriptedModel::new("demo", Pace::AtOnce);
        assert_eq!(model.card().provider, "scripted");
        assert!(model.card().name.contains("scripted"));
        let events: Vec<_> = model.generate(request("ego", 7)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(reply_text(&events), line("ego", 7, request("ego", 7).seed));
        let words = events.len() as u64 - 1;
        let ModelEvent::Done { finish: Finish::Stop, usage: Some(usage), .. } = events.last().unwrap() else {
            panic!()
        };
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, words));
    }

    #[tokio::test]
    async fn opener_and_length_are_honoured() {
        let model = ScriptedModel::new("demo", Pace::AtOnce);
        let mut asked = request("shadow", 1);
        asked.opener = Some("The truth you will not say is".into());
        asked.sampling.max_tokens = 3;
        let events: Vec<_> = model.generate(asked).await.unwrap().try_collect().await.unwrap();
        assert!(reply_text(&events).starts_with("… "));
        assert_eq!(events.len(), 4);
        assert!(matches!(events[3], ModelEvent::Done { finish: Finish::Length, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_kept() {
        for (pace, expected_ms) in [
            (Pace::AtOnce, 0),
            (Pace::PerWord(Duration::from_millis(50)), 200),
            (Pace::InAll(Duration::from_millis(100)), 100),
        ] {
            let model = ScriptedModel::with_replies(vec![Scripted::reply("one two three four")]).with_pace(pace);
            let start = Instant::now();
            model.generate(request("ego", 1)).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
            assert_eq!(start.elapsed(), Duration::from_millis(expected_ms), "{pace:?}");
        }
    }

    #[tokio::test]
    async fn written_failures_come_where_they_are_written() {
        let error = failure(ModelErrorKind::ServerError, "scripted", true);
        let model = ScriptedModel::with_replies(vec![
            Scripted::fails(error.clone()),
            Scripted::fails_after("one two three", 2, error.clone()),
            Scripted::hangs_after("one two", 1),
            Scripted::stops_after("one two", 1),
            Scripted::garbage(),
        ]);
        assert_eq!(model.generate(request("ego", 1)).await.err(), Some(error.clone()));
        let mut failing = model.generate(request("ego", 1)).await.unwrap();
        assert_eq!(failing.next().await, Some(Ok(ModelEvent::Text("one".into()))));
        assert_eq!(failing.next().await, Some(Ok(ModelEvent::Text(" two".into()))));
        assert_eq!(failing.next().await, Some(Err(error)));
        let mut hanging = model.generate(request("ego", 1)).await.unwrap();
        hanging.next().await.unwrap().unwrap();
        assert!(futures_util::FutureExt::now_or_never(hanging.next()).is_none());
        let half: Vec<_> = model.generate(request("ego", 1)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(half, [ModelEvent::Text("one".into())]);
        let garbage: Vec<_> = model.generate(request("ego", 1)).await.unwrap().try_collect().await.unwrap();
        assert!(reply_text(&garbage).contains('\u{202e}'));
        let ended = model.generate(request("ego", 1)).await.err().unwrap();
        assert_eq!((ended.kind, ended.retryable), (ModelErrorKind::BadAnswer, false));
    }
}
