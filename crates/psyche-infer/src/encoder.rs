//! Sentence embeddings: BERT's encoder as MiniLM-L6 has it, on the kernels of the language model.
//!
//! Weights are the 8-bit ones of the file, one scale per output. Inputs of products are quantised to 8 bits per 32
//! numbers; everything else is single precision, keys and values half. A text's vector is the mean over its pieces, made
//! as long as 1. It depends on nothing but the text: not on what is encoded beside it, nor on the processor.

use std::path::Path;

use crate::error::LoadError;
use crate::kernels::math::f32_to_half;
use crate::kernels::{Kernels, Processor};
use crate::kv::PAGE;
use crate::onnx::{self, Kind, Tensor};
use crate::weights::{Activations, BLOCK, Matrix};
use crate::wordpiece::WordPiece;

/// Numbers in a vector.
pub const WIDTH: usize = 384;
/// Word pieces of a text that are read, its two marks included: what the model is made for. The rest is not seen.
pub const MAX_PIECES: usize = 256;

/// Numbers of a head.
const HEAD: usize = 32;
const EPSILON: f32 = 1e-12;
/// Rows that go through a layer together; a longer text goes alone.
const ROWS: usize = 128;
/// More than twice the size of the file that is known.
const MAX_BYTES: u64 = 64 << 20;
const MAX_LAYERS: usize = 48;

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A matrix and what is added to its product.
#[derive(Debug)]
struct Dense {
    matrix: Matrix,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    attention_norm: Norm,
    up: Dense,
    down: Dense,
    output_norm: Norm,
}

