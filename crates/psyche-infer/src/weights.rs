//! Weight matrices, repacked while they are read so that one load serves 16 output rows.
//!
//! A tile holds 16 rows × 32 columns. Columns come in groups of four: the four weights of row 0, then of row 1, and so
//! on, which is the order 8-bit dot-product instructions want. The bytes per weight are those of the file, so nothing
//! grows and no second copy is kept.

use std::io::Read;

use crate::gguf::TensorKind;
use crate::kernels::math::{f32_to_half, half_to_f32};

/// Rows per tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Columns per tile, and per scale of an activation.
pub(crate) const BLOCK: usize = 32;

/// 16 × 32 weights of 4 bits: weight = scale · nibble + minimum.
///
/// Byte `v·64 + row·4 + c` holds column `4v + c` in its low and column `16 + 4v + c` in its high nibble.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Q4Tile {
    pub(crate) quants: [u8; 256],
    pub(crate) scale: [u16; TILE_ROWS],
    pub(crate) minimum: [u16; TILE_ROWS],
}

/// 16 × 32 weights of 8 bits: weight = scale · quant.
///
/// Byte `g·64 + row·4 + c` holds column `4g + c`.
#[derive(Debug, Clone)]
#[repr(C, align(32))]
pub(crate) struct Q8Tile {
    pub(crate) quants: [i8; 512],
    pub(crate) scale: [u16; TILE_ROWS],
}

#[derive(Debug)]
pub(crate) enum Tiles {
    Q4(Vec<Q4Tile>),
    Q8(Vec<Q8Tile>),
    /// For each tile row, column after column, 16 weights.
    F32(Vec<[f32; TILE_ROWS]>),
}

/// A matrix of `rows` × `columns`, rows padded with zeros to a multiple of 16.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) tiles: Tiles,
}

fn half(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

impl Matrix {
    /// Reads a matrix from `input`, 16 rows at a time. `columns` must be a multiple of 32.
    pub(crate) fn read(
        input: &mut impl Read,
        kind: TensorKind,
        rows: usize,
        columns: usize,
    ) -> Result<Self, std::io::Error> {
        assert_eq!(columns % BLOCK, 0, "the caller checks the shape");
        let (elements, bytes) = kind.block();
        let row_bytes = columns / elements as usize * bytes as usize;
        let mut stripe = vec![0u8; row_bytes * TILE_ROWS];
        let mut tiles = match kind {
            TensorKind::Q4_1 => Tiles::Q4(Vec::with_capacity(rows.div_ceil(TILE_ROWS) * (columns / BLOCK))),
            TensorKind::Q8_0 => Tiles::Q8(Vec::with_capacity(rows.div_ceil(TILE_ROWS) * (columns / BLOCK))),
            TensorKind::F32 | TensorKind::F16 => Tiles::F32(Vec::with_capacity(rows.div_ceil(TILE_ROWS) * columns)),
        };
        for first in (0..rows).step_by(TILE_ROWS) {
            let present = TILE_ROWS.min(rows - first) * row_bytes;
            input.read_exact(&mut stripe[..present])?;
            stripe[present..].fill(0);
            match &mut tiles {
                Tiles::Q4(tiles) => pack_q4(&stripe, row_bytes, tiles),
                Tiles::Q8(tiles) => pack_q8(&stripe, row_bytes, tiles),
                Tiles::F32(tiles) if kind == TensorKind::F32 => pack_f32(&stripe, row_bytes, tiles),
                Tiles::F32(tiles) => pack_f16(&stripe, row_bytes, tiles),
            }
        }
        Ok(Self { rows, columns, tiles })
    }

    /// A matrix of 8-bit weights, each row with a scale of its own. `quant(row, column)` gives a weight.
    pub(crate) fn of_rows(scales: &[f32], columns: usize, quant: impl Fn(usize, usize) -> i8) -> Self {
        assert_eq!(columns % BLOCK, 0, "the caller checks the shape");
        let rows = scales.len();
        let mut tiles = Vec::with_capacity(rows.div_ceil(TILE_ROWS) * (columns / BLOCK));
        for first in (0..rows).step_by(TILE_ROWS) {
            let present = first..rows.min(first + TILE_ROWS);
            for block in (0..columns).step_by(BLOCK) {
                let mut tile = Q8Tile { quants: [0; 512], scale: [0; TILE_ROWS] };
                for (lane, row) in present.clone().enumerate() {
                    tile.scale[lane] = f32_to_half(scales[row]);
                    for column in 0..BLOCK {
                        tile.quants[column / 4 * 64 + lane * 4 + column % 4] = quant(row, block + column);
                    }
                }
                tiles.push(tile);
            }
        }
        Self { rows, columns, tiles: Tiles::Q8(tiles) }
    }

    /// Rows including the padding: what a product writes.
    pub(crate) fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(TILE_ROWS)
    }

    /// Writes row `row` as numbers.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (tile, lane) = (row / TILE_ROWS, row % TILE_ROWS);
        let blocks = self.columns / BLOCK;
        match &self.tiles {
            Tiles::Q4(tiles) => {
                for (tile, out) in tiles[tile * blocks..][..blocks].iter().zip(out.chunks_exact_mut(BLOCK)) {
                    let (scale, minimum) = (half_to_f32(tile.scale[lane]), half_to_f32(tile.minimum[lane]));
                    for (column, out) in out.iter_mut().enumerate() {
                        *out = scale * f32::from(tile.quant(lane, column)) + minimum;
                    }
                }
            }
            Tiles::Q8(tiles) => {
                for (tile, out) in tiles[tile * blocks..][..blocks].iter().zip(out.chunks_exact_mut(BLOCK)) {
                    let scale = half_to_f32(tile.scale[lane]);
                    for (column, out) in out.iter_mut().enumerate() {
                        *out = scale * f32::from(tile.quant(lane, column));
                    }
                }
            }
            Tiles::F32(tiles) => {
                for (column, out) in tiles[tile * self.columns..][..self.columns].iter().zip(out) {
                    *out = column[lane];
                }
            }
        }
    }
}

