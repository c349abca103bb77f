//! Prints what an analysis costs: `cargo run --release -p psyche-lab --example bench_session_analysis`.
//!
//! Sessions of several lengths, their records decoded and read as from a store, with gauges and a stimulus in every hundred
//! utterances. Reading and making the document are told apart.

#[path = "../tests/support/mod.rs"]
#[expect(clippy::unwrap_used, dead_code, reason = "helpers of tests may panic, and not all are needed here")]
mod support;

use std::time::Instant;

use psyche_core::event::Event;
use psyche_core::record::Record;
use psyche_core::words::Hash;
use psyche_lab::analysis::{Range, Reading};
use support::{SESSION, Talk, Utterance};

fn main() {
    for utterances in [100, 1_000, 10_000, 50_000] {
        let records = session(utterances);
        let started = now();
        let mut reading = Reading::new(SESSION, 1, Range::ALL);
        for record in &records {
            reading.take(record).unwrap_or_else(|error| panic!("{error}"));
        }
        let read = started.elapsed();
        let begun = now();
        let document = reading.finish();
        let written = begun.elapsed();
        println!(
            "{utterances:>6} utterances: read in {:>8.1} ms, document in {:>8.1} ms ({} trends, {} interventions)",
            read.as_secs_f64() * 1e3,
            written.as_secs_f64() * 1e3,
            document.trends.len(),
            document.interventions.len(),
        );
    }
}

fn session(utterances: usize) -> Vec<Record> {
    let mut talk = Talk::new(&["ada", "ben", "cleo", "dan", "eve"], 4);
    for i in 0..utterances {
        if i % 100 == 50 {
            talk.stimulus("memory");
        }
        let text = talk.chatter(25, 600);
        let sentiment = talk.noise() * 0.3;
        talk.say(Utterance { speaker: i % 5, to: Some((i + 1) % 5), text, sentiment, ..Utterance::default() });
        talk.gauges();
    }
    let mut hash = Hash::ZERO;
    let mut record = |event: &Event| {
        let record = event.record(&hash, 0);
        hash = record.hash;
        record
    };
    talk.events.iter().map(&mut record).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}
