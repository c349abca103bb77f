//! The engine with the real weights: sensible answers, and the same ones in any company.

mod weights;

use psyche_infer::{Engine, EngineOptions, Finish, Generation, Message, Request, Role, Sampling};

fn request(question: &str, opener: &str, seed: u64, sampling: Sampling) -> Request {
    let messages = vec![
        Message::new(Role::System, "You are a helpful assistant. You answer in one short sentence."),
        Message::new(Role::User, question),
    ];
    Request { messages, opener: Some(opener.into()), seed, sampling, avoid: vec![] }
}

#[test]
fn a_plain_question_gets_its_answer() {
    let engine = Engine::start(weights::load(), EngineOptions::default()).unwrap();
    let sampling = Sampling { temperature: 0.0, repetition_penalty: 1.0, ..Sampling::default() };
    let request = request("What is the capital of France?", "The capital of France is", 0, sampling);
    let (text, summary) = engine.generate(request).complete().unwrap();
    assert!(text.starts_with(" Paris"), "{text:?}");
    assert_eq!(summary.finish, Finish::Stop, "{text:?}");
    assert!(summary.mean_probability > 0.5, "{summary:?}");
}

#[test]
fn five_at_once_say_what_each_says_alone() {
    let engine = Engine::start(weights::load(), EngineOptions::default()).unwrap();
    let reply = |i: usize| {
        let topics = ["the sea", "an old clock", "bread", "a locked door", "the moon"];
        let question = format!("What do you think of {}?", topics[i]);
        engine.generate(request(&question, "I think", i as u64, Sampling { max_tokens: 24, ..Sampling::default() }))
    };
    let together: Vec<Generation> = (0..5).map(reply).collect();
    let together: Vec<_> = together.into_iter().map(|reply| reply.complete().unwrap()).collect();
    for (i, (text, summary)) in together.iter().enumerate() {
        let (alone, again) = reply(i).complete().unwrap();
        assert_eq!((&alone, again.mean_probability.to_bits()), (text, summary.mean_probability.to_bits()));
        assert!(again.reused_tokens > 0, "the prompt was known the second time");
    }
}
