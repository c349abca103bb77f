//! A tiny model with random weights, written as a GGUF file, for tests that need no real one.

use std::io::Cursor;

use crate::kernels::math::f32_to_half;
use crate::model::Model;
use crate::random;
use crate::tokenizer::byte_to_char;

/// What a file consists of; tests change it before it is written.
pub(crate) struct Parts {
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A metadata value of type `code`.
pub(crate) fn value(code: u32, bytes: &[u8]) -> Vec<u8> {
    [&code.to_le_bytes()[..], bytes].concat()
}

fn array(element: u32, items: &[Vec<u8>]) -> Vec<u8> {
    let head = [element.to_le_bytes().to_vec(), (items.len() as u64).to_le_bytes().to_vec()].concat();
    value(9, &[head, items.concat()].concat())
}

const MERGES: [&str; 8] = ["t h", "th e", "Ġ the", "a n", "an d", "o u", "Ġ a", "i n"];

impl Parts {
    /// Two layers of width 32 with two heads over one key head; every kind of tensor occurs.
    pub(crate) fn new() -> Self {
        let controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
        let mut tokens: Vec<String> = controls.iter().map(ToString::to_string).collect();
        tokens.extend(byte_to_char().iter().map(ToString::to_string));
        tokens.extend(MERGES.iter().map(|merge| merge.replace(' ', "")));
        let kinds: Vec<Vec<u8>> =
            (0..tokens.len()).map(|i| if i < 3 { 3u32 } else { 1 }.to_le_bytes().to_vec()).collect();
        let vocabulary = tokens.len() as u64;
        let number = |n: u32| value(4, &n.to_le_bytes());
        let metadata = [
            ("general.architecture", value(8, &text("llama"))),
            ("general.name", value(8, &text("synthetic"))),
            ("llama.block_count", number(2)),
            ("llama.context_length", number(512)),
            ("llama.embedding_length", number(32)),
            ("llama.feed_forward_length", number(64)),
            ("llama.attention.head_count", number(2)),
            ("llama.attention.head_count_kv", number(1)),
            ("llama.attention.layer_norm_rms_epsilon", value(6, &1e-5f32.to_le_bytes())),
            ("tokenizer.ggml.model", value(8, &text("gpt2"))),
            ("tokenizer.ggml.pre", value(8, &text("smollm"))),
            ("tokenizer.ggml.tokens", array(8, &tokens.iter().map(|token| text(token)).collect::<Vec<_>>())),
            ("tokenizer.ggml.token_type", array(5, &kinds)),
            ("tokenizer.ggml.merges", array(8, &MERGES.map(text))),
            ("tokenizer.ggml.eos_token_id", number(2)),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value)).into();

        let mut tensors = Vec::new();
        let mut tensor = |name: String, shape: Vec<u64>, kind: u32| {
            let bytes = weights(tensors.len() as u64, shape.iter().product::<u64>() as usize, kind);
            tensors.push((name, shape, kind, bytes));
        };
        tensor("token_embd.weight".into(), vec![32, vocabulary], 8);
        for layer in 0..2 {
            for (part, shape, kind) in [
                ("attn_norm", vec![32], 0),
                ("attn_q", vec![32, 32], 3),
                ("attn_k", vec![32, 16], 8),
                ("attn_v", vec![32, 16], 1),
                ("attn_output", vec![32, 32], 0),
                ("ffn_norm", vec![32], 0),
                ("ffn_gate", vec![32, 64], 3),
                ("ffn_up", vec![32, 64], 3),
                ("ffn_down", vec![64, 32], 3),
            ] {
                tensor(format!("blk.{layer}.{part}.weight"), shape, kind);
            }
        }
        tensor("output_norm.weight".into(), vec![32], 0);
        Self { metadata, tensors }
    }

    pub(crate) fn set(&mut self, key: &str, value: Vec<u8>) {
        match self.metadata.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.into(), value)),
        }
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            file.extend(text(key));
            file.extend(value);
        }
        let mut data = Vec::new();
        for (name, shape, kind, bytes) in &self.tensors {
            file.extend(text(name));
            file.extend((shape.len() as u32).to_le_bytes());
            for n in shape {
                file.extend(n.to_le_bytes());
            }
            file.extend(kind.to_le_bytes());
            file.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        file
    }
}

/// Random weights of about ±0.4.
fn weights(seed: u64, count: usize, kind: u32) -> Vec<u8> {
    let byte = |i: usize| (random::at(seed, i as u64) >> 56) as u8;
    let small = |i: usize| (random::unit(seed, i as u64) as f32 - 0.5) * 0.8;
    match kind {
        0 => (0..count).flat_map(|i| small(i).to_le_bytes()).collect(),
        1 => (0..count).flat_map(|i| f32_to_half(small(i)).to_le_bytes()).collect(),
        3 => (0..count / 32)
            .flat_map(|block| {
                let head = [f32_to_half(0.05), f32_to_half(-0.375)].map(u16::to_le_bytes).concat();
                head.into_iter().chain((0..16).map(move |i| byte(block * 16 + i)))
            })
            .collect(),
        8 => (0..count / 32)
            .flat_map(|block| {
                let head = f32_to_half(0.02).to_le_bytes();
                head.into_iter().chain((0..32).map(move |i| byte(block * 32 + i)))
            })
            .collect(),
        other => unreachable!("the tests write no tensor of type {other}"),
    }
}

pub(crate) fn model() -> Model {
    let file = Parts::new().file();
    let bytes = file.len() as u64;
    Model::read(Cursor::new(file), bytes).expect("the synthetic file is sound")
}

/// Writes ONNX files.
pub(crate) mod onnx {
    pub(crate) fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// A field that holds bytes.
    pub(crate) fn message(field: u64, bytes: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
    }

    pub(crate) fn tensor(name: &str, kind: u64, shape: &[u64], bytes: &[u8]) -> Vec<u8> {
        let shape = shape.iter().flat_map(|n| [varint(1 << 3), varint(*n)].concat());
        let kind = [varint(2 << 3), varint(kind)].concat();
        [shape.collect(), kind, message(8, name.as_bytes()), message(9, bytes)].concat()
    }

    /// A file with these initialisers, and fields that hold none.
    pub(crate) fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
        let graph: Vec<u8> = tensors.iter().flat_map(|tensor| message(5, tensor)).collect();
        let version = [varint(1 << 3), varint(8)].concat();
        [version, message(2, b"psyche"), vec![0x4d, 1, 2, 3, 4], message(7, &graph)].concat()
    }
}