/// A loaded encoder. It does not change, so threads may share it.
#[derive(Debug)]
pub struct Encoder {
    kernels: Kernels,
    pieces: WordPiece,
    words: Matrix,
    positions: Matrix,
    /// Added to every row: all of a text is of the first type.
    kind: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// Buffers of a pass.
#[derive(Debug, Default)]
struct Scratch {
    hidden: Vec<f32>,
    input: Activations,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    wide: Vec<f32>,
    head: Head,
}

/// One head of one text.
#[derive(Debug, Default)]
struct Head {
    queries: Vec<f32>,
    keys: Vec<u16>,
    values: Vec<u16>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
}

impl Encoder {
    /// Loads the ONNX file at `path`. Its digest is not checked: that is the caller's part.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_BYTES {
            return Err(LoadError::Malformed(format!("it has {bytes} bytes, more than {MAX_BYTES}")));
        }
        Self::read(&std::fs::read(path).map_err(io)?)
    }

    /// As [`Encoder::load`], from the bytes of a file.
    pub fn read(file: &[u8]) -> Result<Self, LoadError> {
        let mut source = Source::new(onnx::tensors(file)?);
        let pieces = WordPiece::new();
        let words = source.embedding("word", pieces.vocabulary())?;
        let positions = source.embedding("position", 512)?;
        let kinds = source.numbers("inner.embeddings.token_type_embeddings.weight", &[2, WIDTH])?;
        let norm = source.norm("inner.embeddings")?;
        let mut layers = Vec::new();
        while layers.len() < MAX_LAYERS && source.has_layer(layers.len()) {
            layers.push(source.layer(layers.len())?);
        }
        source.is_used_up()?;
        let kind = kinds[..WIDTH].to_vec();
        Ok(Self { kernels: Kernels::best(), pieces, words, positions, kind, norm, layers })
    }

    /// The same encoder on a slower processor family, or `None` if this machine cannot run it. Results do not differ.
    pub fn on(self, processor: Processor) -> Option<Self> {
        Kernels::on(processor).map(|kernels| Self { kernels, ..self })
    }

    /// The word pieces of a text as the model reads it: at most [`MAX_PIECES`].
    pub fn pieces(&self, text: &str) -> Vec<u32> {
        self.pieces.encode(text, MAX_PIECES)
    }

    /// The vectors of `texts`, each [`WIDTH`] numbers and of length 1.
    pub fn encode(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let pieces: Vec<Vec<u32>> = texts.iter().map(|text| self.pieces(text)).collect();
        let mut scratch = Scratch::default();
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = pieces.as_slice();
        while !rest.is_empty() {
            let mut rows = 0;
            let fitting = rest.iter().take_while(|text| {
                rows += text.len();
                rows <= ROWS
            });
            let (batch, left) = rest.split_at(fitting.count().max(1));
            self.forward(batch, &mut scratch);
            let mut hidden = scratch.hidden.as_slice();
            for text in batch {
                let (own, others) = hidden.split_at(text.len() * WIDTH);
                vectors.push(self.pool(own));
                hidden = others;
            }
            rest = left;
        }
        vectors
    }

    fn pool(&self, rows: &[f32]) -> Vec<f32> {
        let mut sum = vec![0.0; WIDTH];
        for row in rows.chunks_exact(WIDTH) {
            self.kernels.add(&mut sum, row);
        }
        let squares: f64 = sum.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        self.kernels.scale(&mut sum, (1.0 / squares.sqrt().max(f64::MIN_POSITIVE)) as f32);
        sum
    }

    /// Leaves the last layer's rows of all texts in `scratch.hidden`.
    fn forward(&self, batch: &[Vec<u32>], scratch: &mut Scratch) {
        let kernels = self.kernels;
        let rows: usize = batch.iter().map(Vec::len).sum();
        let Scratch { hidden, input, queries, keys, values, wide, head } = scratch;
        for buffer in [&mut *hidden, queries, keys, values] {
            buffer.resize(rows * WIDTH, 0.0);
        }
        input.resize(rows, WIDTH);
        let mut position = vec![0.0; WIDTH];
        let places = batch.iter().flat_map(|text| text.iter().enumerate());
        for (row, (at, &piece)) in places.enumerate() {
            let sum = &mut input.values[row * WIDTH..][..WIDTH];
            self.words.row(piece as usize, sum);
            self.positions.row(at, &mut position);
            kernels.add(sum, &self.kind);
            kernels.add(sum, &position);
        }
        self.norm.apply(kernels, &input.values, hidden);
        for layer in &self.layers {
            input.take(kernels, hidden, WIDTH);
            layer.query.apply(kernels, input, queries);
            layer.key.apply(kernels, input, keys);
            layer.value.apply(kernels, input, values);
            let mut first = 0;
            for text in batch {
                for at in (0..WIDTH).step_by(HEAD) {
                    let of = |rows| Strip { rows, first, count: text.len(), at };
                    head.attend(kernels, of(&*queries), of(&*keys), of(&*values));
                    for (row, mixed) in head.mixed.chunks_exact(HEAD).enumerate() {
                        input.values[(first + row) * WIDTH + at..][..HEAD].copy_from_slice(mixed);
                    }
                }
                first += text.len();
            }
            input.quantise(kernels);
            layer.output.apply(kernels, input, queries);
            kernels.add(queries, hidden);
            layer.attention_norm.apply(kernels, queries, hidden);

            input.take(kernels, hidden, WIDTH);
            let width = layer.up.matrix.rows;
            wide.resize(rows * width, 0.0);
            layer.up.apply(kernels, input, wide);
            kernels.gelu(wide);
            input.take(kernels, wide, width);
            layer.down.apply(kernels, input, queries);
            kernels.add(queries, hidden);
            layer.output_norm.apply(kernels, queries, hidden);
        }
    }
}

impl Norm {
    fn apply(&self, kernels: Kernels, rows: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(WIDTH).zip(out.chunks_exact_mut(WIDTH)) {
            kernels.layer_norm(row, &self.weight, &self.bias, EPSILON, out);
        }
    }
}

impl Dense {
    fn apply(&self, kernels: Kernels, input: &Activations, out: &mut [f32]) {
        kernels.product(&self.matrix, input, out);
        for row in out.chunks_exact_mut(self.bias.len()) {
            kernels.add(row, &self.bias);
        }
    }
}

impl Activations {
    /// Takes over rows of `columns` numbers and quantises them.
    fn take(&mut self, kernels: Kernels, rows: &[f32], columns: usize) {
        self.resize(rows.len() / columns, columns);
        self.values.copy_from_slice(rows);
        self.quantise(kernels);
    }

