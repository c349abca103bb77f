//! Measures an engine on a model file:
//!
//! `cargo run --release -p psyche-infer --example bench -- model.gguf [portable|avx2|avx512]`

use std::time::Instant;

use psyche_infer::{Engine, EngineOptions, Generation, Message, Model, Piece, Processor, Request, Role, Sampling};

const WORDS: &str = "The house stood at the end of a long road, and in the evening its windows caught the last of the \
    light. Nobody had lived there for eleven years. The children of the village said that a woman walked its rooms at \
    night, carrying a lamp that gave no light, and that whoever looked into her face would forget his own name. ";

#[expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

/// Seconds of processor time all threads have used: steadier than the clock on a machine that does other things too.
fn processor_time() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let used = |path: std::path::PathBuf| {
        let line = std::fs::read_to_string(path.join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(|thread| used(thread.path())).sum::<f64>() / 1e9
}

/// Runs `work`, which reports how many tokens it handled. Returns tokens per second by the clock and by processor time.
fn rate(work: impl FnOnce() -> usize) -> [f64; 2] {
    let (start, used) = (now(), processor_time());
    let tokens = work() as f64;
    [tokens / start.elapsed().as_secs_f64(), tokens / (processor_time() - used)]
}

/// Keeps the better of two rates.
fn better(best: &mut [f64; 2], rate: [f64; 2]) {
    *best = [best[0].max(rate[0]), best[1].max(rate[1])];
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

/// Drains a reply. Returns how many tokens its prompt and its text have.
fn drain(generation: Generation) -> (usize, usize) {
    for piece in generation {
        match piece {
            Piece::Text(_) => {}
            Piece::Done(summary) => return (summary.prompt_tokens, summary.completion_tokens),
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

    let (mut reading, mut writing, mut five) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    let (mut first_token, mut warm) = (f64::MAX, f64::MAX);
    for round in 0..rounds {
        let id = round * 10;
        let start = now();
        better(&mut reading, rate(|| drain(engine.generate(request(id, 1))).0));
        first_token = first_token.min(start.elapsed().as_secs_f64());

        let start = now();
        drain(engine.generate(request(id, 1)));
        warm = warm.min(start.elapsed().as_secs_f64());

        // Prompts that are known already, so that writing alone is measured.
        better(&mut writing, rate(|| drain(engine.generate(request(id, 100))).1));
        for i in 1..=5 {
            drain(engine.generate(request(id + i, 1)));
        }
        let all = || {
            let replies: Vec<Generation> = (1..=5).map(|i| engine.generate(request(id + i, 100))).collect();
            replies.into_iter().map(|reply| drain(reply).1).sum()
        };
        better(&mut five, rate(all));
    }
    println!("first token    {:7.0} ms; {:.0} ms when the prompt is known", first_token * 1e3, warm * 1e3);
    println!("tokens per second     by the clock  by processor time");
    for (what, [clock, processor]) in [("prompt of 290", reading), ("writing at 290", writing), ("five at once", five)]
    {
        println!("{what:21} {clock:12.0}  {processor:17.0}");
    }
    let (resident, highest) = memory();
    println!("memory         {resident:7.0} MB at the end, {highest:.0} MB at most");
}
