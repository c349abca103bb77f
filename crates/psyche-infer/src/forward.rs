//! One pass of a batch through the model.
//!
//! Rows of several sequences, and several rows of one, go through together. Each row's arithmetic is the same
//! whatever stands beside it.

use crate::kv::{PAGE, Pages};
use crate::model::{Model, Shape};
use crate::weights::Activations;

/// Consecutive tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Span<'s> {
    pub(crate) tokens: &'s [u32],
    /// Position of the first.
    pub(crate) start: usize,
    /// Pages of the sequence, enough for the last; earlier positions are filled.
    pub(crate) pages: &'s [usize],
    pub(crate) logits: Wanted,
}

/// Rows that use a page of keys or values one after the other.
const ROWS_PER_PAGE: usize = 16;

/// Rows of a span for which logits are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    None,
    Last,
    All,
}

/// Buffers of a pass, kept between passes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    hidden: Vec<f32>,
    input: Activations,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    projected: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    scores: Vec<f32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
    wanted: Vec<usize>,
    logits: Vec<f32>,
}

/// Where a page keeps the keys and the values of a layer and head. Keys lie dimension by dimension, values position
/// by position.
fn in_page(shape: &Shape, layer: usize, kv_head: usize, values: bool) -> std::ops::Range<usize> {
    let size = shape.head_width * PAGE;
    let start = ((layer * 2 + usize::from(values)) * shape.kv_heads + kv_head) * size;
    start..start + size
}