    fn quantise(&mut self, kernels: Kernels) {
        for row in 0..self.rows() {
            kernels.quantise(self, row);
        }
    }
}

/// The columns of one head in the rows of one text.
#[derive(Clone, Copy)]
struct Strip<'s> {
    rows: &'s [f32],
    first: usize,
    count: usize,
    at: usize,
}

impl<'s> Strip<'s> {
    fn iter(self) -> impl Iterator<Item = &'s [f32]> {
        (self.first..self.first + self.count).map(move |row| &self.rows[row * WIDTH + self.at..][..HEAD])
    }
}

impl Head {
    /// Every row attends to every row of its text; `mixed` then holds the results, row after row.
    fn attend(&mut self, kernels: Kernels, queries: Strip<'_>, keys: Strip<'_>, values: Strip<'_>) {
        let count = queries.count;
        let stride = count.next_multiple_of(PAGE);
        let factor = 1.0 / (HEAD as f32).sqrt();
        self.queries.clear();
        for row in queries.iter() {
            self.queries.extend_from_slice(row);
        }
        kernels.scale(&mut self.queries, factor);
        for page in [&mut self.keys, &mut self.values] {
            page.clear();
            page.resize(stride * HEAD, 0);
        }
        for (at, (key, value)) in keys.iter().zip(values.iter()).enumerate() {
            // A page's keys lie number by number, its values position by position.
            for (i, &x) in key.iter().enumerate() {
                self.keys[at / PAGE * PAGE * HEAD + i * PAGE + at % PAGE] = f32_to_half(x);
            }
            for (out, &x) in self.values[at * HEAD..][..HEAD].iter_mut().zip(value) {
                *out = f32_to_half(x);
            }
        }
        self.scores.resize(count * stride, 0.0);
        for (page, keys) in self.keys.chunks_exact(PAGE * HEAD).enumerate() {
            kernels.scores(&self.queries, count, keys, &mut self.scores[page * PAGE..], stride);
        }
        for scores in self.scores.chunks_exact_mut(stride) {
            // What fills up the last page takes no part.
            scores[count..].fill(f32::NEG_INFINITY);
            let largest = kernels.maximum(scores);
            let total = kernels.exp_sum(scores, count, largest);
            kernels.scale(scores, 1.0 / total);
        }
        self.mixed.clear();
        self.mixed.resize(count * HEAD, 0.0);
        for (page, values) in self.values.chunks_exact(PAGE * HEAD).enumerate() {
            let weights = &self.scores[page * PAGE..];
            let here = PAGE.min(count - page * PAGE);
            kernels.mix(weights, stride, count, values, HEAD, here, &mut self.mixed);
        }
    }
}

/// Hands out the tensors of a file.
struct Source<'f> {
    named: std::collections::BTreeMap<&'f str, Tensor<'f>>,
    /// The matrices of the layers, whose names are mere numbers, in the order in which the graph uses them.
    matrices: std::vec::IntoIter<(Tensor<'f>, Tensor<'f>)>,
}

impl<'f> Source<'f> {
    fn new(tensors: Vec<Tensor<'f>>) -> Self {
        let named: std::collections::BTreeMap<_, _> = tensors.iter().map(|t| (t.name, t.clone())).collect();
        let of_layers = tensors.iter().filter(|t| t.kind == Kind::I8 && !t.name.starts_with("inner."));
        let with_scale = of_layers.filter_map(|quants| {
            let scale = format!("{}_scale", quants.name.strip_suffix("_q")?);
            Some((quants.clone(), named.get(scale.as_str())?.clone()))
        });
        let matrices: Vec<_> = with_scale.collect();
        Self { named, matrices: matrices.into_iter() }
    }

