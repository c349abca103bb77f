//! The in-process adapters: the suites, and their bounds.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

mod conformance;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use psyche_bus::{Limits, LocalBus, LocalEphemeral};
use psyche_core::Timestamp;
use psyche_core::ids::SessionId;
use psyche_core::port::{Bus as _, Clock, EphemeralStore as _, News, StoreError};
use uuid::Uuid;

conformance::conformance!(bus, psyche_bus::LocalBus::new);
conformance::conformance!(ephemeral, crate::open);

#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn entropy(&self) -> [u8; 32] {
        [0; 32]
    }
}

fn limited(limits: Limits) -> (LocalEphemeral, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    (LocalEphemeral::new(Arc::clone(&clock) as Arc<dyn Clock>, limits), clock)
}

fn open() -> (LocalEphemeral, impl Fn(u64)) {
    let (store, clock) = limited(Limits::default());
    let pass = move |ms| {
        clock.0.fetch_add(ms, Ordering::Relaxed);
    };
    (store, pass)
}

#[tokio::test]
async fn a_topic_goes_with_its_last_subscriber() {
    let bus = LocalBus::new();
    let session = SessionId(Uuid::from_u128(1));
    let (one, two) = (bus.subscribe(session), bus.clone().subscribe(session));
    assert_eq!(bus.topics(), 1);
    drop(one);
    assert_eq!(bus.topics(), 1);
    drop(two);
    assert_eq!(bus.topics(), 0);
    bus.publish(session, News::Deleted);
    assert_eq!(bus.topics(), 0, "publishing makes no topic");
}

#[tokio::test]
async fn streams_end_with_the_bus() {
    let bus = LocalBus::new();
    let mut stream = bus.subscribe(SessionId(Uuid::from_u128(1)));
    drop(bus);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn memory_is_bounded_and_what_expires_soonest_makes_room() {
    let (store, clock) = limited(Limits { entries: 3, bytes: 100 });
    for (key, ttl) in [("a", 900), ("b", 100), ("c", 500)] {
        store.put(key, vec![0; 9], ttl).await.unwrap();
    }
    // By number.
    store.put("d", vec![0; 9], 300).await.unwrap();
    assert_eq!(store.get("b").await.unwrap(), None);
    // Replacing takes no more room.
    store.put("d", vec![1; 9], 300).await.unwrap();
    assert!(store.get("c").await.unwrap().is_some());
    // By size: a (10) + c (10) + d (10) + 89 > 100.
    store.put("e", vec![0; 88], 50).await.unwrap();
    for (key, kept) in [("a", true), ("c", false), ("d", false), ("e", true)] {
        assert_eq!(store.get(key).await.unwrap().is_some(), kept, "{key}");
    }
    let refused = store.put("f", vec![0; 100], 50).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.get("a").await.unwrap().is_some(), "a refusal costs nobody's place");
    // A count in a full shelf counts on.
    assert_eq!(store.increment("n", 400).await.unwrap(), 1);
    assert_eq!(store.increment("n", 400).await.unwrap(), 2);
    clock.0.store(1_000, Ordering::Relaxed);
    assert_eq!(store.get("a").await.unwrap(), None);
}
