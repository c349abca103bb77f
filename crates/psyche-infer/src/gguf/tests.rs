//! Sound files load; every other file is an error with a reason, quickly and without a crash.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::model::Model;
use crate::synthetic::{Parts, text, value};

fn load(file: Vec<u8>) -> Result<Model, LoadError> {
    let bytes = file.len() as u64;
    Model::read(Cursor::new(file), bytes)
}

fn refusal(file: Vec<u8>) -> String {
    load(file).expect_err("the file is unsound").to_string()
}

#[test]
fn a_sound_file_loads_and_runs() {
    let model = load(Parts::new().file()).unwrap();
    let mut seen = 0;
    model.evaluate(&model.tokenizer().encode("the hand"), 4, |_, logits| {
        assert!(logits.iter().all(|x| x.is_finite()));
        seen += 1;
    });
    assert_eq!(seen, 4, "the, space, h, and");
}

#[test]
fn false_claims_are_refused_with_a_reason() {
    let whole = Parts::new().file();
    let cut = |at: usize| whole[..at].to_vec();
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let huge = u64::MAX.to_le_bytes();
    let changed = |key: &str, bytes: Vec<u8>| {
        let mut parts = Parts::new();
        parts.set(key, bytes);
        parts.file()
    };
    let reshaped = |name: &str, shape: Vec<u64>| {
        let mut parts = Parts::new();
        let tensor = parts.tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap();
        tensor.1 = shape;
        parts.file()
    };
    let number = |n: u32| value(4, &n.to_le_bytes());
    let many = [8u32.to_le_bytes().to_vec(), (1u64 << 60).to_le_bytes().to_vec()].concat();
    let wide = [10u32.to_le_bytes().to_vec(), (1u64 << 61).to_le_bytes().to_vec()].concat();
    let nested = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat();
    for (file, reason) in [
        (Vec::new(), "a header"),
        (b"GGML".to_vec(), "letters GGUF"),
        (patched(4, &[9]), "version 9"),
        (patched(8, &huge), "tensors"),
        (patched(16, &huge), "metadata entries"),
        (patched(24, &huge), "a name claims"),
        (cut(whole.len() / 3), "the file"),
        (cut(whole.len() - 64), "outside the file"),
        (changed("general.name", value(8, &huge)), "a text claims"),
        (changed("general.name", value(77, &[])), "unknown metadata type 77"),
        (changed("x", value(9, &many)), "a text"),
        (changed("x", value(9, &wide)), "overflows"),
        (changed("x", value(9, &nested)), "arrays of type 9"),
        (changed("general.alignment", number(33)), "power of two"),
        (changed("general.architecture", value(8, &text("mamba"))), "architecture mamba"),
        (changed("llama.block_count", number(0)), "llama.block_count is 0"),
        (changed("llama.block_count", number(3)), "blk.2.attn_norm.weight is missing"),
        (changed("llama.block_count", number(1)), "no place"),
        (changed("llama.attention.head_count", number(5)), "heads of width"),
        (changed("llama.embedding_length", number(4_000_000_000)), "llama.embedding_length is 4000000000"),
        (changed("llama.rope.scaling.type", value(8, &text("yarn"))), "scaled rotary"),
        (changed("llama.attention.layer_norm_rms_epsilon", value(6, &f32::NAN.to_le_bytes())), "not a positive number"),
        (changed("tokenizer.ggml.model", value(8, &text("llama"))), "tokenizer llama"),
        (changed("tokenizer.ggml.pre", value(8, &text("other"))), "tokenizer rules other"),
        (changed("tokenizer.ggml.eos_token_id", number(9999)), "end token"),
        (reshaped("output_norm.weight", vec![16]), "expected 1 × 32"),
        (reshaped("blk.0.attn_q.weight", vec![31, 32]), "not a multiple of 32"),
        (reshaped("blk.0.attn_q.weight", vec![32, u64::MAX, 2]), "overflows"),
        (reshaped("blk.0.attn_q.weight", vec![32, 1 << 50]), "outside the file"),
        (reshaped("blk.0.attn_q.weight", vec![0, 32]), "a row of 0"),
        (reshaped("blk.0.attn_q.weight", vec![32; 5]), "5 dimensions"),
    ] {
        let found = refusal(file);
        assert!(found.contains(reason) || reason == "a header", "expected {reason:?} in {found:?}");
    }
}

#[test]
fn a_key_or_a_tensor_given_twice_is_refused() {
    let mut parts = Parts::new();
    parts.metadata.push(parts.metadata[0].clone());
    assert!(refusal(parts.file()).contains("appears twice"));
    let mut parts = Parts::new();
    parts.tensors.push(parts.tensors[0].clone());
    assert!(refusal(parts.file()).contains("appears twice"));
}

proptest! {
    /// Bytes changed at random, mostly in the header: an error or a model that runs, never a crash.
    #[test]
    fn altered_files_never_crash(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), prop::bool::weighted(0.8)), 1..6),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut file = Parts::new().file();
        for (at, byte, in_header) in changes {
            let range = if in_header { 9000 } else { file.len() };
            let at = at.index(range.min(file.len()));
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(model) = load(file) {
            let tokens: Vec<u32> = model.tokenizer().encode("the end").into_iter().take(model.context()).collect();
            model.evaluate(&tokens, 2, |_, logits| assert_eq!(logits.len(), model.tokenizer().vocabulary()));
        }
    }

    /// A length field replaced by a hostile one, wherever it lies.
    #[test]
    fn hostile_lengths_never_crash(at in 8usize..9000, length in prop_oneof![
        Just(u64::MAX), Just(u64::MAX / 2), Just(1 << 62), Just(1 << 40), Just(1 << 32), Just(1 << 26), 0u64..100_000,
    ]) {
        let mut file = Parts::new().file();
        file[at..at + 8].copy_from_slice(&length.to_le_bytes());
        let _ = load(file);
    }

    #[test]
    fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(load(bytes.clone()).is_err());
        prop_assert!(load([b"GGUF\x03\0\0\0", &bytes[..]].concat()).is_err());
    }
}
