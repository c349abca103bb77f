//! The engine against llama.cpp on the same file. The fixtures were made by `fixtures/make_fixtures.mjs`.

mod weights;

use psyche_infer::Processor;
use serde_json::Value;

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a token") as u32).collect()
}

#[test]
fn tokens_are_those_of_llama_cpp() {
    let model = weights::load();
    let tokenizer = model.tokenizer();
    let cases = fixture(include_str!("fixtures/tokens.json"));
    let cases = cases.as_array().expect("a list");
    assert!(cases.len() >= 40);
    for case in cases {
        let text = case["text"].as_str().expect("a text");
        assert_eq!(tokenizer.encode(text), numbers(&case["plain"]), "{text:?}");
        assert_eq!(tokenizer.encode_with_controls(text), numbers(&case["controls"]), "{text:?} with control tokens");
    }
}

/// Two programs round differently, so nearly equal probabilities may change places. These are the bounds of that.
const CLEAR: f64 = 2.0;

#[test]
fn likelihoods_and_ranks_are_those_of_llama_cpp() {
    let model = weights::load();
    let reference = fixture(include_str!("fixtures/likelihoods.json"));
    let tokens = numbers(&reference["tokens"]);
    let floats =
        |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let expected = floats(&reference["nll"]);
    let top = reference["top"].as_array().unwrap();

    let (mut total, mut squares, mut checked, mut shared, mut same_first) = (0.0, 0.0, 0, 0, 0);
    model.evaluate(&tokens, 64, |position, logits| {
        let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
        let nll = |token: u32| sum.ln() - f64::from(logits[token as usize] - largest);
        if let Some(&next) = tokens.get(position + 1) {
            total += nll(next);
            squares += (nll(next) - expected[position]).powi(2);
        }
        let Some(case) = top.iter().find(|case| case["position"] == position) else { return };
        let (theirs, probabilities) = (numbers(&case["tokens"]), floats(&case["probabilities"]));
        let mut ours: Vec<u32> = (0..logits.len() as u32).collect();
        ours.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        for (i, &likelier) in theirs.iter().enumerate() {
            for (j, &other) in theirs.iter().enumerate().skip(i + 1) {
                if probabilities[i] > CLEAR * probabilities[j] {
                    let gap = nll(other) - nll(likelier);
                    assert!(gap > 0.0, "position {position}: {likelier} is clearly likelier than {other} in llama.cpp");
                }
            }
        }
        shared += theirs.iter().filter(|token| ours[..10].contains(token)).count();
        same_first += usize::from(theirs[0] == ours[0]);
        checked += 1;
    });
    assert_eq!(checked, top.len());
    let count = expected.len() as f64;
    let (mean, reference_mean) = (total / count, reference["mean_nll"].as_f64().unwrap());
    let spread = (squares / count).sqrt();
    println!(
        "mean NLL {mean:.5}, llama.cpp {reference_mean:.5}; per token {spread:.4} apart (root mean square); \
         first token the same {same_first} of {checked}, of the ten likeliest {shared} of {}",
        checked * 10
    );
    assert!((mean - reference_mean).abs() < 0.005, "mean NLL {mean}, llama.cpp {reference_mean}");
    assert!(spread < 0.15, "token NLLs are {spread} apart");
    assert!(same_first * 10 >= checked * 9, "the likeliest token is the same at {same_first} of {checked} places");
    assert!(shared * 10 >= checked * 10 * 9, "{shared} of the {} likeliest tokens are the same", checked * 10);
}

/// Every logit, bit by bit, whatever the chunk and the processor family.
#[test]
fn logits_depend_neither_on_chunks_nor_on_the_processor() {
    let reference = fixture(include_str!("fixtures/likelihoods.json"));
    let tokens = &numbers(&reference["tokens"])[..48];
    let mut model = weights::load();
    let mut expected: Vec<Vec<u32>> = Vec::new();
    for processor in Processor::available().into_iter().rev() {
        model = model.on(processor).expect("it is available");
        for chunk in [48, 1, 7, 16] {
            // One chunk size is enough for the portable kernels, which are slow.
            if processor == Processor::Portable && chunk != 7 {
                continue;
            }
            let mut found = Vec::new();
            model.evaluate(tokens, chunk, |_, logits| found.push(logits.iter().map(|x| x.to_bits()).collect()));
            if expected.is_empty() {
                expected = found;
            } else {
                assert!(found == expected, "{processor:?} in chunks of {chunk} differs");
            }
        }
    }
}
