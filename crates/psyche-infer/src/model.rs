//! A llama-architecture model: its shape, its weights, and loading both from a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::error::LoadError;
use crate::gguf::{self, Header, Tensor, TensorKind, Value};
use crate::kernels::{Kernels, Processor};
use crate::tokenizer::Tokenizer;
use crate::weights::{BLOCK, Matrix};

/// The numbers that describe a model's shape.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) context: usize,
    pub(crate) rope_base: f64,
    pub(crate) norm_epsilon: f32,
}

#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Matrix,
    pub(crate) key: Matrix,
    pub(crate) value: Matrix,
    pub(crate) output: Matrix,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

/// A loaded model. It does not change, so any number of engines may share it.
#[derive(Debug)]
pub struct Model {
    name: String,
    pub(crate) shape: Shape,
    pub(crate) kernels: Kernels,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    /// Absent when the embedding serves as the output.
    pub(crate) output: Option<Matrix>,
}

/// Limits no model this engine is meant for comes near; they bound what a false header can ask for.
const MAX_LAYERS: usize = 512;
const MAX_WIDTH: usize = 65_536;
const MAX_CONTEXT: usize = 1 << 20;

impl Model {
    /// Loads the GGUF file at `path`, repacking its weights for the fastest processor family of this machine.
    ///
    /// The file is read once, in stripes; it is not kept open. Its digest is not checked: that is the caller's part.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        Self::read(BufReader::with_capacity(1 << 18, file), bytes)
    }

    /// As [`Model::load`], from anything that reads and seeks and holds `bytes` bytes.
    pub fn read(mut input: impl Read + Seek, bytes: u64) -> Result<Self, LoadError> {
        let Header { metadata, tensors } = gguf::read_header(&mut input, bytes)?;
        let shape = Shape::from_metadata(&metadata)?;
        let tokenizer = Tokenizer::from_metadata(&metadata)?;
        let name = match metadata.get("general.name") {
            Some(Value::Text(name)) => name.clone(),
            _ => String::from("unnamed"),
        };
        drop(metadata);

        let mut source = Source { input, tensors };
        let Shape { width, feed_forward, .. } = shape;
        let (queries, keys) = (shape.heads * shape.head_width, shape.kv_heads * shape.head_width);
        let embedding = source.matrix("token_embd.weight", tokenizer.vocabulary(), width)?;
        let mut layers = Vec::new();
        for i in 0..shape.layers {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            layers.push(Layer {
                attention_norm: source.vector(&name("attn_norm"), width)?,
                query: source.matrix(&name("attn_q"), queries, width)?,
                key: source.matrix(&name("attn_k"), keys, width)?,
                value: source.matrix(&name("attn_v"), keys, width)?,
                output: source.matrix(&name("attn_output"), width, queries)?,
                feed_forward_norm: source.vector(&name("ffn_norm"), width)?,
                gate: source.matrix(&name("ffn_gate"), feed_forward, width)?,
                up: source.matrix(&name("ffn_up"), feed_forward, width)?,
                down: source.matrix(&name("ffn_down"), width, feed_forward)?,
            });
        }
        let output_norm = source.vector("output_norm.weight", width)?;
        let output = if source.tensors.contains_key("output.weight") {
            Some(source.matrix("output.weight", tokenizer.vocabulary(), width)?)
        } else {
            None
        };
        if let Some(name) = source.tensors.keys().next() {
            return Err(LoadError::Unsupported(format!("the tensor {name} has no place in a plain llama model")));
        }
        let (kernels, tokenizer) = (Kernels::best(), Arc::new(tokenizer));
        Ok(Self { name, shape, kernels, tokenizer, embedding, layers, output_norm, output })
    }

    /// The same model on a slower processor family, or `None` if this machine cannot run it. Results do not differ.
    pub fn on(self, processor: Processor) -> Option<Self> {
        Kernels::on(processor).map(|kernels| Self { kernels, ..self })
    }

    /// The processor family in use.
    pub fn processor(&self) -> Processor {
        self.kernels.processor()
    }

    /// The name the file gives its model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The most tokens a sequence may have.
    pub fn context(&self) -> usize {
        self.shape.context
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

impl Shape {
    fn from_metadata(metadata: &BTreeMap<String, Value>) -> Result<Self, LoadError> {
        match metadata.get("general.architecture") {
            Some(Value::Text(name)) if name == "llama" => {}
            Some(Value::Text(name)) => return Err(LoadError::Unsupported(format!("architecture {name}"))),
            _ => return Err(LoadError::Malformed("the metadata names no architecture".into())),
        }
        let count = |key: &str, most: usize, default: Option<usize>| match metadata.get(&format!("llama.{key}")) {
            Some(Value::Integer(n)) => usize::try_from(*n)
                .ok()
                .filter(|n| (1..=most).contains(n))
                .ok_or_else(|| LoadError::Malformed(format!("llama.{key} is {n}, expected 1 to {most}"))),
            None => default.ok_or_else(|| LoadError::Malformed(format!("the metadata has no llama.{key}"))),
            Some(_) => Err(LoadError::Malformed(format!("llama.{key} is not an integer"))),
        };
        let number = |key: &str, default: Option<f64>| match metadata.get(&format!("llama.{key}")) {
            Some(Value::Float(x)) if x.is_finite() && *x > 0.0 => Ok(*x),
            None => default.ok_or_else(|| LoadError::Malformed(format!("the metadata has no llama.{key}"))),
            Some(_) => Err(LoadError::Malformed(format!("llama.{key} is not a positive number"))),
        };
        let width = count("embedding_length", MAX_WIDTH, None)?;
        let heads = count("attention.head_count", MAX_WIDTH, None)?;
        let head_width = count("attention.key_length", MAX_WIDTH, Some(width / heads))?;
        let shape = Self {
            layers: count("block_count", MAX_LAYERS, None)?,
            width,
            heads,
            kv_heads: count("attention.head_count_kv", MAX_WIDTH, Some(heads))?,
            head_width,
            feed_forward: count("feed_forward_length", MAX_WIDTH, None)?,
            context: count("context_length", MAX_CONTEXT, None)?,
            rope_base: number("rope.freq_base", Some(10_000.0))?,
            norm_epsilon: number("attention.layer_norm_rms_epsilon", None)? as f32,
        };
        let unsupported = |what: String| Err(LoadError::Unsupported(what));
        if head_width == 0 || !head_width.is_multiple_of(16) {
            return unsupported(format!("heads of width {head_width}, expected a multiple of 16"));
        }
        if !heads.is_multiple_of(shape.kv_heads) {
            return unsupported(format!("{heads} heads over {} key heads", shape.kv_heads));
        }
        for (what, n) in [("width", width), ("attention", heads * head_width), ("feed-forward", shape.feed_forward)] {
            if !n.is_multiple_of(BLOCK) {
                return unsupported(format!("a {what} of {n}, expected a multiple of 32"));
            }
        }
        if count("rope.dimension_count", MAX_WIDTH, Some(head_width))? != head_width
            || count("attention.value_length", MAX_WIDTH, Some(head_width))? != head_width
        {
            return unsupported("heads that are only partly rotated or of two widths".into());
        }
        match metadata.get("llama.rope.scaling.type") {
            None => {}
            Some(Value::Text(kind)) if kind == "none" => {}
            Some(_) => return unsupported("scaled rotary positions".into()),
        }
        Ok(shape)
    }

    /// Half-precision numbers in one page of keys and values.
    pub(crate) fn page_size(&self) -> usize {
        self.layers * 2 * self.kv_heads * self.head_width * crate::kv::PAGE
    }
}

/// Hands out the tensors of a file, each once.
struct Source<R> {
    input: R,
    tensors: BTreeMap<String, Tensor>,
}

impl<R: Read + Seek> Source<R> {
    fn open(&mut self, name: &str, rows: usize, columns: usize) -> Result<Tensor, LoadError> {
        let tensor = self.tensors.remove(name);
        let tensor = tensor.ok_or_else(|| LoadError::Malformed(format!("the tensor {name} is missing")))?;
        if (tensor.rows, tensor.columns) != (rows, columns) {
            let (found_rows, found_columns) = (tensor.rows, tensor.columns);
            return Err(LoadError::Malformed(format!(
                "the tensor {name} is {found_rows} × {found_columns}, expected {rows} × {columns}"
            )));
        }
        self.input.seek(SeekFrom::Start(tensor.offset)).map_err(|error| cut_short(name, &error))?;
        Ok(tensor)
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, LoadError> {
        let tensor = self.open(name, rows, columns)?;
        Matrix::read(&mut self.input, tensor.kind, rows, columns).map_err(|error| cut_short(name, &error))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        let tensor = self.open(name, 1, length)?;
        if tensor.kind != TensorKind::F32 {
            return Err(LoadError::Unsupported(format!("the vector {name} is not stored as F32")));
        }
        let mut bytes = vec![0; length * 4];
        self.input.read_exact(&mut bytes).map_err(|error| cut_short(name, &error))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

fn cut_short(name: &str, error: &std::io::Error) -> LoadError {
    LoadError::Malformed(format!("the tensor {name} could not be read ({error})"))
}
