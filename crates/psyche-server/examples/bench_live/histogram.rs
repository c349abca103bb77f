//! Latencies, kept as counts: 128 steps to every doubling, so a percentile is right to 0.8 %.

const STEPS: u32 = 7;
const SLOTS: usize = (64 - STEPS as usize + 1) << STEPS;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; SLOTS], total: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, ns: u64) {
        self.counts[slot(ns)] += 1;
        self.total += 1;
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// In milliseconds; `None` when nothing was recorded.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        let rank = ((percent / 100.0 * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|slot| value(slot) as f64 / 1e6)
    }
}

fn slot(ns: u64) -> usize {
    let doublings = (ns | 1).ilog2().saturating_sub(STEPS);
    ((doublings as usize) << STEPS) + (ns >> doublings) as usize
}

/// The largest value of a slot.
fn value(slot: usize) -> u64 {
    let doublings = (slot >> STEPS).saturating_sub(1) as u32;
    (((slot - ((doublings as usize) << STEPS)) as u64 + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_again_to_one_percent() {
        for ns in [0, 1, 127, 128, 255, 256, 257, 1_000, 65_535, 65_536, 1_234_567, 15_000_000_000, u64::MAX / 2] {
            let found = value(slot(ns));
            assert!(found >= ns && found as f64 <= ns as f64 * 1.008 + 1.0, "{ns} became {found}");
        }
    }

    #[test]
    fn percentiles_count_from_below() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_ms(50.0), None);
        (1..=100).for_each(|ms| histogram.record(ms * 1_000_000));
        for (percent, ms) in [(1.0, 1.0), (50.0, 50.0), (99.0, 99.0), (100.0, 100.0)] {
            let found = histogram.percentile_ms(percent).unwrap();
            assert!((found - ms).abs() <= ms * 0.008, "p{percent} is {found}");
        }
    }
}