    fn tensor(&self, name: &str, kind: Kind, shape: &[usize]) -> Result<&'f [u8], LoadError> {
        let tensor = self.named.get(name);
        let tensor = tensor.ok_or_else(|| LoadError::Malformed(format!("the tensor {name} is missing")))?;
        checked(tensor, kind, shape)
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        self.tensor(name, Kind::F32, shape).and_then(|bytes| finite(name, bytes))
    }

    fn norm(&self, of: &str) -> Result<Norm, LoadError> {
        let part = |part: &str| self.numbers(&format!("{of}.LayerNorm.{part}"), &[WIDTH]);
        Ok(Norm { weight: part("weight")?, bias: part("bias")? })
    }

    fn embedding(&self, of: &str, rows: usize) -> Result<Matrix, LoadError> {
        let name = format!("inner.embeddings.{of}_embeddings.weight");
        let scales = self.numbers(&format!("{name}_scale"), &[rows, 1])?;
        let quants = self.tensor(&format!("{name}_q"), Kind::I8, &[rows, WIDTH])?;
        Ok(Matrix::of_rows(&scales, WIDTH, |row, column| quants[row * WIDTH + column] as i8))
    }

    /// The next matrix of the layers: `columns` inputs, `rows` outputs, stored input by input.
    fn dense(&mut self, bias: &str, rows: usize, columns: usize) -> Result<Dense, LoadError> {
        let bias = self.numbers(bias, &[rows])?;
        let next = self.matrices.next().ok_or_else(|| LoadError::Malformed("a layer's matrix is missing".into()))?;
        let quants = checked(&next.0, Kind::I8, &[columns, rows])?;
        let scales = finite(next.1.name, checked(&next.1, Kind::F32, &[1, rows])?)?;
        let matrix = Matrix::of_rows(&scales, columns, |row, column| quants[column * rows + row] as i8);
        Ok(Dense { matrix, bias })
    }

    fn has_layer(&self, index: usize) -> bool {
        self.named.contains_key(format!("inner.encoder.layer.{index}.output.dense.bias").as_str())
    }

    fn layer(&mut self, index: usize) -> Result<Layer, LoadError> {
        let name = |part: &str| format!("inner.encoder.layer.{index}.{part}");
        let wide = self.named.get(name("intermediate.dense.bias").as_str()).map_or(0, |t| t.shape.iter().product());
        if wide == 0 || !wide.is_multiple_of(BLOCK) {
            return Err(LoadError::Unsupported(format!("a feed-forward width of {wide}, expected a multiple of 32")));
        }
        Ok(Layer {
            query: self.dense(&name("attention.self.query.bias"), WIDTH, WIDTH)?,
            key: self.dense(&name("attention.self.key.bias"), WIDTH, WIDTH)?,
            value: self.dense(&name("attention.self.value.bias"), WIDTH, WIDTH)?,
            output: self.dense(&name("attention.output.dense.bias"), WIDTH, WIDTH)?,
            attention_norm: self.norm(&name("attention.output"))?,
            up: self.dense(&name("intermediate.dense.bias"), wide, WIDTH)?,
            down: self.dense(&name("output.dense.bias"), WIDTH, wide)?,
            output_norm: self.norm(&name("output"))?,
        })
    }

    fn is_used_up(&self) -> Result<(), LoadError> {
        match self.matrices.as_slice() {
            [] => Ok(()),
            [(tensor, _), ..] => {
                let what = format!("the matrix {} has no place in a MiniLM encoder", tensor.name);
                Err(LoadError::Unsupported(what))
            }
        }
    }
}

fn checked<'f>(tensor: &Tensor<'f>, kind: Kind, shape: &[usize]) -> Result<&'f [u8], LoadError> {
    if tensor.kind == kind && tensor.shape == shape {
        return Ok(tensor.bytes);
    }
    let Tensor { name, kind: found, shape: found_shape, .. } = tensor;
    let what = format!("the tensor {name} is {found:?} {found_shape:?}, expected {kind:?} {shape:?}");
    Err(LoadError::Malformed(what))
}

/// Numbers that are none would spread over everything.
fn finite(name: &str, bytes: &[u8]) -> Result<Vec<f32>, LoadError> {
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    if numbers.iter().all(|x| x.is_finite()) {
        return Ok(numbers);
    }
    Err(LoadError::Malformed(format!("the tensor {name} holds what is no number")))
}

#[cfg(test)]
mod tests;