impl Q4Tile {
    pub(crate) fn quant(&self, row: usize, column: usize) -> u8 {
        let inner = column % 16;
        let byte = self.quants[inner / 4 * 64 + row * 4 + inner % 4];
        if column < 16 { byte & 15 } else { byte >> 4 }
    }
}

impl Q8Tile {
    pub(crate) fn quant(&self, row: usize, column: usize) -> i8 {
        self.quants[column / 4 * 64 + row * 4 + column % 4]
    }
}

fn pack_q4(stripe: &[u8], row_bytes: usize, tiles: &mut Vec<Q4Tile>) {
    for block in 0..row_bytes / 20 {
        let mut tile = Q4Tile { quants: [0; 256], scale: [0; TILE_ROWS], minimum: [0; TILE_ROWS] };
        for (row, bytes) in stripe.chunks_exact(row_bytes).enumerate() {
            let bytes = &bytes[block * 20..][..20];
            tile.scale[row] = half(bytes);
            tile.minimum[row] = half(&bytes[2..]);
            for (group, four) in bytes[4..].chunks_exact(4).enumerate() {
                tile.quants[group * 64 + row * 4..][..4].copy_from_slice(four);
            }
        }
        tiles.push(tile);
    }
}

fn pack_q8(stripe: &[u8], row_bytes: usize, tiles: &mut Vec<Q8Tile>) {
    for block in 0..row_bytes / 34 {
        let mut tile = Q8Tile { quants: [0; 512], scale: [0; TILE_ROWS] };
        for (row, bytes) in stripe.chunks_exact(row_bytes).enumerate() {
            let bytes = &bytes[block * 34..][..34];
            tile.scale[row] = half(bytes);
            for (group, four) in bytes[2..].chunks_exact(4).enumerate() {
                let out = &mut tile.quants[group * 64 + row * 4..][..4];
                out.copy_from_slice(&[four[0] as i8, four[1] as i8, four[2] as i8, four[3] as i8]);
            }
        }
        tiles.push(tile);
    }
}

fn pack_f32(stripe: &[u8], row_bytes: usize, tiles: &mut Vec<[f32; TILE_ROWS]>) {
    for at in (0..row_bytes).step_by(4) {
        tiles.push(std::array::from_fn(|row| {
            let bytes = &stripe[row * row_bytes + at..][..4];
            f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        }));
    }
}

fn pack_f16(stripe: &[u8], row_bytes: usize, tiles: &mut Vec<[f32; TILE_ROWS]>) {
    for at in (0..row_bytes).step_by(2) {
        tiles.push(std::array::from_fn(|row| half_to_f32(half(&stripe[row * row_bytes + at..]))));
    }
}

/// The input of a product: rows of numbers quantised to 8 bits, one scale per 32.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    pub(crate) columns: usize,
    /// `rows × columns`, each from −127 to 127.
    pub(crate) quants: Vec<i8>,
    /// `rows × columns / 32`.
    pub(crate) scales: Vec<f32>,
    /// Sum of the 32 quants of each block.
    pub(crate) sums: Vec<i32>,
    /// `scale · sum` of each block: what a weight's minimum is multiplied with.
    pub(crate) scaled_sums: Vec<f32>,
    /// The numbers as they came, for matrices that are not quantised.
    pub(crate) values: Vec<f32>,
}

impl Activations {
    /// Makes room for `rows` rows of `columns`.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        let blocks = rows * columns / BLOCK;
        self.quants.resize(rows * columns, 0);
        self.values.resize(rows * columns, 0.0);
        self.scales.resize(blocks, 0.0);
        self.sums.resize(blocks, 0);
        self.scaled_sums.resize(blocks, 0.0);
    }

    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }
}
