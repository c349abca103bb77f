//! The kernels in plain Rust: what every processor can run, and the reference for the others.

use super::math::half_to_f32;
use crate::weights::{Activations, BLOCK, Q4Tile, Q8Tile, TILE_ROWS};

/// Products of one row of 4-bit tiles with the activation rows from `first`; 16 results per row go to `out`.
pub(super) fn q4_rows(
    tiles: &[Q4Tile],
    input: &Activations,
    first: usize,
    count: usize,
    out: &mut [f32],
    stride: usize,
) {
    let blocks = tiles.len();
    for row in 0..count {
        let mut sums = [0.0f32; TILE_ROWS];
        for (block, tile) in tiles.iter().enumerate() {
            let at = (first + row) * blocks + block;
            let quants = &input.quants[at * BLOCK..][..BLOCK];
            let mut dots = [0i32; TILE_ROWS];
            for (group, bytes) in tile.quants.chunks_exact(64).enumerate() {
                for (lane, dot) in dots.iter_mut().enumerate() {
                    for c in 0..4 {
                        let byte = bytes[lane * 4 + c];
                        *dot += i32::from(byte & 15) * i32::from(quants[group * 4 + c]);
                        *dot += i32::from(byte >> 4) * i32::from(quants[16 + group * 4 + c]);
                    }
                }
            }
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = (dots[lane] as f32 * input.scales[at]).mul_add(half_to_f32(tile.scale[lane]), *sum);
                *sum = half_to_f32(tile.minimum[lane]).mul_add(input.scaled_sums[at], *sum);
            }
        }
        out[row * stride..][..TILE_ROWS].copy_from_slice(&sums);
    }
}

/// As `q4_rows`, for 8-bit tiles.
pub(super) fn q8_rows(
    tiles: &[Q8Tile],
    input: &Activations,
    first: usize,
    count: usize,
    out: &mut [f32],
    stride: usize,
) {
    let blocks = tiles.len();
    for row in 0..count {
        let mut sums = [0.0f32; TILE_ROWS];
        for (block, tile) in tiles.iter().enumerate() {
            let at = (first + row) * blocks + block;
            let quants = &input.quants[at * BLOCK..][..BLOCK];
            let mut dots = [0i32; TILE_ROWS];
            for (group, bytes) in tile.quants.chunks_exact(64).enumerate() {
                for (lane, dot) in dots.iter_mut().enumerate() {
                    for c in 0..4 {
                        *dot += i32::from(bytes[lane * 4 + c]) * i32::from(quants[group * 4 + c]);
                    }
                }
            }
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = (dots[lane] as f32 * input.scales[at]).mul_add(half_to_f32(tile.scale[lane]), *sum);
            }
        }
        out[row * stride..][..TILE_ROWS].copy_from_slice(&sums);
    }
}

/// Products of one row of unquantised tiles with one activation row.
#[expect(clippy::inline_always, reason = "inlined into callers that are compiled for wider registers")]
#[inline(always)]
pub(super) fn f32_row(tiles: &[[f32; TILE_ROWS]], input: &[f32], out: &mut [f32]) {
    let mut sums = [0.0f32; TILE_ROWS];
    for (weights, &x) in tiles.iter().zip(input) {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum += weight * x;
        }
    }
    out.copy_from_slice(&sums);
}

/// Scores of `heads` queries against 16 keys. `keys` is dimension after dimension, 16 halves each.
pub(super) fn scores(queries: &[f32], heads: usize, keys: &[u16], out: &mut [f32], stride: usize) {
    let width = keys.len() / 16;
    for head in 0..heads {
        let mut sums = [0.0f32; 16];
        for (keys, &query) in keys.chunks_exact(16).zip(&queries[head * width..]) {
            for (sum, &key) in sums.iter_mut().zip(keys) {
                *sum = query.mul_add(half_to_f32(key), *sum);
            }
        }
        out[head * stride..][..16].copy_from_slice(&sums);
    }
}

/// Adds `count` values, weighted, to the outputs of `heads` heads. `values` is position after position.
pub(super) fn mix(
    weights: &[f32],
    stride: usize,
    heads: usize,
    values: &[u16],
    width: usize,
    count: usize,
    out: &mut [f32],
) {
    for head in 0..heads {
        let out = &mut out[head * width..][..width];
        for (values, &weight) in values.chunks_exact(width).zip(&weights[head * stride..][..count]) {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = weight.mul_add(half_to_f32(value), *out);
            }
        }
    }
}
