//! Every family of kernels gives the bits of the portable one.

use proptest::prelude::*;

use super::math;
use super::{Kernels, Processor};
use crate::gguf::TensorKind;
use crate::weights::{Activations, Matrix};

fn others() -> Vec<Kernels> {
    Processor::available().into_iter().filter_map(Kernels::on).collect()
}

/// A cheap stream of bytes, so that a case is a number rather than a megabyte.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    (0..count as u64).map(|i| (crate::random::at(seed, i) >> 56) as u8).collect()
}

fn numbers(seed: u64, count: usize, spread: f32) -> Vec<f32> {
    (0..count as u64).map(|i| (crate::random::unit(seed, i) as f32 - 0.5) * spread).collect()
}

/// A matrix of random bytes whose scales are ordinary numbers.
fn matrix(kind: TensorKind, seed: u64, rows: usize, columns: usize) -> Matrix {
    let (elements, size) = kind.block();
    let mut file = bytes(seed, rows * columns / elements as usize * size as usize);
    let halves = match kind {
        TensorKind::Q4_1 => 2,
        TensorKind::Q8_0 => 1,
        TensorKind::F16 | TensorKind::F32 => 0,
    };
    for (i, block) in file.chunks_exact_mut(size as usize).enumerate() {
        for half in 0..halves {
            let x = math::f32_to_half(crate::random::unit(seed ^ 1, (i * 2 + half) as u64) as f32 - 0.5);
            block[half * 2..][..2].copy_from_slice(&x.to_le_bytes());
        }
        match kind {
            TensorKind::F16 => block[1] &= 0xbf,
            TensorKind::F32 => block[3] &= 0xbf,
            TensorKind::Q4_1 | TensorKind::Q8_0 => {}
        }
    }
    Matrix::read(&mut file.as_slice(), kind, rows, columns).unwrap()
}

fn activations(kernels: Kernels, seed: u64, rows: usize, columns: usize) -> Activations {
    let mut input = Activations::default();
    input.resize(rows, columns);
    input.values = numbers(seed, rows * columns, 7.0);
    for row in 0..rows {
        kernels.quantise(&mut input, row);
    }
    input
}

const PORTABLE: Kernels = Kernels(Processor::Portable);

