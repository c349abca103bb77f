//! Requests per minute as a token bucket. Pure: the time is a parameter.

/// Grants tokens ahead of time: whoever takes one that is not there yet is told how long to wait for it, so that waiting
/// callers are served in order and the rate holds without a queue.
#[derive(Debug)]
pub struct Bucket {
    /// Microseconds between two requests.
    interval_us: u64,
    /// Requests that may come at once after a quiet time.
    burst: u64,
    /// When the bucket would be full again.
    full_at_us: u64,
}

impl Bucket {
    /// A tenth of a minute's requests may come at once, and at least one.
    pub fn per_minute(requests: u32) -> Self {
        let requests = u64::from(requests.max(1));
        Self { interval_us: 60_000_000 / requests, burst: (requests / 10).max(1), full_at_us: 0 }
    }

    /// Takes a token and says how many milliseconds to wait before using it. When that is more than `longest_wait_ms`,
    /// takes none and says the wait as an error.
    pub fn take(&mut self, now_ms: u64, longest_wait_ms: u64) -> Result<u64, u64> {
        let now_us = now_ms * 1_000;
        let full_at = self.full_at_us.max(now_us) + self.interval_us;
        let wait_us = full_at.saturating_sub(now_us + self.interval_us * self.burst);
        let wait_ms = wait_us.div_ceil(1_000);
        if wait_ms > longest_wait_ms {
            return Err(wait_ms);
        }
        self.full_at_us = full_at;
        Ok(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut bucket = Bucket::per_minute(60);
        let waits: Vec<u64> = (0..9).map(|_| bucket.take(0, 60_000).unwrap()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1_000, 2_000, 3_000]);
        assert_eq!(bucket.take(4_000, 0), Ok(0), "time fills it again");
        assert_eq!(bucket.take(4_000, 0), Err(1_000));
        assert_eq!(bucket.take(4_000, 1_000), Ok(1_000), "a refused caller took nothing");
        let later: Vec<u64> = (0..7).map(|_| bucket.take(600_000, 60_000).unwrap()).collect();
        assert_eq!(later, [0, 0, 0, 0, 0, 0, 1_000], "a long quiet time fills it to the burst and no further");
    }

    #[test]
    fn one_a_minute() {
        let mut bucket = Bucket::per_minute(1);
        assert_eq!(bucket.take(0, 0), Ok(0));
        assert_eq!(bucket.take(0, 0), Err(60_000));
        assert_eq!(bucket.take(60_000, 0), Ok(0));
    }
}
