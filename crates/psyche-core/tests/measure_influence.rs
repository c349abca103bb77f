//! Directed influence on chains whose coupling is known. `--no-capture` shows the figures.

use psyche_core::measure::influence::{Course, influence};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A chain of its own, and one that follows it with chance `coupling`, else itself or anything.
fn chains(length: usize, coupling: f64, random: &mut ChaCha8Rng) -> (Vec<u8>, Vec<u8>) {
    let mut chance = |limit: f64| f64::from(random.next_u32()) / 2f64.powi(32) < limit;
    let (mut leader, mut follower) = (vec![0u8], vec![0u8]);
    for t in 0..length - 1 {
        let fresh = |chance: &mut dyn FnMut(f64) -> bool| u8::from(chance(0.5)) + u8::from(chance(0.5));
        let led = leader[t];
        leader.push(if chance(0.5) { led } else { fresh(&mut chance) });
        let own = follower[t];
        follower.push(if chance(coupling) {
            led
        } else if chance(0.4) {
            own
        } else {
            fresh(&mut chance)
        });
    }
    (leader, follower)
}

#[test]
fn the_direction_of_coupled_chains_is_recovered() {
    let mut random = ChaCha8Rng::seed_from_u64(21);
    for (length, coupling) in [(300, 0.5), (500, 0.4), (1000, 0.3)] {
        let (mut found, mut reversed) = (0, 0);
        let (mut along, mut against) = (0.0, 0.0);
        for seed in 0..20 {
            let (leader, follower) = chains(length, coupling, &mut random);
            let forth = influence(&[Course { from: leader.clone(), to: follower.clone() }], seed).unwrap();
            let back = influence(&[Course { from: follower, to: leader }], seed).unwrap();
            found += usize::from(forth.p <= 0.05 && forth.value > back.value);
            reversed += usize::from(back.p <= 0.05);
            along += forth.value / 20.0;
            against += back.value / 20.0;
        }
        println!(
            "{length} turns, coupling {coupling}: found {found} of 20, {along:.3} bits along and {against:.3} against; \
             against at p ≤ .05: {reversed}"
        );
        assert!(found >= 19 && reversed <= 4);
    }
}

#[test]
fn independent_chains_are_found_about_as_often_as_p_says() {
    let mut random = ChaCha8Rng::seed_from_u64(22);
    let mut found = 0;
    for seed in 0..100 {
        let (a, _) = chains(300, 0.0, &mut random);
        let (b, _) = chains(300, 0.0, &mut random);
        found += usize::from(influence(&[Course { from: a, to: b }], seed).unwrap().p <= 0.05);
    }
    println!("independent chains at p ≤ .05: {found} of 100");
    assert!(found <= 11, "{found}");
}

#[test]
fn short_replicates_are_pooled() {
    let mut random = ChaCha8Rng::seed_from_u64(23);
    let replicates: Vec<Course> = (0..12)
        .map(|_| chains(40, 0.6, &mut random))
        .map(|(leader, follower)| Course { from: leader, to: follower })
        .collect();
    assert_eq!(influence(&replicates[..5], 1).unwrap_err().transitions, 5 * 39);
    let pooled = influence(&replicates, 1).unwrap();
    println!("12 replicates of 40 turns: {pooled:?}");
    assert!((pooled.transitions, pooled.replicates) == (12 * 39, 12) && pooled.p <= 0.05);
}
