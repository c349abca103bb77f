//! Prints what the measures cost: `cargo run --release -p psyche-core --example bench_measures`.
//!
//! The gauges of a 20-utterance window after sessions of several lengths, and the throughput of the sentiment rules on the
//! rated corpora (that of vaderSentiment itself is printed by `tests/data/sentiment/reference.py`).

use psyche_core::embedding::Embedding;
use psyche_core::measure::{Kept, Reading, Turn, Vader, WINDOW, canonical, gauges_of};
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let started = now();
    let vader = Vader::new();
    println!("lexicon built in {:.2} ms", milliseconds(started.elapsed()));

    let healthy = canonical().into_iter().find(|transcript| transcript.name == "healthy_dialogue");
    let lines = healthy.map(|transcript| transcript.turns).unwrap_or_default();
    let words: usize = lines.iter().map(|line| line.text.split_whitespace().count()).sum();
    // Any embeddings cost the same.
    let number = |i: usize| (i * 7919 % 251) as f32 - 125.0;
    let embeddings: Vec<Embedding> =
        (0..WINDOW).filter_map(|i| Embedding::of(&(0..384).map(|j| number(i * 384 + j)).collect::<Vec<_>>())).collect();
    println!("{:.1} words an utterance, window {WINDOW}", words as f64 / lines.len() as f64);
    for (length, embedded) in [(10usize, false), (100, false), (1_000, false), (10_000, false), (10_000, true)] {
        // The session as the engine holds it: a ring of the last utterances, fed from the start.
        let mut ring: VecDeque<(&str, &str, f64, Kept)> = VecDeque::with_capacity(WINDOW);
        let mut spent = Vec::new();
        for turn in 0..length {
            let line = lines[turn % lines.len()];
            if ring.len() == WINDOW {
                ring.pop_front();
            }
            ring.push_back((line.speaker, line.text, vader.score(line.text).compound, Kept::default()));
            if turn + 200 < length {
                continue;
            }
            let started = now();
            let window: Vec<Turn<'_>> = ring
                .iter()
                .enumerate()
                .map(|(i, (speaker, text, compound, _))| Turn {
                    speaker,
                    addressee: None,
                    text,
                    compound: *compound,
                    answers: i.checked_sub(1),
                })
                .collect();
            let known: Vec<Option<&Embedding>> = embeddings.iter().take(window.len()).map(Some).collect();
            let readings: Vec<Reading> = ring.iter().map(|(_, text, _, kept)| kept.of(&vader, text)).collect();
            black_box(gauges_of(&window, &readings, if embedded { &known } else { &[] }, turn as u64));
            spent.push(started.elapsed());
        }
        spent.sort();
        println!(
            "gauges after {length:>6} utterances{}: median {:.3} ms, 95th percentile {:.3} ms",
            if embedded { ", with embeddings" } else { "" },
            milliseconds(spent[spent.len() / 2]),
            milliseconds(spent[spent.len() * 95 / 100]),
        );
    }

    let corpora = [
        include_str!("../tests/data/sentiment/amazon.csv"),
        include_str!("../tests/data/sentiment/movie.csv"),
        include_str!("../tests/data/sentiment/nyt.csv"),
        include_str!("../tests/data/sentiment/tweets.csv"),
    ];
    // Without unquoting: a quotation mark more or less does not change the work.
    let texts: Vec<&str> =
        corpora.iter().flat_map(|file| file.lines().skip(1)).filter_map(|line| line.splitn(4, ',').nth(3)).collect();
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let started = now();
        for text in &texts {
            black_box(vader.score(text));
        }
        best = best.min(started.elapsed());
    }
    println!(
        "sentiment: {} texts, {:.0} texts/s (best of 10, one thread)",
        texts.len(),
        texts.len() as f64 / best.as_secs_f64()
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