impl Model {
    /// Runs `batch` and returns the logits that were wanted, in order, each as long as the vocabulary.
    pub(crate) fn forward<'x>(&self, batch: &[Span], pages: &mut Pages, scratch: &'x mut Scratch) -> Vec<&'x [f32]> {
        let Shape { width, heads, kv_heads, head_width, feed_forward, norm_epsilon, .. } = self.shape;
        let kernels = self.kernels;
        let rows: usize = batch.iter().map(|span| span.tokens.len()).sum();
        let (query_width, key_width) = (heads * head_width, kv_heads * head_width);
        let deepest = batch.iter().map(|span| span.start + span.tokens.len()).max().unwrap_or(0);
        scratch.extend_rotation(deepest, head_width, self.shape.rope_base);
        scratch.hidden.resize(rows * width, 0.0);
        scratch.queries.resize(rows * query_width, 0.0);
        scratch.keys.resize(rows * key_width, 0.0);
        scratch.values.resize(rows * key_width, 0.0);
        scratch.projected.resize(rows * width, 0.0);
        scratch.gate.resize(rows * feed_forward, 0.0);
        scratch.up.resize(rows * feed_forward, 0.0);

        let tokens = batch.iter().flat_map(|span| span.tokens);
        for (&token, hidden) in tokens.zip(scratch.hidden.chunks_exact_mut(width)) {
            self.embedding.row(token as usize, hidden);
        }

        for (index, layer) in self.layers.iter().enumerate() {
            scratch.input.resize(rows, width);
            for (row, hidden) in scratch.hidden.chunks_exact(width).enumerate() {
                let out = &mut scratch.input.values[row * width..][..width];
                kernels.rms_norm(hidden, &layer.attention_norm, norm_epsilon, out);
                kernels.quantise(&mut scratch.input, row);
            }
            kernels.product(&layer.query, &scratch.input, &mut scratch.queries);
            kernels.product(&layer.key, &scratch.input, &mut scratch.keys);
            kernels.product(&layer.value, &scratch.input, &mut scratch.values);
            scratch.input.resize(rows, query_width);
            self.attention(index, batch, pages, scratch);
            for row in 0..rows {
                kernels.quantise(&mut scratch.input, row);
            }
            kernels.product(&layer.output, &scratch.input, &mut scratch.projected);
            kernels.add(&mut scratch.hidden, &scratch.projected);

            scratch.input.resize(rows, width);
            for (row, hidden) in scratch.hidden.chunks_exact(width).enumerate() {
                let out = &mut scratch.input.values[row * width..][..width];
                kernels.rms_norm(hidden, &layer.feed_forward_norm, norm_epsilon, out);
                kernels.quantise(&mut scratch.input, row);
            }
            kernels.product(&layer.gate, &scratch.input, &mut scratch.gate);
            kernels.product(&layer.up, &scratch.input, &mut scratch.up);
            kernels.swiglu(&mut scratch.gate, &scratch.up);
            scratch.input.resize(rows, feed_forward);
            scratch.input.values.copy_from_slice(&scratch.gate);
            for row in 0..rows {
                kernels.quantise(&mut scratch.input, row);
            }
            kernels.product(&layer.down, &scratch.input, &mut scratch.projected);
            kernels.add(&mut scratch.hidden, &scratch.projected);
        }

        scratch.wanted.clear();
        let mut first = 0;
        for span in batch {
            let end = first + span.tokens.len();
            match span.logits {
                Wanted::None => {}
                Wanted::Last => scratch.wanted.push(end - 1),
                Wanted::All => scratch.wanted.extend(first..end),
            }
            first = end;
        }
        scratch.input.resize(scratch.wanted.len(), width);
        for (to, &row) in scratch.wanted.iter().enumerate() {
            let hidden = &scratch.hidden[row * width..][..width];
            let out = &mut scratch.input.values[to * width..][..width];
            kernels.rms_norm(hidden, &self.output_norm, norm_epsilon, out);
            kernels.quantise(&mut scratch.input, to);
        }
        let head = self.output.as_ref().unwrap_or(&self.embedding);
        let stride = head.padded_rows();
        scratch.logits.resize(scratch.wanted.len() * stride, 0.0);
        kernels.product(head, &scratch.input, &mut scratch.logits);
        scratch.logits.chunks_exact(stride).map(|logits| &logits[..head.rows]).collect()
    }

    /// Stores the keys and values of every row, then lets every row attend to the positions up to its own.
    fn attention(&self, layer: usize, batch: &[Span], pages: &mut Pages, scratch: &mut Scratch) {
        let Shape { heads, kv_heads, head_width, .. } = self.shape;
        let kernels = self.kernels;
        let half = head_width / 2;
        let (query_width, key_width) = (heads * head_width, kv_heads * head_width);
        let factor = 1.0 / (head_width as f32).sqrt();

        let mut row = 0;
        for span in batch {
            for position in span.start..span.start + span.tokens.len() {
                let (cosines, sines) =
                    (&scratch.cosines[position * half..][..half], &scratch.sines[position * half..][..half]);
                kernels.rotate(&mut scratch.queries[row * query_width..][..query_width], cosines, sines, factor);
                let keys = &mut scratch.keys[row * key_width..][..key_width];
                kernels.rotate(keys, cosines, sines, 1.0);
                let values = &scratch.values[row * key_width..][..key_width];
                let page = pages.write(span.pages[position / PAGE]);
                let slot = position % PAGE;
                for kv_head in 0..kv_heads {
                    let head = kv_head * head_width..(kv_head + 1) * head_width;
                    let stored = &mut page[in_page(&self.shape, layer, kv_head, false)];
                    for (stored, &key) in stored.chunks_exact_mut(PAGE).zip(&keys[head.clone()]) {
                        stored[slot] = crate::kernels::math::f32_to_half(key);
                    }
                    let stored = &mut page[in_page(&self.shape, layer, kv_head, true)];
                    for (stored, &value) in stored[slot * head_width..].iter_mut().zip(&values[head]) {
                        *stored = crate::kernels::math::f32_to_half(value);
                    }
                }
                row += 1;
            }
        }

        // Several rows of a span use a page while it is near.
        let mut row = 0;
        for span in batch {
            let positions = span.start..span.start + span.tokens.len();
            for start in positions.clone().step_by(ROWS_PER_PAGE) {
                let end = positions.end.min(start + ROWS_PER_PAGE);
                for kv_head in 0..kv_heads {
                    self.attend(layer, kv_head, span.pages, row, start..end, pages, scratch);
                }
                row += end - start;
            }
        }
    }

    /// Attention of the heads over one key head, for the rows from `first_row`, which stand at `positions`.
    #[expect(clippy::too_many_arguments, reason = "the innermost step of four loops")]
    fn attend(
        &self,
        layer: usize,
        kv_head: usize,
        held: &[usize],
        first_row: usize,
        positions: std::ops::Range<usize>,
        pages: &Pages,
        scratch: &mut Scratch,
    ) {
        let Shape { heads, kv_heads, head_width, .. } = self.shape;
        let kernels = self.kernels;
        let group = heads / kv_heads;
        let stride = positions.end.next_multiple_of(PAGE);
        let held = &held[..stride / PAGE];
        let Scratch { queries, input, scores, .. } = scratch;
        scores.resize(positions.len() * group * stride, 0.0);
        // The heads' numbers in a row of queries, and of outputs.
        let in_rows = |row: usize| {
            let first = ((first_row + row) * heads + kv_head * group) * head_width;
            first..first + group * head_width
        };

        for (block, &page) in held.iter().enumerate() {
            let keys = &pages.read(page)[in_page(&self.shape, layer, kv_head, false)];
            for (row, _) in positions.clone().enumerate().filter(|(_, position)| position / PAGE >= block) {
                let out = &mut scores[row * group * stride + block * PAGE..];
                kernels.scores(&queries[in_rows(row)], group, keys, out, stride);
            }
        }
        for (row, position) in positions.clone().enumerate() {
            let seen = position + 1;
            for scores in scores[row * group * stride..][..group * stride].chunks_exact_mut(stride) {
                let scores = &mut scores[..seen.next_multiple_of(PAGE)];
                // What lies after the row's own position takes no part.
                scores[seen..].fill(f32::NEG_INFINITY);
                let largest = kernels.maximum(scores);
                let total = kernels.exp_sum(scores, seen, largest);
                kernels.scale(scores, 1.0 / total);
            }
            input.values[in_rows(row)].fill(0.0);
        }
        for (block, &page) in held.iter().enumerate() {
            let values = &pages.read(page)[in_page(&self.shape, layer, kv_head, true)];
            for (row, position) in positions.clone().enumerate().filter(|(_, position)| position / PAGE >= block) {
                let weights = &scores[row * group * stride + block * PAGE..];
                let count = PAGE.min(position + 1 - block * PAGE);
                kernels.mix(weights, stride, group, values, head_width, count, &mut input.values[in_rows(row)]);
            }
        }
    }
}

