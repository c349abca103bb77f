//! How much a client may say: a bucket of messages that fills over time.

use tokio::time::Instant;

#[derive(Debug)]
pub struct Budget {
    tokens: f64,
    burst: f64,
    per_second: f64,
    at: Instant,
}

impl Budget {
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let burst = f64::from(burst);
        Self { tokens: burst, burst, per_second: f64::from(per_minute) / 60.0, at: Instant::now() }
    }

    /// Whether one more message fits.
    pub fn take(&mut self) -> bool {
        let now = Instant::now();
        self.tokens = (self.tokens + self.per_second * (now - self.at).as_secs_f64()).min(self.burst);
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_one_a_second() {
        let mut budget = Budget::new(60, 30);
        assert_eq!((0..40).filter(|_| budget.take()).count(), 30);
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(budget.take());
        assert!(!budget.take());
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!((0..40).filter(|_| budget.take()).count(), 30);
    }
}
