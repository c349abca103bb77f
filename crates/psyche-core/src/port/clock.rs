//! Time, identity and entropy: the three things a pure program cannot make.

use uuid::Uuid;

use crate::Timestamp;

/// The one home of the clock and of randomness. Tests give a fixed one.
pub trait Clock: Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Milliseconds from an arbitrary start that never run backwards; for durations.
    fn monotonic_ms(&self) -> u64;
    /// 32 bytes from the operating system's random source.
    fn entropy(&self) -> [u8; 32];
    /// A new UUIDv7 made from [`Clock::now`] and [`Clock::entropy`].
    fn uuid(&self) -> Uuid {
        let entropy = self.entropy();
        let mut random = [0; 10];
        random.copy_from_slice(&entropy[..10]);
        let ms = u64::try_from(self.now().micros() / 1000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }
}
