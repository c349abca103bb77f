//! The kernels in x86-64 vector instructions. Each does, lane by lane, what `portable` does.

use super::math;
use crate::weights::{Activations, BLOCK, Q4Tile, Q8Tile, TILE_ROWS};

/// Element-wise kernels are the same source, compiled with wider registers.
macro_rules! compile_for {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
            math::rms_norm(x, weight, epsilon, out);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
            math::layer_norm(x, weight, bias, epsilon, out);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn gelu(xs: &mut [f32]) {
            math::gelu(xs);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
            math::swiglu(gate, up);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn add(sum: &mut [f32], term: &[f32]) {
            math::add(sum, term);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn scale(xs: &mut [f32], factor: f32) {
            math::scale(xs, factor);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn rotate(row: &mut [f32], cosines: &[f32], sines: &[f32], factor: f32) {
            math::rotate(row, cosines, sines, factor);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn maximum(xs: &[f32]) -> f32 {
            math::maximum(xs)
        }
        #[target_feature(enable = $features)]
        pub(crate) fn exp_sum(xs: &mut [f32], count: usize, shift: f32) -> f32 {
            math::exp_sum(xs, count, shift)
        }
        #[target_feature(enable = $features)]
        pub(crate) fn quantise(
            x: &[f32],
            quants: &mut [i8],
            scales: &mut [f32],
            sums: &mut [i32],
            scaled_sums: &mut [f32],
        ) {
            math::quantise(x, quants, scales, sums, scaled_sums);
        }
        #[target_feature(enable = $features)]
        pub(crate) fn f32_row(tiles: &[[f32; 16]], input: &[f32], out: &mut [f32]) {
            crate::kernels::portable::f32_row(tiles, input, out);
        }
    };
}

/// Calls `$kernel::<N>` for the `N` that equals `$count`, so that sums stay in registers.
macro_rules! by_count {
    ($count:expr, $kernel:ident $arguments:tt, $($n:literal)*) => {
        match $count {
            $($n => $kernel::<$n> $arguments,)*
            other => unreachable!("no kernel for {other} rows"),
        }
    };
}

/// Repeats a block for the rows below `$count`, each a constant, so that an array of sums stays in registers.
macro_rules! unrolled {
    ($count:ident, |$row:ident| $body:block) => {
        unrolled!($count, $row, $body, 0 1 2 3 4 5 6 7)
    };
    ($count:ident, $row:ident, $body:block, $($i:literal)*) => {
        $(if $i < $count {
            let $row: usize = $i;
            $body
        })*
    };
}

/// Asserts what the loads and stores of the matrix kernels rely on.
fn check(blocks: usize, input: &Activations, first: usize, count: usize, out: &[f32], stride: usize) {
    let end = (first + count) * blocks;
    assert!(count > 0 && input.quants.len() >= end * BLOCK);
    assert!(input.scales.len() >= end && input.sums.len() >= end && input.scaled_sums.len() >= end);
    assert!(out.len() >= (count - 1) * stride + TILE_ROWS);
}

/// Asserts what the loads and stores of the attention kernels rely on, and returns the width of a head.
fn check_scores(queries: &[f32], heads: usize, keys: &[u16], out: &[f32], stride: usize) -> usize {
    let width = keys.len() / 16;
    assert!(heads > 0 && queries.len() >= heads * width && out.len() >= (heads - 1) * stride + 16);
    width
}

fn check_mix(weights: &[f32], stride: usize, heads: usize, values: &[u16], width: usize, count: usize, out: &[f32]) {
    assert!(heads > 0 && width.is_multiple_of(16) && values.len() >= count * width);
    assert!(weights.len() >= (heads - 1) * stride + count && out.len() >= heads * width);
}

/// Four activations, repeated over the register.
macro_rules! four {
    ($set:ident, $quants:expr, $group:expr) => {
        // SAFETY: `check` has seen that the row's quants reach to the end of this block.
        $set(unsafe { $quants.add($group * 4).cast::<i32>().read_unaligned() })
    };
}

pub(crate) mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
        _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_srli_epi16, _mm256_storeu_ps,
    };

    use super::{Activations, BLOCK, Q4Tile, Q8Tile, check, check_mix, check_scores, math};

    compile_for!("avx2,fma,f16c");

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn q4_rows(
        tiles: &[Q4Tile],
        input: &Activations,
        first: usize,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        for start in (0..count).step_by(4) {
            let (first, out) = (first + start, &mut out[start * stride..]);
            by_count!(4.min(count - start), q4(tiles, input, first, out, stride), 1 2 3 4);
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn q4<const N: usize>(tiles: &[Q4Tile], input: &Activations, first: usize, out: &mut [f32], stride: usize) {
        let blocks = tiles.len();
        check(blocks, input, first, N, out, stride);
        let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let mut sums = [[_mm256_setzero_ps(); 2]; N];
        for (block, tile) in tiles.iter().enumerate() {
            for half in 0..2 {
                let mut weights = [_mm256_setzero_si256(); 8];
                for v in 0..4 {
                    // SAFETY: v·64 + half·32 + 32 ≤ 256 bytes of quants.
                    let raw = unsafe { _mm256_loadu_si256(tile.quants.as_ptr().add(v * 64 + half * 32).cast()) };
                    weights[v] = _mm256_and_si256(raw, low);
                    weights[v + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(raw), low);
                }
                // SAFETY: half·8 + 8 ≤ 16 scales and minima.
                let (scale, minimum) = unsafe {
                    (
                        _mm256_cvtph_ps(_mm_loadu_si128(tile.scale.as_ptr().add(half * 8).cast())),
                        _mm256_cvtph_ps(_mm_loadu_si128(tile.minimum.as_ptr().add(half * 8).cast())),
                    )
                };
                for (row, sums) in sums.iter_mut().enumerate() {
                    let at = (first + row) * blocks + block;
                    // SAFETY: `check` has seen that block `at` is inside each of these.
                    let (quants, input_scale, scaled_sum) = unsafe {
                        (
                            input.quants.as_ptr().add(at * BLOCK),
                            *input.scales.get_unchecked(at),
                            *input.scaled_sums.get_unchecked(at),
                        )
                    };
                    // Each step adds at most 2 · 15 · 127 to a lane, so eight fit in 16 bits.
                    let mut pairs = _mm256_setzero_si256();
                    for (group, &weights) in weights.iter().enumerate() {
                        let four = four!(_mm256_set1_epi32, quants, group);
                        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights, four));
                    }
                    let dots = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, ones));
                    let dots = _mm256_mul_ps(dots, _mm256_set1_ps(input_scale));
                    let sum = _mm256_fmadd_ps(dots, scale, sums[half]);
                    sums[half] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(scaled_sum), sum);
                }
            }
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn q8_rows(
        tiles: &[Q8Tile],
        input: &Activations,
        first: usize,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        for start in (0..count).step_by(4) {
            let (first, out) = (first + start, &mut out[start * stride..]);
            by_count!(4.min(count - start), q8(tiles, input, first, out, stride), 1 2 3 4);
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn q8<const N: usize>(tiles: &[Q8Tile], input: &Activations, first: usize, out: &mut [f32], stride: usize) {
        let blocks = tiles.len();
        check(blocks, input, first, N, out, stride);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_ps(); 2]; N];
        for (block, tile) in tiles.iter().enumerate() {
            for half in 0..2 {
                let mut dots = [_mm256_setzero_si256(); N];
                for group in 0..8 {
                    // SAFETY: group·64 + half·32 + 32 ≤ 512 bytes of quants.
                    let weights =
                        unsafe { _mm256_loadu_si256(tile.quants.as_ptr().add(group * 64 + half * 32).cast()) };
                    let magnitude = _mm256_abs_epi8(weights);
                    for (row, dots) in dots.iter_mut().enumerate() {
                        // SAFETY: `check` has seen that this block is inside the quants.
                        let quants = unsafe { input.quants.as_ptr().add(((first + row) * blocks + block) * BLOCK) };
                        let four = _mm256_sign_epi8(four!(_mm256_set1_epi32, quants, group), weights);
                        // At most 2 · 128 · 127 in 16 bits: exact.
                        let pairs = _mm256_maddubs_epi16(magnitude, four);
                        *dots = _mm256_add_epi32(*dots, _mm256_madd_epi16(pairs, ones));
                    }
                }
                // SAFETY: half·8 + 8 ≤ 16 scales.
                let scale = unsafe { _mm256_cvtph_ps(_mm_loadu_si128(tile.scale.as_ptr().add(half * 8).cast())) };
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `check` has seen that this block is inside the scales.
                    let input_scale = unsafe { *input.scales.get_unchecked((first + row) * blocks + block) };
                    let dots = _mm256_cvtepi32_ps(dots[row]);
                    let dots = _mm256_mul_ps(dots, _mm256_set1_ps(input_scale));
                    sums[half] = _mm256_fmadd_ps(dots, scale, sums[half]);
                }
            }
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn store<const N: usize>(sums: &[[__m256; 2]; N], out: &mut [f32], stride: usize) {
        for (row, halves) in sums.iter().enumerate() {
            let out = &mut out[row * stride..][..16];
            // SAFETY: `out` has 16 numbers.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr(), halves[0]);
                _mm256_storeu_ps(out.as_mut_ptr().add(8), halves[1]);
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn scores(queries: &[f32], heads: usize, keys: &[u16], out: &mut [f32], stride: usize) {
        let width = check_scores(queries, heads, keys, out, stride);
        for start in (0..heads).step_by(4) {
            let (queries, out) = (&queries[start * width..], &mut out[start * stride..]);
            by_count!(4.min(heads - start), scores_of(queries, width, keys, out, stride), 1 2 3 4);
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn scores_of<const N: usize>(queries: &[f32], width: usize, keys: &[u16], out: &mut [f32], stride: usize) {
        check_scores(queries, N, keys, out, stride);
        let mut sums = [[_mm256_setzero_ps(); 2]; N];
        for i in 0..width {
            // SAFETY: `check_scores` has seen `width` rows of 16 keys and N rows of `width` queries.
            unsafe {
                let key = keys.as_ptr().add(i * 16);
                let left = _mm256_cvtph_ps(_mm_loadu_si128(key.cast()));
                let right = _mm256_cvtph_ps(_mm_loadu_si128(key.add(8).cast()));
                for (head, sums) in sums.iter_mut().enumerate() {
                    let query = _mm256_set1_ps(*queries.get_unchecked(head * width + i));
                    sums[0] = _mm256_fmadd_ps(query, left, sums[0]);
                    sums[1] = _mm256_fmadd_ps(query, right, sums[1]);
                }
            }
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn mix(
        weights: &[f32],
        stride: usize,
        heads: usize,
        values: &[u16],
        width: usize,
        count: usize,
        out: &mut [f32],
    ) {
        check_mix(weights, stride, heads, values, width, count, out);
        for head in 0..heads {
            for column in (0..width).step_by(16) {
                // SAFETY: `check_mix` has seen `count` rows of `width` values, the weights of each head and its output.
                unsafe {
                    let out = out.as_mut_ptr().add(head * width + column);
                    let (mut left, mut right) = (_mm256_loadu_ps(out), _mm256_loadu_ps(out.add(8)));
                    for i in 0..count {
                        let value = values.as_ptr().add(i * width + column);
                        let weight = _mm256_set1_ps(*weights.get_unchecked(head * stride + i));
                        let (a, b) = (_mm_loadu_si128(value.cast()), _mm_loadu_si128(value.add(8).cast()));
                        left = _mm256_fmadd_ps(weight, _mm256_cvtph_ps(a), left);
                        right = _mm256_fmadd_ps(weight, _mm256_cvtph_ps(b), right);
                    }
                    _mm256_storeu_ps(out, left);
                    _mm256_storeu_ps(out.add(8), right);
                }
            }
        }
    }
}

pub(crate) mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm256_loadu_si256, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_dpbusd_epi32,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_srli_epi16, _mm512_storeu_ps, _mm512_xor_si512,
    };

    use super::{Activations, BLOCK, Q4Tile, Q8Tile, check, check_mix, check_scores, math};

    compile_for!("avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c");

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn q4_rows(
        tiles: &[Q4Tile],
        input: &Activations,
        first: usize,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        by_count!(count, q4(tiles, input, first, out, stride), 1 2 3 4 5 6 7 8);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn q4<const N: usize>(tiles: &[Q4Tile], input: &Activations, first: usize, out: &mut [f32], stride: usize) {
        let blocks = tiles.len();
        check(blocks, input, first, N, out, stride);
        let low = _mm512_set1_epi8(15);
        let mut sums = [_mm512_setzero_ps(); N];
        for (block, tile) in tiles.iter().enumerate() {
            let mut weights = [_mm512_setzero_si512(); 8];
            for v in 0..4 {
                // SAFETY: v·64 + 64 ≤ 256 bytes of quants.
                let raw = unsafe { _mm512_loadu_si512(tile.quants.as_ptr().add(v * 64).cast()) };
                weights[v] = _mm512_and_si512(raw, low);
                weights[v + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(raw), low);
            }
            // SAFETY: both arrays have 16 halves.
            let (scale, minimum) = unsafe {
                (
                    _mm512_cvtph_ps(_mm256_loadu_si256(tile.scale.as_ptr().cast())),
                    _mm512_cvtph_ps(_mm256_loadu_si256(tile.minimum.as_ptr().cast())),
                )
            };
            unrolled!(N, |row| {
                let at = (first + row) * blocks + block;
                // SAFETY: `check` has seen that block `at` is inside each of these.
                let (quants, input_scale, scaled_sum) = unsafe {
                    (
                        input.quants.as_ptr().add(at * BLOCK),
                        *input.scales.get_unchecked(at),
                        *input.scaled_sums.get_unchecked(at),
                    )
                };
                let mut dots = _mm512_setzero_si512();
                for (group, &weights) in weights.iter().enumerate() {
                    dots = _mm512_dpbusd_epi32(dots, weights, four!(_mm512_set1_epi32, quants, group));
                }
                let dots = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), _mm512_set1_ps(input_scale));
                sums[row] = _mm512_fmadd_ps(dots, scale, sums[row]);
                sums[row] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(scaled_sum), sums[row]);
            });
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn q8_rows(
        tiles: &[Q8Tile],
        input: &Activations,
        first: usize,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        by_count!(count, q8(tiles, input, first, out, stride), 1 2 3 4 5 6 7 8);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn q8<const N: usize>(tiles: &[Q8Tile], input: &Activations, first: usize, out: &mut [f32], stride: usize) {
        let blocks = tiles.len();
        check(blocks, input, first, N, out, stride);
        let flip = _mm512_set1_epi8(-128);
        let mut sums = [_mm512_setzero_ps(); N];
        for (block, tile) in tiles.iter().enumerate() {
            // The instruction wants unsigned weights: 128 is added to each and 128 · Σ activations taken off again.
            let mut dots = [_mm512_setzero_si512(); N];
            for (row, dots) in dots.iter_mut().enumerate() {
                // SAFETY: `check` has seen that this block is inside the sums.
                let sum = unsafe { *input.sums.get_unchecked((first + row) * blocks + block) };
                *dots = _mm512_set1_epi32(-128 * sum);
            }
            for group in 0..8 {
                // SAFETY: group·64 + 64 ≤ 512 bytes of quants.
                let raw = unsafe { _mm512_loadu_si512(tile.quants.as_ptr().add(group * 64).cast()) };
                let weights = _mm512_xor_si512(raw, flip);
                unrolled!(N, |row| {
                    // SAFETY: `check` has seen that this block is inside the quants.
                    let quants = unsafe { input.quants.as_ptr().add(((first + row) * blocks + block) * BLOCK) };
                    dots[row] = _mm512_dpbusd_epi32(dots[row], weights, four!(_mm512_set1_epi32, quants, group));
                });
            }
            // SAFETY: the array has 16 halves.
            let scale = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(tile.scale.as_ptr().cast())) };
            unrolled!(N, |row| {
                // SAFETY: `check` has seen that this block is inside the scales.
                let input_scale = unsafe { *input.scales.get_unchecked((first + row) * blocks + block) };
                let dots = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[row]), _mm512_set1_ps(input_scale));
                sums[row] = _mm512_fmadd_ps(dots, scale, sums[row]);
            });
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn store<const N: usize>(sums: &[__m512; N], out: &mut [f32], stride: usize) {
        for (row, &sums) in sums.iter().enumerate() {
            let out = &mut out[row * stride..][..16];
            // SAFETY: `out` has 16 numbers.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sums) };
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn scores(queries: &[f32], heads: usize, keys: &[u16], out: &mut [f32], stride: usize) {
        let width = check_scores(queries, heads, keys, out, stride);
        for start in (0..heads).step_by(4) {
            let (queries, out) = (&queries[start * width..], &mut out[start * stride..]);
            by_count!(4.min(heads - start), scores_of(queries, width, keys, out, stride), 1 2 3 4);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn scores_of<const N: usize>(queries: &[f32], width: usize, keys: &[u16], out: &mut [f32], stride: usize) {
        check_scores(queries, N, keys, out, stride);
        let mut sums = [_mm512_setzero_ps(); N];
        for i in 0..width {
            // SAFETY: `check_scores` has seen `width` rows of 16 keys and N rows of `width` queries.
            unsafe {
                let key = _mm512_cvtph_ps(_mm256_loadu_si256(keys.as_ptr().add(i * 16).cast()));
                for (head, sum) in sums.iter_mut().enumerate() {
                    let query = _mm512_set1_ps(*queries.get_unchecked(head * width + i));
                    *sum = _mm512_fmadd_ps(query, key, *sum);
                }
            }
        }
        store(&sums, out, stride);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn mix(
        weights: &[f32],
        stride: usize,
        heads: usize,
        values: &[u16],
        width: usize,
        count: usize,
        out: &mut [f32],
    ) {
        check_mix(weights, stride, heads, values, width, count, out);
        for start in (0..heads).step_by(4) {
            let (weights, out) = (&weights[start * stride..], &mut out[start * width..]);
            by_count!(4.min(heads - start), mix_of(weights, stride, values, width, count, out), 1 2 3 4);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
    fn mix_of<const N: usize>(
        weights: &[f32],
        stride: usize,
        values: &[u16],
        width: usize,
        count: usize,
        out: &mut [f32],
    ) {
        check_mix(weights, stride, N, values, width, count, out);
        for column in (0..width).step_by(16) {
            // SAFETY: `check_mix` has seen `count` rows of `width` values, the weights of each head and its output.
            unsafe {
                let out = out.as_mut_ptr().add(column);
                let mut sums: [__m512; N] = std::array::from_fn(|head| _mm512_loadu_ps(out.add(head * width)));
                for i in 0..count {
                    let value = _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().add(i * width + column).cast()));
                    for (head, sum) in sums.iter_mut().enumerate() {
                        let weight = _mm512_set1_ps(*weights.get_unchecked(head * stride + i));
                        *sum = _mm512_fmadd_ps(weight, value, *sum);
                    }
                }
                for (head, &sum) in sums.iter().enumerate() {
                    _mm512_storeu_ps(out.add(head * width), sum);
                }
            }
        }
    }
}
