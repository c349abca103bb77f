//! The one retry layer: when a failed turn is tried again. Every attempt is an event.

use std::time::Duration;

/// Longest pause between attempts.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after failed attempt `attempt` (1, 2, …): full jitter over a doubling base, and never less than the
/// provider asked for. `jitter` is uniform over all of `u64`.
pub fn delay(base: Duration, attempt: u32, retry_after_ms: Option<u64>, jitter: u64) -> Duration {
    let ceiling = base.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST);
    let share = jitter as f64 / u64::MAX as f64;
    let asked = Duration::from_millis(retry_after_ms.unwrap_or(0)).min(LONGEST * 4);
    ceiling.mul_f64(share).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_jitters_and_respects_the_provider() {
        let base = Duration::from_secs(1);
        assert_eq!(delay(base, 1, None, u64::MAX), base);
        assert_eq!(delay(base, 3, None, u64::MAX), base * 4);
        assert_eq!(delay(base, 3, None, 0), Duration::ZERO);
        assert_eq!(delay(base, 30, None, u64::MAX), LONGEST);
        assert_eq!(delay(base, 1, Some(7_000), 0), Duration::from_secs(7));
    }
}
