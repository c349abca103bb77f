//! What the engine costs: per utterance, to fold, to replay, to seek, and with a hundred agents at once.
//! `make bench` runs it in a release build. Times are wall-clock medians; ratios are what to compare.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use psyche_core::event::{Event, Payload};
use psyche_core::measure::{self, Turn, Vader, WINDOW};
use psyche_core::port::{Finish, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelEvent, ModelStream};
use psyche_core::record::Record;
use psyche_core::session::{Action, NoArgs, SessionStatus, TurnOrder};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::memory::MemoryStore;
use psyche_store::sqlite::{Options as SqliteOptions, SqliteStore};
use support::{RealClock, World, is_status, run, send, until};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// Processor time of this process, all threads, in seconds; to a hundredth.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).map(|t| t.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let records = per_utterance().await;
    // For a profiler, which wants one thing at a time.
    if std::env::args().nth(1).as_deref() == Some("utterance") {
        return;
    }
    fold_and_replay(&records);
    seek().await;
    hundred_agents().await;
}

/// A model that costs nothing: its whole reply is one piece, there at once, another line each turn.
struct Parrot {
    card: ModelCard,
    lines: Vec<String>,
}

impl Parrot {
    fn new() -> Self {
        let card = ScriptedModel::new("scripted", Pace::AtOnce).card().clone();
        let talk = measure::canonical();
        let lines = talk.iter().flat_map(|c| c.turns.iter().map(|t| t.text.to_owned())).collect();
        Self { card, lines }
    }
}

#[async_trait::async_trait]
impl LanguageModel for Parrot {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let line = self.lines[request.turn as usize % self.lines.len()].clone();
        let done = ModelEvent::Done { finish: Finish::Stop, usage: None, confidence: None };
        Ok(Box::pin(futures_util::stream::iter([Ok(ModelEvent::Text(line)), Ok(done)])))
    }
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(RealClock::new())))
}

