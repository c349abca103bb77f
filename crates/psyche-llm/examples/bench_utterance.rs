//! What one more utterance costs in all, its embedding included: `make bench` runs it in a release build.
//!
//! Every utterance of the canonical transcripts that people wrote, in a window of the 20 before it, as the engine holds it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use psyche_core::embedding::Embedding;
use psyche_core::measure::{Turn, Vader, WINDOW, canonical, gauges_with_meaning};
use psyche_infer::Encoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).ok_or("the first argument is the path of the ONNX file")?;
    let (encoder, vader) = (Encoder::load(model)?, Vader::new());
    let (mut spent, mut words) = (Vec::new(), 0);
    for transcript in canonical() {
        let lines = &transcript.turns;
        let (mut embedded, mut compounds) = (Vec::new(), Vec::new());
        for (turn, line) in lines.iter().enumerate() {
            let started = now();
            let vector = encoder.encode(&[line.text]).pop().ok_or("a text has no embedding")?;
            embedded.push(Embedding::of(&vector));
            compounds.push(vader.score(line.text).compound);
            let from = (turn + 1).saturating_sub(WINDOW);
            let window: Vec<Turn<'_>> = (from..=turn)
                .map(|i| Turn {
                    speaker: lines[i].speaker,
                    addressee: None,
                    text: lines[i].text,
                    compound: compounds[i],
                    answers: (i - from).checked_sub(1),
                })
                .collect();
            let known: Vec<Option<&Embedding>> = embedded[from..].iter().map(Option::as_ref).collect();
            black_box(gauges_with_meaning(&vader, &window, &known, turn as u64));
            spent.push(started.elapsed());
            words += line.text.split_whitespace().count();
        }
    }
    spent.sort();
    let at = |share: usize| milliseconds(spent[(spent.len() - 1) * share / 100]);
    println!(
        "{} utterances of {:.1} words: embedding and gauges median {:.1} ms, 95th percentile {:.1} ms, longest {:.1} ms",
        spent.len(),
        words as f64 / spent.len() as f64,
        at(50),
        at(95),
        at(100),
    );
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