fn kinds() -> impl Strategy<Value = TensorKind> {
    prop_oneof![Just(TensorKind::Q4_1), Just(TensorKind::Q8_0), Just(TensorKind::F16), Just(TensorKind::F32)]
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #[test]
    fn products_agree(kind in kinds(), seed: u64, rows in 1usize..40, blocks in 1usize..5, batch in 1usize..19) {
        let matrix = matrix(kind, seed, rows, blocks * 32);
        let input = activations(PORTABLE, seed, batch, blocks * 32);
        let mut expected = vec![0.0; batch * matrix.padded_rows()];
        PORTABLE.product(&matrix, &input, &mut expected);
        for kernels in others() {
            let mut out = vec![0.0; expected.len()];
            kernels.product(&matrix, &input, &mut out);
            prop_assert_eq!(bits(&out), bits(&expected), "{:?}", kernels);
        }
    }

    /// The packed product is the product of the numbers, up to the rounding of sums.
    #[test]
    fn a_product_is_a_product(kind in kinds(), seed: u64, rows in 1usize..40, blocks in 1usize..5) {
        let columns = blocks * 32;
        let mut matrix = matrix(kind, seed, rows, columns);
        if let crate::weights::Tiles::F32(tiles) = &mut matrix.tiles {
            tiles.iter_mut().flatten().for_each(|w| *w = w.clamp(-3.0, 3.0));
        }
        let input = activations(PORTABLE, seed, 1, columns);
        let mut out = vec![0.0; matrix.padded_rows()];
        PORTABLE.product(&matrix, &input, &mut out);
        let mut weights = vec![0.0; columns];
        for (row, &product) in out.iter().enumerate().take(rows) {
            matrix.row(row, &mut weights);
            let x = |i: usize| match kind {
                TensorKind::Q4_1 | TensorKind::Q8_0 => f64::from(input.scales[i / 32]) * f64::from(input.quants[i]),
                TensorKind::F16 | TensorKind::F32 => f64::from(input.values[i]),
            };
            let exact: f64 = weights.iter().enumerate().map(|(i, &w)| f64::from(w) * x(i)).sum();
            let size: f64 = weights.iter().enumerate().map(|(i, &w)| (f64::from(w) * x(i)).abs()).sum();
            prop_assert!((f64::from(product) - exact).abs() <= 1e-5 * size + 1e-6, "{product} against {exact}");
        }
    }

    #[test]
    fn element_wise_kernels_agree(seed: u64, chunks in 1usize..9, cut in 0usize..16) {
        let xs = numbers(seed, chunks * 32, 60.0);
        let ys = numbers(seed ^ 5, chunks * 32, 3.0);
        let count = xs.len() - cut;
        let run = |kernels: Kernels| {
            let (mut normed, mut gated, mut added, mut turned, mut powers, mut centred, mut bent) =
                (xs.clone(), xs.clone(), xs.clone(), xs.clone(), xs.clone(), xs.clone(), xs.clone());
            kernels.rms_norm(&xs, &ys, 1e-5, &mut normed);
            kernels.layer_norm(&xs, &ys, &xs, 1e-12, &mut centred);
            kernels.gelu(&mut bent);
            kernels.swiglu(&mut gated, &ys);
            kernels.add(&mut added, &ys);
            kernels.rotate(&mut turned, &ys[..16], &xs[..16], 0.125);
            let sum = kernels.exp_sum(&mut powers, count, kernels.maximum(&xs));
            let quantised = activations(kernels, seed, 2, chunks * 32);
            let Activations { quants, scales, sums, scaled_sums, .. } = quantised;
            let floats = [normed, gated, added, turned, powers, centred, bent, vec![sum], scales, scaled_sums].concat();
            (bits(&floats), quants, sums)
        };
        for kernels in others() {
            prop_assert_eq!(run(kernels), run(PORTABLE), "{:?}", kernels);
        }
    }

    #[test]
    fn attention_kernels_agree(seed: u64, heads in 1usize..10, parts in 1usize..5, count in 1usize..17) {
        let width = parts * 16;
        let page: Vec<u16> = numbers(seed, width * 16, 8.0).into_iter().map(math::f32_to_half).collect();
        let queries = numbers(seed ^ 9, heads * width, 4.0);
        let stride = 48;
        let run = |kernels: Kernels| {
            let mut scores = vec![0.0; heads * stride];
            kernels.scores(&queries, heads, &page, &mut scores[16..], stride);
            let mut out = numbers(seed ^ 3, heads * width, 1.0);
            kernels.mix(&scores[16..], stride, heads, &page, width, count, &mut out);
            (bits(&scores), bits(&out))
        };
        for kernels in others() {
            prop_assert_eq!(run(kernels), run(PORTABLE), "{:?}", kernels);
        }
    }

    #[test]
    fn halves_survive_and_rounding_is_nearest(x in -70000.0f32..70000.0) {
        let half = math::f32_to_half(x);
        let back = math::half_to_f32(half);
        if back.is_finite() {
            for neighbour in [half.wrapping_sub(1), half.wrapping_add(1)] {
                let other = math::half_to_f32(neighbour);
                if other.is_finite() {
                    prop_assert!((back - x).abs() <= (other - x).abs(), "{x}: {back} but {other} is nearer");
                }
            }
        } else {
            prop_assert!(x.abs() >= 65520.0);
        }
    }

    #[test]
    fn layers_are_centred_and_bent_as_written(seed: u64, x in -12.0f32..12.0) {
        let xs = numbers(seed, 64, 7.0);
        let (weight, bias) = (numbers(seed ^ 1, 64, 2.0), numbers(seed ^ 2, 64, 2.0));
        let mut out = vec![0.0; 64];
        PORTABLE.layer_norm(&xs, &weight, &bias, 1e-12, &mut out);
        let mean = xs.iter().map(|x| f64::from(*x)).sum::<f64>() / 64.0;
        let variance = xs.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / 64.0;
        for (i, out) in out.iter().enumerate() {
            let exact = (f64::from(xs[i]) - mean) / variance.sqrt() * f64::from(weight[i]) + f64::from(bias[i]);
            prop_assert!((f64::from(*out) - exact).abs() < 1e-5, "{out} against {exact}");
        }
        let mut bent = [x];
        math::gelu(&mut bent);
        let exact = f64::from(x) * 0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2);
        prop_assert!((f64::from(bent[0]) - exact).abs() < 2e-6, "{x}: {} against {exact}", bent[0]);
    }

    #[test]
    fn the_exponential_is_close(x in -86.0f32..87.0) {
        let (ours, exact) = (f64::from(math::exp(x)), libm::exp(f64::from(x)));
        prop_assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} against {exact}");
    }
}

#[test]
fn every_half_is_read_back() {
    for half in 0..=u16::MAX {
        let x = math::half_to_f32(half);
        if !x.is_nan() {
            assert_eq!(math::f32_to_half(x), half, "{x}");
        }
    }
    assert_eq!(math::half_to_f32(0x3c00), 1.0);
    assert_eq!(math::half_to_f32(0x0001), 2.0f32.powi(-24));
    assert_eq!(math::half_to_f32(0x7bff), 65504.0);
}
