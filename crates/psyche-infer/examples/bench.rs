//! Measures an engine on a model file:
//!
//! `cargo run --release -p psyche-infer --example bench -- model.gguf [portable|avx2|avx512]`

use std::time::{Duration, Instant};

use psyche_infer::{Engine, EngineOptions, Generation, Message, Model, Piece, Processor, Request, Role, Sampling};

const WORDS: &str = "The house stood at the end of a long road, and in the evening its windows caught the last of the \
    light. Nobody had lived there for eleven years. The children of the village said that a woman walked its rooms at \
    night, carrying a lamp that gave no light, and that whoever looked into her face would forget his own name. ";

#[expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

/// Resident memory now and at its highest, in MB.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0) / 1000.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// A request whose prompt has about 300 tokens; different `id`s share nothing.
fn request(id: usize, max_tokens: usize) -> Request {
    let sampling = Sampling { max_tokens, no_repeat_ngram: 0, ..Sampling::default() };
    let content = format!("{id} is the number of this tale. {}", WORDS.repeat(4));
    Request { messages: vec![Message::new(Role::User, content)], sampling, seed: id as u64, ..Request::default() }
}

/// Drains a reply. Returns prompt tokens, completion tokens, and the times of its first piece and its end.
fn drain(generation: Generation, start: Instant) -> (usize, usize, Duration, Duration) {
    let mut first = None;
    for piece in generation {
        first.get_or_insert_with(|| start.elapsed());
        match piece {
            Piece::Text(_) => {}
            Piece::Done(summary) => {
                let first = first.unwrap_or_default();
                return (summary.prompt_tokens, summary.completion_tokens, first, start.elapsed());
            }
            Piece::Failed(error) => panic!("{error}"),
        }
    }
    unreachable!("a reply ends with Done or Failed")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the first argument is the path of a GGUF file");
    let start = now();
    let mut model = Model::load(&path).expect("the model loads");
    println!("load           {:7.3} s", start.elapsed().as_secs_f64());
    let (resident, highest) = memory();
    println!("memory         {resident:7.0} MB after load, {highest:.0} MB at most");
    match arguments.next().as_deref() {
        Some("portable") => model = model.on(Processor::Portable).expect("it runs everywhere"),
        Some("avx2") => model = model.on(Processor::Avx2).expect("this machine has no AVX2"),
        Some("avx512") => model = model.on(Processor::Avx512).expect("this machine has no AVX-512 VNNI"),
        _ => {}
    }
    println!("kernels        {:?}", model.processor());
    let rounds = if model.processor() == Processor::Portable { 1 } else { 5 };
    let engine = Engine::start(model, EngineOptions::default()).expect("a thread starts");

    let (mut prompt, mut write, mut five, mut warm) = (0.0f64, 0.0f64, 0.0f64, f64::MAX);
    let mut first_token = f64::MAX;
    let mut id = 0;
    for _ in 0..rounds {
        id += 10;
        let start = now();
        let (tokens, _, first, _) = drain(engine.generate(request(id, 1)), start);
        prompt = prompt.max(tokens as f64 / first.as_secs_f64());
        first_token = first_token.min(first.as_secs_f64());

        let start = now();
        let (_, _, first, _) = drain(engine.generate(request(id, 1)), start);
        warm = warm.min(first.as_secs_f64());

        let start = now();
        let (_, count, first, end) = drain(engine.generate(request(id, 100)), start);
        write = write.max((count - 1) as f64 / end.saturating_sub(first).as_secs_f64());

        // Five at once, their prompts already read, so that writing alone is measured.
        for i in 1..=5 {
            drain(engine.generate(request(id + i, 1)), now());
        }
        let start = now();
        let replies: Vec<Generation> = (1..=5).map(|i| engine.generate(request(id + i, 100))).collect();
        let results: Vec<_> = replies.into_iter().map(|reply| drain(reply, start)).collect();
        let count: usize = results.iter().map(|result| result.1).sum();
        let last = results.iter().map(|result| result.3).max().unwrap_or_default();
        five = five.max(count as f64 / last.as_secs_f64());
    }
    println!("prompt         {prompt:7.0} tokens/s");
    println!("first token    {:7.0} ms; {:.0} ms when the prompt is known", first_token * 1e3, warm * 1e3);
    println!("writing        {write:7.0} tokens/s, one reply at context 300");
    println!("five at once   {five:7.0} tokens/s together");
    let (resident, highest) = memory();
    println!("memory         {resident:7.0} MB at the end, {highest:.0} MB at most");
}
