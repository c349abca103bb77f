//! Elementary arithmetic with one order of operations, so that every processor gives the same bits.
//!
//! Sums run in sixteen lanes that are then folded in halves. Products are fused with sums only where `mul_add` says so,
//! which rounds once on every processor; a compiler may not introduce it elsewhere.

#![expect(clippy::inline_always, reason = "inlined into callers that are compiled for wider registers")]

use crate::weights::BLOCK;

/// Lanes of a sum.
pub(crate) const LANES: usize = 16;

/// Adding and subtracting this rounds to the nearest integer, ties to even, for |x| < 2²².
const ROUND: f32 = 12_582_912.0;

/// IEEE half precision to single, exact.
#[inline(always)]
pub(crate) fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = if magnitude >= 0x7c00 {
        // Infinity, or not a number with its payload kept quiet.
        let quiet = if magnitude > 0x7c00 { 0x0040_0000 } else { 0 };
        0x7f80_0000 | ((magnitude & 0x3ff) << 13) | quiet
    } else {
        // 2¹¹² moves the exponent; the product is exact, for subnormals too.
        (f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000)).to_bits()
    };
    f32::from_bits(sign | bits)
}

/// Single precision to IEEE half, to nearest, ties to even; too large becomes infinity.
#[inline(always)]
pub(crate) fn f32_to_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00 | ((magnitude >> 13) & 0x3ff)
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // Below 2⁻¹⁴ the result is subnormal: adding ½ lets the adder round at 2⁻²⁴.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000
    } else {
        let odd = (magnitude >> 13) & 1;
        (magnitude - 0x3800_0000 + 0xfff + odd) >> 13
    };
    sign | half as u16
}

/// eˣ to about one part in 10⁷; inputs are held between −87 and 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits.
    let r = x - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest of `xs`, whose length is a multiple of 16.
#[inline(always)]
pub(crate) fn maximum(xs: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in xs.chunks_exact(LANES) {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    fold(lanes, larger)
}

/// Replaces the first `count` of `xs` by e^(x − `shift`), the others by zero, and returns the sum. The length is a
/// multiple of 16.
#[inline(always)]
pub(crate) fn exp_sum(xs: &mut [f32], count: usize, shift: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (i, chunk) in xs.chunks_exact_mut(LANES).enumerate() {
        for x in chunk.iter_mut() {
            *x = exp(*x - shift);
        }
        chunk[count.saturating_sub(i * LANES).min(LANES)..].fill(0.0);
        for (lane, &x) in lanes.iter_mut().zip(chunk.iter()) {
            *lane += x;
        }
    }
    fold(lanes, |a, b| a + b)
}

/// Root-mean-square normalisation: `out = x / √(mean(x²) + epsilon) · weight`. The length is a multiple of 16.
#[inline(always)]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let mut lanes = [0.0f32; LANES];
    for chunk in x.chunks_exact(LANES) {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    let mean = fold(lanes, |a, b| a + b) / x.len() as f32;
    let inverse = 1.0 / (mean + epsilon).sqrt();
    for ((out, &x), &weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * inverse * weight;
    }
}

/// Layer normalisation: `out = (x − mean) / √(variance + epsilon) · weight + bias`. The length is a multiple of 16.
#[inline(always)]
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean_of = |term: &dyn Fn(f32) -> f32| {
        let mut lanes = [0.0f32; LANES];
        for chunk in x.chunks_exact(LANES) {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += term(x);
            }
        }
        fold(lanes, |a, b| a + b) / x.len() as f32
    };
    let mean = mean_of(&|x| x);
    let variance = mean_of(&|x| (x - mean) * (x - mean));
    let inverse = 1.0 / (variance + epsilon).sqrt();
    for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
        *out = (x - mean) * inverse * weight + bias;
    }
}

/// `x = x · Φ(x)`, the Gaussian error linear unit. The error function is formula 7.1.26 of Abramowitz & Stegun, right to
/// 1.5·10⁻⁷.
#[inline(always)]
pub(crate) fn gelu(xs: &mut [f32]) {
    for x in xs {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let mut p = 1.061_405_4;
        p = p * t - 1.453_152;
        p = p * t + 1.421_413_8;
        p = p * t - 0.284_496_74;
        p = p * t + 0.254_829_6;
        let tail = 0.5 * p * t * exp(-z * z);
        *x *= if *x < 0.0 { tail } else { 1.0 - tail };
    }
}

/// `gate = gate / (1 + e^(−gate)) · up`.
#[inline(always)]
pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// `sum += term`.
#[inline(always)]
pub(crate) fn add(sum: &mut [f32], term: &[f32]) {
    for (sum, &term) in sum.iter_mut().zip(term) {
        *sum += term;
    }
}

/// `xs = xs · factor`.
#[inline(always)]
pub(crate) fn scale(xs: &mut [f32], factor: f32) {
    for x in xs {
        *x *= factor;
    }
}

/// Turns the pairs of `row` by the angles whose cosines and sines are given, then multiplies by `factor`.
///
/// `row` is several heads of `2 · cosines.len()` numbers; neighbours form a pair.
#[inline(always)]
pub(crate) fn rotate(row: &mut [f32], cosines: &[f32], sines: &[f32], factor: f32) {
    for head in row.chunks_exact_mut(cosines.len() * 2) {
        for ((pair, &cos), &sin) in head.chunks_exact_mut(2).zip(cosines).zip(sines) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = (a * cos - b * sin) * factor;
            pair[1] = (a * sin + b * cos) * factor;
        }
    }
}

/// Quantises one row to 8 bits: per 32 numbers a scale of `max|x| / 127`, rounding to nearest, ties to even.
#[inline(always)]
pub(crate) fn quantise(x: &[f32], quants: &mut [i8], scales: &mut [f32], sums: &mut [i32], scaled_sums: &mut [f32]) {
    for (block, x) in x.chunks_exact(BLOCK).enumerate() {
        let mut lanes = [0.0f32; LANES];
        for i in 0..LANES {
            lanes[i] = larger(x[i].abs(), x[i + LANES].abs());
        }
        let largest = fold(lanes, larger);
        let scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let out = &mut quants[block * BLOCK..][..BLOCK];
        let mut sum = 0i32;
        for (out, &x) in out.iter_mut().zip(x) {
            let rounded = (x * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
            // Held to the range for the sake of tiny scales, whose inverse overflows.
            let rounded = rounded.clamp(-127, 127);
            sum += rounded;
            *out = rounded as i8;
        }
        scales[block] = scale;
        sums[block] = sum;
        scaled_sums[block] = scale * sum as f32;
    }
}
