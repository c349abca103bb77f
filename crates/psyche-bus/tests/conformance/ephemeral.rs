//! Values that expire.

use futures_util::future::join_all;
use psyche_core::port::{EphemeralStore, StoreError};

pub async fn a_value_is_there_until_it_expires((store, pass): (impl EphemeralStore, impl Fn(u64))) {
    assert_eq!(store.get("a").await.unwrap(), None);
    store.put("a", vec![0, 255], 1_000).await.unwrap();
    store.put("b", Vec::new(), 3_000).await.unwrap();
    pass(500);
    assert_eq!(store.get("a").await.unwrap(), Some(vec![0, 255]));
    // Replaced: with a new time to live.
    store.put("a", vec![1], 1_000).await.unwrap();
    pass(900);
    assert_eq!(store.get("a").await.unwrap(), Some(vec![1]));
    pass(200);
    assert_eq!(store.get("a").await.unwrap(), None);
    assert_eq!(store.get("b").await.unwrap(), Some(Vec::new()));
}

pub async fn the_first_to_put_wins((store, pass): (impl EphemeralStore, impl Fn(u64))) {
    assert_eq!(store.put_new("a", b"one".to_vec(), 1_000).await.unwrap(), None);
    assert_eq!(store.put_new("a", b"two".to_vec(), 9_000).await.unwrap(), Some(b"one".to_vec()));
    pass(1_100);
    assert_eq!(store.put_new("a", b"three".to_vec(), 1_000).await.unwrap(), None);
    assert_eq!(store.get("a").await.unwrap(), Some(b"three".to_vec()));
}

pub async fn a_count_starts_again_when_its_time_is_over((store, pass): (impl EphemeralStore, impl Fn(u64))) {
    for expected in 1..=3 {
        assert_eq!(store.increment("a", 1_000).await.unwrap(), expected);
        pass(300);
    }
    assert_eq!(store.increment("b", 1_000).await.unwrap(), 1);
    pass(200);
    assert_eq!(store.increment("a", 1_000).await.unwrap(), 1, "the time ran from the first count, not from the last");
    assert_eq!(store.increment("b", 1_000).await.unwrap(), 2);
    store.put("text", b"x".to_vec(), 1_000).await.unwrap();
    assert!(matches!(store.increment("text", 1_000).await, Err(StoreError::Corrupt(_))));
}

pub async fn a_value_is_taken_once((store, pass): (impl EphemeralStore, impl Fn(u64))) {
    store.put("ticket", b"admit one".to_vec(), 1_000).await.unwrap();
    assert_eq!(store.take("ticket").await.unwrap(), Some(b"admit one".to_vec()));
    assert_eq!(store.take("ticket").await.unwrap(), None);
    assert_eq!(store.get("ticket").await.unwrap(), None);
    store.put("ticket", b"admit one".to_vec(), 1_000).await.unwrap();
    pass(1_100);
    assert_eq!(store.take("ticket").await.unwrap(), None);
}

pub async fn of_concurrent_takers_and_putters_one_wins((store, _): (impl EphemeralStore, impl Fn(u64))) {
    let store = &store;
    let puts = join_all((0..8_u8).map(|n| store.put_new("key", vec![n], 60_000))).await;
    assert_eq!(puts.iter().filter(|put| matches!(put, Ok(None))).count(), 1);
    let takes = join_all((0..8).map(|_| store.take("key"))).await;
    assert_eq!(takes.iter().filter(|take| matches!(take, Ok(Some(_)))).count(), 1);
    let counts = join_all((0..50).map(|_| store.increment("count", 60_000))).await;
    let mut counts: Vec<_> = counts.into_iter().map(Result::unwrap).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=50).collect::<Vec<_>>());
}