impl Scratch {
    /// Makes the tables of rotary angles reach to `positions`.
    fn extend_rotation(&mut self, positions: usize, head_width: usize, base: f64) {
        let half = head_width / 2;
        for position in self.cosines.len() / half..positions {
            for i in 0..half {
                let angle = position as f64 * libm::pow(base, -((2 * i) as f64) / head_width as f64);
                self.cosines.push(libm::cos(angle) as f32);
                self.sines.push(libm::sin(angle) as f32);
            }
        }
    }
}

impl Model {
    /// Calls `each` with every position of `tokens` and the logits of the token after it, for tests and measurements.
    ///
    /// `chunk` tokens go through together; the logits do not depend on it.
    ///
    /// # Panics
    /// If `chunk` is zero, a token is not in the vocabulary, or there are more tokens than the context holds.
    pub fn evaluate(&self, tokens: &[u32], chunk: usize, mut each: impl FnMut(usize, &[f32])) {
        assert!(tokens.len() <= self.context(), "the context holds {} tokens", self.context());
        let mut pages = Pages::new(self.shape.page_size(), tokens.len().div_ceil(PAGE));
        let held: Vec<usize> = std::iter::from_fn(|| pages.claim()).collect();
        let mut scratch = Scratch::default();
        let mut start = 0;
        for tokens in tokens.chunks(chunk) {
            let span = Span { tokens, start, pages: &held, logits: Wanted::All };
            for logits in self.forward(&[span], &mut pages, &mut scratch) {
                each(start, logits);
                start += 1;
            }
        }
    }
}