/// Whole runs over the memory store with a model that answers at once, each followed by the measures of the same windows
/// alone: the medians of what is left, so that a busy moment of the machine does not decide.
async fn per_utterance() -> Vec<Record> {
    const RUNS: usize = 9;
    let (mut wholes, mut clock, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    let mut records = Vec::new();
    for _ in 0..RUNS {
        let world = World::new(memory(), Parrot::new());
        let (whole, cpu);
        (records, whole, cpu) = one_run(&world).await;
        let measures = measures_alone(&records);
        wholes.push(whole);
        clock.push(whole - measures);
        processor.push(cpu - measures);
    }
    println!(
        "per utterance (2,000 in a row, median of {RUNS} runs): {:.0} us by the clock; without the measures {:.0} us by the clock, {:.0} us of processor (goal <= 100)",
        median(&mut wholes) * 1e6,
        median(&mut clock) * 1e6,
        median(&mut processor) * 1e6
    );
    records
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The log of a run of 2,000 utterances; seconds by the clock and of the processor for each.
async fn one_run(world: &World) -> (Vec<Record>, f64, f64) {
    const ROUNDS: u64 = 400;
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(ROUNDS))).await.unwrap().session_id;
    let (begun, cpu_before) = (now(), cpu_seconds());
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    while engine.read(id, |s| s.status).await.unwrap() != SessionStatus::Stopped {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let n = (ROUNDS * 5) as f64;
    let (whole, cpu) = (begun.elapsed().as_secs_f64() / n, (cpu_seconds() - cpu_before) / n);
    (world.records(id).await, whole, cpu)
}

/// Seconds an utterance for the measures of the same windows.
fn measures_alone(records: &[Record]) -> f64 {
    let events: Vec<Event> = records.iter().map(|r| Event::decode(r).unwrap()).collect();
    let spoken: Vec<_> = events
        .iter()
        .filter_map(|e| match &e.payload {
            Payload::AgentMessage(m) => Some((e.seq, m)),
            _ => None,
        })
        .collect();
    let answers: std::collections::BTreeMap<u64, Option<u64>> = events
        .iter()
        .filter_map(|e| match &e.payload {
            Payload::TurnStarted(s) => Some((s.turn, s.answers)),
            _ => None,
        })
        .collect();
    let vader = Vader::new();
    let begun = now();
    for end in 1..=spoken.len() {
        let window = &spoken[end.saturating_sub(WINDOW)..end];
        let index_of = |seq: u64| window.iter().position(|(s, _)| *s == seq);
        let window: Vec<Turn<'_>> = window
            .iter()
            .map(|(_, m)| Turn {
                speaker: m.agent_id.as_str(),
                addressee: m.recipients.first().map(psyche_core::AgentId::as_str),
                text: m.content.as_str(),
                compound: m.sentiment.score,
                answers: answers[&m.metadata.turn].and_then(index_of),
            })
            .collect();
        std::hint::black_box(vader.score(spoken[end - 1].1.content.as_str()));
        std::hint::black_box(measure::gauges(&vader, &window, end as u64));
    }
    begun.elapsed().as_secs_f64() / spoken.len() as f64
}

fn fold_and_replay(records: &[Record]) {
    let id = psyche_core::SessionId(uuid::Uuid::nil());
    let events: Vec<Event> = records.iter().map(|r| Event::decode(r).unwrap()).collect();
    let utterances = events.iter().filter(|e| e.payload.kind() == "agent_message").count() as f64;
    let mut session = psyche_core::session::Session::begin(id, &records[0]).unwrap();
    let begun = now();
    for (record, event) in records.iter().zip(&events).skip(1) {
        session.apply_record(record, event);
    }
    let fold = begun.elapsed().as_secs_f64();
    println!("fold: {:.0} events/s (goal >= 200,000)", events.len() as f64 / fold);
    let begun = now();
    let mut session = None;
    for record in records {
        psyche_engine::fold(&mut session, id, record).unwrap();
    }
    println!(
        "replay, decoding included: {:.0} utterances/s (goal >= 10,000)",
        utterances / begun.elapsed().as_secs_f64()
    );
}

/// Random seeks in a stored session of 10,000 utterances.
async fn seek() {
    const ROUNDS: u64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(dir.path().join("psyche.db"), [7; 32], Arc::new(RealClock::new()));
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let world = World::new(store.clone(), ScriptedModel::new("scripted", Pace::AtOnce));
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(ROUNDS))).await.unwrap().session_id;
    let begun = now();
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    while engine.read(id, |s| s.status).await.unwrap() != SessionStatus::Stopped {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let wrote = begun.elapsed().as_secs_f64();
    let head = engine.read(id, |s| s.seq).await.unwrap();
    let mut times: Vec<f64> = Vec::new();
    let mut random = 1_u64;
    for _ in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let seq = 1 + (random >> 33) % head;
        let begun = now();
        std::hint::black_box(engine.at(id, seq).await.unwrap());
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "10,000 utterances on SQLite, synchronous FULL: {:.0} utterances/s; seek to any of {head} events: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms (goal <= 50)",
        10_000.0 / wrote,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
    engine.shutdown(Duration::from_secs(5)).await;
    store.close().await;
}

/// Twenty sessions of five agents that all speak at once, each answer taking 200 ms.
async fn hundred_agents() {
    const ROUNDS: u64 = 10;
    let model = ScriptedModel::new("scripted", Pace::InAll(Duration::from_millis(200)));
    let world = World::new(memory(), model);
    let engine = world.engine();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(engine.create(run(TurnOrder::Simultaneous, Some(ROUNDS))).await.unwrap().session_id);
    }
    let mut feeds: Vec<_> = sessions.iter().map(|id| world.follow(*id)).collect();
    let begun = now();
    for id in &sessions {
        send(&engine, *id, "go", Action::Start(NoArgs {})).await.unwrap();
    }
    for feed in &mut feeds {
        until(feed, is_status(SessionStatus::Stopped)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let ideal = ROUNDS as f64 * 0.2;
    println!(
        "100 agents at once, 200 ms a reply, {ROUNDS} rounds: {took:.2} s, {:.2} x the model's own {ideal:.1} s",
        took / ideal
    );
}
