//! A tiny encoder with made-up weights; `tests/embeddings.rs` has the real one.

use super::*;
use crate::random;
use crate::synthetic::onnx::{model, tensor};

/// Little-endian numbers around `centre`.
fn numbers(seed: u64, count: u64, centre: f32) -> Vec<u8> {
    (0..count).flat_map(|i| (centre + random::unit(seed, i) as f32 / 8.0).to_le_bytes()).collect()
}

fn quants(seed: u64, count: u64) -> Vec<u8> {
    (0..count).map(|i| (random::at(seed, i) >> 56) as u8).collect()
}

/// Tensors by their names.
type Parts = Vec<(String, Vec<u8>)>;

/// One layer, 64 wide inside, and an initialiser of the graph that is no weight.
fn tensors() -> Parts {
    let width = WIDTH as u64;
    let mut parts = Vec::new();
    let mut add = |name: &str, kind, shape: &[u64], bytes: Vec<u8>| {
        parts.push((name.to_owned(), tensor(name, kind, shape, &bytes)));
    };
    for (of, rows) in [("word", 30_522), ("position", 512)] {
        let name = format!("inner.embeddings.{of}_embeddings.weight");
        add(&format!("{name}_q"), 3, &[rows, width], quants(rows, rows * width));
        add(&format!("{name}_scale"), 1, &[rows, 1], numbers(1, rows, 0.01));
    }
    add("inner.embeddings.token_type_embeddings.weight", 1, &[2, width], numbers(2, 2 * width, 0.0));
    for norm in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        add(&format!("inner.{norm}.LayerNorm.weight"), 1, &[width], numbers(3, width, 1.0));
        add(&format!("inner.{norm}.LayerNorm.bias"), 1, &[width], numbers(4, width, 0.0));
    }
    let dense = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"];
    for part in dense.into_iter().chain(["intermediate.dense", "output.dense"]) {
        let rows = if part == "intermediate.dense" { 64 } else { width };
        let columns = if part == "output.dense" { 64 } else { width };
        add(&format!("inner.encoder.layer.0.{part}.bias"), 1, &[rows], numbers(5, rows, 0.0));
        add(&format!("val_{part}_q"), 3, &[columns, rows], quants(rows + columns, rows * columns));
        add(&format!("val_{part}_scale"), 1, &[1, rows], numbers(6, rows, 0.001));
    }
    add("val_8", 7, &[1], vec![0; 8]);
    parts
}

fn file(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    model(&parts.iter().map(|(_, tensor)| tensor.clone()).collect::<Vec<_>>())
}

#[test]
fn a_text_has_its_vector_whatever_stands_beside_it_and_on_every_processor() {
    let file = file(&tensors());
    let long = "a word and another ".repeat(40);
    let texts = ["", "The mask speaks politely.", &long, "Yes."];
    let expected: Vec<Vec<f32>> = texts.iter().flat_map(|text| Encoder::read(&file).unwrap().encode(&[text])).collect();
    for vector in &expected {
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!(vector.len() == WIDTH && (length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_ne!(expected[1], expected[3]);
    for processor in Processor::available() {
        let encoder = Encoder::read(&file).unwrap().on(processor).unwrap();
        assert_eq!(encoder.encode(&texts), expected, "{processor:?}");
    }
}

#[test]
fn what_is_no_encoder_is_refused_with_a_reason() {
    let refusal = |change: &dyn Fn(&mut Parts)| {
        let mut parts = tensors();
        change(&mut parts);
        Encoder::read(&file(&parts)).expect_err("the file is unsound").to_string()
    };
    let at = |parts: &[(String, Vec<u8>)], name: &str| parts.iter().position(|(n, _)| n == name).unwrap();
    let put = |parts: &mut Parts, name: &str, tensor: Vec<u8>| {
        let at = at(parts, name);
        parts[at].1 = tensor;
    };
    let norm = "inner.embeddings.LayerNorm.bias";
    let missing = refusal(&|parts| {
        let at = at(parts, norm);
        parts.remove(at);
    });
    assert!(missing.contains("the tensor inner.embeddings.LayerNorm.bias is missing"), "{missing}");
    let reshaped = refusal(&|parts| put(parts, norm, tensor(norm, 1, &[4], &[0; 16])));
    assert!(reshaped.contains("is F32 [4], expected F32 [384]"), "{reshaped}");
    let infinite = f32::INFINITY.to_le_bytes().repeat(WIDTH);
    let infinite = refusal(&|parts| put(parts, norm, tensor(norm, 1, &[WIDTH as u64], &infinite)));
    assert!(infinite.contains("what is no number"), "{infinite}");
    let odd = "inner.encoder.layer.0.intermediate.dense.bias";
    let odd = refusal(&|parts| put(parts, odd, tensor(odd, 1, &[3], &[0; 12])));
    assert!(odd.contains("a feed-forward width of 3"), "{odd}");
    let last = "val_output.dense_q";
    let fewer = refusal(&|parts| {
        let at = at(parts, last);
        parts.remove(at);
    });
    assert!(fewer.contains("a layer's matrix is missing"), "{fewer}");
    let more = refusal(&|parts| {
        parts.push((String::new(), tensor("val_x_q", 3, &[1], &[0])));
        parts.push((String::new(), tensor("val_x_scale", 1, &[1], &[0; 4])));
    });
    assert!(more.contains("the matrix val_x_q has no place"), "{more}");
    assert!(Encoder::read(b"").is_err());
}
