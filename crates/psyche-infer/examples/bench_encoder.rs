//! What sentence embeddings cost: `cargo run --release -p psyche-infer --example bench_encoder MODEL.onnx [portable|avx2]`.
//!
//! Beside it `bench_onnxruntime.py` measures onnxruntime on the same file and texts, one thread.

use std::time::Instant;

use psyche_infer::{Encoder, Processor};

const MESSAGE: &str = "The mask speaks politely while the one behind it counts the exits, and when the music stops both of them \
    will have to decide which of the two was invited, which of them paid for the room, and who will sign the book at the \
    door before the lights go out and the porter asks for the name that nobody remembers.";
const SENTENCE: &str = "I am afraid of what the letter says, and so are you.";

#[expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

/// Resident memory, in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0) / 1000.0
}

/// The shortest of some runs, in milliseconds: other programs on the machine only make it longer.
fn milliseconds(runs: usize, mut work: impl FnMut()) -> f64 {
    let one = |()| {
        let start = now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    std::iter::repeat_n((), runs).map(one).fold(f64::MAX, f64::min)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the first argument is the path of the ONNX file");
    let (before, start) = (memory(), now());
    let mut encoder = Encoder::load(path).expect("the encoder loads");
    println!("load           {:7.3} s, {:.0} MB more memory", start.elapsed().as_secs_f64(), memory() - before);
    match arguments.next().as_deref() {
        Some("portable") => encoder = encoder.on(Processor::Portable).expect("it runs everywhere"),
        Some("avx2") => encoder = encoder.on(Processor::Avx2).expect("this machine has no AVX2"),
        _ => {}
    }
    let words = MESSAGE.split_whitespace().count();
    println!("{words} words       {:7.2} ms", milliseconds(40, || drop(encoder.encode(&[MESSAGE]))));
    let alone = milliseconds(40, || drop(encoder.encode(&[SENTENCE])));
    let together = milliseconds(10, || drop(encoder.encode(&[SENTENCE; 64]))) / 64.0;
    let pieces = encoder.pieces(SENTENCE).len();
    println!("a sentence     {alone:7.2} ms alone ({pieces} pieces), {:.0} a second in batches", 1e3 / together);
}
