//! Random streams derived from (seed, turn, agent, purpose), so that an unaffected agent draws the same numbers in a fork.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The largest seed: JSON readers in browsers keep integers exact below 2^53.
pub const MAX_SEED: u64 = (1 << 53) - 1;

/// The stream for one purpose of one agent in one turn.
pub fn stream(seed: u64, turn: u64, agent: &str, purpose: &str) -> ChaCha8Rng {
    let mut hasher = Sha256::new();
    for part in [&seed.to_be_bytes()[..], &turn.to_be_bytes(), agent.as_bytes(), b"\0", purpose.as_bytes()] {
        hasher.update(part);
    }
    ChaCha8Rng::from_seed(hasher.finalize().into())
}

/// A seed for a model call, below 2^53.
pub fn seed(seed: u64, turn: u64, agent: &str) -> u64 {
    stream(seed, turn, agent, "model").next_u64() & MAX_SEED
}

/// An index below `n`, uniform enough for choices among a few (bias below n / 2^64).
pub fn pick(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}
