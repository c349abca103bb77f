//! A clock for tests: every look at it takes a millisecond, so that a lease runs out without waiting.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicI64, Ordering};

use psyche_core::Timestamp;
use psyche_core::port::Clock;

pub const START: Timestamp = Timestamp(1_795_380_000_000_000);

#[derive(Default)]
pub struct TestClock {
    looks: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        START.plus_ms(self.looks.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic_ms(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed) as u64
    }

    /// Real randomness: keys made by one process must not come again in the next.
    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }
}
