//! A stream of random numbers addressed by position: no state, so nothing else can disturb it.

/// Number `index` of the stream `seed`: SplitMix64's output function over a mixed counter.
pub(crate) fn at(seed: u64, index: u64) -> u64 {
    mix(mix(seed).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Number `index` of the stream, from 0 to just below 1, in steps of 2⁻⁵³.
pub(crate) fn unit(seed: u64, index: u64) -> f64 {
    (at(seed, index) >> 11) as f64 / (1u64 << 53) as f64
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
