//! The arithmetic that takes the time, once per processor family, bit for bit the same in each.
//!
//! Integer dot products are exact, and every sum of floats runs in one written order, so a result depends neither on
//! the processor nor on what else is computed beside it. All `unsafe` of this crate is in this module: the intrinsics
//! that load and store, and the calls into code compiled for a processor that was detected.

pub(crate) mod math;
mod portable;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "vector loads and stores take pointers; each is inside a slice whose length was asserted"
)]
mod x86;

use crate::weights::{Activations, Matrix, Tiles};

/// Activation rows served by one load of a weight tile.
const ROWS_AT_ONCE: usize = 8;

/// A family of processors the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// Plain Rust, runs everywhere.
    Portable,
    /// x86-64 with AVX2, fused multiply-add and half-precision conversion.
    Avx2,
    /// x86-64 with AVX-512 and its 8-bit dot product (VNNI).
    Avx512,
}

impl Processor {
    /// The families this machine can run, slowest first.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 {
                found.push(Self::Avx2);
            }
            if avx2 && avx512 {
                found.push(Self::Avx512);
            }
        }
        found
    }
}

/// The kernels of one family. A value exists only for a family this machine can run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels(Processor);

macro_rules! dispatch {
    ($kernels:expr, $name:ident($($argument:expr),* $(,)?), else $portable:path) => {
        match $kernels.0 {
            Processor::Portable => $portable($($argument),*),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "Kernels::on has seen that the processor has these instructions")]
            // SAFETY: as the reason says; the functions are safe otherwise.
            Processor::Avx2 => unsafe { x86::avx2::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "Kernels::on has seen that the processor has these instructions")]
            // SAFETY: as the reason says; the functions are safe otherwise.
            Processor::Avx512 => unsafe { x86::avx512::$name($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            Processor::Avx2 | Processor::Avx512 => $portable($($argument),*),
        }
    };
}

impl Kernels {
    pub(crate) fn on(processor: Processor) -> Option<Self> {
        Processor::available().contains(&processor).then_some(Self(processor))
    }

    pub(crate) fn best() -> Self {
        Self(Processor::available().pop().unwrap_or(Processor::Portable))
    }

    pub(crate) fn processor(self) -> Processor {
        self.0
    }

    /// `out[row] = matrix · input[row]`, rows of `out` being `matrix.padded_rows()` apart.
    pub(crate) fn product(self, matrix: &Matrix, input: &Activations, out: &mut [f32]) {
        let stride = matrix.padded_rows();
        let rows = input.rows();
        assert_eq!(matrix.columns, input.columns, "the shapes must agree");
        assert!(out.len() >= rows * stride, "the output must hold every row");
        let blocks = matrix.columns / crate::weights::BLOCK;
        let groups = || (0..rows).step_by(ROWS_AT_ONCE).map(|first| (first, ROWS_AT_ONCE.min(rows - first)));
        match &matrix.tiles {
            Tiles::Q4(tiles) => {
                for (at, tiles) in tiles.chunks_exact(blocks).enumerate() {
                    for (first, count) in groups() {
                        let out = &mut out[first * stride + at * 16..];
                        dispatch!(self, q4_rows(tiles, input, first, count, out, stride), else portable::q4_rows);
                    }
                }
            }
            Tiles::Q8(tiles) => {
                for (at, tiles) in tiles.chunks_exact(blocks).enumerate() {
                    for (first, count) in groups() {
                        let out = &mut out[first * stride + at * 16..];
                        dispatch!(self, q8_rows(tiles, input, first, count, out, stride), else portable::q8_rows);
                    }
                }
            }
            Tiles::F32(tiles) => {
                for (at, tiles) in tiles.chunks_exact(matrix.columns).enumerate() {
                    for (row, input) in input.values.chunks_exact(matrix.columns).enumerate() {
                        let out = &mut out[row * stride + at * 16..][..16];
                        dispatch!(self, f32_row(tiles, input, out), else portable::f32_row);
                    }
                }
            }
        }
    }

    /// Scores of `heads` queries against a page of 16 keys; the scores of a head go to `out[head · stride..]`.
    pub(crate) fn scores(self, queries: &[f32], heads: usize, keys: &[u16], out: &mut [f32], stride: usize) {
        dispatch!(self, scores(queries, heads, keys, out, stride), else portable::scores);
    }

    /// `out[head] += Σ weights[head · stride + i] · values[i]` over the first `count` of a page of 16 values.
    #[expect(clippy::too_many_arguments, reason = "one strided operand more would only hide the numbers in a struct")]
    pub(crate) fn mix(
        self,
        weights: &[f32],
        stride: usize,
        heads: usize,
        values: &[u16],
        width: usize,
        count: usize,
        out: &mut [f32],
    ) {
        dispatch!(self, mix(weights, stride, heads, values, width, count, out), else portable::mix);
    }

    pub(crate) fn rms_norm(self, x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        dispatch!(self, rms_norm(x, weight, epsilon, out), else math::rms_norm);
    }

    pub(crate) fn layer_norm(self, x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        dispatch!(self, layer_norm(x, weight, bias, epsilon, out), else math::layer_norm);
    }

    pub(crate) fn gelu(self, xs: &mut [f32]) {
        dispatch!(self, gelu(xs), else math::gelu);
    }

    pub(crate) fn swiglu(self, gate: &mut [f32], up: &[f32]) {
        dispatch!(self, swiglu(gate, up), else math::swiglu);
    }

    pub(crate) fn add(self, sum: &mut [f32], term: &[f32]) {
        dispatch!(self, add(sum, term), else math::add);
    }

    pub(crate) fn scale(self, xs: &mut [f32], factor: f32) {
        dispatch!(self, scale(xs, factor), else math::scale);
    }

    pub(crate) fn rotate(self, row: &mut [f32], cosines: &[f32], sines: &[f32], factor: f32) {
        dispatch!(self, rotate(row, cosines, sines, factor), else math::rotate);
    }

    pub(crate) fn maximum(self, xs: &[f32]) -> f32 {
        dispatch!(self, maximum(xs), else math::maximum)
    }

    pub(crate) fn exp_sum(self, xs: &mut [f32], count: usize, shift: f32) -> f32 {
        dispatch!(self, exp_sum(xs, count, shift), else math::exp_sum)
    }

    /// Quantises row `row` of `activations.values`.
    pub(crate) fn quantise(self, activations: &mut Activations, row: usize) {
        let columns = activations.columns;
        let blocks = columns / crate::weights::BLOCK;
        let values = &activations.values[row * columns..][..columns];
        let quants = &mut activations.quants[row * columns..][..columns];
        let scales = &mut activations.scales[row * blocks..][..blocks];
        let sums = &mut activations.sums[row * blocks..][..blocks];
        let scaled_sums = &mut activations.scaled_sums[row * blocks..][..blocks];
        dispatch!(self, quantise(values, quants, scales, sums, scaled_sums), else math::quantise);
    }
}

#[cfg(test)]
mod tests;
