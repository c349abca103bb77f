//! How many requests a client may make: token buckets, in bounded memory.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use psyche_core::port::EphemeralStore;

/// So many at once, and so many a minute from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub per_minute: f64,
    pub burst: f64,
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Of the whole bucket, as `RateLimit-Limit` says it: requests a minute.
    pub limit: u64,
    pub remaining: u64,
    /// Until the bucket is full again.
    pub reset: Duration,
    /// When nothing was left: until a request is let in.
    pub wait: Option<Duration>,
}

/// Clients that are remembered at once.
const MOST: usize = 50_000;

/// Buckets of one rate, by client.
pub struct Buckets<K> {
    /// What is counted; part of the name of a shared bucket.
    what: &'static str,
    rate: Rate,
    /// When each bucket will be full again, in milliseconds of the monotonic clock (the generic cell rate algorithm).
    full_at: Mutex<HashMap<K, f64>>,
}

impl<K: Eq + Hash + Display + Copy> Buckets<K> {
    pub fn new(what: &'static str, rate: Rate) -> Self {
        Self { what, rate, full_at: Mutex::default() }
    }

    /// The same from the bucket that all replicas share, where they do; this process' own bucket is asked first.
    pub async fn take_shared(&self, shared: &dyn EphemeralStore, client: K, now_ms: u64) -> Allowance {
        let here = self.take(client, now_ms);
        if here.wait.is_some() {
            return here;
        }
        let each = 60_000.0 / self.rate.per_minute;
        match shared.admit(&format!("rate:{}:{client}", self.what), each, each * self.rate.burst).await {
            Ok(Some(answer)) => self.allowance(answer.missing_ms, answer.wait_ms),
            Ok(None) | Err(_) => here,
        }
    }

    /// Takes one from the client's bucket, or says how long to wait.
    pub fn take(&self, client: K, now_ms: u64) -> Allowance {
        let now = now_ms as f64;
        let each = 60_000.0 / self.rate.per_minute;
        let depth = each * self.rate.burst;
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&client) {
            buckets.retain(|_, full_at| *full_at > now);
            if buckets.len() >= MOST {
                // Everybody is busy. A newcomer waits rather than that somebody's count is forgotten.
                return self.allowance(depth, Some(each));
            }
        }
        let full_at = buckets.entry(client).or_insert(now);
        let next = full_at.max(now) + each;
        if next - now > depth + 1e-6 {
            return self.allowance(*full_at - now, Some(next - now - depth));
        }
        *full_at = next;
        self.allowance(next - now, None)
    }

    fn allowance(&self, missing_ms: f64, wait_ms: Option<f64>) -> Allowance {
        let ms = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1000.0);
        let each = 60_000.0 / self.rate.per_minute;
        let remaining = if wait_ms.is_some() { 0.0 } else { (self.rate.burst - missing_ms / each).max(0.0) };
        Allowance {
            limit: self.rate.per_minute as u64,
            remaining: (remaining + 1e-6) as u64,
            reset: ms(missing_ms),
            wait: wait_ms.map(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let buckets = Buckets::new("test", Rate { per_minute: 60.0, burst: 3.0 });
        let left: Vec<_> = (0..3).map(|_| buckets.take("a", 1000).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = buckets.take("a", 1000);
        assert_eq!((refused.wait, refused.remaining), (Some(Duration::from_secs(1)), 0));
        assert_eq!(buckets.take("b", 1000).wait, None, "others are not concerned");
        assert_eq!(buckets.take("a", 2000).wait, None);
        assert!(
            buckets.take("a", 2500).wait.is_some(),
            "a refused request takes nothing, and half a second is too little"
        );
        let rested = buckets.take("a", 60_000);
        assert_eq!((rested.remaining, rested.limit), (2, 60));
    }

    #[test]
    fn memory_is_bounded_and_nobody_gains_by_filling_it() {
        let buckets = Buckets::new("test", Rate { per_minute: 1.0, burst: 1.0 });
        assert_eq!(buckets.take(0, 0).wait, None);
        for client in 1..MOST {
            buckets.take(client, 0);
        }
        assert!(buckets.take(MOST + 1, 0).wait.is_some(), "full");
        assert!(buckets.take(0, 0).wait.is_some(), "the first one's count is kept");
        assert_eq!(buckets.take(MOST + 1, 61_000).wait, None, "what has run out makes room");
        assert!(buckets.full_at.lock().unwrap().len() <= MOST);
    }
}
