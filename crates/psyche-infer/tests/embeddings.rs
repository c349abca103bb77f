//! The encoder against onnxruntime on the same file. The fixtures were made by `fixtures/make_embeddings.py`.

mod weights;

use psyche_infer::Processor;
use serde_json::Value;

/// 384 numbers of 16 bits in base64.
fn unpacked(text: &str) -> Vec<f64> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let four = |four: &[u8]| four.iter().fold(0, |sum, c| sum << 6 | u32::from(value(*c))).to_be_bytes();
    let bytes: Vec<u8> = text.as_bytes().chunks(4).flat_map(|chunk| four(chunk)[1..].to_vec()).collect();
    bytes.chunks(2).map(|two| f64::from(i16::from_le_bytes([two[0], two[1]])) / 32767.0).collect()
}

fn cosine(a: &[f64], b: &[f32]) -> f64 {
    let b = || b.iter().map(|x| f64::from(*x));
    let dot: f64 = a.iter().zip(b()).map(|(a, b)| a * b).sum();
    dot / (a.iter().map(|a| a * a).sum::<f64>() * b().map(|b| b * b).sum::<f64>()).sqrt()
}

#[test]
fn vectors_are_those_of_onnxruntime() {
    let encoder = weights::encoder();
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("fixtures/embeddings.json")).expect("the fixture is JSON");
    let texts: Vec<&str> = cases.iter().map(|case| case["text"].as_str().expect("a text")).collect();
    assert!(texts.len() >= 20);
    let vectors = encoder.encode(&texts);
    let expected: Vec<Vec<f64>> =
        cases.iter().map(|case| unpacked(case["vector"].as_str().expect("a vector"))).collect();
    for ((text, vector), expected) in texts.iter().zip(&vectors).zip(&expected) {
        let pieces = encoder.pieces(text);
        assert_eq!(serde_json::json!(pieces), cases.iter().find(|c| c["text"] == *text).expect("it")["pieces"]);
        let cosine = cosine(expected, vector);
        assert!(cosine > 0.998, "{cosine} for {text:?}");
    }
    // What counts is how texts stand to one another.
    let exact = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (i, a) in vectors.iter().enumerate() {
        let a: Vec<f64> = a.iter().map(|x| f64::from(*x)).collect();
        for (j, b) in vectors.iter().enumerate() {
            let (ours, theirs) = (cosine(&a, b), exact(&expected[i], &expected[j]));
            assert!((ours - theirs).abs() < 0.015, "{ours} for {theirs}: {:?}, {:?}", texts[i], texts[j]);
        }
    }
}

#[test]
fn a_vector_depends_on_its_text_alone() {
    let texts = ["I am afraid.", "The letter lies unopened on the table.", "Yes.", "We could ask her what she meant."];
    let encoder = weights::encoder();
    let together = encoder.encode(&texts);
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(&encoder.encode(&[text])[0], vector);
    }
    for processor in Processor::available() {
        let encoder = weights::encoder().on(processor).expect("it is available");
        assert_eq!(encoder.encode(&texts), together, "{processor:?}");
    }
}
