//! The one home of the clock and of the operating system's randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use psyche_core::Timestamp;
use psyche_core::port::Clock;

/// The machine's own clock and random source.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // Without randomness there are no safe keys, salts or tokens: going on would be worse than ending.
        getrandom::fill(&mut bytes).unwrap_or_else(|e| {
            eprintln!("psyche: the operating system gives no randomness: {e}");
            std::process::abort()
        });
        bytes
    }
}
